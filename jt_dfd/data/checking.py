"""What is wrong with a training set: every pair read and measured; and contact sheets of it, to look at."""
from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

import cv2
import numpy as np

from .. import drawings
from ..components import PARTS, RELEASE_CANVAS, Geometry
from ..pictures import PictureError, read_picture, rgb, to_sketch, write_png
from . import hand, index, outlines
from .workers import Workers

#: what is said of a sketch by the code of its reading (drawings.UNFIT)
_UNFIT = {"empty": "empty sketch", "little": "empty sketch", "black": "too much ink", "ink": "too much ink",
          "photograph": "no drawing"}


@dataclass
class Result:
    """errors and warnings: (file, what); pairs, the counts of splits and genders, and how many have drawn sketches."""

    folder: str
    pairs: int
    splits: Dict[str, int]
    genders: Dict[str, int]
    drawn: int = 0
    errors: List[Tuple[str, str]] = field(default_factory=list)
    warnings: List[Tuple[str, str]] = field(default_factory=list)

    def text(self, most: int = 20) -> str:
        """The report as lines of text, the first ``most`` errors and warnings in full."""
        lines = [f"{self.folder}: {self.pairs} pairs",
                 "  split   " + ", ".join(f"{self.splits[s]} {s}" for s in index.SPLITS if self.splits.get(s)),
                 "  gender  " + ", ".join(f"{n} {g or 'blank'}" for g, n in sorted(self.genders.items(), reverse=True))]
        lines += [f"  drawn   {self.drawn}"] if self.drawn else []
        for title, found in (("error", self.errors), ("warning", self.warnings)):
            lines += [f"  {title}: {file}: {what}" for file, what in found[:most]]
            if len(found) > most:
                lines.append(f"  ... and {len(found) - most} more {title}s: "
                             + ", ".join(f"{n} {w}"
                                         for w, n in Counter(w.split(":")[0] for _, w in found).most_common()))
        lines.append("nothing wrong" if not self.errors else f"{len(self.errors)} errors")
        return "\n".join(lines)


def check(folder, workers: int = 1, progress: Optional[Callable] = None) -> Result:
    """Read every pair of ``folder``.  SetError where there is no index to go by."""
    rows = index.read(folder)
    result = Result(str(folder), len(rows), Counter(r.split for r in rows), Counter(r.gender for r in rows),
                    sum(bool(r.drawn) for r in rows))
    if not rows:
        result.errors.append((str(index.index_path(folder)), "no pairs in it"))
    for column in ("file", "sketch", "drawn"):
        for name, count in Counter(getattr(r, column) for r in rows).items():
            if name and count > 1:
                result.errors.append((name, f"named {count} times in the index"))
    for row in rows:
        if row.gender not in ("", *index.GENDERS):
            result.errors.append((row.file, f"unknown gender: {row.gender!r}, expected female, male or blank"))
        if row.landmarks is not None:
            _check_landmarks(row.file, row.landmarks, result)
    _check_twins(folder, rows, result)
    with Workers(max(1, workers), f"{__name__}:make") as pool:
        jobs = [(str(Path(folder) / r.file), str(Path(folder) / r.sketch),
                 str(Path(folder) / r.drawn) if r.drawn else "")
                for r in rows]
        answers = zip(rows, pool.map(jobs, ahead=16))
        for row, (_, found) in (progress(answers, total=len(rows)) if progress else answers):
            if isinstance(found, Exception):
                raise found
            for which, what in found:
                result.errors.append((getattr(row, which), what))
    return result


def _check_twins(folder, rows: List[index.Row], result: Result) -> None:
    sizes = [_size(folder, row) for row in rows]
    often, first = Counter(sizes), {}
    for row, size in zip(rows, sizes):
        if size and often[size] > 1:
            twin = first.setdefault(hashlib.sha256((Path(folder) / row.file).read_bytes()).digest(), row)
            if twin.file != row.file:
                both = "" if twin.split == row.split else ", which is trained on, or tested with, too"
                result.warnings.append((row.file, f"the same picture as {twin.file}{both}"))


def _size(folder, row: index.Row) -> int:
    path = Path(folder) / row.file
    return path.stat().st_size if path.is_file() and os.access(path, os.R_OK) else 0


def _check_landmarks(file: str, landmarks: index.Landmarks, result: Result) -> None:
    geometry = Geometry()
    homes = {"left_eye": "eye1", "right_eye": "eye2", "nose": "nose", "mouth_left": "mouth", "mouth_right": "mouth"}
    away = [point for point, part in homes.items() if not geometry.window(part).contains(*landmarks[point])]
    if landmarks["left_eye"][0] >= landmarks["right_eye"][0]:
        result.errors.append((file, "landmarks: left and right eye mixed up"))
    elif away:
        result.warnings.append((file, f"landmarks outside their windows: {', '.join(away)}"))


