"""Curves for the faces of a set, so that sketches of the style ``drawn`` can be made of them: ``drawn/NAME.json``.

They come from the faces as stored, after everything else is in place: the same pass serves a new set and one that was
made before there were any.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Dict, Optional

from ..pictures import read_picture, write_png
from . import models
from .journal import Journal
from .workers import Workers

#: what the curves are found with
NEEDED = ("face_short", "face_full", "mesh", "iris", "person")


def possible() -> bool:
    """Whether the networks that find the curves are installed."""
    try:
        import ai_edge_litert  # noqa: F401
    except ImportError:
        return False
    return not models.missing(*NEEDED)


class DrawingJob:
    """What a worker process runs: a face of the set in, its curves written; "" or why there are none.

    pictures: a drawing of them too, ``sketches/NAME.png``
    """

    def __init__(self, folder: str, pictures: bool = False):
        import cv2

        from .outlines import OutlineFinder

        cv2.setNumThreads(1)
        self.folder, self.pictures, self.finder = folder, pictures, OutlineFinder()

    def __call__(self, name: str, glasses: bool) -> str:
        from . import hand, outlines

        curves = self.finder(read_picture(os.path.join(self.folder, "faces", f"{name}.webp")), glasses)
        if curves is None:
            return "no face mesh found, so nothing drawn"
        path = os.path.join(self.folder, "drawn", f"{name}.json")
        outlines.write(path, curves)
        if self.pictures:
            picture = hand.draw(outlines.read(path), hand.generator(name))
            write_png(os.path.join(self.folder, "sketches", f"{name}.png"), picture)
        return ""


def _lacks(out: Path, entry: Dict) -> bool:
    """Whether a pair was not tried yet, or its curves are gone."""
    if "rejected" in entry:
        return False
    return "drawn" not in entry or bool(entry["drawn"]) and not (out / entry["drawn"]).is_file()


def lacking(out, journal: Journal) -> int:
    """How many pairs ``add_drawn`` would look at."""
    return sum(_lacks(Path(out), e) for e in journal.entries.values())


def add_drawn(out, journal: Journal, glasses: Callable[[Dict], bool], workers: int,
              progress: Optional[Callable] = None, alone: bool = False) -> int:
    """Find the curves of every pair of ``journal`` that was not tried yet or whose file is gone; how many were found.

    glasses     a journal's entry -> whether the person is labelled as wearing some
    progress    wraps an iterable and takes ``total``
    alone       the set has no other sketches: pictures are drawn too, and a face without curves is rejected
    Entries get ``drawn``: the path, or "" where no face mesh was found, which is noted.  KeyboardInterrupt leaves
    everything so far in place.
    """
    out = Path(out)
    todo = [e for e in journal.entries.values() if _lacks(out, e)]
    if not todo:
        return 0
    found = 0
    with Workers(max(1, min(workers, len(todo))), f"{__name__}:DrawingJob", str(out), alone) as pool:
        answers = zip(todo, pool.map((e["name"], glasses(e)) for e in todo))
        for entry, (_, why) in (progress(answers, total=len(todo)) if progress else answers):
            if isinstance(why, Exception):
                raise why
            if why and alone:
                journal.add(entry["key"], rejected=why)
                (out / "faces" / f"{entry['name']}.webp").unlink(missing_ok=True)
                continue
            notes = [n for n in entry.get("notes", []) if "nothing drawn" not in n] + ([why] if why else [])
            rest = {k: v for k, v in entry.items() if k not in ("key", "notes", "drawn")}
            journal.add(entry["key"], **rest, notes=notes, drawn="" if why else f"drawn/{entry['name']}.json")
            found += not why
    return found
