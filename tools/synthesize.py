#!/usr/bin/env python3
"""Sketches to faces.

    tools/synthesize.py sketch.png                          faces/sketch.png
    tools/synthesize.py sketch.png -o face.png
    tools/synthesize.py drawings/ more/a.webp -o faces --gender male --refine all=1 eye1=0.5

A sketch is a face in black lines on white, at any size, in any common picture format. Exit status: 0 all done,
1 some sketches failed (the others are written), 2 nothing could start.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sketch", nargs="+", metavar="SKETCH", help="picture files, or folders of them")
    parser.add_argument("--params", default=None, metavar="P", help="folder of weights (default: this repository's "
                        "Params/demo); one with the authors' AE_whole/ and Combine/ works too")
    parser.add_argument("--gender", default="female", choices=["female", "male"], help="bank to project on")
    parser.add_argument("--refine", nargs="+", default=["all=1"], metavar="C=W", help="0 follows the drawing, 1 makes it "
                        "plausible; components eye1 (at the left) eye2 nose mouth rest, or all (default: all=1)")
    parser.add_argument("--k", type=int, default=15, help="neighbours projected on (default: 15, the release's)")
    parser.add_argument("--anchor", default="nearest", choices=["nearest", "release"],
                        help="release: pick the anchor as the authors' program does")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="single", choices=["single", "half"],
                        help="half: feature decoders and generator in float16, on a GPU only (default: single)")
    parser.add_argument("--shadow", action="store_true", help="write the shadow guidance too, as NAME_shadow.png")
    parser.add_argument("-o", "--output", default="faces", metavar="OUT", help="folder, or a .png for a single sketch "
                        "(default: faces)")
    return parser.parse_args(argv)


def main(argv=None):
    options = parse(argv)
    from jt_dfd import batch
    from jt_dfd.checkpoints import CheckpointError
    from jt_dfd.runtime import RuntimeProblem
    from jt_dfd.selection import check_k
    from jt_dfd.synthesizer import Synthesizer, refine_amounts

    try:
        refine = refine_amounts(batch.parse_refine(options.refine))
        check_k(options.k)
        jobs = batch.plan(options.sketch, options.output)
        if not jobs:
            raise ValueError("no pictures found in " + ", ".join(options.sketch))
        params = options.params or Path(__file__).resolve().parent.parent / "Params" / "demo"
        synthesizer = Synthesizer(params, options.device, options.precision)
        synthesizer.check_gender(options.gender)
    except (CheckpointError, RuntimeProblem, ValueError) as error:
        print(f"synthesize: {error}", file=sys.stderr)
        return 2

    from tqdm import tqdm

    bar = tqdm(jobs, unit="face", disable=None if len(jobs) > 1 else True)
    failed = batch.synthesize_all(synthesizer, bar, options.shadow, gender=options.gender, refine=refine, k=options.k,
                                  anchor=options.anchor)
    for reason in failed.values():
        print(f"synthesize: {reason}", file=sys.stderr)
    done = len(jobs) - len(failed)
    print(f"{done} of {len(jobs)} faces written to {options.output}" if done else "no face was made")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nsynthesize: stopped; the faces finished so far are written", file=sys.stderr)
        sys.exit(130)
