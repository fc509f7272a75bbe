"""Work that must not stop the window: reading, writing and shrinking pictures, on a thread; and from any thread into
the window's: what a thread posts arrives there as a Qt signal."""
from __future__ import annotations

import socket
import threading
from collections import deque
from typing import Any, Optional

from PyQt5.QtCore import QObject, QSocketNotifier, pyqtSignal


class Post:
    """The threads' end of a :class:`Mailbox`.  Nothing of Qt is in here, so that it may outlive the mailbox: a signal
    sent from a thread while its object is deleted in another crashes the process, caught or not."""

    def __init__(self, bell: socket.socket):
        self._bell = bell
        self._letters: deque = deque()

    def __call__(self, letter: Any) -> None:
        """Post anything; never waits, never fails.  Where the mailbox is gone, nobody reads it."""
        self._letters.append(letter)
        self._ring()

    def _ring(self) -> None:
        try:
            self._bell.send(b"\0")
        except BlockingIOError:
            pass  # it is ringing already
        except OSError:
            self._letters.clear()  # the mailbox is gone


class Mailbox(QObject):
    """arrived(object)   something that was posted, in the order of posting, one for each turn of the event loop

    Give ``post``, not the mailbox, to threads.
    """

    arrived = pyqtSignal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._ears, bell = socket.socketpair()
        self._ears.setblocking(False)
        bell.setblocking(False)
        self.post = Post(bell)
        self._notifier = QSocketNotifier(self._ears.fileno(), QSocketNotifier.Read, self)
        self._notifier.activated.connect(self._deliver)

    def _deliver(self, *_) -> None:
        try:
            self._ears.recv(4096)
        except BlockingIOError:
            pass
        letters = self.post._letters
        if not letters:
            return
        letter = letters.popleft()
        if letters:
            self.post._ring()  # before the letter is read: that may open a dialog with an event loop of its own
        self.arrived.emit(letter)


class Background(QObject):
    """Runs functions on threads and reports in the window's thread.  Keeps count, so that closing can wait.

    in_order: one after the other, as they were asked for
    """

    def __init__(self, parent=None, in_order: bool = False):
        super().__init__(parent)
        self._running = {}  # thread: who is told
        self._in_order, self._before = in_order, None
        self._mailbox = Mailbox(self)
        self._mailbox.arrived.connect(self._report)

    def run(self, function, done, failed) -> None:
        """``done(result)`` or ``failed(exception)`` is called later, in the window's thread."""
        thread = threading.Thread(target=_work, args=(function, self._mailbox.post, self._before), name="background")
        self._running[thread] = done, failed
        self._before = thread if self._in_order else None
        thread.start()

    def _report(self, letter) -> None:
        thread, result, error = letter
        done, failed = self._running.pop(thread)
        failed(error) if error is not None else done(result)

    def wait(self, seconds: Optional[float] = 20) -> None:
        """Let what is being written be finished."""
        for thread in list(self._running):
            thread.join(seconds)


def _work(function, post, before) -> None:
    if before is not None:
        before.join()
    try:
        result, error = function(), None
    except Exception as problem:
        result, error = None, problem
    post((threading.current_thread(), result, error))
