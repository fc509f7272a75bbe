"""Jittor for this project's processes: a copy in the user's cache, changed by ``jittor_rules``.

Jittor 1.3.11 runs neither with numpy 2 nor on Python 3.13 nor with g++ 15.  The package that is installed is never
touched, and other programs that use it do not notice: it is copied once into

    <cache>/jt_dfd/jittor/<version>-<key>/{jittor, jittor_utils, manifest.json}

and that folder comes first on ``sys.path`` of this project's processes.  The key is made of the rules and of the files
they change, so another Jittor, or other rules, get another copy.  A copy is made under a lock, whole or not at all; one
that is damaged later (a file is missing or has another size) is made again.  Where another copy is made, those that no
process used for UNUSED_DAYS go, with what was compiled from them.

Jittor need not be installed: its metadata asks for numpy below 2, which pip cannot satisfy on Python 3.13, and which
would replace the numpy 2 of the user's environment.  Where it is not, pip fetches its package from the index that pip
is configured for, into ``<environment>/share/jt_dfd`` (a virtual environment's) or into the cache:

    python -m jt_dfd.runtime          fetches it where needed and makes the copy, for later without a network

``JT_DFD_JITTOR=installed`` takes the installed package as it is, for who works on Jittor.
"""
from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ..atomic import replacing_folder
from . import host, jittor_rules
from .problems import RuntimeProblem, finding

#: the version that is fetched, and that everything was tried with
VERSION = "1.3.11.0"
_PACKAGES = ("jittor", "jittor_utils")
#: not needed to run: half of the size, and an example of oneDNN's that would be compiled with its operators
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "notebook", "*.pyc", "mkl_test_op.*",
                                   "cpu_cnn_inference_f32.cpp")
_MANIFEST = "manifest.json"
UNUSED_DAYS = 60


class Source(NamedTuple):
    """A Jittor as its authors ship it."""

    folder: Path      # holds jittor/ and jittor_utils/
    version: str


def as_installed() -> bool:
    return os.environ.get("JT_DFD_JITTOR", "") == "installed"


def copies() -> Path:
    return host.cache_folder() / "jittor"


def find_source() -> Optional[Source]:
    """The Jittor on the path that is not a copy of ours, else one that was fetched; None where there is neither."""
    ours = str(copies()) + os.sep
    path = [entry for entry in sys.path if not os.path.abspath(entry).startswith(ours)]
    spec = importlib.machinery.PathFinder.find_spec("jittor", path)
    if spec is None and "jittor" not in sys.modules:   # an editable installation is found by a finder of its own
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec("jittor")
        if spec and str(spec.origin).startswith(ours):   # a parent process has put its copy on this one's path
            spec = None
    places = [Path(spec.origin).parents[1]] if spec and spec.origin else []
    for folder in places + _fetched():
        version = _version(folder)
        if version:
            return Source(folder, version)
    return None


def _version(folder: Path) -> Optional[str]:
    try:
        text = (folder / "jittor/__init__.py").read_text(encoding="utf8")
    except OSError:
        return None
    found = re.search(r"^__version__ = ['\"]([^'\"]+)", text, re.M)
    return found.group(1) if found else None


def _fetched() -> List[Path]:
    """Where a fetched package lies or would lie, best first."""
    name = f"jittor-{VERSION}-package"
    places = [copies() / name]
    if os.environ.get("JT_DFD_CACHE"):   # what an image or a cluster was prepared with
        places.append(Path(os.environ["JT_DFD_CACHE"]) / ".cache/jt_dfd/jittor" / name)
    if sys.prefix != sys.base_prefix:   # a virtual environment: the package goes when it goes
        places.insert(0, Path(sys.prefix) / "share/jt_dfd" / name)
    return places


def check() -> List[Dict[str, str]]:
    """What is wrong with the Jittor that is here or can be had; changes nothing."""
    setting = os.environ.get("JT_DFD_JITTOR", "")
    if setting not in ("", "installed"):
        return [finding(f"JT_DFD_JITTOR={setting}: expected 'installed' or nothing", "unset JT_DFD_JITTOR")]
    source = find_source()
    if source is None:
        if as_installed() or not importlib.util.find_spec("pip"):
            return [finding("Jittor is not installed in this Python environment"
                            + ("" if as_installed() else ", and there is no pip to fetch it with"), _by_hand())]
        return []
    low, high = host.JITTOR_VERSIONS
    if not low <= host.numbers(source.version) < high:
        return [finding(f"{source.folder}: Jittor {source.version} does not fit; 1.3.11 up to 1.4 does", _by_hand())]
    try:
        texts = _texts(source)
        if not as_installed():
            if not _whole(_place(source, texts)):
                jittor_rules.apply(texts)
        elif host.numpy_version() and host.numbers(host.numpy_version()) >= (2,) and any(
                not rule.fixed(texts[rule.file]) for rule in jittor_rules.RULES if rule.name in jittor_rules.NUMPY_2):
            return [finding(f"numpy {host.numpy_version()} gives wrong numbers with Jittor {source.version} as it is "
                            "(JT_DFD_JITTOR=installed)", "unset JT_DFD_JITTOR")]
    except jittor_rules.RuleError as error:
        return [_unfit(source, error)]
    return []


def _by_hand() -> str:
    return f"{sys.executable} -m pip install --no-deps jittor=={VERSION}"


