"""Autosave and recovery: a drawing outlives a crash, a kill and a power cut.

Every window writes a picture of its own in the recovery folder and holds a lock beside it; a picture whose lock
nobody holds was left by a window that died.  No widget.
"""
from __future__ import annotations

import os
import threading
import time
import uuid
from pathlib import Path
from typing import List, Optional

from PyQt5.QtCore import QLockFile, QObject, QStandardPaths, QTimer, pyqtSignal

from . import files
from .background import Mailbox
from .document import Document

#: milliseconds from the last change to the writing, and at most from the first (ours)
QUIET, LATEST = 700, 5000


def default_folder() -> Path:
    return Path(QStandardPaths.writableLocation(QStandardPaths.GenericDataLocation)) / "jt_dfd" / "recovery"


def _lock(path: Path) -> QLockFile:
    lock = QLockFile(str(path))
    lock.setStaleLockTime(0)  # stale only when its process is gone, not by age
    return lock


class Leftover:
    """A drawing that a dead window left; its lock is held by whoever found it, so that two windows do not both
    offer it."""

    def __init__(self, path: Path, lock: QLockFile):
        self.path, self._lock = path, lock
        self.time = path.stat().st_mtime

    def open(self) -> files.Opened:
        return files.open_picture(self.path)

    def discard(self) -> None:
        _unlink(self.path)
        self.release()

    def release(self) -> None:
        """Leave it for another window or another day."""
        self._lock.unlock()


def leftovers(folder: Optional[Path] = None) -> List[Leftover]:
    """What dead windows left in the folder, newest first."""
    found = []
    for path in Path(folder or default_folder()).glob("*.png"):
        lock = _lock(path.with_suffix(".lock"))
        if not lock.tryLock(0):
            continue
        try:
            found.append(Leftover(path, lock))
        except OSError:
            lock.unlock()
    return sorted(found, key=lambda item: -item.time)


class Autosave(QObject):
    """Writes the document to the recovery folder soon after each change, on a thread of its own: compressing a
    picture and waiting for the disk are not the window's business.

    works         it can be written again
    failed(str)   the copy could not be written, and why; said once until it can be written again
    """

    failed = pyqtSignal(str)
    works = pyqtSignal()

    def __init__(self, document: Document, folder: Optional[Path] = None, parent=None):
        super().__init__(parent)
        self._document = document
        self.folder = Path(folder or default_folder())
        self.path = self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{uuid.uuid4().hex[:6]}.png"
        self.error = ""  # why the last writing failed, "" if it did not
        self._lock: Optional[QLockFile] = None
        self._first = 0.0
        self._job = None
        self._wake = threading.Condition()
        self._thread: Optional[threading.Thread] = None
        self._closed = False
        self._older: List[Leftover] = []  # what was brought back, until a newer copy of it is on the disk
        self._complaints = Mailbox(self)
        self._complaints.arrived.connect(lambda why: self.failed.emit(why) if why else self.works.emit())
        self._timer = QTimer(self, singleShot=True, timeout=self.write)
        document.changed.connect(self.touch)
        document.settings_set.connect(lambda: self.touch() if document.modified else None)
        document.modified_changed.connect(self._on_modified)

    def touch(self) -> None:
        """Something changed: write soon."""
        now = time.monotonic()
        if not self._timer.isActive():
            self._first = now
        left = LATEST - int((now - self._first) * 1000)
        self._timer.start(max(0, min(QUIET, left)))

    def _on_modified(self, modified: bool) -> None:
        if not modified:
            self.touch()  # saved: the copy can go

    def write(self) -> None:
        """Write now what there is to lose, or remove the copy where there is nothing."""
        self._timer.stop()
        if self._document.modified and not self._document.is_blank():
            self._hand_over((self._document.pixels(), self._document.settings.copy(), self._document.items))
        else:
            self._hand_over("remove")

    def bring_back(self, leftover: Leftover) -> None:
        """The document is what a dead window left: that goes once it is written anew, or nothing is to lose."""
        self._older.append(leftover)
        self.write()

    def _hand_over(self, job) -> None:
        if self._lock is None and job != "remove":
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self._complain(error)
                return
            self._lock = lock = _lock(self.path.with_suffix(".lock"))
            lock.tryLock(0)
        with self._wake:
            self._job = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._job is None and not self._closed:
                    self._wake.wait()
                job, self._job = self._job, None
                if job is None:
                    return
            try:
                if isinstance(job, str):
                    _unlink(self.path)
                else:
                    files.save_drawing(self.path, *job)
                while self._older:
                    self._older.pop().discard()
                if self.error:
                    self._complaints.post("")
                self.error = ""
            except OSError as error:
                self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self.error:
            self._complaints.post(str(error))
        self.error = str(error)

    def close(self, keep: bool = False) -> None:
        """The window closes in good order: what is pending is finished, and the copy goes unless ``keep``."""
        self._timer.stop()
        if not keep:
            with self._wake:
                self._job = None
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(5)
        for older in self._older:
            older.release() if keep else older.discard()
        if not keep:
            _unlink(self.path)
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass
