"""Warm up, go from side to side in turn, collect.  What goes wrong becomes a row that says so."""
from __future__ import annotations

import sys
from typing import Callable, Dict, List, Sequence

from . import fresh, statistics
from .client import Worker, WorkerFailed
from .stages import Stage

#: seconds that a round of quick calls is to take, and the most calls in one
ROUND, MOST_CALLS = 0.05, 20


class Settings:
    """repeats: rounds after warm-up.  warmup: runs before.  small: the device's own speed from small arrays (tests)."""

    def __init__(self, repeats: int = 5, warmup: int = 2, small: bool = False):
        self.repeats, self.warmup, self.small = repeats, warmup, small


def measure(stages: Sequence[Stage], workers: Dict[str, Worker], settings: Settings,
            after: Callable[[List[Dict]], None] = lambda rows: None) -> List[Dict]:
    """A row for every stage and side that can do it; see ``row``.  ``after`` is called with the rows so far behind
    every stage.  KeyboardInterrupt passes through; the rows given to ``after`` are then what there is."""
    rows: List[Dict] = []
    device = [Stage(f"device.{name}", what, options={"small": settings.small}) for name, what in
              (("matmul", "the device's largest speed: a float32 matrix product"),
               ("copy", "the device's largest bandwidth: a copy, bytes read and written"))]
    together = device + [s for s in stages if not s.new]
    for stage in together:
        sides = [side for side in workers if side in stage.sides and (stage.family != "device" or side != "release")]
        _add(rows, _in_turn(stage, {side: workers[side] for side in sides}, settings), after)
    for worker in workers.values():  # new processes are measured alone
        worker.close()
    for stage in (s for s in stages if s.new):
        sides = {side: workers[side] for side in workers if side in stage.sides}
        _add(rows, fresh.measure(stage, sides, settings), after)
    return rows


def _add(rows: List[Dict], new: List[Dict], after) -> None:
    rows += new
    finish(rows)
    for row in new:
        said = row["reason"] and "not measured: " + row["reason"] or "%.4g s" % row["seconds"]["median"]
        print(f"  {row['stage']:<16} {row['side']:<20} {said}", file=sys.stderr, flush=True)
    after(rows)


def _in_turn(stage: Stage, workers: Dict[str, Worker], settings: Settings) -> List[Dict]:
    rows = {side: row(stage, side) for side in workers}
    calls = {}
    for side, worker in workers.items():
        def begin(worker=worker, side=side):
            # the release does for a stroke what it did for a face, and that takes its time
            warmup = min(1, settings.warmup) if side == "release" and stage.family == "stroke" else settings.warmup
            ready = worker.ask("prepare", stage=stage.name, options=stage.options, warmup=warmup)["ready"]
            rows[side]["warmup"] = ready.pop("warmup")
            rows[side].update(ready)
            last = rows[side]["warmup"][-1] if rows[side]["warmup"] else ROUND
            calls[side] = max(1, min(MOST_CALLS, round(ROUND / max(last, 1e-9))))
            if stage.family == "device":  # its best is wanted, whatever else the machine does
                calls[side] = max(5, calls[side])
        _guarded(rows[side], begin)
    for number in range(settings.repeats):
        order = list(workers) if number % 2 == 0 else list(workers)[::-1]
        for side in order:
            def time(worker=workers[side], side=side):
                answer = worker.ask("time", calls=calls[side])
                rows[side]["rounds"].append(answer["seconds"])
                rows[side]["calls"] += [f for f in answer["facts"] if f]
            if not rows[side]["reason"]:
                _guarded(rows[side], time)
    for side, worker in workers.items():
        def end(worker=worker, side=side):
            rows[side]["memory"] = worker.ask("finish")["memory"]
        if not rows[side]["reason"]:
            _guarded(rows[side], end)
    return list(rows.values())


def _guarded(result: Dict, act) -> None:
    try:
        act()
    except WorkerFailed as why:
        result["reason"] = str(why)


def row(stage: Stage, side: str) -> Dict:
    """A row that nothing is known of yet: "reason" is what kept it from being measured, "rounds" every single timing in
    seconds, "calls" what the side said of each call."""
    return {"stage": stage.name, "what": stage.what, "side": side, "reason": None, "rounds": [], "calls": [],
            "warmup": [], "memory": {}}


def finish(rows: List[Dict]) -> None:
    """Everything that follows from the timings: summaries, speeds, shares of the device's best, ratios."""
    best = {}
    for r in rows:
        timings = [t for one in r["rounds"] for t in one]
        if r["reason"] is None and timings:
            r["seconds"] = statistics.summary(timings)
            r.update(_speeds(r))
        elif r["reason"] is None:
            r["reason"] = "no timing came back"
        if r["stage"].startswith("device.") and r["reason"] is None:
            kind = "flops" if r["stage"] == "device.matmul" else "bytes"
            # at its best: what the device can do, not what it did beside other work
            speed = r[kind] / r["seconds"]["minimum"]
            best[kind] = max(best.get(kind, 0), speed)
    ours = {r["stage"]: r for r in rows if r["side"] == "jittor" and r["reason"] is None}
    for r in rows:
        for kind in ("flops", "bytes"):
            if best.get(kind) and r.get(kind + "_per_second"):
                r[kind + "_share"] = r[kind + "_per_second"] / best[kind]
        compared = r["side"] != "jittor" and r["stage"] in ours and not r["stage"].startswith("device.")
        if compared and r["reason"] is None:
            r["ratio"] = statistics.ratio(ours[r["stage"]]["rounds"], r["rounds"])


def _speeds(r: Dict) -> Dict:
    out, median = {}, r["seconds"]["median"]
    counted = sorted(c["flops"] for c in r["calls"] if c.get("flops"))
    if counted:  # calls differ, e.g. in how many neighbours were decoded
        out["flops"] = counted[len(counted) // 2]
        timings = [t for one in r["rounds"] for t in one]
        out["flops_per_second"] = sum(c.get("flops", 0) for c in r["calls"]) / max(sum(timings), 1e-12)
    elif r.get("flops"):
        out["flops_per_second"] = r["flops"] / median
    if r.get("bytes"):
        out["bytes_per_second"] = r["bytes"] / median
    if r.get("pictures"):
        out["pictures_per_second"] = r["pictures"] / median
    return out

