"""What is in a file of weights: unwrapped, tidied of what training frameworks add, and recognised by names and shapes.

    layout, arrays, notes = recognise(formats.read_any(path), path)
    layout.kind, layout.component, layout.config

Of a network only its own sizes can be read off; the other fields of ``layout.config`` are a preset's.
"""
from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..config import PRESETS, Config, ConfigError
from ..layout import KINDS, Shapes, sizes, specification
from . import foreign
from .arrays import CheckpointError, Widened, check_arrays
from .unwrap import BANK, LEFT_OUT, unwrap

Arrays = Dict[str, np.ndarray]

_LINES = 12
_COMPARED = 400  # names beyond this are counted only: likeness takes time that grows with the square


@dataclass(frozen=True)
class Layout:
    """What a file was recognised as.

    kind        "encoder", "image_decoder", "feature_decoder", "generator", "discriminator", "bank" or "vgg16", "vgg19"
    component   of the first three: "eye1" (which may as well be eye2: they have the same shapes), "nose", "mouth",
                "rest"; "" otherwise
    config      sizes of the network; None for banks and VGG
    preset      name of the preset it fits, or None
    sizes       the fields of ``config`` that the file itself told
    """

    kind: str
    component: str = ""
    config: Any = None
    preset: Optional[str] = None
    sizes: Any = None

    def __str__(self):
        what = {"image_decoder": "image decoder", "feature_decoder": "feature decoder", "bank": "feature bank",
                "vgg16": "VGG16", "vgg19": "VGG19"}.get(self.kind, self.kind)
        part = "an eye" if self.component.startswith("eye") else "the " + self.component
        whose = f" of {part}" if self.component else ""
        sizes = "" if self.config is None else (f", preset {self.preset}" if self.preset else ", of no preset's sizes")
        return what + whose + sizes


def recognise(value: Any, source, key: Optional[str] = None, expected: Optional[Layout] = None,
              as_stored: bool = True) -> Tuple[Layout, Arrays, List[str]]:
    """(layout, arrays in storage order, notes on what was changed).

    source: the path, for messages and for telling the two eyes apart.  expected: what the file has to be.
    as_stored: keep the arrays' element types; otherwise they are float32 and contiguous.
    CheckpointError for anything else than one whole network of a known family, with the nearest matches name by name.
    """
    arrays, notes = unwrap(value, source, key)
    try:
        return _recognised(arrays, notes, source, expected, as_stored)
    except CheckpointError as error:
        left = "".join(f"\n  {note}" for note in notes if note.startswith(LEFT_OUT))
        raise CheckpointError(f"{error}{left}") from None


def _recognised(arrays: Arrays, notes: List[str], source, expected: Optional[Layout],
                as_stored: bool) -> Tuple[Layout, Arrays, List[str]]:
    foreign.refuse_others(arrays, source, any("num_batches_tracked" in note for note in notes))
    own = {name: array.shape for name, array in arrays.items()}
    if any(isinstance(array, Widened) for array in arrays.values()):
        notes.append("widened bfloat16 to float32, which holds it exactly")
    for convert in (foreign.generator, foreign.discriminator):
        arrays, more = convert(arrays)
        notes += more
    vgg = foreign.vgg(arrays) if expected is None else None
    if vgg is not None:
        kind, arrays, more = vgg
        _finite_floats(arrays, source)
        return Layout(kind), arrays, notes + more
    if set(arrays) == {BANK} and expected is None:
        if arrays[BANK].ndim != 2 or not arrays[BANK].size:
            raise CheckpointError(f"{source}: a bank has two dimensions, rows and latent; found {arrays[BANK].shape}")
        _finite_floats(arrays, source)
        return Layout("bank"), arrays, notes
    layout = expected or _layout(arrays, source)
    if layout is None:
        raise _unknown(own, source, None, set(arrays))
    shapes = specification(layout.kind, layout.config, layout.component)
    if expected is None and {n: tuple(a.shape) for n, a in arrays.items()} != shapes:
        raise _unknown(own, source, (layout.kind, shapes), set(arrays))
    return layout, check_arrays(arrays, shapes, source, as_stored), notes


def _finite_floats(arrays: Arrays, source) -> None:
    check_arrays(arrays, {name: array.shape for name, array in arrays.items()}, source)


def _layout(arrays: Arrays, source) -> Optional[Layout]:
    """The family by telling names, the sizes by shapes; None where no family's names are there."""
    encoders = tuple(config.encoder_widths for config in PRESETS.values())
    try:
        found = sizes({name: tuple(array.shape) for name, array in arrays.items()}, encoders)
        if found is None:
            return None
        config = _config(found.sizes)
    except (KeyError, IndexError, ValueError):  # a telling name is there, others are not, or make no network
        return None
    # the name of the file tells the eyes apart
    named = [name for name in found.components if name in Path(str(source)).name] or found.components
    return Layout(found.kind, named[0] if named else "", config, config.preset if config.preset in PRESETS else None,
                  found.sizes)


def _config(known: Dict[str, Any]) -> Config:
    """The preset with these sizes, or a configuration of its own whose other fields are fillers."""
    for config in PRESETS.values():
        if all(getattr(config, field) == value for field, value in known.items()):
            return config
    canvas = known.get("canvas", 512)
    halvings = (1,) * (int(canvas).bit_length() - 5)
    filler = Config(canvas=canvas, encoder_widths=halvings, image_widths=halvings, feature_widths=halvings,
                    generator_downs=1)
    return filler.with_changes(preset="unnamed", **known)


def sizes_of(value: Any, source) -> Dict[str, Any]:
    """{field of Config: value} as far as one file's network tells.  CheckpointError where it is of no known family."""
    layout, _, _ = recognise(value, source)
    return layout.sizes


def combined_config(known: Dict[str, Any], source) -> Config:
    """The configuration with these sizes; CheckpointError where they do not go together."""
    try:
        return _config(known)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{source}: its networks make no configuration together: {error}") from None


def _unknown(found: Shapes, source, known: Optional[Tuple[str, Shapes]], renamed: set) -> CheckpointError:
    """known: the (kind, names and shapes) that the file was taken for; without it the likeliest is looked for.
    renamed: names that there are once another project's were brought into this one's: not missing."""
    kind, shapes = known or _likeliest(found)
    missing = [name for name in shapes if name not in found and name not in renamed]
    unexpected = [name for name in found if name not in shapes]
    lines: List[str] = []
    left = unexpected[:_COMPARED]
    for name in missing:
        near = difflib.get_close_matches(name, left, 1, 0.6) if len(lines) < _LINES else []
        if near:
            left.remove(near[0])
        lines.append(f"  {name} {shapes[name]}: " + (
            f"missing; nearest is {near[0]:.80} {tuple(found[near[0]])}" if near else "missing"))
    paired = set(unexpected[:_COMPARED]) - set(left)
    lines += [f"  {name:.80} {tuple(found[name])}: unexpected" for name in unexpected if name not in paired]
    lines += [f"  {name} {tuple(found[name])}: expected {shape}" for name, shape in shapes.items()
              if name in found and tuple(found[name]) != tuple(shape)]
    more = f"\n  and {len(lines) - _LINES} more" if len(lines) > _LINES else ""
    what = kind.replace("_", " ")
    article = "an" if what[0] in "aeiou" else "a"
    return CheckpointError(f"{source}: an unknown layout of {len(found)} arrays; nearest to {article} {what}, "
                           "but:\n" + "\n".join(lines[:_LINES]) + more)


def _likeliest(found: Shapes) -> Tuple[str, Shapes]:
    best, most = ("", {}), -1.0
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
