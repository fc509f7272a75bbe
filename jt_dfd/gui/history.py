"""The strip of past faces."""
from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np
from PyQt5.QtCore import QSize, Qt, pyqtSignal
from PyQt5.QtGui import QIcon, QPixmap
from PyQt5.QtWidgets import QAbstractItemView, QListView, QListWidget, QListWidgetItem

from .settings import FaceSettings
from .strokes import CANVAS, to_image

#: faces that are kept (ours: some 40 MB)
MOST = 48
_THUMB = 76


@dataclass(eq=False)
class Entry:
    """A face with all that made it; the drawing is kept compressed."""

    face: np.ndarray
    vectors: Dict[str, np.ndarray]
    settings: FaceSettings
    drawing_bytes: bytes = field(repr=False, default=b"")

    @classmethod
    def of(cls, result) -> "Entry":
        return cls(result.face, result.vectors, result.settings.copy(), zlib.compress(result.sketch.tobytes(), 1))

    @property
    def drawing(self) -> np.ndarray:
        return np.frombuffer(zlib.decompress(self.drawing_bytes), np.uint8).reshape(CANVAS, CANVAS).copy()


class HistoryStrip(QListWidget):
    """Newest first.

    restore_wanted(Entry)            double click or Return
    menu_wanted(list, QPoint)        right click: the selected entries, global position
    """

    restore_wanted = pyqtSignal(object)
    menu_wanted = pyqtSignal(list, object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setFlow(QListView.LeftToRight)
        self.setViewMode(QListView.IconMode)
        self.setWrapping(False)
        self.setMovement(QListView.Static)
        self.setIconSize(QSize(_THUMB, _THUMB))
        self.setSpacing(2)
        self.setFixedHeight(_THUMB + 22)
        self.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.itemDoubleClicked.connect(lambda item: self.restore_wanted.emit(item.data(Qt.UserRole)))

    @property
    def entries(self) -> List[Entry]:
        return [self.item(n).data(Qt.UserRole) for n in range(self.count())]

    def selected(self) -> List[Entry]:
        rows = sorted(self.row(item) for item in self.selectedItems())
        return [self.item(n).data(Qt.UserRole) for n in rows]

    def add(self, entry: Entry) -> None:
        """At the front; one that shows the same face as the newest is left out."""
        if self.count() and np.array_equal(self.item(0).data(Qt.UserRole).face, entry.face):
            return
        self.insertItem(0, _item(entry))
        while self.count() > MOST:
            self.takeItem(self.count() - 1)
        self.scrollToTop()
        self.horizontalScrollBar().setValue(0)

    def remove(self, entries: List[Entry]) -> None:
        for n in reversed(range(self.count())):
            if self.item(n).data(Qt.UserRole) in entries:
                self.takeItem(n)

    def latest(self) -> Optional[Entry]:
        return self.item(0).data(Qt.UserRole) if self.count() else None

    def keyPressEvent(self, event) -> None:
        if event.key() in (Qt.Key_Return, Qt.Key_Enter) and self.currentItem() is not None:
            self.restore_wanted.emit(self.currentItem().data(Qt.UserRole))
        elif event.key() == Qt.Key_Delete:
            self.remove(self.selected())
        else:
            super().keyPressEvent(event)

    def _menu(self, position) -> None:
        item = self.itemAt(position)
        if item is not None and not item.isSelected():
            self.setCurrentItem(item)
        if self.selected():
            self.menu_wanted.emit(self.selected(), self.viewport().mapToGlobal(position))


def thumbnail(face: np.ndarray, size: int = _THUMB) -> QPixmap:
    return QPixmap.fromImage(to_image(face)).scaled(size * 2, size * 2, Qt.KeepAspectRatio, Qt.SmoothTransformation)


def _item(entry: Entry) -> QListWidgetItem:
    item = QListWidgetItem(QIcon(thumbnail(entry.face)), "")
    item.setData(Qt.UserRole, entry)
    return item
