"""Stages that start new processes: to the first face, warm and cold, and training under mpirun."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Dict, List

from .client import ROOT, Worker, status_words
from .stages import Stage


def measure(stage: Stage, workers: Dict[str, Worker], settings) -> List[Dict]:
    from .run import row

    rows = {side: row(stage, side) for side in workers}
    for side, result in rows.items():
        worker = workers[side]
        if worker.missing:
            result["reason"] = worker.missing
        elif "ranks" in stage.options:
            _ranks(result, worker, stage, settings)
    if "ranks" in stage.options:
        return list(rows.values())
    cold = stage.options.get("cold", False)
    rounds = 1 if cold else settings.repeats
    for number in range(rounds if cold else rounds + 1):  # a warm start is warm from the second one on
        for side, result in rows.items():
            if result["reason"] is None:
                _first_face(result, side, workers[side], cold, number == 0 and not cold)
    return list(rows.values())


def _first_face(result: Dict, side: str, worker: Worker, cold: bool, warming: bool) -> None:
    extra, home = {}, None
    if cold:
        home = tempfile.mkdtemp(prefix="jt_dfd-cold-")
        # both: Jittor writes another JITTOR_HOME into the settings file of the home it finds
        extra = {"HOME": home, "JITTOR_HOME": home}
        print("  cold: everything is compiled anew, for minutes", file=sys.stderr, flush=True)
    try:
        began = time.perf_counter()
        answer = _run([sys.executable, "-m", __package__ + ".first_face", side, json.dumps(worker.opening)], worker,
                      extra)
        seconds = time.perf_counter() - began
    finally:
        if home:
            shutil.rmtree(home, ignore_errors=True)
    if "error" in answer:
        result["reason"] = answer["error"]
    elif warming:
        result["warmup"].append(seconds)
    else:
        result["rounds"].append([answer["arrived"] - began])
        result["calls"].append({"parts": answer["parts"]})
        result["memory"] = answer["memory"]


def _ranks(result: Dict, worker: Worker, stage: Stage, settings) -> None:
    processes = stage.options["ranks"]
    mpirun = shutil.which("mpirun")
    if not (mpirun and shutil.which("mpicc")):
        result["reason"] = "no Open MPI here (Debian: openmpi-bin and libopenmpi-dev)"
        return
    request = dict(worker.opening, batch=stage.options["batch"], repeats=settings.repeats, warmup=settings.warmup)
    words = [sys.executable, "-m", __package__ + ".ranks", json.dumps(request)]
    # one process as well as several: what MPI costs by itself is not to be taken for what a second process costs
    words = [mpirun, "-np", str(processes), "--oversubscribe", "--bind-to", "none"] + (
        ["--allow-run-as-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []) + words
    answer = _run(words, worker, {"use_mpi": "1"})
    if "error" in answer:
        result["reason"] = answer["error"]
        return
    result["rounds"], result["warmup"] = [[s] for s in answer["seconds"]], answer["warmup"]
    result.update(memory=answer["memory"], flops=answer["flops"] * processes, pictures=answer["pictures"] * processes)


def _run(words: List[str], worker: Worker, extra: Dict[str, str]) -> Dict:
    """The JSON object that a command writes to standard output, with the time it came ("arrived"); {"error": why}."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, cwd=str(ROOT), env={**worker.environment, **extra},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
                                   start_new_session=True)
        alarm = threading.Timer(worker.limit, _kill, [process])
        alarm.start()
        answer = None
        try:
            for line in process.stdout:
                if answer is None and line.startswith(b"{"):
                    answer = dict(json.loads(line.decode("utf8")), arrived=time.perf_counter())
            process.wait()
        finally:
            expired = not alarm.is_alive()
            alarm.cancel()
            _kill(process)  # nothing where it has ended
            process.wait()
            process.stdout.close()
        if answer is not None:
            return answer
        if expired:
            return {"error": f"no answer within {worker.limit:.0f} s; it was ended (--limit allows more)"}
        said.seek(0)
        words = [w.strip() for w in said.read().decode("utf8", "replace").splitlines() if w.strip()]
        last = f": {words[-1][:200]}" if words else ""
        return {"error": f"the process ended ({status_words(process.returncode)}){last}"}


def _kill(process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
