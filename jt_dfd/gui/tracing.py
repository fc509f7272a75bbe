"""Lines out of a soft grey drawing: thinned and followed, as strokes to go on from.  For the engine's process."""
from __future__ import annotations

from typing import List, Tuple

import cv2
import numpy as np

from ..data import strokes

#: a line is darker than what lies around it by this much, of 255, within a square of this edge (ours, by eye)
CONTRAST, AROUND = 28, 31
#: pixels: shorter lines are crumbs; between two points of a stroke; how far a line is smoothed
MIN_LENGTH, APART, SMOOTH = 12, 4, 1.0


def trace(sketch: np.ndarray) -> List[List[Tuple[float, float]]]:
    """(H, W) uint8, dark lines on light: polylines of (x, y) along their middles, longest first."""
    grey = sketch.astype(np.float32)
    ink = cv2.blur(grey, (AROUND, AROUND), borderType=cv2.BORDER_REPLICATE) - grey > CONTRAST
    ink[[0, 1, -2, -1], :] = ink[:, [0, 1, -2, -1]] = False  # the picture's own border is no line
    paths = strokes.trace(strokes.thin(ink), MIN_LENGTH)
    return [_spaced(strokes.smooth(path, SMOOTH)) for path in sorted(paths, key=len, reverse=True)]


def _spaced(line: np.ndarray) -> List[Tuple[float, float]]:
    keep = list(range(0, len(line) - 1, APART)) + [len(line) - 1]
    return [(round(float(x), 1), round(float(y), 1)) for x, y in line[keep]]
