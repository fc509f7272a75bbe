"""Autosave and recovery, with a window that is killed outright."""
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
from conftest import ENVIRONMENT, FAKE, PATIENCE, ROOT
from hands import draw

from jt_dfd.gui import files
from jt_dfd.gui.document import Document
from jt_dfd.gui.recovery import Autosave, leftovers
from jt_dfd.gui.settings import FaceSettings
from jt_dfd.gui.strokes import Stroke

CHILD = """
import sys; sys.path[:0] = [{root!r}, {tests!r}]
from jt_dfd.gui.app import prepare_qt; prepare_qt()
from PyQt5.QtCore import QSettings, QTimer
from PyQt5.QtWidgets import QApplication
app = QApplication([])
from jt_dfd.gui.engine import Engine
from jt_dfd.gui.window import Window
from hands import draw
w = Window(Engine({weights!r}, factory={factory!r}, environment={environment!r}),
           QSettings({settings!r}, QSettings.IniFormat), {recovery!r})
w.show()
w.engine.start()
def hand():
    draw(w.canvas, {points!r})
    w.controls.sliders["nose"].setValue({nose})
    draw(w.canvas, [(50, {nose}), (400, {nose})])
    print("drawn", flush=True)
QTimer.singleShot(50, hand)
app.exec_()
"""
POINTS = [(100, 100), (300, 180), (380, 300)]


def child(tmp_path, weights, nose=21):
    code = CHILD.format(root=str(ROOT), tests=os.path.dirname(__file__), weights=str(weights.folder), factory=FAKE,
                        environment=ENVIRONMENT, settings=str(tmp_path / "child.ini"),
                        recovery=str(tmp_path / "recovery"), points=POINTS, nose=nose)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "drawn\n"
    return process


def wait_for(condition, seconds=PATIENCE / 1000):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def copies(tmp_path):
    return sorted((tmp_path / "recovery").glob("*.png"))


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_window_leaves_its_drawing_and_the_next_one_brings_it_back(window, weights, tmp_path, qtbot):
    dead = child(tmp_path, weights)
    try:
        wait_for(lambda: copies(tmp_path))
        time.sleep(0.3)
    finally:
        kill(dead)
    w = window(start=False)
    found = leftovers(tmp_path / "recovery")
    assert len(found) == 1
    w.offer_recovery(found)
    assert w.recovery_bar.isVisible()
    assert time.strftime("%Y", time.localtime(found[0].time)) in w.recovery_bar.label.text()
    draw(w.canvas, [(10, 10), (12, 12)])  # one can draw before deciding
    w.document.stack.undo()
    w.recovery_bar.recover.click()
    assert not w.recovery_bar.isVisible()
    pixels = w.document.pixels()
    assert pixels[100:301, 100:381].min() == 0 and pixels[21, 60:390].max() < 60
    assert w.controls.sliders["nose"].value() == 21
    assert w.isWindowModified(), "it is in no file yet"
    qtbot.waitUntil(lambda: len(copies(tmp_path)) == 1, timeout=PATIENCE)
    assert np.array_equal(files.open_picture(copies(tmp_path)[0]).pixels, pixels), "and safe again at once"


def test_a_living_window_is_left_alone_and_two_dead_ones_are_both_offered(weights, tmp_path, qapp):
    windows = [child(tmp_path, weights, nose) for nose in (30, 60, 90)]
    try:
        wait_for(lambda: len(copies(tmp_path)) == 3)
        time.sleep(0.3)
        assert leftovers(tmp_path / "recovery") == []
        for process in windows[:2]:
            kill(process)
        found = leftovers(tmp_path / "recovery")
        assert {f.open().settings.refine["nose"] for f in found} == {30, 60}
        assert leftovers(tmp_path / "recovery") == [], "a second window must not offer them too"
        for leftover in found:
            leftover.discard()
        assert len(copies(tmp_path)) == 1
    finally:
        for process in windows:
            kill(process)


def test_a_saved_or_emptied_drawing_leaves_no_copy(qapp, qtbot, tmp_path):
    document = Document()
    autosave = Autosave(document, tmp_path / "r")
    document.add_stroke(Stroke(3.0, points=[(9, 9, 1.0), (99, 99, 1.0)]))
    qtbot.waitUntil(autosave.path.exists, timeout=PATIENCE)
    document.saved("somewhere.png")
    qtbot.waitUntil(lambda: not autosave.path.exists(), timeout=PATIENCE)
    document.add_stroke(Stroke(3.0, points=[(9, 99, 1.0), (99, 99, 1.0)]))
    qtbot.waitUntil(autosave.path.exists, timeout=PATIENCE)
    document.clear()
    qtbot.waitUntil(lambda: not autosave.path.exists(), timeout=PATIENCE)
    document.stack.undo()
    qtbot.waitUntil(autosave.path.exists, timeout=PATIENCE)
    autosave.close()
    assert not list((tmp_path / "r").iterdir()), "neither a copy nor a lock"


