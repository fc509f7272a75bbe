"""Strokes as vectors, and their rendering.  Coordinates and widths are pixels of the 512 canvas."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import List, Tuple, Union

import numpy as np
from PyQt5.QtCore import QPointF, QRect, QRectF, Qt
from PyQt5.QtGui import QColor, QImage, QPainter, QPainterPath, QPainterPathStroker, QPen, QPolygonF

CANVAS = 512
#: distance in pixels between the discs of which a stroke of changing width is made
_STEP = 2.0
#: pieces of a stroke that are painted at once
PART = 24

Point = Tuple[float, float, float]  # x, y, pressure 0..1
Piece = Tuple[Point, Point, Point]  # a quadratic curve: from, control, to


@dataclass
class Stroke:
    """One line.  width is the diameter at full pressure; erase paints white; mirror repeats it about the middle
    of the face; points are (x, y, pressure); opacity is that of the ink, 0..1: lines that cross get no darker."""

    width: float
    erase: bool = False
    mirror: bool = False
    points: List[Point] = field(default_factory=list)
    opacity: float = 1.0

    @property
    def colour(self) -> QColor:
        return QColor(Qt.white) if self.erase else QColor(*[round(255 * (1 - self.opacity))] * 3)

    @property
    def steady(self) -> bool:
        """Is the width the same all along?  A mouse presses with exactly 1, a pen never does."""
        return self.points[0][2] == 1.0

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


def pieces(points: List[Point], first: int, stop: int) -> List[Piece]:
    """The stroke's centre line from its piece ``first`` to before ``stop``, as quadratic curves (from, control, to).

    The curves run through the middles between neighbouring points, the points themselves being the controls: no
    corners, and no gaps however far apart a fast mouse reports them.  Piece n - 2, the last, is a straight line to the
    last point; the others no longer change when points are added.
    """
    last = len(points) - 1
    if last < 2:
        a, b = points[0], points[-1]
        return [(a, _middle(a, b), b)] if first == 0 < stop else []
    out = []
    for i in range(first, min(stop, last)):
        start = points[0] if i == 0 else _middle(points[i], points[i + 1])
        if i == last - 1:
            out.append((start, _middle(start, points[last]), points[last]))
        else:
            out.append((start, points[i + 1], _middle(points[i + 1], points[i + 2])))
    return out


def piece_count(points: List[Point]) -> int:
    return max(1, len(points) - 1)


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2


def _line(some: List[Piece]) -> QPainterPath:
    path = QPainterPath(QPointF(*some[0][0][:2]))
    for _, c, b in some:
        path.quadTo(c[0], c[1], b[0], b[1])
    if path.length() < 0.01:  # a dot: round caps make it a disc
        path.lineTo(some[0][0][0] + 0.01, some[0][0][1])
    return path


def _area(some: List[Piece], width: float) -> QPainterPath:
    """What a line covers whose width follows the pressure: discs and what lies between each and the next, filled as
    one, so that its edge is smoothed once."""
    path = QPainterPath()
    path.setFillRule(Qt.WindingFill)
    x0, y0, p0 = some[0][0]
    r0 = width_at(width, p0) / 2
    path.addEllipse(QPointF(x0, y0), r0, r0)
    for a, c, b in some:
        length = math.hypot(c[0] - a[0], c[1] - a[1]) + math.hypot(b[0] - c[0], b[1] - c[1])
        steps = max(1, min(64, round(length / _STEP)))
        for i in range(1, steps + 1):
            t = i / steps
            x, y, p = ((1 - t) ** 2 * u + 2 * t * (1 - t) * v + t * t * w for u, v, w in zip(a, c, b))
            d, r = math.hypot(x - x0, y - y0), width_at(width, p) / 2
            if d < 0.2:
                continue
            nx, ny = -(y - y0) / d, (x - x0) / d
            # wound the same way round as Qt's ellipses, or overlaps would cancel
            path.addPolygon(QPolygonF([QPointF(x0 - nx * r0, y0 - ny * r0), QPointF(x - nx * r, y - ny * r),
                                       QPointF(x + nx * r, y + ny * r), QPointF(x0 + nx * r0, y0 + ny * r0)]))
            path.closeSubpath()
            path.addEllipse(QPointF(x, y), r, r)
            x0, y0, r0 = x, y, r
    return path


def outlines(stroke: Stroke) -> List[QPainterPath]:
    """What the stroke covers, its mirror image left out, in parts to be filled: for hands that move it about."""
    out = []
    for first in range(0, piece_count(stroke.points), PART):
        some = pieces(stroke.points, first, first + PART)
        if stroke.steady:
            pen = QPainterPathStroker()
            pen.setWidth(stroke.width)
            pen.setCapStyle(Qt.RoundCap)
            pen.setJoinStyle(Qt.RoundJoin)
        out.append(pen.createStroke(_line(some)) if stroke.steady else _area(some, stroke.width))
    return out


def paint_pieces(image: QImage, stroke: Stroke, some: List[Piece], scale: int,
                 corner: Tuple[int, int] = (0, 0)) -> None:
    """Paint a part of a stroke, and its mirror image, onto a Grayscale8 image.

    corner: where the image lies on the page, in the page's pixels.  Ink darkens and the eraser lightens what is there;
    so parts of a stroke may overlap without their smoothed edges adding up.
    """
    if not some:
        return
    xs, ys = [q[0] for piece in some for q in piece], [q[1] for piece in some for q in piece]
    m = stroke.width / 2 + 1.5
    path, pen = None, QPen()
    for flip in (False, True)[:2 if stroke.mirror else 1]:
        left, right = (CANVAS - max(xs), CANVAS - min(xs)) if flip else (min(xs), max(xs))
        box = QRectF(QPointF(left - m, min(ys) - m) * scale, QPointF(right + m, max(ys) + m) * scale).toAlignedRect()
        box = box.intersected(QRect(corner[0], corner[1], image.width(), image.height()))
        if box.isEmpty():
            continue
        if path is None:
            path = _line(some) if stroke.steady else _area(some, stroke.width)
            pen = QPen(stroke.colour, stroke.width, Qt.SolidLine, Qt.RoundCap, Qt.RoundJoin)
        part = QImage(box.size(), QImage.Format_Grayscale8)
        part.fill(0 if stroke.erase else 255)
        painter = QPainter(part)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.translate(-box.x(), -box.y())
        painter.scale(scale, scale)
        if flip:
            painter.translate(CANVAS, 0)
            painter.scale(-1, 1)
        painter.strokePath(path, pen) if stroke.steady else painter.fillPath(path, pen.color())
        painter.end()
        painter = QPainter(image)
        painter.setCompositionMode(QPainter.CompositionMode_Lighten if stroke.erase
                                   else QPainter.CompositionMode_Darken)
        painter.drawImage(box.x() - corner[0], box.y() - corner[1], part)
        painter.end()


def paint_stroke(image: QImage, stroke: Stroke, scale: int) -> None:
    """Paint a whole stroke: in parts, for the time that a path takes grows faster than its length."""
    for first in range(0, piece_count(stroke.points) if stroke.points else 0, PART):
        paint_pieces(image, stroke, pieces(stroke.points, first, first + PART), scale)


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


def _same(a: List[Item], b: List[Item]) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b))


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

    @property
    def items(self) -> List[Item]:
        """What the picture shows."""
        return self._items

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
            self._remember(n + 1)
        self._items = list(items)

    def adopt(self, items: List[Item], image: QImage) -> None:
        """Take over the picture of ``items``, of which all but the last are shown now."""
        if _same(items[:-1], self._items):
            self.image, self._items = image, list(items)
            self._remember(len(items))

    def _remember(self, count: int) -> None:
        if count % self.every == 0:
            self._marks.append((count, self.image.copy()))
            if len(self._marks) > self.keep:
                # thin out the older half: long undos cost more, short ones stay quick
                old = len(self._marks) // 2
                self._marks = self._marks[:old][1::2] + self._marks[old:]

    def _paint(self, item: Item) -> None:
        if isinstance(item, Picture):
            if self.scale == 1:
                self.image = to_image(item.pixels)
                return
            painter = QPainter(self.image)
            painter.setRenderHint(QPainter.SmoothPixmapTransform)
            painter.drawImage(QRect(0, 0, self.image.width(), self.image.height()), to_image(item.pixels))
            painter.end()
        else:
            paint_stroke(self.image, item, self.scale)


class Growing:
    """A stroke under the hand, painted onto a raster's picture as it grows: what later points do not change is painted
    once, so that the end of a long stroke costs no more than its beginning."""

    def __init__(self, raster: Raster, stroke: Stroke):
        self._raster, self.stroke = raster, stroke
        self.restart()

    def restart(self) -> None:
        """The points are others now, not only more."""
        self.image, self._base, self._done = self._raster.image.copy(), self._raster.items, 0
        self.grow()

    def grow(self) -> None:
        """Points were added."""
        self._settle(PART)

    def _settle(self, left: int) -> None:
        points = self.stroke.points
        while piece_count(points) - self._done > left:
            paint_pieces(self.image, self.stroke, pieces(points, self._done, self._done + PART), self._raster.scale)
            self._done += PART

    def shown(self, box: QRect) -> QImage:
        """The raster's picture with the whole stroke, within a box of its pixels."""
        part = self.image.copy(box)
        points = self.stroke.points
        paint_pieces(part, self.stroke, pieces(points, self._done, piece_count(points)), self._raster.scale,
                     (box.x(), box.y()))
        return part

    def finish(self, items: List[Item]) -> None:
        """The stroke is the last of ``items`` now; the raster need not paint it again, unless something was undone
        or added meanwhile."""
        if _same(items[:-1], self._base):
            self._settle(0)
            self._raster.adopt(items, self.image)
