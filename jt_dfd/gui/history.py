"""Past faces: as a grid beside the page, and on disk, so that they outlive the window: a PNG for each, with its drawing
and settings, as every saved face has them, and its vectors; beside it a small file with what a person made of it (name,
pin)."""
from __future__ import annotations

import json
import time
import uuid
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Union

import numpy as np
from PyQt5.QtCore import QObject, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from PyQt5.QtWidgets import QAbstractItemView, QListView, QListWidget, QListWidgetItem, QSizePolicy

from .. import pictures
from ..atomic import write_text
from . import files
from .background import Background
from .settings import FaceSettings
from .strokes import CANVAS, Item, to_image
from .words import tr

#: faces that are kept (ours: some 40 MB)
MAX_ENTRIES = 48
_THUMB = 120
#: width of a column below which there is one fewer, and the least height for a row, logical pixels (ours)
_CELL, MIN_THUMB = 118, 90


@dataclass(eq=False)
class Entry:
    """A face with all that made it; the drawing is kept compressed."""

    face: np.ndarray
    vectors: Dict[str, np.ndarray]
    settings: FaceSettings
    drawing_bytes: bytes = field(repr=False, default=b"")
    session: Union[int, str] = 0  # faces of the same one came of the growing of one drawing
    pinned: bool = False
    name: str = ""
    path: Any = None  # a Path in the album, where it is kept on disk, with the name of its session there
    kept_session: str = ""
    items: List[Item] = field(repr=False, default_factory=list)  # the drawing's strokes, where they are known
    _small: Optional[QImage] = field(repr=False, default=None)
    _pixmap: Optional[QPixmap] = field(repr=False, default=None)

    @classmethod
    def made(cls, face, vectors, settings, drawing, items) -> "Entry":
        return cls(face, vectors, settings.copy(), zlib.compress(drawing.tobytes(), 1), items=items)

    @classmethod
    def of(cls, result) -> "Entry":
        return cls.made(result.face, result.vectors, result.settings, result.sketch, result.tag[2])

    def small(self) -> QImage:
        """The face, small; on any thread."""
        if self._small is None:
            self._small = to_image(self.face).scaled(2 * _THUMB, 2 * _THUMB, Qt.KeepAspectRatio,
                                                     Qt.SmoothTransformation)
        return self._small

    def picture(self, count: int = 0) -> QPixmap:
        """The face, small; with how many it stands for, where that is more than itself."""
        if self._pixmap is None:
            self._pixmap = QPixmap.fromImage(self.small())
        word = ("\u2605 " if self.pinned else "") + (str(count) if count > 1 else "")
        return _badge(self._pixmap, word.strip()) if word.strip() else self._pixmap

    @property
    def drawing(self) -> np.ndarray:
        return np.frombuffer(zlib.decompress(self.drawing_bytes), np.uint8).reshape(CANVAS, CANVAS).copy()


