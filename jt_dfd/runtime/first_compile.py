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
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from .. import atomic
from . import host, jittor_copy, locks, onednn, process, ways
from .display import Display, Progress
from .problems import RuntimeProblem, finding

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
import jittor_utils
print(sys.argv[2] + json.dumps({"objects": jittor_utils.cache_path}), flush=True)
import jittor as jt
if sys.argv[1] == "cuda":
    jt.flags.use_cuda = 1
assert (jt.array([1.0, 2.0]) * 3).numpy().tolist() == [3.0, 6.0], "a product came out wrong"
import jittor_core, jit_utils_core
print("\\n" + sys.argv[2] + json.dumps({"version": jt.__version__, "cache": jt.flags.cache_path,
      "files": [jittor_core.__file__, jit_utils_core.__file__], "cuda": bool(jt.has_cuda),
      "mkl": jt.compile_extern.mkl_ops is not None, "mpi": jt.compile_extern.mpi is not None}), flush=True)
"""
_SENTINEL = "JT_DFD_READY "
_COUNTED = re.compile(r"Compiling ([\w.]+) ?\((\d+)/(\d+)\)")

def fingerprint(device: str, planned: Optional[Dict[str, str]] = None) -> str:
    """Short name of everything that decides what Jittor compiles; ``planned``: variables not yet set.

    The home, the host and the environment are no part of it (see the rules on objects)."""
    import platform

    environment = dict(os.environ, **(planned or {}))
    compiler = environment.get("cc_path", "")
    parts: Dict[str, Any] = {name: environment.get(name, "unset").replace(str(host.jittor_home()), "~")
                             for name in SETTINGS}
    native = "-march=" not in environment.get("cc_flags", "")
    parts.update(python=sys.version, include=_include(), jittor=jittor_copy.key(),
                 compiler=host.compiler_version(compiler) if compiler else None,
                 system=platform.platform() if jittor_copy.as_installed() else platform.libc_ver()[1],
                 processor=host.processor_model() if native else platform.machine(), device=device, mark=3)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _include() -> str:
    import sysconfig

    return sysconfig.get_path("include")


def ready(device: str, planned: Optional[Dict[str, str]] = None) -> bool:
    """Whether these settings have been compiled and what came out is still there."""
    try:
        mark = json.loads(_mark(device, planned).read_text())
        return all((host.jittor_home() / f).is_file() for f in mark["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mark(device: str, planned: Optional[Dict[str, str]] = None) -> Path:
    return host.cache_folder() / "ready" / (fingerprint(device, planned) + ".json")


def log_path() -> Path:
    return host.cache_folder() / "first_compile.log"


def ensure(device: str, progress: Optional[Progress] = None) -> Optional[str]:
    """Compile what ``import jittor`` needs unless that was done; the folder to import it from (``jittor_copy``).
    RuntimeProblem with Jittor's words if it fails."""
    show = progress if isinstance(progress, Display) else Display(progress)
    place = jittor_copy.provide(show)
    _mend(device, show)
    if ready(device):
        return place
    with host.locked(host.cache_folder() / "first_compile.lock", show) as lock:
        if ready(device) or _take_over(device, show):   # another process did it while we waited, or long ago
            return place
        problems = host.check_compile({"path": os.environ["cc_path"], "kind": "g++"}, _include())
        if problems:
            raise RuntimeProblem(problems)
        fresh = False
        for _ in range(4):  # each round ends early where Jittor rebuilt its tools
            result, status, tail = _run(device, place, show, lock)
            if status != 0 and not fresh and "objects" in result and _DAMAGED.search("\n".join(tail)):
                fresh = True   # what an earlier, interrupted compile left behind
                shutil.rmtree(result["objects"], ignore_errors=True)
                show("again", 0, 0)
            elif status != 0 or "files" in result:
                break
        well = status == 0 and "files" in result
        if not (well and show is progress):   # whose caller goes on with it
            show.close(well)
        if not well:
            raise RuntimeProblem(_explain(status, tail))
        _keep_mark(device, result, place)
    return place


