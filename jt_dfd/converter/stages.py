"""Both frameworks' networks run stage by stage on the same seeded input; needs neither framework by itself.

A stage is one entry of a network's sequence (a Down, a Res, a convolution, ...).  ``small`` runs the convolutions on a
corner of the picture: every weight takes part all the same, in a fraction of the time.
"""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from ..config import Config

SEED = 20200601


def run(kind: str, network, config: Config, component: str, tensor: Callable[[np.ndarray], Any], small: bool,
        given: Optional["Saved"] = None, seed: int = SEED) -> Iterator[Tuple[str, Any]]:
    """Yields (name of the stage, its output as the framework's tensor).

    tensor: numpy array -> framework's tensor.  given: another run's outputs; every stage then starts from what that run
    gave for the one before, so that rounding does not add up along the network.
    """
    random = np.random.default_rng(seed)

    def noise(*shape):
        return tensor(random.standard_normal(shape, dtype=np.float32))

    def sequence(prefix, layers, x, first=0):
        for i, layer in enumerate(layers):
            x = layer(x)
            yield f"{prefix}.{i}", x
            if given is not None:
                x = tensor(given[first + i])

    if kind == "encoder":
        stages = len(config.encoder_widths)
        cells = min(config.grid(component), 4) if small else config.grid(component)
        x = noise(1, 1, cells << stages, cells << stages)
        for name, x in sequence("conv", network.conv, x):
            yield name, x
        if small:  # the linear layer wants the whole grid
            x = noise(1, config.encoder_widths[-1] * config.grid(component) ** 2)
        elif given is not None:
            x = tensor(given[2 * stages - 1])
        yield "fc_mu", network.fc_mu(x.reshape((1, -1)))
    elif kind in ("image_decoder", "feature_decoder"):
        x = network.fc(noise(1, config.latent))
        yield "fc", x
        if given is not None:
            x = tensor(given[0])
        x = x.reshape((1, network.width, network.grid, network.grid))
        if small:
            x = x[:, :, :4, :4]
        yield from sequence("conv", network.conv, x, 1)
    elif kind == "generator":
        size = min(config.canvas, 8 << config.generator_downs) if small else config.canvas
        yield from sequence("model", network.model, noise(1, config.feature_channels, size, size))
    elif kind == "discriminator":
        size = min(config.canvas, 64) if small else config.canvas
        maps = network(noise(1, config.feature_channels, size, size), noise(1, 3, size, size))
        for scale, outputs in enumerate(maps):
            for layer, output in enumerate(outputs):
                yield f"scale{scale}_layer{layer}", output
    else:
        raise ValueError(f"no network {kind!r}")


class Saved:
    """A run's outputs in a folder, one file a stage: gone through as often as needed, one in memory at a time."""

    def __init__(self, folder: Path, names: List[str]):
        self.folder, self.names = folder, names

    @classmethod
    def keep(cls, outputs: Iterable[Tuple[str, np.ndarray]], folder: Path) -> "Saved":
        names = []
        for name, output in outputs:
            np.save(str(folder / f"{len(names):03d}.npy"), output)
            names.append(name)
        return cls(folder, names)

    def __getitem__(self, stage: int) -> np.ndarray:
        return np.load(str(self.folder / f"{stage:03d}.npy"))

    def __iter__(self) -> Iterator[Tuple[str, np.ndarray]]:
        for stage, name in enumerate(self.names):
            yield name, self[stage]

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(str(self.folder), ignore_errors=True)


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
