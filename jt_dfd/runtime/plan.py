"""The plan: every choice for this machine, made from what is found, before anything is set or imported."""
from __future__ import annotations

import os
import sys
from typing import Dict, List

from . import host, onednn
from .problems import RuntimeProblem, finding

#: names of environment variables that a parent process's runtime set, so that a child decides afresh instead of taking
#: them for the user's own
_OURS = "JT_DFD_SET"


class Plan:
    """What was found and chosen.  ``problems`` must be empty before ``apply``."""

    def __init__(self):
        self.device = "cpu"
        self.why = ""
        self.environment: Dict[str, str] = {}
        self.users: Dict[str, str] = {}
        self.found: Dict[str, object] = {}
        self.notes: List[Dict[str, str]] = []
        self.problems: List[Dict[str, str]] = []
        self.compiled = False

    def set(self, name: str, value: str) -> None:
        """Choose an environment variable; one that the user has set stays as it is."""
        if name in self.users:
            return
        self.environment[name] = value

    def apply(self) -> None:
        for name in filter(None, os.environ.get(_OURS, "").split(",")):
            if name not in self.environment:
                os.environ.pop(name, None)
        os.environ.update(self.environment)
        os.environ[_OURS] = ",".join(sorted(self.environment))

    def report(self) -> Dict:
        return {"device": self.device, "why": self.why, "found": self.found, "notes": self.notes,
                "missing": self.problems, "compiled": self.compiled, "environment": dict(self.environment),
                "users": dict(self.users), "cache": str(host.cache_folder())}


#: environment variables of Jittor that a user may have set for good reason
_USERS = ("cc_path", "cc_flags", "nvcc_path", "nvcc_flags", "cuda_archs", "python_config_path", "use_mpi", "mpicc_path",
          "use_mkl", "use_cuda", "log_silent", "log_v", "cache_name", "use_cutt", "use_cutlass", "use_nccl",
          "nccl_include_path", "nccl_lib_path", "FIX_TORCH_ERROR", "conv_opt", "debug", "LD_LIBRARY_PATH", "gdb_path")


def make_plan(device: str = "auto", dry: bool = False) -> Plan:
    """Look at this machine and choose.  ``dry`` changes nothing on disk either."""
    plan = Plan()
    ours = set(filter(None, os.environ.get(_OURS, "").split(",")))
    plan.users = {name: os.environ[name] for name in _USERS if name in os.environ and name not in ours}
    plan.problems += host.check_system()
    plan.found["python"] = f"{sys.version.split()[0]} at {sys.executable}"
    for name in ("jittor", "numpy"):
        plan.found[name] = host.installed_version(name)
    if plan.problems and any("not supported" in p["what"] for p in plan.problems):
        return plan
    plan.problems += host.check_cache()

    _choose_device(plan, device)
    _choose_compiler(plan)
    include, missing = host.python_headers()
    plan.found["python_headers"] = include
    plan.problems += missing
    if not missing and not plan.problems and not dry:
        plan.set("python_config_path", host.python_config())
    _choose_onednn(plan, dry)
    _choose_mpi(plan)

    # a name of our own keeps other Jittor programs' flags from rebuilding our core and ours theirs; left unset, Jittor
    # asks git for the branch of whatever repository its own folder lies in, and compiles anew for each branch
    plan.set("cache_name", "jt_dfd")
    plan.set("log_silent", "1")
    plan.set("gdb_path", "")        # only used to print traces of crashes; looking for it costs a start-up process
    plan.set("FIX_TORCH_ERROR", "0")  # otherwise Jittor imports an installed PyTorch into this process
    return plan


def _choose_device(plan: Plan, device: str) -> None:
    if device == "auto":
        wanted = os.environ.get("JT_DFD_DEVICE", "auto") or "auto"
        if wanted not in ("auto", "cpu", "cuda"):
            plan.problems.append(finding(f"JT_DFD_DEVICE={wanted}: expected auto, cpu or cuda", "unset JT_DFD_DEVICE"))
            wanted = "auto"
        device = wanted
    plan.device, plan.why = "cpu", "asked for" if device == "cpu" else "no GPU support yet"
    if device == "cuda":
        plan.problems.append(finding("no GPU answers", ""))
    plan.set("nvcc_path", "")


def _choose_compiler(plan: Plan) -> None:
    compiler, problems = host.choose_compiler()
    plan.problems += problems
    if compiler:
        plan.found["compiler"] = dict(compiler, version=".".join(map(str, compiler["version"])))
        plan.set("cc_path", compiler["path"])


def _choose_onednn(plan: Plan, dry: bool) -> None:
    if plan.users.get("use_mkl") == "0":
        plan.found["onednn"] = {"state": "off", "folder": None, "library": None}
        return
    state = onednn.look() if dry or plan.problems else onednn.provide()
    plan.found["onednn"] = state
    for path in onednn.others():
        plan.problems.append(finding(f"{path}: an incomplete oneDNN, which Jittor would pick", f"mv {path} {path}.away"))
    if state["state"] == "missing":
        plan.set("use_mkl", "0")
        plan.notes.append(finding("oneDNN is not installed: convolutions on the CPU run without it, many times slower",
                                  onednn.MEND))


def _choose_mpi(plan: Plan) -> None:
    if not host.in_mpi():
        plan.set("use_mpi", "0")
        return
    path, problems = host.mpicc()
    plan.found["mpicc"] = path
    if plan.users.get("use_mpi") != "0":
        plan.problems += problems
        plan.set("use_mpi", "1")
        if path:
            plan.set("mpicc_path", path)
