"""The authors' weights (about 2.4 GB), from where they host them, into Params/AE_whole and Params/Combine.

    tools/fetch_release.py                                  download, unpack, check
    tools/fetch_release.py AE_whole.zip Combine.zip         unpack and check archives you already have
    tools/fetch_release.py --check                          only check what is there

They are the authors' property under their own terms; this project neither ships nor changes them. Where their host is
out of reach, take the archives from it by other means and name them here. A broken-off download goes on where it \
stopped.
"""
from __future__ import annotations

from pathlib import Path

from . import cli


def main(arguments=None) -> int:
    """Exit status 0 where everything is there and fits."""
    parser = cli.parser(__doc__)
    parser.add_argument("archive", nargs="*", help="AE_whole.zip and Combine.zip, if you have them")
    parser.add_argument("--to", default=str(Path(__file__).resolve().parents[1] / "Params"), metavar="FOLDER",
                        help="where AE_whole/ and Combine/ go (default: Params)")
    parser.add_argument("--check", action="store_true", help="fetch nothing, only read every file strictly")
    options = parser.parse_args(arguments)
    with cli.when_stopped("stopped; the same command goes on from here"):
        _fetch(options)
    print(f"All of the release's files are in {options.to} and fit. Try:\n"
          f"    tools/synthesize.py tests/sketches/a.png --params {options.to} --anchor release")
    return 0


def _fetch(options) -> None:
    from tqdm import tqdm

    from .checkpoints import release_files

    bars = {}

    def show(name, done, total):
        if name not in bars:
            bars[name] = tqdm(total=total or None, unit="B", unit_scale=True, desc=f"{name}.zip", initial=done)
        bars[name].update(done - bars[name].n)

    if not options.check:
        release_files.fetch(options.to, options.archive, show)
    with tqdm(total=16, unit="file", desc="checking") as bar:
        release_files.verify(options.to, lambda path: bar.update())