class History(QListWidget):
    """Past faces as a grid, pinned ones first, then the newest.  The faces of one drawing's growing (a session) are one
    entry that shows the latest and how many there are; unfolded, each has a place of its own.

    restore_wanted(Entry)            double click or Return
    menu_wanted(list, QPoint)        right click: the selected entries, global position
    changed                          faces came, went or changed place
    added(Entry) noted(Entry) removed(list)   for whoever keeps them: as said; noted: its name or pin
    """

    restore_wanted = pyqtSignal(object)
    menu_wanted = pyqtSignal(list, object)
    changed = pyqtSignal()
    added = pyqtSignal(object)
    noted = pyqtSignal(object)
    removed = pyqtSignal(list)

    def __init__(self, parent=None):
        # the vertical bar's coming and going would move the grid
        super().__init__(parent, flow=QListView.LeftToRight, viewMode=QListView.IconMode, isWrapping=True,
                         resizeMode=QListView.Adjust, movement=QListView.Static, spacing=0,
                         selectionMode=QAbstractItemView.ExtendedSelection, minimumHeight=2 * MIN_THUMB,
                         horizontalScrollBarPolicy=Qt.ScrollBarAlwaysOff,
                         verticalScrollBarPolicy=Qt.ScrollBarAlwaysOn, contextMenuPolicy=Qt.CustomContextMenu,
                         customContextMenuRequested=self._menu)
        self._entries: List[Entry] = []  # newest first
        self._unfolded: Set[Union[int, str]] = set()  # sessions
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Expanding)
        self.verticalScrollBar().rangeChanged.connect(lambda low, high: self.verticalScrollBar().setEnabled(high > low))
        self.itemDoubleClicked.connect(lambda item: self.restore_wanted.emit(item.data(Qt.UserRole)))

    def sizeHint(self) -> QSize:
        return QSize(2 * _THUMB, 2 * _THUMB)

    # -- what is there ---------------------------------------------------------------------------------------------
    @property
    def entries(self) -> List[Entry]:
        """All faces, newest first, steps within a session too."""
        return list(self._entries)

    def steps(self, entry: Entry) -> List[Entry]:
        """The faces of an entry's session, newest first; a pinned face stands for itself."""
        if entry.pinned:
            return [entry]
        return [e for e in self._entries if e.session == entry.session and not e.pinned]

    def selected(self) -> List[Entry]:
        rows = sorted(self.row(item) for item in self.selectedItems())
        return [self.item(n).data(Qt.UserRole) for n in rows]

    def latest(self) -> Optional[Entry]:
        return self._entries[0] if self._entries else None

    # -- changes ---------------------------------------------------------------------------------------------------
    def add(self, entry: Entry, session: int = 0) -> None:
        """As the newest; one that shows the same face as the newest is left out."""
        if self._entries and np.array_equal(self._entries[0].face, entry.face):
            return
        entry.session = session
        self._entries.insert(0, entry)
        self.added.emit(entry)
        self._trim()
        self._show()
        self.scrollToTop()

    def bring_back(self, entries: List[Entry]) -> None:
        """Older ones, newest first, after all that are here."""
        self._entries += entries
        self._trim()
        self._show()

    def _trim(self) -> None:
        old = [e for e in reversed(self._entries) if not e.pinned][:max(0, len(self._entries) - MAX_ENTRIES)]
        self._entries = [e for e in self._entries if e not in old]
        if old:
            self.removed.emit(old)

    def remove(self, entries: List[Entry]) -> None:
        """A folded session goes with all its steps."""
        gone = []
        for entry in entries:
            gone += [entry] if entry.session in self._unfolded else self.steps(entry)
        self._entries = [e for e in self._entries if e not in gone]
        self.removed.emit(gone)
        self._show()

    def unfold(self, entry: Entry, on: bool) -> None:
        (self._unfolded.add if on else self._unfolded.discard)(entry.session)
        self._show()

    def is_unfolded(self, entry: Entry) -> bool:
        return entry.session in self._unfolded

    def pin(self, entry: Entry, on: bool) -> None:
        """A pinned face stays in front and is never dropped for newer ones."""
        entry.pinned = on
        self.noted.emit(entry)
        self._show()

    def name(self, entry: Entry, name: str) -> None:
        entry.name = name.strip()
        self.noted.emit(entry)
        self._show()

    def _show(self) -> None:
        chosen = self.selected()
        self.clear()
        seen: Set[Union[int, str]] = set()
        for entry in sorted(self._entries, key=lambda e: not e.pinned):
            steps = self.steps(entry)
            if not entry.pinned and entry.session in seen and entry.session not in self._unfolded:
                continue
            more = 0 if entry.pinned or entry.session in self._unfolded else len(steps)
            seen.add(entry.session) if not entry.pinned else None
            item = QListWidgetItem(QIcon(entry.picture(more)), entry.name)
            item.setData(Qt.UserRole, entry)
            item.setToolTip((entry.name + "\n" if entry.name else "") + tr("history.tip")
                            + ("\n" + tr("history.more", n=more) if more > 1 else ""))
            item.setData(Qt.AccessibleTextRole, entry.name or tr("history.face", n=self._entries.index(entry) + 1))
            self.addItem(item)
            item.setSelected(entry in chosen)
        self._fit()
        self.changed.emit()

    # -- events ----------------------------------------------------------------------------------------------------
    def _fit(self) -> None:
        """As many columns as there is room for, and the pictures as large as those allow."""
        room = max(1, self.viewport().width() - 2)
        cell = room // max(2, room // _CELL)
        name = self.fontMetrics().height() + 4 if any(e.name for e in self._entries) else 0
        self.setIconSize(QSize(cell - 10, cell - 10))
        self.setGridSize(QSize(cell, cell + name))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()

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