def test_drawing_without_a_pause_is_written_all_the_same(qapp, qtbot, tmp_path, monkeypatch):
    from jt_dfd.gui import recovery

    monkeypatch.setattr(recovery, "LATEST", 900)
    monkeypatch.setattr(recovery, "QUIET", 10 * PATIENCE)  # a pause, that of a slow machine too, is none
    document = Document()
    autosave = Autosave(document, tmp_path / "r")
    give_up, n = time.monotonic() + PATIENCE / 1000, 0
    while not autosave.path.exists():
        assert time.monotonic() < give_up
        document.add_stroke(Stroke(3.0, points=[(9, 9 + n % 400, 1.0), (99, 9 + n % 400, 1.0)]))
        qtbot.wait(50)
        n += 1
    autosave.close()


def test_a_folder_that_cannot_be_written_is_no_crash(qapp, qtbot, tmp_path):
    (tmp_path / "r").write_text("a file in the way")
    document = Document()
    autosave = Autosave(document, tmp_path / "r")
    document.add_stroke(Stroke(3.0, points=[(9, 9, 1.0)]))
    with qtbot.waitSignal(autosave.failed, timeout=PATIENCE):
        pass
    assert autosave.error
    autosave.close()


def test_a_disk_that_hangs_holds_one_thread_and_not_the_process(qapp, qtbot, tmp_path, monkeypatch):
    hangs, entered, before = threading.Event(), [], set(threading.enumerate())

    def save(path, *_):
        entered.append(path)
        hangs.wait()

    monkeypatch.setattr(files, "save_drawing", save)
    document = Document()
    autosave = Autosave(document, tmp_path / "r")
    try:
        for n in range(8):
            document.add_stroke(Stroke(3.0, points=[(9, 9 + n, 1.0), (99, 9 + n, 1.0)]))
            autosave.write()
        qtbot.waitUntil(lambda: bool(entered), timeout=PATIENCE)
        waiting = set(threading.enumerate()) - before
        assert len(waiting) == 1 and all(thread.daemon for thread in waiting)
        autosave.close()   # comes back though nothing was written
        assert len(entered) == 1
    finally:
        hangs.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE / 1000)


def test_a_damaged_copy_is_told_and_kept(window, tmp_path, monkeypatch):
    (tmp_path / "recovery").mkdir()
    (tmp_path / "recovery" / "x.png").write_bytes(b"half")
    w, told = window(start=False), []
    monkeypatch.setattr(w.filing, "warn", lambda *text: told.append(text))
    w.offer_recovery(leftovers(tmp_path / "recovery"))
    w.recovery_bar.recover.click()
    assert told and (tmp_path / "recovery" / "x.png").exists()


def test_what_is_brought_back_stays_until_it_is_written_anew(window, tmp_path, monkeypatch, qtbot):
    """On a full disk the old copy was deleted, and memory alone had the drawing."""
    (tmp_path / "recovery").mkdir()
    old, page = tmp_path / "recovery" / "x.png", np.full((512, 512), 255, np.uint8)
    page[100:400, 250:256] = 0
    files.save_drawing(old, page, FaceSettings())
    w, save, full = window(start=False), files.save_drawing, [True]

    def writes(*job):
        if full:
            raise OSError(28, "No space left on device")
        save(*job)

    monkeypatch.setattr(files, "save_drawing", writes)
    w.offer_recovery(leftovers(tmp_path / "recovery"))
    w.recovery_bar.recover.click()
    qtbot.waitUntil(lambda: bool(w.autosave.error), timeout=PATIENCE)
    assert old.exists() and leftovers(tmp_path / "recovery") == [], "kept, and offered to nobody else"
    full.clear()
    w.autosave.write()
    qtbot.waitUntil(lambda: not old.exists(), timeout=PATIENCE)
    assert w.autosave.path.exists()


def test_settings_of_a_copy_are_the_drawing_s(qapp, qtbot, tmp_path):
    document = Document()
    document.settings = FaceSettings("male", k=4)
    autosave = Autosave(document, tmp_path / "r")
    document.add_stroke(Stroke(3.0, points=[(9, 9, 1.0), (99, 99, 1.0)]))
    autosave.write()
    qtbot.waitUntil(autosave.path.exists, timeout=PATIENCE)
    autosave.close(keep=True)
    found = leftovers(tmp_path / "r")
    assert (found[0].open().settings.gender, found[0].open().settings.k) == ("male", 4)
    found[0].release()


