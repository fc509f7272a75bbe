"""A CUDA toolkit as Jittor 1.3 expects one, put together in the user's cache out of what ``cuda_toolkit`` found.

Jittor takes ``DIR/bin/nvcc`` and looks for headers in ``DIR/include`` and libraries in ``DIR/lib64``; it was written
for CUDA up to 12.2 and cuDNN 8.  The view is such a DIR: links, a script for the compiler and a few small headers.

    bin/nvcc                   the real compiler; C++17 for CUDA 13 (its CUB needs it, Jittor asks for 14), and code for
                               the GPUs that are there where Jittor names none
    lib64/libX.so              the unversioned names that wheels leave out
    lib64/libcudnn_*_infer.so, *_train.so    the names of cuDNN 8's parts, for cuDNN 9's
    include/cuda_runtime.h     CUDA 13: gives back two fields of cudaDeviceProp
    include/cudnn.h            what convolutions compute with (float32 sums for float16, TF32 or not); cuDNN 9: stands
                               in for the recurrent-network calls that it dropped
    include/cub/cub.cuh        CUB 3: gives back seven names
    include/npp.h              the eight limits that Jittor takes from NPP, where NPP is not installed

A view is named after everything it points to, so it is never changed: when a library is replaced, another view is built
beside it, in a temporary folder that is renamed when it is complete.
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ..atomic import replacing_folder
from . import host
from .cuda_toolkit import PARTS

_HEADERS = Path(__file__).with_name("cuda_headers")
_FORMAT = 2   # raise when what is built below changes
_KEPT = 4     # views that stay in the cache; older ones are removed


def plan_view(verdict: Dict, gpu: Dict) -> Dict[str, Tuple[str, str]]:
    """Everything the view holds, without touching the disk: {path in the view: (kind, what)}, kind "link" (target),
    "text" (contents) or "script" (contents)."""
    nvcc, parts, places = verdict["nvcc"], verdict["parts"], verdict["places"]
    content: Dict[str, Tuple[str, str]] = {}
    for place in places:
        for name, path in place["headers"].items():
            owner = _owner(name)
            if owner and owner in parts and parts[owner]["header"] is not place:
                continue
            if place is places[0] and "/cccl/" in path:
                continue   # the compiler finds its own by itself
            content.setdefault("include/" + name, ("link", path))
        for name, path in place["libraries"].items():
            owner = _owner(name)
            if owner and owner in parts and parts[owner]["library"] not in (None, place):
                continue
            content.setdefault("lib64/" + name, ("link", path))
    _unversioned(content)
    _old_cudnn_names(content)
    _headers(content, verdict)
    content["bin/nvcc"] = ("script", compiler_script(nvcc, gpu))
    return content


def _owner(name: str):
    """The part that a file belongs to by its name, so that header and library come from the same place."""
    if name.startswith(("libcublasLt", "cublas")):
        return "cublas"
    base = name.split(".")[0]
    for part, (_header, stem, _) in PARTS.items():
        if part == "cudart":
            if base == "libcudart":
                return part
        elif base.startswith(part) or (stem and base.startswith(stem)):
            return part
    return None


def _unversioned(content: Dict) -> None:
    for name in sorted(content):   # libX.so.12 before libX.so.12.4: the shorter is the library's own name for itself
        found = re.match(r"(lib64/lib[\w\-]+\.so)\.[\d.]+$", name)
        if found:
            content.setdefault(found.group(1), content[name])


def _old_cudnn_names(content: Dict) -> None:
    for part in ("ops", "cnn"):
        whole = content.get(f"lib64/libcudnn_{part}.so")
        for kind in ("infer", "train"):
            if whole:
                content.setdefault(f"lib64/libcudnn_{part}_{kind}.so", whole)


def _headers(content: Dict, verdict: Dict) -> None:
    """The headers that give back what newer versions took away; each includes the real one by its full path."""
    if verdict["nvcc"]["version"] >= (13, 0) and "include/cuda_runtime.h" in content:
        _wrap(content, "include/cuda_runtime.h", "jt_dfd_device_properties.h")
    version = verdict["cudnn"]
    if version and "include/cudnn.h" in content:
        added = ["jt_dfd_cudnn_rnn.h"] if version[0] >= 9 else []
        _wrap(content, "include/cudnn.h", *added, "jt_dfd_cudnn_precision.h")
    if "cub" in verdict["parts"]:
        folder = verdict["parts"]["cub"]["header"]["headers"]["cub"]
        if _cub_version(folder) >= 300000:
            content.pop("include/cub", None)
            for entry in sorted(os.listdir(folder)):
                content["include/cub/" + entry] = ("link", os.path.join(folder, entry))
            _wrap(content, "include/cub/cub.cuh", "jt_dfd_cub.cuh")
    if "include/npp.h" not in content and not os.path.exists("/usr/include/npp.h"):
        content["include/npp.h"] = ("text", (_HEADERS / "npp.h").read_text())


def _wrap(content: Dict, name: str, *additions: str) -> None:
    real = os.path.realpath(content[name][1])
    content[name] = ("text", "#pragma once\n" + "".join(f'#include "{header}"\n' for header in (real, *additions)))
    for addition in additions:
        content[os.path.join(os.path.dirname(name), addition)] = ("text", (_HEADERS / addition).read_text())


def _cub_version(folder: str) -> int:
    try:
        with open(os.path.join(folder, "version.cuh"), errors="replace") as f:
            text = f.read()
    except OSError:
        return 0
    found = re.search(r"^#define CUB_VERSION\s+(\d+)", text, re.M)
    if found:
        return int(found.group(1))
    return 300000 if "CUB_VERSION" in text and "CCCL_MAJOR_VERSION" in text else 0   # CUB 3 derives it from CCCL's


def compiler_script(nvcc: Dict, gpu: Dict) -> str:
    """The shell script in place of nvcc."""
    ceiling = highest_capability(nvcc)
    there = sorted({device["capability"] for device in gpu["devices"]})
    known = sorted({min(c, ceiling) for c in there})
    # a GPU of a later generation than Jittor or the compiler know runs the intermediate code, if that is kept
    later = any(c // 10 > ceiling // 10 for c in there)
    code = " ".join(f"-gencode=arch=compute_{c},code=sm_{c}" for c in known)
    if later:
        code += f" -gencode=arch=compute_{ceiling},code=compute_{ceiling}"
    # CUDA 12.9 and 13 deprecate nothing that Jittor asks for but the language level of CUB 3
    language = "-std=c++17" if nvcc["version"] >= (13, 0) else ""
    return f"""#!/bin/sh
