"""The authors' own weights: fetched from where they host them, or unpacked from archives already at hand.

Nothing is fetched unless asked for.  An archive is read member by member: only the files of the release's layout come
out of it, whatever else it names.
"""
from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional

from ..atomic import scratch_beside
from ..components import COMPONENTS
from ..errors import UserError
from ..layout import KINDS
from .arrays import CheckpointError
from .folder import GENDERS, bank_path, network_path, open_folder

#: archives and where the authors' install script takes them from
ARCHIVES: Dict[str, str] = {
    "AE_whole": "https://www.dropbox.com/s/cs4895ci51h8xn3/AE_whole.zip?dl=1",
    "Combine": "https://www.dropbox.com/s/5s5c4zuq6jy0cgc/Combine.zip?dl=1",
}
_NETWORKS = [(kind, c) for c in COMPONENTS for kind in KINDS if kind != "generator"] + [("generator", "rest")]
_CHUNK = 1 << 20


class FetchError(UserError):
    """An archive that could not be had or used; the message says what to do instead."""


def expected_files(archive: str) -> List[str]:
    """Relative paths that the archive (a key of ARCHIVES) brings."""
    every = [network_path(*network) for network in _NETWORKS]
    every += [bank_path(component, gender) for component in COMPONENTS for gender in GENDERS]
    return sorted(p for p in every if p.startswith(archive + "/"))


def download(url: str, target: Path, progress: Optional[Callable[[int, int], None]] = None,
             timeout: float = 60) -> None:
    """``url`` into ``target``, continuing what an earlier, broken-off run left beside it as ``<target>.part``.

    progress(bytes so far, bytes in all or 0).  FetchError where the network does not allow it.
    """
    part = target.with_name(target.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={
        "User-Agent": "jt_dfd", **({"Range": f"bytes={start}-"} if start else {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            if start and answer.status != 206:
                start = 0  # the server begins anew
            total = int(answer.headers.get("Content-Length") or 0)
            total += start if total else 0
            with open(part, "ab" if start else "wb", buffering=0) as out:
                for block in iter(lambda: answer.read(_CHUNK), b""):
                    _write(out, block)
                    start += len(block)
                    if progress:
                        progress(start, total)
        if total and start != total:
            raise FetchError(f"{url}: the connection broke off after {start} of {total} bytes; run the same command "
                             "again to go on from there")
    except FetchError:
        raise
    except urllib.error.HTTPError as error:
        if error.code == 416:  # everything is there already
            pass
        else:
            raise FetchError(f"{url}: the server answers {error.code} {error.reason}") from None
    except http.client.IncompleteRead:
        raise FetchError(f"{url}: the connection broke off; run the same command again to go on from there") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"{url}: cannot be reached ({reason})") from None
    os.replace(part, target)


def _write(out, block: bytes) -> None:
    try:
        while block:
            block = block[out.write(block):]
    except OSError as error:
        raise FetchError(f"{out.name}: {error.strerror or error}; run the same command again to go on from there"
                         ) from None


def unpack(archive: Path, name: str, folder: Path) -> List[str]:
    """The release's files out of ``archive`` into ``folder``; all of them or none.  Returns their relative paths.

    They may lie at any depth in the archive, under the folder ``name`` or without one.  FetchError says what is wrong.
    """
    wanted = {Path(p).name: p for p in expected_files(name)}
    try:
        with zipfile.ZipFile(archive) as z:
            found = {Path(i.filename).name: i for i in z.infolist()
                     if not i.is_dir() and Path(i.filename).name in wanted}
            missing = sorted(set(wanted) - set(found))
            if missing:
                raise FetchError(f"{archive}: holds no {missing[0]}"
                                 + (f" and {len(missing) - 1} more" if missing[1:] else "")
                                 + f"; is it the authors' {name}.zip?")
            need = sum(i.file_size for i in found.values())
            if shutil.disk_usage(folder).free < need:
                raise FetchError(f"{folder}: {need >> 20} MiB are needed, {shutil.disk_usage(folder).free >> 20} are "
                                 "free")
            with scratch_beside(folder / name) as temporary:
                for leaf, info in found.items():
                    with z.open(info) as source, open(temporary / leaf, "wb") as out:
                        shutil.copyfileobj(source, out, _CHUNK)
                for leaf, relative in wanted.items():
                    (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(temporary / leaf, folder / relative)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise FetchError(f"{archive}: not a usable archive ({error}); delete it and fetch it again") from None
    return sorted(wanted.values())


def verify(folder, progress: Optional[Callable[[str], object]] = None) -> None:
    """Read every file of the release strictly, one at a time.  CheckpointError names the first that does not fit."""
    opened = open_folder(folder)
    if opened.path != Path(folder):
        raise CheckpointError(f"{folder}: holds none of the release's files")
    for kind, component in _NETWORKS:
        if progress:
            progress(network_path(kind, component))
        opened.network(kind, component)
    for component in COMPONENTS:
        for gender in GENDERS:
            opened.bank(component, gender)


def fetch(folder, archives: Iterable[Path] = (), progress=None) -> None:
    """Everything of the release into ``folder``.  ``archives`` are zips at hand; what they do not bring is downloaded.

    Archives are told apart by their names (``AE_whole*.zip``, ``Combine*.zip``)."""
    folder, archives = Path(folder), [Path(archive) for archive in archives]
    for archive in archives:
        if not archive.is_file():
            raise FetchError(f"{archive}: no such file")
        if not archive.name.startswith(tuple(ARCHIVES)):
            raise FetchError(f"{archive}: which archive is it? Call it {' or '.join(f'{n}.zip' for n in ARCHIVES)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, url in ARCHIVES.items():
        if all((folder / p).is_file() for p in expected_files(name)):
            continue
        given = [archive for archive in archives if archive.name.startswith(name)]
        if given:
            unpack(given[0], name, folder)
            continue
        target = folder / f"{name}.zip"
        if not target.is_file():
            download(url, target, progress and (lambda done, total, n=name: progress(n, done, total)))
        unpack(target, name, folder)
        target.unlink()
