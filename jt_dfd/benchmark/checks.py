"""Sizes that both frameworks' sides need; imports neither."""
from __future__ import annotations

from ..components import COMPONENTS
from ..layout import specification
from . import process
from .task import NotHere


def merge_bytes(config) -> int:
    """Bytes that merging reads and writes: every cell of the merged map comes from one map."""
    return 2 * 4 * config.feature_channels * config.canvas ** 2


def check_room(rows: int, width: int) -> None:
    """NotHere where memory does not take a bank twice (as it is made, and where it is used)."""
    free, need = process.available(), 2.2 * 4 * rows * width
    if free is not None and need > free:
        raise NotHere(f"a bank of {rows:,} x {width} needs {need / 1e9:.1f} GB while it is made, "
                      f"{free / 1e9:.1f} GB are free")


def check_training(config, batch: int, stage: str) -> None:
    """NotHere where memory hardly takes a training step: rather no row than a machine without memory.

    Weights five times over (gradient, two moments, average), and activations as they were seen on a CPU: about 70
    maps of the generator's full width at the canvas's size a picture (ours, rough).
    """
    kinds = ("encoder", "image_decoder") if stage.startswith("train1") else ("feature_decoder", "generator",
                                                                             "discriminator")
    numbers = sum(_numbers(kind, config, c) for kind in kinds for c in
                  (COMPONENTS if kind.endswith("coder") else ("rest",)))
    need = 20 * numbers + batch * 4 * config.canvas ** 2 * 70 * config.generator_width
    free = process.available()
    if free is not None and need > free:
        raise NotHere(f"a step needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free (fewer sides in one run, "
                      "or a smaller batch, take less)")


def _numbers(kind, config, component) -> int:
    total = 0
    for shape in specification(kind, config, component).values():
        size = 1
        for edge in shape:
            size *= edge
        total += size
    return total
