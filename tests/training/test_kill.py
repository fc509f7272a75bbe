"""The scripts as a user runs them: killed at any moment and resumed, a run is the one that was never killed."""
import os
import random
import subprocess
import sys
import time

import numpy as np

from jt_dfd.training.log import read
from jt_dfd.training.run_folder import RunFolder


def command(root, pairs, embedding, out, *more):
    return [sys.executable, str(root / "tools/train_synthesis.py"), "--data", str(pairs), "--embedding", str(embedding),
            "--preset", "tiny", "--out", str(out), "--steps", "24", "--batch", "2", "--save-every", "5",
            "--log-every", "1", "--sample-every", "0", "--perceptual-network", "off",
            "--tensorboard", "no", "--device", "cpu", "--resume", *more]


#: the script, staying where it is after a step: one that is quicker than its killer is killed all the same
_HELD = """
import runpy, sys, time
sys.path.insert(0, {root!r})
from jt_dfd.training.log import Log
line = Log.line
def held(self, step, values):
    line(self, step, values)
    if step >= {step}:
        time.sleep(600)
Log.line = held
sys.argv[0] = {script!r}
runpy.run_path({script!r}, run_name="__main__")
"""


def held(root, words, step):
    interpreter, script, *more = words
    return [interpreter, "-c", _HELD.format(root=str(root), script=script, step=step), *more]


def curve(out):
    return {line["step"]: {k: v for k, v in line.items() if k not in ("images_per_second", "memory_mb")}
            for line in read(out / "log.jsonl") if "l1" in line}


def test_sigkill_and_resume_equals_the_uninterrupted_run_bit_for_bit(root, pairs, embedding, tmp_path):
    assert subprocess.call(command(root, pairs, embedding, tmp_path / "whole")) == 0
    moment = random.Random(os.getpid()).randint(6, 20)
    out = tmp_path / "killed"
    process = subprocess.Popen(held(root, command(root, pairs, embedding, out), moment + 2))
    give_up = time.monotonic() + 1800
    while max(curve(out), default=0) < moment and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.01)
    process.kill()
    process.wait()
    reached = max(curve(out))
    assert moment <= reached < 24, "the run ended before it could be killed"
    assert subprocess.call(command(root, pairs, embedding, out)) == 0
    assert curve(out) == curve(tmp_path / "whole")
    left, right = (RunFolder(tmp_path / name).newest() for name in ("whole", "killed"))
    assert left[0] == right[0] == 24
    assert all(np.array_equal(left[1][k], right[1][k]) for k in left[1])


def test_what_is_wrong_is_said_in_a_line_without_a_traceback(root, pairs, tmp_path):
    done = subprocess.run([sys.executable, str(root / "tools/train_synthesis.py"), "--data", str(pairs), "--out",
                           str(tmp_path / "run"), "--embedding", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr and str(tmp_path) in done.stderr
