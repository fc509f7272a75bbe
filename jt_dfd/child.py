"""Work in a process of its own: the protocol of the converter and the benchmark.

    child = Child("jt_dfd.converter.sides:JittorSide")
    child.ask("outputs", path="a.pkl", small=True)    # what JittorSide().outputs(path="a.pkl", small=True) returned

The child is ``python -m jt_dfd.child MODULE:CLASS [REQUEST ...]``.  A request is one JSON object a line on its standard
input: {"do": METHOD, ...}, the rest being the method's arguments; requests among the arguments are answered first, for
processes that no input reaches (mpirun).  Each is answered by one JSON object a line on standard output:

    {"answer": value}
    {"user": message}                      it raised a UserError
    {"error": line, "trace": traceback}    it raised anything else

Arrays go through files that a request names.  (The window's engine and the data's workers, which pass pictures and work
ahead, have protocols of their own.)
"""
from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from .errors import UserError
from .runtime.process import die_with_parent

ROOT = Path(__file__).resolve().parents[1]


class ChildError(Exception):
    """A request failed in the child; the message is one line, the cause holds the child's traceback."""


class ChildEnded(ChildError):
    """The child ended over a request; the message says how, with its last line."""


class ChildLate(ChildEnded):
    """It was ended because it did not answer in time."""


class Child:
    """A process that answers requests.  It ends with this one, however this one ends; on Linux with the thread that
    made it, so make it in one that goes on.

    target       "module:class" of the object whose methods are asked for
    environment  variables besides this process's own
    limit        seconds to wait for an answer; None waits as long as it takes.  May be changed at any time
    show         whether what the child writes to standard error is shown.  May be changed at any time
    launcher     words before the child's own command (mpirun ...)
    requests     answered before those of ``ask``; take their answers with ``answer``
    """

    def __init__(self, target: str, environment: Optional[Mapping[str, str]] = None, limit: Optional[float] = None,
                 show: bool = True, launcher: Sequence[str] = (), requests: Sequence[Dict[str, Any]] = ()):
        self.limit, self.show = limit, show
        self._answers: "queue.Queue" = queue.Queue()
        self._said: deque = deque(maxlen=40)
        path = str(ROOT), os.environ.get("PYTHONPATH")
        words = [*launcher, sys.executable, "-m", "jt_dfd.child", target, *map(json.dumps, requests)]
        self.process: Any = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=str(ROOT),
            env={**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(filter(None, path))},
            start_new_session=True)  # Ctrl-C is for this process alone
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.startswith(b"{"):  # mpirun may say something of its own
                self._answers.put(json.loads(line.decode("utf8")))
        self._answers.put(None)

    def _listen(self) -> None:
        with self.process.stderr as lines:
            for line in lines:
                text = line.decode("utf8", "replace")
                self._said.append(text.strip())
                if self.show:
                    sys.stderr.write(text)

    def ask(self, do: str, **arguments) -> Any:
        """The answer to a request.  UserError as it was raised in the child, ChildError for anything else there,
        ChildEnded where no answer came."""
        try:
            self.process.stdin.write((json.dumps(dict(arguments, do=do)) + "\n").encode())
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended; the missing answer tells
        return self.answer()

    def answer(self) -> Any:
        """The next answer; raises as ``ask`` does."""
        try:
            answer = self._answers.get(timeout=self.limit)
        except queue.Empty:
            self.kill()
            raise ChildLate(f"no answer within {self.limit:.0f} s; the process was ended") from None
        if answer is None:
            status = self.process.wait()
            self._threads[1].join(2)  # what it said last is there
            self.kill()
            words = [line for line in self._said if line]
            raise ChildEnded(f"the process ended ({how_ended(status)})" + (f": {words[-1][:200]}" if words else ""))
        if "user" in answer:
            raise UserError(answer["user"])
        if "error" in answer:
            raise ChildError(answer["error"]) from Exception("in the child process:\n" + answer["trace"])
        return answer["answer"]

    def kill(self) -> None:
        """End the process at once, and the compilers that it may have started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except OSError:
            pass
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass

    def close(self, seconds: float = 5) -> None:
        """End the process, in peace where it is idle."""
        try:
            self.process.stdin.close()
            self.process.wait(seconds)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self.kill()


def how_ended(status: int) -> str:
    """"status 1" or "SIGKILL, perhaps for want of memory", of an exit status as Python gives it."""
    if status >= 0:
        return f"status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return name + (", perhaps for want of memory" if -status == signal.SIGKILL else "")


def brief(error: BaseException) -> str:
    """One line of an error that may be pages long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else ""
    if said.endswith(":") and lines[1:]:   # a list of causes follows
        said += " " + lines[1].lstrip("- ")
    reasons = [line for line in lines if line.startswith(("Reason:", "[Reason]", "error:"))]
    if reasons and reasons[0] != said:
        said += " ... " + reasons[0]
    ours = isinstance(error, (UserError, ValueError, OSError, MemoryError)) and said
    return (said if ours else f"{type(error).__name__}: {said}")[:300]


def serve(target: str, *requests: str) -> None:
    """The child's end: answers requests until its input ends."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework and its compiler print must not get among the answers
    module, name = target.split(":")
    served = getattr(import_module(module), name)()
    # of several processes under mpirun the first answers for all, and each says what went wrong
    answering = os.environ.get("OMPI_COMM_WORLD_RANK", "0") == "0"
    for line in itertools.chain(requests, iter(sys.stdin.readline, "")):
        request = json.loads(line)
        try:
            answer = {"answer": getattr(served, request.pop("do"))(**request)}
        except UserError as error:
            answer = {"user": str(error)}
        except (Exception, SystemExit) as error:  # Jittor ends the process where it finds its tools changed
            answer = {"error": brief(error), "trace": traceback.format_exc()}
        if answering or "answer" not in answer:
            print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    serve(*sys.argv[1:])
