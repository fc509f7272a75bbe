"""Letting other programs come first, also where the kernel deals out the processor by sessions."""
from __future__ import annotations

import os
import time


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
