"""Many sketches at once: files and folders in, PNGs out; one bad file does not stop the rest."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from .. import drawings
from ..errors import InputError
from ..pictures import SUFFIXES, PictureError, labelled, why_no_picture, write_png

#: what a sheet shows beside the drawing and its shadow: amounts of refinement, with the words under them
SHEET = ((0.0, "face, refine 0 (as drawn)"), (0.5, "refine 0.5"), (1.0, "refine 1 (plausible)"))


class Job(NamedTuple):
    sketch: Path
    face: Path


def find_sketches(sources: Iterable[str], output: str, passed_over: Optional[Dict[Path, str]] = None
                  ) -> List[Tuple[Path, Path]]:
    """(file, its name below the output) for every picture: a file gives itself, a folder all pictures in it and below,
    by their content whatever their names end in, in alphabetical order, but for an ``output`` folder inside it, where
    an earlier run's faces are.  Files that do not exist are returned too, to be reported when their turn comes.  What
    else lies in a folder goes into ``passed_over`` with the reason."""
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


def plan(sources: Iterable[str], output: str, passed_over: Optional[Dict[Path, str]] = None) -> List[Job]:
    """Where each sketch's face goes: ``output`` itself where it names a PNG and there is one sketch, else
    ``<output>/<name>.png``; two sketches of the same name get numbers.  ValueError where that cannot be."""
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
                   as_is: bool = False, place: bool = False, strict: bool = False, sketcher: Optional[Callable] = None,
                   said: Optional[Callable[[Path, drawings.Remark], None]] = None, **settings) -> Dict[Path, str]:
    """Make and write every job's face (and ``<name>_shadow.png``); ``settings`` go to ``Synthesizer.synthesize``.

    sheets         ``<name>_sheet.png`` too: the drawing, its shadow, and the face at refinements 0, 0.5 and 1, labelled
    as_is, place   how the drawings are read (drawings.read)
    sketcher       photographs are handed in: path to an aligned face's drawings.Reading (data.from_photo); the sketch
                   is written too, as <name>_sketch.png
    strict         a drawing with a warning is not made
    said           is told what was done to each drawing, and what is wrong with it
    Returns {sketch: what went wrong} of those that could not be done.
    """
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


def parse_refine(words: Iterable[str]) -> Dict[str, float]:
    """["0.5"] or ["all=1", "eye1=0.8"] -> {"all": 1.0, "eye1": 0.8}.  ValueError names the word that is wrong."""
    amounts = {}
    for word in words:
        name, equals, value = word.rpartition("=")
        try:
            amounts[name if equals else "all"] = float(value)
        except ValueError:
            raise InputError(f"--refine {word}: expected COMPONENT=NUMBER, e.g. all=1 eye1=0.8") from None
    return amounts
