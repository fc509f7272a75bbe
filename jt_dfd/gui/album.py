"""Past faces on disk, so that they outlive the window: a PNG for each, with its drawing and settings, as every saved
face has them, and its vectors; beside it a small file with what a person made of it (name, pin).  No widget."""
from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import List, Optional

from PyQt5.QtCore import QObject, pyqtSignal

from .. import pictures
from ..atomic import write_text
from . import files
from .background import Background
from .history import Entry
from .settings import FaceSettings

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
        self._do(lambda: read(self.folder), self.loaded.emit)

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


def read(folder: Path) -> List[Entry]:
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
