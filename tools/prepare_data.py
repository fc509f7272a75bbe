#!/usr/bin/env python3
"""Photographs into a training set, and a check of a set.

  prepare_data.py SRC --out DIR           any folder of portraits: faces found, aligned, sketched, indexed
  prepare_data.py SRC --out DIR --aligned               FFHQ, CelebA-HQ or this project's own frame: taken as they are
  prepare_data.py SRC --out DIR --celeba-landmarks F    CelebA's landmark file instead of detection
  prepare_data.py check DIR               what is wrong with a set, and a contact sheet of pairs to look at

Stopping (Ctrl-C, or worse) costs nothing: the same command goes on.  report.csv has the reason for every picture left out.
"""
from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(argv=None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["check"]:
        return check(argv[1:])
    return prepare(argv)


def whole(text: str) -> int:
    """A number of things, for argparse."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def share(text: str) -> float:
    """A share, for argparse."""
    if not 0 <= float(text) <= 1:
        raise ValueError
    return float(text)


def prepare(argv) -> int:
    parser = argparse.ArgumentParser(prog="prepare_data.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", help="folder of photographs, subfolders included")
    parser.add_argument("--out", required=True, metavar="DIR", help="the set: index.csv, faces/, sketches/, report.csv")
    parser.add_argument("--style", choices=("lines", "photocopy", "drawn"), default="lines",
                        help="of the sketches (default lines)")
    parser.add_argument("--drawn", choices=("yes", "no"), default="yes",
                        help="curves for drawn sketches besides, which training draws anew each epoch; a set without them gets "
                             "them (default yes, where mediapipe's networks are installed)")
    parser.add_argument("--sketch-dir", metavar="DIR", help="your own sketches instead, paired with the photographs by path, or by "
                        "name alone; drawn of the aligned faces (they are resized, not aligned), so mostly with --aligned")
    frame = parser.add_mutually_exclusive_group()
    frame.add_argument("--aligned", action="store_true", help="the pictures are aligned already: only resize them to 512")
    frame.add_argument("--celeba-landmarks", metavar="FILE", help="CelebA's landmark file, instead of detecting faces")
    parser.add_argument("--labels", metavar="FILE",
                        help="table with gender and split: a CSV with a column file, or list_attr_celeba.txt (default: "
                             "index.csv or faces.csv in or above SRC; one in SRC also says which pictures are meant)")
    parser.add_argument("--min-confidence", type=share, default=0.9, metavar="P",
                        help="leave the gender blank where the table is less sure than this (default 0.9)")
    parser.add_argument("--keep-background", action="store_true", help="do not paint the background white")
    parser.add_argument("--min-eyes", type=float, default=32, metavar="PX",
                        help="pixels between the eyes at least (default 32)")
    parser.add_argument("--max-yaw", type=float, default=20, metavar="DEG", help="turned left or right at most (default 20)")
    parser.add_argument("--max-pitch", type=float, default=30, metavar="DEG", help="tilted up or down at most (default 30)")
    parser.add_argument("--test-share", type=share, default=0.05, metavar="P", help="share set aside for testing, where no "
                                                                                  "table says otherwise (default 0.05)")
    parser.add_argument("--limit", type=whole, metavar="N", help="look at the first N pictures only")
    parser.add_argument("--workers", type=whole, default=None, metavar="N",
                        help="processes for finding and aligning (default: as many as CPU cores, at most 16)")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from jt_dfd.data import journal, models, prepare as data, sources
    from jt_dfd.data.portrait import Options
    from jt_dfd.data.workers import WorkerDied
    from jt_dfd.runtime import RuntimeProblem

    labels = args.labels
    if labels is None:
        labels = next((str(p) for p in (Path(args.source) / "index.csv", Path(args.source) / "faces.csv",
                                        Path(args.source).parent / "faces.csv") if p.is_file()), None)
    try:
        options = Options(frame="aligned" if args.aligned else "landmarks" if args.celeba_landmarks else "detect",
                          background="keep" if args.keep_background else "white", min_eyes=args.min_eyes,
                          max_yaw=args.max_yaw, max_pitch=args.max_pitch)
        summary = data.prepare_folder(
            args.source, args.out, options, style=args.style, sketch_dir=args.sketch_dir, labels=labels,
            landmarks=args.celeba_landmarks, min_confidence=args.min_confidence, test_share=args.test_share,
            limit=args.limit, drawn=args.drawn == "yes", workers=args.workers or min(16, os.cpu_count() or 1),
            progress=lambda items, total: tqdm(items, total=total, unit="picture", smoothing=0.05))
    except (sources.SourceError, journal.JournalError, models.ModelMissing, RuntimeProblem, WorkerDied, ValueError,
            OSError) as error:
        print(f"prepare_data: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the first picture or behind the last; in between the run ends in good order
        print("interrupted; the same command goes on from here")
        return 130
    print(f"{args.out}: {summary.pairs} pairs ({summary.made} made now, {summary.drawn} with drawn sketches), "
          f"{len(summary.rejected)} pictures left out")
    for reason, count in Counter(r.split(":")[0] for r in summary.rejected.values()).most_common():
        print(f"  {count:6d}  {reason}")
    if summary.rejected:
        print(f"  each with its reason in {Path(args.out) / 'report.csv'}")
    if summary.left:
        print(f"interrupted with {summary.left} pictures to go; the same command goes on from here")
        return 130
    print(f"look at it: python tools/prepare_data.py check {args.out}")
    return 0 if summary.pairs else 1


def check(argv) -> int:
    parser = argparse.ArgumentParser(prog="prepare_data.py check",
                                     description="Verify a training set and draw a contact sheet of its pairs. "
                                                 "Exit status 0: nothing wrong (warnings aside), 1: something is.")
    parser.add_argument("folder", metavar="DIR", help="a folder with index.csv")
    parser.add_argument("--sheet", metavar="PNG", help="where to write the contact sheet (default DIR/sheet.png)")
    parser.add_argument("--pairs", type=int, default=24, metavar="N", help="pairs on the sheet (default 24; 0 for none)")
    parser.add_argument("--workers", type=whole, default=None, metavar="N", help="processes that read (default: CPU cores)")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from jt_dfd.data import checking, index, sheet
    from jt_dfd.data.workers import WorkerDied

    if args.pairs < 0:
        parser.error("--pairs: expected 0 or more")
    try:
        result = checking.check(args.folder, workers=args.workers or min(16, os.cpu_count() or 1),
                                progress=lambda items, total: tqdm(items, total=total, unit="pair", leave=False))
        print(result.text())
        if args.pairs and result.pairs:
            path = args.sheet or str(Path(args.folder) / "sheet.png")
            drawn = sheet.write_sheet(args.folder, path, args.pairs)
            print(f"{path}: {drawn} pairs; windows of {sheet.LEGEND}")
    except (index.SetError, WorkerDied, OSError) as error:
        print(f"prepare_data check: {error}", file=sys.stderr)
        return 2
    return 1 if result.errors else 0


if __name__ == "__main__":
    sys.exit(main())
