"""Bars that say something and offer what can be done about it.  Not dialogs: one can draw at once and decide later."""
from __future__ import annotations

import time
from typing import List, Mapping, Optional

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtWidgets import QAbstractButton, QFrame, QLabel, QPushButton

from .files import Opened
from .layouts import row
from .recovery import Leftover
from .words import TEXTS, Words, tr


class _Bar(QFrame):
    """A text, and a button for each code with what it calls."""

    def __init__(self, words: Words, calls, parent=None):
        super().__init__(parent)
        self.setObjectName("bar")
        self.label = QLabel(wordWrap=True)  # or the window would grow as wide as the sentence
        self.buttons = []
        for code, call in calls:
            button = QPushButton(clicked=lambda checked, call=call: call())
            words.bind(button.setText, code)
            if code + ".tip" in TEXTS["en"]:
                words.bind(button.setToolTip, code + ".tip")
            self.buttons.append(button)
        row((self.label, 1), *self.buttons, of=self, margins=(14, 6, 14, 6))
        words.changed.connect(self._show)
        self.hide()

    def _show(self) -> None:
        raise NotImplementedError


class RecoveryBar(_Bar):
    """Offers drawings which dead windows left.

    chosen(Leftover)   bring this drawing back
    """

    chosen = pyqtSignal(object)

    def __init__(self, words: Words, parent=None):
        self._found: List[Leftover] = []
        super().__init__(words, (("recovery.recover", lambda: self.chosen.emit(self._next())),
                                 ("recovery.discard", lambda: self._next().discard()),
                                 ("recovery.later", self.release)), parent)
        self.recover, self.discard, self.later = self.buttons

    def offer(self, found: List[Leftover]) -> None:
        self._found = list(found) + self._found
        self._show()

    def _next(self) -> Leftover:
        leftover = self._found.pop(0)
        self._show()
        return leftover

    def _show(self) -> None:
        self.setVisible(bool(self._found))
        if self._found:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self._found[0].time))
            more = "  " + tr("recovery.more", n=len(self._found) - 1) if len(self._found) > 1 else ""
            self.label.setText(tr("recovery.found", when=when) + more)

    def release(self) -> None:
        """Leave what is left for another day."""
        for leftover in self._found:
            leftover.release()
        self._found = []
        self._show()


class ReadingBar(_Bar):
    """Says how a picture from elsewhere was read.

    as_is_wanted        take this picture as it is
    sketch_wanted       a photograph's face as a sketch of this style (data.sketching)
    trace_wanted(bool)  the photograph under the page, or away from there

    genders are the panel's buttons: whose face a photograph shows is not guessed, so the choice is offered with it.
    """

    as_is_wanted = pyqtSignal(object)
    sketch_wanted = pyqtSignal(object, str)
    trace_wanted = pyqtSignal(bool)

    def __init__(self, words: Words, genders: Mapping[str, QAbstractButton], parent=None):
        self.opened: Optional[Opened] = None
        super().__init__(words, (("photo.sketch", lambda: self.sketch_wanted.emit(self.opened, "lines")),
                                 ("photo.strokes", lambda: self.sketch_wanted.emit(self.opened, "drawn")),
                                 ("photo.trace", lambda: self.trace_wanted.emit(self.trace.isChecked())),
                                 *((f"gender.{name}", button.click) for name, button in genders.items()),
                                 ("reading.as_is", lambda: self.as_is_wanted.emit(self.opened)),
                                 ("close", self.release)), parent)
        self.sketch, self.strokes, self.trace, *mirrored, self.as_is, _ = self.buttons
        self.sketch.setObjectName("primary")
        self.genders, self._panel = dict(zip(genders, mirrored)), genders
        for button in (self.trace, *mirrored):
            button.setCheckable(True)
        for name, button in genders.items():
            self.genders[name].setChecked(button.isChecked())
            button.toggled.connect(self.genders[name].setChecked)
            self.genders[name].clicked.connect(lambda _, name=name: self.genders[name].setChecked(
                genders[name].isChecked()))  # a click on the one that holds leaves it

    def show_reading(self, opened: Opened) -> None:
        """Say what was done to this picture; nothing where nothing was."""
        reading = opened.reading
        self.opened = opened if reading is not None and (reading.notes or reading.warnings) else None
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
        for widget in (self.sketch, self.strokes, self.trace, *self.genders.values()):
            widget.setVisible(self.opened.photograph is not None)
        for name, button in self._panel.items():
            self.genders[name].setEnabled(button.isEnabled())
        self.as_is.setVisible(bool(reading.notes))
