"""Strokes as vectors, and their rendering.  Coordinates and widths are pixels of the 512 canvas."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import List, Tuple, Union

import numpy as np
from PyQt5.QtCore import QPointF, QRect, QRectF, Qt
from PyQt5.QtGui import QColor, QImage, QPainter, QPainterPath, QPen

CANVAS = 512
#: distance in pixels between the dots of which a stroke of changing width is made, as a part of its width
_STEP = 0.25

Point = Tuple[float, float, float]  # x, y, pressure 0..1


@dataclass
class Stroke:
    """One line.  width is the diameter at full pressure; erase paints white; mirror repeats it about the middle
    of the face; points are (x, y, pressure)."""

    width: float
    erase: bool = False
    mirror: bool = False
    points: List[Point] = field(default_factory=list)

    @property
    def steady(self) -> bool:
        """Is the width the same all along (a mouse, or a pen without pressure)?"""
        return all(p[2] == 1.0 for p in self.points)

    def bounds(self) -> QRectF:
        """The rectangle the stroke covers, its mirror image left out, canvas pixels."""
        xs, ys = [p[0] for p in self.points], [p[1] for p in self.points]
        m = self.width / 2 + 2
        return QRectF(QPointF(min(xs) - m, min(ys) - m), QPointF(max(xs) + m, max(ys) + m))


@dataclass
class Picture:
    """A whole page at once: pixels is (512, 512) uint8, white where nothing is drawn."""

    pixels: np.ndarray


Item = Union[Stroke, Picture]


def width_at(stroke_width: float, pressure: float) -> float:
    """Diameter for a pen pressure of 0..1: a light touch gives a third of the full width (ours)."""
    return stroke_width * (0.33 + 0.67 * min(max(pressure, 0.0), 1.0))


def centre_line(points: List[Point]) -> QPainterPath:
    """A smooth path through the middles between neighbouring points, the points themselves being the control
    points of quadratic curves: no corners, and no gaps however far apart a fast mouse reports them."""
    path = QPainterPath(QPointF(points[0][0], points[0][1]))
    if len(points) == 1:
        path.lineTo(points[0][0] + 0.01, points[0][1])  # a dot: round caps make it a disc
        return path
    if len(points) == 2:
        path.lineTo(points[1][0], points[1][1])
        return path
    for (x0, y0, _), (x1, y1, _) in zip(points[1:-1], points[2:]):
        path.quadTo(x0, y0, (x0 + x1) / 2, (y0 + y1) / 2)
    path.lineTo(points[-1][0], points[-1][1])
    return path


def _curve(points: List[Point]):
    """The centre line sampled densely: yields (x, y, pressure)."""
    if len(points) < 3:
        knots = [(points[0], points[0], points[-1])]
        knots[0] = (points[0], tuple((a + b) / 2 for a, b in zip(points[0], points[-1])), points[-1])
    else:
        middles = [points[0]] + [tuple((a + b) / 2 for a, b in zip(p, q))
                                 for p, q in zip(points[1:-1], points[2:])] + [points[-1]]
        knots = [(m0, c, m1) for m0, c, m1 in zip(middles, points[1:-1], middles[1:])]
        knots.append((middles[-2], tuple((a + b) / 2 for a, b in zip(middles[-2], points[-1])), points[-1]))
    yield points[0]
    for a, c, b in knots:
        length = math.hypot(c[0] - a[0], c[1] - a[1]) + math.hypot(b[0] - c[0], b[1] - c[1])
        steps = max(1, min(256, int(length)))
        for i in range(1, steps + 1):
            t = i / steps
            yield tuple((1 - t) ** 2 * p + 2 * t * (1 - t) * q + t * t * r for p, q, r in zip(a, c, b))


def outline(stroke: Stroke) -> QPainterPath:
    """The area of a stroke whose width follows the pressure.  It is filled once, so that its edge is smoothed once:
    overlapping antialiased pieces would darken each other's rims."""
    path = QPainterPath()
    path.setFillRule(Qt.WindingFill)
    last = None
    for x, y, pressure in _curve(stroke.points):
        r = width_at(stroke.width, pressure) / 2
        if last is None:
            path.addEllipse(QPointF(x, y), r, r)
            last = x, y, r
            continue
        dx, dy = x - last[0], y - last[1]
        d = math.hypot(dx, dy)
        if d < max(0.35, _STEP * r):
            continue
        nx, ny = -dy / d, dx / d
        # wound the same way round as Qt's ellipses, or overlaps would cancel
        path.moveTo(last[0] - nx * last[2], last[1] - ny * last[2])
        path.lineTo(x - nx * r, y - ny * r)
        path.lineTo(x + nx * r, y + ny * r)
        path.lineTo(last[0] + nx * last[2], last[1] + ny * last[2])
        path.closeSubpath()
        path.addEllipse(QPointF(x, y), r, r)
        last = x, y, r
    return path


