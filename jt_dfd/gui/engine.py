"""The window's side of inference: starts the engine process, feeds it, hears it, starts it again.  No widget.

The window's thread never waits in here.  One thread sends (the pipe is full while the process compiles), one hears,
one keeps the last lines of what the process prints; results come as Qt signals.  The threads know nothing of Qt: they
may outlive the engine (see :mod:`mailbox`).
"""
from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from .background import Mailbox, Post
from .settings import FaceSettings

REAL = "jt_dfd.gui.engine_process:load_synthesizer"
#: milliseconds before a crashed engine is started again: the n-th crash in a row waits the n-th time (ours)
BACK_OFF = (300, 1000, 3000, 8000)
#: crashes in a row after which one is asked instead
MAX_CRASHES = len(BACK_OFF)
#: steps of a start, besides those of a first compile (runtime.display.STEPS)
STEPS = ("start", "weights", "warm")
#: a request that took the engine down this often is not sent again
MAX_TRIES = 2
#: milliseconds between two looks whether the process waits for Jittor's lock (ours; told when two in a row say so)
LOOK = 1000

_ROOT = str(Path(__file__).resolve().parents[2])
# -c and an explicit first path entry rather than -m: the latter would put the current folder first, where a
# stranger's numpy.py may lie
_BOOT = ("import sys; sys.path[0] = {root!r}; from jt_dfd.gui import guard; guard.split({lifeline}); "
         "from jt_dfd.gui import engine_process; sys.exit(engine_process.main({arguments!r}))")

STOPPED, STARTING, READY, BUSY, WAITING, FAILED = "stopped", "starting", "ready", "busy", "waiting", "failed"


@dataclass
class Result:
    """A face as it came back.  face (512, 512, 3) uint8, vectors {component: (latent,)}, times in milliseconds from
    the engine's taking up the request; sketch and settings are what it was made from."""

    face: np.ndarray
    vectors: Dict[str, np.ndarray]
    sketch: np.ndarray
    settings: FaceSettings
    shadow_ms: float
    ms: float
    tag: Any = None


@dataclass
class _Face:
    sketch: np.ndarray
    settings: FaceSettings
    tag: Any = None
    tries: int = 0


@dataclass
class _Job:
    message: Dict[str, Any]
    tries: int = 0


@dataclass
class _Process:
    """One engine process and its threads' shared state."""

    popen: Any
    connection: Any
    lifeline: int
    post: Post                                        # to the window's thread
    wake: threading.Condition = field(default_factory=threading.Condition)
    face: Optional[dict] = None                       # newest wins: one slot
    others: deque = field(default_factory=deque)      # jobs and cancellations, in order
    closed: bool = False
    tail: deque = field(default_factory=lambda: deque(maxlen=200))
    pid: int = 0
    threads: List[threading.Thread] = field(default_factory=list)


