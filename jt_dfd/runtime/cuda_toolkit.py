"""The CUDA toolkit to build with: every nvcc there is, and the libraries that go with it, wherever they lie.

Libraries and headers come from the compiler's own toolkit, from the nvidia-* wheels of this Python environment (also
those that an installed PyTorch brought) and from the system's folders, in this order; wheels only where they are of the
compiler's CUDA major version.  Nothing here writes anything.
"""
from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Callable, Dict, List, Optional, Tuple

from .host import numbers
from .problems import finding, package_command

#: part -> (header, library stem, needed).  Jittor compiles against all that are needed here before it starts.
PARTS = {
    "cudart": ("cuda_runtime.h", "libcudart", True),
    "cublas": ("cublas_v2.h", "libcublas", True),
    "cudnn": ("cudnn.h", "libcudnn", True),
    "curand": ("curand.h", "libcurand", True),
    "cufft": ("cufft.h", "libcufft", True),
    "cusparse": ("cusparse.h", "libcusparse", True),
    "cub": ("cub/cub.cuh", None, True),
    "nccl": ("nccl.h", "libnccl", False),
}
#: PyPI's name of each part from CUDA 13 on; before, all are nvidia-PART-cuNN
_WHEELS = {"cudart": "nvidia-cuda-runtime", "cublas": "nvidia-cublas", "cudnn": "nvidia-cudnn-cu{major}",
           "curand": "nvidia-curand", "cufft": "nvidia-cufft", "cusparse": "nvidia-cusparse nvidia-nvjitlink",
           "cub": "nvidia-cuda-cccl", "nccl": "nvidia-nccl-cu{major}"}
#: highest g++ that each CUDA takes (NVIDIA's installation guides); the toolkit's own crt/host_config.h goes before it
_GCC = (((13, 0), 15), ((12, 8), 14), ((12, 4), 13), ((12, 0), 12), ((11, 5), 11), ((11, 0), 10))
#: lowest compute capability that each CUDA major compiles for (NVIDIA's release notes)
_LOWEST = {11: 35, 12: 50, 13: 75}
#: first CUDA that knows GPUs from a capability on, where an older one cannot be made to do: its libraries have nothing
#: for them (NVIDIA's release notes; older GPUs' newest members run an earlier generation's code)
_FIRST = ((121, (12, 9)), (120, (12, 8)), (110, (13, 0)), (103, (12, 9)), (100, (12, 8)))
OLDEST = (11, 2)

ARCH = "aarch64" if platform.machine() == "aarch64" else "x86_64"


# --- the compiler -----------------------------------------------------------------------------------------------

def find_nvcc() -> List[Dict]:
    """Every nvcc that is there, in the order to try them: {"path", "root", "version", "problem"}."""
    wanted = os.environ.get("nvcc_path")
    if wanted and "nvcc_path" not in os.environ.get("JT_DFD_SET", "").split(","):
        return [look_at_nvcc(shutil.which(wanted) or wanted)]
    homes = [os.environ.get(name) for name in ("CUDA_HOME", "CUDA_PATH")]
    paths = [os.path.join(home, "bin", "nvcc") for home in homes if home]
    paths += [shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"]
    paths += sorted(glob.glob("/usr/local/cuda-*/bin/nvcc"), key=numbers, reverse=True)
    paths += ["/opt/cuda/bin/nvcc", "/usr/bin/nvcc"]
    paths += [f for wheel in wheels() for f in wheel["files"] if f.endswith("/bin/nvcc")]
    found, roots = [], set()
    for path in paths:
        if not path or not os.path.isfile(path):
            continue
        nvcc = look_at_nvcc(path)
        if (nvcc["root"] or os.path.realpath(path)) in roots:
            continue
        roots.add(nvcc["root"] or os.path.realpath(path))
        found.append(nvcc)
    return found


def look_at_nvcc(path: str) -> Dict:
    """Ask one nvcc for its version and its toolkit (a wrapper script on PATH names the real one that way)."""
    nvcc = {"path": path, "root": None, "version": None, "includes": [], "problem": ""}
    said = _say([path, "--version"])
    release = re.search(r"release (\d+)\.(\d+)", said)
    if not release:
        nvcc["problem"] = "it does not run"
        return nvcc
    nvcc["version"] = (int(release.group(1)), int(release.group(2)))
    dry = _say([path, "--dryrun", "-c", "-x", "cu", "/dev/null", "-o", "/dev/null"])
    top = re.search(r"^#\$ TOP=(.*)$", dry, re.M)
    root = os.path.realpath(top.group(1).strip()) if top else os.path.dirname(os.path.dirname(os.path.realpath(path)))
    nvcc["root"] = root
    real = os.path.join(root, "bin", "nvcc")
    nvcc["real"] = real if os.access(real, os.X_OK) else os.path.realpath(path)
    nvcc["includes"] = [os.path.realpath(d) for d in re.findall(r'"(?:-I)?(/[^"]+/include[^"]*)"', dry)]
    return nvcc


def _say(command: List[str]) -> str:
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                timeout=120)
        return answer.stdout.decode("utf8", "replace")
    except (OSError, subprocess.SubprocessError):
        return ""


