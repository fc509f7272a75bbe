"""Checkpoints of a run: written whole or not at all, old ones pruned, the best kept.

    checkpoints/step-00012000.pkl    named arrays (networks, optimisers, moving average) and, as text, the rest
    checkpoints/best.json            which step was best, and its score
    commands.jsonl                   every call that trained here, and the step it began at
    .lock                            held by the process that trains here, whose number stands in it
"""
from __future__ import annotations

import fcntl
import json
import os
import re
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..atomic import write_text
from ..checkpoints import CheckpointError, read_arrays, write_arrays
from ..errors import UserError
from .log import read

_NAME = re.compile(r"step-(\d{8,})\.pkl")
_STATE = "state.json"
FORMAT = 1
_COMMANDS = "commands.jsonl"


def note_command(folder, step: int, command: str) -> None:
    """Add a call to the run's record."""
    with (Path(folder) / _COMMANDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"from_step": step, "command": command}) + "\n")


def commands(folder) -> List[Dict[str, Any]]:
    """The calls that trained a run, oldest first; none where there is no record."""
    return read(Path(folder) / _COMMANDS)


@contextmanager
def only_writer(path):
    """Inside, no other process trains in the folder ``path``.  UserError where one does already.

    The system takes the lock back however a process ends.  It is lockf's and not flock's, which the processes that
    Jittor forks for compiling would keep when theirs is killed.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    handle = os.open(Path(path) / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError as error:
        if isinstance(error, (BlockingIOError, PermissionError)):
            owner = os.pread(handle, 20, 0).decode("ascii", "replace") or "?"
            os.close(handle)
            raise UserError(f"{path}: process {owner} trains here already. Let it finish, stop it with: kill -INT "
                            f"{owner} (it saves first); or name another --out.") from None
    try:   # a file system without locks is used without
        yield
    finally:
        os.close(handle)


class RunFolder:
    """keep: newest checkpoints that stay; the best one stays besides."""

    def __init__(self, path, keep: int = 3):
        self.path, self.keep = Path(path), keep
        self.checkpoints = self.path / "checkpoints"

    def steps(self) -> List[int]:
        """Steps with a checkpoint, ascending."""
        if not self.checkpoints.is_dir():
            return []
        found = (_NAME.fullmatch(file.name) for file in self.checkpoints.iterdir())
        return sorted(int(match.group(1)) for match in found if match)

    def file(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}.pkl"

    def save(self, step: int, arrays: Dict[str, np.ndarray], state: Dict[str, Any],
             score: Optional[float] = None, by: str = "") -> Path:
        """Write the checkpoint of ``step``, then prune.  score: the lower the better; None is no candidate for best.
        by: what it is a score of; others are not compared with it.

        OSError (a full disk, say) leaves every older checkpoint as it was.
        """
        text = json.dumps({"format": FORMAT, "step": step, "figure": score, **state}).encode("utf-8")
        best = self.best(by)   # before a checkpoint of its step is written again
        write_arrays(self.file(step), {**arrays, _STATE: np.frombuffer(text, np.uint8)})
        if score is not None and (best is None or score < best[1]):
            self._write_best(step, score, by)
        self._prune()
        return self.file(step)

    def _write_best(self, step: int, score: float, by: str) -> None:
        text = json.dumps({"step": step, "figure": score, "by": by}) + "\n"
        write_text(self.checkpoints / "best.json", text)

    def best(self, by: str = "") -> Optional[Tuple[int, float]]:
        """(step, score) of the best checkpoint so far, or None; None, too, where its file is gone, and with ``by``
        where it was judged by something else."""
        try:
            data = json.loads((self.checkpoints / "best.json").read_text(encoding="utf-8"))
            other = by and data.get("by") and data["by"] != by
            best = int(data["step"]), float(data["figure"])
            return best if not other and self.file(best[0]).is_file() else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def _prune(self) -> None:
        best, steps = self.best(), self.steps()
        for step in steps[:-self.keep]:
            if best is None or step != best[0]:
                self.file(step).unlink(missing_ok=True)

    def newest(self) -> Optional[Tuple[int, Dict[str, np.ndarray], Dict[str, Any]]]:
        """(step, arrays, state) of the newest checkpoint that can be read, or None where there is none at all.

        A damaged one is passed over with a warning; CheckpointError where all are damaged.
        """
        last: Optional[CheckpointError] = None
        for step in reversed(self.steps()):
            try:
                return self.read(step)
            except CheckpointError as error:
                warnings.warn(f"{error} Taking the one before it.", stacklevel=2)
                last = error
        if last is not None:
            raise last
        return None

    def read(self, step: int) -> Tuple[int, Dict[str, np.ndarray], Dict[str, Any]]:
        path = self.file(step)
        arrays = read_arrays(path)
        try:
            state = json.loads(arrays.pop(_STATE).tobytes().decode("utf-8"))
            if state["format"] != FORMAT or state["step"] != step:
                raise ValueError(f"format {state['format']}, step {state['step']}")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of a training run ({error!r}).") from None
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise CheckpointError(f"{path}: {name} holds numbers that are not finite; training diverged here.")
        return step, arrays, state

    def forget_after(self, step: int) -> None:
        """Remove checkpoints past ``step``: damaged ones that a resumed run was not started from."""
        for later in self.steps():
            if later > step:
                self.file(later).unlink(missing_ok=True)