def blank(scale: int = 1) -> QImage:
    image = QImage(CANVAS * scale, CANVAS * scale, QImage.Format_Grayscale8)
    image.fill(255)
    return image


def to_array(image: QImage) -> np.ndarray:
    """A Grayscale8 QImage as an (H, W) uint8 array of its own."""
    h, w, stride = image.height(), image.width(), image.bytesPerLine()
    pointer = image.constBits()
    pointer.setsize(h * stride)
    return np.frombuffer(pointer, np.uint8).reshape(h, stride)[:, :w].copy()


def to_image(array: np.ndarray) -> QImage:
    """(H, W) grey or (H, W, 3) RGB uint8 as a QImage that owns its pixels."""
    array = np.ascontiguousarray(array)
    h, w = array.shape[:2]
    if array.ndim == 2:
        return QImage(array.data, w, h, w, QImage.Format_Grayscale8).copy()
    return QImage(array.data, w, h, w * 3, QImage.Format_RGB888).copy()


def paint_stroke(painter: QPainter, stroke: Stroke) -> None:
    """Paint one stroke, and its mirror image, in canvas coordinates."""
    if not stroke.points:
        return
    colour = QColor(Qt.white if stroke.erase else Qt.black)
    painter.setRenderHint(QPainter.Antialiasing)
    steady = stroke.steady
    path = centre_line(stroke.points) if steady else outline(stroke)
    for flip in (False, True)[:2 if stroke.mirror else 1]:
        painter.save()
        if flip:
            painter.translate(CANVAS, 0)
            painter.scale(-1, 1)
        if steady:
            painter.strokePath(path, QPen(colour, stroke.width, Qt.SolidLine, Qt.RoundCap, Qt.RoundJoin))
        else:
            painter.fillPath(path, colour)
        painter.restore()


class Raster:
    """Pixels of a list of items, kept up to date as the list grows and shrinks at its end.

    scale: pixels for a canvas pixel.  Every ``every`` items the picture so far is remembered, so that undo repaints
    a few strokes and not all of them; at most ``keep`` such pictures are held.
    """

    def __init__(self, scale: int = 1, every: int = 16, keep: int = 8):
        self.scale, self.every, self.keep = scale, every, keep
        self.image = blank(scale)
        self._items: List[Item] = []
        self._marks: List[Tuple[int, QImage]] = []

    def show(self, items: List[Item]) -> None:
        """Make the picture that of ``items``."""
        same = 0
        for a, b in zip(self._items, items):
            if a is not b:
                break
            same += 1
        if same < len(self._items):  # something was taken back: start from the last picture before it
            self._marks = [m for m in self._marks if m[0] <= same]
            same, image = self._marks[-1] if self._marks else (0, blank(self.scale))
            self.image = image.copy()
        for n in range(same, len(items)):
            self._paint(items[n])
            if (n + 1) % self.every == 0:
                self._marks.append((n + 1, self.image.copy()))
                if len(self._marks) > self.keep:
                    # thin out the older half: long undos cost more, short ones stay quick
                    old = len(self._marks) // 2
                    self._marks = self._marks[:old][1::2] + self._marks[old:]
        self._items = list(items)

    def _paint(self, item: Item) -> None:
        if isinstance(item, Picture):
            if self.scale == 1:
                self.image = to_image(item.pixels)
                return
            painter = QPainter(self.image)
            painter.setRenderHint(QPainter.SmoothPixmapTransform)
            painter.drawImage(QRect(0, 0, self.image.width(), self.image.height()), to_image(item.pixels))
        else:
            painter = QPainter(self.image)
            painter.scale(self.scale, self.scale)
            paint_stroke(painter, item)
        painter.end()
