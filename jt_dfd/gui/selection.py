"""The select tool: strokes are clicked or caught in a lasso, then moved, scaled, turned or deleted.  Each such change
is one step of undo; what was moved lies on top afterwards.

First the strokes as objects: what is seen of each, which one is under the hand, which lie in a lasso.  An eraser's
stroke is no object.  What it took from a line is cut out of it when the line is taken hold of, so that a line goes with
its gaps and leaves nothing behind; what it took from one side of a broad line comes back.  The two halves of a mirrored
stroke are objects of their own.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PyQt5.QtCore import QObject, QPointF, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF, QTransform

from .strokes import CANVAS, Item, Picture, Stroke, blank, outlines, paint_stroke, piece_count, pieces, to_array

#: widget pixels: how near a line or a handle has to be hit, the knob's distance from the box, and a handle's least from
#: the edge (ours)
_REACH, _HANDLE, _TURN, _INSET = 7, 10, 24, 7
_OPPOSITE = {"nw": "se", "ne": "sw", "sw": "ne", "se": "nw"}


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


class Selection(QObject):
    """changed   other strokes are selected, or look different now

    canvas: where it is shown and whose document it changes.  ``pos`` are widget positions, ``at`` canvas pixels.
    """

    changed = pyqtSignal()

    def __init__(self, canvas):
        super().__init__(canvas)
        self._canvas, self._document = canvas, canvas.document
        self.chosen: List[Part] = []
        self.mode = ""  # what the hand is doing: "move", "scale", "turn", "lasso"
        self._by = QTransform()
        self._from = self._anchor = QPointF()
        self._lasso: List[Tuple[float, float]] = []
        self._paths: Dict[int, List[QPainterPath]] = {}
        self._found: List[Part] = []
        self._of = None  # the list of items that _found is of
        self._nudges = 0
        self._clicked = None  # what a press without a move would select alone
        self._document.changed.connect(self._follow)

    @property
    def found(self) -> List[Part]:
        """What there is to select."""
        if self._of is not self._document.items:
            self._found, self._of = parts(self._document.items), self._document.items
        return self._found

    def choose(self, chosen: List[Part]) -> None:
        self.chosen, self._paths = chosen, {}
        self._nudges += 1
        self.changed.emit()
        self._canvas.update()

    def _follow(self) -> None:
        """The drawing is another one: what is no longer in it is not selected."""
        if self.chosen or self.mode:
            self.mode, there = "", {id(part.stroke): part for part in self.found}
            self.choose([there[id(part.stroke)] for part in self.chosen if id(part.stroke) in there])

    # -- changes ---------------------------------------------------------------------------------------------------
    def transform(self, by: QTransform, gesture: str = "") -> None:
        """The selected strokes elsewhere."""
        moved = [transformed(part.stroke, by) for part in self.chosen]
        items = without(self._document.items, self.found, self.chosen) + moved
        self.chosen = [Part(stroke, stroke) for stroke in moved]
        nudges = self._nudges
        self._document.put(items, "move", gesture)
        self._nudges = nudges

    def nudge(self, x: float, y: float) -> None:
        """By keys; several in a row are one step."""
        if self.chosen:
            self.transform(QTransform.fromTranslate(x, y), f"nudge {self._nudges}")

    def delete(self) -> None:
        if self.chosen:
            items = without(self._document.items, self.found, self.chosen)
            self.chosen = []
            self._document.put(items, "delete")
            self.changed.emit()

    # -- the hand --------------------------------------------------------------------------------------------------
    def _box(self) -> QRectF:
        """Around what is selected, widget positions."""
        box = bounds(self.chosen)
        return QRectF(self._canvas.pos(box.left(), box.top()), self._canvas.pos(box.right(), box.bottom()))

    def handles(self) -> Dict[str, QPointF]:
        """Where the corners and the knob to turn by are shown: always within the view."""
        if not self.chosen:
            return {}
        box, room = self._box(), QRectF(self._canvas.rect()).adjusted(_INSET, _INSET, -_INSET, -_INSET)
        least = 3 * _HANDLE - min(box.width(), box.height(), 3 * _HANDLE)  # a dot's corners must not lie on each other
        box.adjust(-least / 2, -least / 2, least / 2, least / 2)
        turn = QPointF(box.center().x(), box.top() - _TURN)
        if turn.y() < room.top():
            turn.setY(box.bottom() + _TURN if box.bottom() + _TURN < room.bottom() else max(box.top(), room.top())
                      + _TURN)
        points = {"turn": turn, "nw": box.topLeft(), "ne": box.topRight(), "sw": box.bottomLeft(),
                  "se": box.bottomRight()}
        return {name: QPointF(min(max(p.x(), room.left()), room.right()), min(max(p.y(), room.top()), room.bottom()))
                for name, p in points.items()}

    def over(self, pos: QPointF) -> str:
        """What a press here would begin."""
        near = [name for name, p in self.handles().items() if (p - pos).manhattanLength() <= 1.4 * _HANDLE]
        if near:
            return "turn" if near[0] == "turn" else "scale"
        return "move" if self._under(pos) or self.chosen and self._box().contains(pos) else "lasso"

    def _under(self, pos: QPointF):
        return under(self.found, self._canvas.at(pos), _REACH / self._canvas.pixels)

    def press(self, pos: QPointF, add: bool = False) -> None:
        """add: to what is selected, or away from it."""
        at = self._canvas.at(pos)
        self.mode, self._by, self._from, self._anchor = self.over(pos), QTransform(), at, at
        box = bounds(self.chosen)
        if self.mode == "turn":
            self._anchor = box.center()
        elif self.mode == "scale":
            handles = self.handles()
            corner = min(_OPPOSITE, key=lambda name: (handles[name] - pos).manhattanLength())
            self._anchor = {"nw": box.topLeft(), "ne": box.topRight(), "sw": box.bottomLeft(),
                            "se": box.bottomRight()}[_OPPOSITE[corner]]
        elif self.mode == "move":
            part = self._under(pos)
            self._clicked = None if add else part
            if add and part is not None:
                self.choose([p for p in self.chosen if p is not part] + [part] * (part not in self.chosen))
            elif part is not None and part not in self.chosen:
                self.choose([part])
        else:
            self.choose(self.chosen if add else [])
            self._lasso = [(at.x(), at.y())]
        if self.mode != "lasso":
            self._canvas.show_items(without(self._document.items, self.found, self.chosen))

    def lead(self, pos: QPointF, steps: bool = False) -> None:
        """steps: turn by steps of 15 degrees."""
        at, anchor = self._canvas.at(pos), self._anchor
        if self.mode == "lasso":
            self._lasso.append((at.x(), at.y()))
            self._canvas.update()
            return
        before, now = self._from - anchor, at - anchor
        if self.mode == "move":
            self._by = QTransform.fromTranslate(at.x() - self._from.x(), at.y() - self._from.y())
        else:
            self._by = QTransform.fromTranslate(anchor.x(), anchor.y())
            if self.mode == "scale":
                size = max(0.05, QPointF.dotProduct(before, now) / max(1e-6, QPointF.dotProduct(before, before)))
                self._by.scale(size, size)
            else:
                turn = math.degrees(math.atan2(now.y(), now.x()) - math.atan2(before.y(), before.x()))
                self._by.rotate(15 * round(turn / 15) if steps else turn)
            self._by.translate(-anchor.x(), -anchor.y())
        self._canvas.show_items(None)

    def release(self, pos: QPointF, steps: bool = False) -> None:
        if (self._canvas.at(pos) - self._from).manhattanLength() > 1 / self._canvas.pixels or self._lasso[1:]:
            self.lead(pos, steps)  # a fast hand reports no move before it
        mode, self.mode = self.mode, ""
        if mode == "lasso":
            caught, self._lasso = inside(self.found, self._lasso), []
            self.choose(self.chosen + [part for part in caught if part not in self.chosen])
        elif self.chosen and not self._by.isIdentity():
            self.transform(self._by)
        elif mode == "move" and self._clicked is not None:
            self.choose([self._clicked])
        self._by = QTransform()
        self._canvas.refresh()

    def cancel(self) -> None:
        """Drop what the hand is doing, or what is selected where it does nothing."""
        if self.mode:
            self.mode, self._by, self._lasso = "", QTransform(), []
            self._canvas.refresh()
        else:
            self.choose([])

    # -- what is seen ----------------------------------------------------------------------------------------------
    def _outlines(self):
        for part in self.chosen:
            if id(part) not in self._paths:
                self._paths[id(part)] = outlines(part.stroke)
            yield part, self._paths[id(part)]

    def paint_moved(self, painter: QPainter) -> None:
        """The strokes under the hand where it has them now, onto a page whose unit is the canvas pixel."""
        if self.mode in ("move", "scale", "turn"):
            painter.save()
            painter.setRenderHint(QPainter.Antialiasing)
            painter.setCompositionMode(QPainter.CompositionMode_Darken)
            painter.setTransform(self._by, True)
            for part, paths in self._outlines():
                for path in paths:
                    painter.fillPath(path, part.stroke.colour)
            painter.restore()

    def paint(self, painter: QPainter) -> None:
        """What is selected, with its handles, and the lasso; onto the widget."""
        accent, canvas = QColor(47, 125, 225), self._canvas
        to_widget = QTransform().translate(*_xy(canvas.pos(0, 0))).scale(canvas.pixels, canvas.pixels)
        if not self.mode:
            painter.save()
            painter.setTransform(to_widget, True)
            for _, paths in self._outlines():
                for path in paths:
                    painter.fillPath(path, QColor(47, 125, 225, 150))
            painter.restore()
        painter.setPen(QPen(accent, 1, Qt.DashLine))
        painter.setBrush(Qt.NoBrush)
        if self._lasso:
            painter.drawPolyline(QPolygonF([canvas.pos(x, y) for x, y in self._lasso]))
        if self.chosen:
            painter.drawPolygon(to_widget.map(self._by.map(QPolygonF(bounds(self.chosen)))))
        if self.chosen and not self.mode:
            painter.setPen(QPen(accent, 1.4))
            painter.setBrush(Qt.white)
            for name, p in self.handles().items():
                painter.drawEllipse(p, 5, 5) if name == "turn" else painter.drawRect(QRectF(p.x() - 4, p.y() - 4, 8, 8))


def _xy(point: QPointF) -> Tuple[float, float]:
    return point.x(), point.y()