def highest_compiler(nvcc: Dict, kind: str = "g++") -> Optional[int]:
    """Major version of the newest g++ (or clang) that this nvcc takes: from its own header, else from the table."""
    pattern = r"__GNUC__\s*>\s*(\d+)" if kind == "g++" else r"__clang_major__\s*>=\s*(\d+)"
    for folder in [os.path.join(nvcc["root"], "include")] + nvcc["includes"]:
        try:
            with open(os.path.join(folder, "crt", "host_config.h"), errors="replace") as f:
                limits = [int(n) for n in re.findall(pattern, f.read())]
        except OSError:
            continue
        if limits:
            return max(limits) if kind == "g++" else max(limits) - 1
    if kind == "g++":
        return next((gcc for version, gcc in _GCC if nvcc["version"] >= version), None)
    return None


def fits(nvcc: Dict) -> Callable[[Dict], bool]:
    """Whether nvcc takes a host compiler (as ``host.compilers`` lists them)."""
    def check(compiler: Dict) -> bool:
        highest = highest_compiler(nvcc, compiler["kind"])
        return highest is None or compiler["version"][0] <= highest
    return check


# --- where libraries and headers come from ----------------------------------------------------------------------

def wheels() -> List[Dict]:
    """The installed nvidia-* distributions, by their own file lists: {"name", "version", "major", "files"}."""
    from importlib import metadata

    found = []
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if not name.startswith("nvidia-"):
            continue
        files = []
        for file in distribution.files or ():
            parts = file.parts
            if "include" in parts or parts[-1] == "nvcc" or ".so" in parts[-1] or parts[-1].endswith(".a"):
                files.append(os.path.normpath(str(file.locate())))
        suffix = re.search(r"-cu(\d\d)$", name)
        folder = next((re.search(r"/nvidia/cu(\d\d)/", f) for f in files if re.search(r"/nvidia/cu(\d\d)/", f)), None)
        marked = suffix or folder
        if files and marked:
            found.append({"name": name, "version": distribution.version, "major": int(marked.group(1)), "files": files})
    return sorted(found, key=lambda w: w["name"])


def sources(nvcc: Dict) -> List[Dict]:
    """Places to take parts from, best first.

    Each is {"name", "headers": {path below include: file}, "libraries": {name: file}}.
    """
    root = nvcc["root"]
    places = [_from_folders(f"toolkit {root}", _toolkit_includes(nvcc), [
        os.path.join(root, "lib64"), os.path.join(root, "lib"), os.path.join(root, "targets", ARCH + "-linux", "lib")])]
    for wheel in wheels():
        if wheel["major"] == nvcc["version"][0]:
            places.append(_from_files(f"{wheel['name']} {wheel['version']}", wheel["files"]))
    system = [f"/usr/lib/{ARCH}-linux-gnu", "/usr/lib64", "/usr/lib"]
    headers = ["/usr/include", f"/usr/include/{ARCH}-linux-gnu"]
    places.append(_from_folders("system folders", headers, system, only_ours=True))
    return places


def _toolkit_includes(nvcc: Dict) -> List[str]:
    root = nvcc["root"]
    folders = [os.path.join(root, "include"), os.path.join(root, "targets", ARCH + "-linux", "include")]
    # the compiler finds the system's own folders by itself; all of them in the view would shuffle their order
    folders = [f for f in folders + nvcc["includes"] if not f.startswith("/usr/include")]
    # CUDA 13 keeps CUB, Thrust and libcu++ one level down
    folders += [os.path.join(f, "cccl") for f in folders]
    return list(dict.fromkeys(f for f in folders if os.path.isdir(f)))


#: names that may be taken out of a folder full of other things
_OURS = re.compile(r"^(lib)?(cuda|cudart|cublas|cudnn|curand|cufft|cusparse|nccl|nvrtc|nvJitLink|npp)[\w.\-]*$")


