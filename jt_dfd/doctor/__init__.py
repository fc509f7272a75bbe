"""What this machine has for jt_dfd, what is chosen, what is missing and the command that fixes it."""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..cli import when_stopped


def main(arguments=None) -> int:
    """Exit status 0 where Jittor can start, 1 where it cannot or a check failed."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Exit status: 0 where Jittor can start, 1 where it cannot or a check failed.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help="look with this device in mind (default: auto, a GPU where one can be used)")
    parser.add_argument("--warm", action="store_true",
                        help="compile ahead: Jittor's core, and the operators of a synthesis where there are weights")
    parser.add_argument("--params", metavar="P", help="weights to compile ahead for (default: Params/demo)")
    parser.add_argument("--quick", action="store_true", help="with --warm: what a face needs, without timing two ways "
                        "to compute each network")
    parser.add_argument("--cache", metavar="DIR", help="with --warm: compile into DIR, which everyone who may read it "
                        "takes over with  export JT_DFD_CACHE=DIR  instead of compiling, in another home too")
    parser.add_argument("--gpu", action="store_true",
                        help="one-minute self-test on the GPU: operators, kernels, training steps against references")
    parser.add_argument("--check", action="store_true", help="the same self-test on the device chosen")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    options = parser.parse_args(arguments)
    if options.cache:
        if not options.warm:
            parser.error("--cache goes with --warm")
        os.environ["JITTOR_HOME"] = os.path.abspath(options.cache)
        os.environ.pop("JT_DFD_CACHE", None)

    with when_stopped("stopped; what is compiled so far is kept"):
        return _examine(options)


def _examine(options) -> int:
    import json

    device = "cuda" if options.gpu else options.device
    report = examine(device, options.warm)
    print(json.dumps(report, indent=2, sort_keys=True) if options.json else words(report, options.warm),
          flush=True)
    if not report["can_start"]:
        return 1
    if options.warm:
        print("\n".join(warm(device, options.params, not options.quick)), flush=True)
        if options.cache:
            let_read(Path(options.cache))
            print(f"For everyone who may read it:  export JT_DFD_CACHE={os.environ['JITTOR_HOME']}", flush=True)
    if options.gpu or options.check:
        from .. import runtime
        from . import selftest

        runtime.start(device)
        return 1 if selftest.run(lambda line: print(line, flush=True))["failed"] else 0
    return 0


def examine(device: str = "auto", warming: bool = False) -> dict:
    """``runtime.report`` and, where Jittor is compiled already, a start of it in a process of its own.

    warming  what does not start is about to be compiled again, and so is not missing
    Adds "can_start": bool.  Nothing is compiled but a few lines that show whether the compiler works.
    """
    from ..runtime import host, make_report_plan
    from ..runtime.problems import not_starting

    plan = make_report_plan(device)
    if not plan.problems:
        plan.problems += host.check_compile({"path": plan.found["compiler"]["path"],
                                             "kind": plan.found["compiler"]["kind"]}, plan.found["python_headers"])
    report = plan.report()
    if not plan.problems and plan.compiled:
        said = _start(plan)
        if said:
            if not warming:
                report["missing"].append(not_starting(said))
            plan.forget()
            report["compiled"] = False
    report["can_start"] = not report["missing"]
    return report


def _start(plan) -> str | None:
    from ..runtime import first_compile

    before = dict(os.environ)
    try:
        os.environ.update(plan.environment)
        return first_compile.try_import(plan.device)
    finally:
        os.environ.clear()
        os.environ.update(before)


def words(report: dict, warming: bool = False) -> str:
    """The report for people; ``warming``: what is missing only because nothing is compiled yet is coming."""
    import platform

    from .. import __version__
    from ..runtime.problems import word

    found = report["found"]
    lines = [f"jt_dfd {__version__} on {platform.system()} {platform.machine()}", "", "found"]
    lines += _table(_found_rows(found))
    lines += ["", "chosen"]
    lines += _table(_chosen_rows(report))
    if report["missing"]:
        lines += ["", "missing: Jittor cannot start without"]
        lines += [word(entry) for entry in report["missing"]]
    if report["notes"]:
        lines += ["", "worth having (it runs without)"]
        lines += [word(entry) for entry in report["notes"]]
    lines.append("")
    if report["missing"]:
        lines.append("Jittor cannot start like this yet.")
    elif report["compiled"]:
        lines.append("Jittor starts.")
    elif not warming:
        lines.append("Nothing stands in the way.  The first start compiles for some minutes; to have that done:\n"
                     "    python tools/doctor.py --warm")
    return "\n".join(lines)


def _found_rows(found: dict) -> list[tuple[str, str]]:
    rows = [("Python", found.get("python", "?"))]
    source, place = found.get("jittor_source"), found.get("jittor_place")
    rows.append(("jittor", f"{found['jittor']} at {source}, {_used(place)}" if found.get("jittor") else
                 "not installed; its package is fetched at the first start"))
    rows.append(("numpy", found.get("numpy") or "not installed"))
    compiler = found.get("compiler")
    rows.append(("C++ compiler", f"{compiler['version']} at {compiler['path']}" if compiler else "none"))
    if found.get("isa"):
        rows.append(("vector instructions", found["isa"]["processor"]))
    if found.get("python_headers"):
        rows.append(("Python headers", found["python_headers"]))
    onednn = found.get("onednn")
    if onednn:
        state = {"ready": "in place", "wheels": "from the installed wheels", "missing": "not installed",
                 "off": "switched off (use_mkl=0)"}[onednn["state"]]
        rows.append(("oneDNN", state + (f", {onednn['library']}" if onednn["library"] else "")))
    gpu = found.get("gpu")
    if gpu:
        devices = [f"{d['name']}, compute capability {d['capability'] / 10:.1f}, {d['memory'] / 2**30:.0f} GiB"
                   for d in gpu["devices"]]
        rows += [("GPU", d) for d in devices] or [("GPU", gpu["why"])]
        if gpu["driver"]:
            rows.append(("GPU driver", "for CUDA up to %d.%d" % tuple(gpu["driver"])))
    for nvcc in found.get("nvcc", ()):
        rows.append(("CUDA compiler", f"{nvcc['version'] or '?'} at {nvcc['path']}"
                     + (f": {nvcc['problem']}" if nvcc["problem"] else f", its toolkit is {nvcc['root']}")))
    if "nvcc" in found and not found["nvcc"]:
        rows.append(("CUDA compiler", "none"))
    if "mpicc" in found:
        rows.append(("MPI", found["mpicc"] or "no mpicc"))
    return rows


def _used(place: str | None) -> str:
    return "used as it is" if place == "as installed" else f"used by a changed copy in {place}"


def _chosen_rows(report: dict) -> list[tuple[str, str]]:
    from ..runtime import host, ways

    found = report["found"]
    rows = [("device", f"{'GPU' if report['device'] == 'cuda' else 'CPU'} ({report['why']})")] if report["why"] else []
    if found.get("isa", {}).get("limit"):
        rows.append(("vector instructions", f"no more than {found['isa']['limit']} (JT_DFD_ISA)"))
    cuda = found.get("cuda")
    if cuda:
        rows += [("CUDA", f"{cuda['version']}, {cuda['nvcc']}"), ("CUDA view", cuda["view"])]
        rows += [("  " + part, where) for part, where in cuda["parts"].items()]
        rows.append(("float32 on the GPU", cuda["tf32"]["words"]))
        rows.append(("float16 on the GPU", cuda["half"]["words"]))
    onednn = found.get("onednn")
    if onednn:
        rows.append(("CPU convolutions", "oneDNN" if onednn["state"] in ("ready", "wheels") else "plain loops: slow"))
    rows.append(("kernel cache", f"{host.jittor_home() / '.cache' / 'jittor'}, "
                 + ("compiled" if report["compiled"] else "not compiled yet")))
    for machine, entries in ways.read().items():
        rows += [("quicker way", f"{line} [{machine}]") for line in ways.words(entries)]
    rows += [("set by you", f"{k}={v}") for k, v in sorted(report.get("users", {}).items())]
    return rows


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max([len(name) for name, _ in rows] or [0])
    return [f"  {name.ljust(width)}  {value}" for name, value in rows]


def warm(device: str = "auto", params=None, choose: bool = True) -> list[str]:
    """Compile what first use would: Jittor's core, and with weights at hand the operators of a synthesis.

    params: folder of weights; None takes the repository's Params/demo.  choose: time two ways to compute each network
    and keep the quicker one, which compiles both and takes longer than a face.  Returns lines that say what was done.
    RuntimeProblem where Jittor cannot start, checkpoints' errors where the weights are damaged.
    """
    from .. import runtime
    from ..runtime import ways
    from ..runtime.display import Display

    folder = Path(params) if params else Path(__file__).resolve().parents[2] / "Params" / "demo"
    weights = params is not None or has_weights(folder)
    show = Display(steps=("tools", "core", "cpu") + (("ways" if choose else "face",) if weights else ()))
    runtime.start(device, show)
    done = [f"Jittor starts on the {'GPU' if runtime.chosen_device() == 'cuda' else 'CPU'}."]
    if not weights:
        show.close(True)
        return done + [f"No weights in {folder}: nothing more to compile ahead."]
    from ..synthesizer import Synthesizer

    synthesizer = Synthesizer(folder, device)
    ways_kept = choose and synthesizer.networks.choose_ways(lambda _, done, total: show("ways", done, total))
    synthesizer.warm(lambda _, done, total: show("face", done, total))
    show.close(True)
    done.append(f"A face's operators are compiled for {folder}.")
    if ways_kept:
        done += (["The quicker way of each network was measured and is kept:"]
                 + ["  " + w for w in ways.words(ways_kept)])
    return done


def let_read(folder: Path) -> None:
    """Whatever this user's umask: all may read and nobody else may write."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod((mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444)) & ~0o022)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds more than notices."""
    return folder.is_dir() and any((folder / name).exists() for name in ("config.json", "AE_whole", "Combine"))
