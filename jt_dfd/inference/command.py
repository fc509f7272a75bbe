"""Sketches to faces.

    tools/synthesize.py sketch.png                          faces/sketch.png
    tools/synthesize.py sketch.png -o face.png
    tools/synthesize.py drawings/ more/a.webp -o faces --gender male --refine all=1 eye1=0.5
    tools/synthesize.py portrait.jpg --from-photo

A sketch is a drawn face, at any size, in any common picture format: black lines on white, or a scan or photograph of a
drawing on any paper or board; what was corrected is told. Exit status: 0 all done, 1 some sketches failed (the others
are written), 2 nothing could start.
"""
from __future__ import annotations

import sys
from pathlib import Path

from .. import cli

#: files of a folder that are no pictures and are named one by one (ours)
_MAX_PASSED_OVER = 20
_DEMO = Path(__file__).resolve().parents[2] / "Params" / "demo"


def _parse(arguments):
    parser = cli.parser(__doc__)
    parser.add_argument("sketch", nargs="+", metavar="SKETCH", help="picture files, or folders of them")
    parser.add_argument("--params", default=None, metavar="P", help="folder of weights (default: this repository's "
                        "Params/demo); one with the authors' AE_whole/ and Combine/ works too")
    parser.add_argument("--gender", default="female", choices=["female", "male"], help="bank to project on")
    parser.add_argument("--refine", nargs="+", default=[], metavar="C=W", help="0 follows the drawing, 1 makes "
                        "it plausible, as the release's program starts; components eye1 (at the left) eye2 nose mouth "
                        "rest, or all (default: all=0.5)")
    parser.add_argument("--k", type=int, default=15, help="neighbours projected on (default: 15, the release's)")
    parser.add_argument("--anchor", default="nearest", choices=["nearest", "release"],
                        help="release: pick the anchor as the authors' program does")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="single", choices=["single", "half"],
                        help="half: feature decoders and generator in float16, on a GPU only (default: single)")
    parser.add_argument("--shadow", action="store_true", help="write the shadow guidance too, as NAME_shadow.png")
    parser.add_argument("--sheet", action="store_true", help="write a labelled sheet too, as NAME_sheet.png: drawing, "
                        "shadow, and the face at refinements 0, 0.5 and 1")
    reading = parser.add_argument_group("how drawings are read")
    reading.add_argument("--as-is", action="store_true", help="correct nothing: the red channel, squeezed to a square, "
                         "as the authors' program reads it")
    reading.add_argument("--place", action="store_true", help="move and scale the drawn face to where a face belongs")
    reading.add_argument("--strict", action="store_true", help="leave out drawings with a warning (an empty page, a "
                         "photograph...), with exit status 1")
    reading.add_argument("--from-photo", nargs="?", const="lines", choices=["lines", "photocopy", "drawn"],
                         metavar="STYLE",
                         help="the pictures are photographs of faces: find the face, sketch it as lines (default), "
                         "photocopy or drawn (few clean strokes), write the sketch too, as NAME_sketch.png (needs the "
                         "extra data)")
    parser.add_argument("-o", "--output", default="faces", metavar="OUT", help="folder, or a .png for a single sketch "
                        "(default: faces)")
    return parser.parse_args(arguments)


def main(arguments=None) -> int:
    """Exit status 0 where every face was made, 1 where some were not."""
    options = _parse(arguments)
    with cli.when_stopped("stopped; the faces finished so far are written"):
        return _synthesize(options)


def _synthesize(options) -> int:
    from ..drawings.words import HINTS
    from ..errors import UserError
    from ..kernels.selection import START_REFINEMENT, check_k
    from ..synthesizer import Synthesizer, refine_amounts
    from . import batch

    refine = refine_amounts({"all": START_REFINEMENT, **batch.parse_refine(options.refine)})
    check_k(options.k)
    passed_over = {}
    jobs = batch.plan(options.sketch, options.output, passed_over)
    for path, reason in list(passed_over.items())[:_MAX_PASSED_OVER]:
        print(f"synthesize: {path}: passed over: {reason}", file=sys.stderr)
    if len(passed_over) > _MAX_PASSED_OVER:
        print(f"synthesize: ... and {len(passed_over) - _MAX_PASSED_OVER} more files passed over", file=sys.stderr)
    if not jobs:
        raise UserError("no pictures found in " + ", ".join(options.sketch))
    sketcher = None
    if options.from_photo:
        from ..data.portrait import PhotographSketcher

        sketcher = PhotographSketcher(options.from_photo)
    synthesizer = Synthesizer(options.params or _DEMO, options.device, options.precision)
    synthesizer.check_gender(options.gender)

    from tqdm import tqdm

    bar = tqdm(jobs, unit="face", disable=None if len(jobs) > 1 else True)

    def said(path, remark):
        kind = "warning: " if remark.is_warning else ""
        hint = f"; {HINTS[remark.code]}" if remark.code in HINTS else ""
        bar.write(f"synthesize: {path}: {kind}{remark}{hint}", file=sys.stderr)

    failed = batch.synthesize_all(synthesizer, bar, options.shadow, sheets=options.sheet, as_is=options.as_is,
                                  place=options.place, strict=options.strict, sketcher=sketcher, said=said,
                                  gender=options.gender, refine=refine, k=options.k, anchor=options.anchor)
    for reason in failed.values():
        print(f"synthesize: {reason}", file=sys.stderr)
    done = len(jobs) - len(failed)
    print(f"{done} of {len(jobs)} faces written to {options.output}" if done else "no face was made")
    return 1 if failed else 0
