"""Proof that two files hold the same network, and that both frameworks compute the same with it.

A conversion is refused where any layer's output differs by more than 5e-5 of its scale, once with the converted
weights as they are in memory and once more with the file that was written, read back.  ``main`` is
``convert_weights.py verify A B``: two files or two folders, by values and by running them.
"""
from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

import numpy as np

from ..checkpoints import CheckpointError, formats, open_folder
from ..checkpoints.folder import bank_format, read_rows
from ..checkpoints.recognise import BANK, Layout, recognise
from ..checkpoints.torch_file import import_torch
from .sides import Jittor, Saved, Unavailable, check_torch, compare, torch_outputs

#: largest difference of a layer's output relative to its scale (as the field's converters have it)
TOLERANCE = 5e-5
NETWORKS = ("encoder", "image_decoder", "feature_decoder", "generator", "discriminator")


class Finding(NamedTuple):
    """What running a network in both frameworks showed.

    layers   (name, relative difference) of every layer; None where nothing was run, and ``why`` says the reason
    added    None, or the largest difference where rounding had added up along the network beyond TOLERANCE; ``layers``
             then are those of a second run, in which each layer began with the other framework's output
    """

    layers: Optional[List[Tuple[str, float]]]
    why: str = ""
    added: Optional[float] = None

    @property
    def worst(self) -> Tuple[str, float]:
        return max(self.layers or (), key=lambda layer: layer[1])

    @property
    def agree(self) -> bool:
        return self.worst[1] <= TOLERANCE


def agreement(reference: Saved, outputs) -> Finding:
    """reference: one run's outputs.  outputs(given): the other run, its layers beginning with the outputs ``given``.

    A deep network may magnify rounding beyond TOLERANCE though every layer does the same; so where the plain run is
    off, each layer is judged by itself.
    """
    plain = Finding(compare(reference, outputs(None)))
    if plain.agree:
        return plain
    alone = Finding(compare(reference, outputs(reference)), added=plain.worst[1])
    return alone if alone.agree else plain


def difference_or_refuse(found: Finding, source, when: str) -> float:
    """The worst layer's difference; CheckpointError where it is above TOLERANCE."""
    name, most = found.worst
    if not found.agree:
        raise CheckpointError(f"{source}: {when}, layer {name} differs by {most:.2g} of its scale between Jittor and "
                              f"PyTorch; at most {TOLERANCE:.0e} is accepted. Nothing was written.")
    return most


def reload(path, layout: Layout) -> Dict[str, np.ndarray]:
    """A written file as its users will read it: ``.pth`` by ``torch.load(weights_only=True)``."""
    if formats.suffix(path) in (".pth", ".pt"):
        torch = import_torch(path)
        try:
            state = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        except TypeError:  # PyTorch 2.0 has no mmap
            state = torch.load(str(path), map_location="cpu", weights_only=True)
        return {name: tensor.numpy() for name, tensor in state.items()}
    return recognise(formats.read_any(path), path, None, layout if layout.kind in NETWORKS else None)[1]


def same_bits(ours: Iterable, theirs: Dict[str, np.ndarray], path) -> None:
    """CheckpointError unless ``theirs`` has the (name, shape, type, digest) entries of ``fingerprints``."""
    ours, found = list(ours), fingerprints(theirs)
    for entry in ours:
        if entry not in found:
            raise CheckpointError(f"{path}: {entry[0]} came back changed after saving and loading. Nothing was "
                                  "written.")
    if len(found) != len(ours):
        raise CheckpointError(f"{path}: came back with other arrays than were saved. Nothing was written.")


def fingerprints(arrays: Dict[str, np.ndarray]) -> List[Tuple]:
    """(name, shape, type, digest of the bits) of each array: what to compare with once the arrays are gone."""
    import hashlib

    out = []
    for name, array in arrays.items():
        plain = np.require(array, array.dtype.newbyteorder("<"), ["C"])
        out.append((name, plain.shape, plain.dtype.str, hashlib.sha256(plain.reshape(-1).view(np.uint8)).hexdigest()))
    return out


def run_both(layout: Layout, a, b, jittor: Jittor, small: bool = False, key_a=None, key_b=None,
             dtype: Optional[str] = None) -> Finding:
    """Both networks on the same seeded input, one file in Jittor and the other in PyTorch: ``.pkl`` in Jittor where
    only one is.  dtype: round both networks' weights to it first."""
    if Path(a).suffix != ".pkl" and Path(b).suffix == ".pkl":
        a, b, key_a, key_b = b, a, key_b, key_a
    if layout.kind not in NETWORKS:
        return Finding(None, f"a {layout} is not run")
    try:
        check_torch()
        reference = jittor.outputs(layout, a, small, key_a, dtype)
    except Unavailable as why:
        return Finding(None, str(why))
    _, arrays, _ = recognise(formats.read_any(b), b, key_b, layout)
    if dtype is not None:
        arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    found = agreement(reference, lambda given: torch_outputs(layout, arrays, small, given))
    reference.discard()
    return found


class Comparison(NamedTuple):
    """only_a, only_b: names that the other lacks; shapes: (name, shape, shape); types: (name, type, type);
    changed: (name, largest difference) of arrays whose values differ."""

    only_a: List[str]
    only_b: List[str]
    shapes: List[Tuple]
    types: List[Tuple]
    changed: List[Tuple[str, float]]

    @property
    def same_values(self) -> bool:
        return not (self.only_a or self.only_b or self.shapes or self.changed)

    @property
    def largest(self) -> float:
        return max((difference for _, difference in self.changed), default=0.0)


