"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 ask a run to stop after the step at hand; a second one stops at once.

Open MPI's launcher answers Ctrl-C by killing the ranks within two seconds, too short to save in; SIGUSR1 it passes on.
One request can arrive twice, from the terminal and from the launcher: what follows within a second is the same one.
"""
from __future__ import annotations

import os
import signal
import threading
import time

SAME_REQUEST = 1.0  # seconds (ours)


class Interrupt:
    """Use as a context; ``asked`` turns true at the first signal."""

    def __init__(self):
        self.asked = False
        self._since = 0.0
        self._before = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup
                self._before[number] = signal.signal(number, self._handle)
                # or the system call it arrives in fails: Jittor gives up where its lock's does
                signal.siginterrupt(number, False)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number, frame):
        if self.asked:
            if time.monotonic() - self._since < SAME_REQUEST:
                return
            raise KeyboardInterrupt
        self.asked, self._since = True, time.monotonic()
        try:
            os.write(2, b"\nStopping after this step; once more to stop at once without saving.\n")
        except OSError:  # the terminal is gone; what is still to be said must not fail
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
