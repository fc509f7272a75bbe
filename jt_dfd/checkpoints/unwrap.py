"""The one network in whatever a checkpoint holds around it: wrappers, optimiser state, prefixes, counters.

    arrays, notes = unwrap(formats.read_any(path), path, key)
"""
from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from ..layout import TELLING
from .arrays import CheckpointError
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
