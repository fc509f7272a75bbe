"""The table for people and for the README, and the JSON with everything."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Optional

from ..atomic import write_text
from . import machine

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
    lines.append(f"load      {', '.join(map(str, load)) if load else 'unknown'} (1, 5, 15 minutes), {m['time']}")
    if header.get("load_end"):
        lines[-1] += f"; {', '.join(map(str, header['load_end']))} at the end (the benchmark's own work counts in it)"
    if load and load[0] > machine.BUSY:
        lines.append("WARNING   the machine is not idle: seconds are too long, and ratios less certain than they look")
    lines.append(f"versions  jt_dfd {m['jt_dfd']}, Python {m['python']}, numpy {m['numpy']}")
    for side, facts in header["sides"].items():
        lines.append(f"{side:<9} " + (", ".join(f"{k} {v}" for k, v in facts.items() if v not in (None, False))
                                      or "did not start"))
    lines.append(f"weights   {header['weights']}")
    lines.append(f"repeats   {header['repeats']} round(s) after {header['warmup']} warm-up run(s), "
                 f"{header['precision']} precision")
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
