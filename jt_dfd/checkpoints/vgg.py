"""VGG16 and VGG19 for the perceptual loss, out of torchvision's file or one converted here; needs no PyTorch."""
from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

from . import foreign, formats
from .errors import CheckpointError
from .strict import check_arrays
from .unwrap import unwrap


def read_vgg(path) -> Tuple[str, Dict[str, Tuple[np.ndarray, np.ndarray]]]:
    """("vgg16" or "vgg19", {"conv1_1": (weight (64, 3, 3, 3), bias (64,)), ..., "conv5_4": ...}) as float32.

    path: ``.pth`` as torchvision publishes it, ``.pkl`` or ``.safetensors``.  CheckpointError where it is none, with
    what is missing or misshapen.
    """
    arrays, _ = unwrap(formats.read_any(path), path)
    found = foreign.vgg(arrays)
    if found is None:
        raise _none_of_both(arrays, path)
    kind, arrays, _ = found
    arrays = check_arrays(arrays, {name: array.shape for name, array in arrays.items()}, path)
    return kind, {name: (arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in foreign.vgg_places(kind)}


def _none_of_both(arrays: foreign.Arrays, path) -> CheckpointError:
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
