"""Two processes under mpirun with a picture each are one process with both."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jt_dfd.training.log import read
from jt_dfd.training.run_folder import RunFolder

pytestmark = pytest.mark.skipif(not (shutil.which("mpirun") and shutil.which("mpicc")),
                                reason="no Open MPI here (Debian: openmpi-bin and libopenmpi-dev)")
STEPS = 5


def train(root, stage, out, processes, *more):
    words = [sys.executable, str(root / f"tools/train_{stage}.py"), "--out", str(out), "--preset", "tiny",
             "--batch", "2", "--steps", str(STEPS), "--log-every", "1", "--sample-every", "2", "--save-every", "1",
             "--keep", "9", "--tensorboard", "no", "--device", "cpu", *more]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    if processes > 1:
        env["use_mpi"] = "1"
        words = ["mpirun", "-np", str(processes), "--allow-run-as-root", "--oversubscribe", *words]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def compare(one, two, log=""):
    """Losses and weights to 1e-4.  Left out are biases and what follows them: in front of a norm they have no gradient
    but rounding, which Adam turns into steps of full length.  In training the norm takes them out again; running means,
    and with them stage I's held-out figures, carry them."""
    lines = [read(folder / log / "log.jsonl") for folder in (one, two)]
    assert len(lines[0]) == len(lines[1]) > STEPS
    for a, b in zip(*lines):
        for name in set(a) - {"images_per_second", "memory_mb"}:
            if not name.startswith(("gradient", "held_out/mouth")):
                assert a[name] == pytest.approx(b[name], abs=1e-4, rel=1e-4), (a["step"], name)
    runs = [RunFolder(folder / log) for folder in (one, two)]
    (_, start, _), (_, left, _), (_, right, _) = runs[0].read(1), runs[0].read(STEPS), runs[1].read(STEPS)
    names = [n for n in left if not n.startswith(("adam", "average")) and not n.endswith((".bias", ".running_mean"))]
    assert set(left) == set(right) and len(names) > 10

    def joined(a, b):
        return np.concatenate([(a[n] - b[n]).reshape(-1) for n in names])

    apart, moved = joined(left, right), joined(left, start)
    # single weights whose gradient is next to nothing are moved by rounding, a step of the rate's length at a time
    assert (np.abs(apart) < 1e-4).mean() > 0.999
    assert np.linalg.norm(apart) < 0.1 * np.linalg.norm(moved)


def test_stage_two_without_batch_statistics(root, pairs, embedding, tmp_path):
    more = ("--data", str(pairs), "--embedding", str(embedding), "--perceptual-network", "off", "--lr", "1e-4",
            "--lr-discriminator", "1e-4")
    train(root, "synthesis", tmp_path / "one", 1, *more)
    done = train(root, "synthesis", tmp_path / "two", 2, *more)
    assert "2 process(es)" in done.stderr
    compare(tmp_path / "one", tmp_path / "two")
    # rank 0 alone wrote
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


def test_stage_one_with_synchronised_batch_statistics(root, pairs, embedding, tmp_path):
    more = ("--data", str(pairs), "--component", "mouth", "--lr", "1e-4", "--norm-momentum", "1", "--init-from",
            str(embedding / "weights"))
    train(root, "embedding", tmp_path / "one", 1, *more)
    train(root, "embedding", tmp_path / "two", 2, *more)
    compare(tmp_path / "one", tmp_path / "two", "mouth")
