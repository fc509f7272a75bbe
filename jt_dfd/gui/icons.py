"""The window's icons: drawn with lines in the palette's colour, so that they are sharp on any screen and readable
in light and dark themes.  Coordinates are on a 24 x 24 grid."""
from __future__ import annotations

from PyQt5.QtCore import QPointF, QRect, QRectF, QSize, QSizeF, Qt
from PyQt5.QtGui import QIcon, QIconEngine, QPainter, QPainterPath, QPalette, QPen, QPixmap, QPolygonF
from PyQt5.QtWidgets import QApplication

_GLASS = "o 4,4 12,12; 14.5,14.5 20.5,20.5; 7,10 13,10"
#: {name: shapes}.  A shape is a line through its points; with z it is closed, c is a cubic curve, o an ellipse and r a
#: rectangle by their corner and size.
_SHAPES = {
    "open": "3,19 3,5 9,5 11,8 19,8 19,11; z 3,19 6.5,11 22,11 18.5,19",
    "save": "z 4,4 16,4 20,8 20,20 4,20; r 8,13 8,7; r 8,4 7,4.5",
    "quick": "r 3,7 18,13; 8,7 10,4 14,4 16,7; o 8.4,9.9 7.2,7.2",
    "brush": "z 17,3 21,7 9,19 5,15; z 5,15 9,19 3,21",
    "eraser": "z 14,4 21,11 12,20 7,20 3,16; 8.5,9.5 16,16.5; 12,20 21,20",
    "select": "z 6,3 6,18.5 10,15 13,21 15.4,19.8 12.5,14 17.5,13.5",
    "mirror": "z 9,7 9,17 3,17; z 15,7 15,17 21,17; 12,3 12,6; 12,9 12,12; 12,15 12,18; 12,20.5 12,21",
    "clear": "z 5,3 14,3 19,8 19,21 5,21; 9,11 15,17; 15,11 9,17",
    "undo": "4,9 14,9; c 14,9 22,9 22,19 14,19; 14,19 10,19; 8,5 4,9 8,13",
    "redo": "20,9 10,9; c 10,9 2,9 2,19 10,19; 10,19 14,19; 16,5 20,9 16,13",
    "zoom-in": _GLASS + "; 10,7 10,13",
    "zoom-out": _GLASS,
    "fit": "9,4 4,4 4,9; 15,4 20,4 20,9; 9,20 4,20 4,15; 15,20 20,20 20,15; r 9,9 6,6",
    "random": "r 4,4 16,16; " + "; ".join(f"o {x - 0.7:g},{y - 0.7:g} 1.4,1.4" for x, y in (
        (8.5, 8.5), (15.5, 8.5), (12, 12), (8.5, 15.5), (15.5, 15.5))),
    "sweep": "r 3,16 2.4,5; r 8.25,13 2.4,8; r 13.5,10 2.4,11; r 18.75,7 2.4,14",
    "morph": "o 2.5,7 9.5,11; o 12,7 9.5,11; 9,12.5 15,12.5; 13,10.5 15,12.5 13,14.5",
    "panel": "r 3,5 18,14; 15,5 15,19",
}


def _path(shapes: str) -> QPainterPath:
    path = QPainterPath()
    for shape in shapes.split("; "):
        points = [QPointF(*map(float, pair.split(","))) for pair in shape.split(" ") if "," in pair]
        if shape[0] in "or":
            box = QRectF(points[0], QSizeF(points[1].x(), points[1].y()))
            path.addEllipse(box) if shape[0] == "o" else path.addRoundedRect(box, 1, 1)
        elif shape[0] == "c":
            path.moveTo(points[0])
            path.cubicTo(*points[1:])
        else:
            path.addPolygon(QPolygonF(points))
            if shape[0] == "z":
                path.closeSubpath()
    return path


class _Lines(QIconEngine):
    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def paint(self, painter: QPainter, rect: QRect, mode, state) -> None:
        group = QPalette.Disabled if mode == QIcon.Disabled else QPalette.Active
        painter.save()
        painter.setRenderHint(QPainter.Antialiasing)
        painter.translate(rect.topLeft())
        painter.scale(rect.width() / 24, rect.height() / 24)
        painter.setPen(QPen(QApplication.palette().color(group, QPalette.ButtonText), 1.7, Qt.SolidLine, Qt.RoundCap,
                            Qt.RoundJoin))
        painter.drawPath(_path(_SHAPES[self._name]))
        painter.restore()

    def pixmap(self, size: QSize, mode, state) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return pixmap

    def clone(self):
        return _Lines(self._name)


def icon(name: str) -> QIcon:
    """The icon of that name; KeyError for an unknown one."""
    _SHAPES[name]
    return QIcon(_Lines(name))
