"""Which of two ways a network is computed on this CPU: in Jittor's layout (networks/steps), or channels last.

Which one is quicker hangs on the processor, its vector instructions, the number of threads and the network's sizes, so
both are timed where it matters (tools/doctor.py --warm) and the quicker one is kept in a small file beside the compiled
kernels.  As long as that file stays, a machine computes the same way every time; results of the two differ by about
1e-5.  Nothing kept: channels last where the kernels were tuned (AVX-512, AVX2 with FMA), else plain layers.

On a busy machine the time of a run says how long it waited: only runs count from which no other process took a core.
Where there are too few of those, processor time decides, which waiting does not lengthen, if it decides clearly; else
nothing is kept, and the next time measures again.
"""
from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .. import atomic
from . import host, isa

OURS, PLAIN = "channels last", "plain layers"
#: ours is taken where it is at most so much slower, by runs that nothing disturbed, or by processor time, which threads
#: that wait for one another lengthen; between 1 / UNCLEAR and UNCLEAR that says nothing (ours)
MARGIN, UNCLEAR = 1.03, 1.15
#: undisturbed runs of each way that are enough, and seconds after which no more are waited for (ours)
RUNS, SECONDS = 3, 2.0


class Run(NamedTuple):
    """One run: seconds on the clock, seconds of all its threads, and whether another process took a core from it."""

    clock: float
    processor: float
    disturbed: bool


def path() -> Path:
    return host.cache_folder() / "ways.json"


def machine() -> str:
    """Name of all that a choice hangs on besides the network: processor, compiled instructions, oneDNN's,
    threads, and the kernels' own text."""
    from ..backend import jt
    from ..kernels import doubling, narrow_convolution, picture_norm, picture_norm_last, source, winograd

    kernels = (winograd, doubling, narrow_convolution, picture_norm, picture_norm_last)
    text = source.PRELUDE + source.vector_set().text() + "".join(kernel.CPU for kernel in kernels)
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


def default() -> str:
    from ..kernels import source

    return PLAIN if source.vector_set().name == "baseline" else OURS


def keep(name: str, ours: List[Run], plain: List[Run]) -> str:
    """Write down what runs in turn say, if they say it clearly, and return the way to take."""
    quiet = [[run.clock for run in runs if not run.disturbed] for runs in (ours, plain)]
    alone = min(map(len, quiet)) >= RUNS
    seconds = [min(times) for times in quiet] if alone else [min(r.processor for r in runs) for runs in (ours, plain)]
    ratio = seconds[0] / max(seconds[1], 1e-9)
    if not alone and 1 / UNCLEAR < ratio < UNCLEAR:
        return default()
    everything, way = read(), PLAIN if ratio > MARGIN else OURS
    everything.setdefault(machine(), {})[name] = {"taken": way, OURS: seconds[0], PLAIN: seconds[1]}
    atomic.write_text(path(), json.dumps(everything, indent=1, sort_keys=True))
    return way


def pairs(ours: Callable[[], object], plain: Callable[[], object]) -> Tuple[List[Run], List[Run]]:
    """Runs of both in turn, after one of each that compiles."""
    runs: Tuple[List[Run], List[Run]] = [], []
    for compute in (ours, plain):
        compute()
    started = time.perf_counter()
    while len(runs[0]) < RUNS or (time.perf_counter() - started < SECONDS
                                  and min(sum(not r.disturbed for r in made) for made in runs) < RUNS):
        for compute, made in zip((ours, plain), runs):
            switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
            clock, processor = time.perf_counter(), time.process_time()
            compute()
            clock, processor = time.perf_counter() - clock, time.process_time() - processor
            made.append(Run(clock, processor, resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw > switches))
    return runs


def words(entries: Dict[str, Dict]) -> List[str]:
    """A line a network."""
    return [f"{name}: {e['taken']} ({1000 * e[OURS]:.1f} ms channels last, {1000 * e[PLAIN]:.1f} ms plain)"
            for name, e in sorted(entries.items())]
