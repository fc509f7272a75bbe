"""bfloat16, which NumPy does not have: read as float32, which holds it exactly."""
from __future__ import annotations

import numpy as np


class Widened(np.ndarray):
    """float32 numbers that their file stores as bfloat16."""


def widened(raw) -> np.ndarray:
    """(n,) float32 of n little-endian bfloat16 numbers."""
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).view(Widened)


def stored_type(array: np.ndarray) -> str:
    """Name of the element type that the array has in its file."""
    return "bfloat16" if isinstance(array, Widened) else str(array.dtype.newbyteorder("="))
