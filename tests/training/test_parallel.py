"""Two processes under mpirun with a picture each are one process with both."""
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jt_dfd.pictures import read_picture, write_png
from jt_dfd.training.log import read
from jt_dfd.training.run_folder import RunFolder

pytestmark = pytest.mark.skipif(not (shutil.which("mpirun") and shutil.which("mpicc")),
                                reason="no Open MPI here (Debian: openmpi-bin and libopenmpi-dev)")
STEPS = 5


def environment(processes):
    return {**os.environ, "OMP_NUM_THREADS": "1", **({"use_mpi": "1"} if processes > 1 else {})}


def command(root, stage, out, processes, *more):
    words = [sys.executable, str(root / f"tools/train_{stage}.py"), "--out", str(out), "--preset", "tiny",
             "--batch", "2", "--steps", str(STEPS), "--log-every", "1", "--sample-every", "2", "--save-every", "1",
             "--keep", "9", "--tensorboard", "no", "--device", "cpu", *more]
    if processes > 1:
        words = ["mpirun", "-np", str(processes), "--allow-run-as-root", "--oversubscribe", *words]
    return words


def train(root, stage, out, processes, *more):
    done = subprocess.run(command(root, stage, out, processes, *more), env=environment(processes), capture_output=True,
                          text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def compare(one, two, log=""):
    """Losses of every step to 1e-4, the first step's gradients to 1 % of their length, weights closer to one another
    than to where they began.  Gradients differ by more than rounding where a ReLU is at its kink: rounding decides, and
    each such case is some 0.1 %.  Adam then turns a gradient of next to nothing into a step of full length, either way,
    so single weights say little.  Left out are biases and what follows them: in front of a norm they have no gradient
    but rounding.  In training the norm takes them out again; running means, and with them stage I's held-out figures,
    carry them."""
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

    def joined(a, b, names):
        return np.concatenate([(a[n] - b[n]).reshape(-1) for n in names])

    # after one step the first moments are the gradients times 1 - beta1
    other = runs[1].read(1)[1]
    for optimiser in {n.split("/")[0] for n in left if n.startswith("adam")}:
        moments = [n for n in left if n.startswith(f"{optimiser}/m")]
        length = np.sqrt(sum((start[n].astype(np.float64) ** 2).sum() for n in moments))
        assert length > 0 and np.linalg.norm(joined(start, other, moments)) < 0.01 * length, optimiser
    assert np.linalg.norm(joined(left, right, names)) < 0.25 * np.linalg.norm(joined(left, start, names))


def test_stage_two_without_batch_statistics(root, pairs, embedding, tmp_path):
    more = ("--data", str(pairs), "--embedding", str(embedding), "--perceptual-network", "off", "--lr", "1e-4",
            "--lr-discriminator", "1e-4")
    train(root, "synthesis", tmp_path / "one", 1, *more)
    done = train(root, "synthesis", tmp_path / "two", 2, *more)
    assert "2 process(es)" in done.stderr
    compare(tmp_path / "one", tmp_path / "two")
    # rank 0 alone wrote
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


@pytest.mark.parametrize("to", ["launcher", "one process"])
def test_a_signal_saves_and_stops(root, pairs, embedding, tmp_path, to):
    """Ctrl-C cannot: Open MPI kills its processes before they have saved.  What one process got alone
    stops both."""
    out = tmp_path / "run"
    words = command(root, "synthesis", out, 2, "--data", str(pairs), "--embedding", str(embedding), "--gan", "0",
                    "--perceptual-network", "off", "--steps", "100000", "--save-every", "100000", "--sample-every", "0")
    said = tmp_path / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(words, env=environment(2), stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 900
        while not (out / "log.jsonl").is_file() or not read(out / "log.jsonl"):  # a line a step
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()[-3000:]
            time.sleep(0.2)
        ranks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(ranks) == 2
        os.kill(process.pid if to == "launcher" else int(ranks[0]), signal.SIGUSR1)
        process.wait(timeout=300)
    finally:
        process.kill()
    assert f"kill -USR1 {process.pid}" in said.read_text()
    # launched again as it was, with its options
    assert f"Go on with: {shlex.join(words[:5])} " in said.read_text()
    saved = RunFolder(out).steps()
    assert len(saved) == 1 and 0 < saved[0] < 100000, said.read_text()[-3000:]


def test_stage_one_with_synchronised_batch_statistics(root, own_pairs, embedding, tmp_path):
    """On paper with a grain.  On white paper whole areas have one activation, and where that lies at a ReLU's kink
    rounding decides for all of an area: as OpenCV 5 draws these pictures, on 0.8 % of a step's gradient and 1.1e-4 of a
    loss, which are 2e-5 and 3e-6 with the grain."""
    for n, path in enumerate(sorted((own_pairs / "sketches").iterdir())):
        sketch = read_picture(path)
        grain = np.random.default_rng(n).integers(0, 60, sketch.shape)
        write_png(path, np.clip(sketch - grain, 0, 255).astype(np.uint8))
    more = ("--data", str(own_pairs), "--component", "mouth", "--lr", "1e-4", "--norm-momentum", "1", "--init",
            str(embedding / "weights"))
    train(root, "embedding", tmp_path / "one", 1, *more)
    train(root, "embedding", tmp_path / "two", 2, *more)
    compare(tmp_path / "one", tmp_path / "two", "mouth")


def test_ranks_with_folders_of_their_own_one_of_them_killed(root, pairs, embedding, tmp_path):
    """As on two machines without a shared disk: each has its copy of the set and the encoders, rank 0 alone writes.
    What a killed rank leaves is gone on with by one process; by two only where both see it."""
    for name in "ab":
        for folder, source in (("set", pairs), ("E", embedding)):
            shutil.copytree(source, tmp_path / name / folder)
    words = command(root, "synthesis", "S", 1, "--data", "set", "--embedding", "E", "--gan", "0",
                    "--perceptual-network", "off", "--steps", "100000", "--save-every", "1", "--sample-every", "0",
                    "--keep", "2")
    both = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "1", "-wdir", str(tmp_path / "a"), *words, ":",
            "-np", "1", "-wdir", str(tmp_path / "b"), *words]
    with (tmp_path / "said").open("wb") as file:
        process = subprocess.Popen(both, env=environment(2), stdout=file, stderr=subprocess.STDOUT)
    run = RunFolder(tmp_path / "a/S")
    try:
        deadline = time.monotonic() + 900
        while not run.steps():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "said").read_text()[-3000:]
            time.sleep(0.2)
        ranks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(ranks[1]), signal.SIGKILL)
        assert process.wait(timeout=300) != 0
    finally:
        process.kill()
    assert not (tmp_path / "b/S").exists()
    reached = run.newest()[0]
    both.insert(both.index(":"), "--resume")
    done = subprocess.run([*both, "--resume"],
                          env=environment(2), capture_output=True, text=True, timeout=900)
    assert done.returncode and "the ranks do not see the same files" in done.stderr, done.stderr[-3000:]
    done = subprocess.run([*words, "--resume", "--steps", str(reached + 1)], cwd=tmp_path / "a", env=environment(1),
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and f"resumed at step {reached}" in done.stderr, done.stderr[-3000:]
