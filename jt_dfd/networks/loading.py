"""Arrays into a network, without a second copy of what was there."""
from __future__ import annotations

from typing import Dict

import numpy as np

from ..backend import jt


def load_arrays(network, arrays: Dict[str, np.ndarray]) -> None:
    """Put name -> float32 array into ``network``; names and shapes must be exactly the network's.

    Values that a new network would draw at random are never computed: Jittor is lazy, and they are replaced first.
    ValueError names the first parameter that does not fit, before anything was changed.
    """
    own = network.state_dict()
    for name in sorted(set(own) | set(arrays)):
        if name not in arrays or name not in own:
            raise ValueError(f"parameter {name} is {'missing' if name in own else 'unexpected'}")
        if tuple(own[name].shape) != tuple(arrays[name].shape):
            raise ValueError(f"parameter {name} has shape {tuple(arrays[name].shape)}, expected {tuple(own[name].shape)}")
    for name, variable in own.items():
        variable.update(jt.array(np.ascontiguousarray(arrays[name], np.float32)))
    # Computed now: an array of one number that is still pending gets fused into what reads it, and Jittor 1.3.11 writes
    # code for that which does not compile.
    jt.sync_all()


def to_arrays(network) -> Dict[str, np.ndarray]:
    """name -> float32 array, a copy of every parameter and running statistic."""
    return {name: np.array(variable.numpy(), np.float32) for name, variable in network.state_dict().items()}
