"""Ctrl-C and SIGTERM ask a run to stop after the step at hand; a second one stops at once."""
from __future__ import annotations

import signal
import sys
import threading


class Interrupt:
    """Use as a context; ``asked`` turns true at the first signal."""

    def __init__(self):
        self.asked = False
        self._before = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        sys.stderr.write("\nStopping after this step; once more to stop at once without saving.\n")
