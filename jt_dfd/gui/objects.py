"""Strokes as objects: what is seen of each, which one is under the hand, which lie in a lasso.  No widget.

An eraser's stroke is no object.  What it took from a line is cut out of it when the line is taken hold of, so that a
line goes with its gaps and leaves nothing behind; what it took from one side of a broad line comes back.  The two
halves of a mirrored stroke are objects of their own.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from PyQt5.QtCore import QPointF, QRectF
from PyQt5.QtGui import QTransform

from .strokes import CANVAS, Item, Picture, Stroke, blank, paint_stroke, piece_count, pieces, to_array


@dataclass(eq=False)
class Part:
    """What is seen of ``origin``, an item of the drawing, as a stroke of its own: itself, where nothing was erased and
    it is not mirrored."""

    origin: Stroke
    stroke: Stroke


def parts(items: Sequence[Any]) -> List[Part]:
    """What can be taken hold of, from the lowest to the topmost; what lies under a picture cannot."""
    below = max((n for n, item in enumerate(items) if isinstance(item, Picture)), default=-1)
    rubbed: Optional[np.ndarray] = None  # where something was erased later
    out: List[Part] = []
    for item in reversed(items[below + 1:]):
        if item.erase:
            page = blank()
            paint_stroke(page, replace(item, erase=False, opacity=1.0), 1)
            ink = to_array(page) < 128
            rubbed = ink if rubbed is None else rubbed | ink
        else:
            out += [Part(item, piece) for half in _halves(item) for piece in _without(half, rubbed)][::-1]
    return out[::-1]


def _halves(stroke: Stroke) -> List[Stroke]:
    if not stroke.mirror:
        return [stroke]
    return [replace(stroke, mirror=False, points=points)
            for points in (stroke.points, [(CANVAS - x, y, p) for x, y, p in stroke.points])]


def _samples(stroke: Stroke) -> np.ndarray:
    """(N, 3) x, y, pressure along the stroke's middle, about a pixel apart."""
    out = [np.asarray(stroke.points[:1], float)]
    for a, c, b in (np.asarray(piece, float) for piece in pieces(stroke.points, 0, piece_count(stroke.points))):
        length = np.hypot(*(c - a)[:2]) + np.hypot(*(b - c)[:2])
        t = np.linspace(0, 1, 1 + min(2000, max(1, round(length))))[1:, None]
        out.append((1 - t) ** 2 * a + 2 * t * (1 - t) * c + t * t * b)
    line = np.concatenate(out)
    if stroke.steady:
        line[:, 2] = 1.0  # not nearly 1, which would be a pen's
    return line


def _without(stroke: Stroke, rubbed: Optional[np.ndarray]) -> List[Stroke]:
    """The pieces of a stroke outside of what was erased, (512, 512) bool; the stroke itself where nothing of it was."""
    if rubbed is None:
        return [stroke]
    line = _samples(stroke)
    x, y = np.round(line[:, :2] - 0.5).astype(int).T
    on_page = (x >= 0) & (y >= 0) & (x < CANVAS) & (y < CANVAS)
    left = ~(on_page & rubbed[np.clip(y, 0, CANVAS - 1), np.clip(x, 0, CANVAS - 1)])
    if left.all():
        return [stroke]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], left, [False]]).astype(np.int8)))
    cap = round(stroke.width / 2)  # a cut end is round and reaches as far as the line did
    out = []
    for first, stop in zip(edges[::2], edges[1::2]):
        first, stop = first + cap * bool(first > 0), stop - cap * bool(stop < len(line))
        if stop - first > 1:
            kept = line[sorted({*range(first, stop, 2), stop - 1})]
            out.append(replace(stroke, points=[(round(x, 2), round(y, 2), round(p, 4)) for x, y, p in kept.tolist()]))
    return out


def under(found: List[Part], at: QPointF, reach: float) -> Optional[Part]:
    """The topmost part within ``reach`` canvas pixels of a point."""
    for part in reversed(found):
        near = part.stroke.bounds().adjusted(-reach, -reach, reach, reach)
        if near.contains(at):
            line = _samples(part.stroke)
            if np.hypot(line[:, 0] - at.x(), line[:, 1] - at.y()).min() <= reach + part.stroke.width / 2:
                return part
    return None


def inside(found: List[Part], lasso: Sequence[Tuple[float, float]]) -> List[Part]:
    """The parts of which at least half lies within a closed line."""
    polygon = np.asarray(lasso, float)
    return [part for part in found if len(polygon) > 2 and _within(_samples(part.stroke)[::3], polygon).mean() >= 0.5]


def _within(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    x, y = points[:, :1], points[:, 1:2]
    (ax, ay), (bx, by) = polygon.T, np.roll(polygon, -1, 0).T
    steep = np.where(by == ay, 1.0, by - ay)
    return (((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / steep)).sum(1) % 2 == 1


def bounds(chosen: Sequence[Part]) -> QRectF:
    box = QRectF()
    for part in chosen:
        box = box.united(part.stroke.bounds())
    return box


def without(items: Sequence[Item], found: List[Part], chosen: Sequence[Part]) -> List[Item]:
    """The drawing without the chosen parts; what else is left of the strokes they came from stays in its place."""
    gone, touched = {id(part) for part in chosen}, {id(part.origin) for part in chosen}
    out: List[Item] = []
    for item in items:
        if id(item) in touched:
            out += [part.stroke for part in found if part.origin is item and id(part) not in gone]
        else:
            out.append(item)
    return out


def transformed(stroke: Stroke, by: QTransform) -> Stroke:
    """The stroke at its new place; its width grows and shrinks with it."""
    moved = [(*by.map(float(x), float(y)), p) for x, y, p in stroke.points]
    width = round(stroke.width * abs(by.determinant()) ** 0.5, 2)
    return replace(stroke, width=min(max(width, 0.5), float(CANVAS)),
                   points=[(round(x, 2), round(y, 2), p) for x, y, p in moved])
