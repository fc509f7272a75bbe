"""One file of weights in any format, chosen by its suffix.

    .pkl            the release's and Jittor's pickles
    .pth, .pt       PyTorch's; reading needs nothing, writing needs PyTorch
    .safetensors    safetensors
    .bin            a feature bank: raw rows, without names (checkpoints.banks)
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

import numpy as np

from ..atomic import write_atomically
from .errors import CheckpointError
from .pickle_file import read_value, write_arrays
from .tensors_file import read_tensors, write_tensors
from .torch_file import import_torch, read_torch, write_torch

JITTOR_SUFFIXES = (".pkl",)
TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")
SUFFIXES = JITTOR_SUFFIXES + TORCH_SUFFIXES


def suffix(path) -> str:
    """The path's suffix in small letters; CheckpointError where it is none of SUFFIXES."""
    ending = Path(path).suffix.lower()
    if ending not in SUFFIXES:
        raise CheckpointError(f"{path}: the format is chosen by the suffix, and {ending or 'none'} is not one of "
                              f"{', '.join(SUFFIXES)}")
    return ending


def read_any(path) -> Any:
    """Whatever the file holds, nothing executed: usually name -> array, possibly wrapped.  CheckpointError names the
    file and the cause."""
    if not os.path.lexists(path):
        raise CheckpointError(f"{path}: missing: no such file or folder")
    ending = suffix(path)
    if ending == ".pkl":
        return read_value(path)
    return read_tensors(path) if ending == ".safetensors" else read_torch(path)


def write(path, arrays: Dict[str, np.ndarray]) -> None:
    """Write name -> array (any shape and numeric type), atomically.  CheckpointError where it cannot be written."""
    ending = suffix(path)
    try:
        if ending == ".pkl":
            write_arrays(path, arrays)
        elif ending == ".safetensors":
            write_atomically(path, lambda temporary: write_tensors(temporary, arrays))
        else:
            import_torch(path)  # before a temporary file is made
            write_atomically(path, lambda temporary: write_torch(temporary, arrays))
    except CheckpointError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be written ({error})") from None
