"""The training set as Jittor reads it, for both stages.

    data = FaceDataset("set", geometry, stage="synthesis", batch_size=4, seed=1, augmentation=Augmentation())
    data.set_position(epoch, step)            # where a resumed run goes on
    for batch in data:                        # the rest of this epoch; the next loop is the next epoch
        batch.sketch, batch.photo, batch.crops["eye1"]

The order depends on seed and epoch, each item's augmentation on seed, epoch and item, and on nothing else: not on the
number of workers, and not on how often a run was interrupted.
"""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from ..backend import jt
from ..components import COMPONENTS, Geometry
from ..errors import InputError
from ..pictures import to_input
from . import index
from .items import STAGES, Augmentation, Item, ItemLoader, Spec, files_of
from .workers import Workers


@dataclass
class Batch:
    """One step's data, float32 in [-1, 1], x -> (x - 127.5) / 127.5.

    crops   {component: (N, 1, size, size)}, the encoders' inputs; ``rest`` with the part windows painted white
    sketch  (N, 1, canvas, canvas)
    photo   (N, 3, canvas, canvas) RGB, None in stage "embedding"
    rows    the index rows; items: their numbers in the dataset's rows; styles: of their sketches
    """

    crops: Dict[str, "jt.Var"]
    sketch: "jt.Var"
    photo: Any
    rows: List[index.Row]
    items: Tuple[int, ...]
    epoch: int
    step: int
    styles: Tuple[str, ...] = ()

    def __len__(self):
        return len(self.items)


