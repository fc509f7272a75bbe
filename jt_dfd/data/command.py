"""The command lines of tools/prepare_data.py and tools/generate_faces.py."""
from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from .. import cli

_PREPARE = """Photographs into a training set, and a check of a set.

  prepare_data.py SRC --out DIR           any folder of portraits: faces found, aligned, sketched, indexed
  prepare_data.py SRC --out DIR --aligned               FFHQ, CelebA-HQ or this project's own frame: taken as they are
  prepare_data.py SRC --out DIR --celeba-landmarks F    CelebA's landmark file instead of detection
  prepare_data.py --celebamask-hq FOLDER --out DIR      CelebAMask-HQ's own folder, chosen as the paper did
  prepare_data.py check DIR               what is wrong with a set, and a contact sheet of pairs to look at
  prepare_data.py join DIR DIR --out DIR  several sets as one

Stopping (Ctrl-C, or worse) costs nothing: the same command goes on.  report.csv has the reason for every picture left \
out.
"""
_GENERATE = """A training set with no photographs at all: faces of people who do not exist, each from a seed, aligned \
and sketched.

  generate_faces.py --count 200 --out set         about 5 minutes on two CPU cores
  prepare_data.py check set                       what came out, as a contact sheet

The same seed gives the same face; index.csv stores them.  Stopping (Ctrl-C, or worse) costs nothing: the same command
goes on, and a larger --count adds to the set.  Faces turned too far away are left out; report.csv says which and why.
Gender is told from the style the face is made of, blank where that is doubtful, unless --labels has it; so are hats, \
hands
before the face, sunglasses, second faces and odd light, which are left out.  The faces are for research and \
non-commercial use (see the README).
"""
#: for Ctrl-C before the first picture or after the last; in between a run ends in good order
_STOPPED = "interrupted; the same command goes on from here"


