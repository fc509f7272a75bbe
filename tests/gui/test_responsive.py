"""The window's event loop never stands still: the longest gap between two beats of a timer, in milliseconds.

The machine may be busy with other people's work, which delays any process.  So the window's own work between two beats
is measured too, in processor time, and must keep the bound in every run.  And a bare process with nothing but the same
timer runs at the same time: a run with a longer gap is done again, at most twice, and where even the bare process,
with nothing to do, was held up for a quarter of the bound in all of them, the machine is too busy to tell: skipped,
with the numbers.  The bound itself, 100 ms, is never moved.
"""
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from hands import mouse
from PyQt5.QtCore import QEvent, QPointF, Qt, QTimer

from jt_dfd.gui import engine as engine_module

BOUND = 100
ATTEMPTS = 3
_BARE = """
import sys, time
sys.path.insert(0, {root!r})
from PyQt5.QtCore import QCoreApplication, QTimer, Qt
app = QCoreApplication([])
last, longest = time.perf_counter(), 0.0
def beat():
    global last, longest
    now = time.perf_counter()
    longest, last = max(longest, now - last), now
timer = QTimer()
timer.setTimerType(Qt.PreciseTimer)
timer.timeout.connect(beat)
timer.start(5)
QTimer.singleShot({ms}, app.quit)
app.exec_()
print(longest * 1000)
"""


class Gaps:
    """Longest time between two beats of a 5 ms timer of this process' event loop."""

    def __init__(self):
        self.longest, self.work, self.beats = 0.0, 0.0, 0
        self._last, self._used = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)

    def _beat(self):
        now, used = time.perf_counter(), time.thread_time()
        self.longest, self._last = max(self.longest, (now - self._last) * 1000), now
        self.work, self._used = max(self.work, (used - self._used) * 1000), used
        self.beats += 1

    def stop(self):
        self._beat()
        self._timer.stop()


def scribble(window, seconds, qtbot):
    """Draw without a pause and move a slider now and then, by events, as a hand does: 100 moves a second."""
    canvas, end, n = window.canvas, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        t = n / 15
        x, y = 256 + 180 * np.cos(t * 1.3), 256 + 180 * np.sin(t)
        if n % 40 == 0:
            mouse(canvas, QEvent.MouseButtonPress, x, y)
        mouse(canvas, QEvent.MouseMove, x, y)
        if n % 40 == 39:
            mouse(canvas, QEvent.MouseButtonRelease, x, y)
            window.controls.sliders["nose"].setValue(n % 101)
        n += 1
        qtbot.wait(10)
    mouse(canvas, QEvent.MouseButtonRelease, 0, 0)


def measured(qtbot, seconds, act):
    """(window's longest gap, that of a bare process at the same time, most work between two beats), in ms."""
    bare = subprocess.Popen([sys.executable, "-c", _BARE.format(root=str(ROOT), ms=int(seconds * 1000))],
                            stdout=subprocess.PIPE, text=True)
    gaps = Gaps()
    act()
    gaps.stop()
    assert gaps.beats > 50
    return gaps.longest, float(bare.communicate(timeout=60)[0]), gaps.work


def within_bound(runs, capsys, name):
    tried = []
    for _ in range(ATTEMPTS):
        tried.append(runs())
        if tried[-1][0] < BOUND:
            break
    with capsys.disabled():
        print(f"\n  {name}: " + ", ".join(
            f"longest gap {w:.0f} ms (a bare event loop: {b:.0f} ms; own work: {c:.0f} ms)" for w, b, c in tried))
    assert max(work for _, _, work in tried) < BOUND
    if tried[-1][0] >= BOUND and min(bare for _, bare, _ in tried) >= BOUND / 4:
        pytest.skip(f"too busy: even an event loop with nothing to do was held up: (window, bare, work) {tried}")
    assert tried[-1][0] < BOUND, f"(window, bare process, work) in ms: {tried}"


@pytest.fixture(autouse=True)
def no_collector_of_the_test_s_own():
    """pytest's own garbage, not the window's, would be collected in the middle."""
    import gc

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_no_gap_while_faces_are_made(window, weights, qtbot, capsys):
    weights.set(shadow_delay=0.1, face_delay=0.3, hold=True)
    w = window()
    qtbot.waitUntil(lambda: w.engine.state == engine_module.READY, timeout=15000)

    def run():
        before = weights.faces
        result = measured(qtbot, 4, lambda: scribble(w, 4, qtbot))
        assert weights.faces > before, "no face was made meanwhile"
        return result

    within_bound(run, capsys, "while faces are made")


@pytest.mark.parametrize("pressure", [1.0, 0.6], ids=["mouse", "pen"])
def test_no_gap_in_and_after_a_very_long_stroke(window, capsys, pressure):
    """A quarter of a minute of scribbling without lifting the hand, drawn on both halves: the window's own work for one event,
    counted in processor time, for here nothing else is waited for."""
    w = window(start=False)
    w.actions["mirror"].setChecked(True)
    turns = [QPointF(256 + 200 * abs(np.sin(n / 500)) * np.cos(n / 20), 256 + 200 * np.sin(n / 20))
             for n in range(1500)]

    def run():
        longest, before = 0.0, time.thread_time()
        w.canvas.begin(turns[0], pressure)
        for n, at in enumerate(turns[1:]):
            w.canvas.extend(at, pressure)
            if n % 50 == 0:
                w.canvas.repaint()
            longest, before = max(longest, time.thread_time() - before), time.thread_time()
        w.canvas.finish()
        return max(longest, time.thread_time() - before) * 1000

    longest = run()
    with capsys.disabled():
        print(f"\n  a stroke of {len(turns)} points: at most {longest:.0f} ms of work for one event")
    assert longest < BOUND


def test_no_gap_while_the_engine_compiles(window, weights, qtbot, capsys):
    weights.set(compile=30, burn=True)

    def run():
        w = window(start=False)
        qtbot.wait(200)

        def act():
            w.engine.start()
            scribble(w, 4, qtbot)

        result = measured(qtbot, 4, act)
        assert w.engine.state == engine_module.STARTING, "it did not compile all the time"
        w.document.saved("")
        w.close()
        return result

    within_bound(run, capsys, "while the engine compiles, its start included")
