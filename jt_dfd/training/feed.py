"""What a step sees: a pure function of options and step number, so that a resumed run needs only its step count."""
from __future__ import annotations

import zlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Tuple

from ..backend import jt
from ..config import Config
from ..data import index
from ..data.items import Augmentation
from . import parallel
from .options import Options, OptionsError

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
                       cache_mb=options.cache_mb, rank=parallel.rank(), world_size=parallel.world(),
                       styles=index.parse_styles(options.styles))


def held_out_data(options: Options, config: Config, stage: str, split: str = "test") -> Optional[FaceDataset]:
    """A split in order and as it is, one batch of up to 8 at a time; None where there is no such split.
    Every rank sees all of it: no Jittor call may depend on the rank."""
    from ..data.dataset import FaceDataset

    rows = len(index.read(options.data, split=split))
    if rows == 0:
        return None
    return FaceDataset(options.data, config.geometry, stage, min(rows, 8), split=split, shuffle=False,
                       drop_last=False, cache_mb=256, styles=index.parse_styles(options.styles))


def batches(data: FaceDataset, step: int) -> Iterator[Batch]:
    """The batches from ``step`` on, counted from the beginning of the run, without end."""
    data.set_position(0, step)
    while True:
        yield from data


def pictures(data: str, rows) -> Dict[str, Tuple[int, int]]:
    """file -> (bytes, time of change in ns) of the rows' photographs; zeros where one is gone."""
    root, out = index.root(data), {}
    for row in rows:
        try:
            facts = (root / row.file).stat()
            out[row.file] = facts.st_size, facts.st_mtime_ns
        except OSError:
            out[row.file] = 0, 0
    return out


def digest(found: Dict[str, Tuple[int, int]]) -> str:
    """Of what ``pictures`` gives, without times, which a copy of the set need not have."""
    return f"{zlib.crc32(repr(sorted((name, facts[0]) for name, facts in found.items())).encode()):08x}"


def pieces(batch: Batch, count: int) -> List[Batch]:
    """A batch in ``count`` equal pieces.  OptionsError where it cannot be."""
    if count == 1:
        return [batch]
    size, rest = divmod(len(batch), count)
    if rest:
        raise OptionsError(f"--accumulate {count} does not divide the {len(batch)} pictures of a process's batch")

    def cut(variable, start):   # by numpy: Jittor would compile a kernel for every position
        return None if variable is None else jt.array(variable.numpy()[start:start + size])

    return [replace(batch, crops={c: cut(v, start) for c, v in batch.crops.items()}, sketch=cut(batch.sketch, start),
                    photo=cut(batch.photo, start), rows=batch.rows[start:start + size],
                    items=batch.items[start:start + size], styles=batch.styles[start:start + size])
            for start in range(0, len(batch), size)]


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
