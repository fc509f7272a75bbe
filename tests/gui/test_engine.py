"""The engine and its process: newest wins, crashes, kills, no orphans.  A stand-in computes, in a real process."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ENVIRONMENT, FAKE, PATIENCE, ROOT
from processes import alive

from jt_dfd.gui import engine as engine_module
from jt_dfd.gui.settings import FaceSettings
from jt_dfd.gui.words import tr

PAGE = np.full((512, 512), 255, np.uint8)


def page(n):
    out = PAGE.copy()
    out[100 + n, 100:200] = 0
    return out


def group(pgid):
    """Living processes of a process group."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == pgid and fields[0] != "Z":
                found.append(int(name))
    return found


@pytest.fixture
def running(engine, qtbot):
    def make(**kwargs):
        one = engine(**kwargs)
        one.start()
        qtbot.waitUntil(lambda: one.state == engine_module.READY, timeout=PATIENCE)
        return one
    return make


def test_a_face_with_its_shadow_first(running, qtbot):
    one, order = running(), []
    one.shadow.connect(lambda shadow, ms: order.append(("shadow", shadow)))
    one.face.connect(lambda result: order.append(("face", result)))
    one.request_face(page(1), FaceSettings(), "tag")
    qtbot.waitUntil(lambda: len(order) == 2, timeout=PATIENCE)
    assert [name for name, _ in order] == ["shadow", "face"]
    shadow, result = order[0][1], order[1][1]
    assert shadow.shape == (512, 512) and shadow.dtype == np.uint8 and shadow.min() < 255
    assert result.face.shape == (512, 512, 3) and result.tag == "tag" and 0 < result.shadow_ms < result.ms
    assert np.array_equal(result.sketch, page(1)) and set(result.vectors) == set(FaceSettings().refine)


def test_of_two_hundred_requests_only_the_newest_counts(running, weights, qtbot):
    """Faster than faces can be made: few are computed, the last one is among them, memory stays flat: what leaks grows
    every time, what an allocator keeps for later grows once."""
    weights.set(shadow_delay=0.05, face_delay=0.15, hold=True)
    one, faces = running(), []
    one.face.connect(faces.append)
    for n in range(20):  # warm up both processes' memory
        one.request_face(page(n), FaceSettings())
        qtbot.wait(5)
    qtbot.waitUntil(lambda: not one.waiting, timeout=PATIENCE)
    seen = []
    for _ in range(3):
        before = memory(os.getpid()), memory(one.pid)
        faces.clear()
        computed, sent, dropped = weights.faces, one.sent, one.dropped
        started = time.monotonic()
        for n in range(200):
            one.request_face(page(n), FaceSettings(), n)
            qtbot.wait(10)
        took = time.monotonic() - started
        qtbot.waitUntil(lambda: not one.waiting, timeout=PATIENCE)
        computed = weights.faces - computed
        assert faces[-1].tag == 199 and np.array_equal(faces[-1].sketch, page(199))
        assert computed <= took / 0.2 + 3, "superseded requests were computed"
        assert (one.sent - sent) == 200 and one.dropped - dropped + len(faces) == 200
        seen.append((before, (memory(os.getpid()), memory(one.pid))))
        if all(b - a < 16 for a, b in zip(*seen[-1])):
            break
    else:
        pytest.fail(f"memory in MiB grew every time: {seen}")


def memory(pid):
    """Resident MiB."""
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2 ** 20


def test_a_newer_request_stops_a_face_between_shadow_and_face(running, weights, qtbot):
    """Where a face has come a moment ago; here, an hour ago still counts as that."""
    weights.set(until_newer={"shadow": [2]}, old=3600)
    one, faces = running(), []
    one.face.connect(faces.append)
    one.request_face(page(0), FaceSettings(), 0)
    qtbot.waitUntil(lambda: bool(faces), timeout=PATIENCE)
    one.request_face(page(1), FaceSettings(), 1)
    qtbot.waitUntil(lambda: weights.arrived("shadow", 2), timeout=PATIENCE)
    one.request_face(page(2), FaceSettings(), 2)
    qtbot.waitUntil(lambda: len(faces) == 2, timeout=PATIENCE)
    assert [f.tag for f in faces] == [0, 2] and weights.faces == 2


