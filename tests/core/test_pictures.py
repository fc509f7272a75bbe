"""Pictures in and out: every kind a user has, and every way they can be broken."""
import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from jt_dfd import pictures
from jt_dfd.pictures import PictureError, read_picture, to_sketch, write_png


@pytest.fixture
def drawing():
    rng = np.random.default_rng(0)
    image = np.full((512, 512), 255, np.uint8)
    for _ in range(20):
        cv2.line(image, tuple(map(int, rng.integers(0, 512, 2))), tuple(map(int, rng.integers(0, 512, 2))), 0, 3)
    return image


def save(image, path, **options):
    image.save(path, **options)
    return path


def test_the_same_drawing_in_every_lossless_kind(drawing, tmp_path):
    grey = Image.fromarray(drawing)
    alpha = Image.merge("LA", (Image.new("L", (512, 512), 0), Image.fromarray(255 - drawing)))
    rgba = Image.merge("RGBA", [Image.new("L", (512, 512), 0)] * 3 + [Image.fromarray(255 - drawing)])
    files = [
        save(grey, tmp_path / "grey.png"), save(grey.convert("RGB"), tmp_path / "rgb.png"),
        save(rgba, tmp_path / "rgba.png"), save(alpha, tmp_path / "la.png"),
        save(grey.convert("1", dither=Image.Dither.NONE), tmp_path / "bit.png"),
        save(grey.convert("P"), tmp_path / "palette.png"), save(grey, tmp_path / "grey.bmp"),
        save(grey, tmp_path / "grey.tif"), save(grey.convert("RGB"), tmp_path / "rgb.webp", lossless=True),
        save(Image.fromarray(drawing.astype(np.uint16) * 257), tmp_path / "deep.png"),
        save(Image.fromarray(drawing.astype(np.float32)), tmp_path / "float.tif"),
        save(grey.convert("P"), tmp_path / "a.gif"),
    ]
    for path in files:
        assert np.array_equal(to_sketch(path), drawing), path.name
    for array in (drawing, drawing[..., None], np.stack([drawing] * 3, -1), drawing.astype(np.uint16) * 257,
                  drawing > 0, np.dstack([np.zeros_like(drawing)] * 3 + [255 - drawing])):
        assert np.array_equal(to_sketch(array), drawing), (array.shape, array.dtype)


def test_jpeg_and_cmyk_come_close(drawing, tmp_path):
    for path in (save(Image.fromarray(drawing), tmp_path / "a.jpg", quality=95),
                 save(Image.fromarray(drawing).convert("CMYK"), tmp_path / "cmyk.jpg", quality=95)):
        assert np.abs(to_sketch(path).astype(int) - drawing).mean() < 3, path.name


def test_the_red_channel_counts(tmp_path):
    image = np.full((512, 512, 3), 255, np.uint8)
    image[100:200, :, 0] = 0                 # cyan: ink in red only
    image[300:400, :, 1:] = 0                # red: no ink in red
    sketch = to_sketch(save(Image.fromarray(image), tmp_path / "a.png"))
    assert (sketch[100:200] == 0).all() and (sketch[300:400] == 255).all()


def test_exif_rotation_is_followed(drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(drawing).rotate(90, expand=True), tmp_path / "a.png", exif=exif)
    assert np.array_equal(to_sketch(path), drawing)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (64, 64), (1024, 1024), (511, 513)])
def test_any_size_is_resized_by_cubic_interpolation(size):
    image = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    assert np.array_equal(to_sketch(image), cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC))
    assert to_sketch(image, 256).shape == (256, 256)


def test_a_smaller_canvas_averages_so_that_thin_strokes_stay():
    image = np.full((512, 512), 255, np.uint8)
    image[:, 101] = 0
    assert (to_sketch(image, 256)[:, 50] == 128).all()


@pytest.mark.parametrize("array", [np.zeros((0, 5), np.uint8), np.zeros(9, np.uint8), np.zeros((4, 4, 2), np.uint8),
                                   np.zeros((2, 4, 4, 3), np.uint8), np.zeros((4, 4), np.float32),
                                   np.zeros((4, 4), np.int64), np.array([["a"]])])
def test_arrays_that_are_no_picture_are_refused(array):
    with pytest.raises(PictureError):
        to_sketch(array)


def test_files_that_are_no_picture_are_named(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for path, word in ((tmp_path / "text.png", "not a readable picture"), (tmp_path / "empty.png", "not a readable"),
                       (tmp_path / "none.png", "no such file"), (tmp_path, "folder")):
        with pytest.raises(PictureError, match=word) as caught:
            to_sketch(path)
        assert str(path) in str(caught.value)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(PictureError, match="bomb.png"):
        read_picture(tmp_path / "bomb.png")


def test_a_thousand_damaged_pictures(drawing, tmp_path):
    """An error that names the file, or a picture: never anything else."""
    from test_checkpoints import mutations

    rng, small = np.random.default_rng(0), Image.fromarray(drawing[:96, :96])
    originals = []
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        buffer = io.BytesIO()
        small.save(buffer, format=kind)
        originals.append(buffer.getvalue())
    failed = 0
    for i in range(1000):
        path = tmp_path / "damaged.png"
        path.write_bytes(mutations(originals[i % len(originals)], rng))
        try:
            picture = read_picture(path)
        except PictureError as error:
            failed += 1
            assert "damaged.png" in str(error)
            continue
        assert picture.dtype == np.uint8 and picture.ndim in (2, 3) and picture.size
    assert 100 < failed < 1000


def test_png_is_written_whole_with_its_words(tmp_path, monkeypatch):
    path, picture = tmp_path / "new" / "a.png", np.arange(300, dtype=np.uint16).astype(np.uint8).reshape(10, 10, 3)
    write_png(path, picture, Title="Gesicht \u9762")
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), picture) and image.text["Title"] == "Gesicht \u9762"
    before = path.read_bytes()
    monkeypatch.setattr(Image.Image, "save", lambda self, p, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError):
        write_png(path, picture[::-1])
    assert path.read_bytes() == before and os.listdir(path.parent) == ["a.png"]
    assert pictures.SUFFIXES[0] == ".png"


def test_pixels_that_are_not_numbers_are_refused_by_name(tmp_path):
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "nan.tif")
    with pytest.raises(PictureError, match="nan.tif: holds pixels"):
        read_picture(tmp_path / "nan.tif")


@pytest.mark.parametrize("name, content, way_out", [
    ("a.svg", b"<svg/>", "a vector drawing; export it as PNG"), ("b.pdf", b"%PDF-1.4", "export the page as PNG"),
    ("c.kra", b"PK\3\4", "a painting program's own file; export it as PNG"), ("d.png", b"", "an empty file"),
    ("e.jpg", b"<html>404</html>", "of no format that is known")])
def test_a_file_of_another_kind_is_refused_with_the_way_out(tmp_path, name, content, way_out):
    """Named by itself it had "cannot identify image file" only; in a folder it was said."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PictureError) as refused:
        read_picture(path)
    assert str(path) in str(refused.value) and way_out in str(refused.value)
