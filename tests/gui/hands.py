"""Hands for the tests: a mouse and a pen on the canvas."""
from PyQt5.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PyQt5.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent, QTabletEvent


def mouse(canvas, kind, x, y, button=Qt.LeftButton, modifiers=Qt.NoModifier):
    """One mouse event at a canvas point."""
    pos = canvas.pos(x, y)
    buttons = Qt.NoButton if kind == QEvent.MouseButtonRelease else button
    event = QMouseEvent(kind, pos, QPointF(canvas.mapToGlobal(pos.toPoint())),
                        Qt.NoButton if kind == QEvent.MouseMove else button, buttons, modifiers)
    QCoreApplication.sendEvent(canvas, event)


def draw(canvas, points, button=Qt.LeftButton, modifiers=Qt.NoModifier):
    """A stroke with the mouse through canvas points."""
    mouse(canvas, QEvent.MouseButtonPress, *points[0], button, modifiers)
    for point in points[1:]:
        mouse(canvas, QEvent.MouseMove, *point, button, modifiers)
    mouse(canvas, QEvent.MouseButtonRelease, *points[-1], button, modifiers)


def pen(canvas, points, eraser=False, button=Qt.LeftButton):
    """A stroke with a tablet pen through (x, y, pressure)."""
    kinds = [QEvent.TabletPress] + [QEvent.TabletMove] * (len(points) - 1) + [QEvent.TabletRelease]
    for kind, (x, y, pressure) in zip(kinds, points + [points[-1]]):
        pos = canvas.pos(x, y)
        event = QTabletEvent(kind, pos, QPointF(canvas.mapToGlobal(pos.toPoint())), QTabletEvent.Stylus,
                             QTabletEvent.Eraser if eraser else QTabletEvent.Pen, pressure, 0, 0, 0.0, 0.0, 0,
                             Qt.NoModifier, 1, button,
                             Qt.NoButton if kind == QEvent.TabletRelease else button)
        QCoreApplication.sendEvent(canvas, event)


def drop(w, data):
    """Data carried over a window, then let go: two steps."""
    for event in (QDragEnterEvent(QPoint(300, 300), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier),
                  QDropEvent(QPointF(300, 300), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier)):
        QCoreApplication.sendEvent(w, event)
        yield
