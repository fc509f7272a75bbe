"""Rows of the table, what follows from their timings (summaries, speeds, shares of the device's best, ratios), the
table for people and for the README, and the JSON with everything."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np

from ..atomic import write_text
from . import machine
from .stages import Stage

FORMAT = 1
COLUMNS = ("stage", "by", "median", "quartiles", "least", "memory", "GFLOP", "GFLOP/s", "GB/s", "img/s", "ops",
           "up+down", "waits", "jittor / it")


def write(path, header: Dict, rows: List[Dict], state: str) -> None:
    """state: "running", "finished" or "interrupted".  Atomically: a killed benchmark leaves the stages before, never
    half a file."""
    record = {"format": FORMAT, "state": state, **header, "results": rows}
    write_text(Path(path), json.dumps(record, indent=1) + "\n")


def head(header: Dict) -> List[str]:
    """What was measured, on what."""
    m = header["machine"]
    load = m["load"]
    lines = [f"command   {m['command']}",
             f"machine   {m['cpu']}, {m['cores']} core(s) usable, {m['threads']} thread(s) used, "
             f"{_bytes(m['memory_bytes'])} memory; {m['system']}"]
    limit = f", no more than {m['isa']['limit']} used" if m["isa"]["limit"] else ""
    lines.append(f"vectors   {m['isa']['processor']} in the processor{limit}")
    lines += [f"gpu       {name}" for name in m["gpu"]]
    lines.append(f"load      {', '.join(map(str, load))} (1, 5, 15 minutes), {m['time']}")
    if header.get("load_end"):
        lines[-1] += f"; {', '.join(map(str, header['load_end']))} at the end (the benchmark's own work counts in it)"
    if load[0] > machine.BUSY:
        lines.append("WARNING   the machine is not idle: seconds are too long, and ratios less certain than they look")
    lines.append(f"versions  jt_dfd {m['jt_dfd']}, Python {m['python']}, numpy {m['numpy']}")
    for side, facts in header["sides"].items():
        lines.append(f"{side:<9} " + (", ".join(f"{k} {v}" for k, v in facts.items() if v not in (None, False))
                                      or "did not start"))
    lines.append(f"weights   {header['weights']}")
    lines.append(f"repeats   {header['repeats']} round(s) after {header['warmup']} warm-up run(s), "
                 f"{header['precision']} precision, seconds of the {header['clock']} clock")
    return lines


def table(rows: List[Dict]) -> List[str]:
    """A Markdown table, its columns aligned."""
    cells = [list(COLUMNS)] + [_cells(r) for r in rows if not r["reason"]]
    widths = [max(len(c[i]) for c in cells) for i in range(len(COLUMNS))]
    padded = [[text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths))]
              for line in cells]
    lines = ["| " + " | ".join(line) + " |" for line in padded]
    lines.insert(1, "|" + "|".join("-" * (w + 2) if i < 2 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|")
    lines += [f"not measured: {r['stage']} by {r['side']}: {r['reason']}" for r in rows if r["reason"]]
    return lines


NOTE = ("quartiles: middle half of all timings.  memory: the process's peak during the stage (* since it began), on a "
        "GPU what it holds there.  GFLOP, GB: of one call, counted from the sizes; (%) of the large matrix product or "
        "copy above.  ops, up+down, waits: operators run, copies to and from the device, waits for it, of one face.  "
        "jittor / it: median of paired rounds (its quartiles); below 1 this project is quicker.")


def _cells(r: Dict) -> List[str]:
    s = r["seconds"]
    ratio, counts = r.get("ratio"), r.get("counts")
    memory = r["memory"].get("gpu_bytes") or r["memory"].get("peak_bytes")
    return [r["stage"], r["side"], seconds(s["median"]), f"{seconds(s['quartiles'][0])} - {seconds(s['quartiles'][1])}",
            seconds(s["minimum"]), _bytes(memory) + ("" if r["memory"].get("peak_is_own", True) else " *"),
            _number(r.get("flops"), 1e9), _number(r.get("flops_per_second"), 1e9) + _share(r.get("flops_share")),
            _number(r.get("bytes_per_second"), 1e9) + _share(r.get("bytes_share")),
            _number(r.get("pictures_per_second"), 1),
            *((str(counts["operators"]), f"{counts['uploads']}+{counts['downloads']}", str(counts["waits"])) if counts
              else ("",) * 3),
            f"{ratio['median']:.2f} ({ratio['quartiles'][0]:.2f}-{ratio['quartiles'][1]:.2f})" if ratio else ""]


def seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.1f} ms" if value >= 1e-2 else f"{value * 1e3:.3f} ms"


def _bytes(value: Optional[float]) -> str:
    if not value:
        return ""
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def _number(value: Optional[float], unit: float) -> str:
    return "" if not value else f"{value / unit:,.1f}" if value / unit >= 10 else f"{value / unit:.3g}"


def _share(value: Optional[float]) -> str:
    return "" if not value else f" ({100 * value:.0f} %)" if value >= 0.01 else " (<1 %)"


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
