"""What a measurement is made on: named in the table's header, and the memory of the processes that measure."""
from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, List, Optional

from ..runtime import host, isa

#: load average from which a machine counts as busy: other work then takes a share of the cores
BUSY = 0.4


def facts(threads: Optional[int]) -> Dict:
    """JSON facts; asks nothing of a framework."""
    import numpy

    from .. import __version__

    cores = len(os.sched_getaffinity(0))
    threads = threads or int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or cores)
    return {"system": platform.platform(), "cpu": host.processor_model() or platform.machine(),
            "isa": {"processor": isa.processor(), "limit": isa.setting() or None}, "cores": cores, "threads": threads,
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "memory_available_bytes": available(), "load": load(),
            "gpu": _nvidia_smi("gpu=name,memory.total,driver_version"), "python": platform.python_version(),
            "numpy": numpy.__version__, "jt_dfd": __version__,
            "command": " ".join(map(shlex.quote, [Path(sys.argv[0]).name, *sys.argv[1:]])),
            "time": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def load() -> List[float]:
    """Load averages of 1, 5 and 15 minutes."""
    return [round(v, 2) for v in os.getloadavg()]


def available() -> Optional[int]:
    """Bytes that could be had without swapping; None where the system does not say."""
    return host.kernel_bytes("/proc/meminfo", "MemAvailable")


def gpu_bytes(pid: int) -> Optional[int]:
    """Bytes of GPU memory that a process holds, as nvidia-smi says; None where it does not say."""
    for line in _nvidia_smi("compute-apps=pid,used_memory", ",nounits"):
        fields = [f.strip() for f in line.split(",")]
        if fields[0] == str(pid) and fields[1].isdigit():
            return int(fields[1]) << 20
    return None


class Peak:
    """The most memory of this process since ``begin``, and what was resident then."""

    def __init__(self):
        self.own, self.before = True, None  # since the process began

    def begin(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # counts VmHWM anew, where the system allows it
        except OSError:
            self.own = False
        self.before = host.kernel_bytes("/proc/self/status", "VmRSS")

    def facts(self) -> Dict:
        """peak_bytes, resident_bytes (at ``begin``), and whether the peak is that of this stage alone."""
        return {"peak_bytes": host.kernel_bytes("/proc/self/status", "VmHWM"), "resident_bytes": self.before,
                "peak_is_own": self.own}


def _nvidia_smi(query: str, form: str = "") -> List[str]:
    """The lines of ``nvidia-smi --query-...``; none where there is no such program."""
    try:
        said = subprocess.run(["nvidia-smi", "--query-" + query, "--format=csv,noheader" + form],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
        return [] if said.returncode else [line.strip() for line in said.stdout.decode().splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError):
        return []
