"""Warm up, go from side to side in turn, collect.  What goes wrong becomes a row that says so."""
from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..child import Child, ChildEnded, ChildError, ChildLate
from ..errors import UserError
from . import report
from .stages import SIDES, Stage

#: seconds that a round of quick calls is to take, and the most calls in one
ROUND, MAX_CALLS = 0.05, 20
#: how often a side is started again after its process ended, in one run
RESTARTS = 3


class Failed(Exception):
    """A request that was not done; the message is the reason given in the table."""


class Worker:
    """One side's process, started when first asked.

    side      name of the side, or "module:class" of one
    opening   what ``open`` is asked with
    threads   what the process's libraries are told; None leaves it to them
    limit     seconds a request may take
    """

    def __init__(self, side: str, opening: Dict[str, Any], threads: Optional[int] = None, limit: float = 3600):
        self.side, self.opening, self.limit = side, opening, limit
        self.environment = {"JT_DFD_TF32": "1" if opening.get("tf32", True) else "0"}
        if threads:
            self.environment.update({f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")})
        self.child: Any = None  #: a Child once it is started
        self.facts: Dict[str, Any] = {}
        self.missing = ""
        self._started = 0

    def start(self) -> Dict[str, Any]:
        """What the side says of itself.  Failed where it cannot be used at all."""
        if self.missing:
            raise Failed(self.missing)
        if self.child is None:
            if self._started > RESTARTS:
                raise Failed(f"the {self.side} process ended {self._started} times; not started again")
            self._started += 1
            self.child = self.another()
            facts = self._ask("open", **self.opening)
            self.child.show = False  # a first compile takes minutes and shows how far it is
            if "missing" in facts:
                self.missing = facts["missing"]
                self.close()
                raise Failed(self.missing)
            self.facts = facts
        return self.facts

    def ask(self, do: str, **more) -> Any:
        """The answer to a request.  Failed where there is none; a process that ended is started again by the next."""
        self.start()
        return self._ask(do, **more)

    def _ask(self, do: str, **more) -> Any:
        self.child.limit = self.limit
        try:
            return self.child.ask(do, **more)
        except ChildEnded as why:
            self.child = None
            raise Failed(_reason(why)) from None
        except (ChildError, UserError) as why:
            raise Failed(str(why)) from None

    def another(self, environment: Mapping[str, str] = {}, **named) -> Child:
        """A new process of this side; everything as for ``Child``."""
        target = f"{__package__}.{SIDES[self.side]}" if self.side in SIDES else self.side
        return Child(target, {**self.environment, **environment}, self.limit, **named)

    def alone(self, request: Dict[str, Any], environment: Dict[str, str], **named) -> Tuple[Any, float]:
        """(answer, seconds to it) of a new process that is asked nothing else; Failed where there is none."""
        if self.missing:
            raise Failed(self.missing)
        began = time.perf_counter()
        child = self.another(environment, show=False, requests=[request], **named)
        try:
            return child.answer(), time.perf_counter() - began
        except (ChildError, UserError) as why:
            raise Failed(_reason(why)) from None
        finally:
            child.close()

    def close(self) -> None:
        """End the process, in peace where it is idle."""
        child, self.child = self.child, None
        if child is not None:
            child.close()


def _reason(why: Exception) -> str:
    return f"{why} (--limit allows more)" if isinstance(why, ChildLate) else str(why)


class Settings(NamedTuple):
    """repeats: rounds after warm-up.  warmup: runs before.  small: the device's own speed from small arrays (tests)."""

    repeats: int = 5
    warmup: int = 2
    small: bool = False


def measure(stages: Sequence[Stage], workers: Dict[str, Worker], settings: Settings,
            after: Callable[[List[Dict]], None] = lambda rows: None) -> List[Dict]:
    """A row for every stage and side that can do it; see ``rows.row``.  ``after`` is called with the rows so far after
    every stage.  KeyboardInterrupt passes through; the rows given to ``after`` are then what there is."""
    rows: List[Dict] = []
    device = [Stage(f"device.{name}", what, options={"small": settings.small}) for name, what in
              (("matmul", "the device's largest speed: a float32 matrix product"),
               ("copy", "the device's largest bandwidth: a copy, bytes read and written"))]
    alone = [s for s in stages if s.new]
    for stage in device + [s for s in stages if not s.new] + alone:
        if alone and stage is alone[0]:
            for worker in workers.values():  # new processes are measured alone
                worker.close()
        chosen = {side: w for side, w in workers.items()
                  if side in stage.sides and (stage.family != "device" or side != "release")}
        new = (_ranks if "ranks" in stage.options else _first_face if stage.new else _in_turn)(stage, chosen, settings)
        rows += new
        report.finish(rows)
        for row in new:
            said = row["reason"] and "not measured: " + row["reason"] or "%.4g s" % row["seconds"]["median"]
            print(f"  {row['stage']:<16} {row['side']:<20} {said}", file=sys.stderr, flush=True)
        after(rows)
    return rows


def _in_turn(stage: Stage, workers: Dict[str, Worker], settings: Settings) -> List[Dict]:
    rows, calls = {side: report.row(stage, side) for side in workers}, {}

    def begin(row, worker, side):
        # the release does for a stroke what it did for a face, and that takes its time
        warmup = min(1, settings.warmup) if side == "release" and stage.family == "stroke" else settings.warmup
        row.update(worker.ask("prepare", stage=stage.name, options=stage.options, warmup=warmup))
        last = row["warmup"][-1] if row["warmup"] else ROUND
        # of the device its best is wanted, whatever else the machine does
        calls[side] = max(5 if stage.family == "device" else 1, min(MAX_CALLS, round(ROUND / max(last, 1e-9))))

    def measured(row, worker, side):
        timed = worker.ask("time", calls=calls[side])
        row["rounds"].append([seconds for seconds, _ in timed])
        row["calls"] += [facts for _, facts in timed if facts]

    def end(row, worker, side):
        row["memory"] = worker.ask("finish")

    order = list(workers)
    for number, act in enumerate([begin] + [measured] * settings.repeats + [end]):
        for side in order if number % 2 or act is not measured else order[::-1]:
            _guarded(rows[side], act, workers[side], side)
    return list(rows.values())


def _first_face(stage: Stage, workers: Dict[str, Worker], settings: Settings) -> List[Dict]:
    """New processes to their first face.  cold: with nothing compiled, once."""
    rows, cold = {side: report.row(stage, side) for side in workers}, stage.options.get("cold", False)

    def begun(row, worker, number):
        home, environment = tempfile.mkdtemp(prefix="jt_dfd-cold-") if cold else "", {}
        if cold:
            # both: Jittor writes another JITTOR_HOME into the settings file of the home it finds
            environment = {"HOME": home, "JITTOR_HOME": home}
            print("  cold: everything is compiled anew, for minutes", file=sys.stderr, flush=True)
        try:
            answer, seconds = worker.alone({"do": "first_face", **worker.opening}, environment)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        if number == 0 and not cold:  # a warm start is warm from the second one on
            row["warmup"].append(seconds)
        else:
            row["rounds"].append([seconds])
            row["calls"].append({"parts": answer["parts"]})
            row["memory"] = answer["memory"]

    for number in range(1 if cold else settings.repeats + 1):
        for side, row in rows.items():
            _guarded(row, begun, workers[side], number)
    return list(rows.values())


def _ranks(stage: Stage, workers: Dict[str, Worker], settings: Settings) -> List[Dict]:
    """Training steps under mpirun."""
    rows, processes = {side: report.row(stage, side) for side in workers}, stage.options["ranks"]
    # one process as well as several: what MPI costs by itself is not to be taken for what a second process costs
    words = ["mpirun", "-np", str(processes), "--oversubscribe", "--bind-to", "none"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-run-as-root")

    def begun(row, worker):
        if not (shutil.which("mpirun") and shutil.which("mpicc")):
            raise Failed("no Open MPI here (Debian: openmpi-bin and libopenmpi-dev)")
        request = {"do": "ranks", "request": worker.opening, "batch": stage.options["batch"],
                   "repeats": settings.repeats, "warmup": settings.warmup}
        row.update(worker.alone(request, {"use_mpi": "1"}, launcher=words)[0])

    for side, row in rows.items():
        _guarded(row, begun, workers[side])
    return list(rows.values())


def _guarded(row: Dict, act, *arguments) -> None:
    """``act`` on a row that nothing stands in the way of; what does so from now on is noted."""
    if row["reason"] is None:
        try:
            act(row, *arguments)
        except Failed as why:
            row["reason"] = str(why)
