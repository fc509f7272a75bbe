"""The bar that says how a picture from elsewhere was read, and offers what else can be done with it."""
from __future__ import annotations

from typing import Optional

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QPalette
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSlider

from .files import Opened
from .words import Words, tr

#: opacity at which a photograph lies under the page at first, in %
OPACITY = 35


class ReadingBar(QFrame):
    """as_is_wanted        take this picture as it is
    sketch_wanted       a photograph's face as a sketch of this style (data.sketching)
    trace_wanted(int)   the photograph under the page at this opacity in %; 0 takes it away
    """

    as_is_wanted = pyqtSignal(object)
    sketch_wanted = pyqtSignal(object, str)
    trace_wanted = pyqtSignal(int)

    def __init__(self, words: Words, parent=None):
        super().__init__(parent)
        self.opened: Optional[Opened] = None
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.AlternateBase)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.sketch, self.strokes, self.trace, self.as_is, self.close_button = (QPushButton() for _ in range(5))
        self.opacity = QSlider(Qt.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setFixedWidth(110)
        self.opacity.setFocusPolicy(Qt.NoFocus)
        words.bind(self.sketch.setText, "photo.sketch")
        words.bind(self.sketch.setToolTip, "photo.sketch.tip")
        words.bind(self.strokes.setText, "photo.strokes")
        words.bind(self.strokes.setToolTip, "photo.strokes.tip")
        words.bind(self.trace.setText, "photo.trace")
        words.bind(self.trace.setToolTip, "photo.trace.tip")
        words.bind(self.opacity.setToolTip, "photo.opacity")
        words.bind(self.opacity.setAccessibleName, "photo.opacity")
        words.bind(self.as_is.setText, "reading.as_is")
        words.bind(self.close_button.setText, "close")
        self.trace.setCheckable(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 14, 6)
        row.addWidget(self.label, 1)
        for widget in (self.sketch, self.strokes, self.trace, self.opacity, self.as_is, self.close_button):
            row.addWidget(widget)
        self.sketch.clicked.connect(lambda checked: self.sketch_wanted.emit(self.opened, "lines"))
        self.strokes.clicked.connect(lambda checked: self.sketch_wanted.emit(self.opened, "drawn"))
        self.trace.toggled.connect(self._trace)
        self.opacity.valueChanged.connect(lambda value: self.trace.isChecked() and self.trace_wanted.emit(value))
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
        self.trace.setChecked(False)
        self.opened = None
        self._show()

    def _trace(self, on: bool) -> None:
        self.opacity.setVisible(on)
        self.opacity.setValue(OPACITY)
        self.trace_wanted.emit(OPACITY if on else 0)

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
        self.opacity.setVisible(photograph and self.trace.isChecked())
        self.as_is.setVisible(bool(reading.notes))