def _from_folders(name: str, includes: List[str], libraries: List[str], only_ours: bool = False) -> Dict:
    place = {"name": name, "headers": {}, "libraries": {}}
    for folder in includes:
        for entry in _entries(folder):
            if not only_ours or (_OURS.match(entry) and entry.endswith(".h")):
                place["headers"].setdefault(entry, os.path.join(folder, entry))
    for folder in libraries:
        for entry in _entries(folder):
            if re.match(r"lib.*\.(so(\.[\d.]+)?|a)$", entry) and (not only_ours or _OURS.match(entry)):
                place["libraries"].setdefault(entry, os.path.join(folder, entry))
    return place


def _from_files(name: str, files: List[str]) -> Dict:
    place = {"name": name, "headers": {}, "libraries": {}}
    for file in files:
        if not os.path.isfile(file):
            continue
        if "/include/" in file:
            base, _, below = file.rpartition("/include/")
            if below.startswith("cccl/"):
                base, below = base + "/include/cccl", below[5:]
                top = below.split("/")[0]
                place["headers"].setdefault(top, base + "/" + top)
                continue
            top = below.split("/")[0]
            place["headers"].setdefault(top, base + "/include/" + top)
        elif ".so" in file or file.endswith(".a"):
            place["libraries"].setdefault(os.path.basename(file), file)
    return place


def _entries(folder: str) -> List[str]:
    try:
        return sorted(e for e in os.listdir(folder) if not e.startswith("__") and e != "cccl")
    except OSError:
        return []


def has_header(place: Dict, header: str) -> bool:
    top, _, below = header.partition("/")
    path = place["headers"].get(top)
    return path is not None and os.path.exists(os.path.join(path, below) if below else path)


def has_library(place: Dict, stem: str) -> bool:
    return any(name.split(".so")[0] == stem and ".so" in name for name in place["libraries"])


def choose_parts(nvcc: Dict, places: List[Dict]) -> Tuple[Dict[str, Dict], List[str]]:
    """({part: {"header": place, "library": place}}, parts that are missing).  A place that has both goes first."""
    chosen, missing = {}, []
    for part, (header, stem, needed) in PARTS.items():
        with_header = [p for p in places if has_header(p, header)]
        with_library = [p for p in places if stem and has_library(p, stem)]
        both = [p for p in with_header if stem is None or p in with_library]
        if both:
            chosen[part] = {"header": both[0], "library": both[0] if stem else None}
        elif with_header and with_library:
            chosen[part] = {"header": with_header[0], "library": with_library[0]}
        elif needed:
            missing.append(part)
    if os.environ.get("conv_opt", "0") not in ("", "0"):   # the user's own choice to do without them
        missing = [part for part in missing if part not in ("cudnn", "cufft", "cusparse")]
    return chosen, missing


