"""Another process holds Jittor's lock: told, also while the interpreter lock is held; niceness of sessions."""
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jt_dfd.runtime import host, locks, process
from jt_dfd.runtime.display import STEPS

ROOT = Path(__file__).resolve().parents[2]
# waits for the lock as Jittor's compiled part does: in C, with the interpreter lock held
WAITER = f"""
import ctypes, os, sys
sys.path.insert(0, {str(ROOT)!r})
sys.argv[0] = "train.py"
from jt_dfd.runtime import locks
print("told" if locks.tell_waiting() else "cannot", flush=True)
ctypes.PyDLL(None).flock(os.open(sys.argv[1], os.O_RDWR), 2)
print("mine", flush=True)
"""


@pytest.fixture
def waiter(tmp_path, monkeypatch):
    monkeypatch.setenv("JITTOR_HOME", str(tmp_path / "home"))
    children = []

    def begin(path):
        path.touch()
        held = open(path, "r+")
        fcntl.flock(held, fcntl.LOCK_EX)
        children.append(subprocess.Popen([sys.executable, "-c", WAITER, str(path)], stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True))
        assert children[-1].stdout.readline() == "told\n"
        return children[-1], held

    yield begin
    for child in children:
        child.kill()
        child.wait()


def test_a_process_that_waits_says_so_and_others_can_see_it(waiter, tmp_path):
    child, held = waiter(tmp_path / "jittor.lock")
    assert child.stderr.readline() == f"train.py: {STEPS['lock']}\n"
    assert locks.waits(child.pid) and not locks.waits(os.getpid())
    held.close()
    assert child.stdout.readline() == "mine\n"
    assert not locks.waits(child.pid) and child.stderr.read() == "", "once, not every second"
    assert len(list(host.cache_folder().iterdir())) == 1, "compiled once, nothing left beside it"


def test_a_lock_of_another_kind_is_none_of_jittor_s(waiter, tmp_path):
    child, held = waiter(tmp_path / "mine.lock")
    while not any("->" in line and f" {child.pid} " in line for line in open("/proc/locks")):
        time.sleep(0.05)
    assert not locks.waits(child.pid)
    time.sleep(3)  # longer than what it would be told after
    held.close()
    assert child.communicate(timeout=60) == ("mine\n", "")


def test_without_a_compiler_nothing_is_told_and_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("JITTOR_HOME", str(tmp_path))
    monkeypatch.setenv("cc_path", str(tmp_path / "no-compiler"))
    assert locks.tell_waiting() is False


def test_a_session_of_its_own_gets_the_nice_value_of_who_started_it():
    if not os.path.exists("/proc/self/autogroup"):
        pytest.skip("this kernel has no automatic scheduling groups")
    child = subprocess.Popen(["nice", "-n", "3", "sleep", "60"], start_new_session=True)
    try:
        group = Path(f"/proc/{child.pid}/autogroup")
        assert group.read_text().split()[-1] == "0", "nice of a process says nothing to its group"
        process.pass_on(child.pid)
        assert int(group.read_text().split()[-1]) == os.nice(0)
        code = (f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); from jt_dfd.runtime import process; os.nice(4)\n"
                f"process.pass_on({child.pid})")
        subprocess.run([sys.executable, "-c", code], check=True)
        assert int(group.read_text().split()[-1]) == min(19, os.nice(0) + 4)
    finally:
        child.kill()
        child.wait()
    process.pass_on(child.pid)  # of a process that is gone: nothing happens
