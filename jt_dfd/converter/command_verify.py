"""``convert_weights.py verify A B``: two files or two folders, by values and by running them."""
from __future__ import annotations

from pathlib import Path
from typing import List

from ..checkpoints import CheckpointError, formats, open_folder
from ..checkpoints.folder import bank_format, read_rows
from ..checkpoints.recognise import BANK, Layout, recognise
from .sides import Jittor
from .verify import NETWORKS, TOLERANCE, Comparison, compare_values, run_both

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


def _files(a: Path, b: Path, options, jittor: Jittor, layout=None) -> bool:
    if formats.is_rows(a) or formats.is_rows(b):
        return _say(a.name, compare_values(*({BANK: _rows(path)} for path in (a, b))), options.tolerance)
    found, ours, _ = recognise(formats.read_any(a), a, options.key_a, layout)
    other, theirs, _ = recognise(formats.read_any(b), b, options.key_b, layout)
    compared = compare_values(ours, theirs)
    agree = _say(a.name, compared, options.tolerance)
    if (found.kind, found.sizes) != (other.kind, other.sizes):
        print(f"  not run: A is a {found}, B a {other}")
        return False
    del ours, theirs
    return (not options.run or _run(layout or found, a, b, jittor, compared, options.key_a, options.key_b)) and agree


def _rows(path: Path):
    if formats.is_rows(path):
        return read_rows(path, *bank_format(path))
    layout, arrays, _ = recognise(formats.read_any(path), path)
    if layout.kind != "bank":
        raise CheckpointError(f"{path}: expected a feature bank, found a {layout}")
    return arrays[BANK]


def _run(layout: Layout, a: Path, b: Path, jittor: Jittor, compared: Comparison, key_a=None, key_b=None) -> bool:
    if layout.kind not in NETWORKS:
        return True
    # one of the two was rounded: what rounding does to the picture is not what the frameworks do to it
    rounded = "float16" if any("float16" in types for types in compared.types) else None
    finding = run_both(layout, a, b, jittor, False, key_a, key_b, rounded)
    if finding.stages is None:
        print(f"  not run: {finding.why}")
        return True
    stage, worst = finding.worst
    added = f" (each by itself; one after the other, rounding adds up to {finding.added:.1e})" if finding.added else ""
    print(f"  {len(finding.stages)} stages run in Jittor and PyTorch: largest difference {worst:.1e} of the scale, in "
          f"{stage}" + (f" (both rounded to {rounded})" if rounded else "")
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
