"""Operations of each network, counted from its layers: a multiplication and an addition are two.

Convolutions, transposed convolutions and linear layers are counted; norms, activations and padding are not, as usual in
the field (they are bound by memory).  Nothing here imports a framework.
"""
from __future__ import annotations

from typing import Dict, Mapping

from .. import layout
from ..components import COMPONENTS
from ..config import Config
from ..layout import operations

#: neighbours of a component that are decoded for the shadow (release)
NEIGHBOURS = 15
#: step of a face -> network that computes it
_KINDS = {"encode": "encoder", "decode": "image_decoder", "features": "feature_decoder", "generator": "generator"}


def network(kind: str, config: Config, component: str = "rest") -> int:
    """One picture or latent through a network; of the discriminator, through all scales."""
    return sum(operations(sequence.layers, sequence.size) for sequence in layout.network(kind, config, component))


def encoder(config: Config, component: str) -> int:
    """One picture through a component's encoder."""
    return network("encoder", config, component)


def image_decoder(config: Config, component: str) -> int:
    """One latent through a component's image decoder."""
    return network("image_decoder", config, component)


def feature_decoder(config: Config, component: str) -> int:
    """One latent through a component's feature decoder."""
    return network("feature_decoder", config, component)


def generator(config: Config) -> int:
    """One merged feature map to one picture."""
    return network("generator", config)


def projection(config: Config, rows: int) -> int:
    """Squared distances of one latent to a bank: subtract, multiply, add."""
    return 3 * rows * config.latent


def face(config: Config, decoded: Mapping[str, int] = None) -> int:
    """A sketch to a face with its shadow.  decoded: neighbours decoded of each component (default: all of them)."""
    decoded = {c: NEIGHBOURS for c in COMPONENTS} if decoded is None else decoded
    work = {"encode": {c: 1 for c in COMPONENTS}, "decode": dict(decoded), "features": {c: 1 for c in COMPONENTS},
            "generator": {"rest": 1}}
    return of_work(config, work)


def of_work(config: Config, work: Mapping[str, Mapping[str, int]]) -> int:
    """Operations of what a side says it did: {"encode" | "decode" | "features": {component: count}, "generator":
    {"rest": count}}."""
    return sum(network(_KINDS[step], config, component) * count
               for step, counts in work.items() for component, count in counts.items())


def training_step(config: Config, stage: str, batch: int, gan: bool = True) -> int:
    """One optimiser step, the backward pass counted as twice the forward one.

    stage  "embedding": the five autoencoders.  "synthesis": frozen encoders forward; feature decoders and generator
           forward and backward; with ``gan`` the discriminator over real and made pictures, backward once for its own
           weights and once more, over the made half, for the picture.
    """
    if stage == "embedding":
        return batch * 3 * sum(encoder(config, c) + image_decoder(config, c) for c in COMPONENTS)
    total = sum(encoder(config, c) + 3 * feature_decoder(config, c) for c in COMPONENTS) + 3 * generator(config)
    if gan:
        # forward 2, gradients of activations and weights for its own loss 2 * 2, of activations for the picture's 1
        total += 7 * network("discriminator", config)
    return batch * total


def parts(config: Config) -> Dict[str, int]:
    """What a full face with all neighbours is made of, for people."""
    return {"encode": sum(encoder(config, c) for c in COMPONENTS),
            "decode": NEIGHBOURS * sum(image_decoder(config, c) for c in COMPONENTS),
            "features": sum(feature_decoder(config, c) for c in COMPONENTS), "generator": generator(config)}
