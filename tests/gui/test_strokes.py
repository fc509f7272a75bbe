"""Strokes and their pixels, without a window."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jt_dfd.gui.strokes import CANVAS, Picture, Raster, Stroke, to_array


def render(*items, scale=1):
    raster = Raster(scale)
    raster.show(list(items))
    return to_array(raster.image)


def pieces(pixels):
    """How many connected pieces of ink there are (8-neighbours)."""
    ink = pixels < 200
    label, count = np.zeros(ink.shape, int), 0
    for start in zip(*np.nonzero(ink)):
        if label[start]:
            continue
        count += 1
        stack = [start]
        label[start] = count
        while stack:
            y, x = stack.pop()
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    v, u = y + dy, x + dx
                    if 0 <= v < CANVAS and 0 <= u < CANVAS and ink[v, u] and not label[v, u]:
                        label[v, u] = count
                        stack.append((v, u))
    return count


FAST = [(40, 60), (200, 90), (260, 300), (430, 310), (300, 470)]


@pytest.mark.parametrize("pressures", [(1, 1, 1, 1, 1), (0.2, 0.6, 0.9, 0.5, 0.1)], ids=["mouse", "pen"])
def test_a_fast_stroke_has_no_gaps(pressures):
    stroke = Stroke(2.0, points=[(x, y, p) for (x, y), p in zip(FAST, pressures)])
    assert pieces(render(stroke)) == 1


def test_a_fast_stroke_is_a_curve_and_not_a_polygon():
    """Through a right angle of three far points the line stays clear of the corner."""
    pixels = render(Stroke(2.0, points=[(100, 100, 1.0), (300, 100, 1.0), (300, 300, 1.0)]))
    assert pixels[95:105, 295:305].min() == 255
    assert pieces(pixels) == 1


def test_a_line_is_as_wide_as_its_size():
    for width in (1, 2, 5, 20):
        column = render(Stroke(float(width), points=[(100, 200, 1.0), (400, 200, 1.0)]))[:, 250]
        ink = (255 - column.astype(float)) / 255
        assert ink.sum() == pytest.approx(width, abs=0.1)


def test_pressure_makes_a_line_wider():
    pixels = render(Stroke(12.0, points=[(50, 200, 0.05), (150, 200, 0.1), (350, 200, 0.9), (450, 200, 0.95)]))
    ink = (255 - pixels.astype(float)).sum(0) / 255
    assert 3.5 < ink[80] < 6
    assert 10 < ink[420] <= 12.1
    assert np.all(np.diff(ink[60:430]) > -0.6), "from thin to thick without steps back"


def test_a_pressed_line_has_no_holes():
    """Overlapping pieces of an outline must add up, not cancel out."""
    points = [(256 + 90 * np.cos(a), 256 + 60 * np.sin(2 * a), 0.5 + 0.4 * np.sin(3 * a))
              for a in np.linspace(0, 6.28, 60)]
    pixels = render(Stroke(9.0, points=points))
    for x, y, _ in points[3:-3]:
        assert pixels[int(round(y)), int(round(x))] < 40


def test_a_click_is_a_dot():
    assert (render(Stroke(6.0, points=[(100, 120, 1.0)])) < 128).sum() == pytest.approx(np.pi * 9, rel=0.2)
    assert (render(Stroke(6.0, points=[(100, 120, 0.5)])) < 128).any()


def test_eraser_whitens_and_mirror_repeats():
    line = Stroke(20.0, points=[(100, 200, 1.0), (400, 200, 1.0)])
    erased = render(line, Stroke(30.0, erase=True, points=[(250, 180, 1.0), (250, 220, 1.0)]))
    assert erased[200, 250] == 255 and erased[200, 150] == 0
    mirrored = render(Stroke(4.0, mirror=True, points=[(100, 100, 1.0), (150, 300, 1.0)]))
    assert np.abs(mirrored.astype(int) - mirrored[:, ::-1]).max() <= 2, "the same to within rounding of the edges"
    assert mirrored[:, :256].min() == 0


strokes = st.builds(
    Stroke, st.sampled_from([1.0, 2.0, 14.0]), st.booleans(), st.booleans(),
    st.lists(st.tuples(st.floats(-50, 560), st.floats(-50, 560), st.sampled_from([1.0, 0.4])), min_size=1, max_size=6))


@settings(max_examples=12, deadline=None)
@given(st.lists(strokes, min_size=1, max_size=40), st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_pixels_depend_on_the_list_and_not_on_how_one_got_there(items, lengths):
    raster = Raster(1, every=4, keep=3)
    for length in lengths:  # back and forth, as undo and redo go
        raster.show(items[:length])
        assert np.array_equal(to_array(raster.image), render(*items[:length]))


def test_a_picture_replaces_everything():
    page = np.random.default_rng(0).integers(0, 256, (CANVAS, CANVAS)).astype(np.uint8)
    assert np.array_equal(render(Stroke(9.0, points=[(9, 9, 1.0)]), Picture(page)), page)