# The CUDA compiler for Jittor, written by jt_dfd.runtime: the real one with a few flags more.
more=
named=
for word in "$@"; do
  case "$word" in
    -arch=compute_*) named=yes; {'more="$more -code=${word#-arch=}"' if later else ':'} ;;
    -arch*|-gencode*|--gpu-architecture*|--generate-code*|--version|-V|--list-gpu-*) named=yes ;;
  esac
done
[ -n "$named" ] || more="{code}"
exec '{nvcc['real']}' "$@" {language} $more
"""


def highest_capability(nvcc: Dict) -> int:
    """The newest compute capability that both this compiler and Jittor 1.3 name (Jittor clamps to the same)."""
    version = nvcc["version"]
    return 80 if version < (11, 1) else 86 if version < (11, 8) else 90


# --- on disk ----------------------------------------------------------------------------------------------------

def fingerprint(content: Dict[str, Tuple[str, str]]) -> str:
    """Short name of a view: changes with its contents and with any file they point to."""
    parts: List[Any] = [_FORMAT]
    for name in sorted(content):
        kind, what = content[name]
        # the files it stands for: a link's target, what a small header includes, the compiler that the script runs
        origins = [what] if kind == "link" else re.findall(r"""(?:#include "|exec ')(/[^"']+)""", what)
        parts.append([name, kind, what, [_state(path) for path in origins]])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _state(path: str) -> list:
    real = os.path.realpath(path)
    try:
        stat = os.stat(real)
    except OSError:
        return [real, None, None]
    return [real, stat.st_size, stat.st_mtime_ns]


def views_folder() -> Path:
    return host.cache_folder() / "cuda"


def build(content: Dict[str, Tuple[str, str]]) -> Path:
    """The folder of the view, built if it is not there or damaged.  Several processes may ask at once: one builds, the
    others wait for it."""
    place = views_folder() / fingerprint(content)
    place.parent.mkdir(parents=True, exist_ok=True)
    # whether a view is damaged can only be told while nobody else is putting one in its place
    with open(str(views_folder().with_suffix(".lock")), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete(place, content):
            os.utime(str(place))
        else:
            _write(place, content)
            _remove_old(place)
    return place


def _write(place: Path, content: Dict[str, Tuple[str, str]]) -> None:
    with replacing_folder(place) as temporary:
        for name, (kind, what) in content.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                os.symlink(os.path.realpath(what), str(path))
            else:
                path.write_text(what)
                path.chmod(0o755 if kind == "script" else 0o644)


def complete(place: Path, content: Dict[str, Tuple[str, str]]) -> bool:
    for name, (kind, what) in content.items():
        path = place / name
        if kind == "link":
            if not path.is_symlink() or not path.exists():
                return False
        else:
            try:
                if path.read_text() != what:
                    return False
            except OSError:
                return False
    return True


def _remove_old(current: Path) -> None:
    def age(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    views = [p for p in views_folder().iterdir() if p != current and not p.name.startswith(".")]
    for path in sorted(views, key=age, reverse=True)[_KEPT - 1:]:
        shutil.rmtree(str(path), ignore_errors=True)


def versions(verdict: Dict) -> Dict[str, str]:
    """For people: where each part comes from."""
    words = {}
    for part, chosen in verdict["parts"].items():
        names = [chosen[kind]["name"] for kind in ("header", "library") if chosen[kind]]
        words[part] = " + ".join(dict.fromkeys(names))
    if verdict["cudnn"]:
        words["cudnn"] = "%d.%d.%d, " % verdict["cudnn"] + words["cudnn"]
    return words


