"""The window's icons: drawn with lines in the palette's colour, so that they are sharp on any screen and readable
in light and dark themes.  Coordinates are on a 24 x 24 grid."""
from __future__ import annotations

from PyQt5.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PyQt5.QtGui import QIcon, QIconEngine, QPainter, QPainterPath, QPalette, QPen, QPixmap, QPolygonF
from PyQt5.QtWidgets import QApplication


def _line(p, *points):
    p.drawPolyline(QPolygonF([QPointF(x, y) for x, y in points]))


def _polygon(p, *points):
    p.drawPolygon(QPolygonF([QPointF(x, y) for x, y in points]))


def _arrow(p, sign):
    path = QPainterPath(QPointF(12 + sign * 8, 9))
    path.lineTo(12 - sign * 2, 9)
    path.cubicTo(12 - sign * 10, 9, 12 - sign * 10, 19, 12 - sign * 2, 19)
    path.lineTo(12 + sign * 2, 19)
    p.drawPath(path)
    _line(p, (12 + sign * 4, 5), (12 + sign * 8, 9), (12 + sign * 4, 13))


def _open(p):
    _line(p, (3, 19), (3, 5), (9, 5), (11, 8), (19, 8), (19, 11))
    _polygon(p, (3, 19), (6.5, 11), (22, 11), (18.5, 19))


def _save(p):
    _polygon(p, (4, 4), (16, 4), (20, 8), (20, 20), (4, 20))
    p.drawRect(QRectF(8, 13, 8, 7))
    p.drawRect(QRectF(8, 4, 7, 4.5))


def _brush(p):
    _polygon(p, (17, 3), (21, 7), (9, 19), (5, 15))
    _polygon(p, (5, 15), (9, 19), (3, 21))


def _eraser(p):
    _polygon(p, (14, 4), (21, 11), (12, 20), (7, 20), (3, 16))
    _line(p, (8.5, 9.5), (16, 16.5))
    _line(p, (12, 20), (21, 20))


def _clear(p):
    _polygon(p, (5, 3), (14, 3), (19, 8), (19, 21), (5, 21))
    _line(p, (9, 11), (15, 17))
    _line(p, (15, 11), (9, 17))


def _mirror(p):
    pen = QPen(p.pen())
    pen.setStyle(Qt.DashLine)
    pen.setWidthF(1.4)
    _polygon(p, (9, 7), (9, 17), (3, 17))
    _polygon(p, (15, 7), (15, 17), (21, 17))
    p.setPen(pen)
    _line(p, (12, 3), (12, 21))


def _magnifier(p):
    p.drawEllipse(QRectF(4, 4, 12, 12))
    _line(p, (14.5, 14.5), (20.5, 20.5))


def _zoom_in(p):
    _magnifier(p)
    _line(p, (7, 10), (13, 10))
    _line(p, (10, 7), (10, 13))


def _zoom_out(p):
    _magnifier(p)
    _line(p, (7, 10), (13, 10))


def _fit(p):
    for x, y in ((4, 4), (20, 4), (4, 20), (20, 20)):
        dx, dy = (5 if x == 4 else -5), (5 if y == 4 else -5)
        _line(p, (x + dx, y), (x, y), (x, y + dy))
    p.drawRect(QRectF(9, 9, 6, 6))


def _random(p):
    p.drawRoundedRect(QRectF(4, 4, 16, 16), 3, 3)
    p.setBrush(p.pen().color())
    for x, y in ((8.5, 8.5), (15.5, 8.5), (12, 12), (8.5, 15.5), (15.5, 15.5)):
        p.drawEllipse(QPointF(x, y), 0.9, 0.9)


def _sweep(p):
    for n, x in enumerate((3, 8.25, 13.5, 18.75)):
        p.drawRect(QRectF(x, 16 - 3 * n, 2.4, 5 + 3 * n))


def _morph(p):
    p.drawEllipse(QRectF(2.5, 7, 9.5, 11))
    p.drawEllipse(QRectF(12, 7, 9.5, 11))
    _line(p, (9, 12.5), (15, 12.5))
    _line(p, (13, 10.5), (15, 12.5), (13, 14.5))


def _face(p):
    p.drawEllipse(QRectF(5, 3, 14, 18))
    p.drawEllipse(QPointF(9.3, 10.5), 0.8, 0.8)
    p.drawEllipse(QPointF(14.7, 10.5), 0.8, 0.8)
    path = QPainterPath(QPointF(9, 16))
    path.quadTo(12, 18.5, 15, 16)
    p.drawPath(path)


def _quick(p):
    p.drawRoundedRect(QRectF(3, 7, 18, 13), 2, 2)
    _line(p, (8, 7), (10, 4), (14, 4), (16, 7))
    p.drawEllipse(QPointF(12, 13.5), 3.6, 3.6)


def _select(p):
    _polygon(p, (6, 3), (6, 18.5), (10, 15), (13, 21), (15.4, 19.8), (12.5, 14), (17.5, 13.5))


def _panel(p):
    p.drawRect(QRectF(3, 5, 18, 14))
    _line(p, (15, 5), (15, 19))


_SHAPES = {"quick": _quick, "select": _select, "panel": _panel,
           "open": _open, "save": _save, "brush": _brush, "eraser": _eraser, "clear": _clear, "mirror": _mirror,
           "undo": lambda p: _arrow(p, -1), "redo": lambda p: _arrow(p, 1), "zoom-in": _zoom_in,
           "zoom-out": _zoom_out, "fit": _fit, "random": _random, "sweep": _sweep, "morph": _morph, "face": _face}


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
        _SHAPES[self._name](painter)
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
