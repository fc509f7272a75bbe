"""What the GPU's tests share.  Without a GPU, or without what Jittor needs to use it, they are skipped and say why."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent

#: sizes of the release: rows of the larger bank, numbers in a row, canvas, feature channels, neighbours
ROWS, WIDTH, CANVAS, CHANNELS, K = 11456, 512, 512, 32, 15


def _reason():
    from jt_dfd import runtime

    missing = runtime.report("cuda")["missing"]
    return "; ".join(m["what"] for m in missing)


def pytest_collection_modifyitems(config, items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    reason = _reason() if marked else ""
    if reason:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def jt():
    """Jittor on the GPU."""
    from jt_dfd import runtime

    return runtime.start("cuda")


@pytest.fixture(scope="session")
def training():
    """The helpers of the training tests: little sets of drawn faces, trainers of the tiny preset on them."""
    threads = os.environ.get("OMP_NUM_THREADS")
    spec = importlib.util.spec_from_file_location("training_helpers", HERE.parent / "training" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)   # set there for the CPU's tests
    return module


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def gpu_memory():
    """MiB in use on the first GPU, as its driver counts them."""
    said = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if said.returncode != 0:
        pytest.skip("nvidia-smi does not answer")
    return int(said.stdout.split()[0])


def run_python(code, *words, limit=400, **environment):
    """A Python process in the repository's root; its output, or a failure with what it said."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=limit, cwd=str(HERE.parents[1]),
                          env=dict(os.environ, PYTHONPATH=str(HERE.parents[1]), **environment))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
