"""The page one draws on: mouse, pen, zoom and pan, and the shadow under the strokes.

Shows a Document and hands finished strokes to it.  Coordinates named ``at`` are canvas pixels (0..512), the widget's
own are called ``pos``.
"""
from __future__ import annotations

import math
from typing import Any, List, Optional

import numpy as np
from PyQt5.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QImage, QPainter, QPen, QTabletEvent
from PyQt5.QtWidgets import QSizePolicy, QWidget

from .document import Document
from .selection import Selection
from .strokes import CANVAS, Growing, Item, Raster, Stroke, to_image

#: pixels of the shown page for a canvas pixel: sharp lines on screens of up to 1,000 pixels and high-DPI ones
DETAIL = 2
ZOOM = (1.0, 16.0)
BRUSH_SIZES, ERASER_SIZES = (1, 20), (3, 60)
#: points closer than this to the last one are left out, canvas pixels
_NEAR = 0.4
#: what the pointer looks like where the select tool would do this
_CURSORS = {"move": Qt.SizeAllCursor, "scale": Qt.SizeFDiagCursor, "turn": Qt.PointingHandCursor,
            "lasso": Qt.CrossCursor}
#: arrow keys, in canvas pixels
_ARROWS = {Qt.Key_Left: (-1, 0), Qt.Key_Right: (1, 0), Qt.Key_Up: (0, -1), Qt.Key_Down: (0, 1)}


