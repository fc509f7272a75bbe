#!/usr/bin/env python3
"""A training set with no photographs at all: faces of people who do not exist, each from a seed, aligned and sketched.

  generate_faces.py --count 200 --out set         about 5 minutes on two CPU cores
  prepare_data.py check set                       what came out, as a contact sheet

The same seed gives the same face; index.csv stores them.  Stopping (Ctrl-C, or worse) costs nothing: the same command
goes on, and a larger --count adds to the set.  Faces turned too far away are left out; report.csv says which and why.
Gender stays blank unless --labels has it.  The faces are for research and non-commercial use (see the README).
"""
from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, required=True, metavar="N", help="pairs in the set")
    parser.add_argument("--out", required=True, metavar="DIR", help="the set: index.csv, faces/, sketches/, report.csv")
    parser.add_argument("--style", choices=("lines", "photocopy", "drawn"), default="lines",
                        help="of the sketches (default lines)")
    parser.add_argument("--drawn", choices=("yes", "no"), default="yes",
                        help="curves for drawn sketches besides, which training draws anew each epoch; a set without them gets "
                             "them (default yes)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="S", help="go through the seeds from here (default 0)")
    parser.add_argument("--seeds", metavar="FILE", help="these seeds only: one a line, or a CSV with a column seed")
    parser.add_argument("--labels", metavar="FILE", help="CSV with seed (or file), gender and split, for those that have one")
    parser.add_argument("--min-confidence", type=float, default=0.9, metavar="P",
                        help="leave the gender blank where the table is less sure than this (default 0.9)")
    parser.add_argument("--truncation", type=float, default=0.7, metavar="T",
                        help="0 always the mean face, 1 the widest variety and more broken ones (default 0.7)")
    parser.add_argument("--max-yaw", type=float, default=12, metavar="DEG", help="turned left or right at most (default 12)")
    parser.add_argument("--max-pitch", type=float, default=30, metavar="DEG", help="tilted up or down at most (default 30)")
    parser.add_argument("--keep-background", action="store_true", help="do not paint the background white")
    parser.add_argument("--test-share", type=float, default=0.05, metavar="P", help="share set aside for testing, where no "
                                                                                  "table says otherwise (default 0.05)")
    parser.add_argument("--workers", type=int, default=None, metavar="N",
                        help="processes that generate (default: one for every 8 CPU cores)")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from jt_dfd.data import generate, journal, models, sources
    from jt_dfd.data.portrait import Options
    from jt_dfd.data.workers import WorkerDied
    from jt_dfd.runtime import RuntimeProblem

    cores = os.cpu_count() or 1
    workers = args.workers or max(1, cores // 8)
    try:
        summary = generate.generate_set(
            args.out, args.count, Options(max_yaw=args.max_yaw, max_pitch=args.max_pitch,
                                          background="keep" if args.keep_background else "white"),
            style=args.style, first_seed=args.first_seed, seeds=generate.read_seeds(args.seeds) if args.seeds else None,
            labels=args.labels, truncation=args.truncation, min_confidence=args.min_confidence, test_share=args.test_share,
            workers=workers, threads=max(1, cores // workers),
            drawn=args.drawn == "yes",
            progress=lambda total, initial, iterable=None: tqdm(iterable, total=total, initial=initial, unit="face",
                                                                smoothing=0.05))
    except (sources.SourceError, journal.JournalError, models.ModelMissing, RuntimeProblem, WorkerDied, ValueError,
            OSError) as error:
        print(f"generate_faces: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the first face or behind the last; in between the run ends in good order
        print("interrupted; the same command goes on from here")
        return 130
    print(f"{args.out}: {summary.pairs} pairs ({summary.made} made now, {summary.drawn} with drawn sketches), "
          f"{len(summary.rejected)} seeds left out")
    for reason, number in Counter(r.split(":")[0] for r in summary.rejected.values()).most_common():
        print(f"  {number:6d}  {reason}")
    if summary.left:
        print(f"{summary.left} to go; the same command goes on from here" if not args.seeds else
              f"{summary.left} fewer than asked for: interrupted, or no seeds left")
        return 130
    print(f"look at it: python tools/prepare_data.py check {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
