#!/usr/bin/env python3
"""A folder of weights for inference out of stage I, the banks and stage II.

    python tools/export_weights.py --embedding runs/embedding --synthesis runs/synthesis --out Params/mine
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedding", required=True, metavar="DIR", help="stage I's run folder, with banks")
    parser.add_argument("--synthesis", required=True, metavar="DIR", help="stage II's run folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="default: float16")
    parser.add_argument("--step", type=int, metavar="N", help="stage II's checkpoint to take (default: the one with the "
                        "best held-out figure; with a GAN the last may well look better)")
    parser.add_argument("--note", default="", help="a line for the provenance in config.json")
    args = parser.parse_args(argv)
    from jt_dfd import runtime

    runtime.start("cpu")
    from jt_dfd.checkpoints import CheckpointError
    from jt_dfd.training.export import ExportError, export

    try:
        size = export(args.embedding, args.synthesis, args.out, args.dtype, {"note": args.note} if args.note else None,
                      args.step)
    except (CheckpointError, ExportError, OSError) as error:
        print(f"export_weights.py: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
