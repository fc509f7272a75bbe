"""The dataset as training sees it (Jittor)."""
import numpy as np
import pytest

from jt_dfd.components import COMPONENTS, Geometry
from jt_dfd.config import preset
from jt_dfd.data import index
from jt_dfd.data.items import Augmentation
from jt_dfd.pictures import PictureError, read_picture, to_sketch

dataset = pytest.importorskip("jt_dfd.data.dataset", reason="Jittor does not start here")
FaceDataset = dataset.FaceDataset


def make(samples, stage="synthesis", **changes):
    options = dict(geometry=preset("compact").geometry, stage=stage, batch_size=2, seed=3, augmentation=Augmentation())
    options.update(changes)
    return FaceDataset(samples, **options)


def as_numbers(batch):
    arrays = [batch.sketch, *(batch.crops[n] for n in COMPONENTS)] + ([batch.photo] if batch.photo is not None else [])
    return batch.items, [a.numpy() for a in arrays]


def same(a, b):
    return a[0] == b[0] and all(np.array_equal(x, y) for x, y in zip(a[1], b[1]))


@pytest.mark.parametrize("name", ["release", "compact"])
def test_shapes_ranges_and_that_crops_are_the_geometrys(samples, name):
    geometry = preset(name).geometry
    data = make(samples, geometry=geometry, augmentation=None, shuffle=False, split="test")
    batch = next(iter(data))
    assert tuple(batch.sketch.shape) == (2, 1, geometry.canvas, geometry.canvas)
    assert tuple(batch.photo.shape) == (2, 3, geometry.canvas, geometry.canvas)
    rows = index.read(samples, split="test")
    assert [r.file for r in batch.rows] == [r.file for r in rows]
    sketch = to_sketch(samples / rows[0].sketch, geometry.canvas)
    for part in COMPONENTS:
        size = geometry.window(part).size
        assert tuple(batch.crops[part].shape) == (2, 1, size, size)
        expected = (geometry.crop(sketch, part).astype(np.float32) - 127.5) / 127.5
        assert np.array_equal(batch.crops[part].numpy()[0, 0], expected)
    photo = read_picture(samples / rows[0].file)
    assert batch.photo.numpy().min() >= -1 and batch.photo.numpy().max() <= 1
    shown = batch.photo.numpy()[0].transpose(1, 2, 0) * 127.5 + 127.5
    step = 512 // geometry.canvas
    assert np.abs(shown - photo.reshape(geometry.canvas, step, geometry.canvas, step, 3).mean((1, 3))).mean() < 1


def test_stage_one_has_crops_and_no_photographs(samples):
    batch = next(iter(make(samples, "embedding")))
    assert batch.photo is None and set(batch.crops) == set(COMPONENTS) and len(batch) == 2


def test_an_epoch_is_every_pair_once_and_epochs_differ(samples):
    data = make(samples)
    epochs = [[i for batch in data for i in batch.items] for _ in range(3)]
    assert all(sorted(e) == list(range(6)) for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other = make(samples, seed=4)
    assert [i for batch in other for i in batch.items] != epochs[0]


@pytest.mark.parametrize("stage", ["embedding", "synthesis"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_sees_what_an_uninterrupted_one_does(samples, stage, workers):
    whole = make(samples, stage)
    straight = [as_numbers(batch) for _ in range(2) for batch in whole]
    first = make(samples, stage, workers=workers)
    seen = []
    for batch in first:
        seen.append(as_numbers(batch))
        if len(seen) == 2:
            break
    assert (first.epoch, first.step) == (0, 2)
    first.close()
    resumed = make(samples, stage, workers=workers)
    resumed.set_position(first.epoch, first.step)
    seen += [as_numbers(batch) for _ in range(2) for batch in resumed]
    resumed.close()
    assert len(straight) == len(seen) == 6
    assert all(same(a, b) for a, b in zip(straight, seen))


def test_ranks_share_a_batch(samples):
    whole = [batch.items for batch in make(samples, batch_size=4, drop_last=True)]
    parts = [[batch.items for batch in make(samples, batch_size=4, rank=r, world_size=2)] for r in (0, 1)]
    assert [a + b for a, b in zip(*parts)] == whole
    with pytest.raises(ValueError, match="multiple"):
        make(samples, batch_size=3, world_size=2)


def test_the_last_batch_is_kept_when_asked(samples):
    data = make(samples, batch_size=4, drop_last=False)
    assert len(data) == 2 and [len(b) for b in data] == [4, 2]
    assert len(make(samples, batch_size=4)) == 1


def test_positions_count_on_into_the_next_epoch(samples):
    data = make(samples)
    data.set_position(1, 7)
    assert (data.epoch, data.step) == (3, 1)
    with pytest.raises(ValueError):
        data.set_position(-1, 0)


def test_what_is_wrong_is_said_before_training_starts(a_set):
    with pytest.raises(ValueError, match="no whole batch of 16"):
        make(a_set, batch_size=16)
    with pytest.raises(index.SetError, match="robot"):
        make(a_set, gender="robot")
    with pytest.raises(ValueError, match="stage"):
        make(a_set, stage="three")
    row = index.read(a_set, split="train")[0]
    (a_set / row.sketch).unlink()
    with pytest.raises(PictureError, match=row.sketch):
        make(a_set)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_damaged_since_is_named(a_set, workers):
    data = make(a_set, workers=workers)
    row = index.read(a_set, split="train")[1]
    (a_set / row.file).write_bytes(b"damaged")
    with pytest.raises(PictureError, match=row.name):
        list(data)
    data.close()


def test_a_small_cache_changes_nothing(samples):
    large, none = make(samples), make(samples, cache_mb=0)
    for _ in range(2):
        assert all(same(as_numbers(a), as_numbers(b)) for a, b in zip(large, none))


def test_it_is_a_jittor_dataset(samples):
    from jt_dfd.backend import jt

    data = make(samples)
    assert isinstance(data, jt.dataset.Dataset) and data.total_len == 6
    assert data[0].sketch.dtype == np.uint8 and Geometry(256).canvas == data[0].sketch.shape[0]
