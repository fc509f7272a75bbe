"""Work that must not stop the window: reading, writing and shrinking pictures, on a thread."""
from __future__ import annotations

import threading

from PyQt5.QtCore import QObject, pyqtSignal


class Background(QObject):
    """Runs functions on threads and reports in the window's thread.  Keeps count, so that closing can wait."""

    _finished = pyqtSignal(object, object, object, object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._running = set()
        self._finished.connect(self._report)

    def run(self, function, done, failed) -> None:
        """``done(result)`` or ``failed(exception)`` is called later, in the window's thread."""
        thread = threading.Thread(target=self._work, args=(function, done, failed), name="background")
        self._running.add(thread)
        thread.start()

    def _work(self, function, done, failed) -> None:
        try:
            result, error = function(), None
        except Exception as problem:
            result, error = None, problem
        try:
            self._finished.emit(threading.current_thread(), result, error, (done, failed))
        except RuntimeError:
            pass  # the window is gone

    def _report(self, thread, result, error, handlers) -> None:
        self._running.discard(thread)
        done, failed = handlers
        failed(error) if error is not None else done(result)

    def wait(self, seconds: float = 20) -> None:
        """Let what is being written be finished."""
        for thread in list(self._running):
            thread.join(seconds)
