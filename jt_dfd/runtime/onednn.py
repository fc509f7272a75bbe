"""oneDNN for Jittor's CPU convolutions, out of the installed wheels.

Jittor looks in ``<home>/.cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp`` and downloads from its own host where that is not
complete.  The wheels ``onednn-cpu-gomp`` and ``onednn-devel-cpu-gomp`` 2022.2.1 (oneDNN 2.6) hold the same library and
headers, so links to them are put there.  A working copy that is there already is left alone.
"""
from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..atomic import scratch_beside
from .host import jittor_home

WHEELS = {"library": "onednn-cpu-gomp", "headers": "onednn-devel-cpu-gomp"}
VERSION = "2022.2.1"
FIX = f"{sys.executable} -m pip install onednn-cpu-gomp=={VERSION} onednn-devel-cpu-gomp=={VERSION}"
#: one header that every use needs, and the name Jittor links with
HEADER, LIBRARY = "dnnl.hpp", "libmkldnn.so"


def folder() -> Path:
    """The folder Jittor looks in on this machine."""
    suffix = "_aarch64" if platform.machine() == "aarch64" else ""
    return jittor_home() / ".cache" / "jittor" / "mkl" / ("dnnl_lnx_2.2.0_cpu_gomp" + suffix)


def wheel_files() -> Dict[str, Any]:
    """{"library": {name: file}, "headers": {path below include/: file}} from the installed distributions' own file
    lists; None for one that is not installed or whose files are gone."""
    from importlib import metadata

    found = {}
    for part, name in WHEELS.items():
        found[part] = None
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue
        picked = {}
        for file in files:
            parts = file.parts
            if part == "library" and parts[-1].startswith("libdnnl.so"):
                key = parts[-1]
            elif part == "headers" and "include" in parts and parts[-1].endswith((".h", ".hpp")):
                key = "/".join(parts[len(parts) - parts[::-1].index("include"):])
            else:
                continue
            # normalised as text: the lists say "../../../include/x", and a step through a link must not change it
            path = Path(os.path.normpath(str(file.locate())))
            if path.is_file():
                picked[key] = path
        found[part] = picked or None
    return found


def works(place: Path) -> bool:
    """Whether Jittor would take this folder as it is."""
    return (place / "lib" / LIBRARY).is_file() and (place / "include" / HEADER).is_file()


def look() -> Dict:
    """State without changing anything: {"state": "ready" | "wheels" | "missing", "folder", "library"}."""
    place = folder()
    if works(place):
        return {"state": "ready", "folder": str(place), "library": os.path.realpath(str(place / "lib" / LIBRARY))}
    files = wheel_files()
    library = _library(files["library"])
    if library and files["headers"] and HEADER in files["headers"]:
        return {"state": "wheels", "folder": str(place), "library": str(library)}
    return {"state": "missing", "folder": str(place), "library": None}


def provide() -> Dict:
    """Make the folder complete where the wheels are installed; what ``look`` says afterwards."""
    state = look()
    if state["state"] != "wheels":
        return state
    files = wheel_files()
    place, library = folder(), _library(files["library"])
    for name in ("libdnnl.so", "libdnnl.so.2", LIBRARY):   # the last is what Jittor tests for
        _link(library, place / "lib" / name)
    include = place / "include"
    if include.is_symlink() and not include.exists():
        include.unlink()
    for name, file in files["headers"].items():
        _link(file, include / name)
    return look()


def others() -> List[str]:
    """Folders beside ours that Jittor might pick instead (it takes the first whose name starts with dnnl) and that are
    not complete: with them it stops at an assertion."""
    place = folder()
    try:
        entries = [e for e in os.scandir(str(place.parent)) if e.name.startswith("dnnl") and e.is_dir()]
    except OSError:
        return []
    return [e.path for e in entries if e.path != str(place) and not works(Path(e.path))]


def _library(files: Optional[Dict[str, Path]]) -> Any:
    if not files:
        return None
    return files.get("libdnnl.so.2") or files[max(files, key=len)]


def _link(target: Path, name: Path) -> None:
    """A link at ``name`` unless something that works is there; a dangling one is replaced in one step."""
    if name.exists():
        return
    name.parent.mkdir(parents=True, exist_ok=True)
    with scratch_beside(name) as folder:
        os.symlink(str(target), str(folder / "link"))
        os.replace(str(folder / "link"), str(name))
