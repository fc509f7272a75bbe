"""Conversion of one file: read, recognise, check, write beside its place, prove, rename; of a whole folder, one network
after the other, into a folder beside the destination, which takes its place at the very end; and of a folder to one
ONNX model.

Whatever goes wrong, the destination is as it was before.
"""
from __future__ import annotations

import os
import shutil
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..atomic import replace_file, scratch_beside
from ..checkpoints import CheckpointError, Folder, formats, new_folder, open_folder, write_bank
from ..checkpoints.arrays import rounded
from ..checkpoints.folder import NOTICES, Member, bank_format, read_rows
from ..checkpoints.recognise import BANK, Layout, recognise
from ..checkpoints.torch_file import MissingPyTorch, import_torch
from ..pictures import to_pixels
from .sides import Jittor, Saved, Unavailable, check_torch, torch_outputs
from .verify import NETWORKS, Finding, agreement, difference_or_refuse, fingerprints, reload, same_bits

#: element types that are not kept: no network here computes with more than float32
_KEPT = {np.dtype("float64"): "float32"}
_UNROUNDED = "convert without --dtype"


class Done(NamedTuple):
    """layout of the file, how many numbers it holds, notes for people; proof: the worst layer's relative difference,
    or None where the networks were not run, ``unproven`` saying why."""

    layout: Layout
    numbers: int
    notes: List[str]
    proof: Optional[float]
    unproven: str = ""


def check_direction(to: str, destination) -> str:
    """The destination's suffix.  CheckpointError unless it belongs to ``to``, "torch" or "jittor"."""
    ending = Path(destination).suffix.lower()
    allowed = formats.TORCH_SUFFIXES if to == "torch" else formats.JITTOR_SUFFIXES + (".bin",)
    if ending not in allowed:
        command = "to-jittor" if to == "torch" and ending in formats.JITTOR_SUFFIXES + (".bin",) else "to-torch"
        hint = f" ({command} writes those)" if ending in formats.SUFFIXES + (".bin",) else ""
        raise CheckpointError(f"{destination}: to-{to} writes {', '.join(allowed)}, not "
                              f"{ending or 'a name without suffix'}{hint}")
    return ending


def check_free(destination, force: bool) -> None:
    """CheckpointError unless a file may be written there, over the one that is there only with ``force``."""
    path = Path(destination)
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder; name a file")
    if os.path.lexists(path) and not force:
        raise CheckpointError(f"{path}: is there already; --force overwrites it")
    if not path.parent.is_dir():
        raise CheckpointError(f"{path.parent}: no such folder; make it first")


def convert_file(source, destination, to: str, dtype: Optional[str] = None, force: bool = False, verify: bool = True,
                 key: Optional[str] = None, latent: Optional[int] = None) -> Done:
    """One file of weights, or one feature bank, into the format of ``destination``'s suffix.

    to        "torch" or "jittor"
    dtype     "float16" or "float32"; None keeps each array's own
    key       which entry to take of a checkpoint that holds several networks
    latent    numbers a row of a ``.bin`` bank; if not given as the folder's config.json says, or 512 (release)

    CheckpointError says what is wrong; nothing is written then.
    """
    source, destination = Path(source), Path(destination)
    if not os.path.lexists(source):
        raise CheckpointError(f"{source}: missing: no such file or folder")
    ending = check_direction(to, destination)
    check_free(destination, force)
    if _same_file(source, destination):
        raise CheckpointError(f"{destination}: is the source itself")
    if ending == ".bin":
        if dtype == "float16":
            raise CheckpointError(f"{destination}: a .bin by itself is read as float32; only a whole folder, whose "
                                  "config.json says so, has banks of float16")
        dtype = "float32"
    try:
        with scratch_beside(destination) as scratch, Jittor() as jittor:
            temporary = scratch / ("new" + ending)
            if formats.is_rows(source) or ending == ".bin":
                done = convert_bank(source, temporary, dtype, *bank_format(source, latent))
            else:
                done = convert_network(source, temporary, to, dtype, jittor if verify else None, key)
            replace_file(temporary, destination)
    except OSError as error:
        raise CheckpointError(f"{destination}: cannot be written ({error.strerror or error})") from None
    return done


