"""run_all.sh itself, on any machine: it reports, skips what it cannot do with the reason, and fails where it should."""
import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def run(root, tmp_path):
    def call(*words, **environment):
        done = subprocess.run(["bash", str(root / "tests/gpu/run_all.sh"), "--out", str(tmp_path / "out"), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=3600,
                              env=dict(os.environ, JT_DFD_PYTHON=sys.executable, **environment))
        place = tmp_path / "out" / "report.json"
        report = json.loads(place.read_text()) if place.exists() else {"steps": []}
        return done.returncode, done.stdout, {s["step"]: s for s in report["steps"]}
    return call


def test_without_a_gpu_it_reports_and_says_what_it_left_out(run, tmp_path):
    # a driver that shows no GPU, on a machine with one too
    status, said, steps = run("--python", sys.executable, "--skip", "doctor", CUDA_VISIBLE_DEVICES="")
    assert status == 0, said
    verdicts = {name: step["verdict"] for name, step in steps.items()}
    on_a_gpu = ["compile", "kernels", "nccl", "training", "benchmark", "training-benchmark", "faces", "selftest"]
    assert verdicts == {"environment": "PASS", "install": "PASS", **dict.fromkeys(on_a_gpu, "SKIPPED")}
    assert all("needs a GPU: " in s["why"] for s in steps.values() if s["verdict"] == "SKIPPED")
    text = (tmp_path / "out" / "report.txt").read_text()
    assert "SKIPPED faces" in text and "$ nvcc --version" in text and "2 PASS, 0 FAIL, 8 SKIPPED" in said


def test_the_doctor_s_words_are_in_the_report(run, tmp_path):
    status, said, steps = run("--python", sys.executable, "--only", "doctor", CUDA_VISIBLE_DEVICES="")
    assert status == 0 and list(steps) == ["install", "doctor"], "what a step stands on is done too"
    assert "C++ compiler" in steps["doctor"]["output"]
    assert "C++ compiler" in (tmp_path / "out" / "report.txt").read_text()


def test_a_failing_step_stops_only_what_stands_on_it(run, tmp_path):
    status, said, steps = run("--python", str(tmp_path / "missing"), "--only", "environment,install,doctor")
    assert status == 1 and "1 FAIL" in said
    assert [(s["step"], s["verdict"]) for s in steps.values()] == [
        ("environment", "PASS"), ("install", "FAIL"), ("doctor", "SKIPPED")]
    assert "--python" in steps["install"]["why"] and "install" in steps["doctor"]["why"]


def test_a_step_that_takes_too_long_is_ended_with_its_children(root, tmp_path):
    import importlib.util
    import time

    from processes import alive

    spec = importlib.util.spec_from_file_location("run_all", root / "tests/gpu/run_all.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for limit in (1, 10, 100):   # a busy machine may not even have begun after a second
        status, output, seconds = module.call(["bash", "-c", "sleep 3000 & echo begun $! $$; sleep 3000"], limit)
        assert status is None and seconds >= limit
        if "begun" in output:
            break
    pids = output.split()[1:3]
    give_up = time.monotonic() + 300
    while any(map(alive, pids)):
        assert time.monotonic() < give_up, "it, or its child, lives on"
        time.sleep(0.05)
    assert len(pids) == 2 and seconds < 2000, "it was ended, not waited for"


def test_carried_wheels_come_before_what_is_installed(run, root, tmp_path):
    """A wheel made here, with a numpy of its own name and version: it is the one that is found."""
    import zipfile

    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, text in (("numpy", "__version__ = '1.0.carried'"), ("jittor", "")):
        meta = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(str(wheels / f"{name}-1.0-py3-none-any.whl"), "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", text)
            wheel.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
                                            "Tag: py3-none-any\n")
            wheel.writestr(f"{meta}/RECORD", "")
    status, said, steps = run("--only", "environment,install", "--wheels", str(wheels), TMPDIR=str(tmp_path))
    assert status == 0, said + steps["install"]["output"]
    assert "carried: 2 files" in steps["environment"]["output"]
    version = subprocess.check_output([str(tmp_path / "jt_dfd-gpu/bin/python"), "-c",
                                       "import numpy, pytest; print(numpy.__version__)"], universal_newlines=True)
    assert version.strip() == "1.0.carried", "and what was installed is still there: pytest"


def test_an_unknown_step_is_named(run):
    status, said, _ = run("--only", "everything")
    assert status == 2 and "'everything'" in said and "benchmark" in said