def _keep_mark(device: str, result: Dict, place: Optional[str]) -> None:
    """Paths below the home are written down without it: what lies there may be copied elsewhere.  But the operators'
    sources and oneDNN's headers, of which kernels are made, are looked for where they lay."""
    home = str(host.jittor_home()) + os.sep

    def below(path):
        return path[len(home):] if path.startswith(home) else path
    source = jittor_copy.find_source()
    needs = [os.path.join(place or (str(source.folder) if source else ""), "jittor")]
    needs += [str(onednn.folder() / "include" / onednn.HEADER)] if result.get("mkl") else []
    mark = dict(result, files=[below(f) for f in result["files"]], objects=below(result["objects"]), needs=needs)
    _mark(device).parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(_mark(device), json.dumps(mark))


def _take_over(device: str, show) -> bool:
    """Copy what was compiled into the folder that JT_DFD_CACHE names (tools/doctor.py --warm --cache), which may be
    read only; False where it holds nothing for this machine, or was moved since, which is said."""
    shared = os.environ.get("JT_DFD_CACHE")
    if not shared or os.path.realpath(shared) == os.path.realpath(str(host.jittor_home())):
        return False
    def there(path):
        return Path(shared) / path.relative_to(host.jittor_home())
    try:
        mark = json.loads(there(_mark(device)).read_text())
        objects, lost = mark["objects"], [path for path in mark["needs"] if not os.access(path, os.R_OK)]
        if lost:
            show.say(f"JT_DFD_CACHE={shared}: what was compiled there needs {lost[0]}, which is gone or may not be "
                     "read; leave that folder, and the environment that made it, where they were, for all to read "
                     "(chmod -R a+rX); compiling here")
            return False
        show("copy", 0, 0)
        target = host.jittor_home() / objects
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic.scratch_beside(target) as scratch:
            shutil.copytree(str(Path(shared) / objects), str(scratch / "copy"),
                            ignore=shutil.ignore_patterns("tmp", "*.s"))
            shutil.rmtree(str(target), ignore_errors=True)
            os.rename(str(scratch / "copy"), str(target))
        for path in (_mark(device), ways.path()):
            if there(path).is_file() and not path.exists():
                atomic.write_text(path, there(path).read_text())
    except FileNotFoundError:
        show.say(f"JT_DFD_CACHE={shared}: nothing there was compiled for this Python, compiler and processor; "
                 "compiling here")
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else str(error)   # of every file, its own
        if "No space left" in why:
            raise RuntimeProblem(_full_disk()) from None
        show.say(f"JT_DFD_CACHE={shared} cannot be copied ({why}); compiling here")
    _mend(device, show)
    return ready(device)


