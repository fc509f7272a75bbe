"""Conversion of a whole folder: one network after the other, all of them or none.

Everything is written to a folder beside the destination, which takes its place at the very end.
"""
from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from .. import config as configuration
from ..checkpoints import CheckpointError, write_config
from ..checkpoints.folder import sha256
from . import formats
from .convert import Done, convert_bank, convert_network
from .folders import CONFIG_FILE, Member, SourceFolder
from .recognise import Layout
from .sides import Jittor
from ..checkpoints.torch_file import import_torch

#: notices that go along with the weights they are about
_NOTICES = ("LICENSE*", "NOTICE*", "README*")
_LONGEST_NOTICE = 1 << 20


def convert_folder(source, destination, to: str, suffix: str = ".pth", dtype: Optional[str] = None,
                   force: bool = False, verify: bool = True, partial: bool = False, progress=None) -> List[Done]:
    """A folder in the release's layout, with or without config.json, to PyTorch or back to Jittor.

    to        "torch" or "jittor"
    suffix    of the networks written: ".pth", ".pt" or ".safetensors"; to Jittor always ".pkl" with ".bin" banks
    partial   convert what is there where networks or banks are missing
    progress  called with (text, bytes done, bytes in all) before each file and once at the end

    CheckpointError names the file and the cause; the destination is untouched then, and after Ctrl-C.
    """
    source, destination = Path(source), Path(destination)
    folder = SourceFolder(source)
    if destination.suffix.lower() in (*formats.SUFFIXES, ".bin"):
        raise CheckpointError(f"{destination}: is named like a file, and {source} is a folder, which becomes a folder")
    if folder.missing and not partial:
        raise CheckpointError(f"{source}: {len(folder.missing)} files are missing: {', '.join(folder.missing[:4])}"
                              f"{' and more' if len(folder.missing) > 4 else ''}. Fetch them, or convert what is there "
                              "with --partial.")
    if to == "jittor":
        suffix = ".pkl"
    elif suffix not in formats.TORCH_SUFFIXES:
        raise CheckpointError(f"format {suffix!r}: expected one of {', '.join(formats.TORCH_SUFFIXES)}")
    elif suffix != ".safetensors":
        import_torch(destination)
    check_free_folder(source, destination, force)
    dones: List[Done] = []
    total = sum(member.path.stat().st_size for member in folder.members)
    with ExitStack() as stack:
        staging = stack.enter_context(staged(destination))
        jittor = stack.enter_context(Jittor()) if verify else None
        bank_types = set()
        position = 0
        for member in folder.members:
            if progress:
                progress(member.stem, position, total)
            position += member.path.stat().st_size
            dones.append(_convert_member(folder, member, staging, to, suffix, dtype, jittor, bank_types))
        if progress:
            progress("config.json", total, total)
        _finish(folder, staging, suffix, bank_types)
    return dones


def _convert_member(folder: SourceFolder, member: Member, staging: Path, to: str, suffix: str, dtype: Optional[str],
                    jittor: Optional[Jittor], bank_types: set) -> Done:
    promised = folder.checksum(member)
    if promised is not None and sha256(member.path) != promised:
        raise CheckpointError(f"{member.path}: its sha256 is not the one in {folder.path / CONFIG_FILE}: the file was "
                              "changed or damaged. Fetch it again.")
    bank = member.kind == "bank"
    target = staging / (member.stem + (".bin" if bank and to == "jittor" else suffix))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not bank:
        layout = Layout(member.kind, member.component, folder.config)
        return convert_network(member.path, target, to, dtype, jittor, None, layout)
    done = convert_bank(member.path, target, dtype, folder.config.latent, folder.bank_dtype)
    if to == "jittor":
        bank_types.add(target.stat().st_size // done.numbers)
        if len(bank_types) > 1:
            raise CheckpointError(f"{member.path}: its element type differs from the banks before; a folder's banks "
                                  "have one type: convert with --dtype")
    return done


def _finish(folder: SourceFolder, staging: Path, suffix: str, bank_types: set) -> None:
    for pattern in _NOTICES:
        for file in sorted(folder.path.glob(pattern)):
            if file.is_file() and file.stat().st_size <= _LONGEST_NOTICE:
                shutil.copyfile(str(file), str(staging / file.name))
    provenance = folder.meta.get("provenance", {})
    if suffix == ".pkl":
        write_config(staging, folder.config, provenance, "float16" if bank_types == {2} else "float32")
        return
    write_torch_config(staging, folder.config, suffix, provenance)


def write_torch_config(folder: Path, config: configuration.Config, suffix: str, provenance: Dict[str, Any]) -> None:
    """Write the config.json of a folder for PyTorch whose files, ending in ``suffix``, are in place."""
    files: Dict[str, Any] = {}
    for file in sorted(folder.rglob("*" + suffix)):
        files[file.relative_to(folder).as_posix()] = {"sha256": sha256(file), "bytes": file.stat().st_size}
    text = configuration.dump(config, framework="torch", suffix=suffix, files=files, provenance=provenance)
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")


def check_free_folder(source: Path, destination: Path, force: bool) -> None:
    """CheckpointError unless ``destination`` may be written, and with --force replaced: only a folder of weights is."""
    here, there = source.resolve(), destination.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise CheckpointError(f"{destination}: lies within {source} or the other way round; name a folder beside it")
    check_free_place(destination, force)


def check_free_place(destination: Path, force: bool) -> None:
    """CheckpointError unless a folder of weights may be written to ``destination``."""
    if not destination.parent.is_dir():
        raise CheckpointError(f"{destination.parent}: no such folder; make it first")
    if not os.path.lexists(destination):
        return
    if not destination.is_dir() or destination.is_symlink():
        raise CheckpointError(f"{destination}: is there already and is no folder")
    if not any(destination.iterdir()):
        return
    if not force:
        raise CheckpointError(f"{destination}: is there already; --force replaces the whole folder")
    foreign = [entry.name for entry in destination.iterdir()
               if entry.name not in ("AE_whole", "Combine", CONFIG_FILE)
               and not any(entry.match(pattern) for pattern in _NOTICES)]
    if foreign:
        raise CheckpointError(f"{destination}: --force replaces a folder of weights, and this one holds something "
                              f"else: {', '.join(sorted(foreign)[:4])}")


@contextmanager
def staged(destination: Path) -> Iterator[Path]:
    """A folder beside ``destination`` that takes its place at the end, or is removed on any error."""
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{destination.name[:80]}.", suffix=".part",
                                        dir=str(destination.parent)))
    except OSError as error:
        raise CheckpointError(f"{destination}: cannot be written ({error.strerror or error})") from None
    try:
        yield staging
        os.chmod(staging, 0o777 & ~_umask())
        _replace(staging, destination)
    except OSError as error:
        where = error.filename or destination
        raise CheckpointError(f"{where}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(str(staging), ignore_errors=True)


def _replace(staging: Path, destination: Path) -> None:
    if not destination.exists():
        os.rename(staging, destination)
        return
    old = staging.with_suffix(".old")
    os.rename(destination, old)
    try:
        os.rename(staging, destination)
    except OSError:
        os.rename(old, destination)
        raise
    shutil.rmtree(str(old), ignore_errors=True)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
