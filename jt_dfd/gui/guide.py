"""What an empty page says: where the parts of a face belong, a sentence, and drawings to begin with."""
from __future__ import annotations

from pathlib import Path
from typing import Dict

from PyQt5.QtCore import QObject, QSize, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QIcon, QPixmap
from PyQt5.QtWidgets import QAction, QLabel, QToolButton

from . import files
from .canvas import Canvas
from .document import Document
from .strokes import Raster
from .words import Words, tr

#: drawings that come with the window: {name: file}
EXAMPLES: Dict[str, Path] = {path.stem: path for path in sorted((Path(__file__).parent / "examples").glob("*.svg"))}


def picture(name: str) -> QIcon:
    """A small picture of an example."""
    raster = Raster(1)
    raster.show(files.load_svg(EXAMPLES[name])[0])
    return QIcon(QPixmap.fromImage(raster.image.scaled(192, 192, Qt.KeepAspectRatio, Qt.SmoothTransformation)))


class EmptyPage(QObject):
    """Shows itself on a canvas as long as nothing is drawn.

    examples      {name: action}, those of its buttons, for a menu
    chosen(str)   an example was asked for
    """

    chosen = pyqtSignal(str)

    def __init__(self, canvas: Canvas, document: Document, words: Words, parent=None):
        super().__init__(parent)
        self._canvas, self._document, self.on = canvas, document, True
        self.sentence = QLabel(canvas, objectName="onpage", wordWrap=True, alignment=Qt.AlignCenter)
        self.sentence.setAttribute(Qt.WA_TransparentForMouseEvents)
        words.bind(self.sentence.setText, "empty.sentence")
        self.examples, self.buttons = {}, {}
        for n, name in enumerate(EXAMPLES, 1):
            action = QAction(str(n), self, triggered=lambda checked, name=name: self.chosen.emit(name))
            button = QToolButton(canvas, objectName="onpage", focusPolicy=Qt.TabFocus)
            button.setDefaultAction(action)
            button.setCursor(Qt.ArrowCursor)
            words.bind(lambda text, action=action, button=button, n=n: (
                action.setToolTip(tr("empty.example.tip")), button.setAccessibleName(tr("empty.example", n=n))),
                "empty.example.tip")
            self.examples[name], self.buttons[name] = action, button
        canvas.resized.connect(self._place)
        canvas.stroke_begun.connect(self.show)
        document.changed.connect(self.show)
        words.changed.connect(self._place)
        self.show()
        QTimer.singleShot(0, self._paint)   # the window is shown before its examples are painted

    def _paint(self) -> None:
        for name, action in self.examples.items():
            action.setIcon(picture(name))

    def switch(self, on: bool) -> None:
        self.on = on
        self.show()

    def show(self) -> None:
        """As things are now."""
        there = self.on and not self._canvas.drawing and self._document.is_blank()
        self._canvas.set_guide(self.on)
        for widget in (self.sentence, *self.buttons.values()):
            widget.setVisible(there)

    def _place(self) -> None:
        side = self._canvas.width()
        edge = max(30, min(96, round(0.16 * side)))
        for n, button in enumerate(self.buttons.values()):
            button.setIconSize(QSize(edge - 8, edge - 8))
            top = self._canvas.height() - (len(self.buttons) - n) * (edge + 6) - 4
            button.setGeometry(side - edge - 8, top, edge, edge)
        width = round(0.9 * side)
        self.sentence.setGeometry((side - width) // 2, 4, width, self.sentence.heightForWidth(width) + 4)
