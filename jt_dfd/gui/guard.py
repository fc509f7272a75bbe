"""The guard: a tiny process between the window and the process that computes.

Jittor holds the interpreter lock through whole compiles, so its process cannot notice by itself that the window has
gone.  The guard does nothing but wait: for the window's end of a pipe to close, by exit or by SIGKILL, upon which it
ends the whole process group, compilers included; or for the computing process to end, upon which it clears up what
that left running and passes the exit status on.

Standard library only, and imported before anything else: it forks.
"""
from __future__ import annotations

import os
import select
import signal


def split(lifeline: int) -> None:
    """Fork.  Returns in the child, which goes on to compute; the parent stays as the guard and never returns.

    lifeline: read end of a pipe whose other end only the window holds.
    """
    wake_read, wake_write = os.pipe()
    child = os.fork()
    if child == 0:
        for fd in (lifeline, wake_read, wake_write):
            os.close(fd)
        return
    status = 1
    try:
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _let_go_of_files({lifeline, wake_read, wake_write})
        status = _wait(child, lifeline, wake_read)
        os.killpg(0, signal.SIGTERM)  # what the child left running; the guard itself ignores it
    except BaseException:
        os.killpg(0, signal.SIGKILL)
    os._exit(status)


def _let_go_of_files(keep) -> None:
    """The window must see the child's end of a pipe close when the child dies: the guard may hold no copy."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for fd in range(3, 256):
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass


def _wait(child: int, lifeline: int, wake: int) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        ready, _, _ = select.select([lifeline, wake], [], [])
        if wake in ready:
            os.read(wake, 64)
        if lifeline in ready and not os.read(lifeline, 64):
            os.killpg(0, signal.SIGKILL)
