"""What a measurement was made on: named in the table's header."""
from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, List, Optional

from ..runtime import isa
from . import process

#: load average from which a machine counts as busy: other work then takes a share of the cores
BUSY = 0.4


def facts(threads: Optional[int]) -> Dict:
    """JSON facts; asks nothing of a framework."""
    import numpy

    from .. import __version__

    cores = cores_usable()
    threads = threads or int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or cores)
    return {"system": platform.platform(), "cpu": cpu_model(), "isa": {"processor": isa.processor(), "limit": isa.setting() or None}, "cores": cores, "threads": threads,
            "memory_bytes": _memory_total(), "memory_available_bytes": process.available(), "load": load(),
            "gpu": gpus(), "python": platform.python_version(), "numpy": numpy.__version__, "jt_dfd": __version__,
            "command": " ".join(map(shlex.quote, [Path(sys.argv[0]).name, *sys.argv[1:]])),
            "time": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def cores_usable() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def load() -> Optional[List[float]]:
    """Load averages of 1, 5 and 15 minutes."""
    try:
        return [round(v, 2) for v in os.getloadavg()]
    except (OSError, AttributeError):
        return None


def busy(averages: Optional[List[float]]) -> bool:
    return bool(averages) and averages[0] > BUSY


def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_total() -> Optional[int]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def gpus() -> List[str]:
    """Names, memory and drivers, as nvidia-smi gives them."""
    try:
        said = subprocess.run(["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
        lines = [] if said.returncode else said.stdout.decode().splitlines()
        return [line.strip() for line in lines if line.strip()]
    except (OSError, subprocess.SubprocessError):
        return []
