"""The one display of a first start, from the compiler's tools to the first face: how far it is, and how long still."""
from __future__ import annotations

import sys
import threading
import time
from typing import Callable, Optional

Progress = Callable[[str, int, int], None]

#: what ``progress`` calls the steps of a first start: {code: words for a terminal}
STEPS = {"fetch": "fetching Jittor's package with pip", "lock": "waiting for another Jittor to finish compiling",
          "copy": "copying what JT_DFD_CACHE holds", "again": "an object was damaged: compiling anew",
          "tools": "preparing the compiler's tools", "core": "compiling Jittor's core",
          "cpu": "compiling the CPU convolutions", "mpi": "compiling for several processes",
          "operators": "compiling operators", "gpu": "compiling the GPU libraries' operators", "other": "compiling",
          "ways": "timing two ways to compute each network", "face": "compiling a face's operators",
          "ready": "ready", "failed": "failed"}
#: what each step takes of the core's time, in their order (two cores of a Xeon, g++ 14 and 12; ours)
SHARES = {"tools": 0.3, "core": 1.0, "cpu": 0.2, "gpu": 0.5, "ways": 1.0, "face": 0.4}
#: seconds within which a file that was compiled before is passed (ours)
AT_ONCE = 0.3
#: seconds before anything is shown: what is quicker needs no words
QUIET = 2.0


class Display:
    """Progress to a callback, or to stderr: a line that is redrawn on a terminal, else one a step and half minute.

    steps  those that are to come, of SHARES; the time left is that of all of them, by what this machine needed so far
    """

    def __init__(self, progress: Optional[Progress] = None, steps=("tools", "core", "cpu")):
        self.progress, self.steps = progress, steps
        self.started = self.begun = self.told = time.monotonic()
        self.spared = 0.0        # of the shares: what was there already and says nothing of how fast this machine is
        self.resumed = True
        self.step, self.done, self.total = "", 0, 0
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.printed, self.printed_step = 0.0, ""
        self.opened = self.width = 0
        #: asked while nothing is told: does the compile wait for another Jittor?
        self.waits: Callable[[], bool] = lambda: False

    def __call__(self, step: str, done: int, total: int) -> None:
        if total and (step, total) == (self.step, self.total) and done <= self.done:
            return
        now = time.monotonic()
        first = self.step not in SHARES
        self.step, self.done, self.total = step, done, total
        if first or (done and self.resumed and now - self.told < AT_ONCE):
            self.begun, self.spared = now, self._share()
        elif done > 1:
            self.resumed = False
        self.told = now
        if self.progress:
            self.progress(step, done, total)
        else:
            self.tick()

    def __enter__(self) -> "Display":
        """The line goes on while nothing is told."""
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._ticks, daemon=True)
        self._ticker.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._ticker.join()

    def _ticks(self) -> None:
        waited = False
        while not self._stop.wait(0.5):
            waits = self.waits()
            if waits and waited:
                self("lock", 0, 0)
            waited = waits
            self.tick()

    def tick(self) -> None:
        elapsed = time.monotonic() - self.started
        if self.progress or not self.step or elapsed < QUIET or sys.stderr is None:
            return
        if not self.opened and self.step in SHARES:
            self.opened = 1
            sys.stderr.write("Compiling for this machine, once: some three minutes of a processor's time.\n")
        far = f" {self.done}/{self.total}{self.left()}" if self.total else ""
        line = f"  {int(elapsed) // 60}:{int(elapsed) % 60:02d}  {STEPS[self.step]}{far}"
        if self.terminal:
            sys.stderr.write("\r" + line.ljust(self.width))
            self.width = len(line)
        elif elapsed - self.printed >= 30 or self.step != self.printed_step:
            self.printed, self.printed_step = elapsed, self.step
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def left(self) -> str:
        """", about 4 min left", of all steps, by what this machine needed for what is done."""
        spent, done = time.monotonic() - self.begun, self._share()
        if self.resumed or self.step not in self.steps or spent < 5 or done - self.spared < 0.05:
            return ""
        seconds = spent / (done - self.spared) * (sum(SHARES[step] for step in self.steps) - done)
        if seconds > 90:
            return f", about {seconds / 60:.0f} min left"
        return f", about {10 * round(seconds / 10 + 0.5)} s left"

    def _share(self) -> float:
        if self.step not in self.steps:
            return 0.0
        before = self.steps[:self.steps.index(self.step)]
        return sum(SHARES[step] for step in before) + SHARES[self.step] * self.done / max(self.total, 1)

    def say(self, line: str) -> None:
        """A sentence of its own, whatever the display shows."""
        if sys.stderr is not None:
            sys.stderr.write(("\r" + " " * self.width + "\r" if self.terminal and self.width else "") + line + "\n")
            sys.stderr.flush()

    def close(self, well: bool) -> None:
        if self.progress:
            self.progress("ready" if well else "failed", 1, 1)
        elif self.opened:
            self.say(f"Compiled ({time.monotonic() - self.started:.0f} s)." if well else "The compile failed.")
