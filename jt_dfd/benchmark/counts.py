"""What a piece of work asks of a device, on whatever device it is counted: each operator, each copy and each wait costs
a GPU microseconds that do not depend on its speed."""
from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, Tuple

from ..backend import jt

NAMES = ("operators", "uploads", "downloads", "waits")


def counted(work: Callable[[], Any]) -> Tuple[Any, Dict[str, int]]:
    """(what ``work`` returns, {name of ``NAMES``: how many}).  Slow: for counting only.

    operators   run by Jittor; fused ones count once, and a convolution once with what it was recognised in
    uploads     arrays copied to the device; single numbers go along with an operator and are not counted
    downloads   variables copied back
    waits       times that the program stood still until the device had finished
    """
    counts: Counter = Counter()

    def array(kept):
        def upload(data, *more):
            made = kept(data, *more)
            counts["uploads"] += made.numel() > 1
            return made
        return upload

    def fetch(kept):
        def download(variables):
            counts["downloads"] += len(variables) if isinstance(variables, (list, tuple)) else 1
            counts["waits"] += 1
            return kept(variables)
        return download

    def sync(kept):
        def wait(*arguments, **named):
            counts["waits"] += any(a is True for a in (*arguments, *named.values()))
            return kept(*arguments, **named)
        return wait

    wrapped = [(jt, "array", array), (jt, "fetch_sync", fetch), (jt.Var, "numpy", fetch), (jt.Var, "item", fetch),
               (jt, "sync", sync), (jt, "sync_all", sync), (jt.Var, "sync", sync)]
    jt.sync_all(True)
    kept = [(place, name, getattr(place, name)) for place, name, _ in wrapped]
    jt.profiler.start(0, 0)
    try:
        for place, name, wrap in wrapped:
            setattr(place, name, wrap(getattr(place, name)))
        result = work()
        jt.sync_all()
    finally:
        for place, name, function in kept:
            setattr(place, name, function)
        jt.profiler.stop()
    with jt.flag_scope(log_silent=1):
        report = jt.profiler.report()
    head = report[0]
    rows = [dict(zip(head, row)) for row in report[1:] if len(row) == len(head)]
    counts["operators"] = sum(int(float(r["Count"])) for r in rows if "relay" not in r["Name"])
    return result, {name: counts[name] for name in NAMES}
