"""The select tool: strokes are clicked or caught in a lasso, then moved, scaled, turned or deleted.  Each such change
is one step of undo; what was moved lies on top afterwards."""
from __future__ import annotations

import math
from typing import Dict, List, Tuple

from PyQt5.QtCore import QObject, QPointF, QRectF, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF, QTransform

from . import objects
from .objects import Part
from .strokes import outlines

#: widget pixels: how near a line or a handle has to be hit, the knob's distance from the box, and a handle's least from
#: the edge (ours)
_REACH, _HANDLE, _TURN, _INSET = 7, 10, 24, 7
_OPPOSITE = {"nw": "se", "ne": "sw", "sw": "ne", "se": "nw"}


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
            self._found, self._of = objects.parts(self._document.items), self._document.items
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
        moved = [objects.transformed(part.stroke, by) for part in self.chosen]
        items = objects.without(self._document.items, self.found, self.chosen) + moved
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
            items = objects.without(self._document.items, self.found, self.chosen)
            self.chosen = []
            self._document.put(items, "delete")
            self.changed.emit()

    # -- the hand --------------------------------------------------------------------------------------------------
    def _box(self) -> QRectF:
        """Around what is selected, widget positions."""
        box = objects.bounds(self.chosen)
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
        return objects.under(self.found, self._canvas.at(pos), _REACH / self._canvas.pixels)

    def press(self, pos: QPointF, add: bool = False) -> None:
        """add: to what is selected, or away from it."""
        at = self._canvas.at(pos)
        self.mode, self._by, self._from, self._anchor = self.over(pos), QTransform(), at, at
        box = objects.bounds(self.chosen)
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
            self._canvas.show_items(objects.without(self._document.items, self.found, self.chosen))

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
            caught, self._lasso = objects.inside(self.found, self._lasso), []
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
            painter.drawPolygon(to_widget.map(self._by.map(QPolygonF(objects.bounds(self.chosen)))))
        if self.chosen and not self.mode:
            painter.setPen(QPen(accent, 1.4))
            painter.setBrush(Qt.white)
            for name, p in self.handles().items():
                painter.drawEllipse(p, 5, 5) if name == "turn" else painter.drawRect(QRectF(p.x() - 4, p.y() - 4, 8, 8))


def _xy(point: QPointF) -> Tuple[float, float]:
    return point.x(), point.y()