def _mend(device: str, show) -> None:
    """Remove objects that are cut off (a machine went down, a disk was full, a copy was broken off) and would end the
    process that loads them; what is missing Jittor compiles."""
    try:
        objects = host.jittor_home() / json.loads(_mark(device).read_text())["objects"]
        with open(str(objects.parent / "jittor.lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)   # Jittor's: else another process is writing them
            cut = [path for path in [*objects.glob("*.so"), *objects.glob("*/*.so")] if not _whole(path)]
            for path in cut:
                path.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        return
    if cut:
        show.say(f"Damaged objects under {objects} are compiled anew ({len(cut)}).")


def _whole(path: Path) -> bool:
    """Whether a file has all that its ELF header (elf.h, 64 bits) promises: the sections' table comes last."""
    with open(str(path), "rb") as f:
        head = f.read(64)
    if len(head) < 64:
        return False
    (table,), (size, count) = struct.unpack_from("<Q", head, 40), struct.unpack_from("<HH", head, 58)
    return head[:4] == b"\x7fELF" and table + size * count <= path.stat().st_size


def try_import(device: str, seconds: float = 600) -> Optional[str]:
    """Start Jittor in a child process; None where it works, else what it said last.  Quick once it is compiled."""
    try:
        child = subprocess.run(_command(device, jittor_copy.provide()), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=child_environment(),
                               timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"no answer in {seconds:.0f} s (another process that compiles holds Jittor's lock, or it hangs)"
    lines = [_plain(line) for line in re.split(rb"[\r\n]+", child.stdout) if line.strip()]
    if child.returncode == 0 and any(line.startswith(_SENTINEL) and '"files"' in line for line in lines):
        return None
    return _last_error(lines)


def forget(device: str, planned: Optional[Dict[str, str]] = None) -> None:
    """Remove the mark, so that the next start compiles ahead again."""
    with contextlib.suppress(OSError):
        _mark(device, planned).unlink()


def _command(device: str, place: Optional[str], watch: bool = False) -> List[str]:
    # Python 3.12 and newer complain of escapes in Jittor's docstrings
    return [sys.executable, "-W", "ignore::SyntaxWarning", "-c", _CHILD, device, _SENTINEL, place or "",
            "watch" if watch else ""]


def child_environment() -> Dict[str, str]:
    """This process's environment for the compiling child: not silent, and no rank of an MPI job."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "PMI_", "PRTE_"))}
    env.update(log_silent="0", log_v="0", PYTHONUNBUFFERED="1", log_sync="1")
    return env


#: how Jittor, the linker and the loader complain of an object that is not whole, or not of this compiler and Python
_DAMAGED = re.compile(r"Source read failed|file (?:format )?not recognized|file truncated|invalid ELF header|"
                      r"file too short|not an ELF file|undefined symbol|malformed archive|unexpected end of file|bad "
                      r"magic number|ImportError: .*(?:\.so|PyInit_)|Caught segfault|Get signal")


def _run(device: str, place: Optional[str], show, lock):
    """One child: (what it said of itself, exit status, its last lines)."""
    command = _command(device, place, watch=True)
    tail: List[str] = []
    result: Dict = {}
    host.cache_folder().mkdir(parents=True, exist_ok=True)
    with open(str(log_path()), "w", errors="replace") as log:
        log.write(f"{time.ctime()}  {sys.executable}  device {device}\n")
        log.flush()
        child: Any = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE,
                                 env=child_environment(), start_new_session=True, pass_fds=(lock.fileno(),))
        process.pass_on(child.pid)
        show.waits = lambda: locks.waits(child.pid)   # for a Jittor that was not started by us: ours hold our lock
        try:
            with show:
                show("tools", 0, 0)
                for line in _lines(child.stdout):
                    counted = _COUNTED.search(line)
                    if line.startswith(_SENTINEL):
                        result.update(json.loads(line[len(_SENTINEL):]))
                    elif counted:
                        show(_step(counted.group(1)), int(counted.group(2)), int(counted.group(3)))
                    else:
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
            child.stdout.close()
            child.stdin.close()
    return result, status, tail


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


def _step(name: str) -> str:
    """The step, a key of STEPS, in which Jittor compiles what it calls ``name``."""
    for part, step in (("jittor_core", "core"), ("mkl", "cpu"), ("mpi", "mpi"), ("Operators", "operators"),
                        ("cu", "gpu")):
        if part in name:
            return step
    return "other"


def _plain(line: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.decode("utf8", "replace")).strip()


def _explain(status: int, tail: List[str]) -> Dict[str, str]:
    """The sentence for a compile that failed, from what the child printed."""
    text = "\n".join(tail)
    fix = f"read {log_path()}; then  python tools/doctor.py"
    if status == 0:
        return finding("Jittor rebuilt its tools four times over and asked to be started again",
                       f"remove its cache folder {host.jittor_home() / '.cache/jittor'} and start again")
    if "No space left" in text:
        return _full_disk()
    if "Killed signal" in text or "cc1plus" in text and "Killed" in text or status == -9:
        return finding("the compiler was killed: the machine ran out of memory",
                       "close other programs, or compile one file at a time:  export DISABLE_MULTIPROCESSING=1")
    if "urlopen error" in text or "urlretrieve" in text or "Downloading" in text:
        return finding("Jittor wanted to download something and could not: " + _last_error(tail), fix)
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return finding(f"Jittor's first compile ended with {how}: {_last_error(tail)}", fix)


def _full_disk() -> Dict[str, str]:
    return finding(f"the disk is full under {host.jittor_home() / '.cache'}", "make room there and start again")


def _last_error(tail: List[str]) -> str:
    marked = [line for line in tail if re.search(r"\b(error|Error|Exception|undefined|cannot|assert)", line)]
    return (marked or tail or ["no output"])[-1][-400:]