class Canvas(QWidget):
    """stroke_begun        a stroke has begun (a good moment to keep the face before)
    zoom_changed(float)  1 is the whole page
    resized
    """

    stroke_begun = pyqtSignal()
    zoom_changed = pyqtSignal(float)
    resized = pyqtSignal()

    def __init__(self, document: Document, parent=None):
        super().__init__(parent)
        self.document = document
        self.tool = "brush"
        self.sizes = {"brush": 2, "eraser": 14}
        self.mirror = False
        self.opacity = 1.0  # of the brush
        self._guide, self._blank = True, True
        self._raster = Raster(DETAIL)
        self._page = QImage(CANVAS * DETAIL, CANVAS * DETAIL, QImage.Format_RGB32)  # shadow times strokes, as shown
        self._shade: Optional[QImage] = None      # the shadow at its strength, as large as the canvas
        self._shadow: Optional[np.ndarray] = None  # the shadow as it came, full strength
        self._strength = 0.4
        self.underlay: Any = None    # a picture to trace, as large as the shown page
        self.underlay_opacity = 0.35
        self._live: Any = None  # the stroke at hand
        self._button = Qt.NoButton            # the one that leads it
        self._straight_from: Optional[list] = None
        self._zoom, self._centre = 1.0, QPointF(CANVAS / 2, CANVAS / 2)
        self._pan_from: Optional[QPointF] = None
        self._space = False
        self._keyed = False  # has the focus come by a key?
        self._pointer: Optional[QPointF] = None
        self._pressed = False  # has a pen ever told a pressure?
        self.selection = Selection(self)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.StrongFocus)
        self.setAttribute(Qt.WA_OpaquePaintEvent)
        self._show_cursor()
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Ignored)
        document.changed.connect(self.refresh)
        self.refresh()

    def sizeHint(self) -> QSize:
        return QSize(CANVAS, CANVAS)

    # -- what is shown ---------------------------------------------------------------------------------------------
    def set_shadow(self, shadow: Optional[np.ndarray], strength: float) -> None:
        """shadow: (512, 512) uint8, 255 where there is none, or None; strength 0..1 (release: 0.4)."""
        if shadow is self._shadow and strength == self._strength:
            return
        self._shadow, self._strength = shadow, strength
        self._shade = None
        if shadow is not None and strength > 0:
            table = np.round(255 - strength * (255 - np.arange(256))).astype(np.uint8)
            self._shade = to_image(table[shadow])
        self._compose()

    def set_underlay(self, picture: Optional[np.ndarray]) -> None:
        """picture: (H, W, 3) uint8, shown under the strokes with its longer side as long as the page; None: nothing."""
        self.underlay = None
        if picture is not None:
            image = to_image(picture).scaled(CANVAS * DETAIL, CANVAS * DETAIL, Qt.KeepAspectRatio,
                                             Qt.SmoothTransformation)
            self.underlay = QImage(CANVAS * DETAIL, CANVAS * DETAIL, QImage.Format_RGB32)
            self.underlay.fill(Qt.white)
            painter = QPainter(self.underlay)
            painter.drawImage((CANVAS * DETAIL - image.width()) // 2, (CANVAS * DETAIL - image.height()) // 2, image)
            painter.end()
        self._compose()

    def set_underlay_opacity(self, opacity: float) -> None:
        self.underlay_opacity = opacity
        self._compose()

    def refresh(self) -> None:
        """Show the document as it is now."""
        self._raster.show(self.document.items)
        self._blank = self.document.is_blank()
        self._compose()

    def show_items(self, items: Optional[List[Item]]) -> None:
        """Show these strokes and those that the selection has under the hand; None: the same as before, which may have
        moved."""
        if items is not None:
            self._raster.show(items)
        self._compose()

    def set_guide(self, on: bool) -> None:
        """on: an empty page shows where the parts of a face belong."""
        self._guide = on
        self.update()

    def _compose(self, part: Any = None) -> None:
        """Shadow times strokes (and the stroke at hand) onto the shown page; ``part`` in canvas pixels."""
        whole = QRectF(0, 0, CANVAS, CANVAS)
        part = QRectF(part.toAlignedRect()).intersected(whole) if part is not None else whole
        if part.isEmpty():
            return
        strokes, box = self._raster.image, QRect(0, 0, self._page.width(), self._page.height())
        if self._live is not None:
            box = QRectF(part.x() * DETAIL, part.y() * DETAIL, part.width() * DETAIL, part.height() * DETAIL).toRect()
            strokes = self._live.shown(box)
        painter = QPainter(self._page)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        painter.scale(DETAIL, DETAIL)
        painter.setClipRect(part)
        if self._shade is None:
            painter.fillRect(part, Qt.white)
        else:
            painter.drawImage(whole, self._shade)
        painter.setCompositionMode(QPainter.CompositionMode_Multiply)
        if self.underlay is not None:
            painter.setOpacity(self.underlay_opacity)
            painter.drawImage(whole, self.underlay)
            painter.setOpacity(1)
        self.selection.paint_moved(painter)
        painter.resetTransform()
        if self._live is not None or self._raster.items:
            painter.drawImage(box.topLeft(), strokes)
        painter.end()
        self.update()

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.SmoothPixmapTransform | QPainter.Antialiasing)
        painter.fillRect(self.rect(), self.palette().mid())
        scale, origin = self._view()
        side, page = CANVAS * scale, self._page
        if scale * self.devicePixelRatioF() < 0.9:  # thin lines would fall between the samples
            edge = max(1, round(side * self.devicePixelRatioF()))
            page = page.scaled(edge, edge, Qt.IgnoreAspectRatio, Qt.SmoothTransformation)
        painter.drawImage(QRectF(origin.x(), origin.y(), side, side), page)
        if self._guide and self._blank and self._live is None:
            _paint_guide(painter, scale, origin)
        if self.mirror:
            painter.setPen(QPen(QColor(47, 125, 225, 130), 1, Qt.DashLine))
            x = origin.x() + CANVAS / 2 * scale
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        self.selection.paint(painter)
        if self.hasFocus() and self._keyed:
            painter.setPen(QPen(self.palette().highlight(), 2))
            painter.setBrush(Qt.NoBrush)
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        self._paint_pointer(painter, scale)

    def _paint_pointer(self, painter: QPainter, scale: float) -> None:
        """A ring as large as the tool."""
        r = (self._live.stroke.width if self._live is not None else self.sizes.get(self.tool, 0)) / 2 * scale
        if self._pointer is None or r < 3 or self._pan_from is not None:
            return
        painter.setBrush(Qt.NoBrush)
        for colour, width in ((QColor(255, 255, 255, 190), 2.4), (QColor(40, 44, 52, 210), 1.1)):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(self._pointer, r, r)

    # -- the view --------------------------------------------------------------------------------------------------
    def _view(self):
        """(scale, origin): widget pixels for a canvas pixel, and where the canvas' corner is in the widget."""
        scale = min(self.width(), self.height()) / CANVAS * self._zoom
        return scale, QPointF(self.width() / 2 - self._centre.x() * scale, self.height() / 2 - self._centre.y() * scale)

    @property
    def pixels(self) -> float:
        """Widget pixels for a canvas pixel."""
        return self._view()[0]

    def at(self, pos: QPointF) -> QPointF:
        scale, origin = self._view()
        return QPointF((pos.x() - origin.x()) / scale, (pos.y() - origin.y()) / scale)

    def pos(self, x: float, y: float) -> QPointF:
        """Widget position of a canvas point."""
        scale, origin = self._view()
        return QPointF(origin.x() + x * scale, origin.y() + y * scale)

    @property
    def zoom(self) -> float:
        return self._zoom

    def set_zoom(self, zoom: float, around: Optional[QPointF] = None) -> None:
        """Zoom so that the point under ``around`` (widget position, default the middle) stays where it is."""
        around = around if around is not None else QPointF(self.width() / 2, self.height() / 2)
        fixed = self.at(around)
        self._zoom = min(max(zoom, ZOOM[0]), ZOOM[1])
        moved = self.at(around)
        self._move_centre(fixed - moved)
        self.zoom_changed.emit(self._zoom)

    def fit(self) -> None:
        self._zoom, self._centre = 1.0, QPointF(CANVAS / 2, CANVAS / 2)
        self.update()
        self.zoom_changed.emit(1.0)

    def _move_centre(self, by: QPointF) -> None:
        half = CANVAS / 2 / self._zoom  # the page never leaves the view
        self._centre = QPointF(min(max(self._centre.x() + by.x(), half), CANVAS - half),
                               min(max(self._centre.y() + by.y(), half), CANVAS - half))
        self.update()

    def wheelEvent(self, event) -> None:
        self.set_zoom(self._zoom * 1.2 ** (event.angleDelta().y() / 120), event.position())
        event.accept()

    def resizeEvent(self, event) -> None:
        self.update()
        self.resized.emit()

    # -- the tool --------------------------------------------------------------------------------------------------
    @property
    def size_range(self):
        return ERASER_SIZES if self.tool == "eraser" else BRUSH_SIZES

    def set_tool(self, tool: str) -> None:
        """"brush", "eraser" or "select"."""
        if self._live is not None:
            self.finish()
        self.tool = tool
        if tool != "select":
            self.selection.mode = ""
            self.selection.choose([])
        self._show_cursor()
        self.update()

    def set_size(self, size: int) -> None:
        low, high = self.size_range
        if self.tool in self.sizes:
            self.sizes[self.tool] = int(min(max(size, low), high))
        self.update()

    def _show_cursor(self) -> None:
        if self._pan_from is not None or self._space and self._live is None:
            self.setCursor(Qt.OpenHandCursor if self._pan_from is None else Qt.ClosedHandCursor)
        elif self.tool == "select" and self._pointer is not None:
            self.setCursor(_CURSORS[self.selection.mode or self.selection.over(self._pointer)])
        else:
            self.setCursor(Qt.CrossCursor)

    def begin(self, at: QPointF, pressure: float = 1.0, erase: Optional[bool] = None) -> None:
        """Begin a stroke at a canvas point."""
        erase = self.tool == "eraser" if erase is None else erase
        stroke = Stroke(float(self.sizes["eraser" if erase else "brush"]), erase, self.mirror,
                        [_point(at, pressure)], 1.0 if erase else self.opacity)
        self._live = Growing(self._raster, stroke)
        self.document.begin_stroke(stroke)
        self._straight_from = None
        self.stroke_begun.emit()
        self._compose(self._live_bounds(0))

    def extend(self, at: QPointF, pressure: float = 1.0, straight: bool = False, snap: bool = False) -> None:
        """Lead the stroke to another point; ``straight``: by a straight line from where Shift was pressed."""
        points = self._live.stroke.points
        if straight:
            if self._straight_from is None:
                self._straight_from = list(points)
            last = self._straight_from[-1]
            if snap:
                at = _snapped(QPointF(last[0], last[1]), at)
            before = self._live_bounds(0)
            points[:] = self._straight_from + [_point(at, pressure)]
            self._live.restart()
            self.document.grow_stroke(anew=True)
            self._compose(before.united(self._live_bounds(0)))
            return
        self._straight_from = None
        if math.hypot(at.x() - points[-1][0], at.y() - points[-1][1]) < _NEAR:
            return
        points.append(_point(at, pressure))
        self._live.grow()
        self.document.grow_stroke()
        # the curve's last piece changes with a new point: repaint from three points back
        self._compose(self._live_bounds(max(0, len(points) - 4)))

    def finish(self) -> None:
        """End the stroke and hand it over."""
        if self._live is None:
            return
        self._live.finish(self.document.items + [self._live.stroke])
        self._live, self._straight_from = None, None
        self.document.finish_stroke()

    def abandon(self) -> None:
        """Drop the stroke at hand."""
        self._live = None
        self.document.abandon_stroke()
        self._compose()

    @property
    def drawing(self) -> bool:
        return self._live is not None

    def _live_bounds(self, start: int) -> QRectF:
        live = self._live.stroke
        box = Stroke(live.width, points=live.points[start:]).bounds()
        if live.mirror:
            box = box.united(QRectF(CANVAS - box.right(), box.top(), box.width(), box.height()))
        return box

    # -- the mouse -------------------------------------------------------------------------------------------------
    def mousePressEvent(self, event) -> None:
        if self._live is not None:
            if event.button() != self._button:
                return  # one stroke at a time
            self.finish()  # its release was lost on the way
        if event.button() == Qt.MiddleButton or (event.button() == Qt.LeftButton and self._space):
            self._pan_from = event.localPos()
            self._show_cursor()
        elif self.tool == "select":
            if event.button() == Qt.LeftButton and not self.selection.mode:
                self._pointer = event.localPos()
                self.selection.press(event.localPos(), bool(event.modifiers() & Qt.ShiftModifier))
                self.stroke_begun.emit()
        elif event.button() in (Qt.LeftButton, Qt.RightButton):
            self._button = event.button()
            self.begin(self.at(event.localPos()), erase=True if self._button == Qt.RightButton else None)

    def mouseMoveEvent(self, event) -> None:
        self._pointer = event.localPos()
        if self._pan_from is not None:
            scale, _ = self._view()
            self._move_centre((self._pan_from - event.localPos()) / scale)
            self._pan_from = event.localPos()
        elif self._live is not None:
            self._lead_to(event.localPos(), 1.0, event.modifiers())
        elif self.selection.mode:
            self.selection.lead(event.localPos(), bool(event.modifiers() & Qt.ShiftModifier))
        elif self.tool == "select":
            self._show_cursor()
        self.update()

    def mouseReleaseEvent(self, event) -> None:
        if self._pan_from is not None:
            self._pan_from = None
            self._show_cursor()
        elif self.selection.mode and event.button() == Qt.LeftButton:
            self.selection.release(event.localPos(), bool(event.modifiers() & Qt.ShiftModifier))
            self._show_cursor()
        elif self._live is not None and event.button() == self._button:
            self._lead_to(event.localPos(), 1.0, event.modifiers())  # a fast hand reports no move before it
            self.finish()

    def _lead_to(self, pos: QPointF, pressure: float, modifiers) -> None:
        self.extend(self.at(pos), pressure, bool(modifiers & Qt.ShiftModifier), bool(modifiers & Qt.ControlModifier))

    # -- the pen ---------------------------------------------------------------------------------------------------
    def tabletEvent(self, event: QTabletEvent) -> None:
        kind = event.type()
        if self.tool == "select" and self._live is None:
            event.ignore()  # comes again as a mouse event
            return
        self._pointer = event.posF()
        pressure = min(max(event.pressure(), 0.0), 0.999)  # exactly 1 is a mouse's: a steady width
        if pressure > 0 and not self._pressed:
            self._pressed = True
            if self._live is not None:  # it began lightly
                self._live.stroke.points[:] = [(x, y, 0.0) for x, y, _ in self._live.stroke.points]
                self._live.restart()
                self.document.grow_stroke(anew=True)
                self._compose()
        elif not self._pressed:
            pressure = 0.999  # a pen that knows no pressure
        if kind == QTabletEvent.TabletPress and self._live is None:
            if event.button() == Qt.MiddleButton or self._space:
                event.ignore()  # comes again as a mouse event, which pans
                return
            self._button = event.button()
            erase = event.pointerType() == QTabletEvent.Eraser or self._button == Qt.RightButton
            self.begin(self.at(event.posF()), pressure, True if erase else None)
        elif kind == QTabletEvent.TabletMove and self._live is not None:
            self._lead_to(event.posF(), pressure, event.modifiers())
        elif kind == QTabletEvent.TabletRelease and self._live is not None and event.button() in (
                self._button, Qt.NoButton):
            self.finish()
        self.update()
        event.accept()

    # -- the rest --------------------------------------------------------------------------------------------------
    def event(self, event) -> bool:
        if event.type() in (QEvent.WindowBlocked, QEvent.Hide):  # as a dialog under the hand: no release comes here
            if self._live is not None:
                self.finish()
            elif self.selection.mode:
                self.selection.cancel()
        return super().event(event)

    def enterEvent(self, event) -> None:
        # keys mean the page where the pointer is on it: after a click on a box, Space would tick that again
        if self.isActiveWindow():
            self.setFocus(Qt.MouseFocusReason)

    def leaveEvent(self, event) -> None:
        self._pointer = None
        self.update()

    def focusInEvent(self, event) -> None:
        self._keyed = event.reason() in (Qt.TabFocusReason, Qt.BacktabFocusReason)  # a frame tells where the keys go
        super().focusInEvent(event)

    def focusOutEvent(self, event) -> None:
        self._space = False
        self._show_cursor()
        super().focusOutEvent(event)

    def keyPressEvent(self, event) -> None:
        if event.key() == Qt.Key_Space and not event.isAutoRepeat():
            self._space = True
            self._show_cursor()
        elif event.key() == Qt.Key_Escape and self._live is not None:
            self.abandon()
        elif event.key() == Qt.Key_Escape and (self.selection.mode or self.selection.chosen):
            self.selection.cancel()
        elif event.key() in _ARROWS and self.selection.chosen and not self.selection.mode:
            far = 10 if event.modifiers() & Qt.ShiftModifier else 1
            self.selection.nudge(*(far * way for way in _ARROWS[event.key()]))
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event) -> None:
        if event.key() == Qt.Key_Space and not event.isAutoRepeat():
            self._space = False
            self._show_cursor()
        else:
            super().keyReleaseEvent(event)


