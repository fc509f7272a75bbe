"""What all formats share: the error, bfloat16, and the strict comparison of a file with what a network needs."""
from __future__ import annotations

import difflib
from typing import Dict, Iterable, Optional, Tuple

import numpy as np

from ..errors import UserError

_MAX_MESSAGE = 3000


class CheckpointError(UserError, ValueError):
    """A file or folder that cannot be used as weights.  The message names the file, what was expected, what was
    found and, where there is one, the way out.  Text out of a file is shown without control characters, and cut."""

    def __init__(self, message: str):
        plain = "".join(c if c.isprintable() or c == "\n" else "?" for c in message[:_MAX_MESSAGE])
        super().__init__(plain + ("..." if len(message) > _MAX_MESSAGE else ""))


class Widened(np.ndarray):
    """float32 numbers that their file stores as bfloat16, which NumPy does not have and float32 holds exactly."""


def widened(raw) -> np.ndarray:
    """(n,) float32 of n little-endian bfloat16 numbers."""
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).view(Widened)


def stored_type(array: np.ndarray) -> str:
    """Name of the element type that the array has in its file."""
    return "bfloat16" if isinstance(array, Widened) else str(array.dtype.newbyteorder("="))


def _some(names: Iterable[str], most: int = 4) -> str:
    names = [f"{name:.80}" for name in sorted(names)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def check_arrays(arrays: Dict[str, np.ndarray], shapes: Dict[str, Tuple[int, ...]], source,
                 as_stored: bool = False) -> Dict[str, np.ndarray]:
    """The arrays as C-ordered float32 in the order of ``shapes``; as_stored: as they are, in that order.

    CheckpointError names ``source`` and the parameter where one is missing, unexpected, misshapen, not of a floating
    type or not finite.
    """
    missing, unexpected = set(shapes) - set(arrays), set(arrays) - set(shapes)
    if missing or unexpected:
        parts = []
        if missing:
            parts.append(f"missing parameters {_some(missing)}")
        if unexpected:
            parts.append(f"unexpected parameters {_some(unexpected)}")
        if missing and unexpected:
            name = sorted(missing)[0]
            near = difflib.get_close_matches(name, unexpected, 1)
            if near:
                parts.append(f"is {near[0]} meant for {name}?")
        raise CheckpointError(f"{source}: {'; '.join(parts)}. The file belongs to another network or configuration.")
    out = {}
    for name, shape in shapes.items():
        array = arrays[name]
        if tuple(array.shape) != tuple(shape):
            raise CheckpointError(f"{source}: parameter {name} has shape {tuple(array.shape)}, expected "
                                  f"{tuple(shape)}. The file belongs to another network or configuration.")
        if array.dtype.kind != "f":
            raise CheckpointError(f"{source}: parameter {name} holds {array.dtype}, expected floating point numbers")
        stored, array = array, np.ascontiguousarray(array, np.float32)
        if not _finite(array):
            raise CheckpointError(f"{source}: parameter {name} holds {_describe(array)}. The file is damaged or its "
                                  "training diverged.")
        if name.endswith("running_var") and array.min(initial=0) < 0:
            raise CheckpointError(f"{source}: parameter {name} holds a negative variance. The file is damaged.")
        out[name] = stored if as_stored else array
    return out


def rounded(array: np.ndarray, dtype: Optional[str], what: str, instead: str) -> np.ndarray:
    """The array rounded once to ``dtype``; as it is for None.  CheckpointError, with ``instead`` as the way out, where
    a number does not fit into it."""
    if dtype is None or array.dtype == np.dtype(dtype):
        return array
    with np.errstate(over="ignore"):
        out = array.astype(dtype)
    if not np.isfinite(out).all():
        raise CheckpointError(f"{what} holds numbers up to {float(np.abs(array).max()):.3g}, too large for {dtype}; "
                              f"{instead}")
    return out


def _finite(array: np.ndarray) -> bool:
    # one pass without a boolean copy of the array: a sum is finite only if all its terms are, unless it overflows
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.float64)):
            return True
    return bool(np.isfinite(array).all())


def _describe(array: np.ndarray) -> str:
    nan = int(np.isnan(array).sum())
    return f"{nan} NaN and {int(np.isinf(array).sum())} infinite of {array.size} numbers"
