"""tools/doctor.py as a user runs it: right on machines of several kinds, and its exit status tells."""
from __future__ import annotations

import json
import os
import shutil

import fake_jittor
import pytest
from machines import ROOT, script

DOCTOR = ROOT / "tools/doctor.py"


@pytest.fixture
def path_without(tmp_path, monkeypatch):
    """PATH with the ordinary programs but those named."""
    def hide(*names):
        folder = tmp_path / "path"
        folder.mkdir()
        for name in ("sh", "g++", "gcc", "as", "ld", "ldconfig", "nvcc", "apt-get", "uname", "objdump"):
            real = shutil.which(name)
            if real and name not in names:
                (folder / name).symlink_to(os.path.realpath(real))
        monkeypatch.setenv("PATH", str(folder))
        return folder
    return hide


def test_a_machine_without_nvcc(run, path_without):
    path_without("nvcc")
    status, out, err = run([DOCTOR])
    assert status == 0, out + err
    assert "C++ compiler" in out and "doctor.py --warm" in out


def test_a_machine_with_a_stray_nvcc(run, path_without, tmp_path):
    folder = path_without("nvcc")
    script(folder / "nvcc", "#!/bin/sh\nexec /usr/local/cuda-0.0/bin/nvcc \"$@\"\n")
    status, out, err = run([DOCTOR, "--json"])
    report = json.loads(out)
    assert status == 0 and report["device"] == "cpu" and report["environment"]["nvcc_path"] == ""
    assert [n for n in report["found"]["nvcc"] if n["path"] == str(folder / "nvcc") and n["problem"]]


def test_a_machine_without_a_compiler(run, path_without):
    path_without("g++", "apt-get")
    status, out, err = run([DOCTOR])
    assert status == 1
    assert "missing" in out and "no C++ compiler" in out and "cannot start" in out


def test_a_gpu_asked_for_on_a_machine_without_one(run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    status, out, err = run([DOCTOR, "--gpu"])
    assert status == 1 and "a GPU was asked for" in out


def test_a_numpy_of_the_future(run, tmp_path):
    info = tmp_path / "site/numpy-3.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 3.0.0\n")
    status, out, err = run([DOCTOR], PYTHONPATH=str(tmp_path / "site"))
    assert status == 1 and "numpy 3.0.0" in out and "'numpy<3'" in out


def test_warm_compiles_and_the_next_look_says_so(run, tmp_path):
    fake_jittor.make(tmp_path / "site")
    place = dict(PYTHONPATH=str(tmp_path / "site"), FAKE_CACHE=str(tmp_path / "cache"), JT_DFD_JITTOR="installed")
    assert "not compiled yet" in run([DOCTOR, "--device", "cpu"], **place)[1]
    (tmp_path / "site/sitecustomize.py").write_text(   # a repository without weights, whatever this one has
        "from jt_dfd import doctor\ndoctor.has_weights = lambda folder: False\n")
    status, out, err = run([DOCTOR, "--warm", "--device", "cpu"], **place)
    assert status == 0 and "Jittor starts on the CPU" in out and "No weights" in out, out + err
    status, out, err = run([DOCTOR, "--device", "cpu"], **place)
    assert status == 0 and out.rstrip().endswith("Jittor starts.")


def test_a_compiled_jittor_that_does_not_start_is_an_error(run, tmp_path):
    site = fake_jittor.make(tmp_path / "site")
    place = dict(PYTHONPATH=str(site), FAKE_CACHE=str(tmp_path / "cache"), JT_DFD_JITTOR="installed")
    run("from jt_dfd import runtime; runtime.start('cpu')", **place)
    (site / "jittor/__init__.py").write_text("__version__ = '1.3.11.0'\n"
                                             "raise ImportError('undefined symbol: _ZN6jittor')\n")
    status, out, err = run([DOCTOR, "--device", "cpu"], **place)
    assert status == 1 and "undefined symbol" in out and "--warm" in out


def test_warming_compiles_again_what_does_not_start(run, tmp_path):
    """As after another compiler of the same version: the mark stands, and Jittor rebuilds its tools and ends."""
    site = fake_jittor.make(tmp_path / "site")
    place = dict(PYTHONPATH=str(site), FAKE_CACHE=str(tmp_path / "cache"), JT_DFD_JITTOR="installed")
    run("from jt_dfd import runtime; runtime.start('cpu')", **place)
    (site / "sitecustomize.py").write_text(
        "from jt_dfd import doctor\ndoctor.has_weights = lambda folder: False\n")
    package, once = site / "jittor/__init__.py", tmp_path / "once"
    package.write_text(f"import os, sys\nif not os.path.exists({str(once)!r}):\n    open({str(once)!r}, 'w').close()\n"
                       "    print('jit_utils updated, please rerun your command.')\n    sys.exit(0)\n"
                       + package.read_text())
    status, out, err = run([DOCTOR, "--warm", "--device", "cpu"], **place)
    assert once.exists() and status == 0 and "Jittor starts on the CPU" in out and "missing" not in out, out + err


def test_help(run):
    status, out, err = run([DOCTOR, "--help"])
    assert status == 0 and "--warm" in out and "--gpu" in out and "Exit status" in out
