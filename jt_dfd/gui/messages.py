"""Dialogs that say something: what went wrong, and which keys there are."""
from __future__ import annotations

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QFontDatabase
from PyQt5.QtWidgets import (QDialog, QDialogButtonBox, QFrame, QGridLayout, QHBoxLayout, QLabel, QPlainTextEdit,
                             QPushButton, QScrollArea, QStyle, QVBoxLayout, QWidget)

from .words import mark, tr


class EngineTrouble(QDialog):
    """The engine cannot run: why, the details, and what can be done.  Not modal: one can go on drawing.

    folder_wanted   pick another weights folder
    retry_wanted
    """

    folder_wanted = pyqtSignal()
    retry_wanted = pyqtSignal()

    def __init__(self, weights: bool, message: str, details: str, parent=None):
        super().__init__(parent)
        self.setAttribute(Qt.WA_ShowWithoutActivating)  # a stroke or a key may be under way
        self.setWindowTitle(tr("No faces can be made") if not weights else tr("The weights cannot be used"))
        self.setMinimumWidth(640)
        self.message = QLabel(tr(message))
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextSelectableByMouse)
        mood = QLabel()
        mood.setPixmap(self.style().standardIcon(QStyle.SP_MessageBoxWarning).pixmap(40, 40))
        mood.setAlignment(Qt.AlignTop)
        calm = QLabel(tr("Your drawing is safe; you can go on drawing and save it."))
        calm.setObjectName("quiet")
        calm.setWordWrap(True)
        self.details = QPlainTextEdit(details.strip())
        self.details.setReadOnly(True)
        self.details.setLineWrapMode(QPlainTextEdit.NoWrap)
        self.details.setFont(QFontDatabase.systemFont(QFontDatabase.FixedFont))
        self.details.setMinimumHeight(180)
        self.details.hide()
        self.folder = QPushButton(tr("Choose another folder…"))
        self.again = QPushButton(tr("Try again"))
        more = QPushButton(tr("Details"))
        more.setCheckable(True)
        more.setVisible(bool(details.strip()))
        close = QPushButton(tr("Close"))
        self.folder.clicked.connect(lambda: (self.accept(), self.folder_wanted.emit()))
        self.again.clicked.connect(lambda: (self.accept(), self.retry_wanted.emit()))
        more.toggled.connect(self._show_details)
        close.clicked.connect(self.reject)
        top = QHBoxLayout()
        top.addWidget(mood)
        words = QVBoxLayout()
        words.addWidget(self.message)
        words.addWidget(calm)
        words.addStretch(1)
        top.addLayout(words, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(more)
        buttons.addStretch(1)
        more.setAutoDefault(False)
        for button in (self.again, close, self.folder):
            buttons.addWidget(button)
        self.folder.setDefault(weights)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 18, 18, 14)
        layout.addLayout(top)
        layout.addWidget(self.details)
        layout.addLayout(buttons)

    def _show_details(self, shown: bool) -> None:
        self.details.setVisible(shown)
        self.adjustSize()


#: (what it is about, [(keys, what they do)])
KEYS = [
    (mark("Drawing"), [
        ("B", mark("Brush")), ("E", mark("Eraser")), ("[  ]", mark("Smaller, larger tool")),
        ("M", mark("Mirror drawing")), ("Shift", mark("Straight line; with Ctrl in steps of 15°")),
        (mark("Right button"), mark("Erase, whatever the tool")),
        (mark("Pen"), mark("Pressure is width; its other end erases")),
        ("Esc", mark("Drop the stroke at hand")),
        ("Ctrl+Z", mark("Undo")), ("Ctrl+Shift+Z", mark("Redo")), ("Ctrl+Del", mark("Clear the page")),
    ]),
    (mark("View"), [
        (mark("Wheel"), mark("Zoom")), ("Ctrl +  Ctrl −", mark("Zoom")), ("Ctrl+0", mark("Whole page")),
        (mark("Space and drag"), mark("Move the page; the middle button too")), ("S", mark("Shadow on, off")),
        ("F11", mark("Full screen")),
    ]),
    (mark("Face"), [
        ("Ctrl+Return", mark("Convert now")), ("R", mark("Real time on, off")),
        ("Ctrl+R", mark("Random face as a start")),
        ("Ctrl+T", mark("Refinement sweep")), ("Ctrl+M", mark("Morph between two faces")),
        (mark("Double click"), mark("In the history: back to that face")),
    ]),
    (mark("Files"), [
        ("Ctrl+N", mark("New drawing")), ("Ctrl+O", mark("Open a picture")), ("Ctrl+V", mark("Paste a picture")),
        ("Ctrl+S", mark("Save the drawing")), ("Ctrl+Shift+S", mark("Save the drawing as…")),
        ("Ctrl+E", mark("Save the face as…")), ("Ctrl+Shift+E", mark("Export side by side…")),
        ("Ctrl+Alt+S", mark("Save drawing and face into a folder")),
        ("Ctrl+C", mark("Copy the face")), ("Ctrl+Q", mark("Quit")), ("F1", mark("This sheet")),
    ]),
]


class KeySheet(QDialog):
    """All keys on a page."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setWindowTitle(tr("Keys and gestures"))
        page = QWidget()
        columns = QHBoxLayout(page)
        columns.setSpacing(28)
        columns.setContentsMargins(12, 8, 12, 0)
        for pair in (KEYS[:2], KEYS[2:]):
            grid = QGridLayout()
            grid.setHorizontalSpacing(14)
            grid.setVerticalSpacing(4)
            grid.setColumnStretch(1, 1)
            for title, rows in pair:
                caption = QLabel(tr(title))
                caption.setObjectName("caption")
                if grid.rowCount() > 1:
                    grid.setRowMinimumHeight(grid.rowCount(), 10)
                grid.addWidget(caption, grid.rowCount(), 0, 1, 2)
                for keys, text in rows:
                    key = QLabel(tr(keys))
                    key.setObjectName("key")
                    key.setAlignment(Qt.AlignCenter)
                    row = grid.rowCount()
                    grid.addWidget(key, row, 0)
                    grid.addWidget(QLabel(tr(text)), row, 1)
            grid.setRowStretch(grid.rowCount(), 1)
            columns.addLayout(grid, 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.NoFrame)
        area.setWidget(page)
        buttons = QDialogButtonBox(QDialogButtonBox.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(area)
        layout.addWidget(buttons)
        hint = page.sizeHint()
        self.resize(min(hint.width() + 50, 1100), min(hint.height() + 80, 760))
