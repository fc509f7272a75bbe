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


class Others:
    """What share of all cores' time went to other processes than these, or to other machines on the same hardware."""

    def __init__(self, *pids):
        self.pids = pids
        self._began = self._count()

    def _count(self):
        """(all cores' time, what of it was used, what of that by ours), in clock ticks."""
        with open("/proc/stat") as f:
            times = [int(n) for n in f.readline().split()[1:9]]   # user nice system idle iowait irq softirq steal
        used = sum(times) - times[3] - times[4]
        ours = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat") as f:
                ours += sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        return sum(times), used, ours

    def share(self):
        every, used, ours = (now - then for now, then in zip(self._count(), self._began))
        return max(0.0, (used - ours) / max(1, every))
