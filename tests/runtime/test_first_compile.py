"""The first compile: seen, counted, done once, and honest when it fails.  Jittor is played by fake_jittor.py here;
the real one is compiled when the whole suite starts in a clean home."""
from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_jittor
import pytest
from machines import ROOT

from jt_dfd.runtime import display

START = """
from jt_dfd import runtime
seen = []
jt = runtime.start("cpu", progress=lambda *step: seen.append(step))
assert runtime.start() is jt and runtime.jt() is jt
print(seen)
"""


@pytest.fixture
def play(run, tmp_path):
    """A machine whose Jittor is a fake: play(behaviour) runs a start to its end, play.begin only begins one."""
    place = dict(FAKE_CACHE=str(tmp_path / "cache"), JT_DFD_JITTOR="installed")

    def call(behaviour="", code=START, pause=0.02, **environment):
        fake_jittor.make(tmp_path / "site", behaviour, pause)
        return run(code, PYTHONPATH=str(tmp_path / "site"), **place, **environment)

    def begin(behaviour, code):
        fake_jittor.make(tmp_path / "site", behaviour)
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, universal_newlines=True,
                                env=dict(os.environ, PYTHONPATH=f"{tmp_path / 'site'}:{ROOT}", **place))
    call.begin = begin
    call.cache = tmp_path / "cache"
    call.core = tmp_path / "home/.cache/jittor/fake/jittor_core.so"
    call.count = lambda name: len((tmp_path / "cache" / name).read_text().split())
    return call


def test_progress_is_reported_while_it_compiles(play):
    status, out, err = play()
    assert status == 0, err
    seen = eval(out)
    assert [s[1:] for s in seen if "core" in s[0]] == [(i, 5) for i in range(1, 6)]
    assert seen[0][1:] == (0, 0) and seen[-1][0] == "ready"


def test_the_second_start_compiles_nothing_and_asks_no_child(play):
    play()
    imports = play.count("imports")
    status, out, err = play()
    assert status == 0 and eval(out) == []
    assert play.count("compiles") == 1 and play.count("imports") == imports + 1


def test_a_removed_cache_is_compiled_again(play):
    play()
    (play.core).unlink()
    status, out, err = play()
    assert status == 0, err
    assert play.count("compiles") == 2 and eval(out)


def test_jittors_exit_after_rebuilding_its_tools_is_met_by_another_run(play):
    status, out, err = play("rebuild once")
    assert status == 0 and eval(out)[-1][0] == "ready", err


def test_rebuilding_forever_is_an_error_not_a_silent_success(play):
    status, out, err = play("rebuild forever")
    assert status != 0 and "RuntimeProblem" in err and "four times" in err


def test_an_exit_in_this_process_is_an_error_too(play):
    play()
    fake_jittor.make(play.cache.parent / "site", "rebuild forever")
    status, out, err = play("rebuild forever", code="""
import os
from jt_dfd import runtime
from jt_dfd.runtime import first_compile
first_compile.ensure = lambda *a: None     # all marks say ready, and Jittor sees it differently
os.unlink(os.environ["HOME"] + "/.cache/jittor/fake/jittor_core.so")
runtime.start("cpu")
""")
    assert status != 0 and "run the command again" in err


def test_a_core_that_can_no_longer_be_loaded_is_told_with_the_way_out(play):
    play()
    status, out, err = play("unloadable")
    assert status != 0 and "undefined symbol: x" in err and "doctor.py --warm" in err
    status, out, err = play()
    assert status == 0 and eval(out), "asked again, a child looks at it first: " + err


@pytest.mark.parametrize("behaviour, words", [("crash", ["status 3", "nothing.h: No such file"]),
                                              ("abort", ["signal 6"])])
def test_a_failed_compile_says_why_and_where_to_read_on(play, behaviour, words):
    status, out, err = play(behaviour)
    assert status != 0 and "RuntimeProblem" in err
    for word in words + ["first_compile.log"]:
        assert word in err
    log = os.path.join(os.environ["HOME"], ".cache/jt_dfd/first_compile.log")
    assert os.path.isfile(log)
    status, out, err = play("")
    assert status == 0, "mended, it starts: " + err


def test_without_a_callback_it_is_told_on_stderr(play):
    status, out, err = play(code="from jt_dfd.runtime import display, start; "
                                 "display.QUIET = 0; start('cpu')")
    assert status == 0, err
    assert "Compiling for this machine" in err and "compiling Jittor's core" in err and "Compiled (" in err
    assert out == "", "nothing is written to standard output"


