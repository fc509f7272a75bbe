"""The protocol between processes: answers, errors of both kinds, ends of every kind."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jt_dfd.child import Child, ChildEnded, ChildError, ChildLate
from jt_dfd.errors import UserError

HERE = Path(__file__).resolve().parent


class Answering:
    """What the child does."""

    def add(self, a, b):
        os.write(1, b'{"answer": "noise on standard output"}\n')
        return a + b

    def refuse(self):
        raise UserError("out/set: two lines\nof words")

    def fail(self):
        raise KeyError("nobody thought of it\nand more")

    def die(self):
        print("the last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)

    def hang(self):
        time.sleep(600)


@pytest.fixture
def child(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    one = Child("test_child:Answering", show=False, limit=300)
    yield one
    one.close()


def test_answers_and_errors_of_both_kinds(child):
    assert child.ask("add", a=[1], b=[2]) == [1, 2]
    with pytest.raises(UserError, match="^out/set: two lines\nof words$"):
        child.ask("refuse")
    with pytest.raises(ChildError, match="^KeyError: .*nobody thought") as raised:
        child.ask("fail")
    assert "line" in str(raised.value.__cause__) and "in fail" in str(raised.value.__cause__)
    assert child.ask("add", a=1, b=2) == 3


def test_an_end_is_named_with_the_last_words(child):
    with pytest.raises(ChildEnded, match="SIGSEGV.*the last words"):
        child.ask("die")


def test_one_that_does_not_answer_is_ended(child):
    child.ask("add", a=1, b=2)
    child.limit = 1
    with pytest.raises(ChildLate, match="within 1 s"):
        child.ask("hang")
    assert child.process.poll() == -signal.SIGKILL


def test_one_that_cannot_start_says_why():
    one = Child("jt_dfd.no_such_module:Answering", show=False, limit=300)
    with pytest.raises(ChildEnded, match="status 1.*no_such_module"):
        one.ask("add", a=1, b=2)
    one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the system has no signal for a parent's end")
def test_it_ends_with_its_parent_however_that_ends(tmp_path):
    code = ("import os, sys; from jt_dfd.child import Child; one = Child('test_child:Answering'); "
            "one.ask('add', a=1, b=2); print(one.process.pid, flush=True); one.ask('hang')")
    path = os.pathsep.join((str(HERE), str(HERE.parents[1])))
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                              env={**os.environ, "PYTHONPATH": path})
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 60
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_one_line_of_an_error_has_its_cause():
    """Of "Jittor cannot start here:" and the causes in the lines after it the benchmark told the first line alone."""
    from jt_dfd.child import brief
    from jt_dfd.runtime.problems import RuntimeProblem

    said = brief(RuntimeProblem([{"what": "no GPU driver here", "fix": "nvidia-smi"}, {"what": "more", "fix": ""}]))
    assert said == "Jittor cannot start here: no GPU driver here"
    assert brief(KeyError("x")) == "KeyError: 'x'" and brief(ValueError("a\nb")) == "a"
