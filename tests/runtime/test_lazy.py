"""Importing starts nothing: Jittor is imported by its first use, so work with files and arrays never waits for it."""
from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys

import pytest
from machines import ROOT

#: a Python in which an import of Jittor, or a start of the runtime, ends in an error; to look where it lies is none
REFUSE = """
import sys
from importlib.machinery import ModuleSpec
class Refuse:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.split(".")[0] == "jittor" else None
    def create_module(self, spec):
        raise AssertionError("Jittor was imported")
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Refuse())
from jt_dfd import runtime
def refuse(*_, **__):
    raise AssertionError("Jittor was started")
runtime.start = runtime.jt = refuse
"""
IMPORT_ALL = REFUSE + """
import importlib, json, os
started = []
for name in json.loads(sys.argv[1]):
    child = os.fork()   # each in a process that has seen no other module
    if child == 0:
        try:
            importlib.import_module(name)
        except AssertionError:
            os._exit(1)
        except ImportError as error:   # a package that only this module needs is not installed
            os._exit(0 if not str(error.name).startswith("jt_dfd") else 2)
        os._exit(0)
    status = os.WEXITSTATUS(os.waitpid(child, 0)[1])
    if status:
        started.append([name, status])
print(json.dumps(started))
"""


def python(code, *words):
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, cwd=str(ROOT),
                          timeout=600, env=dict(os.environ, PYTHONPATH=str(ROOT), QT_QPA_PLATFORM="offscreen"))
    return done.returncode, done.stdout, done.stderr


def modules():
    return sorted(m.name for m in pkgutil.walk_packages([str(ROOT / "jt_dfd")], "jt_dfd.", onerror=lambda name: None))


def test_no_module_starts_jittor_when_imported_but_those_that_derive_from_its_classes():
    from jt_dfd.backend import DERIVING

    names = modules()
    assert len(names) > 100 and DERIVING <= set(names)
    status, out, err = python(IMPORT_ALL, json.dumps(names))
    assert status == 0, err
    assert {name: status for name, status in json.loads(out)} == dict.fromkeys(DERIVING, 1)


def test_the_first_use_starts_it():
    status, out, err = python(REFUSE + """
from jt_dfd.backend import jt, nn
try:
    jt.array
except AssertionError as error:
    print(error)
try:
    nn.relu
except AssertionError as error:
    print(error)
""")
    assert out.splitlines() == ["Jittor was started"] * 2, err


def test_jt_is_jittor_itself_to_read_and_to_write(machine, monkeypatch):
    from types import ModuleType

    from jt_dfd import runtime
    from jt_dfd.backend import _Lazy

    jittor = ModuleType("jittor")
    jittor.grad, jittor.in_mpi = len, True
    monkeypatch.setattr(runtime, "_jittor", jittor)
    jt = _Lazy("jittor", runtime.jt)
    assert jt.grad is len and jt.grad is len and jt.in_mpi and "grad" in dir(jt)
    jt.grad, jittor.in_mpi = sum, False
    assert jittor.grad is jt.grad is sum and jt.in_mpi is False
    del jt.grad
    assert not hasattr(jt, "grad")


@pytest.mark.parametrize("tool, words, status, said", [
    ("export_weights", ["--embedding", "nowhere", "--synthesis", "x", "--out", "y"], 2, "nowhere: no such folder"),
    ("build_bank", ["--params", "nowhere", "--data", "x"], 2, "nowhere: no such folder"),
    ("build_bank", ["--params", "Params/demo", "--data", "nowhere"], 2, "nowhere/index.csv"),
    ("train_embedding", ["--data", "nowhere", "--out", "y"], 2, "nowhere/index.csv"),
    ("train_synthesis", ["--data", "nowhere", "--out", "y", "--embedding", "none"], 2, "none: no such folder"),
    ("synthesize", ["tests/sketches/a.png", "--params", "nowhere"], 2, "nowhere: no such folder"),
    ("evaluate", ["--params", "nowhere", "--data", "x", "--out", "{tmp}"], 2, "nowhere: no such folder"),
    ("convert_weights", ["inspect", "Params/demo/Combine/latest_net_G.pkl"], 0, ""),
    ("convert_weights", ["to-torch", "Params/demo/AE_whole/man_nose_feature.bin", "{tmp}/b.safetensors"], 0, ""),
    ("prepare_data", ["check", "tests/data/samples", "--pairs", "0", "--workers", "1"], 0, "")])
def test_checks_and_array_work_of_the_tools_answer_without_jittor(tool, words, status, said, tmp_path):
    code = REFUSE + ("import runpy\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')")
    found, out, err = python(code, ROOT / "tools" / f"{tool}.py", *(word.format(tmp=tmp_path) for word in words))
    assert found == status and said in err, err
    assert "Traceback" not in err


@pytest.mark.parametrize("tool", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_help_waits_for_neither_jittor_nor_numpy(tool):
    code = REFUSE + ("sys.modules['numpy'] = None\nimport runpy\nsys.argv = sys.argv[1:]\n"
                     "runpy.run_path(sys.argv[0], run_name='__main__')")
    status, out, err = python(code, ROOT / "tools" / f"{tool}.py", "--help")
    assert status == 0 and "usage: " in out, err
