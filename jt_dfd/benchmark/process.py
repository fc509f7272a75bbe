"""A process's own memory, as the system counts it."""
from __future__ import annotations

from pathlib import Path
from typing import Dict, Optional


def status(field: str) -> Optional[int]:
    """Bytes of a field of /proc/self/status (VmRSS: resident now, VmHWM: the most so far); None where there is none."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def reset_peak() -> bool:
    """Begin counting VmHWM anew; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def available() -> Optional[int]:
    """Bytes that could be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


class Peak:
    """The most memory since ``begin``, and what was resident then."""

    def __init__(self):
        self.fresh, self.before = False, None

    def begin(self) -> None:
        self.fresh, self.before = reset_peak(), status("VmRSS")

    def facts(self) -> Dict:
        """peak_bytes, resident_bytes (at ``begin``), and whether the peak is that of this stage alone."""
        return {"peak_bytes": status("VmHWM"), "resident_bytes": self.before, "peak_is_own": self.fresh}


def gpu_bytes(pid: int) -> Optional[int]:
    """Bytes of GPU memory that a process holds, as nvidia-smi says; None where it does not say."""
    import subprocess

    try:
        said = subprocess.run(["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20).stdout.decode()
        for line in said.splitlines():
            fields = [f.strip() for f in line.split(",")]
            if fields[0] == str(pid):
                return int(fields[1]) << 20
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        pass
    return None
