"""Jittor's first compile, once and in a process of its own: with progress, with a log, and again where Jittor asks.

The process and its compilers are a session of their own, so that Ctrl-Z does not stop them half way, and end together:
when this one is interrupted, and when it is gone without a word (the child sees its standard input close).  They hold
the lock too, so whoever starts next waits until the last compiler has ended and never meets a half-written object.

``import jittor`` compiles its core for minutes where the cache is cold.  Done in a child process, its progress can be
read and shown, a crash in it is an error message here, and its habit of ending the process with status 0 after it has
rebuilt its tools ("please rerun your command") is met by running it again.  A mark is left in the cache for each
combination of settings that came out well; with it, later starts go straight to the import.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

from . import host, jittor_copy, lock_watch, priority
from .problems import RuntimeProblem, finding

Progress = Callable[[str, int, int], None]

#: settings of Jittor that change what is compiled; part of a mark's name
SETTINGS = ("cc_path", "cc_flags", "nvcc_path", "nvcc_flags", "cuda_archs", "kernel_flags", "debug", "cuda_debug",
            "enable_lto", "use_mkl", "use_mpi", "use_nccl", "use_cutt", "use_cutlass", "conv_opt", "cache_name",
            "python_config_path", "mpicc_path", "use_data_gz")

# What the child runs: import, one tiny operator on each device, and a line that says where everything lies.
_CHILD = """
import json, os, signal, sys, threading
def watch():
    if not os.read(0, 1):   # the parent's end is closed: it is gone
        os.killpg(0, signal.SIGKILL)
if sys.argv[4] == "watch":
    threading.Thread(target=watch, daemon=True).start()
if sys.argv[3]:
    sys.path.insert(0, sys.argv[3])
import jittor as jt
if sys.argv[1] == "cuda":
    jt.flags.use_cuda = 1
assert (jt.array([1.0, 2.0]) * 3).numpy().tolist() == [3.0, 6.0], "a product came out wrong"
import jittor_core, jit_utils_core
print("\\n" + sys.argv[2] + json.dumps({"version": jt.__version__, "cache": jt.flags.cache_path,
      "files": [jittor_core.__file__, jit_utils_core.__file__], "cuda": bool(jt.has_cuda),
      "mkl": jt.compile_extern.mkl_ops is not None, "mpi": jt.compile_extern.mpi is not None}), flush=True)
"""
#: seconds before anything is shown: what is quicker needs no words
QUIET = 2.0
_SENTINEL = "JT_DFD_READY "
_COUNTED = re.compile(r"Compiling ([\w.]+) ?\((\d+)/(\d+)\)")
#: what ``progress`` calls the stages of a first compile: {code: words for a terminal}
STAGES = {"fetch": "fetching Jittor's package with pip", "again": "an object was damaged: compiling anew",
          "lock": lock_watch.MESSAGE, "tools": "preparing the compiler's tools",
          "core": "compiling Jittor's core", "cpu": "compiling the CPU convolutions",
          "mpi": "compiling for several processes", "operators": "compiling operators",
          "gpu": "compiling the GPU libraries' operators", "other": "compiling", "ready": "ready", "failed": "failed"}
#: a GPU build has some 240 sources, a CPU build 150; only used to say how long it may take
#: what follows the core (convolutions, the first operator) takes this share of the core's time
_AFTER_CORE = 0.1
_MINUTES = {"cpu": "2 to 5 minutes", "cuda": "4 to 10 minutes"}


def fingerprint(device: str, planned: Optional[Dict[str, str]] = None) -> str:
    """Short name of everything that decides what Jittor compiles here; ``planned``: variables not yet set."""
    import platform

    environment = dict(os.environ, **(planned or {}))
    compiler = environment.get("cc_path", "")
    parts = {name: environment.get(name) for name in SETTINGS}
    parts.update(python=sys.version, include=_include(), jittor=jittor_copy.key(), prefix=sys.prefix,
                 compiler=host.compiler_version(compiler) if compiler else None, node=platform.node(),
                 system=platform.platform(), processor=host.processor_model(), home=str(host.jittor_home()),
                 device=device, mark=2)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _include() -> str:
    import sysconfig

    return sysconfig.get_path("include")


def ready(device: str, planned: Optional[Dict[str, str]] = None) -> bool:
    """Whether these settings have been compiled and what came out is still there."""
    try:
        mark = json.loads(_mark(device, planned).read_text())
        return all(os.path.isfile(f) for f in mark["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mark(device: str, planned: Optional[Dict[str, str]] = None) -> Path:
    return host.cache_folder() / "ready" / (fingerprint(device, planned) + ".json")


def log_path() -> Path:
    return host.cache_folder() / "first_compile.log"


def ensure(device: str, progress: Optional[Progress] = None) -> Optional[str]:
    """Compile what ``import jittor`` needs unless that was done; the folder to import it from (``jittor_copy``).
    RuntimeProblem with Jittor's words if it fails."""
    show = _Show(progress, device)
    place = jittor_copy.provide(show)
    if ready(device):
        return place
    with _lock(show) as lock:
        if ready(device):   # another process did it while we waited
            return place
        problems = host.check_compile({"path": os.environ["cc_path"], "kind": "g++"}, _include())
        if problems:
            raise RuntimeProblem(problems)
        result = None
        fresh = False
        for _ in range(4):  # each round ends early where Jittor rebuilt its tools
            result, status, tail = _run(device, place, show, lock)
            if result is None and not fresh and _DAMAGED.search("\n".join(tail)):
                fresh = _remove_objects(place)   # what an earlier, interrupted compile left behind
                if fresh:
                    show("again", 0, 0)
                    continue
            if result is not None or status != 0:
                break
        show.close(result is not None)
        if result is None:
            raise RuntimeProblem(_explain(status, tail))
        host.cache_folder().joinpath("ready").mkdir(parents=True, exist_ok=True)
        temporary = _mark(device).with_suffix(f".{os.getpid()}.part")
        temporary.write_text(json.dumps(result))
        os.replace(str(temporary), str(_mark(device)))
    return place


