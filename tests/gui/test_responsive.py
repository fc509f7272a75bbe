"""The window's event loop never stands still: the longest gap between two beats of a timer, in milliseconds.

The machine may be busy with other people's work, which delays any process.  So what a gap spent ready to run, waiting
for a core, is taken off it (see stopwatch.py); its work, and whatever it waited for, stay.  And because a virtual
machine that gets no core cannot count that, a bare process with nothing but the same timer runs at the same time: a run
that does not keep the bound is done again, and where in nearly all of them even the bare process, with nothing to do,
was held up for a quarter of the bound, the machine is too busy to tell: skipped, with the numbers.  The bound itself,
100 ms, is never moved.
"""
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import PATIENCE
from hands import mouse
from PyQt5.QtCore import QEvent, QPointF, Qt, QTimer
from stopwatch import Stopwatch

from jt_dfd.gui import engine as engine_module
from jt_dfd.gui import files

BOUND = 100
ATTEMPTS = 5
_BARE = """
import os, time
from PyQt5.QtCore import QCoreApplication, QSocketNotifier, QTimer, Qt
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
def told():
    global last, longest
    if os.read(0, 1):
        last, longest = time.perf_counter(), 0.0
    else:
        app.quit()
ears = QSocketNotifier(0, QSocketNotifier.Read)
ears.activated.connect(told)
print("ready", flush=True)
app.exec_()
beat()
print(longest * 1000)
"""


class Gaps:
    """Longest time between two beats of a 5 ms timer of this process' event loop: by the wall's clock, without the wait
    for a core, and in processor time."""

    def __init__(self):
        self.longest, self.own, self.work, self.beats = 0.0, 0.0, 0.0, 0
        self._watch = Stopwatch()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)

    def _beat(self):
        wall, own, work = (1000 * seconds for seconds in self._watch.read())
        self._watch.restart()
        self.longest, self.own, self.work = max(self.longest, wall), max(self.own, own), max(self.work, work)
        self.beats += 1

    def stop(self):
        self._beat()
        self._timer.stop()


def scribble(window, seconds, qtbot, until=lambda: True):
    """Draw without a pause and move a slider now and then, by events, as a hand does: 100 moves a second.  It goes on
    longer until ``until()``."""
    canvas, began, n = window.canvas, time.monotonic(), 0
    while time.monotonic() < began + seconds or not until():
        assert time.monotonic() < began + PATIENCE / 1000
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


def measured(act):
    """(window's longest gap, that without the wait for a core, most work between two beats, the longest gap of a bare
    process at the same time), in ms."""
    bare = subprocess.Popen([sys.executable, "-c", _BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert bare.stdout.readline() == b"ready\n"
        bare.stdin.write(b"!")
        bare.stdin.flush()
        gaps = Gaps()
        act()
        gaps.stop()
        said = bare.communicate(timeout=PATIENCE / 1000)[0]
    finally:
        bare.kill()
        bare.wait()
    # a timer of 5 ms that hardly came was held up, by whatever it was
    own = gaps.own if gaps.beats > 50 else max(gaps.own, BOUND)
    return gaps.longest, own, gaps.work, float(said)


def within_bound(runs, capsys, name):
    tried = []
    for _ in range(ATTEMPTS):
        tried.append(runs())
        if tried[-1][1] < BOUND and tried[-1][2] < BOUND:
            break
    with capsys.disabled():
        print(f"\n  {name}: " + ", ".join(
            f"longest gap {w:.0f} ms, {o:.0f} ms without the wait for a core (own work: {c:.0f} ms; a bare event loop: "
            f"{b:.0f} ms)" for w, o, c, b in tried))
    if tried[-1][1] < BOUND and tried[-1][2] < BOUND:
        return
    quiet = [bare for *_, bare in tried if bare < BOUND / 4]
    if len(quiet) < 2:
        pytest.skip(f"too busy: even an event loop with nothing to do was held up: (window, own, work, bare) {tried}")
    pytest.fail(f"(window, without the wait for a core, work, bare process) in ms: {tried}")


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
    qtbot.waitUntil(lambda: w.engine.state == engine_module.READY, timeout=PATIENCE)

    def run():
        before = weights.faces
        return measured(lambda: scribble(w, 4, qtbot, until=lambda: weights.faces > before))  # one is made meanwhile

    within_bound(run, capsys, "while faces are made")


@pytest.mark.parametrize("pressure", [1.0, 0.6], ids=["mouse", "pen"])
def test_no_gap_in_and_after_a_very_long_stroke(window, capsys, pressure):
    """A quarter of a minute of scribbling without lifting the hand, drawn on both halves: the window's own work for one
    event, counted in processor time, for here nothing else is waited for."""
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

    times = [run()]
    while times[-1] >= BOUND and len(times) < ATTEMPTS:  # a machine that is shared counts other people's time, too
        times.append(run())
    longest = min(times)
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

        result = measured(act)
        assert w.engine.state == engine_module.STARTING, "it did not compile all the time"
        w.document.saved("")
        w.close()
        return result

    within_bound(run, capsys, "while the engine compiles, its start included")


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_no_gap_while_a_film_of_ten_seconds_is_saved(window, qtbot, capsys, tmp_path, suffix):
    w = window(start=False)
    rng = np.random.default_rng(0)
    a, b = (np.kron(rng.integers(0, 256, (64, 64, 3)), np.ones((8, 8, 1))) for _ in range(2))
    frames = [((1 - t) * a + t * b).astype(np.uint8) for t in np.linspace(0, 1, 10 * files.FILM_RATE)]

    def run():
        done = []
        path = tmp_path / f"film{suffix}"

        def act():
            w.filing.background.run(lambda: files.save_film(path, frames), done.append, done.append)
            scribble(w, 1, qtbot, until=lambda: bool(done))

        result = measured(act)
        assert done == [None] and path.stat().st_size > 100_000
        return result

    within_bound(run, capsys, f"while a {suffix} of ten seconds is saved")
