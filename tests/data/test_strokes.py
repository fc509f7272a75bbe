"""Thinning, tracing and drawing strokes, and the line style built on them."""
import cv2
import numpy as np
import pytest

from jt_dfd.data import sketching, strokes
from jt_dfd.pictures import read_picture


def drawn(*paths, size=512, width=4):
    return strokes.draw([np.asarray(p, np.float32) for p in paths], size, width)


def test_a_thick_line_becomes_one_path_along_its_middle():
    picture = drawn([(50, 100), (400, 100)], width=7)
    skeleton = strokes.thin(picture < 128)
    paths = strokes.trace(skeleton)
    assert len(paths) == 1
    assert np.abs(paths[0][:, 1] - 100).max() <= 1
    assert paths[0][:, 0].max() - paths[0][:, 0].min() >= 340


def test_thinning_keeps_the_number_of_pieces_and_is_one_pixel_wide(samples):
    ink = read_picture(sorted((samples / "sketches").iterdir())[0]) < 128
    skeleton = strokes.thin(ink)
    before, after = (cv2.connectedComponents(p.astype(np.uint8), connectivity=8)[0] for p in (ink, skeleton))
    assert before == after
    blocks = cv2.filter2D(skeleton, cv2.CV_8U, np.ones((2, 2), np.float32), borderType=cv2.BORDER_CONSTANT)
    assert blocks.max() < 4, "a 2x2 block of ink is left"
    assert not (skeleton.astype(bool) & ~ink).any()


def test_thinning_an_empty_and_a_full_picture_ends():
    assert strokes.thin(np.zeros((40, 40))).sum() == 0
    assert 0 < strokes.thin(np.ones((40, 40))).sum() < 60


def test_a_ring_stays_closed():
    picture = np.full((512, 512), 255, np.uint8)
    cv2.circle(picture, (256, 256), 80, 0, 3)
    paths = strokes.trace(strokes.thin(picture < 128))
    assert len(paths) == 1
    assert (paths[0][0] == paths[0][-1]).all()
    smoothed = strokes.smooth(paths[0], 3)
    assert np.allclose(smoothed[0], smoothed[-1])
    assert np.allclose(np.hypot(*(smoothed - 256).T), 80, atol=1.5)


def test_a_crossing_leaves_the_long_stroke_whole():
    paths = strokes.trace(strokes.thin(drawn([(100, 256), (400, 256)], [(250, 200), (250, 310)]) < 128))
    assert max(len(p) for p in paths) > 290


def test_every_ink_pixel_of_a_skeleton_is_traced(samples):
    skeleton = strokes.thin(read_picture(sorted((samples / "sketches").iterdir())[1]) < 128)
    points = np.concatenate([p if (p[0] != p[-1]).any() else p[:-1] for p in strokes.trace(skeleton)])
    seen = np.unique(points, axis=0)
    assert len(seen) >= 0.97 * skeleton.sum()
    assert len(points) <= 1.02 * len(seen), "only where strokes cross may a pixel come twice"


def test_smoothing_keeps_the_ends_and_flattens_steps():
    path = np.stack([np.arange(100), np.arange(100) % 2 + 50], 1)
    out = strokes.smooth(path, 2.0)
    assert np.allclose(out[[0, -1]], path[[0, -1]], atol=0.6)
    assert out[10:-10, 1].std() < 0.1


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 200])
def test_smoothing_paths_of_any_length_gives_as_many_points(length):
    path = np.stack([np.arange(length), np.zeros(length, int)], 1)
    assert strokes.smooth(path, 4.0).shape == (length, 2)


def test_lines_follow_an_edge_map_and_leave_specks_out():
    edges = np.zeros((512, 512), np.float32)
    cv2.line(edges, (60, 60), (60, 450), 1.0, 3)     # outside the part windows
    cv2.line(edges, (20, 20), (25, 20), 1.0, 3)      # a speck
    sketch = sketching.edges_to_lines(cv2.GaussianBlur(edges, (0, 0), 1.5))
    rows, columns = np.nonzero(sketch < 128)
    assert rows.min() < 70 and rows.max() > 440
    assert abs(np.median(columns) - 60) <= 1
    assert (sketch[10:30, 10:40] == 255).all()
    assert set(np.unique(sketch)) == {0, 255}
    thickness = (sketch[100:400] < 128).sum() / 300
    assert 1.5 <= thickness <= 3.2


def test_small_strokes_stay_where_eyes_and_mouth_are():
    edges = np.zeros((512, 512), np.float32)
    for x, y in ((182, 240), (40, 480)):  # inside eye1's window, and in no part's
        cv2.line(edges, (x, y), (x + 16, y), 1.0, 3)
    sketch = sketching.edges_to_lines(cv2.GaussianBlur(edges, (0, 0), 1.5))
    assert (sketch[230:250, 175:205] < 128).any()
    assert (sketch[470:490, 30:65] == 255).all()


def test_an_edge_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="512x512"):
        sketching.edges_to_lines(np.zeros((256, 256), np.float32))
