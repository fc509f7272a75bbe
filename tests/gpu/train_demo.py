"""Demo weights trained further in pieces: stage II, export and an evaluation, resumed where the last piece ended.

    train_demo.py pack SET [FILE]     a set at 256 pixels as a tar of at most --mib MiB, test pictures first
    train_demo.py run [FILE]          one piece of --minutes; exit status 0: finished, 3: run it again

What is trained lies in --work between pieces; finished weights go to OUT/params with OUT/evaluation beside them.
"""
import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

#: of the canvas that the compact preset draws on, and of the WebP files
EDGE, QUALITY = 256, 82


def pack(options):
    """The set as it is carried: photographs at 256 pixels, traced sketches and curves as they are."""
    from PIL import Image

    source, target = Path(options.set), Path(options.file)
    with open(source / "index.csv", newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    # test pictures first: they are what all weights are compared on
    rows.sort(key=lambda row: (row["split"] != "test", row["file"]))
    room, kept = int(options.mib * 2 ** 20), []
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as tar:
        def add(name, data):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

        for row in rows:
            small = io.BytesIO()
            with Image.open(source / row["file"]) as photo:
                photo.convert("RGB").resize((EDGE, EDGE), Image.LANCZOS).save(small, "WEBP", quality=QUALITY, method=6)
            files = {row["file"]: small.getvalue()}
            files.update((row[c], (source / row[c]).read_bytes()) for c in ("sketch", "drawn") if row.get(c))
            # a tar's entry is a header of 512 bytes and whole blocks of 512
            room -= sum(1024 + len(data) for data in files.values())
            if room < 2 ** 20:   # for the index
                break
            for name, data in files.items():
                add(name, data)
            kept.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        add("index.csv", text.getvalue().encode("utf-8"))
    print(f"{target}: {len(kept)} of {len(rows)} pairs, {target.stat().st_size / 2 ** 20:.1f} MiB")
    return 0


def run(options):
    until = time.monotonic() + 60 * options.minutes
    work, out = Path(options.work), Path(options.out)
    data = work / "set"
    if not (data / "index.csv").is_file():
        with tarfile.open(options.file) as tar:
            names = tar.getnames()
            if any(os.path.isabs(name) or ".." in Path(name).parts for name in names):
                sys.exit(f"{options.file}: holds a path outside its folder")
            tar.extractall(data)
    synthesis, params = work / "synthesis", work / "params"

    def tool(name, *words):
        """Exit status of a tool; 3 where time ran out before it began or while it trained."""
        left = (until - time.monotonic()) / 60
        if left < 0.5:
            return 3
        words = [*map(str, words), "--device", options.device] if name != "export_weights.py" else list(map(str, words))
        if name.startswith("train"):
            words += ["--minutes", f"{left - 0.4:.2f}", "--resume", "--save-minutes", "2", "--sample-every", "500"]
        print(f"-- {name} {' '.join(words)}", flush=True)
        return subprocess.call([sys.executable, str(ROOT / "tools" / name), *words], cwd=str(ROOT))

    # the GPU's part of how Params/demo was made (Params/README.md): stage II goes on with the same encoders and banks
    steps = [
        (work / "synthesis.done", "train_synthesis.py", "--embedding", options.params, "--init", options.params,
         "--data", data, "--out", synthesis, "--batch", options.batch, "--steps", options.steps, "--lr", "6e-4",
         "--lr-discriminator", "4e-4", "--warmup", "100", "--projected", "0.5", "--gan-from", "100",
         "--perceptual-layers", "4", "--l1", "10", "--checkerboard", "50", "--ema", "0.998",
         "--workers", max(0, (os.cpu_count() or 1) - 2)),
        (work / "export.done", "export_weights.py", "--embedding", options.params, "--synthesis", synthesis,
         "--out", params),
        (work / "evaluation.done", "evaluate.py", "--params", params, "--data", data, "--out", work / "evaluation",
         "--refine", "0", "0.5", "1"),
    ]
    status = 0
    for mark, name, *words in steps:
        if mark.exists():
            continue
        status = tool(name, *words)
        if status:
            break
        mark.write_text(time.strftime("%Y-%m-%d %H:%M:%S\n"))
    out.mkdir(parents=True, exist_ok=True)
    for sheet in sorted((synthesis / "samples").glob("*.png"))[-2:]:   # to be looked at between pieces
        shutil.copy(sheet, out)
    if status == 0:
        for folder in (params, work / "evaluation"):
            shutil.copytree(folder, out / folder.name, dirs_exist_ok=True)
    print("finished" if status == 0 else "more to do: run it again" if status == 3 else f"failed with status {status}")
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    one = jobs.add_parser("pack")
    one.add_argument("set", metavar="SET")
    one.add_argument("file", nargs="?", default=".whl/set.tar", metavar="FILE")
    one.add_argument("--mib", type=float, default=40, help="of the tar at most (default: 40)")
    two = jobs.add_parser("run")
    two.add_argument("file", nargs="?", default=".whl/set.tar", metavar="FILE")
    two.add_argument("--minutes", type=float, default=8, help="of this piece (default: 8)")
    two.add_argument("--work", default="gpu-demo", metavar="DIR")
    two.add_argument("--out", default=os.environ.get("OUT") or "gpu-report", metavar="DIR")
    two.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    two.add_argument("--params", default="Params/demo", metavar="DIR", help="weights to go on from, with banks")
    two.add_argument("--steps", type=int, default=1200)
    two.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    return {"pack": pack, "run": run}[options.job](options)


if __name__ == "__main__":
    sys.exit(main())
