"""Geometry: windows, crops, whitening, masks."""
import numpy as np
import pytest

from jt_dfd.components import COMPONENTS, MERGE_ORDER, PARTS, Geometry
from jt_dfd.kernels.selection import soft_mask


def test_release_windows():
    g = Geometry(512)
    got = {c: (g.window(c).x, g.window(c).y, g.window(c).size) for c in COMPONENTS}
    assert got == {"eye1": (108, 156, 128), "eye2": (255, 156, 128), "nose": (182, 232, 160), "mouth": (169, 301, 192),
                   "rest": (0, 0, 512)}
    assert g.nose_cut == 36 and MERGE_ORDER == ("mouth", "nose", "eye1", "eye2")


@pytest.mark.parametrize("canvas", [64, 128, 256, 512])
def test_smaller_canvases_keep_the_face(canvas):
    """Latent grids stay whole, windows stay on the canvas and within half a pixel of the release's places."""
    g, scale = Geometry(canvas), canvas / 512
    for c in COMPONENTS:
        w, big = g.window(c), Geometry(512).window(c)
        assert w.size % (1 << g.downs) == 0 and w.size == big.size * scale
        assert abs(w.x - big.x * scale) <= 0.5 and abs(w.y - big.y * scale) <= 0.5
        assert w.x + w.size <= canvas and w.y + w.size <= canvas


def test_whiten_paints_exactly_the_parts():
    g = Geometry(512)
    ink = np.zeros((512, 512), np.uint8)
    white = g.whiten(ink) == 255
    for part in PARTS:
        rows, columns = g.window(part).slices
        assert white[rows, columns].all()
    assert white.sum() == np.logical_or.reduce([_painted(g, p) for p in PARTS]).sum()
    assert not ink.any(), "the sketch itself must stay as it was"


def _painted(g, part):
    out = np.zeros((512, 512), bool)
    out[g.window(part).slices] = True
    return out


def test_touched_names_the_components_under_a_stroke():
    g = Geometry(512)
    before = np.full((512, 512), 255, np.uint8)
    after = before.copy()
    after[400, 250] = 0                      # in the mouth only
    assert g.touched(before, after) == ("mouth",)
    after[20, 20] = 0                        # hair
    assert g.touched(before, after) == ("mouth", "rest")
    assert g.touched(before, before) == ()


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="512, 256, 128 or 64"):
        Geometry(300)
    with pytest.raises(ValueError, match="512x512"):
        Geometry(512).crop(np.zeros((256, 256), np.uint8), "nose")
    with pytest.raises(ValueError, match="no component 'ear'"):
        Geometry(512).window("ear")


def test_masks_are_dark_in_the_middle_and_light_at_the_rim():
    mask = soft_mask(128)
    assert mask[64, 64] == 0 and mask[0, 0] == 1 and mask[64, 0] > 0.95
    assert (np.diff(mask[64, 64:]) >= 0).all() and np.allclose(mask, mask.T) and np.allclose(mask, mask[::-1])