def _same_file(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def convert_network(source: Path, target: Path, to: str, dtype: Optional[str], jittor: Optional[Jittor],
                    key: Optional[str] = None, expected: Optional[Layout] = None) -> Done:
    """Read ``source``, write ``target``, prove it.  jittor: None converts without proof."""
    if to == "torch" and target.suffix != ".safetensors":
        import_torch(target)  # before any work is done
    layout = expected or _read(source, key, None)[0]
    unproven, reference = "not asked for" if jittor is None else "", None
    # Jittor goes first and alone, so that the two frameworks' copies of a large network are not in memory together
    if jittor is not None and layout.kind in NETWORKS:
        try:
            check_torch()
            reference = jittor.outputs(layout, source, True, key, dtype)
        except Unavailable as why:
            unproven = str(why)
    layout, arrays, notes = _read(source, key, expected)
    if dtype is None and any(array.dtype == np.float64 for array in arrays.values()):
        notes = notes + ["rounded float64 to float32, which the networks compute with"]
    for name in list(arrays):
        arrays[name] = rounded(arrays[name], dtype or _KEPT.get(arrays[name].dtype.newbyteorder("=")),
                               f"{source}: {name}", _UNROUNDED)
    numbers = sum(array.size for array in arrays.values())
    proof: Any = None
    if reference is not None:
        proof = difference_or_refuse(_in_torch(reference, layout, arrays), source, "after cross-loading")
    marks = fingerprints(arrays) if jittor is not None else None
    formats.write(target, arrays)
    del arrays
    if marks is not None and jittor is not None:
        saved = reload(target, layout)
        same_bits(marks, saved, target)
        if reference is not None and to == "torch":
            again = _in_torch(reference, layout, saved)
        elif reference is not None:
            del saved
            again = agreement(jittor.outputs(layout, target, True), lambda given: reference)
        if reference is not None:
            proof = max(proof, difference_or_refuse(again, source, "after saving and loading again"))
            reference.discard()
    return Done(layout, numbers, notes, proof, unproven)


def _in_torch(reference: Saved, layout: Layout, arrays: Dict[str, np.ndarray]) -> Finding:
    return agreement(reference, lambda given: torch_outputs(layout, arrays, True, given))


def _read(source: Path, key: Optional[str], expected: Optional[Layout]) -> Tuple[Layout, Dict, List[str]]:
    return recognise(formats.read_any(source), source, key, expected)


def convert_bank(source: Path, target: Path, dtype: Optional[str], latent: Optional[int], stored: str) -> Done:
    """A feature bank from or to raw rows.  latent, stored: as for ``read_rows``."""
    rows = rounded(read_rows(source, latent, stored, as_stored=True), dtype, f"{source}: the bank", _UNROUNDED)
    if target.suffix.lower() == ".bin":
        if rows.dtype not in (np.dtype("float16"), np.dtype("float32")):
            raise CheckpointError(f"{source}: a bank of {rows.dtype}; --dtype float32 writes one that can be read")
        write_bank(target, rows, str(rows.dtype.newbyteorder("=")))
        back = np.fromfile(target, rows.dtype.newbyteorder("<")).reshape(rows.shape)
    else:
        formats.write(target, {BANK: rows})
        back = reload(target, Layout("bank"))[BANK]
    same_bits(fingerprints({BANK: rows}), {BANK: back}, target)
    return Done(Layout("bank"), rows.size, [], None, "a bank is not run")


_MAX_NOTICE = 1 << 20


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
            if file.is_file() and file.stat().st_size <= _MAX_NOTICE:
                shutil.copyfile(str(file), str(staging / file.name))


def _check_apart(source: Path, destination: Path) -> None:
    """CheckpointError where one folder lies within the other."""
    here, there = source.resolve(), destination.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise CheckpointError(f"{destination}: lies within {source} or the other way round; name a folder beside it")


#: ONNX opset: the first with everything used here is 17; any runtime since 2022 reads it (ours)
OPSET = 17
#: largest difference of a grey level between PyTorch's face and ONNX Runtime's
GREY_LEVELS = 1


def export_onnx(source, destination, force: bool = False, verify: bool = True) -> Optional[int]:
    """Export a folder of weights (as ``load_pretrained`` reads it) to ``destination``, an ``.onnx`` file: sketch to
    face, following the drawing (refine 0), wherever ONNX runs.

    input "sketch"  (1, 1, canvas, canvas) float32 in [-1, 1], black strokes on white: (x - 127.5) / 127.5
    output "face"   (1, 3, canvas, canvas) float32 in [-1, 1], RGB: clip((y + 1) / 2 * 255), truncated

    Weights above 2 GB in all, ONNX's bound for one file, go to a ``.onnx.data`` file beside it.
    Returns the largest difference in grey levels between PyTorch's and ONNX Runtime's face on a seeded sketch, None
    without verification or where onnxruntime is not installed.  CheckpointError where it is above GREY_LEVELS, and for
    anything missing; nothing is written then.
    """
    destination = Path(destination)
    if destination.suffix.lower() != ".onnx":
        raise CheckpointError(f"{destination}: an ONNX model's name ends in .onnx")
    check_free(destination, force)
    torch = import_torch(destination)
    try:
        import onnx
    except ImportError:
        raise MissingPyTorch(f"{destination}: the export needs the package onnx. Install the extra: "
                             "pip install 'jt_dfd[torch]'") from None
    from .torch_modules import load_pretrained

    pipeline = load_pretrained(source, image_decoders=False)
    sketch = example_sketch(pipeline.config.canvas)
    with scratch_beside(destination) as folder:
        temporary = folder / destination.name
        model = pipeline.face_from_sketch
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own workings; the result is checked below
            torch.onnx.export(model, (torch.from_numpy(sketch),), str(temporary), input_names=["sketch"],
                              output_names=["face"], opset_version=OPSET, **_exporter(torch))
            expected = model(torch.from_numpy(sketch)).numpy()
        del model, pipeline
        onnx.checker.check_model(str(temporary))
        difference = _difference(temporary, sketch, expected) if verify else None
        if difference is not None and difference > GREY_LEVELS:
            raise CheckpointError(f"{destination}: ONNX Runtime's face differs by {difference} grey levels from "
                                  f"PyTorch's; at most {GREY_LEVELS} is accepted. Nothing was written.")
        for file in sorted(folder.iterdir(), key=lambda file: file.suffix == ".onnx"):  # the model itself last
            replace_file(file, destination.parent / file.name)
        return difference


def example_sketch(canvas: int) -> np.ndarray:
    """(1, 1, canvas, canvas) float32 in [-1, 1]: a few black strokes on white, the same every time."""
    random, page = np.random.default_rng(0), np.ones((1, 1, canvas, canvas), np.float32)
    for _ in range(40):
        x, y = random.integers(0, canvas - canvas // 8, 2)
        length = random.integers(canvas // 16, canvas // 8)
        if random.random() < 0.5:
            page[..., y:y + 2, x:x + length] = -1
        else:
            page[..., y:y + length, x:x + 2] = -1
    return page


def _exporter(torch) -> dict:
    """PyTorch's older exporter by name where it has to be asked for: it needs no further packages."""
    import inspect

    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


def _difference(path: Path, sketch: np.ndarray, expected: np.ndarray) -> Optional[int]:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    face, = session.run(None, {"sketch": sketch})
    return int(np.abs(to_pixels(face).astype(int) - to_pixels(expected)).max())
