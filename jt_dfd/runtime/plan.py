"""The plan: every choice for this machine, made from what is found, before anything is set or imported."""
from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional

from . import cuda_toolkit, cuda_view, first_compile, gpu, host, isa, jittor_copy, onednn
from .problems import finding

#: names of environment variables that a parent process's runtime set, so that a child decides afresh instead of taking
#: them for the user's own
_OURS = "JT_DFD_SET"


class Plan:
    """What was found and chosen.  ``problems`` must be empty before ``apply``; ``said_at_start`` is for stderr then;
    ``gpu`` is the one this process computes on, as ``gpu.ask`` describes it."""

    def __init__(self):
        self.device = "cpu"
        self.why = ""
        self.compiler: Optional[Dict] = None
        self.environment: Dict[str, str] = {}
        self.users: Dict[str, str] = {}
        self.found: Dict[str, Any] = {}
        self.notes: List[Dict[str, str]] = []
        self.said_at_start: List[Dict[str, str]] = []
        self.gpu: Any = None
        self.problems: List[Dict[str, str]] = []
        self.compiled = False

    def set(self, name: str, value: str) -> None:
        """Choose an environment variable; one that the user has set stays as it is."""
        if name in self.users:
            return
        self.environment[name] = value

    def use_cpu(self, why: str) -> None:
        self.device, self.why = "cpu", why
        # empty means: no CUDA.  Unset, Jittor searches for a compiler and even downloads a toolkit; set by the user on
        # a machine whose GPU does not answer, the CUDA build would abort the process
        if self.users.get("nvcc_path"):
            self.notes.append(finding(f"nvcc_path={self.users['nvcc_path']} is set, and not used: {why}"))
        self.environment["nvcc_path"] = ""

    def apply(self) -> None:
        for name in filter(None, os.environ.get(_OURS, "").split(",")):
            if name not in self.environment:
                os.environ.pop(name, None)
        os.environ.update(self.environment)
        os.environ[_OURS] = ",".join(sorted(self.environment))

    def forget(self) -> None:
        """Compile again at the next start."""
        first_compile.forget(self.device, self.environment)

    def report(self) -> Dict:
        return {"device": self.device, "why": self.why, "found": self.found, "notes": self.notes,
                "missing": self.problems, "compiled": self.compiled, "environment": dict(self.environment),
                "users": dict(self.users), "cache": str(host.cache_folder())}


#: environment variables of Jittor that a user may have set for good reason
_USERS = ("cc_path", "cc_flags", "nvcc_path", "nvcc_flags", "cuda_archs", "python_config_path", "use_mpi", "mpicc_path",
          "use_mkl", "use_cuda", "log_silent", "log_v", "cache_name", "use_cutt", "use_cutlass", "use_nccl",
          "nccl_include_path", "nccl_lib_path", "FIX_TORCH_ERROR", "conv_opt", "debug", "use_tensorcore",
          "LD_LIBRARY_PATH", "gdb_path", "OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA")


def make_plan(device: str = "auto", dry: bool = False) -> Plan:
    """Look at this machine and choose.  ``dry`` changes nothing on disk either."""
    plan = Plan()
    ours = set(filter(None, os.environ.get(_OURS, "").split(",")))
    plan.users = {name: os.environ[name] for name in _USERS if name in os.environ and name not in ours}
    plan.problems += host.check_system()
    plan.found["python"] = f"{sys.version.split()[0]} at {sys.executable}"
    source = jittor_copy.find_source()
    plan.found["jittor"] = source.version if source else None
    plan.found["jittor_source"] = str(source.folder) if source else None
    plan.found["jittor_place"] = "as installed" if jittor_copy.as_installed() else str(jittor_copy.copies())
    plan.found["numpy"] = host.numpy_version()
    plan.problems += jittor_copy.check()
    if plan.problems and any("not supported" in p["what"] for p in plan.problems):
        return plan
    plan.problems += host.check_cache()

    there, no_compiler = host.available_compilers()
    _choose_device(plan, device, dry, there)
    _choose_compiler(plan, there, no_compiler)
    include, missing = host.python_headers()
    plan.found["python_headers"] = include
    plan.problems += missing
    if not missing and not plan.problems:
        plan.set("python_config_path", host.python_config(dry))
    _choose_onednn(plan, dry)
    _choose_mpi(plan)
    if gpu.tf32_setting() not in ("0", "1"):
        plan.problems.append(finding(f"JT_DFD_TF32={gpu.tf32_setting()}: expected 0 or 1", "unset JT_DFD_TF32"))

    isa.limit(plan)
    # a name of our own keeps other Jittor programs' flags from rebuilding our core and ours theirs; left unset, Jittor
    # asks git for the branch of whatever repository its own folder lies in, and compiles anew for each branch
    if "cache_name" not in plan.environment:
        plan.set("cache_name", "jt_dfd")
    plan.set("log_silent", "1")
    if not host.has_semaphores():
        plan.set("DISABLE_MULTIPROCESSING", "1")   # one file at a time
    plan.set("gdb_path", "")        # only used to print traces of crashes; looking for it costs a start-up process
    plan.set("FIX_TORCH_ERROR", "0")  # otherwise Jittor imports an installed PyTorch into this process
    plan.compiled = not plan.problems and first_compile.ready(plan.device, plan.environment)
    return plan


