"""What this process is to others: its signals as Python has them (Jittor, once imported, ends its process at once on
Ctrl-C and when a child is killed), and letting other programs come first, also where the kernel deals out the processor
by sessions."""
from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from typing import Any


def restore_signals() -> None:
    """Give Ctrl-C and the end of a child process back their usual meaning, so that a program can save what it has.
    Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    _end_compile_pool()
    for number in (signal.SIGINT, signal.SIGCHLD):
        handler = signal.getsignal(number)
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def die_with_parent() -> None:
    """Linux: be ended when the process that started this one dies, however it dies."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass


def _end_compile_pool() -> None:
    """End the process pool that importing Jittor leaves behind; it makes a new one when it needs one.

    Ctrl-C on a terminal reaches the pool's processes too; one that dies holding the pool's lock makes the interpreter
    hang at its end."""
    utilities: Any = sys.modules.get("jittor_utils")
    if getattr(utilities, "pool_size", 0) and hasattr(utilities, "pool_cleanup"):
        atexit.unregister(utilities.pool_cleanup)
        utilities.pool_cleanup()
        utilities.pool_size = 0


def pass_on(pid: int) -> None:
    """Give the session that ``pid`` leads the nice value of this process.

    With the kernel's automatic groups, the rule on desktops, ``nice`` orders the processes of one session only: between
    sessions their groups' own nice values count, and a new session begins with 0.  SCHED_BATCH and SCHED_IDLE too act
    within a group.  Where there are no such groups, or a control group has taken their place, this does nothing.
    """
    for _ in range(10):
        try:
            with open(f"/proc/{pid}/autogroup", "w") as f:
                f.write(str(os.nice(0)))
            return
        except BlockingIOError:
            time.sleep(0.12)  # the kernel takes one such change in a tenth of a second, of all users
        except OSError:
            return
