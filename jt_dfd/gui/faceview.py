"""The face beside the page, and what there is to know about it: that a newer one is on its way, that it is an earlier
drawing's, that it could not be made, that the engine is not ready."""
from __future__ import annotations

from typing import Optional

import numpy as np
from PyQt5.QtCore import QRectF, QSize, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QColor, QImage, QPainter
from PyQt5.QtWidgets import QLabel, QProgressBar, QSizePolicy, QWidget

from .layouts import column
from .strokes import to_image
from .words import tr

#: milliseconds that a face may take before one is told of it: a word that flashes at every stroke disturbs (ours)
PATIENT = 350
#: milliseconds between two pictures of the busy line
_BEAT = 60


class FaceView(QWidget):
    """Shows a face, dimmed and with a word in its corner where it is not that of the drawing; over it, while the engine
    starts, a message with a progress bar.

    menu_wanted(QPoint)   right click, global position
    """

    menu_wanted = pyqtSignal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Ignored)
        self._image: Optional[QImage] = None
        self._busy, self._stale, self._failed, self._why = False, False, "", ""
        self._told = False  # has it taken long enough to be told?
        self._beats = 0
        self._patience = QTimer(self, singleShot=True, interval=PATIENT, timeout=self._tell)
        self._clock = QTimer(self, interval=_BEAT, timeout=self._beat)
        self.word = QLabel(self, objectName="word")
        self.word.hide()
        self.note = QWidget(self, autoFillBackground=True)
        self.title, self.step, self.hint = (QLabel(objectName=name, alignment=Qt.AlignCenter, wordWrap=True)
                                            for name in ("caption", "", "quiet"))
        self.bar = QProgressBar(textVisible=False)
        column(self.title, self.step, self.bar, self.hint, of=self.note, margins=(12, 10, 12, 10))
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
        self._show_state()

    @property
    def busy(self) -> bool:
        return self._busy

    @property
    def dimmed(self) -> bool:
        return self._image is not None and (bool(self._failed) or self._stale and (self._told or not self._busy))

    def set_state(self, busy: bool, stale: bool, failed: str = "", why: str = "") -> None:
        """busy: a newer face is on its way; stale: the one shown is an earlier drawing's; failed: why the newest could
        not be made, a code or an exception's words; why: what a busy one waits for, where that is not the work."""
        if (busy, stale, failed, why) == (self._busy, self._stale, self._failed, self._why):
            return
        if busy and not self._busy:
            self._told = self._image is None  # nothing to look at meanwhile: told at once
            self._patience.start()
            self._clock.start()
        elif not busy:
            self._patience.stop()
            self._clock.stop()
        self._busy, self._stale, self._failed, self._why = busy, stale, failed, why
        self._show_state()

    def _describe(self, text: str) -> None:
        """For screen readers, which Qt tells of a description that changed."""
        if text != self.accessibleDescription():
            self.setAccessibleDescription(text)

    def _tell(self) -> None:
        self._told = True
        self._show_state()

    def _beat(self) -> None:
        self._beats += 1
        self.update(0, self.height() - 4, self.width(), 4)

    def _show_state(self) -> None:
        text = ""
        if self._failed:
            text = tr("face.failed")
        elif self._busy:
            text = (self._why or tr("face.busy")) if self._told else ""
        elif self._stale and self._image is not None:
            text = tr("face.stale")
        self._describe(text or (tr("face.shown") if self._image is not None else tr("face.none")))
        self.word.setText(text)
        self.word.setToolTip(tr(self._failed) if self._failed else "")
        self.word.adjustSize()
        self.word.move(10, 10)
        self.word.setVisible(bool(text) and self.note.isHidden())  # the note says it, and lies where the word does
        self.word.raise_()
        self.update()

    def show_note(self, title: str, step: str = "", hint: str = "", done: int = 0, total: int = 0,
                  bar: bool = True) -> None:
        """A message over the face, with a progress bar that swings where the total is not known."""
        for label, text in ((self.title, title), (self.step, step), (self.hint, hint)):
            label.setText(text)
            label.setVisible(bool(text))
        self.bar.setVisible(bar)
        self.bar.setRange(0, max(0, total))
        self.bar.setValue(done)
        self.note.show()
        self._show_state()
        self._place_note()

    def hide_note(self) -> None:
        self.note.hide()
        self._show_state()  # in the language of the moment

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
        # over a face it keeps to the top: hair is missed less than eyes and chin
        top = (self.height() - height) // 2 if self._image is None else 8
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
        if self.dimmed:
            veil = QColor(self.palette().window().color())
            veil.setAlpha(120)
            painter.fillRect(area, veil)
        if self._busy:  # a short bar that runs along the foot
            colour, length = self.palette().highlight(), max(40.0, self.width() / 4)
            at = (self._beats * 9) % (self.width() + length) - length
            painter.fillRect(QRectF(at, self.height() - 4, length, 4), colour)
