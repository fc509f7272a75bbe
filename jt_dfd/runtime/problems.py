"""What can be wrong with a machine, worded once: the finding and the command that fixes it."""
from __future__ import annotations

import os
import shutil
from typing import Dict, List, Sequence

from ..errors import UserError


class RuntimeProblem(UserError, RuntimeError):
    """Jittor cannot start on this machine as it is.

    ``findings`` holds every cause found, each a dict with ``what`` (one sentence) and ``fix`` (a command or advice,
    "" where none is known); the message lists them all.
    """

    def __init__(self, findings):
        if isinstance(findings, str):
            findings = [finding(findings)]
        elif isinstance(findings, dict):
            findings = [findings]
        self.findings: List[Dict[str, str]] = list(findings)
        super().__init__("Jittor cannot start here:\n" + "\n".join(word(f) for f in self.findings))


def finding(what: str, fix: str = "") -> Dict[str, str]:
    return {"what": what, "fix": fix}


def not_starting(why) -> Dict[str, str]:
    return finding(f"Jittor is compiled and does not start: {why}",
                   "python tools/doctor.py --warm   (compiles it again)")


def word(entry: Dict[str, str]) -> str:
    return "  - " + entry["what"] + ("\n    fix it with:  " + entry["fix"] if entry["fix"] else "")


#: what each system's package manager calls the things needed; {py} is the running Python's "3.11"
_PACKAGES = {
    "apt-get": {"g++": "g++", "python-headers": "python{py}-dev", "gomp": "libgomp1", "omp": "libomp-dev",
                "libc": "libc6-dev", "openmpi": "openmpi-bin libopenmpi-dev", "gcc-n": "g++-{n}"},
    "dnf": {"g++": "gcc-c++", "python-headers": "python{py}-devel", "gomp": "libgomp", "omp": "libomp-devel",
            "libc": "glibc-devel", "openmpi": "openmpi-devel", "gcc-n": "gcc-toolset-{n}-gcc-c++"},
    "zypper": {"g++": "gcc-c++", "python-headers": "python3-devel", "gomp": "libgomp1", "omp": "libomp-devel",
               "libc": "glibc-devel", "openmpi": "openmpi-devel", "gcc-n": "gcc{n}-c++"},
    "pacman": {"g++": "gcc", "python-headers": "python", "gomp": "gcc-libs", "omp": "openmp",
               "libc": "glibc", "openmpi": "openmpi", "gcc-n": "gcc{n}"},
    "apk": {"g++": "g++", "python-headers": "python3-dev", "gomp": "libgomp", "omp": "openmp-dev",
            "libc": "musl-dev", "openmpi": "openmpi-dev", "gcc-n": "g++"},
}
_INSTALL = {"apt-get": "apt-get install -y", "dnf": "dnf install -y", "zypper": "zypper install -y",
            "pacman": "pacman -S --noconfirm", "apk": "apk add"}


def package_command(things: Sequence[str], **numbers) -> str:
    """The command that installs ``things`` (keys of the table above) with this machine's package manager."""
    from sys import version_info

    manager = next((name for name in _PACKAGES if shutil.which(name)), None)
    if manager is None:
        return "install these with the system's package manager: " + ", ".join(things)
    names = " ".join(_PACKAGES[manager][thing] for thing in things)
    names = names.format(py="%d.%d" % version_info[:2], **numbers)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return ("" if root else "sudo ") + _INSTALL[manager] + " " + names
