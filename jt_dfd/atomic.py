"""Files and folders that are there whole or not at all: written beside their place, then renamed over it.

What is being written is called ``.NAME.XXXXXXXX.part`` and locked by its writer.  One that nobody holds was left behind
by a killed process; whoever writes next in that folder removes it.
"""
from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple, Union

_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.(part|old)")
#: bytes of a name that a temporary one keeps: with the rest it must stay below the 255 that a file system takes
_KEPT = 200
#: a folder is looked through again after so many times as long as that took, so that it never costs more than a percent
_PATIENCE = 100
_next_look: Dict[str, float] = {}


def write_atomically(path: Union[str, os.PathLike], write: Callable[[Path], object], mode: int = 0o666,
                     make_folders: bool = True) -> None:
    """Call ``write(temporary_path)`` beside ``path`` and rename over it: a killed process leaves the old file or
    the new one.  The temporary file is removed if ``write`` fails.

    mode           of a file that was not there yet, less the umask
    make_folders   False: OSError where the folder is not there
    """
    path = Path(path)
    if make_folders:
        path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent)
    handle, temporary = _locked(lambda: tempfile.mkstemp(prefix=_prefix(path), suffix=".part", dir=path.parent))
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else mode & ~_umask()
        write(temporary)
        os.chmod(temporary, mode)
        with open(temporary, "rb") as f:
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException as problem:
        temporary.unlink(missing_ok=True)
        if isinstance(problem, OSError) and problem.errno and not problem.filename:
            problem.filename = str(path)  # a full disk names no file
        raise
    finally:
        os.close(handle)


def write_text(path: Union[str, os.PathLike], text: str, **more) -> None:
    """``text`` as UTF-8, atomically; more as in ``write_atomically``."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), **more)


@contextmanager
def scratch_beside(destination: Union[str, os.PathLike]) -> Iterator[Path]:
    """An empty folder beside ``destination``, on the same disk, whose files can be renamed over theirs when all is
    well.  Removed at the end with whatever is still in it."""
    destination = Path(destination)
    clear_leftovers(destination.parent)

    def make():
        folder = tempfile.mkdtemp(prefix=_prefix(destination), suffix=".part", dir=destination.parent)
        return os.open(folder, os.O_RDONLY), folder

    handle, folder = _locked(make)
    try:
        yield folder
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)
        os.close(handle)


@contextmanager
def replacing_folder(destination: Union[str, os.PathLike]) -> Iterator[Path]:
    """An empty folder beside ``destination`` that takes its place at the end, or is removed on any error."""
    destination = Path(destination)
    with scratch_beside(destination) as folder:
        yield folder
        os.chmod(folder, 0o777 & ~_umask())
        if not destination.exists():
            os.rename(folder, destination)
            return
        old = folder.with_suffix(".old")
        handle, _ = _locked(lambda: (os.open(destination, os.O_RDONLY), str(destination)))
        try:
            os.rename(destination, old)
            try:
                os.rename(folder, destination)
            except OSError:
                os.rename(old, destination)
                raise
            shutil.rmtree(str(old), ignore_errors=True)
        finally:
            os.close(handle)


def replace_file(temporary: Path, destination: Path) -> None:
    """A finished file of ``scratch_beside`` takes its place."""
    with open(temporary, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, destination)


def clear_leftovers(folder: Path) -> None:
    """Remove what killed writers left in ``folder``; what a living one holds stays."""
    begun = time.monotonic()
    if begun < _next_look.get(str(folder), 0):
        return
    try:
        with os.scandir(folder) as entries:
            found = [match for match in (_LEFTOVER.fullmatch(entry.name) for entry in entries) if match]
    except OSError:
        return
    for match in found:
        _remove(folder / match.group(), folder / match.group(1))
    now = time.monotonic()
    _next_look[str(folder)] = now + _PATIENCE * (now - begun)


def _remove(leftover: Path, destination: Path) -> None:
    try:
        handle = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if leftover.suffix == ".old" and not destination.exists():
            os.rename(leftover, destination)  # killed between the two renames: the folder as it was before
        elif leftover.is_dir():
            shutil.rmtree(str(leftover), ignore_errors=True)
        else:
            leftover.unlink()
    except OSError:  # held by its writer, gone by now, or on a file system without locks
        pass
    finally:
        os.close(handle)


def _locked(make: Callable[[], Tuple[int, str]]) -> Tuple[int, Path]:
    """(open handle that holds the lock, path) of a new temporary; made again where another process took it for a
    leftover before it was locked."""
    while True:
        handle, path = make()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        except OSError:  # no locks on this file system: then nobody removes it either
            return handle, Path(path)
        if os.path.exists(path):
            return handle, Path(path)
        os.close(handle)


def _prefix(path: Path) -> str:
    return f".{os.fsencode(path.name)[:_KEPT].decode('utf-8', 'ignore')}."


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
