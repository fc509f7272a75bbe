"""The process in which Jittor runs: takes requests from the window, makes shadows and faces, one at a time.

Jittor never releases Python's interpreter lock, so nothing else can happen in its process while it computes or
compiles: no thread reads the pipe, no timer fires.  Hence this process looks at the pipe between two computations,
and what must happen in any case (ending when the window is gone) is done by a second tiny process, see :mod:`guard`.

Messages are dicts over a multiprocessing connection.  From the window:
    {"do": "face", "id", "sketch", "gender", "refine", "k", "borrowed"}    the newest replaces all before it
    {"do": "sweep", "id", "sketch", "gender", "k", "levels", "borrowed"}   faces at several refinements
    {"do": "morph", "id", "a", "b", "steps"}                               faces between two sets of vectors
    {"do": "sample", "id", "gender", "seed"}                               a random drawing from the bank, and its lines
    {"do": "cancel", "id"}                                                 drop a sweep or morph
    {"do": "quit"}
To the window: "hello", "progress", "ready", "failed", "shadow", "face", "dropped", "frame", "done", "error".
"""
from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import traceback
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ..errors import InputError, UserError
from ..runtime import process

#: seconds that a face is new: where the one shown is older, the next is finished, superseded or not (ours)
OLD = 0.6


class Superseded(Exception):
    """A newer request came in between two steps of the one at hand."""


def load_synthesizer(folder, device, progress):
    """The real thing: Jittor, then the weights, then the kernels that a first face needs."""
    from jt_dfd import runtime
    from jt_dfd.checkpoints import open_folder

    open_folder(folder)  # unfit weights are told of before a compile of minutes, not after
    runtime.start(device, progress=progress)
    progress("weights", 0, 0)
    from jt_dfd.synthesizer import Synthesizer

    synthesizer = Synthesizer(folder, device=device)
    synthesizer.warm(lambda step, done, total: progress("warm", done, total + 1))
    # most drawings begin with the empty page: with its parts remembered, a first stroke costs no more than others
    gender = "female" if "female" in synthesizer.genders or not synthesizer.genders else synthesizer.genders[0]
    synthesizer.synthesize(np.full((512, 512), 255, np.uint8), gender=gender)
    progress("warm", 1, 1)
    return synthesizer


