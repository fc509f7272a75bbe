"""Asking for a GPU, with drivers that are compiled here: one that answers, one without GPUs, one that crashes."""
from __future__ import annotations

import json
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("gcc") and not shutil.which("g++"), reason="no C compiler")

DRIVER = """
#include <string.h>
int cuInit(unsigned f) { %(init)s }
int cuDriverGetVersion(int* v) { *v = 12040; return 0; }
int cuDeviceGetCount(int* n) { *n = %(count)d; return 0; }
int cuDeviceGet(int* d, int i) { *d = i; return 0; }
int cuDeviceGetName(char* s, int n, int d) { strncpy(s, "Test GPU", n); return 0; }
int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 75 ? 8 : 6; return 0; }
int cuDeviceTotalMem_v2(unsigned long* n, int d) { *n = 24ul << 30; return 0; }
"""
ASK = "import json; from jt_dfd.runtime import gpu; print(json.dumps(gpu.ask()))"


@pytest.fixture
def ask(run, tmp_path):
    def call(init="return 0;", count=1, **environment):
        source = tmp_path / "driver.c"
        source.write_text(("#include <stdlib.h>\n" + DRIVER) % {"init": init, "count": count})
        subprocess.check_call([shutil.which("gcc") or "g++", "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1",
                               str(source), "-o", str(tmp_path / "libcuda.so.1")])
        status, out, err = run(ASK, LD_LIBRARY_PATH=str(tmp_path), **environment)
        assert status == 0, err
        return json.loads(out)
    return call


def test_a_gpu_that_answers(ask):
    answer = ask(count=2)
    assert answer["driver"] == [12, 4] and len(answer["devices"]) == 2
    assert answer["devices"][0] == {"name": "Test GPU", "capability": 86, "memory": 24 << 30}


def test_a_driver_without_a_gpu(ask):
    answer = ask(init="return 100;")
    assert answer["devices"] == [] and "no GPU" in answer["why"]


def test_a_hidden_gpu_names_what_hides_it(ask):
    answer = ask(count=0, CUDA_VISIBLE_DEVICES="")
    assert answer["devices"] == [] and "CUDA_VISIBLE_DEVICES" in answer["why"]


def test_an_unknown_status_is_given_as_a_number(ask):
    assert "driver status 777" in ask(init="return 777;")["why"]


def test_a_driver_that_crashes_takes_nothing_with_it(ask):
    answer = ask(init="abort();")
    assert answer["devices"] == [] and "did not answer" in answer["why"]


def test_a_gpu_without_a_compiler_falls_back_and_says_so(run, tmp_path, ask):
    ask()
    code = ("import json, os; from jt_dfd.runtime import cuda_toolkit; cuda_toolkit.find_nvcc = list\n"
            "from jt_dfd import runtime; print(json.dumps(runtime.report()))")
    report = json.loads(run(code, LD_LIBRARY_PATH=str(tmp_path))[1])
    assert report["device"] == "cpu" and report["missing"] == []
    assert "no CUDA compiler" in report["notes"][0]["what"] and "CUDA 12" in report["notes"][0]["fix"]


def test_asking_for_a_gpu_that_is_not_there_is_an_error(ask, run, tmp_path):
    ask(init="return 100;")
    status, out, err = run("from jt_dfd import runtime; runtime.prepare('cuda')", LD_LIBRARY_PATH=str(tmp_path))
    assert status != 0 and "RuntimeProblem" in err and "a GPU was asked for" in err
