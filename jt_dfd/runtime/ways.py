"""Which of two ways a network is computed on this CPU: Jittor's layers as they are, or channels last with our kernels.

Which one is quicker hangs on the processor, its vector instructions, the number of threads and the network's sizes, so
both are timed where it matters (tools/doctor.py --warm) and the quicker one is kept in a small file beside the compiled
kernels.  As long as that file stays, a machine computes the same way every time; results of the two differ by about
1e-5.  Nothing measured: channels last.
"""
from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from .. import atomic
from . import host, isa

OURS, PLAIN = "channels last", "plain layers"
#: how much quicker the plain layers have to be: what two timings of the same work may differ by (ours)
MARGIN = 1.03
#: timings of each way: at least so many, and as many more as so many seconds have room for (ours)
REPEATS, SECONDS = 3, 1.0


def path() -> Path:
    return host.cache_folder() / "ways.json"


def machine() -> str:
    """Name of all that a choice hangs on besides the network: processor, compiled instructions, oneDNN's,
    threads, and the kernels' own text."""
    from ..backend import jt
    from ..kernels import doubling, narrow_convolution, picture_norm_last, source, winograd

    text = source.vector_set().text() + "".join(source.cpu_text(k) if hasattr(k, "SHARED") else source.PRELUDE + k.CPU
                                                for k in (winograd, doubling, narrow_convolution, picture_norm_last))
    flags = jt.flags.cc_flags.replace(str(host.jittor_home()), "~")
    parts = [host.processor_model(), text, isa.onednn_set(), flags, threads()]
    mark = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    return f"{source.vector_set().name}, {threads()} thread(s), {mark}"


def threads() -> int:
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(first) if first.isdigit() else len(os.sched_getaffinity(0))


def network(kind: str, component: str, config, pictures: int) -> str:
    """Name of a network and of what is computed with it at once."""
    sizes = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode()).hexdigest()[:8]
    what = kind if kind == "generator" else f"{kind} {component}"
    return f"{what}, {config.preset} {sizes}, {pictures} at once"


def read() -> Dict[str, Dict[str, Dict]]:
    """{machine: {network: {"taken", OURS: seconds, PLAIN: seconds}}}; empty where there is nothing that can be read."""
    try:
        found = json.loads(path().read_text())
        return {str(m): {str(n): {"taken": e["taken"], OURS: float(e[OURS]), PLAIN: float(e[PLAIN])}
                         for n, e in entries.items() if e["taken"] in (OURS, PLAIN)} for m, entries in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def taken(name: str) -> Optional[str]:
    """The way kept for a network on this machine; None where it was never measured."""
    return read().get(machine(), {}).get(name, {}).get("taken")


def keep(name: str, ours: List[float], plain: List[float]) -> str:
    """Write down what paired timings (seconds) say and return the way to take.

    Plain layers are taken where they win by MARGIN in the shortest timings and in the middle one of the pairs: on a
    busy machine either alone says little, and a wrong choice would stay.
    """
    ratios = sorted(o / p for o, p in zip(ours, plain))
    best, best_plain = min(ours), min(plain)
    way = PLAIN if min(best / best_plain, ratios[len(ratios) // 2]) > MARGIN else OURS
    everything, place = read(), path()
    everything.setdefault(machine(), {})[name] = {"taken": way, OURS: best, PLAIN: best_plain}
    atomic.write_text(place, json.dumps(everything, indent=1, sort_keys=True))
    return way


def pairs(ours: Callable[[], object], plain: Callable[[], object]):
    """([seconds], [seconds]) of both in turn, after a run of each that compiles."""
    times: Tuple[List[float], List[float]] = [], []
    for run in (ours, plain):
        run()
    while len(times[0]) < REPEATS or sum(map(sum, times)) < SECONDS:
        for run, out in zip((ours, plain), times):
            started = time.perf_counter()
            run()
            out.append(time.perf_counter() - started)
    return times


def words(entries: Dict[str, Dict]) -> List[str]:
    """A line a network."""
    return [f"{name}: {e['taken']} ({1000 * e[OURS]:.1f} ms channels last, {1000 * e[PLAIN]:.1f} ms plain)"
            for name, e in sorted(entries.items())]