def try_import(device: str, seconds: float = 600) -> Optional[str]:
    """Start Jittor in a child process; None where it works, else what it said last.  Quick once it is compiled."""
    try:
        child = subprocess.run(_command(device, jittor_copy.provide()), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=child_environment(),
                               timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"no answer in {seconds:.0f} s (another process that compiles holds Jittor's lock, or it hangs)"
    lines = [_plain(line) for line in re.split(rb"[\r\n]+", child.stdout) if line.strip()]
    if child.returncode == 0 and any(line.startswith(_SENTINEL) for line in lines):
        return None
    return _last_error(lines)


def forget(device: str, planned: Optional[Dict[str, str]] = None) -> None:
    """Remove the mark, so that the next start compiles ahead again."""
    with contextlib.suppress(OSError):
        _mark(device, planned).unlink()


@contextlib.contextmanager
def _lock(show):
    """One first compile at a time in a cache; the others wait and say so."""
    host.cache_folder().mkdir(parents=True, exist_ok=True)
    with open(str(host.cache_folder() / "first_compile.lock"), "w") as f:
        host.lock_or_wait(f, show, "lock")
        yield f   # the lock falls with the file, and with the last process that has it


def _command(device: str, place: Optional[str], watch: bool = False) -> List[str]:
    # Python 3.12 and newer complain of escapes in Jittor's docstrings
    return [sys.executable, "-W", "ignore::SyntaxWarning", "-c", _CHILD, device, _SENTINEL, place or "",
            "watch" if watch else ""]


def child_environment() -> Dict[str, str]:
    """This process's environment for the compiling child: not silent, and no rank of an MPI job."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "PMI_", "PRTE_"))}
    env.update(log_silent="0", log_v="0", PYTHONUNBUFFERED="1", log_sync="1")
    return env


#: how Jittor, the linker and the loader complain of an object that is not whole
_DAMAGED = re.compile(r"Source read failed|file (?:format )?not recognized|file truncated|invalid ELF header|"
                      r"file too short|not an ELF file|undefined symbol|malformed archive|unexpected end of file|bad "
                      r"magic number")


def _remove_objects(place: Optional[str]) -> bool:
    """Remove what Jittor compiled here for this Python and copy; whether there was anything."""
    import glob
    import platform
    import shutil

    source = jittor_copy.find_source()
    utilities = os.path.join(place or str(source.folder if source else ""), "jittor_utils/__init__.py")
    key = hashlib.md5(utilities.encode()).hexdigest()[:4]   # as Jittor names it
    name = os.environ.get("cache_name", "default")
    found = glob.glob(os.path.join(glob.escape(str(host.jittor_home())), ".cache/jittor/jt*/*",
                                   f"py{platform.python_version()}", "*", "*", key, name))
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return bool(found)


def _run(device: str, place: Optional[str], show, lock):
    """One child: (what it said at the end or None, exit status, its last lines)."""
    command = _command(device, place, watch=True)
    tail: List[str] = []
    result = None
    host.cache_folder().mkdir(parents=True, exist_ok=True)
    with open(str(log_path()), "w", errors="replace") as log:
        log.write(f"{time.ctime()}  {sys.executable}  device {device}\n")
        log.flush()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE,
                                 env=child_environment(), start_new_session=True, pass_fds=(lock.fileno(),))
        priority.pass_on(child.pid)
        stop = threading.Event()
        ticker = threading.Thread(target=_ticks, args=(show, stop, child.pid), daemon=True)
        ticker.start()
        try:
            show("tools", 0, 0)
            for line in _lines(child.stdout):
                if line.startswith(_SENTINEL):
                    result = json.loads(line[len(_SENTINEL):])
                    continue
                counted = _COUNTED.search(line)
                if counted:
                    show(_stage(counted.group(1)), int(counted.group(2)), int(counted.group(3)))
                    continue
                log.write(line + "\n")
                log.flush()
                tail = (tail + [line])[-200:]
            status = child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)   # with its compilers
            child.wait()
            raise
        finally:
            stop.set()
            ticker.join()
            child.stdout.close()
            child.stdin.close()
    return result if status == 0 else None, status, tail


def _ticks(show, stop, pid: int) -> None:
    waited = False
    while not stop.wait(0.5):
        waits = lock_watch.waits(pid)   # for a Jittor that was not started by us: ours hold our own lock
        if waits and waited:
            show("lock", 0, 0)
        waited = waits
        show.tick()


def _lines(stream):
    """Lines ended by \\n or \\r, as they come: Jittor draws its progress with carriage returns."""
    rest = b""
    while True:
        block = os.read(stream.fileno(), 65536)
        if not block:
            break
        *whole, rest = re.split(rb"[\r\n]+", rest + block)
        for line in whole:
            if line.strip():
                yield _plain(line)
    if rest.strip():
        yield _plain(rest)


def _stage(name: str) -> str:
    """The stage, a key of STAGES, in which Jittor compiles what it calls ``name``."""
    for part, stage in (("jittor_core", "core"), ("mkl", "cpu"), ("mpi", "mpi"), ("Operators", "operators"),
                        ("cu", "gpu")):
        if part in name:
            return stage
    return "other"


def _plain(line: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.decode("utf8", "replace")).strip()


def _explain(status: int, tail: List[str]) -> Dict[str, str]:
    """The sentence for a compile that failed, from what the child printed."""
    text = "\n".join(tail)
    mend = f"read {log_path()}; then  python tools/doctor.py"
    if status == 0:
        return finding("Jittor rebuilt its tools four times over and asked to be started again",
                       f"remove its cache folder {host.jittor_home() / '.cache/jittor'} and start again")
    if "No space left" in text:
        return finding(f"the disk is full under {host.jittor_home() / '.cache'}", "make room there and start again")
    if "Killed signal" in text or "cc1plus" in text and "Killed" in text or status == -9:
        return finding("the compiler was killed: the machine ran out of memory",
                       "close other programs, or compile one file at a time:  export DISABLE_MULTIPROCESSING=1")
    if "urlopen error" in text or "urlretrieve" in text or "Downloading" in text:
        return finding("Jittor wanted to download something and could not: " + _last_error(tail), mend)
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return finding(f"Jittor's first compile ended with {how}: {_last_error(tail)}", mend)


def _last_error(tail: List[str]) -> str:
    marked = [line for line in tail if re.search(r"\b(error|Error|Exception|undefined|cannot|assert)", line)]
    return (marked or tail or ["no output"])[-1][-400:]


class _Show:
    """Progress to a callback, or to stderr: a line that is redrawn on a terminal, else one a stage and half minute."""

    def __init__(self, progress: Optional[Progress], device: str):
        self.progress, self.device = progress, device
        self.started = self.changed = time.monotonic()
        self.stage, self.done, self.total = "", 0, 0
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.printed, self.printed_stage = 0.0, ""
        self.opened = self.width = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if total and (stage, total) == (self.stage, self.total) and done <= self.done:
            return
        if stage != self.stage:
            self.changed = time.monotonic()
        self.stage, self.done, self.total = stage, done, total
        if self.progress:
            self.progress(stage, done, total)
        else:
            self.tick()

    def tick(self) -> None:
        elapsed = time.monotonic() - self.started
        if self.progress or elapsed < QUIET or sys.stderr is None:
            return
        if not self.opened:
            self.opened = 1
            sys.stderr.write(f"Jittor compiles itself for this machine, once: {_MINUTES[self.device]} on two cores.\n")
        far = f" {self.done}/{self.total} ({100 * self.done // self.total} %){self.left()}" if self.total else ""
        line = f"  {int(elapsed) // 60}:{int(elapsed) % 60:02d}  {STAGES[self.stage]}{far}"
        if self.terminal:
            sys.stderr.write("\r" + line.ljust(self.width))
            self.width = len(line)
        elif elapsed - self.printed >= 30 or self.stage != self.printed_stage:
            self.printed, self.printed_stage = elapsed, self.stage
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def left(self) -> str:
        """", about 4 min left", by what this machine needed for the part of this stage that is done."""
        spent = time.monotonic() - self.changed
        if self.done < 5 or spent < 5 or self.done >= self.total:
            return ""
        seconds = spent / self.done * (self.total - self.done)
        if self.stage == _stage("jittor_core"):
            seconds += _AFTER_CORE * spent * self.total / self.done
        if seconds > 90:
            return f", about {seconds / 60:.0f} min left"
        return f", about {10 * round(seconds / 10 + 0.5)} s left"

    def close(self, well: bool) -> None:
        elapsed = time.monotonic() - self.started
        if self.progress:
            self.progress("ready" if well else "failed", 1, 1)
        elif self.opened and sys.stderr is not None:
            sys.stderr.write(("\r" + " " * self.width + "\r" if self.terminal else "")
                             + (f"Jittor is ready ({elapsed:.0f} s).\n" if well else "The compile failed.\n"))
            sys.stderr.flush()
