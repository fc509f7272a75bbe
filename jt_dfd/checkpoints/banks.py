"""Feature banks on disk: raw little-endian rows of ``latent`` numbers, without a header (release: float32)."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ..atomic import write_atomically
from .arrays import CheckpointError


def read_bank(path, latent: int, dtype: str = "float32") -> np.ndarray:
    """(rows, latent) float32.  CheckpointError where the file is missing, empty, no whole number of rows or holds
    numbers that are not finite."""
    path, kind = Path(path), np.dtype(dtype).newbyteorder("<")
    try:
        size = path.stat().st_size
        if size == 0 or size % (latent * kind.itemsize):
            raise CheckpointError(f"{path}: {size} bytes are no whole number of rows of {latent} {dtype} numbers "
                                  f"({latent * kind.itemsize} bytes each). The file is cut off or of another network.")
        rows = np.fromfile(path, kind)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    rows = np.ascontiguousarray(rows.reshape(-1, latent), np.float32)
    bad = ~np.isfinite(rows.sum(axis=1, dtype=np.float64))
    if bad.any():
        raise CheckpointError(f"{path}: row {int(bad.argmax())} holds numbers that are not finite. The file is "
                              "damaged.")
    return rows


def write_bank(path, rows: np.ndarray, dtype: str = "float32") -> None:
    """Write (rows, latent) atomically as ``dtype``, "float32" (release) or "float16" (ours)."""
    data = np.ascontiguousarray(rows, np.dtype(dtype).newbyteorder("<"))
    write_atomically(path, lambda temporary: data.tofile(temporary))
