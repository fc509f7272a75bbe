"""Worker processes that answer in order.

Each is a fresh interpreter (``python -m jt_dfd.data.workers``) that imports only what the job names: it inherits
nothing of the caller, so Jittor, Qt and locks held by threads are no concern, and scripts need no ``__main__`` guard.
Jobs and answers go over a multiprocessing connection, between processes of one user that trust each other.
"""
from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections import deque
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Iterable, Iterator, List, Tuple

from ..errors import InputError, UserError
from ..runtime.process import die_with_parent, restore_signals


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
        self._processes: List[subprocess.Popen] = []
        self._connections: List[Any] = []
        self._waiting: List[deque] = [deque() for _ in range(count)]
        try:
            for _ in range(count):
                here, there = Pipe()
                self._connections.append(here)
                with there:
                    self._processes.append(subprocess.Popen(
                        [sys.executable, "-m", "jt_dfd.data.workers", str(there.fileno())], stdin=subprocess.DEVNULL,
                        stdout=2, pass_fds=[there.fileno()], env=environment))
            for connection in self._connections:
                connection.send((factory, arguments))
        except BaseException:
            self.close()
            raise

    def __len__(self):
        return len(self._processes)

    def submit(self, worker: int, *job) -> None:
        """Give a worker a job; its answers come in the order of its jobs.  Jobs must be small (pipes are finite)."""
        self._waiting[worker].append(job)
        # one that has ended: answers it gave before are still to be taken, and the first one missing tells what it had
        with contextlib.suppress(OSError):
            self._connections[worker].send(job)

    def result(self, worker: int) -> Any:
        """The answer to the oldest job of a worker; what the job raised is raised here."""
        try:
            ok, value = self._connections[worker].recv()
        except (EOFError, ConnectionResetError):
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
        for connection in self._connections:
            with connection, contextlib.suppress(OSError):
                # told to stop: closing is not enough while processes that Jittor forked hold it open too
                connection.send(None)
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


def _serve(connection: Connection) -> None:
    die_with_parent()
    # Ctrl-C reaches the whole group; the caller decides what becomes of the work, and closing our input ends us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import cv2

        cv2.setNumThreads(1)
    except ImportError:
        pass
    answer: Any = None
    failure = None
    name, arguments = connection.recv()
    try:
        module, attribute = name.split(":")
        answer = getattr(importlib.import_module(module), attribute)(*arguments)
    except Exception as error:  # told with the first job's answer
        failure = error
    while True:
        job = connection.recv()
        if job is None:
            return
        try:
            if failure is not None:
                raise failure
            out = (True, answer(*job))
        except Exception as error:
            out = (False, _passable(error))
        connection.send(out)


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

    with contextlib.suppress(EOFError, ConnectionError):   # the caller is gone
        serve(Connection(int(sys.argv[1])))