class Engine(QObject):
    """state_changed(str)            one of the states above; text() says it in words
    progress(str, int, int)       step (a code, see STEPS), done, total (0: unknown) while the engine starts
    ready(dict)                   device, genders, preset, canvas, latent
    shadow(ndarray, float)        (512, 512) uint8 full-strength guidance and its milliseconds
    face(Result)
    face_failed(str)              the face asked for last will not come: message
    frame(int, int, int, ndarray) job, index, total, face
    job_done(int, dict)           job, what it returned besides frames
    job_failed(int, str)          job, message
    failed(bool, str, str)        the engine cannot run: is it the weights?, message, details
    notice(str, str)              something the person should know: message, details
    held_up(bool)                 the process waits, or no longer, for another one that holds Jittor's lock
    A message is a code of the languages' files, or what an exception says.
    """

    state_changed = pyqtSignal(str)
    progress = pyqtSignal(str, int, int)
    ready = pyqtSignal(dict)
    shadow = pyqtSignal(object, float)
    face = pyqtSignal(object)
    face_failed = pyqtSignal(str)
    frame = pyqtSignal(int, int, int, object)
    job_done = pyqtSignal(int, dict)
    job_failed = pyqtSignal(int, str)
    failed = pyqtSignal(bool, str, str)
    notice = pyqtSignal(str, str)
    held_up = pyqtSignal(bool)

    def __init__(self, params, device: str = "auto", factory: str = REAL, environment: Optional[dict] = None,
                 parent=None):
        super().__init__(parent)
        self.params, self.device, self.factory = str(params), device, factory
        self.environment = environment or {}
        self.info: dict = {}
        self.state = STOPPED
        self.sent = 0      # face requests made
        self.dropped = 0   # of these, superseded before they were computed
        self._process: Any = None
        self._id = 0
        self._wanted: Optional[_Face] = None                   # asked for, not yet handed to a process
        self._open: "OrderedDict[int, _Face]" = OrderedDict()  # handed over, not yet answered
        self._jobs: "OrderedDict[int, _Job]" = OrderedDict()
        self._crashes = 0
        self._restart = QTimer(self, singleShot=True, timeout=self.start)
        self.is_held_up, self._waited = False, False
        self._watch = QTimer(self, interval=LOOK, timeout=self._look_for_lock)
        self._mailbox = Mailbox(self)
        self._mailbox.arrived.connect(self._on_message)

    # -- life ------------------------------------------------------------------------------------------------------
    @property
    def pid(self) -> int:
        """Process number of the engine, 0 where there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the process; returns at once."""
        self._restart.stop()
        if self._process is not None:
            return
        import subprocess  # these, and locks, only now: the window is shown before
        from multiprocessing.connection import Pipe

        ours, theirs = Pipe()
        read_end, write_end = os.pipe()
        arguments = ["--connection", str(theirs.fileno()), "--factory", self.factory, "--device", self.device,
                     "--params", self.params]
        code = _BOOT.format(root=_ROOT, lifeline=read_end, arguments=arguments)
        try:
            popen = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, pass_fds=(theirs.fileno(), read_end), start_new_session=True,
                env={**os.environ, **self.environment})
        except OSError as error:
            os.close(write_end)
            ours.close()
            self._set_state(FAILED)
            self.failed.emit(False, f"The engine process cannot be started: {error}", "")
            return
        finally:
            os.close(read_end)
            theirs.close()
        process = _Process(popen, ours, write_end, self._mailbox.post)
        self._process = process
        for work in (self._send_loop, self._hear_loop, self._tail_loop):
            process.threads.append(threading.Thread(target=work, args=(process,), daemon=True, name="engine"))
            process.threads[-1].start()
        self._set_state(STARTING)
        self.progress.emit("start", 0, 0)
        for _number, job in self._jobs.items():
            self._queue(job.message)

    def stop(self) -> None:
        """End the process, whatever it is doing, with everything it started."""
        self._restart.stop()
        process, self._process = self._process, None
        if process is not None:
            self._close(process)
        self._set_state(STOPPED)

    def use(self, params=None, device: Optional[str] = None) -> None:
        """Other weights or another device: a new process; what was asked for is asked again of it."""
        self.params = str(params) if params is not None else self.params
        self.device = device or self.device
        self.retry()

    def retry(self) -> None:
        """Start afresh, as if nothing had ever failed."""
        self._crashes = 0
        self._keep_open_requests(blame=False)
        for number in list(self._jobs):
            del self._jobs[number]
            self.job_failed.emit(number, "")
        self.stop()
        self.info = {}
        self.start()

    # -- requests --------------------------------------------------------------------------------------------------
    def request_face(self, sketch: np.ndarray, settings: FaceSettings, tag: Any = None) -> None:
        """Ask for a face; replaces every earlier such request that is not done."""
        self.sent += 1
        if self._wanted is not None:
            self.dropped += 1
        self._wanted = _Face(sketch, settings.copy(), tag)
        self._hand_over()

    @property
    def waiting(self) -> bool:
        """Is a face still to come?"""
        return self._wanted is not None or bool(self._open)

    def forget(self) -> None:
        """No face is wanted any more; one that is being made will not be told of."""
        self._wanted = None
        self._open.clear()
        process = self._process
        if process is not None:
            with process.wake:
                process.face = None
        self._settle()

    def submit(self, do: str, **entries) -> int:
        """Queue a "sweep", "morph" or "sample" (see :mod:`engine_process`); returns its number."""
        self._id += 1
        message = dict(entries, do=do, id=self._id)
        self._jobs[self._id] = _Job(message)
        self._queue(message)
        self._settle()
        return self._id

    def cancel(self, job: int) -> None:
        if self._jobs.pop(job, None) is not None:
            self._queue({"do": "cancel", "id": job})

    def _hand_over(self) -> None:
        process = self._process
        if process is None or self._wanted is None or self.state not in (READY, BUSY):
            return
        wanted, self._wanted = self._wanted, None
        self._id += 1
        with process.wake:
            if process.face is not None:  # never left the window
                self._open.pop(process.face["id"], None)
                self.dropped += 1
            process.face = {"do": "face", "id": self._id, "sketch": wanted.sketch, "gender": wanted.settings.gender,
                            "refine": wanted.settings.fractions(), "k": wanted.settings.k,
                            "borrowed": wanted.settings.borrowed}
            process.wake.notify()
        self._open[self._id] = wanted
        if self.state == READY:
            self._set_state(BUSY)

    def _queue(self, message: dict) -> None:
        process = self._process
        if process is not None:
            with process.wake:
                process.others.append(message)
                process.wake.notify()

    # -- threads ---------------------------------------------------------------------------------------------------
    @staticmethod
    def _send_loop(process: _Process) -> None:
        while True:
            with process.wake:
                while not (process.closed or process.others or process.face):
                    process.wake.wait()
                if process.closed:
                    return
                if process.others:
                    message = process.others.popleft()
                else:
                    message, process.face = process.face, None
            try:
                process.connection.send(message)
            except (OSError, ValueError):
                return  # the hearing thread tells

    @staticmethod
    def _hear_loop(process: _Process) -> None:
        while True:
            try:
                message = process.connection.recv()
            except (EOFError, OSError, ValueError):
                message = {"kind": "gone"}
            process.post((process, message))
            if message["kind"] == "gone":
                return

    @staticmethod
    def _tail_loop(process: _Process) -> None:
        with process.popen.stderr as pipe:
            for line in iter(lambda: pipe.readline(4096), b""):
                process.tail.append(line.decode("utf-8", "replace").rstrip())

    # -- answers ---------------------------------------------------------------------------------------------------
    def _on_message(self, heard) -> None:
        process, message = heard
        if process is not self._process:
            return  # of a process that was given up
        getattr(self, "_on_" + message["kind"])(message)

    def _on_hello(self, message) -> None:
        self._process.pid = message["pid"]

    def _on_progress(self, message) -> None:
        self.progress.emit(message["step"], message["done"], message["total"])

    def _on_ready(self, message) -> None:
        self.info = {k: v for k, v in message.items() if k != "kind"}
        self._set_state(BUSY if self._open or self._jobs else READY)
        self.ready.emit(self.info)
        self._hand_over()  # not before: what waits in a pipe cannot be replaced by something newer

    def _on_failed(self, message) -> None:
        tail = "\n".join(self._process.tail)
        process, self._process = self._process, None
        self._close(process)
        self._keep_open_requests(blame=False)
        self._fail_jobs(message["message"])
        self._set_state(FAILED)
        self.failed.emit(message["weights"], message["message"], message["details"] + ("\n" + tail if tail else ""))

    def _on_shadow(self, message) -> None:
        if message["id"] in self._open:
            self.shadow.emit(message["shadow"], message["ms"])

    def _on_face(self, message) -> None:
        asked = self._open.pop(message["id"], None)
        self._crashes = 0
        self._settle()
        if asked is not None:
            self.face.emit(Result(message["face"], message["vectors"], asked.sketch, asked.settings,
                                  message["shadow_ms"], message["ms"], asked.tag))

    def _on_dropped(self, message) -> None:
        if self._open.pop(message["id"], None) is not None:
            self.dropped += 1
        elif self._jobs.pop(message["id"], None) is not None:
            self.job_failed.emit(message["id"], "")
        self._settle()

    def _on_frame(self, message) -> None:
        if message["id"] in self._jobs:
            self.frame.emit(message["id"], message["index"], message["total"], message["face"])

    def _on_done(self, message) -> None:
        done = self._jobs.pop(message["id"], None)
        self._crashes = 0
        self._settle()
        if done is not None:
            self.job_done.emit(message["id"], message)

    def _on_error(self, message) -> None:
        if self._jobs.pop(message["id"], None) is not None:
            self.job_failed.emit(message["id"], message["message"])
        of_a_face = self._open.pop(message["id"], None) is not None
        self._settle()
        if of_a_face:
            self.face_failed.emit(message["message"])
        self.notice.emit(message["message"], message["details"])

    def _settle(self) -> None:
        if self.state in (READY, BUSY):
            self._set_state(BUSY if self._open or self._jobs else READY)

    def _on_gone(self, message) -> None:
        """The process died under us."""
        process, self._process = self._process, None
        self._close(process)
        self._crashes += 1
        self._keep_open_requests(blame=True)
        for number, job in list(self._jobs.items()):
            job.tries += 1
            if job.tries >= MAX_TRIES:
                del self._jobs[number]
                self.job_failed.emit(number, "engine.working")
        details = "\n".join(process.tail)
        if self._crashes > MAX_CRASHES:
            self._fail_jobs("engine.stopped")
            self._set_state(FAILED)
            self.failed.emit(False, "engine.several", details)
            return
        self._set_state(WAITING)
        self.notice.emit("engine.restarting", details)
        self._restart.start(BACK_OFF[self._crashes - 1])

    def _keep_open_requests(self, blame: bool) -> None:
        """The newest unanswered request is asked again of the next process, unless it seems to be what kills it."""
        last = next(reversed(self._open.values())) if self._open else None
        self._open.clear()
        if last is None or self._wanted is not None:
            return
        last.tries += blame
        if last.tries < MAX_TRIES:
            self._wanted = last
        else:
            self.face_failed.emit("engine.twice")
            self.notice.emit("engine.twice", "")

    def _fail_jobs(self, message: str) -> None:
        for number in list(self._jobs):
            del self._jobs[number]
            self.job_failed.emit(number, message)

    @staticmethod
    def _close(process: _Process) -> None:
        with process.wake:
            process.closed = True
            process.wake.notify()
        try:
            os.close(process.lifeline)  # the guard ends the whole group
        except OSError:
            pass
        # reaping may take a moment; nobody waits for it
        threading.Thread(target=_reap, args=(process,), name="engine").start()

    def _look_for_lock(self) -> None:
        from ..runtime import locks

        waits = locks.waits(self.pid)
        held, self._waited = waits and self._waited, waits
        if held != self.is_held_up:
            self.is_held_up = held
            self.held_up.emit(held)

    def _set_state(self, state: str) -> None:
        if state in (STARTING, BUSY):
            self._watch.start()
        else:
            self._watch.stop()
            self.is_held_up = self._waited = False
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)


def _reap(process: _Process) -> None:
    from subprocess import TimeoutExpired

    try:
        process.popen.wait(3)
    except TimeoutExpired:
        try:
            os.killpg(process.popen.pid, 9)
        except OSError:
            pass
        process.popen.wait()
    for thread in process.threads:  # not before they are done: the number of a closed file is soon another file's
        thread.join(3)
    process.connection.close()
