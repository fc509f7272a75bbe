"""Several sets as one."""
from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import List

from ..atomic import replacing_folder
from . import index


def join(sets: List[str], out) -> int:
    """Make the set ``out`` of the pairs of ``sets``, splits and genders too; returns how many.  Files are linked where
    the disk is the same, else copied; a name that two sets have gets the second one's number.  SetError where they do
    not go together or ``out`` is there; then nothing is written."""
    if Path(out).exists():
        raise index.SetError(f"{out}: is there already; name a new folder")
    style = index.sketch_style(os.pathsep.join(sets))
    rows: List[index.Row] = []
    taken = set()
    with replacing_folder(out) as staging:
        for number, folder in enumerate(map(Path, sets), 1):
            for row in index.read(folder):
                name = row.name if row.name not in taken else f"{number}_{row.name}"
                while name in taken:
                    name = f"{number}_{name}"
                taken.add(name)
                placed = {}
                for column in ("file", "sketch", "drawn"):
                    there = getattr(row, column)
                    if there:
                        placed[column] = f"{Path(there).parent.name or column}/{name}{Path(there).suffix}"
                        _link(folder / there, staging / placed[column])
                rows.append(replace(row, **placed))
        (staging / "settings.json").write_text(json.dumps({"made by": "join", "sketch": style}) + "\n",
                                               encoding="utf-8")
        index.write(staging, rows)
    return len(rows)


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    try:
        os.link(source, place)
    except FileNotFoundError:
        raise index.SetError(f"{source}: in the index, but no such file") from None
    except OSError:   # another disk
        shutil.copyfile(source, place)