def test_the_time_left_is_that_of_all_that_comes_as_fast_as_this_machine_is(machine, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(display, "SHARES", {"tools": 0.5, "core": 1.0, "cpu": 0.25, "face": 0.25})
    show = display.Display(steps=("tools", "core", "cpu", "face"))
    show("lock", 0, 0)
    now[0] += 1000            # another's work says nothing of this one's
    show("tools", 0, 0)
    now[0] += 60              # 2 s a hundredth of the core's time
    show("core", 1, 100)
    now[0] += 60
    assert "left" not in capsys.readouterr().err
    show("core", 50, 100)
    assert "core 50/100, about 2 min left" in capsys.readouterr().err
    now[0] += 90
    show("face", 1, 2)
    assert "about 20 s left" in capsys.readouterr().err


def test_what_an_interrupted_start_had_compiled_makes_no_promises(machine, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(display, "SHARES", {"tools": 0.5, "core": 1.0})
    show = display.Display(steps=("tools", "core"))
    show("tools", 0, 0)
    now[0] += 10
    for done in range(1, 51):
        show("core", done, 100)
        now[0] += 0.01
    now[0] += 100
    assert "left" not in capsys.readouterr().err
    show("core", 60, 100)     # 10 s a file
    assert "60/100, about 7 min left" in capsys.readouterr().err


def test_a_quick_one_is_not_told(play):
    status, out, err = play(code="from jt_dfd.runtime import display, start; "
                                 "display.QUIET = 9999; start('cpu')")
    assert (status, out, err) == (0, "", "")


def wait_for(path, lines=1, seconds=1200):
    """Until ``path`` holds that many lines."""
    for _ in range(seconds * 10):
        if path.exists() and len(path.read_text().split()) >= lines:
            return
        time.sleep(0.1)
    pytest.fail(f"{path.name} did not come")


def test_two_first_starts_at_once_compile_once(play):
    code = """
import os
from jt_dfd import runtime
def progress(step, done, total):
    if step == "lock":
        open(os.environ["FAKE_CACHE"] + "/waiting", "a").write("one\\n")
runtime.start("cpu", progress)
"""
    children = [play.begin("gate", code)]
    wait_for(play.cache / "compiles")        # the first compiles, and goes on only when told to
    children += [play.begin("gate", code) for _ in range(2)]
    wait_for(play.cache / "waiting", 2)
    (play.cache / "go").touch()
    said = [child.communicate(timeout=1200)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    assert play.count("compiles") == 1


def wait_for_end(process):
    for _ in range(3000):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{process}/stat") as f:
            if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                return
        time.sleep(0.1)
    pytest.fail("the compiling process lives on")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=lambda end: end.name)
def test_an_ended_start_takes_its_compilers_along_and_the_next_one_compiles(play, end):
    """Ctrl-C, a closed terminal, a job's time limit.  Compilers hold the lock as long as they live: nobody meets their
    halves."""
    # a job that a shell put in the background ignores Ctrl-C, one under nohup a closed terminal, and so do their
    # children: both are switched on for this one
    parent = play.begin("forever", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
                        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n" + START)
    wait_for(play.cache / "hanging")
    with open(os.path.join(os.environ["HOME"], ".cache/jt_dfd/first_compile.lock")) as lock:
        with pytest.raises(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        parent.send_signal(end)
        parent.communicate(timeout=1200)
        assert parent.returncode != 0
        for name in ("hanging", "compiler"):
            wait_for_end(int((play.cache / name).read_text()))
        fcntl.flock(lock, fcntl.LOCK_EX)   # and it falls with the last of them
    status, out, err = play()
    assert status == 0 and eval(out)[-1][0] == "ready", err


@pytest.mark.parametrize("behaviour", ["damaged", "foreign"])
def test_a_damaged_object_of_an_earlier_compile_is_made_again(play, tmp_path, behaviour):
    objects = tmp_path / "home/.cache/jittor/fake"
    objects.mkdir(parents=True)
    (objects / "half.o").write_text("")
    status, out, err = play(behaviour)
    assert status == 0, err
    told = [step[0] for step in eval(out)]
    assert "again" in told and told[-1] == "ready"


def test_objects_that_are_cut_off_are_compiled_anew_at_any_later_start(play, tmp_path):
    """A machine that went down, a disk that was full: loading one is a segmentation fault or a traceback, for ever."""
    play()
    whole, cut = (tmp_path / f"home/.cache/jittor/fake/jit/{name}.so" for name in ("whole", "cut"))
    whole.parent.mkdir()
    program = Path(sys.executable).read_bytes()
    whole.write_bytes(program)
    cut.write_bytes(program[:5000])
    with open(str(tmp_path / "home/.cache/jittor/jittor.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)   # another process may be writing it
        status, out, err = play()
        assert (status, err) == (0, "") and cut.exists()
    status, out, err = play()
    assert status == 0 and whole.exists() and not cut.exists()
    assert "compiled anew (1)" in err and play.count("compiles") == 1
    play.core.write_bytes(b"")
    status, out, err = play()
    assert status == 0 and play.count("compiles") == 2, err


def test_a_prepared_folder_is_taken_over_in_any_home_and_not_touched(play, tmp_path):
    """An image's, or a cluster's: made by one, read by all."""
    shared = tmp_path / "somewhere/shared"
    status, out, err = play(JITTOR_HOME=str(shared))
    assert status == 0 and play.count("compiles") == 1, err
    (shared / ".cache/jittor/fake/jit").mkdir()
    kernel = b"\x7fELF" + bytes(60)
    (shared / ".cache/jittor/fake/jit/kernel.so").write_bytes(kernel)
    moved = tmp_path / "elsewhere"
    shared.rename(moved)
    before = sorted(p for p in moved.rglob("*"))
    status, out, err = play(JT_DFD_CACHE=str(moved))
    assert status == 0 and play.count("compiles") == 1, "nothing is compiled again: " + err
    assert (tmp_path / "home/.cache/jittor/fake/jit/kernel.so").read_bytes() == kernel
    assert sorted(p for p in moved.rglob("*")) == before


@pytest.mark.parametrize("why, words, status", [
    ("[Errno 28] No space left on device: 'a' -> 'b'", "the disk is full under", 1),
    ("[Errno 13] Permission denied: 'a'", "cannot be copied ([Errno 13] Permission denied: 'a'); compiling here", 0)])
def test_a_prepared_folder_that_cannot_be_copied_is_told_in_a_line(play, tmp_path, why, words, status):
    play(JITTOR_HOME=str(tmp_path / "shared"))
    ended, out, err = play(JT_DFD_CACHE=str(tmp_path / "shared"), code=f"""
import shutil
def copytree(*_, **__):
    raise shutil.Error([("a", "b", {why!r})] * 500)
shutil.copytree = copytree
""" + START)
    assert ended == status and words in err and len(err) < 2000, err


def test_a_prepared_folder_that_lost_its_sources_is_told_and_compiled_beside(play, tmp_path):
    """Jittor reads the source of every operator where it lay, also of those that are compiled; and oneDNN's headers."""
    shared = tmp_path / "shared"
    status, out, err = play(JITTOR_HOME=str(shared))
    assert status == 0, err
    mark, = shared.rglob("ready/*.json")
    gone = tmp_path / "gone"
    mark.write_text(json.dumps(dict(json.loads(mark.read_text()), needs=[str(gone)])))
    status, out, err = play(JT_DFD_CACHE=str(shared))
    assert status == 0 and play.count("compiles") == 2
    assert f"needs {gone}, which is gone or may not be read" in err


def test_a_prepared_folder_of_another_machine_is_told_and_compiled_beside(play, tmp_path):
    (tmp_path / "empty").mkdir()
    status, out, err = play(JT_DFD_CACHE=str(tmp_path / "empty"))
    assert status == 0 and play.count("compiles") == 1
    assert "nothing there was compiled for this Python, compiler and processor" in err


def test_an_mpi_rank_compiles_as_a_process_of_its_own(play):
    """The compiling child must not join the job: it would wait for the other ranks for ever."""
    from jt_dfd.runtime import first_compile

    os.environ.update(OMPI_COMM_WORLD_SIZE="2", PMIX_RANK="0")
    assert not {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK"} & set(first_compile.child_environment())


def test_settings_that_change_the_code_have_marks_of_their_own(machine, monkeypatch):
    from jt_dfd.runtime import first_compile

    monkeypatch.setenv("cc_path", "/usr/bin/g++")
    names = {first_compile.fingerprint("cpu"), first_compile.fingerprint("cuda")}
    for name, value in (("use_mkl", "0"), ("cc_flags", "-O1"), ("nvcc_path", "/x/nvcc"), ("cache_name", "other")):
        names.add(first_compile.fingerprint("cpu", {name: value}))
    assert len(names) == 6
    assert first_compile.fingerprint("cpu") in names, "and the same settings the same mark"
