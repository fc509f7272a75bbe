"""Which vector instructions this machine computes with, and how to leave some of them out.

``JT_DFD_ISA`` (avx512, avx2 or baseline) has Jittor's compiler and oneDNN use no more than that set, as on a processor
that has no more, with compiled kernels in a cache of their own.  For measurements, one machine tells both; and what is
compiled so runs on every processor that has the set (a container's image).
"""
from __future__ import annotations

import ctypes
import os
import platform
from typing import Dict, Optional

from .problems import finding

#: set -> words of /proc/cpuinfo that it needs, flags that limit a compiler to it, and oneDNN's name for it.  From most
#: to least.  Jittor passes -march=native; the last -march counts.
SETS = {
    "avx512": {"words": {"avx512f", "avx512bw", "avx512vl", "avx512dq"}, "flags": "-march=skylake-avx512",
               "onednn": "AVX512_CORE"},
    "avx2": {"words": {"avx2", "fma"}, "flags": "-march=haswell", "onednn": "AVX2"},
    "baseline": {"words": set(), "flags": "-march=x86-64", "onednn": "SSE41"},
}


def setting() -> str:
    return os.environ.get("JT_DFD_ISA", "")


def processor() -> str:
    """The largest of SETS that this processor has; "baseline" where it does not say."""
    words = set()
    try:
        with open("/proc/cpuinfo") as f:
            words = next((set(line.split(":", 1)[1].split()) for line in f if line.startswith("flags")), words)
    except OSError:
        pass
    return next(name for name, s in SETS.items() if s["words"] <= words)


def limit(plan) -> None:
    """Follow JT_DFD_ISA in a plan for the CPU; to be called before ``cache_name`` is chosen."""
    wanted, there = setting(), processor()
    plan.found["isa"] = {"processor": there, "limit": wanted or None}
    if not wanted:
        return
    names = list(SETS)
    if wanted not in SETS or platform.machine() not in ("x86_64", "AMD64"):
        plan.problems.append(finding(f"JT_DFD_ISA={wanted}: expected {', '.join(names[:-1])} or {names[-1]}, on an x86 "
                                     "processor", "unset JT_DFD_ISA"))
    elif names.index(wanted) < names.index(there):
        plan.problems.append(finding(f"JT_DFD_ISA={wanted}: this processor has {there} only", "unset JT_DFD_ISA"))
    elif plan.device == "cpu":
        if "cc_flags" in plan.users:
            plan.problems.append(finding("JT_DFD_ISA and cc_flags are both set, and both say what to compile for",
                                         "unset one of them"))
        plan.set("cc_flags", SETS[wanted]["flags"])
        plan.set("cache_name", f"jt_dfd_{wanted}")
        plan.set("ONEDNN_MAX_CPU_ISA", SETS[wanted]["onednn"])


def environment_of_others(name: str) -> Dict[str, str]:
    """Variables that hold other libraries in a process (PyTorch, MKL, OpenBLAS) to a set too, for comparisons."""
    return {"avx512": {}, "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
                                   "OPENBLAS_CORETYPE": "Haswell", "ONEDNN_MAX_CPU_ISA": "AVX2"},
            "baseline": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
                         "OPENBLAS_CORETYPE": "Prescott", "ONEDNN_MAX_CPU_ISA": "SSE41"}}[name]


def onednn_set() -> Optional[str]:
    """The set that oneDNN uses in this process; None without oneDNN."""
    from . import onednn

    library = onednn.look()["library"]
    if library is None or os.environ.get("use_mkl") == "0":
        return None
    try:
        value = ctypes.CDLL(library).dnnl_get_effective_cpu_isa()
    except (OSError, AttributeError):
        return None
    # dnnl_cpu_isa_t: a bit each; 0x27 is avx512_core, 0x7 avx2
    return "avx512" if value & 0x27 == 0x27 else "avx2" if value & 0x7 == 0x7 else "baseline"
