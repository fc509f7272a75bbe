"""VGG16 and VGG19 for the perceptual loss, out of torchvision's file or one converted here; needs no PyTorch."""
from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

from ..checkpoints import CheckpointError
from . import formats
from .foreign import vgg_places
from .recognise import recognise


def read_vgg(path) -> Tuple[str, Dict[str, Tuple[np.ndarray, np.ndarray]]]:
    """("vgg16" or "vgg19", {"conv1_1": (weight (64, 3, 3, 3), bias (64,)), ..., "conv5_4": ...}) as float32.

    path: ``.pth`` as torchvision publishes it, ``.pkl`` or ``.safetensors``.  CheckpointError where it is none.
    """
    layout, arrays, _ = recognise(formats.read_any(path), path)
    if layout.kind not in ("vgg16", "vgg19"):
        raise CheckpointError(f"{path}: expected torchvision's VGG16 or VGG19, found a {layout}")
    plain = {name: np.require(array, np.float32, ["C"]) for name, array in arrays.items()}
    return layout.kind, {name: (plain[f"{name}.weight"], plain[f"{name}.bias"]) for name in vgg_places(layout.kind)}
