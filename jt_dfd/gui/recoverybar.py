"""The bar that offers a drawing which a dead window left.  Not a dialog: one can draw at once and decide later."""
from __future__ import annotations

import time
from typing import List

from PyQt5.QtCore import pyqtSignal
from PyQt5.QtGui import QPalette
from PyQt5.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from .recovery import Leftover
from .words import Words, tr


class RecoveryBar(QFrame):
    """chosen(Leftover)   bring this drawing back"""

    chosen = pyqtSignal(object)

    def __init__(self, words: Words, parent=None):
        super().__init__(parent)
        self._found: List[Leftover] = []
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.AlternateBase)
        self.label = QLabel()
        self.label.setWordWrap(True)  # or the window would grow as wide as the sentence
        self.recover, self.later, self.discard = QPushButton(), QPushButton(), QPushButton()
        words.bind(self.recover.setText, "recovery.recover")
        words.bind(self.later.setText, "recovery.later")
        words.bind(self.discard.setText, "recovery.discard")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 14, 6)
        row.addWidget(self.label, 1)
        for button, call in ((self.recover, self._recover), (self.discard, self._discard), (self.later, self.release)):
            button.clicked.connect(lambda checked, call=call: call())
            row.addWidget(button)
        words.changed.connect(self._show)
        self.hide()

    def offer(self, found: List[Leftover]) -> None:
        self._found = list(found) + self._found
        self._show()

    def _show(self) -> None:
        self.setVisible(bool(self._found))
        if self._found:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self._found[0].time))
            text = tr("recovery.found", when=when)
            if len(self._found) > 1:
                text += "  " + tr("recovery.more", n=len(self._found) - 1)
            self.label.setText(text)

    def _recover(self) -> None:
        leftover = self._found.pop(0)
        self._show()
        self.chosen.emit(leftover)

    def _discard(self) -> None:
        self._found.pop(0).discard()
        self._show()

    def release(self) -> None:
        """Leave what is left for another day."""
        for leftover in self._found:
            leftover.release()
        self._found = []
        self._show()