def _wanted_device(plan: Plan, device: str) -> str:
    """The argument, else JT_DFD_DEVICE, else Jittor's own switches."""
    if device != "auto":
        return device
    wanted = os.environ.get("JT_DFD_DEVICE", "") or "auto"
    if wanted not in ("auto", "cpu", "cuda"):
        plan.problems.append(finding(f"JT_DFD_DEVICE={wanted}: expected auto, cpu or cuda", "unset JT_DFD_DEVICE"))
        return "auto"
    if wanted == "auto" and plan.users.get("nvcc_path") == "":
        return "cpu"
    if wanted == "auto" and plan.users.get("use_cuda") in ("1", "2"):
        return "cuda"
    return wanted


def _choose_device(plan: Plan, device: str, dry: bool, there: List[Dict]) -> None:
    """CPU or CUDA, and for CUDA the toolkit.  ``there``: the host compilers."""
    wanted = _wanted_device(plan, device)
    if dry:   # for people to read; a start does not need it
        plan.found["nvcc"] = [_nvcc_words(n) for n in cuda_toolkit.find_nvcc()]
    if wanted == "cpu":
        plan.use_cpu("asked for")
        return
    answer = gpu.ask()
    plan.found["gpu"] = answer
    if not answer["devices"]:
        plan.use_cpu(answer["why"])
        if wanted == "cuda":
            plan.problems.append(finding(f"a GPU was asked for: {answer['why']}",
                                         "install NVIDIA's driver and look with  nvidia-smi ; or use device \"cpu\""))
        return
    verdicts = [cuda_toolkit.judge(nvcc, answer, there) for nvcc in cuda_toolkit.find_nvcc()]
    good = [v for v in verdicts if not v["problems"]]
    if not good:
        best = min(verdicts, key=lambda v: len(v["problems"]) + (0 if v["parts"] else 9), default=None)
        problems = best["problems"] if best else [cuda_toolkit.no_compiler(answer)]
        if wanted == "cuda":
            plan.problems += problems
        else:
            plan.notes += problems
        plan.use_cpu("there is a GPU, but no CUDA toolkit that Jittor can be built with")
        return
    _use_cuda(plan, good[0], answer, dry)


def _use_cuda(plan: Plan, verdict: Dict, answer: Dict, dry: bool) -> None:
    plan.device, plan.why = "cuda", "a GPU answers and there is a toolkit that fits"
    plan.compiler = verdict["compiler"]
    plan.found["cuda"] = {"version": "%d.%d" % verdict["nvcc"]["version"], "nvcc": verdict["nvcc"]["real"],
                          "parts": cuda_view.versions(verdict)}
    content = cuda_view.plan_view(verdict, answer)
    view = cuda_view.views_folder() / cuda_view.fingerprint(content)
    plan.found["cuda"]["view"] = str(view)
    _deal_gpus(plan, verdict, answer["devices"])
    plan.found["cuda"]["tf32"] = gpu.tf32_state(plan.gpu["capability"])
    plan.found["cuda"]["half"] = gpu.half_state(plan.gpu["capability"])
    if not dry and not plan.problems:
        cuda_view.build(content)
    # over the user's own nvcc_path too: the view's compiler is a script that calls the one he named
    plan.environment["nvcc_path"] = str(view / "bin" / "nvcc")
    # apart from the CPU's: Jittor puts a CUDA core into a folder inside it, looks through both for a core, the outer
    # first, and would start without CUDA for ever once anything had run on the CPU
    plan.set("cache_name", "jt_dfd_cuda")
    plan.set("use_cutt", "0")        # these two are fetched from Jittor's host, and nothing here needs them
    plan.set("use_cutlass", "0")
    if "nccl" in verdict["parts"]:
        plan.set("nccl_include_path", str(view / "include"))
        plan.set("nccl_lib_path", str(view / "lib64"))
    else:
        plan.set("use_nccl", "0")    # between GPUs, MPI then goes through the host's memory