def _badge(pixmap: QPixmap, text: str) -> QPixmap:
    """A word in the picture's lower right corner."""
    out = QPixmap(pixmap)
    painter = QPainter(out)
    painter.setRenderHint(QPainter.Antialiasing)
    font = painter.font()
    font.setPixelSize(max(10, out.height() // 9))
    font.setBold(True)
    painter.setFont(font)
    width = painter.fontMetrics().horizontalAdvance(text) + font.pixelSize()
    box = QRectF(out.width() - width - 6, out.height() - font.pixelSize() * 1.5 - 6, width, font.pixelSize() * 1.5)
    painter.setPen(Qt.NoPen)
    painter.setBrush(QColor(20, 24, 30, 190))
    painter.drawRoundedRect(box, box.height() / 2, box.height() / 2)
    painter.setPen(Qt.white)
    painter.drawText(box, Qt.AlignCenter, text)
    painter.end()
    return out


VECTORS_KEY = "jt_dfd vectors"


class Album(QObject):
    """Everything is done on threads, in the order it was asked for.

    loaded(list)   entries of earlier windows, newest first
    failed(str)    something could not be written, and why
    """

    loaded = pyqtSignal(list)
    failed = pyqtSignal(str)

    def __init__(self, folder: Path, parent=None):
        super().__init__(parent)
        self.folder, self._run = Path(folder), uuid.uuid4().hex[:8]
        self._background = Background(self, in_order=True)
        self._closed = False

    def load(self) -> None:
        self._do(lambda: read_album(self.folder), self.loaded.emit)

    def add(self, entry: Entry) -> None:
        entry.path = self.folder / f"{time.time_ns() // 1000000:013d}-{uuid.uuid4().hex[:6]}.png"
        if isinstance(entry.session, int):  # the next window counts from the beginning again
            entry.kept_session = f"{self._run}.{entry.session}"
        self._do(lambda: files.save_face(entry.path, entry.face, entry.drawing, entry.settings, items=entry.items,
                                         **{VECTORS_KEY: FaceSettings(borrowed=entry.vectors).to_json()}))
        self.note(entry)

    def note(self, entry: Entry) -> None:
        """Its name or pin is another one."""
        text = json.dumps({"session": entry.kept_session, "pinned": entry.pinned, "name": entry.name})
        self._do(lambda: entry.path.exists() and write_text(entry.path.with_suffix(".json"), text))

    def remove(self, entries: List[Entry]) -> None:
        def work():
            for entry in entries:
                for path in (entry.path, entry.path.with_suffix(".json")):
                    path.unlink(missing_ok=True)

        self._do(work)

    def _do(self, work, done=lambda nothing: None) -> None:
        if not self._closed:
            self._background.run(work, lambda found: self._closed or done(found),
                                 lambda problem: self._closed or self.failed.emit(str(problem)))

    def close(self) -> None:
        """Finish what there is to write."""
        self._closed = True
        self._background.wait(None)


def read_album(folder: Path) -> List[Entry]:
    """Newest first; what cannot be read is left out, and left where it is."""
    found = (_entry(path) for path in sorted(folder.glob("*.png"), reverse=True))
    return [entry for entry in found if entry is not None]


def _entry(path: Path) -> Optional[Entry]:
    try:
        texts = files.texts(str(path))
        settings, kept = (FaceSettings.from_json(texts.get(key, "")) for key in (files.SETTINGS_KEY, VECTORS_KEY))
        drawing = files.stored_drawing(texts.get(files.DRAWING_KEY, ""))
        face = pictures.read_picture(path)
        beside = path.with_suffix(".json")
        note = json.loads(beside.read_text(encoding="utf8")) if beside.exists() else {}
        if settings is None or kept is None or drawing is None or face.ndim != 3:
            return None
        entry = Entry.made(face, kept.borrowed, settings, drawing, files.strokes_of(texts, drawing))
        entry.path, entry.pinned, entry.name = path, note.get("pinned") is True, str(note.get("name", ""))
        entry.session = entry.kept_session = str(note.get("session", path.stem))
        entry.small()  # here rather than in the window's thread
        return entry
    except (OSError, ValueError, AttributeError):
        return None
