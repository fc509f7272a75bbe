"""The networks: component embedding (CE), feature mapping (FM), image synthesis (IS), and what trains them.

    from jt_dfd import networks
    net = networks.build("encoder", networks.preset("release"), "eye1")
    networks.count_parameters(net)

Their layers, and every parameter's name and shape, stand in ``jt_dfd.layout``, which needs no Jittor.

Arrays go into a network and out of it strictly: Jittor's own loading only warns.
"""
from __future__ import annotations

from typing import Dict

import numpy as np

from ..backend import jt
from ..checkpoints import check_arrays
from ..config import Config, preset
from ..layout import KINDS, specification, specification_of

__all__ = ["Config", "KINDS", "assign", "build", "count_parameters", "into_network", "load_arrays", "prefixed",
           "preset", "specification", "specification_of", "to_arrays", "under"]


def build(kind: str, config: Config, component: str = "rest"):
    """A freshly initialised network (a Jittor ``Module``).

    kind: "encoder", "image_decoder", "feature_decoder" (one a component), "generator", "discriminator".  ValueError for
    an unknown kind or component.
    """
    specification(kind, config, component)  # refuses what is unknown before Jittor starts
    from .modules import NETWORKS

    return NETWORKS[kind](kind, config, component)


def count_parameters(network) -> int:
    """Numbers stored by the network, running statistics included (what a checkpoint holds)."""
    return sum(int(np.prod(value.shape)) for value in network.state_dict().values())


def load_arrays(network, arrays: Dict[str, np.ndarray], source=None, trainable: bool = False,
                consume: bool = False) -> None:
    """Put name -> floating point array into ``network``; names and shapes must be exactly the network's.

    Values that a new network would draw at random are never computed: Jittor is lazy, and they are replaced first.

    source     the file, where the arrays were not held against a specification yet: they are, and so are their values.
               CheckpointError then names it and the parameter that does not fit
    trainable  parameters take gradients afterwards where they did before; else none does
    consume    take each array out of ``arrays`` once it is in, so that a large network is in memory once
    Without a source ValueError names the first parameter that does not fit.  Either comes before anything was changed.
    """
    own = network.state_dict()
    shapes = {name: tuple(variable.shape) for name, variable in own.items()}
    if source is not None:
        arrays = check_arrays(arrays, shapes, source)
    for name in sorted(set(own) | set(arrays)):
        if name not in arrays or name not in own:
            raise ValueError(f"parameter {name} is {'missing' if name in own else 'unexpected'}")
        if shapes[name] != tuple(arrays[name].shape):
            raise ValueError(f"parameter {name} has shape {tuple(arrays[name].shape)}, expected {shapes[name]}")
    for name, variable in own.items():
        array = arrays.pop(name) if consume else arrays[name]
        (assign if trainable else _replace)(variable, np.asarray(array, np.float32))
    if not trainable:
        # Computed now: an array of one number that is still pending gets fused into what reads it, and Jittor 1.3.11
        # writes code for that which does not compile.
        jt.sync_all()


def _replace(variable, array: np.ndarray) -> None:
    variable.update(jt.array(np.ascontiguousarray(array)))


def assign(variable, array: np.ndarray) -> None:
    """New contents for a variable; whether it takes gradients stays as it was."""
    stopped = variable.is_stop_grad()
    variable.assign(jt.array(np.ascontiguousarray(array)))
    (variable.stop_grad if stopped else variable.start_grad)()


def to_arrays(network) -> Dict[str, np.ndarray]:
    """name -> float32 array, a copy of every parameter and running statistic."""
    return {name: np.array(variable.numpy(), np.float32) for name, variable in network.state_dict().items()}


def into_network(network, arrays: Dict[str, np.ndarray], source) -> None:
    """Load in place.  CheckpointError names ``source`` and the parameter that does not fit; then nothing is loaded."""
    load_arrays(network, arrays, source, trainable=True)


def prefixed(prefix: str, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The entries below ``prefix/``, without it."""
    return {name[len(prefix) + 1:]: array for name, array in arrays.items() if name.startswith(prefix + "/")}
