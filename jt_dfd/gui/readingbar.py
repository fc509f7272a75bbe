"""The bar that says how a picture from elsewhere was read, and offers what else can be done with it."""
from __future__ import annotations

from typing import Optional

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtGui import QPalette
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from .files import Opened
from .words import Words, tr


class ReadingBar(QFrame):
    """as_is_wanted        take this picture as it is
    sketch_wanted       a photograph's face as a sketch of this style (data.sketching)
    trace_wanted(bool)  the photograph under the page, or away from there
    """

    as_is_wanted = pyqtSignal(object)
    sketch_wanted = pyqtSignal(object, str)
    trace_wanted = pyqtSignal(bool)

    def __init__(self, words: Words, parent=None):
        super().__init__(parent)
        self.opened: Optional[Opened] = None
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.AlternateBase)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.sketch, self.strokes, self.trace, self.as_is, self.close_button = (QPushButton() for _ in range(5))
        words.bind(self.sketch.setText, "photo.sketch")
        words.bind(self.sketch.setToolTip, "photo.sketch.tip")
        words.bind(self.strokes.setText, "photo.strokes")
        words.bind(self.strokes.setToolTip, "photo.strokes.tip")
        words.bind(self.trace.setText, "photo.trace")
        words.bind(self.trace.setToolTip, "photo.trace.tip")
        words.bind(self.as_is.setText, "reading.as_is")
        words.bind(self.close_button.setText, "close")
        self.trace.setCheckable(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 14, 6)
        row.addWidget(self.label, 1)
        for widget in (self.sketch, self.strokes, self.trace, self.as_is, self.close_button):
            row.addWidget(widget)
        self.sketch.clicked.connect(lambda checked: self.sketch_wanted.emit(self.opened, "lines"))
        self.strokes.clicked.connect(lambda checked: self.sketch_wanted.emit(self.opened, "drawn"))
        self.trace.clicked.connect(self.trace_wanted)
        self.as_is.clicked.connect(lambda checked: self.as_is_wanted.emit(self.opened))
        self.close_button.clicked.connect(lambda checked: self.release())
        words.changed.connect(self._show)
        self.hide()

    def show_reading(self, opened: Opened) -> None:
        """Say what was done to this picture; nothing where nothing was."""
        self.release()
        if opened.reading is not None and (opened.reading.notes or opened.reading.warnings):
            self.opened = opened
            self._show()

    def release(self) -> None:
        """The drawing at hand is another one."""
        self.opened = None
        self._show()

    def _show(self) -> None:
        self.setVisible(self.opened is not None)
        if self.opened is None:
            return
        reading = self.opened.reading
        lines = [tr("reading." + remark.code, **dict(remark.values)) for remark in (*reading.warnings, *reading.notes)]
        self.label.setText("\n".join(line[:1].upper() + line[1:] for line in lines))
        photograph = self.opened.photograph is not None
        for widget in (self.sketch, self.strokes, self.trace):
            widget.setVisible(photograph)
        self.as_is.setVisible(bool(reading.notes))
