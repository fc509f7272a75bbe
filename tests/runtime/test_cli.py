"""How every tool ends: one line for what the user can fix, a traceback for a bug."""
from __future__ import annotations

import ast
import builtins
import inspect
import os
import subprocess
import sys

import pytest
from machines import ROOT

from jt_dfd import errors
from jt_dfd.cli import run, when_stopped


def raising(error):
    def main(arguments=None):
        raise error
    return main


@pytest.fixture(autouse=True)
def name(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/tools/sketch.py"])


@pytest.mark.parametrize("error, line", [
    (errors.UserError("a.pkl: cut off"), "sketch: a.pkl: cut off"),
    (errors.InputError("k must be 1"), "sketch: k must be 1"),
    (PermissionError(13, "Permission denied", "out/set"), "sketch: out/set: Permission denied"),
    (OSError(28, "No space left on device"), "sketch: No space left on device"),
    (ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
     "sketch: libGL.so.1: cannot open shared object file: No such file or directory; a package needs this library of "
     "the system: bash tools/quickstart.sh  names or installs what is missing")])
def test_what_the_user_can_fix_is_one_line_and_status_2(error, line, capsys):
    assert run(raising(error)) == 2
    assert capsys.readouterr().err.splitlines() == [line]


@pytest.mark.parametrize("error", [ValueError("shapes"), RuntimeError("x"), KeyError("x"), OSError("handle is closed"),
                                   ImportError("no x"), BrokenPipeError(32, "Broken pipe")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)) as caught:
        run(raising(error))
    assert caught.value is error


def test_ctrl_c_is_status_130_and_says_how_to_go_on(capsys):
    def main(arguments=None):
        with when_stopped("stopped; the same command goes on"):
            raise KeyboardInterrupt

    assert run(main) == 130 and capsys.readouterr().err == "\nsketch: stopped; the same command goes on\n"
    assert run(raising(KeyboardInterrupt())) == 130 and capsys.readouterr().err == "\nsketch: stopped\n"


def test_the_status_and_the_arguments_pass_through():
    assert run(lambda arguments=None: arguments[0], [3]) == 3


def test_an_input_error_is_a_value_error_to_callers_of_the_library():
    from jt_dfd.kernels import selection

    with pytest.raises(ValueError):
        selection.check_k(0)
    assert issubclass(errors.InputError, errors.UserError)


#: exceptions that one part of the package hands to another and no user sees
INTERNAL = {"Unavailable", "Superseded", "UnsafePickle", "WorkerError", "Rejected", "ChildError", "ChildEnded",
            "ChildLate", "Failed"}


def test_every_exception_class_is_the_users_or_internal():
    """A new one derives from UserError, so that every tool prints it in one line."""
    bases = {}
    for path in (ROOT / "jt_dfd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [b.id if isinstance(b, ast.Name) else b.attr for b in node.bases
                                    if isinstance(b, (ast.Name, ast.Attribute))]

    def ancestors(name):
        return {name}.union(*(ancestors(base) for base in bases.get(name, ())))

    found = {name for name in bases if any(
        inspect.isclass(getattr(builtins, base, None)) and issubclass(getattr(builtins, base), Exception)
        for base in ancestors(name)) or "UnpicklingError" in ancestors(name)}
    assert {"CheckpointError", "RuntimeProblem"} | INTERNAL <= found
    assert {name for name in found if "UserError" not in ancestors(name)} == INTERNAL


def test_a_wrong_device_in_the_environment_is_one_line(machine, tmp_path):
    done = subprocess.run([sys.executable, str(ROOT / "tools/build_bank.py"), "--params", "Params/demo", "--data",
                           str(tmp_path)], capture_output=True, text=True, cwd=str(ROOT),
                          env=dict(os.environ, JT_DFD_DEVICE="gpu", PYTHONPATH=str(ROOT)))
    assert done.returncode == 2 and "JT_DFD_DEVICE=gpu" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("tool, words", [
    ("evaluate", ["--data", "tests/data/samples", "--out", "{file}/out"]),
    ("export_weights", ["--embedding", "Params/demo", "--synthesis", "Params/demo", "--out", "{file}/out"]),
    ("generate_faces", ["--count", "1", "--out", "{file}/out"]),
    ("prepare_data", ["tests/data/samples/faces", "--aligned", "--out", "{file}/out"]),
    ("convert_weights", ["to-torch", "Params/demo", "{file}/out", "--no-verify"]),
    ("fetch_release", ["--to", "{file}/out"]),
    ("benchmark", ["--preset", "tiny", "--scratch", "{file}"])])
def test_an_out_that_cannot_be_written_is_one_line(tool, words, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = subprocess.run([sys.executable, str(ROOT / "tools" / f"{tool}.py"),
                           *(word.format(file=tmp_path / "file") for word in words)],
                          capture_output=True, text=True, cwd=str(ROOT))
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    if "which is not installed" in done.stderr:
        pytest.skip(f"the data tools' packages are not installed: {done.stderr.splitlines()[0]}")
    assert tool in done.stderr.splitlines()[-1]


def test_every_tool_is_a_job_of_the_installed_command():
    from jt_dfd.__main__ import JOBS

    scripts = {path.stem: path.read_text() for path in (ROOT / "tools").glob("*.py")}
    assert set(scripts) == set(JOBS)
    for job, place in JOBS.items():
        module, function = place.split(":")
        assert f"from jt_dfd.{module} import {function}" in scripts[job], job
    done = subprocess.run([sys.executable, "-m", "jt_dfd", "export-weights", "--embedding", "nowhere",
                           "--synthesis", "b", "--out", "c"], capture_output=True, text=True, cwd=str(ROOT))
    assert done.returncode == 2 and done.stderr.startswith("jt-dfd export_weights: nowhere: no such folder")
    none = subprocess.run([sys.executable, "-m", "jt_dfd", "paint"], capture_output=True, text=True, cwd=str(ROOT))
    assert none.returncode == 2 and "synthesize" in none.stderr
