"""Contact sheets: pairs side by side with the component windows and landmarks drawn, to look at."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..components import PARTS, Geometry
from ..pictures import PictureError, read_picture, to_sketch, write_png
from . import hand, index, outlines

#: colour (RGB) of each window
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
            if picture.ndim == 2:
                picture = np.repeat(picture[:, :, None], 3, 2)
            half = cv2.resize(picture, (_EDGE, _EDGE), interpolation=cv2.INTER_AREA)
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
