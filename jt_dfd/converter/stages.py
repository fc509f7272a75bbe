"""Both frameworks' networks run stage by stage on the same seeded input; needs neither framework by itself.

A stage is one entry of a network's sequence (a Down, a Res, a convolution, ...).  ``small`` runs the convolutions on a
corner of the picture: every weight takes part all the same, in a fraction of the time.
"""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from .. import layout
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

    if kind == "discriminator":
        size = min(config.canvas, 64) if small else config.canvas
        maps = network(noise(1, config.feature_channels, size, size), noise(1, 3, size, size))
        for scale, outputs in enumerate(maps):
            for layer, output in enumerate(outputs):
                yield f"scale{scale}_layer{layer}", output
        return
    x, stage = None, 0
    for sequence in layout.network(kind, config, component):
        width, size = layout.channels(sequence.layers), sequence.size
        if small and size:
            size = _smaller(sequence)
        if x is None or (small and not sequence.size):  # the linear layer wants the whole grid
            x = noise(1, width, size, size) if size else noise(1, width)
        elif size:
            x = x.reshape((1, width, sequence.size, sequence.size))[:, :, :size, :size]
        else:
            x = x.reshape((1, -1))
        for number, layer in enumerate(getattr(network, sequence.name)):
            x = layer(x)
            yield f"{sequence.name}.{number}", x
            if given is not None:
                x = tensor(given[stage])
            stage += 1


def _smaller(sequence: layout.Sequence) -> int:
    """Edge of a corner of the sequence's map, four cells of its lowest resolution (a generator's eight) or all there
    are."""
    lowest = size = sequence.size
    for layer in sequence.layers:
        size = layout.size_after(layer, size)
        lowest = min(lowest, size)
    cells = 8 if sequence.name == "model" else 4
    return sequence.size // lowest * min(cells, lowest)


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
