"""Lines out of a soft grey drawing: thinned and followed, as strokes to go on from.  NumPy only, no widget."""
from __future__ import annotations

from typing import List, Tuple

import numpy as np

#: a line is darker than what lies around it by this much, of 255, within a square of this edge (ours, by eye)
CONTRAST, AROUND = 28, 31
#: pixels: shorter lines are crumbs; between two points of a stroke
LEAST, APART = 12, 4

_RING = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]  # clockwise from above


def trace(sketch: np.ndarray) -> List[List[Tuple[float, float]]]:
    """(H, W) uint8, dark lines on light: polylines of (x, y) along their middles, longest first."""
    lines = _follow(thin(_ink(sketch)))
    return [_smooth(line) for line in sorted(lines, key=len, reverse=True) if len(line) >= LEAST]


def _ink(sketch: np.ndarray) -> np.ndarray:
    grey = sketch.astype(np.float32)
    half = AROUND // 2
    sums = np.pad(grey, half, mode="edge").cumsum(0).cumsum(1)
    sums = np.pad(sums, ((1, 0), (1, 0)))
    mean = (sums[AROUND:, AROUND:] - sums[:-AROUND, AROUND:] - sums[AROUND:, :-AROUND] + sums[:-AROUND, :-AROUND])
    ink = mean / AROUND ** 2 - grey > CONTRAST
    ink[[0, 1, -2, -1], :] = ink[:, [0, 1, -2, -1]] = False  # the picture's own border is no line
    return ink


def thin(mask: np.ndarray) -> np.ndarray:
    """Lines of one pixel's width: Zhang and Suen 1984, with NumPy's arrays for their loops."""
    mask = mask.copy()
    while True:
        before = int(mask.sum())
        for step in (0, 1):
            padded = np.pad(mask, 1)
            h, w = mask.shape
            ring = [padded[1 + dy:1 + dy + h, 1 + dx:1 + dx + w] for dy, dx in _RING]
            count = sum(n.astype(np.int8) for n in ring)
            turns = sum((~a & b).astype(np.int8) for a, b in zip(ring, ring[1:] + ring[:1]))
            up, right, down, left = ring[0], ring[2], ring[4], ring[6]
            sides = ~(up & right & down) & ~(right & down & left) if step == 0 else \
                ~(up & right & left) & ~(up & down & left)
            mask &= ~(mask & (count >= 2) & (count <= 6) & (turns == 1) & sides)
        if int(mask.sum()) == before:
            return mask


def _follow(mask: np.ndarray) -> List[List[Tuple[int, int]]]:
    """Each pixel once, from the ends first; at a crossing straight on."""
    left = {(int(x), int(y)) for y, x in zip(*np.nonzero(mask))}

    def near(x, y):
        return [(x + dx, y + dy) for dy, dx in _RING if (x + dx, y + dy) in left]

    ends = sorted(p for p in left if len(near(*p)) == 1)
    lines = []
    for start in ends + sorted(left):
        if start not in left:
            continue
        left.discard(start)
        line, way = [start], (0, 0)
        while True:
            x, y = line[-1]
            choices = near(x, y)
            if not choices:
                break
            ahead = max(choices, key=lambda p: ((p[0] - x) * way[0] + (p[1] - y) * way[1], p))
            left.discard(ahead)
            line.append(ahead)
            back = line[max(0, len(line) - 6)]
            way = (ahead[0] - back[0], ahead[1] - back[1])
        lines.append(line)
    return lines


def _smooth(line) -> List[Tuple[float, float]]:
    p = np.asarray(line, np.float32)
    for _ in range(2):
        p[1:-1] = (p[:-2] + 2 * p[1:-1] + p[2:]) / 4
    keep = list(range(0, len(p) - 1, APART)) + [len(p) - 1]
    return [(round(float(x), 1), round(float(y), 1)) for x, y in p[keep]]
