"""A trainer's networks to named numpy arrays and back; the entries of a checkpoint that belong together."""
from __future__ import annotations

from typing import Dict

import numpy as np

from ..networks.loading import assign, load_arrays
from ..networks.loading import to_arrays as from_network

__all__ = ["assign", "from_network", "into_network", "prefixed", "under"]


def into_network(network, arrays: Dict[str, np.ndarray], source) -> None:
    """Load in place.  CheckpointError names ``source`` and the parameter that does not fit; then nothing is loaded."""
    load_arrays(network, arrays, source, trainable=True)


def prefixed(prefix: str, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The entries below ``prefix/``, without it."""
    return {name[len(prefix) + 1:]: array for name, array in arrays.items() if name.startswith(prefix + "/")}
