"""Rows of the table, and what follows from their timings: summaries, speeds, shares of the device's best, ratios."""
from __future__ import annotations

from typing import Dict, List, Sequence

import numpy as np

from .stages import Stage


def row(stage: Stage, side: str) -> Dict:
    """A row that nothing is known of yet: "reason" is what kept it from being measured, "rounds" every single timing in
    seconds, "calls" what the side said of each call."""
    return {"stage": stage.name, "what": stage.what, "side": side, "reason": None, "rounds": [], "calls": [],
            "warmup": [], "memory": {}}


def finish(rows: List[Dict]) -> None:
    """Add everything that follows from the timings."""
    best: Dict[str, float] = {}
    for r in rows:
        timings = [t for one in r["rounds"] for t in one]
        if r["reason"] is None and timings:
            r["seconds"] = summary(timings)
            r.update(_speeds(r, sum(timings)))
        elif r["reason"] is None:
            r["reason"] = "no timing came back"
        if r["stage"].startswith("device.") and r["reason"] is None:
            kind = "flops" if r["stage"] == "device.matmul" else "bytes"
            # at its best: what the device can do, not what it did beside other work
            best[kind] = max(best.get(kind, 0), r[kind] / r["seconds"]["minimum"])
    ours = {r["stage"]: r for r in rows if r["side"] == "jittor" and r["reason"] is None}
    for r in rows:
        for kind in ("flops", "bytes"):
            if best.get(kind) and r.get(kind + "_per_second"):
                r[kind + "_share"] = r[kind + "_per_second"] / best[kind]
        compared = r["side"] != "jittor" and r["stage"] in ours and not r["stage"].startswith("device.")
        if compared and r["reason"] is None:
            r["ratio"] = ratio(ours[r["stage"]]["rounds"], r["rounds"])


def _speeds(r: Dict, total: float) -> Dict:
    out, median = {}, r["seconds"]["median"]
    counted = sorted(c["flops"] for c in r["calls"] if c.get("flops"))
    if counted:  # calls differ, e.g. in how many neighbours were decoded
        out["flops"] = counted[len(counted) // 2]
        out["flops_per_second"] = sum(counted) / max(total, 1e-12)
    elif r.get("flops"):
        out["flops_per_second"] = r["flops"] / median
    for kind in ("bytes", "pictures"):
        if r.get(kind):
            out[kind + "_per_second"] = r[kind] / median
    return out


def summary(seconds: Sequence[float]) -> Dict[str, object]:
    """Median, quartiles, median absolute deviation, minimum, maximum and how many; in the unit of ``seconds``."""
    values = np.asarray(seconds, np.float64)
    median = float(np.median(values))
    return {"median": median, "quartiles": _quartiles(values),
            "deviation": float(np.median(np.abs(values - median))), "minimum": float(values.min()),
            "maximum": float(values.max()), "count": len(values)}


def ratio(ours: List[List[float]], theirs: List[List[float]]) -> Dict[str, object]:
    """Median of the paired ratios ours / theirs, with their quartiles and each of them.

    Both are rounds of timings; the first round of one was measured beside the first round of the other, so noise of the
    machine that lasts longer than a round falls out.
    """
    pairs = [float(np.median(a) / np.median(b)) for a, b in zip(ours, theirs) if a and b and np.median(b) > 0]
    return {"median": float(np.median(pairs)), "quartiles": _quartiles(pairs), "pairs": pairs} if pairs else {}


def _quartiles(values) -> List[float]:
    return [float(v) for v in np.percentile(values, (25, 75))]