class FaceDataset(jt.dataset.Dataset):
    """The pairs of one split of a folder with index.csv.

    geometry       of the network's configuration (``config.geometry``): release or compact canvas
    stage          "embedding" (stage I: crops and sketch) or "synthesis" (stage II: and the photograph)
    batch_size     over all ranks together; rank r of w gets the r-th w-th of every batch
    seed           decides order and augmentation
    augmentation   strengths, or None for the sketches as they are
    shuffle        False for the order of the index
    workers        processes that load ahead; 0 loads in this one
    drop_last      leave out the last, smaller batch of an epoch
    styles         which sketches: a tuple of style names (lines, drawn ...), of which each item gets one by seed and
                   epoch, each as likely; rows without any of them are left out.  None: every style that the set has
    cache_mb       memory for decoded pictures, in MiB, over all workers
    SetError, PictureError and ValueError say what is wrong with the set or the arguments.
    """

    def __init__(self, folder, geometry: Geometry, stage: str, batch_size: int = 16, *, split: str = "train",
                 gender: Optional[str] = None, seed: int = 0, augmentation: Optional[Augmentation] = None,
                 shuffle: bool = True, workers: int = 0, drop_last: bool = True, cache_mb: int = 1024,
                 rank: int = 0, world_size: int = 1, styles: Optional[Tuple[str, ...]] = None):
        super().__init__(batch_size=batch_size, shuffle=shuffle, drop_last=drop_last)
        if stage not in STAGES:
            raise ValueError(f"no stage {stage!r}; there are {', '.join(STAGES)}")
        if batch_size < 1 or batch_size % world_size or not 0 <= rank < world_size:
            raise InputError(f"a batch of {batch_size} cannot be dealt to rank {rank} of {world_size}; "
                             "the batch size must be a multiple of the number of ranks")
        self.rows = index.read(folder, split=split, gender=gender)
        if not self.rows:
            raise index.SetError(f"{index.index_path(folder)}: no rows of split {split!r}"
                                 + (f" and gender {gender!r}" if gender else ""))
        self.styles = self._styles(folder, styles)
        if drop_last and len(self.rows) < batch_size:
            raise InputError(f"{index.index_path(folder)}: {len(self.rows)} pairs in split {split!r} make no whole "
                             f"batch of {batch_size}; use a smaller batch")
        if drop_last is False and world_size > 1 and len(self.rows) % world_size:
            raise InputError(f"{len(self.rows)} pairs cannot be dealt evenly to {world_size} ranks; set drop_last")
        self.geometry, self.stage, self.seed = geometry, stage, seed
        self.rank, self.world_size, self.worker_count = rank, world_size, workers
        files, drawn = files_of(self.rows, folder, self.styles)
        self.spec = Spec(str(index.root(folder)), geometry.canvas, stage, seed, augmentation, files,
                         (cache_mb << 20) // max(1, workers), index.sketch_style(folder), drawn)
        self.set_attrs(total_len=len(self.rows))
        self.epoch, self.step = 0, 0
        self._loader: Optional[ItemLoader] = None
        self._pool: Optional[Workers] = None

    def _styles(self, folder, wanted: Optional[Tuple[str, ...]]) -> Tuple[str, ...]:
        """The styles in use; rows that have none of them go."""
        if wanted is None:
            return index.styles_of(folder, self.rows)
        there = index.styles_of(folder, index.read(folder))
        unknown = sorted(set(wanted) - set(there))
        if unknown or not wanted:
            raise index.SetError(f"{index.index_path(folder)}: no sketches of style {', '.join(unknown) or 'nothing'}; "
                                 f"the set has {', '.join(there)}"
                                 + ("; tools/prepare_data.py adds drawn ones to a set" if index.DRAWN in unknown
                                    else ""))
        if index.sketch_style(folder) not in wanted:
            self.rows = [row for row in self.rows if row.drawn]
            if not self.rows:
                raise index.SetError(f"{index.index_path(folder)}: none of these rows has a drawn sketch")
        return tuple(wanted)

    def __len__(self) -> int:
        """Steps (batches) in an epoch."""
        full, rest = divmod(len(self.rows), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __getitem__(self, item: int) -> Item:
        """One item as the current epoch sees it (uint8 arrays, see items.Item), loaded in this process."""
        if self._loader is None:
            self._loader = ItemLoader(self.spec)
        return self._loader.load(self.epoch, item)

    def set_position(self, epoch: int, step: int = 0) -> None:
        """Go to a step of an epoch; a step past the end of the epoch counts into the next ones."""
        if epoch < 0 or step < 0:
            raise ValueError(f"no position epoch {epoch}, step {step}")
        self.epoch, self.step = epoch + step // len(self), step % len(self)

    def order(self, epoch: int) -> np.ndarray:
        """The item numbers of an epoch in the order they are seen."""
        if not self.shuffle:
            return np.arange(len(self.rows))
        # the leading number keeps this stream apart from the augmentation's (seed, epoch, item)
        return np.random.default_rng([0x0DE2, self.seed & 0xFFFFFFFF, epoch]).permutation(len(self.rows))

    def batch_items(self, epoch: int, step: int) -> Tuple[int, ...]:
        """The item numbers of one step that belong to this rank."""
        order = self.order(epoch)[step * self.batch_size:(step + 1) * self.batch_size]
        share = len(order) // self.world_size
        return tuple(int(i) for i in order[self.rank * share:(self.rank + 1) * share])

    def __iter__(self) -> Iterator[Batch]:
        """The batches from the current position to the end of its epoch; then the position is the next epoch's start.

        The position is moved on before a batch is handed out: saved in the middle of a step, it names the next one.
        """
        epoch, first = self.epoch, self.step
        order = [self.batch_items(epoch, step) for step in range(first, len(self))]
        for offset, loaded in enumerate(self._load(epoch, order)):
            step = first + offset
            self.set_position(epoch, step + 1)
            yield self._batch(loaded, order[offset], epoch, step)

    def _load(self, epoch: int, order) -> Iterator[List[Item]]:
        if not self.worker_count:
            if self._loader is None:
                self._loader = ItemLoader(self.spec)
            for items in order:
                yield [self._loader.load(epoch, item) for item in items]
            return
        if self._pool is None:
            self._pool = Workers(self.worker_count, "jt_dfd.data.items:make", self.spec)
        pool = self._pool
        pending: deque = deque()
        ahead = max(2, -(-2 * self.worker_count * self.world_size // self.batch_size) + 1)
        try:
            for items in order:
                for item in items:  # always the same worker for an item: nothing is cached twice
                    pool.submit(item % self.worker_count, epoch, item)
                pending.append(items)
                if len(pending) > ahead:
                    yield [pool.result(i % self.worker_count) for i in pending.popleft()]
            while pending:
                yield [pool.result(i % self.worker_count) for i in pending.popleft()]
        except BaseException:
            # answers nobody waits for must not be taken for those of the next epoch
            self.close()
            raise

    def _batch(self, loaded: List[Item], items, epoch: int, step: int) -> Batch:
        crops = {name: _grey([one.crops[name] for one in loaded]) for name in COMPONENTS}
        photo = None
        if loaded[0].photo is not None:
            photo = _scaled(np.stack([one.photo for one in loaded]).transpose(0, 3, 1, 2))
        return Batch(crops, _grey([one.sketch for one in loaded]), photo, [self.rows[i] for i in items], items, epoch,
                     step, tuple(one.style for one in loaded))

    def close(self) -> None:
        """End the worker processes; they start again when needed."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def _grey(pictures: List[np.ndarray]):
    return _scaled(np.stack(pictures)[:, None])


def _scaled(array: np.ndarray):
    return jt.array(np.ascontiguousarray(to_input(array)))