def prepare_data(argv=None) -> int:
    """Exit status 0 where the set holds pairs, 130 where the run was interrupted, else 1."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["check"]:
        return _check(argv[1:])
    if argv[:1] == ["join"]:
        return _join(argv[1:])
    return _prepare(argv)


def _number(kind, lowest: float, highest: float, words: str):
    """A type for argparse: a number between the two."""
    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"expected {words}, not {text!r:.40}")
        return value
    return parse


_whole = _number(int, 1, 1 << 40, "a whole number from 1")
_share = _number(float, 0, 1, "a number from 0 to 1")
_degrees = _number(float, 1, 180, "degrees from 1 to 180")


def _add_set(parser: argparse.ArgumentParser, max_yaw: int, where: str = "") -> None:
    """The options of a set in the making; ``where`` ends the words on when curves for drawn sketches are made."""
    parser.add_argument("--out", required=True, metavar="DIR", help="the set: index.csv, faces/, sketches/, report.csv")
    parser.add_argument("--style", choices=("lines", "photocopy", "drawn"), default="lines",
                        help="of the sketches (default lines)")
    parser.add_argument("--drawn", choices=("yes", "no"), default="yes",
                        help="curves for drawn sketches besides, which training draws anew each epoch; a set without "
                             f"them gets them (default yes{where})")
    parser.add_argument("--min-confidence", type=_share, default=0.9, metavar="P",
                        help="leave the gender blank where the table is less sure than this (default 0.9)")
    parser.add_argument("--keep-background", action="store_true", help="do not paint the background white")
    parser.add_argument("--max-yaw", type=_degrees, default=max_yaw, metavar="DEG",
                        help=f"turned left or right at most (default {max_yaw})")
    parser.add_argument("--max-pitch", type=_degrees, default=30, metavar="DEG",
                        help="tilted up or down at most (default 30)")
    parser.add_argument("--test-share", type=_share, default=0.05, metavar="P",
                        help="share set aside for testing, where no table says otherwise (default 0.05)")


def _tell(out: str, summary, things: str) -> None:
    """What a run made and left out."""
    from . import index

    print(f"{out}: {summary.pairs} pairs ({summary.made} made now, {summary.drawn} with drawn sketches), "
          f"{len(summary.rejected)} {things} left out")
    counts = [Counter(getattr(row, column) or "blank" for row in index.read(out)) for column in ("gender", "split")]
    print("  " + "; ".join(f"{column} " + ", ".join(f"{n} {word}" for word, n in sorted(found.items(), reverse=True))
                           for column, found in zip(("gender", "split"), counts) if found))
    for reason, count in Counter(r.split(":")[0] for r in summary.rejected.values()).most_common():
        print(f"  {count:6d}  {reason}")


def _prepare(argv) -> int:
    parser = cli.parser(_PREPARE, prog="prepare_data.py")
    parser.add_argument("source", metavar="SRC", nargs="?", help="folder of photographs, subfolders included")
    parser.add_argument("--celebamask-hq", metavar="FOLDER", help="the dataset's unpacked folder instead of SRC: "
                        "frontal by its pose table, no glasses, no hats, background white by its masks, gender as its "
                        "attributes say")
    _add_set(parser, 20, ", where mediapipe's networks are installed")
    parser.add_argument("--sketch-dir", metavar="DIR", help="your own sketches instead, paired with the photographs by "
                        "path, or by name alone; drawn of the aligned faces (they are resized, not aligned), so mostly "
                        "with --aligned")
    frame = parser.add_mutually_exclusive_group()
    frame.add_argument("--aligned", action="store_true",
                       help="the pictures are aligned already: only resize them to 512")
    frame.add_argument("--celeba-landmarks", metavar="FILE", help="CelebA's landmark file, instead of detecting faces")
    parser.add_argument("--labels", metavar="FILE",
                        help="table with gender and split: a CSV with a column file, list_attr_celeba.txt, or "
                             "ffhq-dataset-v2.json (default: index.csv or faces.csv in or above SRC; one in SRC also "
                             "says which pictures are meant)")
    parser.add_argument("--min-eyes", type=float, default=32, metavar="PX",
                        help="pixels between the eyes at least (default 32)")
    parser.add_argument("--limit", type=_whole, metavar="N", help="look at the first N pictures only")
    parser.add_argument("--workers", type=_whole, default=None, metavar="N",
                        help="processes for finding and aligning (default: as many as CPU cores, at most 16)")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from . import index, sources
    from . import prepare as data
    from .portrait import Options

    labels, reason = args.labels, None
    if (args.source is None) == (args.celebamask_hq is None):
        parser.error("expected either SRC or --celebamask-hq FOLDER")
    if args.celebamask_hq:
        catalogue = sources.Catalogue(args.celebamask_hq)
        args.source, args.aligned = str(Path(args.celebamask_hq) / sources.PICTURES), True
        labels = labels or str(Path(args.celebamask_hq) / sources.ATTRIBUTES)
        reason = lambda picture: catalogue.reason(picture, options)  # noqa: E731
    if labels is None:
        labels = next((str(p) for p in (Path(args.source) / "index.csv", Path(args.source) / "faces.csv",
                                        Path(args.source).parent / "faces.csv") if p.is_file()), None)
    options = Options(frame="aligned" if args.aligned else "landmarks" if args.celeba_landmarks else "detect",
                      background="keep" if args.keep_background else "masks" if args.celebamask_hq else "white",
                      min_eyes=args.min_eyes, max_yaw=args.max_yaw, max_pitch=args.max_pitch)
    with cli.when_stopped(_STOPPED):
        summary = data.prepare_folder(
            args.source, args.out, options, style=args.style, sketch_dir=args.sketch_dir, labels=labels,
            landmarks=args.celeba_landmarks, min_confidence=args.min_confidence, test_share=args.test_share,
            limit=args.limit, drawn=args.drawn == "yes", workers=args.workers or min(16, os.cpu_count() or 1),
            reason=reason,
            progress=lambda items, total: tqdm(items, total=total, unit="picture", smoothing=0.05))
    _tell(args.out, summary, "pictures")
    if summary.rejected:
        print(f"  each with its reason in {Path(args.out) / 'report.csv'}")
    if args.celebamask_hq:
        splits = Counter(row.split for row in index.read(args.out))
        print(f"the paper's: {sources.PAPER:,} pictures, {sources.PAPER_TRAIN:,} to train on and {sources.PAPER_TEST} "
              f"to test; here: {summary.pairs:,}, {splits['train']:,} and {splits['test']:,}")
    if summary.left:
        print(f"interrupted with {summary.left} pictures to go; the same command goes on from here")
        return 130
    print(f"look at it: python tools/prepare_data.py check {args.out}")
    return 0 if summary.pairs else 1


def _join(argv) -> int:
    parser = argparse.ArgumentParser(prog="prepare_data.py join", description="Several sets as one: their splits and "
                                     "genders stay. Exit status 0.")
    parser.add_argument("sets", metavar="DIR", nargs="+", help="folders with index.csv")
    parser.add_argument("--out", required=True, metavar="DIR", help="the new set")
    args = parser.parse_args(argv)
    from . import index

    print(f"{args.out}: {index.join(args.sets, args.out)} pairs of {len(args.sets)} sets")
    return 0


def _check(argv) -> int:
    parser = argparse.ArgumentParser(prog="prepare_data.py check",
                                     description="Verify a training set and draw a contact sheet of its pairs. "
                                                 "Exit status 0: nothing wrong (warnings aside), 1: something is.")
    parser.add_argument("folder", metavar="DIR", help="a folder with index.csv")
    parser.add_argument("--sheet", metavar="PNG", help="where to write the contact sheet (default DIR/sheet.png)")
    parser.add_argument("--pairs", type=int, default=24, metavar="N",
                        help="pairs on the sheet (default 24; 0 for none)")
    parser.add_argument("--workers", type=_whole, default=None, metavar="N",
                        help="processes that read (default: CPU cores)")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from . import checking

    if args.pairs < 0:
        parser.error("--pairs: expected 0 or more")
    result = checking.check(args.folder, workers=args.workers or min(16, os.cpu_count() or 1),
                            progress=lambda items, total: tqdm(items, total=total, unit="pair", leave=False))
    print(result.text())
    if args.pairs and result.pairs:
        path = args.sheet or str(Path(args.folder) / "sheet.png")
        drawn = checking.write_sheet(args.folder, path, args.pairs)
        print(f"{path}: {drawn} pairs; windows of {checking.LEGEND}")
    return 1 if result.errors else 0


def generate_faces(argv=None) -> int:
    parser = cli.parser(_GENERATE)
    parser.add_argument("--count", type=int, required=True, metavar="N", help="pairs in the set")
    _add_set(parser, 12)
    parser.add_argument("--first-seed", type=int, default=0, metavar="S",
                        help="go through the seeds from here (default 0)")
    parser.add_argument("--seeds", metavar="FILE", help="these seeds only: one a line, or a CSV with a column seed")
    parser.add_argument("--labels", metavar="FILE",
                        help="CSV with seed (or file), gender and split, for those that have one")
    parser.add_argument("--leave-out", default="all", metavar="WHAT", help="faces that are passed over because of what "
                        "their style shows, separated by commas: hat, hand, sunglasses, second (a face beside it), "
                        "dark (odd light); or none (default: all of these)")
    parser.add_argument("--truncation", type=float, default=0.7, metavar="T",
                        help="0 always the mean face, 1 the widest variety and more broken ones (default 0.7)")
    parser.add_argument("--workers", type=_whole, default=None, metavar="N",
                        help="processes that generate (default: one for every 8 CPU cores)")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from . import generate
    from .portrait import Options

    cores = os.cpu_count() or 1
    workers = args.workers or max(1, cores // 8)
    leave_out = {"all": generate.UNWANTED, "none": ()}.get(args.leave_out)
    if leave_out is None:
        leave_out = tuple(word.strip() for word in args.leave_out.split(","))
    with cli.when_stopped(_STOPPED):
        summary = generate.generate_set(
            args.out, args.count, Options(max_yaw=args.max_yaw, max_pitch=args.max_pitch,
                                          background="keep" if args.keep_background else "white"),
            style=args.style, first_seed=args.first_seed, seeds=generate.read_seeds(args.seeds) if args.seeds else None,
            labels=args.labels, truncation=args.truncation, min_confidence=args.min_confidence,
            leave_out=leave_out, test_share=args.test_share, workers=workers, threads=max(1, cores // workers),
            drawn=args.drawn == "yes",
            progress=lambda total, initial, iterable=None: tqdm(iterable, total=total, initial=initial, unit="face",
                                                                smoothing=0.05))
    _tell(args.out, summary, "seeds")
    if summary.left:
        print(f"{summary.left} to go; the same command goes on from here" if not args.seeds else
              f"{summary.left} fewer than asked for: interrupted, or no seeds left")
        return 130
    print(f"look at it: python tools/prepare_data.py check {args.out}")
    return 0