def make():
    """For the worker processes."""
    return check_pair


def check_pair(face_path: str, sketch_path: str, drawn_path: str = "") -> List[Tuple[str, str]]:
    """[("file", "sketch" or "drawn", what is wrong)] of one pair."""
    found = []
    if drawn_path:
        try:
            if not outlines.read(drawn_path):
                found.append(("drawn", "no curves in it"))
        except PictureError as error:
            found.append(("drawn", f"unreadable: {str(error).split(': ', 1)[-1]}"))
    for which, path, shape in (("file", face_path, (RELEASE_CANVAS, RELEASE_CANVAS, 3)),
                               ("sketch", sketch_path, (RELEASE_CANVAS, RELEASE_CANVAS))):
        if not Path(path).is_file():
            found.append((which, "missing"))
            continue
        try:
            picture = read_picture(path)
        except PictureError as error:
            found.append((which, f"unreadable: {str(error).split(': ', 1)[-1]}"))
            continue
        if picture.shape[:2] != shape[:2]:
            found.append((which, f"wrong size: {picture.shape[1]}x{picture.shape[0]}, expected {shape[1]}x{shape[0]}"))
            continue
        if which == "sketch":
            warnings = [*drawings.judge(to_sketch(picture)), *drawings.read(picture).warnings]
            wrong = [w for w in warnings if w.code in _UNFIT]
            if wrong:
                found.append((which, f"{_UNFIT[wrong[0].code]}: {wrong[0]}"))
        elif picture.std() < 4:
            found.append((which, "blank photograph"))
    return found


#: colour (RGB) of each window on a contact sheet
COLOURS = {"eye1": (220, 40, 40), "eye2": (40, 90, 230), "nose": (20, 150, 60), "mouth": (200, 120, 0)}
LEGEND = "eye1 red, eye2 blue, nose green, mouth orange; dots are the landmarks"
_EDGE, _CAPTION, _GAP = 256, 18, 6


def pair_tile(folder, row: index.Row) -> np.ndarray:
    """Photograph, sketch and, where there are curves, a drawing of them, of one row, windows drawn, with a caption:
    (274, 512 or 768, 3) uint8 RGB.  What cannot be read is grey with a cross."""
    halves = []
    for which in ("file", "sketch", "drawn") if row.drawn else ("file", "sketch"):
        path = Path(folder) / getattr(row, which)
        try:
            picture = (read_picture(path) if which == "file" else to_sketch(path) if which == "sketch" else
                       hand.draw(outlines.read(path), hand.generator(path.stem)))
            half = cv2.resize(rgb(picture), (_EDGE, _EDGE), interpolation=cv2.INTER_AREA)
        except PictureError:
            half = np.full((_EDGE, _EDGE, 3), 200, np.uint8)
            cv2.line(half, (0, 0), (_EDGE, _EDGE), (120, 0, 0), 2)
            cv2.line(half, (0, _EDGE), (_EDGE, 0), (120, 0, 0), 2)
        geometry = Geometry(_EDGE)
        for part in PARTS:
            w = geometry.window(part)
            cv2.rectangle(half, (w.x, w.y), (w.x + w.size - 1, w.y + w.size - 1), COLOURS[part], 1)
        for x, y in (row.landmarks or {}).values():
            cv2.circle(half, (int(round(x / 2)), int(round(y / 2))), 2, (255, 0, 200), -1)
        halves.append(half)
    tile = np.full((_EDGE + _CAPTION, len(halves) * _EDGE, 3), 255, np.uint8)
    tile[:_EDGE] = np.hstack(halves)
    caption = "  ".join(filter(None, [row.name, row.gender or "gender blank", row.split]))
    cv2.putText(tile, caption.encode("ascii", "replace").decode(), (3, _EDGE + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42,
                (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def write_sheet(folder, path, pairs: int = 24, columns: int = 3) -> int:
    """Draw ``pairs`` pairs, spread evenly over the index, into a PNG; returns how many."""
    rows = index.read(folder)
    if not rows:
        raise index.SetError(f"{index.index_path(folder)}: no pairs to draw")
    chosen = [rows[i] for i in sorted({int(i) for i in np.linspace(0, len(rows) - 1, min(pairs, len(rows)))})]
    tiles = [pair_tile(folder, row) for row in chosen]
    columns = min(columns, len(tiles))
    height, width = tiles[0].shape[0], max(tile.shape[1] for tile in tiles)
    lines = -(-len(tiles) // columns)
    picture = np.full((lines * (height + _GAP), columns * (width + _GAP), 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * (height + _GAP), i % columns * (width + _GAP)
        picture[y:y + height, x:x + tile.shape[1]] = tile
    write_png(path, picture)
    return len(tiles)