def _deal_gpus(plan: Plan, verdict: Dict, devices: List[Dict]) -> None:
    """Which GPU this process takes.  With NCCL, Jittor gives every process of mpirun on a machine its own; without, all
    would compute on the first, so each is shown one GPU alone."""
    rank, ranks = host.local_rank()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if "CUDA_VISIBLE_DEVICES" in os.environ.get(_OURS, "").split(","):   # a process that such a one started
        plan.gpu = devices[0]
        plan.environment["CUDA_VISIBLE_DEVICES"] = visible or ""
        return
    plan.gpu = devices[rank % len(devices)]
    nccl = "nccl" in verdict["parts"] and plan.users.get("use_nccl") != "0"
    if not nccl and max(ranks, len(devices)) > 1:
        note = finding("NCCL is not installed: several GPUs that train together exchange gradients through the host's "
                       "memory, which is slow", cuda_toolkit.wheel_command(["nccl"], verdict["nvcc"]["version"]))
        plan.notes.append(note)
        if ranks > 1:
            plan.said_at_start.append(note)
    # with NCCL, one GPU that each process is shown may be its own
    if ranks > len(devices) and not (nccl and visible):
        plan.problems.append(finding(
            f"mpirun started {ranks} processes on this machine, and there are {len(devices)} GPUs: some would share "
            "one",
            f"mpirun -np {len(devices)}  (on each machine), or --device cpu"))
    elif ranks > 1 and not nccl:
        names = visible.split(",") if visible else [str(i) for i in range(len(devices))]
        plan.environment["CUDA_VISIBLE_DEVICES"] = names[rank].strip()


def _nvcc_words(nvcc: Dict) -> Dict:
    version = "%d.%d" % nvcc["version"] if nvcc["version"] else None
    return {"path": nvcc["path"], "version": version, "root": nvcc["root"], "problem": nvcc["problem"]}


def _choose_compiler(plan: Plan, there: List[Dict], problems: List[Dict[str, str]]) -> None:
    plan.problems += problems
    compiler = plan.compiler or (there[0] if there else None)
    if compiler:
        plan.found["compiler"] = dict(compiler, version=".".join(map(str, compiler["version"])))
        plan.problems += host.check_openmp(compiler)
        plan.set("cc_path", compiler["path"])


def _choose_onednn(plan: Plan, dry: bool) -> None:
    if plan.users.get("use_mkl") == "0":
        plan.found["onednn"] = {"state": "off", "folder": None, "library": None}
        return
    state = onednn.look() if dry or plan.problems else onednn.provide()
    plan.found["onednn"] = state
    for path in onednn.others():
        plan.problems.append(finding(f"{path}: an incomplete oneDNN, which Jittor would pick",
                                     f"mv {path} {path}.away"))
    if state["state"] == "missing":
        plan.set("use_mkl", "0")
        plan.notes.append(finding("oneDNN is not installed: convolutions on the CPU run without it, many times slower",
                                  onednn.FIX))


def _choose_mpi(plan: Plan) -> None:
    if not host.in_mpi():
        plan.set("use_mpi", "0")
        return
    # left alone, every rank starts a thread for every core, and they wait for one another
    plan.set("OMP_NUM_THREADS", str(host.threads_of_a_rank()))
    path, problems = host.mpicc()
    plan.found["mpicc"] = path
    if plan.users.get("use_mpi") != "0":
        plan.problems += problems
        plan.set("use_mpi", "1")
        if path:
            plan.set("mpicc_path", path)
