"""Networks to named numpy arrays and back, strictly: Jittor's own loading only warns."""
from __future__ import annotations

from typing import Dict

import numpy as np

from ..backend import jt
from ..checkpoints import check_arrays


def from_network(network) -> Dict[str, np.ndarray]:
    """name -> float32 array, running statistics included."""
    return {name: np.array(value.numpy(), np.float32) for name, value in network.state_dict().items()}


def into_network(network, arrays: Dict[str, np.ndarray], source) -> None:
    """Load in place.  CheckpointError names ``source`` and the parameter that does not fit; then nothing is loaded."""
    state = network.state_dict()
    arrays = check_arrays(arrays, {name: tuple(value.shape) for name, value in state.items()}, source)
    for name, value in state.items():
        assign(value, arrays[name])


def assign(variable, array: np.ndarray) -> None:
    """New contents for a variable; whether it takes gradients stays as it was."""
    stopped = variable.is_stop_grad()
    variable.assign(jt.array(np.ascontiguousarray(array)))
    (variable.stop_grad if stopped else variable.start_grad)()


def prefixed(prefix: str, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The entries below ``prefix/``, without it."""
    return {name[len(prefix) + 1:]: array for name, array in arrays.items() if name.startswith(prefix + "/")}