def test_without_a_pause_in_the_drawing_faces_still_come(running, weights, qtbot):
    """A newer request between every shadow and its face, as fast drawing has it: the face shown being old (here at
    once), each is finished; of those that wait only the newest."""
    weights.set(until_newer={"shadow": [1, 2, 3]}, old=0)
    one, faces = running(), []
    one.face.connect(faces.append)
    one.request_face(page(0), FaceSettings(), 0)
    for n in (1, 2, 3):
        qtbot.waitUntil(lambda n=n: weights.arrived("shadow", n), timeout=PATIENCE)
        one.request_face(page(10 * n), FaceSettings(), 10 * n)
    one.request_face(page(31), FaceSettings(), 31)
    qtbot.waitUntil(lambda: bool(faces) and faces[-1].tag == 31, timeout=PATIENCE)
    assert [f.tag for f in faces][:3] == [0, 10, 20], "faces starved"


def test_an_engine_killed_in_mid_request_does_it_again(running, weights, qtbot):
    weights.set(hang="face")
    one, faces, notices = running(), [], []
    one.face.connect(faces.append)
    one.notice.connect(lambda text, details: notices.append(text))
    first = one.pid
    one.request_face(page(3), FaceSettings(), 3)
    qtbot.waitUntil(lambda: weights.arrived("face"), timeout=PATIENCE)
    weights.set()
    os.kill(first, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(faces), timeout=PATIENCE)
    assert faces[0].tag == 3 and one.pid != first and "started again" in tr(notices[0])


def test_a_request_that_crashes_the_engine_is_not_sent_for_ever(running, weights, qtbot):
    one, faces, notices = running(), [], []
    one.face.connect(faces.append)
    one.notice.connect(lambda text, details: notices.append(text))
    weights.crash("face", times=2)
    one.request_face(page(4), FaceSettings())
    qtbot.waitUntil(lambda: any("twice" in tr(text) for text in notices), timeout=PATIENCE)
    qtbot.waitUntil(lambda: one.state == engine_module.READY, timeout=PATIENCE)
    one.request_face(page(5), FaceSettings(), 5)
    qtbot.waitUntil(lambda: bool(faces), timeout=PATIENCE)
    assert [f.tag for f in faces] == [5]


def test_an_engine_that_crashes_at_every_start_gives_up_and_says_so(engine, weights, qtbot, monkeypatch):
    monkeypatch.setattr(engine_module, "BACK_OFF", (10, 20, 30, 40))
    weights.crash("load", times=20)
    one, failures = engine(), []
    one.failed.connect(lambda *what: failures.append(what))
    one.start()
    qtbot.waitUntil(lambda: bool(failures), timeout=PATIENCE)
    assert "several times" in tr(failures[0][1]) and one.state == engine_module.FAILED
    weights.set()
    one.retry()
    qtbot.waitUntil(lambda: one.state == engine_module.READY, timeout=PATIENCE)


def test_broken_weights_are_told_with_details_and_others_can_be_used(engine, weights, tmp_path, qtbot):
    weights.set(broken="latest_net_G.pkl: expected 123 arrays, found 12")
    one, failures = engine(), []
    one.failed.connect(lambda *what: failures.append(what))
    one.start()
    one.request_face(page(1), FaceSettings(), "kept")
    qtbot.waitUntil(lambda: bool(failures), timeout=PATIENCE)
    is_weights, message, details = failures[0]
    assert is_weights and "expected 123 arrays" in message and str(weights.folder) in message and "Traceback" in details
    faces = []
    one.face.connect(faces.append)
    good = tmp_path / "good"
    good.mkdir()
    one.use(params=good)
    qtbot.waitUntil(lambda: bool(faces), timeout=PATIENCE)
    assert faces[0].tag == "kept"


def test_a_bug_at_the_start_is_not_blamed_on_the_weights(engine, weights, qtbot):
    weights.set(bug="operands could not be broadcast together")
    one, failures = engine(), []
    one.failed.connect(lambda *what: failures.append(what))
    one.start()
    qtbot.waitUntil(lambda: bool(failures), timeout=PATIENCE)
    is_weights, message, details = failures[0]
    assert not is_weights and "broadcast" in message and "Traceback" in details


def test_an_error_in_one_face_is_told_and_the_next_one_comes(running, weights, qtbot):
    one, faces, notices = running(), [], []
    one.face.connect(faces.append)
    one.notice.connect(lambda *what: notices.append(what))
    one.request_face(page(1).astype(np.float32), FaceSettings())  # the stand-in refuses this
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert "AssertionError" in notices[0][1] and one.pid
    one.request_face(page(1), FaceSettings(), 1)
    qtbot.waitUntil(lambda: bool(faces), timeout=PATIENCE)


