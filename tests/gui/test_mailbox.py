"""What threads say reaches the window's thread, and a window that goes meanwhile is no crash."""
import os
import subprocess
import sys
import threading
import time

from conftest import PATIENCE, ROOT
from PyQt5.QtCore import QEventLoop

from jt_dfd.gui.background import Background, Mailbox


def test_letters_arrive_here_in_order_and_all(qapp, qtbot):
    box, heard = Mailbox(), []
    box.arrived.connect(lambda letter: heard.append((letter, threading.current_thread())))

    def work(name):
        for n in range(5000):  # more than any socket's buffer holds of single bytes with their overhead
            post((name, n))

    post = box.post
    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # while nobody reads: posting never waits
    qtbot.waitUntil(lambda: len(heard) == 15000, timeout=PATIENCE)
    assert {where for _, where in heard} == {threading.current_thread()}
    for name in range(3):
        assert [n for (of, n), _ in heard if of == name] == list(range(5000))


def test_letters_arrive_while_one_of_them_is_being_read(qapp, qtbot):
    """An error dialog has an event loop of its own; faces go on arriving under it."""
    box, loop, heard = Mailbox(), QEventLoop(), []

    def read(letter):
        heard.append(letter)
        if letter == "dialog":
            loop.exec_()
        elif letter == "close":
            loop.quit()

    box.arrived.connect(read)
    for letter in ("dialog", "face", "close", "after"):
        box.post(letter)
    qtbot.waitUntil(lambda: len(heard) == 4, timeout=PATIENCE)
    assert heard == ["dialog", "face", "close", "after"]


def test_a_mailbox_may_go_while_threads_still_post():
    """Seen as a segmentation fault: a signal sent from a thread in the moment in which its object was deleted."""
    code = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from PyQt5 import sip
from PyQt5.QtCore import QCoreApplication
from jt_dfd.gui.background import Mailbox
sys.setswitchinterval(1e-6)
app = QCoreApplication([])

def talk(post, started):
    started.set()
    for n in range(3000):
        post(n)

for _ in range(200):
    box, started = Mailbox(), threading.Event()
    threads = [threading.Thread(target=talk, args=(box.post, started)) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    app.processEvents()
    sip.delete(box)
    del box
    for thread in threads:
        thread.join()
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "QT_QPA_PLATFORM": "offscreen"})
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr[-3000:]


def test_background_work_reports_here(qapp, qtbot):
    heard, here = [], threading.current_thread()
    background = Background()

    def fail():
        raise ValueError("no")

    background.run(threading.current_thread, lambda thread: heard.append(("done", thread is here,
                                                                          threading.current_thread() is here)), None)
    background.run(fail, None, lambda error: heard.append(("failed", str(error))))
    qtbot.waitUntil(lambda: len(heard) == 2, timeout=PATIENCE)
    assert set(heard) == {("done", False, True), ("failed", "no")}


def test_work_in_order_is_done_one_piece_after_the_other(qtbot):
    background, done, told = Background(in_order=True), [], []
    for n, seconds in enumerate((0.1, 0.0, 0.05)):
        background.run(lambda n=n, seconds=seconds: (time.sleep(seconds), done.append(n)),
                       lambda _, n=n: told.append(n), told.append)
    background.run(lambda: 1 // 0, told.append, lambda problem: told.append(type(problem)))
    background.wait(None)
    assert done == [0, 1, 2]
    qtbot.waitUntil(lambda: told == [0, 1, 2, ZeroDivisionError], timeout=PATIENCE)
