"""Sketching styles: photocopy by its definition, lines by the edge network (Jittor)."""
import cv2
import numpy as np
import pytest

from jt_dfd.data.sketching import Sketcher, photocopy
from jt_dfd.pictures import read_picture


def blur(values, sigma):
    radius = int(6 * sigma) + 1
    at = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (at / sigma) ** 2)
    return np.convolve(np.pad(values, radius, "reflect"), kernel / kernel.sum(), "valid")


def test_photocopy_follows_its_definition():
    """A picture of upright stripes, computed again along one row with plain numpy."""
    row = np.full(400, 0.8)
    row[100:110], row[200:260] = 0.1, 0.3
    picture = np.round(np.tile(row, (400, 1)) * 255).astype(np.uint8)
    out = photocopy(picture)[200].astype(float) / 255
    values = np.round(row * 255) / 255
    sigma = lambda radius: (radius + 1) / np.sqrt(2 * np.log(255))  # noqa: E731
    fine, coarse = blur(values, sigma(5)), blur(values, sigma(10))
    ratio = fine / coarse
    dark = ratio < 0.75
    fall = 0.75 - np.quantile(ratio[dark], 0.2)
    rise = np.quantile(ratio[~dark], 0.8) - 0.75
    expected = np.where(dark, fine * (1 - np.clip((0.75 - ratio) / fall, 0, 1)),
                        fine + (1 - fine) * np.clip((ratio - 0.75) / rise, 0, 1))
    assert np.abs(out - expected).max() < 0.03


@pytest.mark.parametrize("picture", [np.full((512, 512, 3), 255, np.uint8), np.zeros((512, 512, 3), np.uint8),
                                     np.full((512, 512), 90, np.uint8)])
def test_photocopy_of_nothing_is_no_line(picture):
    out = photocopy(picture)
    assert out.shape == (512, 512) and out.dtype == np.uint8 and np.ptp(out) <= 1


def test_photocopy_of_a_face_is_dark_lines_on_white(samples):
    out = Sketcher("photocopy")(read_picture(samples / "faces/00904.webp"))
    assert (out > 200).mean() > 0.6 and 0.01 < (out < 80).mean() < 0.25


def test_an_unknown_style_and_a_wrong_picture_are_refused():
    with pytest.raises(ValueError, match="lines, photocopy, drawn"):
        Sketcher("crayon")
    with pytest.raises(ValueError, match="512x512"):
        Sketcher("photocopy")(np.zeros((256, 256, 3), np.uint8))


@pytest.fixture(scope="module")
def sketcher():
    return Sketcher("lines")


def test_lines_of_a_sample_are_its_stored_sketch(sketcher, samples, edge_model):
    """Drawn again from the stored face; on another processor rounding may tip a stroke over a threshold."""
    face, stored = read_picture(samples / "faces/00904.webp"), read_picture(samples / "sketches/00904.png")
    sketch = sketcher(face)
    assert set(np.unique(sketch)) == {0, 255} and sketch.shape == (512, 512)
    near = cv2.distanceTransform((stored > 128).astype(np.uint8), cv2.DIST_L2, 5) < 3
    back = cv2.distanceTransform((sketch > 128).astype(np.uint8), cv2.DIST_L2, 5) < 3
    assert near[sketch < 128].mean() > 0.97 and back[stored < 128].mean() > 0.97


def test_lines_do_not_depend_on_what_was_drawn_before(sketcher, samples, edge_model):
    a, b = (read_picture(samples / f"faces/{n}.webp") for n in ("00013", "00904"))
    first = sketcher(a)
    sketcher(b)
    assert (sketcher(a) == first).all()


def test_the_edge_network_answers_to_edges(sketcher, edge_model):
    picture = np.full((512, 512, 3), 230, np.uint8)
    cv2.circle(picture, (256, 256), 120, (60, 40, 40), -1)
    edges = sketcher.edges(picture)
    assert edges.shape == (512, 512) and edges.min() >= 0 and edges.max() <= 1
    distance = np.abs(np.hypot(*(np.indices((512, 512)) - 256)) - 120)
    assert edges[distance < 2].mean() > 0.6
    assert edges[(distance > 25) & (distance < 130)].mean() < 0.1


def test_the_edge_network_is_vgg_with_side_outputs(edge_model):
    """Against plain numpy on a small picture: first stage by hand, and the sizes of the rest."""
    import h5py

    from jt_dfd.backend import jt
    from jt_dfd.data import models
    from jt_dfd.data.hed import EdgeDetector

    network = EdgeDetector().network
    x = np.random.default_rng(0).normal(0, 40, (1, 3, 32, 48)).astype(np.float32)
    with jt.no_grad():
        sides = [s.numpy() for s in network(jt.array(x))]
    assert [s.shape for s in sides] == [(1, 1, 32 >> i, 48 >> i) for i in range(5)]
    with h5py.File(str(models.path("hed")), "r") as f:
        y = x[0].transpose(1, 2, 0)
        for name in ("conv2d", "conv2d_1"):
            w, b = (f[f"block1/layers/{name}/vars/{i}"][()] for i in "01")
            padded = np.pad(y, ((1, 1), (1, 1), (0, 0)))
            y = sum(padded[i:i + 32, j:j + 48] @ w[i, j] for i in range(3) for j in range(3)) + b
            y = np.maximum(y, 0)
        expected = (y @ f["dsn1/vars/0"][()][0, 0] + f["dsn1/vars/1"][()])[:, :, 0]
    assert np.abs(sides[0][0, 0] - expected).max() < 1e-3 * np.abs(expected).max()