def _unfit(source: Any, error: Exception) -> Dict[str, str]:
    return finding(f"{source.folder}: {error}; this is not the Jittor {source.version} that this project changes for "
                   "today's Python, numpy and g++",
                   f"{_by_hand()}   (or, where that Jittor runs here as it is:  export JT_DFD_JITTOR=installed)")


def key() -> str:
    """What a compile depends on: "" before a Jittor is there."""
    source = find_source()
    if source is None:
        return ""
    return f"{source.version} {source.folder}" if as_installed() else _place(source, _texts(source)).name


def provide(show: Optional[Callable[[str, int, int], None]] = None) -> Optional[str]:
    """The folder that comes first on ``sys.path``, made where needed; None where Jittor is taken as it is installed.

    ``show(step, done, total)`` is told of what takes time.  RuntimeProblem where it cannot be made.
    """
    if as_installed():
        return None
    source = find_source()
    try:
        if source is not None:
            place = _place(source, _texts(source))
            if _whole(place):
                _mark_used(place)
                return str(place)
        with host.locked(copies() / "lock", show):
            source = find_source() or _fetch(show)
            texts = _texts(source)
            place = _place(source, texts)
            if not _whole(place):
                _make(source, jittor_rules.apply(texts), place)
                _remove_unused()
        return str(place)
    except jittor_rules.RuleError as error:
        raise RuntimeProblem(_unfit(source, error)) from None
    except OSError as error:
        raise RuntimeProblem(_disk(error)) from None


def activate(place: Optional[str]) -> None:
    """Let ``import jittor`` in this process find the copy."""
    if place and (not sys.path or sys.path[0] != place):
        sys.path.insert(0, place)


def _texts(source: Source) -> Dict[str, str]:
    texts = {}
    for name in jittor_rules.files():
        try:
            with open(str(source.folder / name), encoding="utf8", newline="") as f:
                texts[name] = f.read()
        except OSError:
            if not as_installed():   # of a Jittor taken as it is nothing is expected
                raise jittor_rules.RuleError(f"{name} is missing") from None
            texts[name] = ""
    return texts


def _place(source: Source, texts: Dict[str, str]) -> Path:
    rules = [[str(getattr(part, "pattern", part)) for part in rule if not callable(part)]
             for rule in jittor_rules.RULES]
    digest = hashlib.sha256(json.dumps([rules, texts], sort_keys=True).encode()).hexdigest()[:12]
    return copies() / f"{source.version}-{digest}"


def _whole(place: Path) -> bool:
    """Whether every file of the copy is there with its size."""
    try:
        sizes = json.loads((place / _MANIFEST).read_text())
        return all(os.stat(os.path.join(str(place), name)).st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _make(source: Source, changed: Dict[str, str], place: Path) -> None:
    """The package with the changed files in it.  Called with the lock held."""
    with replacing_folder(place) as folder:
        for package in _PACKAGES:
            shutil.copytree(str(source.folder / package), str(folder / package), ignore=_LEFT_OUT)
        for name, text in changed.items():
            with open(str(folder / name), "w", encoding="utf8", newline="") as f:
                f.write(text)
        sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        (folder / _MANIFEST).write_text(json.dumps(sizes))


def _mark_used(place: Path) -> None:
    """The time of a copy's manifest says when it was used last, to the day."""
    with contextlib.suppress(OSError):   # a cache that may only be read
        if time.time() - (place / _MANIFEST).stat().st_mtime > 86400:
            os.utime(str(place / _MANIFEST))


def _remove_unused() -> None:
    """Called with the lock held."""
    for manifest in copies().glob(f"*/{_MANIFEST}"):
        if time.time() - manifest.stat().st_mtime > UNUSED_DAYS * 86400:
            # as the rule "folder of the objects" names it
            objects = hashlib.md5(manifest.parent.name.encode()).hexdigest()[:8]
            for folder in [*(host.jittor_home() / ".cache/jittor").glob(f"jt*/*/*/*/*/{objects}"), manifest.parent]:
                shutil.rmtree(str(folder), ignore_errors=True)


def _disk(error: Exception) -> Dict[str, str]:
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return finding(f"the disk is full under {copies()}, where Jittor is copied to",
                       "make room there, or name another folder:  export JITTOR_HOME=FOLDER")
    return finding(f"Jittor cannot be copied to {copies()}: {error}", "name another folder:  export JITTOR_HOME=FOLDER")


def _fetch(show) -> Source:
    """Let pip put the package, and nothing of what it asks for, into a folder.  Called with the lock held."""
    if show:
        show("fetch", 0, 0)
    place = next((p for p in _fetched() if _writable(p.parent)), copies() / _fetched()[-1].name)
    with replacing_folder(place) as folder:
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", str(folder),
                   f"jittor=={VERSION}"]
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               env=dict(os.environ, PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1"))
        if child.returncode or not _version(folder):
            said = child.stdout.decode("utf8", "replace").strip().splitlines()
            why = next((line for line in reversed(said) if line.startswith("ERROR")), (said or ["no output"])[-1])
            raise RuntimeProblem(finding(f"pip could not fetch Jittor {VERSION}: {why[-300:]}", _by_hand()))
    return Source(place, _version(place) or VERSION)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(str(folder), os.W_OK)


def main(_=None) -> int:
    problems = check() + host.check_cache()
    if problems:
        raise RuntimeProblem(problems)
    from .display import STEPS

    place = provide(lambda step, done, total: print(STEPS[step], flush=True))
    print(f"Jittor: {place or 'as it is installed'}")
    return 0