def _paint_guide(painter: QPainter, scale: float, origin: QPointF) -> None:
    """A head with its parts where the weights expect them (measured on the demo weights' training drawings, ours)."""
    painter.save()
    painter.translate(origin)
    painter.scale(scale, scale)
    painter.setBrush(Qt.NoBrush)
    pen = QPen(QColor(47, 125, 225, 95), 1.6, Qt.DashLine)
    pen.setCosmetic(True)
    painter.setPen(pen)
    painter.drawEllipse(QPointF(256, 264), 138, 202)     # jaw to hairline; the hair goes on to the page's edge
    painter.drawArc(QRectF(104, 4, 304, 420), 0, 180 * 16)
    for x in (191, 323):
        painter.drawEllipse(QPointF(x, 241), 33, 15)
        painter.drawArc(QRectF(x - 40, 194, 80, 34), 20 * 16, 140 * 16)
    painter.drawArc(QRectF(230, 300, 54, 38), 190 * 16, 160 * 16)
    painter.drawArc(QRectF(202, 350, 110, 44), 190 * 16, 160 * 16)
    painter.drawArc(QRectF(202, 372, 110, 16), 10 * 16, 160 * 16)
    painter.restore()


def _point(at: QPointF, pressure: float):
    """As finely as files have it: what is opened is what was drawn."""
    return round(at.x(), 2), round(at.y(), 2), round(pressure, 4)


def _snapped(start: QPointF, end: QPointF) -> QPointF:
    """The end moved so that the line's angle is a multiple of 15 degrees."""
    dx, dy = end.x() - start.x(), end.y() - start.y()
    angle = round(math.atan2(dy, dx) / math.radians(15)) * math.radians(15)
    length = math.hypot(dx, dy)
    return QPointF(start.x() + math.cos(angle) * length, start.y() + math.sin(angle) * length)
