"""Both frameworks' networks run stage by stage on the same seeded input; needs neither framework by itself.

A stage is one entry of a network's sequence (a Down, a Res, a convolution, ...).  ``small`` runs the convolutions on a
corner of the picture: every weight takes part all the same, in a fraction of the time.
"""
from __future__ import annotations

from typing import Any, Callable, Iterator, Tuple

import numpy as np

from ..config import Config

SEED = 20200601


def run(kind: str, network, config: Config, component: str, tensor: Callable[[np.ndarray], Any], small: bool,
        seed: int = SEED) -> Iterator[Tuple[str, Any]]:
    """Yields (name of the stage, its output as the framework's tensor).  tensor: numpy array -> framework's tensor."""
    random = np.random.default_rng(seed)

    def noise(*shape):
        return tensor(random.standard_normal(shape, dtype=np.float32))

    if kind == "encoder":
        stages = len(config.encoder_widths)
        cells = min(config.grid(component), 4) if small else config.grid(component)
        x = noise(1, 1, cells << stages, cells << stages)
        for i, layer in enumerate(network.conv):
            x = layer(x)
            yield f"conv.{i}", x
        if small:  # the linear layer wants the whole grid
            flat = noise(1, config.encoder_widths[-1] * config.grid(component) ** 2)
        else:
            flat = x.reshape((1, -1))
        yield "fc_mu", network.fc_mu(flat)
    elif kind in ("image_decoder", "feature_decoder"):
        x = network.fc(noise(1, config.latent))
        yield "fc", x
        x = x.reshape((1, network.width, network.grid, network.grid))
        if small:
            x = x[:, :, :4, :4]
        for i, layer in enumerate(network.conv):
            x = layer(x)
            yield f"conv.{i}", x
    elif kind == "generator":
        size = min(config.canvas, 8 << config.generator_downs) if small else config.canvas
        x = noise(1, config.feature_channels, size, size)
        for i, layer in enumerate(network.model):
            x = layer(x)
            yield f"model.{i}", x
    elif kind == "discriminator":
        size = min(config.canvas, 64) if small else config.canvas
        maps = network(noise(1, config.feature_channels, size, size), noise(1, 3, size, size))
        for scale, outputs in enumerate(maps):
            for layer, output in enumerate(outputs):
                yield f"scale{scale}_layer{layer}", output
    else:
        raise ValueError(f"no network {kind!r}")


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference relative to the output's scale, its largest magnitude; infinite where shapes differ or a
    number is not finite."""
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    scale = float(np.abs(ours).max(initial=0))
    largest = float(np.abs(ours - theirs).max(initial=0))
    if largest == 0:
        return 0.0
    return largest / scale if scale else float("inf")
