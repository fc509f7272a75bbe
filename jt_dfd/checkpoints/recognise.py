"""What is in a file of weights, whoever wrote it: the one network in whatever a checkpoint holds around it (wrappers,
optimiser state, prefixes, counters), recognised by names and shapes.

    arrays, notes = unwrap(formats.read_any(path), path, key)
    layout, arrays, notes = recognise(formats.read_any(path), path)
    layout.kind, layout.component, layout.config

Of a network only its own sizes can be read off; the other fields of ``layout.config`` are a preset's.
"""
from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from ..config import PRESETS, Config, ConfigError
from ..layout import KINDS, TELLING, Shapes, sizes, specification
from . import foreign, formats
from .arrays import CheckpointError, Widened, check_arrays
from .safe_pickle import Inert

Arrays = Dict[str, np.ndarray]
#: entries that hold the network where others hold networks, too (its moving average, say)
_FIRST = ("state_dict", "model_state_dict", "model")
#: what data-parallel training and torch.compile put in front of every name
_PREFIXES = ("module.", "_orig_mod.")
#: a bank's one entry, (rows, latent)
BANK = "feature"
#: how the notes begin that say what of a file was not taken
LEFT_OUT = "left out what is no"
_MAX_DEPTH = 4
_MAX_ENTRIES = 100_000


def unwrap(value: Any, source, key: Optional[str] = None) -> Tuple[Arrays, List[str]]:
    """(name -> array, notes) of a possibly wrapped checkpoint, names as the network itself has them.

    key: which network to take where there are several: an entry, entries within entries ("gen/state_dict"), or the
    prefix of its names ("netG").  Optimiser state, counters and other entries are left out and noted.
    """
    value = _unslashed(value)
    if not isinstance(value, dict) or not value:
        raise CheckpointError(f"{source}: expected a dictionary of named arrays, found "
                              + ("an empty one" if isinstance(value, dict) else type(value).__name__))
    flat, left_out = _is_state(value), _left_out(value)
    states = {} if flat else dict(_states(value))
    path = _chosen(states, source, key)
    if path is None:
        state = value if flat or not states else states[next(iter(states))]
        arrays, notes = _arrays_of(state), []
        if not arrays:
            raise CheckpointError(f"{source}: holds no network: its entries are {_listed(value)}"
                                  + "".join(f"; {note}" for note in left_out))
        if not flat and not states:
            notes.append(f"left out {_listed(name for name in value if name not in arrays)}")
    else:
        arrays, key = _arrays_of(states[path]), None
        left = [name for name in value if name != path.split("/")[0] and name != path]
        notes = [f"unwrapped {path!r}" + (f", left out {_listed(left)}" if left else "")]
    arrays, more = tidy(arrays)
    arrays, prefix = _without_prefix(arrays, source, key, list(states))
    arrays, last = tidy(arrays)
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind == "f" and array.ndim}
    if len(numbers) < len(arrays):
        last = last + [f"{LEFT_OUT} floating-point array: " + _listed(
            (f"{name} ({array.dtype})" for name, array in arrays.items() if name not in numbers))]
    return numbers, notes + more + prefix + last + left_out


def _left_out(value) -> List[str]:
    """A note that names every entry that is no array and no plain value; none where there are none."""
    found = [f"{path} ({item.what})" for path, item in _entries(value) if isinstance(item, Inert)]
    return [f"{LEFT_OUT} array, nothing was run: {_listed(found)}"] if found else []


def _entries(value, deep: int = _MAX_DEPTH) -> Iterator[Tuple[str, Any]]:
    """("a/b", item) of every entry of the value and of the dictionaries in it, each dictionary gone through once."""
    waiting, seen, left = [("", value, deep)], set(), _MAX_ENTRIES
    while waiting:
        path, inner, deep = waiting.pop(0)
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        for name, item in inner.items():
            left -= 1
            if left < 0:
                return
            yield f"{path}{name}", item
            if isinstance(item, dict) and deep > 1:
                waiting.append((f"{path}{name}/"[:200], item, deep - 1))


def _chosen(states: Dict[str, Arrays], source, key: Optional[str]) -> Optional[str]:
    """Which of the states to take; None leaves it to the names' prefixes."""
    if key is not None:
        found = [path for path in states if path == key] or [path for path in states if path.startswith(key + "/")]
        if not found and len(states) > 1:
            raise CheckpointError(f"{source}: no network under the key {key!r}; there is {_listed(states, 32)}")
    else:
        found = [path for first in _FIRST for path in states if path.split("/")[0] == first]
        group = found[0].split("/")[0] if found else None
        found = [path for path in found if path.split("/")[0] == group] or list(states)
    if len(found) > 1:
        raise CheckpointError(f"{source}: holds several networks, {_listed(found, 32)}; say which with --key")
    return found[0] if found else None


def _unslashed(value):
    """Checkpoints of training runs hold many networks side by side as ``place/name``; here one dictionary a place."""
    if not isinstance(value, dict) or not any(isinstance(name, str) and "/" in name for name in value):
        return value
    out: Dict[str, Any] = {}
    for name, item in value.items():
        place, slash, rest = str(name).rpartition("/")
        if slash:
            out.setdefault(place, {})[rest] = item
    return out


