"""Operations of each network, counted from the configuration: a multiplication and an addition are two.

Convolutions, transposed convolutions and linear layers are counted; norms, activations and padding are not, as usual in
the field (they are bound by memory).  Nothing here imports a framework.
"""
from __future__ import annotations

from typing import Dict, Mapping

from ..components import COMPONENTS
from ..config import Config

#: neighbours of a component that are decoded for the shadow (release)
NEIGHBOURS = 15


def _conv(out: int, into: int, kernel: int, height: int, width: int = 0) -> int:
    """``height`` x ``width`` are the output's; a transposed convolution is given its input's."""
    return 2 * out * into * kernel * kernel * height * (width or height)


def _res(channels: int, size: int) -> int:
    return 2 * _conv(channels, channels, 3, size)


def encoder(config: Config, component: str) -> int:
    """One picture through a component's encoder."""
    size, into, total = config.geometry.window(component).size, 1, 0
    for width in config.encoder_widths:
        size //= 2
        total += _conv(width, into, 4, size) + _res(width, size)
        into = width
    return total + 2 * into * size * size * config.latent


def _decoder(config: Config, component: str, widths, channels: int) -> int:
    size, width = config.grid(component), config.encoder_widths[-1]
    total = 2 * config.latent * width * size * size + _res(width, size)
    for up in widths:
        total += _conv(up, width, 4, size)  # 4x4 weights for every input cell
        size, width = size * 2, up
        total += _res(up, size)
    return total + _conv(channels, width, 5, size)


def image_decoder(config: Config, component: str) -> int:
    """One latent through a component's image decoder."""
    return _decoder(config, component, config.image_widths, 1)


def feature_decoder(config: Config, component: str) -> int:
    """One latent through a component's feature decoder."""
    return _decoder(config, component, config.feature_widths, config.feature_channels)


def generator(config: Config) -> int:
    """One merged feature map to one picture."""
    size, width = config.canvas, config.generator_width
    total = _conv(width, config.feature_channels, 7, size)
    for _ in range(config.generator_downs):
        size //= 2
        total += _conv(width * 2, width, 3, size)
        width *= 2
    total += config.generator_blocks * _res(width, size)
    for _ in range(config.generator_downs):
        total += _conv(width // 2, width, 3, size)
        size, width = size * 2, width // 2
    return total + _conv(3, width, 7, size)


def discriminator(config: Config) -> int:
    """One picture with its feature map through all scales."""
    total, canvas = 0, config.canvas
    for _ in range(config.discriminator_scales):
        size, into, width = canvas, config.feature_channels + 3, config.discriminator_width
        for layer in range(config.discriminator_layers + 2):
            last = layer == config.discriminator_layers + 1
            stride = 2 if layer < config.discriminator_layers else 1
            size = (size + 4 - 4) // stride + 1
            total += _conv(1 if last else width, into, 4, size)
            into, width = width, min(width * 2, 512)
        canvas //= 2
    return total


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
    per = {"encode": encoder, "decode": image_decoder, "features": feature_decoder,
           "generator": lambda config, component: generator(config)}
    return sum(per[kind](config, component) * count for kind, counts in work.items() for component, count in
               counts.items())


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
        total += 7 * discriminator(config)
    return batch * total


def parts(config: Config) -> Dict[str, int]:
    """What a full face with all neighbours is made of, for people."""
    return {"encode": sum(encoder(config, c) for c in COMPONENTS),
            "decode": NEIGHBOURS * sum(image_decoder(config, c) for c in COMPONENTS),
            "features": sum(feature_decoder(config, c) for c in COMPONENTS), "generator": generator(config)}
