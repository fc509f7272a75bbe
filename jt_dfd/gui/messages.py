"""Dialogs that say something: what went wrong, and which keys there are."""
from __future__ import annotations

import re

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QFontDatabase
from PyQt5.QtWidgets import (
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

from .layouts import column, row
from .words import plain, tr


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
