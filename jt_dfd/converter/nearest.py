"""The message for weights of no known layout: what they come nearest to, name by name."""
from __future__ import annotations

import difflib
from typing import Dict, List, Optional, Tuple

from ..checkpoints.errors import CheckpointError
from ..config import PRESETS
from ..layout import KINDS, specification

_LINES = 12
_COMPARED = 400  # names beyond this are counted only: likeness takes time that grows with the square

Shapes = Dict[str, Tuple[int, ...]]


def unknown_layout(found: Shapes, source, known: Optional[Tuple[str, Shapes]] = None) -> CheckpointError:
    """known: the (kind, names and shapes) that the file was taken for; without it the likeliest is looked for."""
    kind, shapes = known or _likeliest(found)
    missing = [name for name in shapes if name not in found]
    unexpected = [name for name in found if name not in shapes]
    lines: List[str] = []
    left = unexpected[:_COMPARED]
    for name in missing:
        near = difflib.get_close_matches(name, left, 1, 0.6) if len(lines) < _LINES else []
        if near:
            left.remove(near[0])
        lines.append(f"  {name} {shapes[name]}: " + (f"missing; nearest is {near[0]} {tuple(found[near[0]])}" if near
                                                     else "missing"))
    paired = set(unexpected[:_COMPARED]) - set(left)
    lines += [f"  {name} {tuple(found[name])}: unexpected" for name in unexpected if name not in paired]
    lines += [f"  {name} {tuple(found[name])}: expected {shape}" for name, shape in shapes.items()
              if name in found and tuple(found[name]) != tuple(shape)]
    more = f"\n  and {len(lines) - _LINES} more" if len(lines) > _LINES else ""
    what = kind.replace("_", " ")
    article = "an" if what[0] in "aeiou" else "a"
    return CheckpointError(f"{source}: an unknown layout of {len(found)} arrays; nearest to {article} {what}, "
                           "but:\n" + "\n".join(lines[:_LINES]) + more)


def _likeliest(found: Shapes) -> Tuple[str, Shapes]:
    best, most = None, -1.0
    for config in PRESETS.values():
        for kind in (*KINDS, "discriminator"):
            shapes = specification(kind, config)
            alike = sum(1.0 + (tuple(found[name]) == shape) for name, shape in shapes.items() if name in found)
            # names of another project's layers still share endings such as conv_block.1.weight
            endings = {".".join(name.split(".")[-3:]) for name in shapes}
            alike += sum(0.01 for name in found if ".".join(name.split(".")[-3:]) in endings)
            if alike > most:
                best, most = (kind, shapes), alike
    return best
