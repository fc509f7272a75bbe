"""The networks: component embedding (CE), feature mapping (FM), image synthesis (IS), and what trains them.

    from jt_dfd import networks
    net = networks.build("encoder", networks.preset("release"), "eye1")
    networks.count_parameters(net)

Their layers, and every parameter's name and shape, stand in ``jt_dfd.layout``, which needs no Jittor.
"""
from ..config import Config, preset
from ..layout import KINDS, specification, specification_of

__all__ = ["Config", "KINDS", "build", "count_parameters", "preset", "specification", "specification_of"]


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
    total = 0
    for value in network.state_dict().values():
        size = 1
        for edge in value.shape:
            size *= edge
        total += size
    return total
