"""Operations of each network, counted from its layers: a multiplication and an addition are two.

Convolutions, transposed convolutions and linear layers are counted; norms, activations and padding are not, as usual in
the field (they are bound by memory).  Nothing here imports a framework.
"""
from __future__ import annotations

from typing import Dict, Mapping

from .. import layout
from ..components import COMPONENTS
from ..config import Config

#: neighbours of a component that are decoded for the shadow (release)
NEIGHBOURS = 15
#: step of a face -> network that computes it
_KINDS = {"encode": "encoder", "decode": "image_decoder", "features": "feature_decoder", "generator": "generator"}


def network(kind: str, config: Config, component: str = "rest") -> int:
    """One picture or latent through a network; of the discriminator, through all scales."""
    return sum(layout.operations(s.layers, s.size) for s in layout.network(kind, config, component))


def parts(config: Config) -> Dict[str, int]:
    """Step of a face with all neighbours decoded -> its operations."""
    each = {c: 1 for c in COMPONENTS}
    work = {"encode": each, "decode": {c: NEIGHBOURS for c in COMPONENTS}, "features": each, "generator": {"rest": 1}}
    return {step: of_work(config, {step: counts}) for step, counts in work.items()}


def face(config: Config) -> int:
    """A sketch to a face with its shadow, all neighbours decoded."""
    return sum(parts(config).values())


def of_work(config: Config, work: Mapping[str, Mapping[str, int]]) -> int:
    """Operations of what a side says it did: {"encode" | "decode" | "features": {component: count}, "generator":
    {"rest": count}}."""
    return sum(network(_KINDS[step], config, component) * count
               for step, counts in work.items() for component, count in counts.items())


def training_step(config: Config, stage: str, batch: int, gan: bool = True) -> int:
    """One optimiser step, the backward pass counted as twice the forward one.

    stage  "embedding": the five autoencoders.  "synthesis": frozen encoders forward; feature decoders and generator
           forward and backward; with ``gan`` the discriminator over real and fake pictures, backward once for its own
           weights and once more, over the fake half, for the picture.
    """
    def of(kind):
        return sum(network(kind, config, c) for c in COMPONENTS)

    if stage == "embedding":
        return batch * 3 * (of("encoder") + of("image_decoder"))
    total = of("encoder") + 3 * of("feature_decoder") + 3 * network("generator", config)
    if gan:
        # forward 2, gradients of activations and weights for its own loss 2 * 2, of activations for the picture's 1
        total += 7 * network("discriminator", config)
    return batch * total
