"""Settings in pictures and pictures in settings, without a window."""
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jt_dfd.components import COMPONENTS
from jt_dfd.errors import UserError
from jt_dfd.gui import files
from jt_dfd.gui.settings import FaceSettings
from jt_dfd.pictures import PictureError

DRAWING = np.random.default_rng(1).integers(0, 256, (512, 512)).astype(np.uint8)
FACE = np.random.default_rng(2).integers(0, 256, (512, 512, 3)).astype(np.uint8)


def some_settings():
    return FaceSettings("male", {"eye1": 80, "eye2": 63, "nose": 100, "mouth": 0, "rest": 93}, 7, False, 55,
                        {"nose": np.arange(16, dtype=np.float32) / 3})


def same(a, b):
    return (a.gender, a.refine, a.k, a.shadow, a.strength) == (b.gender, b.refine, b.k, b.shadow, b.strength) and \
        set(a.borrowed) == set(b.borrowed) and all(np.array_equal(a.borrowed[n], b.borrowed[n]) for n in a.borrowed)


def test_a_drawing_comes_back_with_its_settings(tmp_path):
    path = tmp_path / "a.png"
    files.save_drawing(path, DRAWING, some_settings())
    opened = files.open_picture(path)
    assert np.array_equal(opened.pixels, DRAWING) and same(opened.settings, some_settings()) and opened.ours


@pytest.mark.parametrize("picture", [FACE, files.side_by_side(DRAWING, FACE)], ids=["face", "side by side"])
def test_a_face_brings_back_the_drawing_it_was_made_from(tmp_path, picture):
    path = tmp_path / "f.png"
    files.save_face(path, picture, DRAWING, some_settings())
    assert np.array_equal(np.asarray(Image.open(path)), picture)
    opened = files.open_picture(path)
    assert np.array_equal(opened.pixels, DRAWING) and same(opened.settings, some_settings())
    assert not opened.ours, "Save must not write the drawing over the face"


def test_a_strange_picture_is_fitted_and_never_written_over(tmp_path):
    path = tmp_path / "s.png"
    Image.fromarray(np.full((300, 700, 3), 255, np.uint8)).save(path)
    opened = files.open_picture(path)
    assert opened.pixels.shape == (512, 512) and opened.pixels.min() == 255
    assert opened.settings is None and not opened.ours


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_any_format(tmp_path, kind):
    path = tmp_path / f"s.{kind.lower()}"
    Image.fromarray(np.uint8(np.indices((200, 200)).sum(0) // 2)).save(path, kind)
    assert files.open_picture(path).pixels.std() > 20


def test_what_is_no_picture_is_named(tmp_path):
    path = tmp_path / "no.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with pytest.raises(PictureError, match="no.png"):
        files.open_picture(path)
    with pytest.raises(PictureError, match="gone.png: no such file"):
        files.open_picture(tmp_path / "gone.png")


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"format": 2}', "[" * 100000, '{"format": NaN}'])
def test_strange_settings_are_no_settings(text):
    assert FaceSettings.from_json(text) is None


anything = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                        lambda c: st.lists(c, max_size=3) | st.dictionaries(
                            st.sampled_from(COMPONENTS + ("x",)), c, max_size=5), max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({name: anything for name in ("gender", "refine", "k", "shadow", "strength", "borrowed")}))
def test_damaged_settings_stay_in_range(data):
    s = FaceSettings.from_json(json.dumps(dict(data, format=1)))
    assert s.gender in ("female", "male") and 1 <= s.k <= 64 and 0 <= s.strength <= 100 and s.shadow in (True, False)
    assert set(s.refine) == set(COMPONENTS) and all(0 <= v <= 100 and type(v) is int for v in s.refine.values())
    assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in s.borrowed.values())


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    files.save_drawing(path, DRAWING, FaceSettings())
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError):
        files.save_drawing(path, DRAWING // 2, FaceSettings())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.png"]


def test_a_second_series_does_not_overwrite_the_first(tmp_path):
    first = files.save_series(tmp_path, "morph", [FACE, FACE])
    second = files.save_series(tmp_path, "morph", [FACE, FACE, FACE])
    assert [os.path.basename(p) for p in first] == ["morph_000.png", "morph_001.png"]
    assert not set(first) & set(second) and len(os.listdir(tmp_path)) == 5


def test_a_photograph_without_a_face_is_refused_in_a_sentence():
    with pytest.raises(UserError) as refused:   # or, without the data tools, what to install
        files.sketch_of(np.full((300, 300, 3), 128, np.uint8), "photocopy")
    assert str(refused.value) and not any(word in str(refused.value) for word in ("photograph.png", "Traceback"))
