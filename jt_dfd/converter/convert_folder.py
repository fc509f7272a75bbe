"""Conversion of a whole folder: one network after the other, all of them or none.

Everything is written to a folder beside the destination, which takes its place at the very end.
"""
from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import List, Optional

from ..checkpoints import CheckpointError, Folder, formats, new_folder, open_folder
from ..checkpoints.folder import NOTICES, Member
from ..checkpoints.recognise import Layout
from ..checkpoints.torch_file import import_torch
from .convert import Done, convert_bank, convert_network
from .sides import Jittor

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
    folder = open_folder(source, sizes_from_files=True)
    members, missing = folder.members(), folder.missing()
    if destination.suffix.lower() in (*formats.SUFFIXES, ".bin"):
        raise CheckpointError(f"{destination}: is named like a file, and {source} is a folder, which becomes a folder")
    if missing and not partial:
        raise CheckpointError(f"{source}: {len(missing)} files are missing: {', '.join(missing[:4])}"
                              f"{' and more' if len(missing) > 4 else ''}. Fetch them, or convert what is there "
                              "with --partial.")
    if to == "jittor":
        suffix = ".pkl"
    elif suffix not in formats.TORCH_SUFFIXES:
        raise CheckpointError(f"format {suffix!r}: expected one of {', '.join(formats.TORCH_SUFFIXES)}")
    elif suffix != ".safetensors":
        import_torch(destination)
    _check_apart(source, destination)
    dones: List[Done] = []
    total = sum(member.path.stat().st_size for member in members)
    with ExitStack() as stack:
        made = stack.enter_context(new_folder(destination, folder.config, suffix, force))
        jittor = stack.enter_context(Jittor()) if verify else None
        bank_types = set()
        position = 0
        for member in members:
            if progress:
                progress(member.place, position, total)
            position += member.path.stat().st_size
            dones.append(_convert_member(folder, member, made, to, dtype, jittor, bank_types))
        if progress:
            progress("config.json", total, total)
        _copy_notices(folder, made.path)
        made.write_config(folder.meta.get("provenance"), "float16" if bank_types == {2} else "float32")
    return dones


def _convert_member(folder: Folder, member: Member, made: Folder, to: str, dtype: Optional[str],
                    jittor: Optional[Jittor], bank_types: set) -> Done:
    folder.check_sum(member.path)
    target = made.target(member.kind, member.component, member.gender)
    if member.kind != "bank":
        layout = Layout(member.kind, member.component, folder.config)
        return convert_network(member.path, target, to, dtype, jittor, None, layout)
    done = convert_bank(member.path, target, dtype, folder.config.latent, folder.bank_dtype)
    if to == "jittor":
        bank_types.add(target.stat().st_size // done.numbers)
        if len(bank_types) > 1:
            raise CheckpointError(f"{member.path}: its element type differs from the banks before; a folder's banks "
                                  "have one type: convert with --dtype")
    return done


def _copy_notices(folder: Folder, staging: Path) -> None:
    for pattern in NOTICES:
        for file in sorted(folder.path.glob(pattern)):
            if file.is_file() and file.stat().st_size <= _LONGEST_NOTICE:
                shutil.copyfile(str(file), str(staging / file.name))


def _check_apart(source: Path, destination: Path) -> None:
    """CheckpointError where one folder lies within the other."""
    here, there = source.resolve(), destination.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise CheckpointError(f"{destination}: lies within {source} or the other way round; name a folder beside it")
