"""The parent's end of a worker: requests, answers, time limits, and what is said when it dies."""
from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Dict, Optional

#: how often a side is started again after its process died, in one run
RESTARTS = 3
ROOT = Path(__file__).resolve().parents[2]


class WorkerFailed(Exception):
    """A request that was not done; the message is the reason given in the table."""


class WorkerGone(WorkerFailed):
    """The process ended, or was ended because it did not answer in time."""


class Worker:
    """One side's process, started when first asked.

    side      name of the side
    opening   what ``open`` is asked with
    threads   what the process's libraries are told; None leaves it to them
    limit     seconds a request may take
    """

    def __init__(self, side: str, opening: Dict[str, Any], threads: Optional[int] = None, limit: float = 3600):
        self.side, self.opening, self.limit, self.threads = side, opening, limit, threads
        self.environment = dict(environment(threads), JT_DFD_TF32="1" if opening.get("tf32", True) else "0")
        self.process: Optional[subprocess.Popen] = None
        self.facts: Dict[str, Any] = {}
        self.missing = ""
        self._started = 0
        self._answers: "queue.Queue" = queue.Queue()
        self._said: deque = deque(maxlen=40)
        self._open = False

    def start(self) -> Dict[str, Any]:
        """What the side says of itself.  WorkerFailed where it cannot be used at all."""
        if self.missing:
            raise WorkerFailed(self.missing)
        if self.process is None:
            if self._started > RESTARTS:
                raise WorkerFailed(f"the {self.side} process ended {self._started} times; not started again")
            self._launch()
            answer = self._ask({"do": "open", **self.opening})
            if "missing" in answer:
                self.missing = answer["missing"]
                self.close()
                raise WorkerFailed(self.missing)
            self.facts, self._open = answer["ready"], True
        return self.facts

    def ask(self, do: str, **more) -> Dict[str, Any]:
        """The answer to a request.  WorkerGone where the process ended over it, WorkerFailed where it refuses."""
        self.start()
        return self._ask({"do": do, **more})

    def _launch(self) -> None:
        self._started += 1
        self._answers, self._open = queue.Queue(), False
        self._said.clear()
        self.process = subprocess.Popen(
            [sys.executable, "-m", __package__ + ".worker", self.side], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=str(ROOT), env=self.environment,
            start_new_session=True)  # Ctrl-C is for this process; the child ends when its input does
        for target in (self._read, self._listen):
            threading.Thread(target=target, args=(self.process, self._answers), daemon=True).start()

    def _read(self, process, answers) -> None:
        for line in process.stdout:
            answers.put(line)
        answers.put(None)

    def _listen(self, process, answers) -> None:
        for line in process.stderr:
            text = line.decode("utf8", "replace")
            self._said.append(text.rstrip())
            if not self._open:  # a first compile takes minutes and shows how far it is
                sys.stderr.write(text)

    def _ask(self, request: Dict[str, Any]) -> Dict[str, Any]:
        process, until = self.process, time.monotonic() + self.limit
        try:
            process.stdin.write((json.dumps(request) + "\n").encode())
            process.stdin.flush()
        except OSError:
            pass  # it has ended; the missing answer tells
        try:
            line = self._answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            self._end()
            raise WorkerGone(f"no answer from the {self.side} process within {self.limit:.0f} s; it was ended "
                             "(--limit allows more)") from None
        if line is None:
            status = process.wait()
            self._end()
            raise WorkerGone(f"the {self.side} process ended ({status_words(status)})" + self._last_words())
        answer = json.loads(line.decode("utf8"))
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        words = [line for line in self._said if line.strip()]
        return f": {words[-1].strip()[:200]}" if words else ""

    def _end(self) -> None:
        """End the process at once; the next request starts another."""
        process, self.process = self.process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)  # with the compilers it may have started
        except OSError:
            pass
        process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                stream.close()
            except OSError:
                pass

    def close(self) -> None:
        """End the process, in peace where it is idle."""
        process = self.process
        if process is None:
            return
        try:
            process.stdin.close()
            process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self._end()


def environment(threads: Optional[int]) -> Dict[str, str]:
    """The environment of a process that computes with ``threads`` threads."""
    out = dict(os.environ)
    out["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), out.get("PYTHONPATH", "")]))
    if threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            out[name] = str(threads)
    return out


def status_words(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return name + (", perhaps for want of memory" if -status == signal.SIGKILL else "")
