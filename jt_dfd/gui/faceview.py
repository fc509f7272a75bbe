"""The face beside the page: the picture, and what there is to know while there is none."""
from __future__ import annotations

from typing import Optional

import numpy as np
from PyQt5.QtCore import QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QImage, QPainter, QPen
from PyQt5.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from .strokes import to_image


class FaceView(QWidget):
    """Shows a face; over it, while the engine starts, a message with a progress bar.

    menu_wanted(QPoint)   right click, global position
    """

    menu_wanted = pyqtSignal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Ignored)
        self._image: Optional[QImage] = None
        self._busy = False
        self.note = QWidget(self)
        self.note.setAutoFillBackground(True)
        self.title = QLabel()
        self.title.setObjectName("caption")
        self.stage = QLabel()
        self.hint = QLabel()
        self.hint.setObjectName("quiet")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        layout = QVBoxLayout(self.note)
        layout.setContentsMargins(12, 10, 12, 10)
        for widget in (self.title, self.stage, self.bar, self.hint):
            if isinstance(widget, QLabel):
                widget.setAlignment(Qt.AlignCenter)
                widget.setWordWrap(True)
            layout.addWidget(widget)
        self.note.hide()

    def sizeHint(self) -> QSize:
        return QSize(512, 512)

    # -- content ---------------------------------------------------------------------------------------------------
    @property
    def image(self) -> Optional[QImage]:
        return self._image

    def show_face(self, face: Optional[np.ndarray]) -> None:
        """(H, W, 3) uint8, or None for no face."""
        self._image = None if face is None else to_image(face)
        self.update()

    @property
    def busy(self) -> bool:
        return self._busy

    def set_busy(self, busy: bool) -> None:
        """A thin line along the foot says that a newer face is on its way."""
        if busy != self._busy:
            self._busy = busy
            self.update()

    def show_note(self, title: str, stage: str = "", hint: str = "", done: int = 0, total: int = 0,
                  bar: bool = True) -> None:
        """A message over the face, with a progress bar that swings where the total is not known."""
        for label, text in ((self.title, title), (self.stage, stage), (self.hint, hint)):
            label.setText(text)
            label.setVisible(bool(text))
        self.bar.setVisible(bar)
        self.bar.setRange(0, max(0, total))
        self.bar.setValue(done)
        self.note.show()
        self._place_note()

    def hide_note(self) -> None:
        self.note.hide()

    def _place_note(self) -> None:
        width = min(340, self.width() - 12)
        for label in (self.title, self.hint):
            label.setVisible(bool(label.text()))
        for least in (None, self.hint, self.title):  # in a small view what matters least makes room
            if least is not None:
                least.hide()
            height = self.note.layout().totalHeightForWidth(width)
            if height <= self.height():
                break
        # over a face it keeps to the foot, so that the face can be seen
        top = (self.height() - height) // 2 if self._image is None else self.height() - height - 16
        self.note.setGeometry((self.width() - width) // 2, max(0, top), width, min(height, self.height()))

    # -- events ----------------------------------------------------------------------------------------------------
    def resizeEvent(self, event) -> None:
        self._place_note()

    def contextMenuEvent(self, event) -> None:
        self.menu_wanted.emit(event.globalPos())

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.SmoothPixmapTransform | QPainter.Antialiasing)
        area = QRectF(self.rect())
        if self._image is not None:
            image, edge = self._image, round(self.width() * self.devicePixelRatioF())
            if edge < 0.8 * image.width():  # a large picture in a small place is averaged, not sampled
                image = image.scaled(edge, edge, Qt.IgnoreAspectRatio, Qt.SmoothTransformation)
            painter.drawImage(area, image)
        else:
            painter.fillRect(area, self.palette().base())
            self._paint_placeholder(painter)
        if self._busy:
            painter.fillRect(QRectF(0, self.height() - 3, self.width(), 3), self.palette().highlight())

    def _paint_placeholder(self, painter: QPainter) -> None:
        """The outline of a head, faintly."""
        side = min(self.width(), self.height())
        pen = QPen(self.palette().midlight().color(), max(2, side / 120))
        painter.setPen(pen)
        painter.translate(self.width() / 2, self.height() / 2)
        painter.scale(side, side)
        pen.setWidthF(0.008)
        painter.setPen(pen)
        painter.drawEllipse(QRectF(-0.2, -0.27, 0.4, 0.54))
        painter.drawArc(QRectF(-0.42, 0.3, 0.84, 0.5), 20 * 16, 140 * 16)
