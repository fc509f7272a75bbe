"""Augmentation, and that left and right are never mixed up."""
from dataclasses import asdict

import cv2
import numpy as np
import pytest

from jt_dfd.components import CANONICAL_POINTS, Geometry
from jt_dfd.data import index, items, strokes
from jt_dfd.data.items import Augmentation
from jt_dfd.pictures import read_picture, write_png

STILL = Augmentation(**{name: 0.0 for name in asdict(Augmentation())})


def marked_set(folder, sketch, photo):
    write_png(folder / "p.png", photo)
    write_png(folder / "s.png", sketch)
    index.write(folder, [index.Row("p.png", "s.png")])
    return (("p.png", "s.png"),)


def marked_pictures():
    """A frame as alignment makes it: a solid square at the left eye, a ring at the right one, red and blue in the
    photograph; strokes wide enough to survive any canvas."""
    sketch = np.full((512, 512), 255, np.uint8)
    photo = np.full((512, 512, 3), 255, np.uint8)
    lx, ly = (int(v) for v in CANONICAL_POINTS["left_eye"])
    rx, ry = (int(v) for v in CANONICAL_POINTS["right_eye"])
    for offset in range(-20, 21, 8):  # five level bars: left
        cv2.line(sketch, (lx - 24, ly + offset), (lx + 24, ly + offset), 0, 2)
    cv2.circle(sketch, (rx, ry), 22, 0, 2)  # a ring: right
    cv2.circle(photo, (lx, ly), 24, (255, 0, 0), -1)
    cv2.circle(photo, (rx, ry), 24, (0, 0, 255), -1)
    return sketch, photo


def is_bars(crop):
    """Bars have ink all over their middle, a ring has none there."""
    ink = (255.0 - crop) / 255
    rows, columns = np.nonzero(ink > 0.3)
    if len(rows) == 0:
        return False
    y, x = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    distance = np.hypot(*(np.indices(ink.shape) - np.array([y, x]).reshape(2, 1, 1)))
    return ink[distance < 0.25 * (columns.max() - columns.min())].sum() > 0.12 * ink.sum()


@pytest.mark.parametrize("canvas", [512, 256])
@pytest.mark.parametrize("strength", [Augmentation(), Augmentation(flip=1), Augmentation(flip=0),
                                      Augmentation(**{**asdict(STILL), "flip": 1.0, "width_low": 2,
                                                      "width_high": 2})])
def test_left_and_right_are_never_mixed_up(tmp_path, canvas, strength):
    """Whatever is done to a pair: sketch and photograph agree on which eye is where, and each eye's window holds the
    eye that is on its side of the sketch."""
    files = marked_set(tmp_path, *marked_pictures())
    geometry = Geometry(canvas)
    seen = set()
    for stage in items.STAGES:
        loader = items.ItemLoader(items.Spec(str(tmp_path), canvas, stage, 5, strength, files))
        for epoch in range(12):
            item = loader.load(epoch, 0)
            seen.add(item.flipped)
            half = canvas // 2
            left_has_bars = is_bars(geometry.crop(item.sketch, "eye1"))
            right_has_bars = is_bars(geometry.crop(item.sketch, "eye2"))
            assert (left_has_bars, right_has_bars) == ((False, True) if item.flipped else (True, False))
            # the components' own inputs, moved a little by themselves in stage I, hold the eyes of their side
            assert is_bars(item.crops["eye1"]) == left_has_bars and is_bars(item.crops["eye2"]) == right_has_bars
            if stage == "synthesis":
                red = (item.photo[:, :, 0] > 200) & (item.photo[:, :, 2] < 60)
                blue = (item.photo[:, :, 2] > 200) & (item.photo[:, :, 0] < 60)
                red_at, blue_at = (np.nonzero(m)[1].mean() for m in (red, blue))
                assert (red_at < half < blue_at) == left_has_bars, "the photograph is mirrored, the sketch is not"
                for part, mask in (("eye1", red if not item.flipped else blue),
                                   ("eye2", blue if not item.flipped else red)):
                    window = geometry.crop(mask.astype(np.uint8), part)
                    assert window.sum() > 0.99 * mask.sum(), "an eye's window lost its eye"
    assert seen == ({True, False} if strength.flip == 0.5 else {bool(strength.flip)})


