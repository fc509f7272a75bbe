"""What a step sees: a pure function of options and step number, so that a resumed run needs only its step count."""
from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Iterator, Optional

from ..config import Config
from ..data import index
from ..data.augment import Augmentation
from . import parallel
from .options import Options

if TYPE_CHECKING:
    from ..data.dataset import Batch, FaceDataset

#: fields of Augmentation that are not a strength to be scaled
_FIXED = ("flip", "width_low", "width_high", "wobble_scale", "gap", "soft")


def augmentation(strength: float) -> Optional[Augmentation]:
    """The data's own augmentation with its strengths multiplied; None for 0."""
    if strength <= 0:
        return None
    plain = Augmentation()
    changed = {f.name: getattr(plain, f.name) * strength for f in fields(plain) if f.name not in _FIXED}
    changed["drop"] = min(1.0, changed["drop"])
    return replace(plain, **changed)


def training_data(options: Options, config: Config, stage: str) -> FaceDataset:
    """The train split, shuffled and augmented, dealt to the ranks."""
    from ..data.dataset import FaceDataset

    return FaceDataset(options.data, config.geometry, stage, options.batch, seed=options.seed,
                       augmentation=augmentation(options.augment), workers=options.workers,
                       cache_mb=options.cache_mb, rank=parallel.rank(), world_size=parallel.world())


def held_out_data(options: Options, config: Config, stage: str, split: str = "test") -> Optional[FaceDataset]:
    """A split in order and as it is, one batch of up to 8 at a time; None where there is no such split.
    Every rank sees all of it: no Jittor call may depend on the rank."""
    from ..data.dataset import FaceDataset

    rows = len(index.read(options.data, split=split))
    if rows == 0:
        return None
    return FaceDataset(options.data, config.geometry, stage, min(rows, 8), split=split, shuffle=False,
                       drop_last=False, cache_mb=256)


def batches(data: FaceDataset, step: int) -> Iterator[Batch]:
    """The batches from ``step`` on, counted from the beginning of the run, without end."""
    data.set_position(0, step)
    while True:
        yield from data


def first(data: Optional[FaceDataset], count: int) -> Iterator[Batch]:
    """Batches in order until ``count`` pictures have been seen."""
    if data is None or count < 1:
        return
    data.set_position(0, 0)
    seen = 0
    for batch in data:
        yield batch
        seen += len(batch)
        if seen >= count:
            break
    data.set_position(0, 0)