def test_borrowed_parts_reach_the_face(running, qtbot):
    one, faces = running(), []
    one.face.connect(faces.append)
    vector = np.full(16, 3, np.float32)
    one.request_face(page(1), FaceSettings(borrowed={"mouth": vector}))
    qtbot.waitUntil(lambda: bool(faces), timeout=PATIENCE)
    assert np.array_equal(faces[0].vectors["mouth"], vector) and not np.array_equal(faces[0].vectors["nose"], vector)


def test_series_give_way_to_the_drawing_and_can_be_cancelled(running, weights, qtbot):
    # held in the third frame until the drawing's request has arrived, in the fifth until the cancellation has
    weights.set(until_newer={"face": [3, 6]})
    one, order = running(), []
    one.frame.connect(lambda job, index, total, face: order.append(index))
    one.face.connect(lambda result: order.append("face"))
    vectors = {c: np.zeros(16, np.float32) for c in FaceSettings().refine}
    job = one.submit("morph", a=vectors, b={c: v + 1 for c, v in vectors.items()}, steps=40)
    qtbot.waitUntil(lambda: weights.arrived("face", 3), timeout=PATIENCE)
    one.request_face(page(1), FaceSettings())
    # the fourth frame, too, has come through the pipe: what is on its way when a job is cancelled is not told of
    qtbot.waitUntil(lambda: "face" in order and 3 in order and weights.arrived("face", 6), timeout=PATIENCE)
    assert order.index("face") == 3, "the drawing waited for the series"
    one.cancel(job)
    qtbot.waitUntil(lambda: one.state == engine_module.READY, timeout=PATIENCE)
    one.request_face(page(2), FaceSettings())
    qtbot.waitUntil(lambda: order.count("face") == 2, timeout=PATIENCE)
    assert order == [0, 1, 2, "face", 3, "face"] and weights.faces == 7, "the series went on"


def test_stopping_leaves_no_process(running, qtbot):
    one = running()
    pid, everyone = one.pid, group(os.getpgid(one.pid))
    assert len(everyone) == 2 and pid in everyone  # it and its guard
    one.stop()
    qtbot.waitUntil(lambda: not any(alive(p) for p in everyone), timeout=PATIENCE)


@pytest.mark.parametrize("knobs", [{}, {"load_delay": 60, "hold": True}], ids=["idle", "holding the lock"])
def test_a_window_killed_outright_takes_the_engine_along(weights, knobs):
    """SIGKILL: nobody can tidy up, and a compiling engine cannot even look at its pipe."""
    weights.set(**knobs)
    code = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}]
from PyQt5.QtCore import QCoreApplication
from jt_dfd.gui.engine import Engine
app = QCoreApplication([])
engine = Engine({str(weights.folder)!r}, factory={FAKE!r}, environment={ENVIRONMENT!r})
engine.progress.connect(lambda step, done, total: step == "weights" and print(engine.pid, flush=True))
engine.start()
app.exec_()
"""
    window = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        pid = int(window.stdout.readline())
        everyone = group(os.getpgid(pid))
        assert pid in everyone
        time.sleep(0.3)
    finally:
        window.kill()
        window.wait()
    deadline = time.monotonic() + PATIENCE / 1000
    while any(alive(p) for p in everyone) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(alive(p) for p in everyone)


def test_the_engine_does_not_import_from_the_current_folder(weights, tmp_path, qapp, qtbot, monkeypatch, running):
    (tmp_path / "numpy.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(tmp_path)
    assert running().state == engine_module.READY


def test_the_engine_lets_the_window_come_first_also_between_sessions(engine, qtbot):
    one = engine()
    one.start()
    qtbot.waitUntil(lambda: one.state == engine_module.READY, timeout=PATIENCE)
    nice = os.getpriority(os.PRIO_PROCESS, one.pid)
    assert nice == min(19, os.nice(0) + 2) and os.getsid(one.pid) != os.getsid(0)
    group = Path(f"/proc/{one.pid}/autogroup")
    if not group.exists():
        pytest.skip("this kernel has no automatic scheduling groups")
    assert int(group.read_text().split()[-1]) == nice
