"""Worker processes that answer in order.

Each is a fresh interpreter (``python -m jt_dfd.data.workers``) that imports only what the job names: it inherits
nothing of the caller, so Jittor, Qt and locks held by threads are no concern, and scripts need no ``__main__`` guard.
Jobs and answers are pickled over its standard input and output, between processes of one user that trust each other.
"""
from __future__ import annotations

import importlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import traceback
from collections import deque
from typing import Any, Iterable, Iterator, List, Tuple

from ..errors import InputError, UserError
from ..runtime.signals import die_with_parent, restore_signals


class WorkerDied(UserError, RuntimeError):
    """A worker process ended by itself; the message says how and what it was given."""


class WorkerError(RuntimeError):
    """A job raised something that cannot be passed on; the message holds the worker's traceback."""


class Workers:
    """``count`` processes, each holding one object made by ``factory``.

    factory: "module:name" of a callable; called in each worker with ``arguments``.  What it returns is called with each
    job's arguments.  Leave with ``close`` or as a context manager.
    """

    def __init__(self, count: int, factory: str, *arguments):
        if count < 1:
            raise InputError(f"expected at least one worker, not {count}")
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
        # several processes with several threads each would only get in each other's way
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = "1"
        restore_signals()
        self._processes: List[Any] = []
        self._waiting: List[deque] = []
        try:
            for _ in range(count):
                process = subprocess.Popen([sys.executable, "-m", "jt_dfd.data.workers"], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, env=environment)
                self._processes.append(process)
                self._waiting.append(deque())
            for process in self._processes:
                _send(process.stdin, (factory, arguments))
        except BaseException:
            self.close()
            raise

    def __len__(self):
        return len(self._processes)

    def submit(self, worker: int, *job) -> None:
        """Give a worker a job; its answers come in the order of its jobs.  Jobs must be small (pipes are finite)."""
        self._waiting[worker].append(job)
        try:
            _send(self._processes[worker].stdin, job)
        except OSError:
            # it has ended; answers it gave before are still to be taken, and the first one missing tells what it had
            pass

    def result(self, worker: int) -> Any:
        """The answer to the oldest job of a worker; what the job raised is raised here."""
        try:
            ok, value = _receive(self._processes[worker].stdout)
        except EOFError:
            raise self._died(worker) from None
        self._waiting[worker].popleft()
        if not ok:
            raise value
        return value

    def map(self, jobs: Iterable[Tuple], ahead: int = 4) -> Iterator[Tuple[Tuple, Any]]:
        """(job, answer) for each job, in order, with up to ``ahead`` jobs waiting at each worker.  An answer that is an
        exception is yielded, not raised."""
        pending: deque = deque()
        jobs = iter(jobs)
        turn = 0
        finished = False
        while True:
            while not finished and len(pending) < ahead * len(self):
                try:
                    job = next(jobs)
                except StopIteration:
                    finished = True
                    break
                self.submit(turn, *job)
                pending.append((turn, job))
                turn = (turn + 1) % len(self)
            if not pending:
                return
            worker, job = pending.popleft()
            try:
                answer = self.result(worker)
            except WorkerDied:
                raise
            except Exception as error:
                answer = error
            yield job, answer

    def _died(self, worker: int) -> WorkerDied:
        code = self._processes[worker].wait()
        job = self._waiting[worker][0] if self._waiting[worker] else "nothing yet"
        how = f"signal {-code}" + (" (out of memory?)" if code == -9 else "") if code < 0 else f"exit status {code}"
        return WorkerDied(f"a worker process ended with {how} while it had {job!r}")

    def close(self) -> None:
        """End the processes; answers that nobody took are lost."""
        restore_signals()
        for process in self._processes:
            # told to stop: closing the pipe is not enough while processes that Jittor forked hold it open too
            for action in (lambda pipe=process.stdin: _send(pipe, None), process.stdin.close, process.stdout.close):
                try:
                    action()
                except OSError:
                    pass
        for process in self._processes:
            for end in (process.terminate, process.kill):
                try:
                    process.wait(timeout=5)
                    break
                except subprocess.TimeoutExpired:
                    end()
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _send(pipe, value) -> None:
    data = pickle.dumps(value, protocol=4)
    pipe.write(struct.pack("<Q", len(data)))
    pipe.write(data)
    pipe.flush()


def _receive(pipe):
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    size = struct.unpack("<Q", head)[0]
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def _serve() -> None:
    die_with_parent()
    # Ctrl-C reaches the whole group; the caller decides what becomes of the work, and closing our input ends us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(2, 1)  # whatever prints must not end up between the answers
    try:
        import cv2

        cv2.setNumThreads(1)
    except ImportError:
        pass
    answer: Any = None
    failure = None
    try:
        name, arguments = _receive(source)
        module, attribute = name.split(":")
        answer = getattr(importlib.import_module(module), attribute)(*arguments)
    except EOFError:
        return
    except Exception as error:  # told with the first job's answer
        failure = error
    while True:
        try:
            job = _receive(source)
        except EOFError:
            return
        if job is None:
            return
        try:
            if failure is not None:
                raise failure
            out = (True, answer(*job))
        except Exception as error:
            out = (False, _passable(error))
        try:
            _send(sink, out)
        except (BrokenPipeError, OSError):
            return


def _passable(error: Exception) -> Exception:
    """The exception itself where it survives pickling, else a WorkerError with its traceback."""
    try:
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:
        pass
    return WorkerError("".join(traceback.format_exception(type(error), error, error.__traceback__)))


if __name__ == "__main__":
    # through the module's own name: what is pickled here must be found under it by the caller
    from jt_dfd.data.workers import _serve as serve

    serve()
