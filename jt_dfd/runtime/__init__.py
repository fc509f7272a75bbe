"""Jittor that starts: decides on compiler, device, CUDA toolkit and oneDNN before ``import jittor``.

    from jt_dfd import runtime
    jt = runtime.start()                  # or runtime.start("cpu"), runtime.start("cuda")

Jittor's own first import fails on a machine that does not reach its download host, on one with an ``nvcc`` but no GPU
or no runtime library beside it, on Python 3.13 and with g++ 15, and computes garbage with numpy 2.  Everything is
decided here instead, and what is imported is a changed copy of Jittor (``jittor_copy``).  Nothing is downloaded but, by
pip, Jittor's package where it is not installed.  What a user has set wins: ``JT_DFD_DEVICE`` (auto, cpu, cuda),
``JT_DFD_TF32`` (1, 0; see ``gpu``), ``JT_DFD_ISA`` (avx512, avx2, baseline; see ``isa``), ``JT_DFD_JITTOR`` (see
``jittor_copy``), ``JT_DFD_CACHE`` (a folder compiled before, to copy from; see ``first_compile``), ``JITTOR_HOME``, and
Jittor's own ``cc_path``, ``nvcc_path``, ``python_config_path``, ``use_mpi``, ``use_mkl``,
``use_cuda``, ``log_silent``, ``cache_name`` and the like.

OpenCV may be imported before Jittor or after it (both orders were tried, with convolutions on either side).  PyTorch
may not share the process: its OpenMP and oneDNN collide with Jittor's, so Jittor's own habit of importing an installed
PyTorch is switched off, and a warning is given where it is there already.

Importing this module imports neither Jittor nor numpy.
"""
from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

from ..errors import InputError
from .problems import RuntimeProblem, not_starting, word

if TYPE_CHECKING:   # the rest is imported where Jittor starts: who uses one module here waits for no other
    from .plan import Plan

__all__ = ["RuntimeProblem", "prepare", "start", "jt", "report", "chosen_device"]

_prepared: Any = None   # a Plan
_jittor = None


def prepare(device: str = "auto") -> Dict:
    """Set the environment so that ``import jittor`` works; returns what ``report`` does.  Idempotent.

    device: "auto" (a GPU that answers and a toolkit that fits, else the CPU), "cpu" or "cuda".
    RuntimeProblem lists everything that is missing, each with the command that fixes it.  Jittor is not imported.
    """
    global _prepared
    _check_device(device)
    if _prepared is not None and (device == "auto" or device == _prepared.device or "jittor" in sys.modules):
        if device == "cuda" and _prepared.device != "cuda":
            raise RuntimeProblem("this process runs Jittor built for the CPU; a GPU has to be asked for before that")
        return _prepared.report()
    if "jittor" in sys.modules:
        # the caller imported it by himself: nothing can be chosen any more, and what he has works
        return {"device": "unknown", "chosen": {"jittor": "imported before jt_dfd.runtime was asked"}, "missing": []}
    from .plan import make_plan

    plan = make_plan(device)
    if plan.problems:
        raise RuntimeProblem(plan.problems)
    plan.apply()
    _prepared = plan
    if os.environ.get("OMPI_COMM_WORLD_RANK", "0") == "0":
        for entry in plan.said_at_start:
            print(word(entry), file=sys.stderr, flush=True)
    return plan.report()


def start(device: str = "auto", progress: Optional[Callable[[str, int, int], None]] = None):
    """The jittor module, ready to compute; quick when called again.

    The first time on a machine it compiles for minutes: ``progress(step, done, total)`` is called meanwhile (the step
    is a key of display.STEPS, total 0 where the amount is not known), or, without it, how far it is goes to
    stderr.  ``jt.flags.use_cuda`` is set to the device chosen.
    """
    global _jittor
    if _jittor is not None:
        prepare(device)
        if device != "auto":
            _jittor.flags.use_cuda = int(device == "cuda")
        return _jittor
    prepare(device)
    if "torch" in sys.modules:
        import warnings

        warnings.warn("PyTorch is loaded in this process; beside Jittor it can crash. Use a process of its own for one "
                      "of them.", RuntimeWarning, stacklevel=2)
    if "jittor" not in sys.modules:
        from . import first_compile, jittor_copy, locks
        from .process import restore_signals

        if progress is None and os.environ.get("OMPI_COMM_WORLD_RANK", "0") == "0":
            locks.tell_waiting()
        jittor_copy.activate(first_compile.ensure(_prepared.device, progress))
        _import_quietly()
        restore_signals()
    import jittor

    from . import gpu, host, locks

    host.keep_freed_memory()
    if _prepared is not None and "use_cuda" not in _prepared.users:
        jittor.flags.use_cuda = int(_prepared.device == "cuda" and bool(jittor.has_cuda))
    gpu.apply_tf32(jittor)
    locks.guard_graph(jittor)
    _jittor = jittor
    return jittor


def jt():
    """The jittor module: ``start()`` with every choice left to the runtime."""
    return _jittor if _jittor is not None else start()


def report(device: str = "auto") -> Dict:
    """What is found, chosen and missing, as a dict that JSON can hold; changes nothing and never raises for what is
    missing.  Keys: device, why, chosen, found, notes, missing (a list of {"what", "fix"}), compiled, environment."""
    if _prepared is not None:
        return _prepared.report()
    return make_report_plan(device).report()


def make_report_plan(device: str = "auto") -> Plan:
    """The plan that ``prepare`` would follow, made without changing anything."""
    from .plan import make_plan

    _check_device(device)
    return make_plan(device, dry=True)


def chosen_device() -> Optional[str]:
    """"cpu" or "cuda" once ``prepare`` has run, else None."""
    return _prepared.device if _prepared is not None else None


def half_precision_gains() -> bool:
    """Whether the device in use computes faster in float16; True where it is not known.  After ``prepare``."""
    if _prepared is None or _prepared.gpu is None:
        return True
    from . import gpu

    return gpu.half_state(_prepared.gpu["capability"])["gains"]


def _import_quietly() -> None:
    """Import Jittor in this process.  Where it still ends in its own exit (it found its tools changed after all), that
    becomes an error instead of a silent success."""
    import warnings

    import numpy

    from . import first_compile

    for kind in (numpy.float32, numpy.float64):   # kept by numpy, which would warn of it once Jittor's objects, built
        numpy.finfo(kind)                         # with -Ofast, have turned off numbers below the smallest normal one
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)   # escapes in docstrings, since Python 3.12
            import jittor  # noqa: F401
    except (ImportError, AssertionError) as error:   # of what an older compiler, or another's, has made
        first_compile.forget(_prepared.device)
        raise RuntimeProblem(not_starting(error or "its tools do not load")) from None
    except SystemExit:
        first_compile.forget(_prepared.device)
        raise RuntimeProblem("Jittor rebuilt its tools; they take effect in a new process: run the command "
                             "again") from None


def _check_device(device: str) -> None:
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: expected 'auto', 'cpu' or 'cuda'")
