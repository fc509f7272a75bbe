"""The user's file of FID's Inception: read strictly and named.  Downloads nothing, runs nothing in it."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np

from ..checkpoints import CheckpointError, check_arrays
from ..checkpoints.folder import sha256
from ..checkpoints.formats import read_any
from ..checkpoints.unwrap import LEFT_OUT, unwrap

#: sum of the published ``pt_inception-2015-12-05-6726825d.pth``, 95,628,359 bytes (pytorch-fid and torch-fidelity)
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_WANTED = "expected FID's Inception, pt_inception-2015-12-05-6726825d.pth as PyTorch's FID tools use it"


def read_inception(path) -> Dict[str, np.ndarray]:
    """name -> float32 array of everything that ``inception.specification`` lists.

    CheckpointError names the file and what is missing, too much, misshapen or damaged, and what was expected.
    """
    return check(read_any(path), path)


def check(value, source) -> Dict[str, np.ndarray]:
    """The arrays of what a file held, as ``read_inception`` returns them."""
    from .inception import specification

    arrays, notes = unwrap(value, source)
    classes = arrays["fc.weight"].shape[0] if "fc.weight" in arrays and arrays["fc.weight"].ndim else None
    if classes == 1000 or any(str(name).startswith("AuxLogits.") for name in arrays):
        raise CheckpointError(
            f"{source}: {_WANTED}; found torchvision's Inception v3 (1000 classes, AuxLogits). It has the same layers "
            "with other weights: distances on its features are no FID and compare with no published figure")
    try:
        return check_arrays(arrays, specification(), source)
    except CheckpointError as error:
        left = "".join(f" ({note})" for note in notes if note.startswith(LEFT_OUT))
        raise CheckpointError(f"{error}{left} ({_WANTED[0].upper()}{_WANTED[1:]}.)") from None


def load_inception(path) -> Tuple[Any, Dict[str, object]]:
    """(InceptionFeatures, {"file": its name, "sha256": its sum, "published": whether that is the published file's})."""
    from .inception import InceptionFeatures

    network = InceptionFeatures(read_inception(path))
    found = sha256(path)
    return network, {"file": Path(path).name, "sha256": found, "published": found == PUBLISHED_SHA256}
