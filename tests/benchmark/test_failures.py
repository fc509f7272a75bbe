"""What goes wrong becomes a row; what can be measured is measured; a file is whole or not there."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import HERE, ROOT, tool

from jt_dfd.benchmark import report, run
from jt_dfd.benchmark.run import Worker
from jt_dfd.benchmark.stages import Stage, every, select
from jt_dfd.errors import UserError

SIDE = "false_side:Side"


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    made = []

    def make(kind=Worker, **opening):
        made.append(kind(SIDE, opening, 1, 600))
        return made[-1]
    yield make
    for one in made:
        one.close()


def rows_of(worker, *names, repeats=3):
    """{stage: row} of a false side's stages, and how often ``after`` was called."""
    seen = []
    stages = [Stage(name, name, (SIDE,)) for name in names]
    rows = run.measure(stages, {SIDE: worker}, run.Settings(repeats, 1, True), lambda rows: seen.append(len(rows)))
    return {r["stage"]: r for r in rows}, seen


def test_a_stage_that_fails_is_told_and_the_others_are_measured(worker):
    rows, seen = rows_of(worker(), "unbuildable", "lacking", "raises", "speaks", "fine")
    assert rows["unbuildable"]["reason"] == "RuntimeError: it does not fit"
    assert rows["lacking"]["reason"] == "no such thing on this machine"
    assert rows["raises"]["reason"] == "the third call is too many"
    assert len(rows["raises"]["rounds"]) < 3
    for name in ("speaks", "fine"):
        assert rows[name]["reason"] is None and rows[name]["seconds"]["count"] >= 3
        assert rows[name]["flops_per_second"] > 0 and rows[name]["bytes_per_second"] > 0
        assert len(rows[name]["calls"]) == rows[name]["seconds"]["count"]
    assert seen == [0, 0, 1, 2, 3, 4, 5]  # a false side is not asked for the device's own speed
    text = "\n".join(report.table(list(rows.values())))
    assert "not measured: lacking by false_side:Side: no such thing" in text and "| fine " in text


def test_a_worker_that_is_killed_is_told_and_started_again(worker):
    one = worker()
    first = one.start()["pid"]
    rows, _ = rows_of(one, "dies", "fine")
    assert "SIGKILL" in rows["dies"]["reason"] and rows["fine"]["reason"] is None
    assert one.facts["pid"] != first


def test_a_worker_that_dies_every_time_is_given_up(worker):
    rows, _ = rows_of(worker(), "dies", "dies", "dies", "dies", "dies", "fine")
    assert "not started again" in rows["fine"]["reason"]


class Impatient(Worker):
    """Waits three seconds for an answer to what hangs, and as long as it takes for a process to start."""

    def ask(self, do, **more):
        self._stage = more.get("stage", getattr(self, "_stage", ""))
        self.limit = 3 if self._stage == "hangs" and do == "time" else 600
        return super().ask(do, **more)


def test_a_worker_that_hangs_is_ended(worker):
    rows, _ = rows_of(worker(Impatient), "hangs", "fine")
    assert "within 3 s" in rows["hangs"]["reason"] and rows["fine"]["reason"] is None


def test_a_side_that_is_not_installed(worker):
    rows, _ = rows_of(worker(missing=True), "fine", "speaks")
    assert {r["reason"] for r in rows.values()} == {"it is not installed"}


def test_workers_end_with_the_parent(worker):
    one = worker()
    pid = one.start()["pid"]
    one.child.process.stdin.close()
    assert one.child.process.wait(600) == 0
    with pytest.raises(OSError):
        os.kill(pid, 0)


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "out.json"
    report.write(path, {}, [], "running")
    with pytest.raises(TypeError):
        report.write(path, {"machine": object()}, [], "finished")
    assert json.loads(path.read_text())["state"] == "running"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize("name", ("SIGINT", "SIGTERM"))
def test_a_request_to_end_prints_what_there_is_and_leaves_nothing_behind(tmp_path, name):
    path = tmp_path / "out.json"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "benchmark.py"), "--preset", "tiny", "--device", "cpu", "--stages",
         "merge,generator", "--repeats", "100000", "--json", str(path), "--scratch", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    until = time.monotonic() + 3600  # its operators may have to be compiled first
    while process.poll() is None and time.monotonic() < until and not (path.is_file() and
                                                                        json.loads(path.read_text())["sides"]):
        time.sleep(0.1)  # every time it is there, it is whole
    process.send_signal(getattr(signal, name))
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 130, errors[-2000:]
    assert json.loads(path.read_text())["state"] == "interrupted"
    assert "| stage" in said and "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_without_mpirun_the_reason_is_told(monkeypatch, worker):
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    stage = Stage("train2.ranks2", "", (SIDE,), {"ranks": 2, "batch": 1}, new=True)
    row = run.measure([stage], {SIDE: worker()}, run.Settings(1, 1))[-1]
    assert "Open MPI" in row["reason"]


def test_stages_by_name_and_family():
    stages = every(bank_rows=[20000], chunks=[1 << 20])
    assert [s.name for s in select(stages, "stroke.mouth,project")] == ["project", "project.20000", "stroke.mouth"]
    assert [s.name for s in select(stages, "decode.rest")] == ["decode.rest", f"decode.rest@{1 << 20}"]
    assert len({s.name for s in stages}) == len(stages)
    with pytest.raises(UserError, match="no stage 'decod'; there are encode, "):
        select(stages, "decod")


@pytest.mark.parametrize("words, message", [
    (["--stages", "nothing"], "no stage 'nothing'"), (["--repeats", "0"], "--repeats must be 1 or more"),
    (["--against", "tensorflow"], "release, torch or plain"), (["--bank-rows", "-3"], "whole numbers above zero"),
    (["--preset", "huge"], "invalid choice")])
def test_wrong_options(words, message):
    done = tool(*words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_weights_that_are_not_there(tmp_path):
    done = tool("--params", tmp_path / "none")
    assert done.returncode == 2 and "no such folder of weights" in done.stderr and "Traceback" not in done.stderr


def test_help_and_list():
    done = tool("--help")
    assert done.returncode == 0
    for word in ("--against", "--stages", "--chunk-bytes", "--bank-rows", "--ranks", "--json", "--cold", "examples:"):
        assert word in done.stdout
    listed = tool("--list", "--bank-rows", "1M", "--cold").stdout
    for word in ("encode", "project.1000000", "stroke.rest", "train1", "load", "start", "cold"):
        assert f"\n{word} " in "\n" + listed
