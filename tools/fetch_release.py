#!/usr/bin/env python3
"""The authors' weights (about 2.4 GB), from where they host them, into Params/AE_whole and Params/Combine.

    tools/fetch_release.py                                  download, unpack, check
    tools/fetch_release.py AE_whole.zip Combine.zip         unpack and check archives you already have
    tools/fetch_release.py --check                          only check what is there

They are the authors' property under their own terms; this project neither ships nor changes them. Where their host is
out of reach, take the archives from it by other means and name them here. A broken-off download goes on where it stopped.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="*", help="AE_whole.zip and Combine.zip, if you have them")
    parser.add_argument("--to", default=str(Path(__file__).resolve().parent.parent / "Params"), metavar="FOLDER",
                        help="where AE_whole/ and Combine/ go (default: Params)")
    parser.add_argument("--check", action="store_true", help="fetch nothing, only read every file strictly")
    options = parser.parse_args(argv)
    from tqdm import tqdm

    from jt_dfd import release_files
    from jt_dfd.checkpoints import CheckpointError

    bars = {}

    def show(name, done, total):
        if name not in bars:
            bars[name] = tqdm(total=total or None, unit="B", unit_scale=True, desc=f"{name}.zip", initial=done)
        bars[name].update(done - bars[name].n)

    try:
        if not options.check:
            release_files.fetch(options.to, options.archive, show)
        with tqdm(total=16, unit="file", desc="checking") as bar:
            release_files.verify(options.to, lambda path: bar.update())
    except (release_files.FetchError, CheckpointError, OSError) as error:
        print(f"fetch_release: {error}", file=sys.stderr)
        return 1
    print(f"All of the release's files are in {options.to} and fit. Try:\n"
          f"    tools/synthesize.py tests/sketches/a.png --params {options.to} --anchor release")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nfetch_release: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
