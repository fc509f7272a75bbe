"""Work that must not stop the window: reading, writing and shrinking pictures, on a thread."""
from __future__ import annotations

import threading

from PyQt5.QtCore import QObject

from .mailbox import Mailbox


class Background(QObject):
    """Runs functions on threads and reports in the window's thread.  Keeps count, so that closing can wait."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._running = {}  # thread: who is told
        self._mailbox = Mailbox(self)
        self._mailbox.arrived.connect(self._report)

    def run(self, function, done, failed) -> None:
        """``done(result)`` or ``failed(exception)`` is called later, in the window's thread."""
        thread = threading.Thread(target=_work, args=(function, self._mailbox.post), name="background")
        self._running[thread] = done, failed
        thread.start()

    def _report(self, letter) -> None:
        thread, result, error = letter
        done, failed = self._running.pop(thread)
        failed(error) if error is not None else done(result)

    def wait(self, seconds: float = 20) -> None:
        """Let what is being written be finished."""
        for thread in list(self._running):
            thread.join(seconds)


def _work(function, post) -> None:
    try:
        result, error = function(), None
    except Exception as problem:
        result, error = None, problem
    post((threading.current_thread(), result, error))