def compare_values(a: Dict[str, np.ndarray], b: Dict[str, np.ndarray]) -> Comparison:
    """Names, shapes, element types and values of two sets of arrays."""
    both = [name for name in a if name in b]
    shapes = [(name, a[name].shape, b[name].shape) for name in both if a[name].shape != b[name].shape]
    types = [(name, str(a[name].dtype.newbyteorder("=")), str(b[name].dtype.newbyteorder("="))) for name in both
             if a[name].dtype.newbyteorder("=") != b[name].dtype.newbyteorder("=")]
    misshapen = {name for name, _, _ in shapes}
    changed = []
    for name in both:
        if name in misshapen or np.array_equal(a[name], b[name]):
            continue
        changed.append((name, float(np.abs(a[name].astype(np.float64) - b[name].astype(np.float64)).max())))
    return Comparison([n for n in a if n not in b], [n for n in b if n not in a], shapes, types,
                      sorted(changed, key=lambda entry: -entry[1]))


_SHOWN = 8


def main(options) -> int:
    """Prints what was found; 0 where A and B agree in everything that could be compared, else 1."""
    folders = [Path(path).is_dir() for path in (options.a, options.b)]
    if folders[0] != folders[1]:
        raise CheckpointError(f"{options.a} and {options.b}: one is a folder and the other is not")
    with Jittor() as jittor:
        if folders[0]:
            return _folders(options, jittor)
        return 0 if _files(Path(options.a), Path(options.b), options, jittor) else 1


def _files(a: Path, b: Path, options, jittor: Jittor) -> bool:
    if formats.is_rows(a) or formats.is_rows(b):
        return _say(a.name, compare_values(*(
            {BANK: read_rows(path, *bank_format(path), as_stored=True)} for path in (a, b))), options.tolerance)
    found, ours, _ = recognise(formats.read_any(a), a, options.key_a)
    other, theirs, _ = recognise(formats.read_any(b), b, options.key_b)
    compared = compare_values(ours, theirs)
    agree = _say(a.name, compared, options.tolerance)
    if (found.kind, found.sizes) != (other.kind, other.sizes):
        print(f"  not run: A is a {found}, B a {other}")
        return False
    del ours, theirs
    return (not options.run or _run(found, a, b, jittor, compared, options.key_a, options.key_b)) and agree


def _run(layout: Layout, a: Path, b: Path, jittor: Jittor, compared: Comparison, key_a=None, key_b=None) -> bool:
    if layout.kind not in NETWORKS:
        return True
    # one of the two was rounded: what rounding does to the picture is not what the frameworks do to it
    rounded = "float16" if any("float16" in types for types in compared.types) else None
    finding = run_both(layout, a, b, jittor, False, key_a, key_b, rounded)
    if finding.layers is None:
        print(f"  not run: {finding.why}")
        return True
    layer, worst = finding.worst
    added = f" (each by itself; one after the other, rounding adds up to {finding.added:.1e})" if finding.added else ""
    print(f"  {len(finding.layers)} layers run in Jittor and PyTorch: largest difference {worst:.1e} of the scale, in "
          f"{layer}" + (f" (both rounded to {rounded})" if rounded else "")
          + ("" if finding.agree else f"; more than {TOLERANCE:.0e}") + added)
    return finding.agree


def _say(name: str, found: Comparison, tolerance: float) -> bool:
    agree = not (found.only_a or found.only_b or found.shapes) and found.largest <= tolerance
    what = "identical" if found.same_values else f"largest difference of a value {found.largest:.3g}"
    print(f"{name}: {what if agree else 'DIFFERENT; ' + what}" + (f", element types differ in {len(found.types)} arrays"
                                                               if found.types else ""))
    lines = [f"only in A: {n}" for n in found.only_a] + [f"only in B: {n}" for n in found.only_b]
    lines += [f"{n}: shape {a} in A, {b} in B" for n, a, b in found.shapes]
    lines += [f"{n}: differs by up to {d:.3g}" for n, d in found.changed]
    lines += [f"{n}: {a} in A, {b} in B" for n, a, b in found.types]
    for line in lines[:_SHOWN]:
        print(f"  {line}")
    if len(lines) > _SHOWN:
        print(f"  and {len(lines) - _SHOWN} more")
    return agree


def _folders(options, jittor: Jittor) -> int:
    a, b = (open_folder(path, sizes_from_files=True) for path in (options.a, options.b))
    ours, theirs = ({member.place: member for member in folder.members()} for folder in (a, b))
    agree, problems = True, _lacking(ours, theirs)
    if a.config.to_dict() != b.config.to_dict():
        problems.append(f"sizes differ: A is of preset {a.config.preset}, B of {b.config.preset}")
    for problem in problems:
        print(problem)
    for place in (place for place in ours if place in theirs):
        one, two = ours[place], theirs[place]
        found = compare_values(a.read(one, True), b.read(two, True))
        same = _say(place, found, options.tolerance)
        if same and options.run and one.kind in NETWORKS:
            same = _run(Layout(one.kind, one.component, a.config), one.path, two.path, jittor, found)
        agree = agree and same
    agree = agree and not problems
    print("A and B agree" if agree else "A and B DIFFER")
    return 0 if agree else 1


def _lacking(ours, theirs) -> List[str]:
    return ([f"only in A: {place}" for place in ours if place not in theirs]
            + [f"only in B: {place}" for place in theirs if place not in ours])
