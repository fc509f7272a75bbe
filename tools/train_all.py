#!/usr/bin/env python3
"""Both stages, the banks and the export, one after the other: a set of pairs in, a folder of weights out.

    python tools/train_all.py --data SET --out runs/mine --preset compact
    python tools/train_all.py --data tests/data/samples --out runs/tiny --preset tiny --embedding-steps 200 \\
        --synthesis-steps 200 --batch 4

Run it again to go on where it was stopped.  The weights are in OUT/params.  Options of a single stage: train by hand
with tools/train_embedding.py and tools/train_synthesis.py.
"""
import argparse
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="SET", help="folder with index.csv")
    parser.add_argument("--out", required=True, metavar="DIR", help="gets embedding/, synthesis/ and params/")
    parser.add_argument("--preset", default="compact", help="network sizes (default: compact)")
    parser.add_argument("--embedding-steps", type=int, default=20000, metavar="N", help="default: 20000")
    parser.add_argument("--synthesis-steps", type=int, default=40000, metavar="N", help="default: 40000")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="pictures a step (default: 4)")
    parser.add_argument("--styles", default="all", help="sketches to train on: lines,drawn ... (default: all of the set)")
    parser.add_argument("--perceptual-network", default="auto", help="see train_synthesis.py --help (default: auto)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: auto")
    args = parser.parse_args(argv)
    out = Path(args.out)
    stage = ["--data", args.data, "--batch", str(args.batch), "--styles", args.styles, "--device", args.device, "--resume"]
    commands = [
        ["train_embedding.py", "--preset", args.preset, "--out", str(out / "embedding"), "--steps",
         str(args.embedding_steps), *stage],
        ["build_bank.py", "--params", str(out / "embedding"), "--data", args.data, "--styles", args.styles,
         "--device", args.device],
        ["train_synthesis.py", "--embedding", str(out / "embedding"), "--out", str(out / "synthesis"), "--steps",
         str(args.synthesis_steps), "--perceptual-network", args.perceptual_network, *stage],
        ["export_weights.py", "--embedding", str(out / "embedding"), "--synthesis", str(out / "synthesis"), "--out",
         str(out / "params")],
    ]
    for number, (script, *arguments) in enumerate(commands, 1):
        print(f"[{number}/{len(commands)}] {script}", flush=True)
        try:
            status = subprocess.call([sys.executable, str(TOOLS / script), *arguments])
        except KeyboardInterrupt:
            status = 130
        if status:
            print(f"{script} ended with status {status}; run this again to go on", file=sys.stderr)
            return status
    print(f"Weights: {out / 'params'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
