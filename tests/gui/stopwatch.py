"""How long something took this process, whatever else the machine had to do meanwhile.

Linux counts for each thread how long it was ready to run and had to wait for a core (second number of schedstat).  What
is left of the wall's time without that is the process's own: its work, and all that it waited for by its own doing,
files, locks and other processes.  Standard library only, for the tests' child processes.
"""
import os
import time


class Stopwatch:
    """The clocks of the thread that makes it."""

    def __init__(self):
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._file = None  # this system does not count: the wall's time is taken as it is
        self.restart()

    def _queued(self):
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 100, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def restart(self):
        self._began, self._waited, self._used = time.perf_counter(), self._queued(), time.thread_time()

    def read(self):
        """Seconds since ``restart``: (the wall's, without the wait for a core, of processor time)."""
        wall = time.perf_counter() - self._began
        return wall, max(0.0, wall - (self._queued() - self._waited)), time.thread_time() - self._used
