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

import os
import sys
from collections import namedtuple
from pathlib import Path

from .. import cli
from ..errors import InputError, UserError

TYPE_CHECKING = False   # importing typing would cost every --help 4 ms, and drawings import numpy
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .. import drawings

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
    from ..kernels.selection import START_REFINEMENT, check_k
    from ..synthesizer import Synthesizer, refine_amounts

    refine = refine_amounts({"all": START_REFINEMENT, **parse_refine(options.refine)})
    check_k(options.k)
    passed_over = {}
    jobs = plan(options.sketch, options.output, passed_over)
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

    failed = synthesize_all(synthesizer, bar, options.shadow, sheets=options.sheet, as_is=options.as_is,
                            place=options.place, strict=options.strict, sketcher=sketcher, said=said,
                            gender=options.gender, refine=refine, k=options.k, anchor=options.anchor)
    for reason in failed.values():
        print(f"synthesize: {reason}", file=sys.stderr)
    done = len(jobs) - len(failed)
    print(f"{done} of {len(jobs)} faces written to {options.output}" if done else "no face was made")
    return 1 if failed else 0


#: what a sheet shows beside the drawing and its shadow: amounts of refinement, with the words under them
SHEET = ((0.0, "face, refine 0 (as drawn)"), (0.5, "refine 0.5"), (1.0, "refine 1 (plausible)"))
#: a sketch and where its face goes, two paths
Job = namedtuple("Job", "sketch face")


def find_sketches(sources: Iterable[str], output: str, passed_over: dict[Path, str] | None = None
                  ) -> list[tuple[Path, Path]]:
    """(file, its name below the output) for every picture: a file gives itself, a folder all pictures in it and below,
    by their content whatever their names end in, in alphabetical order, but for an ``output`` folder inside it, where
    an earlier run's faces are.  Files that do not exist are returned too, to be reported when their turn comes.  What
    else lies in a folder goes into ``passed_over`` with the reason."""
    from ..pictures import SUFFIXES, why_no_picture

    found = []
    for word in sources:
        source, own = Path(word), Path(output).resolve()
        if not word:
            raise InputError("a sketch without a name; name a picture or a folder")
        if not source.is_dir():
            found.append((source, Path(source.name)))
            continue
        for path in sorted(source.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
            if hidden or own != source.resolve() and own in path.resolve().parents or not path.is_file():
                continue
            # a damaged .png is named when its turn comes
            reason = "" if path.suffix.lower() in SUFFIXES else why_no_picture(path)
            if not reason:
                found.append((path, path.relative_to(source)))
            elif passed_over is not None:
                passed_over[path] = reason
    return found


def plan(sources: Iterable[str], output: str, passed_over: dict[Path, str] | None = None) -> list[Job]:
    """Where each sketch's face goes: ``output`` itself where it names a PNG and there is one sketch, else
    ``<output>/<name>.png``; two sketches of the same name get numbers.  ValueError where that cannot be."""
    from ..pictures import SUFFIXES

    found = find_sketches(sources, output, passed_over)
    ending, folder = Path(output).suffix.lower(), os.path.isdir(output)
    if ending in SUFFIXES and ending != ".png" and not folder:
        raise InputError(f"{output}: faces are written as PNG; name a .png or a folder")
    if ending == ".png" and not folder:
        if len(found) != 1:
            raise InputError(f"{output} is one file, but there are {len(found)} sketches; name a folder instead")
        return [Job(found[0][0], Path(output))]
    if os.path.exists(output) and not os.path.isdir(output):
        raise InputError(f"{output} is a file; name a folder, or a .png for a single sketch")
    jobs, taken = [], set()
    for sketch, name in found:
        face, number = Path(output) / name.with_suffix(".png"), 1
        while str(face).lower() in taken or _same_file(face, sketch):
            number += 1
            face = Path(output) / name.with_name(f"{name.stem}_{number}.png")
        taken.add(str(face).lower())
        jobs.append(Job(sketch, face))
    return jobs


def _same_file(face: Path, sketch: Path) -> bool:
    """A face must never overwrite the sketch it was made from."""
    return face.resolve() == sketch.resolve()


def synthesize_all(synthesizer, jobs: Iterable[Job], shadows: bool = False, *, sheets: bool = False,
                   as_is: bool = False, place: bool = False, strict: bool = False, sketcher: Callable | None = None,
                   said: Callable[[Path, drawings.Remark], None] | None = None, **settings) -> dict[Path, str]:
    """Make and write every job's face (and ``<name>_shadow.png``); ``settings`` go to ``Synthesizer.synthesize``.

    sheets         ``<name>_sheet.png`` too: the drawing, its shadow, and the face at refinements 0, 0.5 and 1, labelled
    as_is, place   how the drawings are read (drawings.read)
    sketcher       photographs are handed in: path to an aligned face's drawings.Reading (data.portrait); the sketch
                   is written too, as <name>_sketch.png
    strict         a drawing with a warning is not made
    said           is told what was done to each drawing, and what is wrong with it
    Returns {sketch: what went wrong} of those that could not be done.
    """
    from .. import drawings
    from ..pictures import PictureError, labelled, write_png

    failed = {}
    for job in jobs:
        try:
            reading = sketcher(job.sketch) if sketcher else drawings.read(job.sketch, as_is=as_is, place=place)
            for remark in (*reading.notes, *reading.warnings):
                if said is not None:
                    said(job.sketch, remark)
            if strict and reading.warnings:
                failed[job.sketch] = f"{job.sketch}: left out, as --strict asks: {reading.warnings[0]}"
                continue
            result = synthesizer.synthesize(reading, shadow=shadows or sheets, **settings)
            write_png(job.face, result.face, Software="jt_dfd")
            if shadows:
                write_png(job.face.with_name(job.face.stem + "_shadow.png"), result.shadow, Software="jt_dfd")
            if sheets:
                faces = [synthesizer.synthesize(reading, shadow=False, **{**settings, "refine": amount}).face
                         for amount, _ in SHEET]
                words = ("drawing", "shadow", *(text for _, text in SHEET))
                sheet = labelled(zip(words, (reading.page, result.shadow, *faces)))
                write_png(job.face.with_name(job.face.stem + "_sheet.png"), sheet, Software="jt_dfd")
            if sketcher:
                write_png(job.face.with_name(job.face.stem + "_sketch.png"), reading.page, Software="jt_dfd")
        except PictureError as error:
            failed[job.sketch] = str(error)
        except OSError as error:
            failed[job.sketch] = f"{job.face}: cannot be written ({error.strerror or error})"
    return failed


def parse_refine(words: Iterable[str]) -> dict[str, float]:
    """["0.5"] or ["all=1", "eye1=0.8"] -> {"all": 1.0, "eye1": 0.8}.  ValueError names the word that is wrong."""
    amounts = {}
    for word in words:
        name, equals, value = word.rpartition("=")
        try:
            amounts[name if equals else "all"] = float(value)
        except ValueError:
            raise InputError(f"--refine {word}: expected COMPONENT=NUMBER, e.g. all=1 eye1=0.8") from None
    return amounts