def _is_state(value) -> bool:
    """A network's weights: arrays and perhaps a few numbers, no dictionaries or lists with something in them."""
    return isinstance(value, dict) and any(isinstance(v, np.ndarray) for v in value.values()) and \
        not any(isinstance(v, (dict, list)) and v for v in value.values())


def _states(value) -> Iterator[Tuple[str, Arrays]]:
    """(entry, weights) of every network in the value; the entry "a/b" is b within a."""
    for path, item in _entries(value):
        # others are numbers of an optimiser or a scaler
        if _is_state(item) and (BANK in item or any("." in str(inner) for inner in item)):
            yield path, item


def _arrays_of(state) -> Arrays:
    return {str(name): array for name, array in state.items() if isinstance(array, np.ndarray)}


def _listed(names, most: int = 8) -> str:
    names = [repr(str(n))[:60] for n in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _without_prefix(arrays: Arrays, source, key: Optional[str], states: List[str]) -> Tuple[Arrays, List[str]]:
    """The arrays of the network that is part of a larger module, which its names begin with."""
    found = dict.fromkeys(name[:-len(end)] for name in arrays for end, other in TELLING.values()
                          if ("." + name).endswith("." + end) and name[:-len(end)] + other in arrays)
    if key is not None:
        own = {name[len(key) + 1:]: array for name, array in arrays.items() if name.startswith(key + ".")}
        if not own:
            known = _listed([p[:-1] for p in found if p] or states, 32)
            raise CheckpointError(f"{source}: no network under the key {key!r}; "
                                  + (f"there is {known}" if known else "it holds one alone, no key is needed"))
        return own, [f"took the network whose names begin with {key + '.'!r}"]
    if not found or "" in found:
        return arrays, []
    if len(found) > 1:
        raise CheckpointError(f"{source}: holds several networks, {_listed([p[:-1] for p in found], 32)}; say which "
                              "with --key")
    prefix, = found
    rest = [name for name, array in arrays.items() if not name.startswith(prefix)]
    if any(arrays[name].size > 1 for name in rest):
        raise CheckpointError(f"{source}: holds a network {prefix[:-1]!r} and {len(rest)} "
                              f"{'array' if len(rest) == 1 else 'arrays'} of something else ({_listed(rest, 3)}); "
                              f"take it alone with --key {prefix[:-1]}")
    return ({name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)},
            [f"took the prefix {prefix!r} off every name" + (f", left out {_listed(rest)}" if rest else "")])


def tidy(arrays: Arrays) -> Tuple[Arrays, List[str]]:
    """Without the prefixes of data-parallel training and PyTorch's counts of batches."""
    notes = []
    for _ in range(4):
        prefix = next((p for p in _PREFIXES if arrays and all(name.startswith(p) for name in arrays)), None)
        if prefix is None:
            break
        arrays = {name[len(prefix):]: array for name, array in arrays.items()}
        notes.append(f"took the prefix {prefix!r} off every name")
    counts = [name for name in arrays if name.rpartition(".")[2] == "num_batches_tracked"]
    if counts:
        arrays = {name: array for name, array in arrays.items() if name not in set(counts)}
        notes.append(f"left out {len(counts)} of PyTorch's counts num_batches_tracked")
    return arrays, notes


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


def read_vgg(path) -> Tuple[str, Dict[str, Tuple[np.ndarray, np.ndarray]]]:
    """("vgg16" or "vgg19", {"conv1_1": (weight (64, 3, 3, 3), bias (64,)), ..., "conv5_4": ...}) as float32.

    path: as torchvision publishes it, or in any other format.  CheckpointError where it is none, with
    what is missing or misshapen.
    """
    arrays, _ = unwrap(formats.read_any(path), path)
    found = foreign.vgg(arrays)
    if found is None:
        foreign.refuse_others(arrays, path)
        raise _none_of_both(arrays, path)
    kind, arrays, _ = found
    arrays = check_arrays(arrays, {name: array.shape for name, array in arrays.items()}, path)
    return kind, {name: (arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in foreign.vgg_places(kind)}


def _none_of_both(arrays: Arrays, path) -> CheckpointError:
    """What keeps the arrays from being the one of the two that they are nearer to."""
    wanted = {kind: foreign.vgg_shapes(kind) for kind in ("vgg19", "vgg16")}
    kind = max(wanted, key=lambda k: (len(set(wanted[k]) & set(arrays)), -len(wanted[k])))
    rest = {name: array for name, array in arrays.items() if not name.startswith("classifier.")}
    try:
        check_arrays(rest, wanted[kind], path)
    except CheckpointError as error:
        return CheckpointError(f"{error} (Compared with torchvision's {kind.upper()}; expected torchvision's VGG19 or "
                               "VGG16.)")
    return CheckpointError(f"{path}: expected torchvision's VGG19 or VGG16")
