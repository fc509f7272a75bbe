"""The networks: component embedding (CE), feature mapping (FM), image synthesis (IS), and what trains them.

    from jt_dfd import networks
    net = networks.build("encoder", networks.preset("release"), "eye1")
    networks.count_parameters(net)

``networks.specification`` says every parameter's name and shape without importing Jittor.
"""
from ..config import Config, preset
from .specification import KINDS, specification, specification_of

__all__ = ["Config", "KINDS", "build", "count_parameters", "preset", "specification", "specification_of"]


def build(kind: str, config: Config, component: str = "rest"):
    """A freshly initialised network (a Jittor ``Module``).

    kind: "encoder", "image_decoder", "feature_decoder" (one a component), "generator", "discriminator".
    """
    from . import component_embedding, discriminator, feature_mapping, image_synthesis

    builders = {
        "encoder": lambda: component_embedding.Encoder(config, component),
        "image_decoder": lambda: component_embedding.ImageDecoder(config, component),
        "feature_decoder": lambda: feature_mapping.FeatureDecoder(config, component),
        "generator": lambda: image_synthesis.Generator(config),
        "discriminator": lambda: discriminator.MultiScaleDiscriminator(config),
    }
    if kind not in builders:
        raise ValueError(f"no network {kind!r}; there are {', '.join(builders)}")
    return builders[kind]()


def count_parameters(network) -> int:
    """Numbers stored by the network, running statistics included (what a checkpoint holds)."""
    total = 0
    for value in network.state_dict().values():
        size = 1
        for edge in value.shape:
            size *= edge
        total += size
    return total