def test_the_whole_canvas_is_mirrored_not_the_windows():
    """The eye windows are not mirror images of each other about the canvas: flipping crops would move the eyes."""
    w1, w2 = (Geometry().window(p) for p in ("eye1", "eye2"))
    assert w1.x + w1.size - 1 != 511 - w2.x


def test_nothing_switched_on_leaves_a_line_sketch_in_place(samples):
    sketch = read_picture(sorted((samples / "sketches").iterdir())[0])
    out = items.sketch_from_paths(items.to_paths(sketch), Augmentation(**{**asdict(STILL), "width_low": 2,
                                                                             "width_high": 2}),
                                    items.generator(0, 0, 0))
    distance = cv2.distanceTransform((sketch >= 128).astype(np.uint8), cv2.DIST_L2, 5)
    back = cv2.distanceTransform((out >= 128).astype(np.uint8), cv2.DIST_L2, 5)
    assert np.quantile(distance[out < 128], 0.99) < 2.5
    assert np.quantile(back[sketch < 128], 0.98) < 2.5


def test_the_same_numbers_give_the_same_sketch_and_others_another(samples):
    paths = items.to_paths(read_picture(sorted((samples / "sketches").iterdir())[2]))
    draw = lambda *key: items.sketch_from_paths(paths, Augmentation(), items.generator(*key))  # noqa: E731
    first = draw(1, 2, 3)
    assert (first == draw(1, 2, 3)).all()
    for other in ((1, 2, 4), (1, 3, 3), (2, 2, 3)):
        assert (first != draw(*other)).mean() > 0.01


def test_wider_pens_leave_more_ink_and_dropping_leaves_less(samples):
    paths = items.to_paths(read_picture(sorted((samples / "sketches").iterdir())[0]))

    def ink(**changes):
        strength = Augmentation(**{**asdict(STILL), "width_low": 2, "width_high": 2, **changes})
        return np.mean([(items.sketch_from_paths(paths, strength, items.generator(0, e, 0)) < 128).mean()
                        for e in range(6)])

    plain = ink()
    assert ink(width_low=4, width_high=4) > 1.4 * plain
    assert ink(drop=1.0) < 0.9 * plain
    assert ink(breaks=2.0, gap=12.0) < 0.9 * plain
    assert abs(ink(wobble=2.0, wobble_scale=48, tremor=0.5, stray=1.0) / plain - 1) < 0.15


def test_the_bend_has_the_asked_size():
    field = np.stack([items.bend_field(items.generator(0, e, 0), 2.0, 48.0) for e in range(10)])
    assert 1.5 < np.sqrt((field ** 2).mean()) < 2.5
    step = np.abs(np.diff(field, axis=2)).max()
    assert step < 1.5, "neighbouring pixels must go nearly the same way, or strokes tear"


def test_a_grey_sketch_is_bent_as_a_picture(samples):
    from jt_dfd.data.sketching import photocopy

    grey = photocopy(read_picture(sorted((samples / "faces").iterdir())[0]))
    assert items.to_paths(grey) is None
    out = items.bend_picture(grey, Augmentation(), items.generator(0, 0, 0))
    assert out.shape == grey.shape and 0.01 < (np.abs(out.astype(int) - grey) > 20).mean() < 0.5


def test_sketches_are_taken_for_what_they_are(samples):
    for path in (samples / "sketches").iterdir():
        assert items.is_line_sketch(read_picture(path))
    soft = strokes.draw([np.array([[20, 20], [400, 350]], np.float32)], width=3, soft=True)
    assert items.is_line_sketch(soft) and items.is_line_sketch(np.full((512, 512), 255, np.uint8))


@pytest.mark.parametrize("bad", [{"flip": 1.5}, {"wobble": -1}, {"gap": "much"}, {"width_low": 5},
                                 {"drop": float("nan")}, {"breaks": True}])
def test_strengths_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match="augmentation"):
        Augmentation(**bad)