class Server:
    """Serves one window over one connection."""

    def __init__(self, connection: Connection, factory, folder: str, device: str):
        self.connection, self.factory, self.folder, self.device = connection, factory, folder, device
        self.newest = None      # the face request to do next
        self.jobs = deque()     # sweeps, morphs, samples, in order
        self.cancelled = set()
        self.synthesizer: Any = None
        self._progress_at = 0.0
        self._face_at = -OLD    # when the window was last told a face

    # -- messages --------------------------------------------------------------------------------------------------
    def tell(self, kind: str, **entries) -> None:
        self.connection.send(dict(entries, kind=kind))

    def progress(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._progress_at > 0.05 or done >= total:  # a chatty compile must not flood the pipe
            self._progress_at = now
            self.tell("progress", step=str(step), done=int(done), total=int(total))

    def read(self, wait: bool = False) -> None:
        """Take in whatever has arrived; with ``wait``, at least one message."""
        while wait or self.connection.poll():
            wait = False
            message = self.connection.recv()
            do = message["do"]
            if do == "face":
                if self.newest is not None:
                    self.tell("dropped", id=self.newest["id"])
                self.newest = message
            elif do == "cancel":
                self.cancelled.add(message["id"])
                self.jobs = deque(job for job in self.jobs if job["id"] != message["id"])
            elif do == "quit":
                raise SystemExit(0)
            else:
                self.jobs.append(message)

    # -- life ------------------------------------------------------------------------------------------------------
    def run(self) -> None:
        self.tell("hello", pid=os.getpid())
        try:
            self.synthesizer = self.factory(self.folder, self.device, self.progress)
        except Exception as error:
            from ..runtime.problems import RuntimeProblem

            # of what the user can fix, all that is not the machine's is the weights'
            weights = isinstance(error, UserError) and not isinstance(error, RuntimeProblem)
            self.tell("failed", weights=weights, message=str(error) or type(error).__name__,
                      details=traceback.format_exc())
            return
        s = self.synthesizer
        self.tell("ready", device=str(s.device), genders=list(s.genders), preset=getattr(s.config, "preset", ""),
                  canvas=getattr(s.config, "canvas", 512), latent=getattr(s.config, "latent", 0))
        while True:
            self.read(wait=self.newest is None and not self.jobs)
            if self.newest is not None:
                request, self.newest = self.newest, None
                self.attempt(request, self.face)
            elif self.jobs:
                job = self.jobs.popleft()
                self.attempt(job, getattr(self, job["do"]))

    def attempt(self, request, work) -> None:
        try:
            work(request)
        except Superseded:
            self.tell("dropped", id=request["id"])
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise
        except Exception as error:
            self.tell("error", id=request["id"], message=str(error) or type(error).__name__,
                      details=traceback.format_exc())

    def interactive(self, job_id=None) -> None:
        """Between two pictures of a series: do what the person at the canvas waits for first."""
        self.read()
        while self.newest is not None:
            request, self.newest = self.newest, None
            self.attempt(request, self.face)
            self.read()
        if job_id in self.cancelled:
            raise Superseded

    # -- work ------------------------------------------------------------------------------------------------------
    def face(self, request) -> None:
        started = time.perf_counter()
        shadow_ms = []

        def on_shadow(shadow):
            shadow_ms.append((time.perf_counter() - started) * 1000)
            self.tell("shadow", id=request["id"], shadow=np.ascontiguousarray(shadow), ms=shadow_ms[-1])
            self.read()
            # who draws without a pause still sees faces: one a moment is finished, whatever is drawn meanwhile
            if self.newest is not None and time.monotonic() - self._face_at < OLD:
                raise Superseded

        # as_is: what is on the page was read when it was opened
        r = self.synthesizer.synthesize(request["sketch"], gender=request["gender"], refine=request["refine"],
                                        k=request["k"], on_shadow=on_shadow, as_is=True)
        face, vectors = self.borrow(r.face, r.vectors, request["borrowed"])
        self._face_at = time.monotonic()
        self.tell("face", id=request["id"], face=np.ascontiguousarray(face), vectors=_plain(vectors),
                  shadow_ms=shadow_ms[0] if shadow_ms else 0.0, ms=(time.perf_counter() - started) * 1000)

    def borrow(self, face, vectors, borrowed):
        """The face with some components' vectors taken from elsewhere."""
        if not borrowed:
            return face, vectors
        for name, vector in borrowed.items():
            if vector.shape != vectors[name].shape:
                raise InputError(f"the borrowed {name} comes from other weights: its vector has {vector.shape[0]} "
                                 f"numbers, these weights use {vectors[name].shape[0]}")
        vectors = dict(vectors, **borrowed)
        return self.synthesizer.face_from_vectors(vectors), vectors

    def sweep(self, job) -> None:
        levels = job["levels"]
        for n, level in enumerate(levels):
            self.interactive(job["id"])
            r = self.synthesizer.synthesize(job["sketch"], gender=job["gender"], refine=level, k=job["k"], as_is=True)
            face, _ = self.borrow(r.face, r.vectors, job["borrowed"])
            self.tell("frame", id=job["id"], index=n, total=len(levels), face=np.ascontiguousarray(face))
        self.tell("done", id=job["id"])

    def morph(self, job) -> None:
        a, b, steps = job["a"], job["b"], job["steps"]
        for n in range(steps):
            self.interactive(job["id"])
            t = np.float32(n / max(1, steps - 1))
            face = self.synthesizer.face_from_vectors({name: (1 - t) * a[name] + t * b[name] for name in a})
            self.tell("frame", id=job["id"], index=n, total=steps, face=np.ascontiguousarray(face))
        self.tell("done", id=job["id"])

    def sample(self, job) -> None:
        from ..data.strokes import lines_of  # OpenCV, which nothing else here needs

        _, sketch = self.synthesizer.sample_vectors(job["gender"], job["seed"])
        self.tell("done", id=job["id"], sketch=np.ascontiguousarray(sketch), lines=lines_of(sketch))


def _plain(vectors):
    return {name: np.asarray(v, np.float32).reshape(-1) for name, v in vectors.items()}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description="The drawing window's inference process; started by the window.")
    parser.add_argument("--connection", type=int, required=True)
    parser.add_argument("--factory", default="jt_dfd.gui.engine_process:load_synthesizer")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--params", required=True)
    args = parser.parse_args(argv)
    connection = Connection(args.connection)
    # stdout is for nobody; what libraries print there goes where the window looks for details
    os.dup2(2, 1)
    try:
        os.nice(2)  # the window comes first where both want the same core
        if os.getsid(0) == os.getppid():  # the guard's session, which is ours alone
            process.pass_on(os.getpid())
        module, name = args.factory.split(":")
        factory = getattr(importlib.import_module(module), name)
        Server(connection, factory, args.params, args.device).run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the window went away
    return 0


if __name__ == "__main__":
    sys.exit(main())
