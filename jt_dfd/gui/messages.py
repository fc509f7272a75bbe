"""What the window says: in bars that offer what can be done about it while one goes on drawing, and in dialogs (what
went wrong, and which keys there are)."""
from __future__ import annotations

import re
import time
from typing import List, Mapping, Optional

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QFontDatabase
from PyQt5.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QStyle,
    QWidget,
)

from .files import Opened
from .layouts import column, row
from .recovery import Leftover
from .words import TEXTS, Words, plain, tr


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
        lines = [line[:1].upper() + line[1:] for line in lines]
        room = 2 if self.window().height() < 500 else len(lines)  # warnings come first
        self.label.setText("\n".join(lines[:room]) + " …" * (room < len(lines)))
        self.label.setToolTip("\n".join(lines))
        for widget in (self.sketch, self.strokes, self.trace, *self.genders.values()):
            widget.setVisible(self.opened.photograph is not None)
        for name, button in self._panel.items():
            self.genders[name].setEnabled(button.isEnabled())
        self.as_is.setVisible(bool(reading.notes))


def plainly(message: str) -> str:
    """A message for who sits at the window: without the sentences about options and scripts of the command line, and
    without checksums.  The whole of it is among the details."""
    message = re.sub(r"its sha256 is not the one in \S+: ", "", message)
    parts = [part for part in re.split(r"(?<=[.;]) +", message) if not re.search(r"--\w|sha256|tools/\w", part)]
    return " ".join(parts) or tr("trouble.weights")


class EngineTrouble(QDialog):
    """The engine cannot run: why, the details, and what can be done.  Not modal: one can go on drawing.

    folder_wanted   pick another weights folder
    bundled_wanted  use the weights that came with the program
    retry_wanted
    """

    folder_wanted = pyqtSignal()
    bundled_wanted = pyqtSignal()
    retry_wanted = pyqtSignal()

    def __init__(self, weights: bool, message: str, details: str, bundled: bool = False, parent=None):
        super().__init__(parent)
        self.setAttribute(Qt.WA_ShowWithoutActivating)  # a stroke or a key may be under way
        self.setWindowTitle(tr("trouble.title") if not weights else tr("trouble.weights"))
        self.setMinimumWidth(min(640, QApplication.desktop().availableGeometry(parent or self).width() - 40))
        self.message = QLabel(plainly(tr(message)), wordWrap=True, textInteractionFlags=Qt.TextSelectableByMouse)
        mood = QLabel(alignment=Qt.AlignTop,
                      pixmap=self.style().standardIcon(QStyle.SP_MessageBoxWarning).pixmap(40, 40))
        calm = QLabel(tr("trouble.calm"), objectName="quiet", wordWrap=True)
        self.details = QPlainTextEdit(details.strip(), readOnly=True, lineWrapMode=QPlainTextEdit.NoWrap)
        self.details.setFont(QFontDatabase.systemFont(QFontDatabase.FixedFont))
        self.details.setMinimumHeight(180)
        self.details.hide()
        self.folder, self.again, self.bundled = (
            QPushButton(tr(code), clicked=lambda checked, wanted=wanted: (self.accept(), wanted.emit()))
            for code, wanted in (("trouble.folder", self.folder_wanted), ("trouble.again", self.retry_wanted),
                                 ("trouble.bundled", self.bundled_wanted)))
        self.bundled.setVisible(weights and bundled)
        more = QPushButton(tr("trouble.details"), checkable=True, autoDefault=False, toggled=self._show_details)
        more.setVisible(bool(details.strip()))
        close = QPushButton(tr("close"), clicked=self.reject)
        (self.bundled if bundled else self.folder).setDefault(weights)
        column(row(mood, (column(self.message, calm, 1), 1)), self.details,
               row(more, 1, self.again, close, self.folder, self.bundled), of=self, margins=(18, 18, 18, 14))

    def _show_details(self, shown: bool) -> None:
        self.details.setVisible(shown)
        self.adjustSize()


#: what the hand does besides keys: (code of the gesture, code of what it does)
GESTURES = [(f"gesture.{name}", f"gesture.{name}.does") for name in (
    "shift", "right", "pen", "select", "escape", "wheel", "space", "double")]


class KeySheet(QDialog):
    """All keys and gestures on a page; keys: as Actions.sheet() has them."""

    def __init__(self, keys, parent=None):
        super().__init__(parent)
        self.setWindowTitle(plain(tr("action.keys")))
        groups = keys + [(tr("gesture"), [(tr(name), tr(does)) for name, does in GESTURES])]
        page = QWidget()
        columns = row(of=page, margins=(12, 8, 12, 0), spacing=28)
        half = sum(len(rows) + 2 for _, rows in groups) / 2
        grid, filled = None, 0
        for title, rows in groups:
            if grid is None or filled >= half:
                grid, filled = QGridLayout(), 0
                grid.setHorizontalSpacing(14)
                grid.setVerticalSpacing(4)
                grid.setColumnStretch(1, 1)
                columns.addLayout(grid, 1)
            filled += len(rows) + 2
            if grid.rowCount() > 1:
                grid.setRowMinimumHeight(grid.rowCount(), 10)
            grid.addWidget(QLabel(title, objectName="caption"), grid.rowCount(), 0, 1, 2)
            for keys, text in rows:
                line = grid.rowCount()
                grid.addWidget(QLabel(keys, objectName="key", alignment=Qt.AlignCenter), line, 0)
                grid.addWidget(QLabel(text.replace("&", "&&")), line, 1)
        for n in range(columns.count()):
            columns.itemAt(n).layout().setRowStretch(columns.itemAt(n).layout().rowCount(), 1)
        area = QScrollArea(widgetResizable=True, frameShape=QFrame.NoFrame)
        area.setWidget(page)
        buttons = QDialogButtonBox(QDialogButtonBox.Close, rejected=self.reject)
        column(area, buttons, of=self)
        hint, room = page.sizeHint(), QApplication.desktop().availableGeometry(parent or self)
        self.resize(min(hint.width() + 50, room.width() - 20), min(hint.height() + 80, room.height() - 40))
