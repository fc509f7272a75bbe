#!/usr/bin/env python3
"""Encode the training sketches into the feature banks that inference projects on.

    python tools/build_bank.py --params runs/embedding --data SET

Banks by gender where the index names it, else one shared bank; raw rows as the authors' release keeps them, and
AE_whole/rows.json, which says which training picture each row is.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", required=True, metavar="DIR", help="stage I's run folder, or a folder of weights")
    parser.add_argument("--data", required=True, metavar="SET", help="folder with index.csv")
    parser.add_argument("--split", default="train", choices=["train", "test"], help="default: train")
    parser.add_argument("--shared", action="store_true", help="one bank for everybody")
    parser.add_argument("--mirrored", action="store_true", help="a second row for each sketch, flipped left to right")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N pictures a bank (default: all)")
    parser.add_argument("--styles", default="all", metavar="NAMES", help="sketches that get rows, separated by commas: lines, "
                        "photocopy, own, drawn; a row a style (default: all that the set has)")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="sketches at a time (default: 16)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16"], help="default: float32")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: auto")
    args = parser.parse_args(argv)
    from jt_dfd import runtime

    runtime.start(args.device)
    from jt_dfd.checkpoints import CheckpointError
    from jt_dfd.data.index import SetError, parse_styles
    from jt_dfd.pictures import PictureError
    from jt_dfd.training.bank import BankError, build_banks

    try:
        rows = build_banks(args.params, args.data, split=args.split, mirrored=args.mirrored, limit=args.limit,
                           batch=args.batch, by_gender=not args.shared, dtype=args.dtype,
                           styles=parse_styles(args.styles))
    except (BankError, CheckpointError, PictureError, SetError, OSError) as error:
        print(f"build_bank.py: {error}", file=sys.stderr)
        return 1
    for gender, count in rows.items():
        print(f"{gender}: {count} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
