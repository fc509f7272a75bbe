"""The similarity warp."""
import cv2
import numpy as np
import pytest

from jt_dfd.components import CANONICAL_POINTS
from jt_dfd.data import align


def moved(matrix):
    """The canonical points through a matrix."""
    return {name: tuple(align.apply(np.asarray(matrix, float), [p])[0]) for name, p in CANONICAL_POINTS.items()}


def test_canonical_points_stay():
    assert np.allclose(align.similarity(CANONICAL_POINTS), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("turn, scale, shift", [(0, 2, (10, 20)), (30, 0.5, (-40, 300)), (-170, 7, (900, 5))])
def test_any_similarity_is_undone(turn, scale, shift):
    a = np.radians(turn)
    forward = np.array([[scale * np.cos(a), -scale * np.sin(a), shift[0]],
                        [scale * np.sin(a), scale * np.cos(a), shift[1]]])
    back = align.similarity(moved(forward))
    assert np.allclose(back, align.invert(forward), atol=1e-8)


def test_a_mirrored_face_is_not_mirrored_back():
    mirrored = {name: (511 - x, y) for name, (x, y) in CANONICAL_POINTS.items()}
    assert np.linalg.det(align.similarity(mirrored)[:, :2]) > 0


def test_eyes_pull_harder_than_a_long_chin():
    points = dict(CANONICAL_POINTS, mouth_left=(195, 400), mouth_right=(317, 400), nose=(256, 345))
    matrix = align.similarity(points)
    for eye in ("left_eye", "right_eye"):
        assert np.hypot(*(align.apply(matrix, [points[eye]])[0] - CANONICAL_POINTS[eye])) < 6


@pytest.mark.parametrize("points", [{n: (5.0, 5.0) for n in CANONICAL_POINTS},
                                    dict(CANONICAL_POINTS, nose=(float("nan"), 1.0))])
def test_points_that_determine_nothing_are_an_error(points):
    with pytest.raises(ValueError):
        align.similarity(points)


def test_a_dot_lands_where_the_matrix_says():
    picture = np.zeros((900, 700), np.uint8)
    cv2.circle(picture, (410, 620), 6, 255, -1)
    matrix = np.array([[0.4, -0.1, 90.0], [0.1, 0.4, 30.0]])
    out = align.warp(picture, align.invert(matrix))
    rows, columns = np.nonzero(out > 100)
    assert np.allclose((columns.mean(), rows.mean()), align.apply(matrix, [(410, 620)])[0], atol=0.3)


@pytest.mark.parametrize("shrink", [1.5, 2, 3, 4, 6, 11])
def test_shrinking_averages_instead_of_picking(shrink):
    """The mean over shrink x shrink pixels of noise has the noise's spread divided by shrink; a picked pixel has
    all."""
    size = int(512 * shrink) + 40
    picture = np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8)
    out = align.warp(picture, np.array([[shrink, 0, 10.0], [0, shrink, 10.0]]))
    assert abs(out.mean() - picture.mean()) < 1
    assert out.std() < 1.3 * picture.std() / shrink


def test_shrinking_does_not_shift_the_picture():
    picture = np.zeros((4000, 4000), np.uint8)
    cv2.rectangle(picture, (1600, 1200), (2399, 1999), 255, -1)
    out = align.warp(picture, np.array([[4000 / 512, 0, (4000 / 512 - 1) / 2], [0, 4000 / 512, (4000 / 512 - 1) / 2]]))
    reference = cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA)
    weights = out.astype(float), reference.astype(float)
    centres = [(w.sum(0) @ np.arange(512) / w.sum(), w.sum(1) @ np.arange(512) / w.sum()) for w in weights]
    assert np.allclose(centres[0], centres[1], atol=0.1)


def test_beyond_the_photograph_its_border_is_repeated():
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[-1] = 200
    out = align.warp(picture, np.array([[1.0, 0, 0], [0, 1, 100]]))
    assert (out[450:] == 200).all()