def cudnn_version(place: Dict) -> Optional[Tuple[int, ...]]:
    for name in ("cudnn_version.h", "cudnn.h"):
        path = place["headers"].get(name)
        try:
            with open(path or "", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        found = [re.findall(rf"^#define CUDNN_{word}\s+(\d+)", text, re.M) for word in ("MAJOR", "MINOR", "PATCHLEVEL")]
        if all(found):
            return tuple(int(numbers[0]) for numbers in found)
    return None


# --- the verdict ------------------------------------------------------------------------------------------------

def judge(nvcc: Dict, gpu: Dict, there: List[Dict]) -> Dict:
    """What this nvcc is good for: {"nvcc", "parts", "compiler", "cudnn", "problems"}.

    gpu: as ``gpu.ask`` answers; there: the host compilers, as ``host.compilers`` lists them.
    """
    verdict = {"nvcc": nvcc, "parts": {}, "places": [], "compiler": None, "cudnn": None, "problems": []}
    problems = verdict["problems"]
    if nvcc["problem"]:
        problems.append(finding(f"{nvcc['path']}: {nvcc['problem']}", "install a CUDA toolkit, or take it off PATH"))
        return verdict
    version, words = nvcc["version"], "%d.%d" % nvcc["version"]
    driver = tuple(gpu["driver"] or (99, 0))
    if version < OLDEST:
        problems.append(finding(f"{nvcc['path']} is CUDA {words}; 11.2 is the oldest that works", advice(gpu)))
    if version[0] > driver[0]:
        problems.append(finding(f"{nvcc['path']} is CUDA {words}, and the GPU's driver takes CUDA {driver[0]} at most",
                                advice(gpu)))
    lowest = _LOWEST.get(version[0], 75)
    for device in gpu["devices"]:
        name = f"{device['name']} (compute capability {device['capability'] / 10:.1f})"
        if device["capability"] < lowest:
            problems.append(finding(f"{name} is older than CUDA {words} compiles for", advice(gpu)))
        elif version < first_version(device["capability"]):
            problems.append(finding(f"{name} is newer than CUDA {words} knows", advice(gpu)))
    verdict["places"] = places = sources(nvcc)
    verdict["parts"], missing = choose_parts(nvcc, places)
    if missing:
        problems.append(finding(f"CUDA {words} at {nvcc['root']} lacks " + ", ".join(missing) + " (library or headers)",
                                wheel_command(missing, version)))
    if "cudnn" in verdict["parts"]:
        verdict["cudnn"] = cudnn_version(verdict["parts"]["cudnn"]["header"])
        if verdict["cudnn"] and verdict["cudnn"][0] not in (8, 9):
            problems.append(finding("cuDNN %d.%d.%d; 8 and 9 work" % verdict["cudnn"],
                                    wheel_command(["cudnn"], version)))
    problems += _judge_compiler(nvcc, there, verdict)
    return verdict


def _judge_compiler(nvcc: Dict, there: List[Dict], verdict: Dict) -> List[Dict[str, str]]:
    fitting = [c for c in there if fits(nvcc)(c)]
    if fitting:
        verdict["compiler"] = fitting[0]
        return []
    if not there:
        return []   # said already, for the CPU build too
    highest = highest_compiler(nvcc)
    names = ", ".join(f"{c['path']} {c['version'][0]}" for c in there)
    return [finding("CUDA %d.%d takes g++ up to %s, and there is " % (nvcc["version"] + (highest,)) + names,
                    package_command(["gcc-n"], n=highest))]


def wheel_command(parts: List[str], version: Tuple[int, int]) -> str:
    """The pip command for missing parts; from PyPI, in this CUDA's versions."""
    major = version[0]
    names = []
    for part in parts:
        if part == "cub" and major < 13:
            continue   # no wheel carries it for these; it belongs to every system toolkit
        for name in _WHEELS[part].split():
            if "{major}" in name:
                names.append(name.format(major=major))
            elif major >= 13:
                exact = name in ("nvidia-cuda-runtime", "nvidia-cublas", "nvidia-nvjitlink", "nvidia-cuda-cccl")
                names.append(f"{name}=={version[0]}.{version[1]}.*" if exact else name)
            else:
                names.append(f"{name}-cu{major}")
    if not names:
        return f"install the whole CUDA {version[0]}.{version[1]} toolkit"
    return f"{sys.executable} -m pip install " + " ".join(names)


def first_version(capability: int) -> Tuple[int, int]:
    """The oldest CUDA that serves a GPU of this compute capability (90 for 9.0)."""
    return next((version for first, version in _FIRST if capability >= first), OLDEST)


def advice(gpu: Dict) -> str:
    """What to install for these GPUs and their driver (as ``gpu.ask`` answers): a CUDA that knows them all."""
    devices = sorted(gpu["devices"], key=lambda d: d["capability"])
    driver = tuple(gpu["driver"] or (99, 0))
    oldest, newest = devices[0], max(devices, key=lambda d: first_version(d["capability"]))
    first = first_version(newest["capability"])
    last = max((major for major, lowest in _LOWEST.items() if lowest <= oldest["capability"]), default=0)
    if last < first[0]:
        if len(devices) > 1 and last:
            return f"no CUDA knows both {oldest['name']} and {newest['name']}: let CUDA_VISIBLE_DEVICES name one"
        return f"{oldest['name']} is older than any CUDA that works here: use device \"cpu\""
    if driver < first:
        return f"install a newer driver: {newest['name']} needs CUDA %d.%d, and this one takes %d.%d" % (first + driver)
    major = min(last, driver[0])
    if major >= 13:
        return (f"{sys.executable} -m pip install nvidia-cuda-nvcc==13.0.* nvidia-nvvm==13.0.* nvidia-cuda-crt==13.0.* "
                "nvidia-cuda-cccl==13.0.* nvidia-cuda-runtime==13.0.* nvidia-cublas==13.0.* nvidia-nvjitlink==13.0.* "
                "nvidia-cufft nvidia-curand nvidia-cusparse nvidia-cudnn-cu13")
    if first > OLDEST:   # what distributions carry is older
        return f"install NVIDIA's own CUDA {major} toolkit, %d.%d or newer" % first
    return f"install a CUDA {major} toolkit (Debian, Ubuntu:  apt-get install -y nvidia-cuda-toolkit)"


def no_compiler(gpu: Dict) -> Dict[str, str]:
    """The finding for a GPU without any nvcc."""
    return finding("there is a GPU, but no CUDA compiler (nvcc)", advice(gpu))
