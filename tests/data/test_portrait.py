"""Any picture a user may have, into the canonical frame or out with a reason."""
import cv2
import numpy as np
import pytest
from PIL import Image

from jt_dfd.components import CANONICAL_POINTS, Geometry
from jt_dfd.data import index
from jt_dfd.data.portrait import Options, PhotographSketcher, PortraitMaker, Rejected
from jt_dfd.pictures import read_picture, write_png


@pytest.fixture(scope="module")
def maker():
    return PortraitMaker(Options())


@pytest.fixture
def face(samples, face_models):
    return read_picture(samples / "faces" / "00904.webp")


def placed(face, width, height, centre, size, turn=0.0, paper=235):
    """A photograph of ``width`` x ``height`` with the face of ``size`` pixels in it."""
    matrix = cv2.getRotationMatrix2D((255.5, 255.5), turn, size / 512)
    matrix[:, 2] += np.asarray(centre) - 255.5
    return cv2.warpAffine(face, matrix, (width, height), flags=cv2.INTER_AREA, borderValue=(paper,) * 3)


def assert_aligned(portrait):
    """Eyes within 6 pixels of the canonical points when measured anew, nose and mouth in their windows."""
    from jt_dfd.data.detect import LIPS, NOSE_TIP, NOSE_WINGS, FaceFinder

    assert portrait.face.shape == (512, 512, 3) and portrait.face.dtype == np.uint8
    again = FaceFinder()(portrait.face)
    assert again is not None
    for eye in ("left_eye", "right_eye"):
        assert np.hypot(*np.subtract(again.landmarks[eye], CANONICAL_POINTS[eye])) < 6
        assert np.hypot(*np.subtract(again.landmarks[eye], portrait.landmarks[eye])) < 4
    geometry = Geometry()
    for part, points in (("nose", (NOSE_TIP, *NOSE_WINGS)), ("mouth", LIPS)):
        assert all(geometry.window(part).contains(x, y) for x, y in again.mesh[list(points), :2])


def rejected(maker, source):
    with pytest.raises(Rejected) as caught:
        maker.from_file(source) if not isinstance(source, np.ndarray) else maker.from_picture(source)
    return str(caught.value)


@pytest.mark.parametrize("width, height, centre, size, turn", [
    (900, 1200, (450, 500), 700, 0), (1600, 900, (300, 500), 420, 0), (700, 700, (350, 350), 600, 25),
    (700, 700, (350, 350), 600, -35), (3000, 2000, (2300, 700), 330, 5), (400, 420, (200, 200), 300, 0)])
def test_faces_anywhere_come_out_aligned(face, maker, width, height, centre, size, turn):
    assert_aligned(maker.from_picture(placed(face, width, height, centre, size, turn)))


@pytest.mark.parametrize("name, turn", [("00904", 180), ("00904", 135), ("00904", 225), ("00013", 180), ("00013", 100),
                                        ("00013", 260)])
def test_heads_upside_down_come_out_upright(samples, face_models, maker, name, turn):
    """Found they are either way, with eyes and mouth mixed up; a photograph can be without its EXIF turn."""
    picture = placed(read_picture(samples / "faces" / f"{name}.webp"), 900, 900, (450, 450), 600, turn)
    assert_aligned(maker.from_picture(picture))


@pytest.mark.parametrize("width, height, centre", [(700, 420, (350, 350)), (400, 900, (400, 450)),
                                                   (400, 900, (0, 450))])
def test_half_a_face_is_rejected(face, maker, width, height, centre):
    """Without mouth, or without an eye: repeated border pixels would stand for it."""
    assert "outside the photograph" in rejected(maker, placed(face, width, height, centre, 600))


@pytest.mark.parametrize("width, height", [(900, 600), (620, 900)])
def test_long_and_short_faces_have_their_eyes_in_place(face, maker, width, height):
    assert_aligned(maker.from_picture(cv2.resize(placed(face, 900, 900, (450, 450), 700), (width, height))))


def test_a_small_face_in_a_large_photograph_is_found(face, maker):
    portrait = maker.from_picture(placed(face, 4000, 3000, (3300, 600), 200))
    assert_aligned(portrait)


def test_of_several_faces_the_largest_is_taken_and_said(face, samples, maker):
    other = read_picture(samples / "faces" / "00013.webp")
    picture = placed(face, 1400, 700, (400, 350), 640)
    beside = placed(other, 1400, 700, (1100, 350), 420)
    picture[:, 760:] = beside[:, 760:]
    portrait = maker.from_picture(picture)
    assert_aligned(portrait)
    assert any("2 faces" in note for note in portrait.notes)
    alone = maker.from_picture(placed(face, 1400, 700, (400, 350), 640))
    assert np.abs(portrait.face[200:400, 150:350].astype(int) - alone.face[200:400, 150:350]).mean() < 3


@pytest.fixture
def photocopier(face_models):
    return PhotographSketcher("photocopy")


def test_of_several_faces_the_sketch_says_which_is_drawn(face, photocopier, tmp_path):
    picture = placed(face, 1400, 700, (400, 350), 640)
    picture[:, 760:] = placed(face, 1400, 700, (1100, 350), 420)[:, 760:]
    write_png(tmp_path / "two.png", picture)
    warning, = photocopier(tmp_path / "two.png").warnings
    assert warning.code == "largest" and "2 faces" in warning.text
    write_png(tmp_path / "one.png", face)
    assert not photocopier(tmp_path / "one.png").warnings


@pytest.mark.parametrize("shade", [lambda f: f * 0.12, lambda f: 128 + f * 0.5, lambda f: 200 + f * 0.2])
def test_a_dark_or_pale_photograph_is_drawn_as_one_in_good_light(face, photocopier, tmp_path, shade):
    """Of a face that only the outline is left of, nothing was said."""
    write_png(tmp_path / "good.png", face)
    write_png(tmp_path / "shaded.png", np.clip(shade(face.astype(np.float32)), 0, 255).astype(np.uint8))
    good, shaded = (255 - photocopier(tmp_path / f"{name}.png").page[190:420, 140:372].astype(int)
                    for name in ("good", "shaded"))
    assert 0.7 * good.sum() < shaded.sum() < 1.5 * good.sum()


def test_the_background_turns_white_or_stays(face, maker):
    picture = placed(face, 900, 900, (450, 450), 700, paper=60)
    picture[np.all(picture > 250, axis=2)] = 60
    white = maker.from_picture(picture).face
    kept = PortraitMaker(Options(background="keep")).from_picture(picture).face
    assert (white[20:80, 5:40] > 250).mean() > 0.95
    assert (kept[20:80, 5:40] < 120).mean() > 0.9
    middle = (slice(230, 400), slice(200, 310))
    assert np.abs(white[middle].astype(int) - kept[middle]).mean() < 1


def test_pictures_without_a_face_are_rejected_with_a_reason(maker, face_models):
    rng = np.random.default_rng(0)
    for picture in (np.full((600, 800, 3), 200, np.uint8), rng.integers(0, 256, (600, 800, 3)).astype(np.uint8),
                    np.tile(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], (600, 1, 3))):
        assert "no face" in rejected(maker, picture)


def test_faces_too_small_turned_or_tiny_are_rejected_with_a_reason(face, maker):
    assert "too small" in rejected(maker, placed(face, 500, 500, (250, 250), 90))
    assert "too small" in rejected(maker, cv2.resize(face, (48, 48)))
    strict = PortraitMaker(Options(max_yaw=0.01))
    assert "not frontal" in rejected(strict, placed(face, 900, 900, (450, 450), 700))


def test_damaged_files_are_rejected_with_a_reason(tmp_path, face, maker):
    good = tmp_path / "good.jpg"
    Image.fromarray(face).save(good, quality=90)
    data = good.read_bytes()
    for name, content in (("empty.jpg", b""), ("text.png", b"hello"), ("cut.jpg", data[:len(data) // 2]),
                          ("head.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40)):
        (tmp_path / name).write_bytes(content)
        assert "unreadable" in rejected(maker, tmp_path / name), name
    assert_aligned(maker.from_file(good))


@pytest.mark.parametrize("kind", ["cmyk", "grey", "alpha", "palette", "sixteen", "rotated"])
def test_every_kind_of_file_is_read(tmp_path, face, maker, kind):
    picture = Image.fromarray(placed(face, 700, 900, (350, 430), 600))
    path = tmp_path / f"{kind}.png"
    if kind == "cmyk":
        path = tmp_path / "cmyk.jpg"
        picture.convert("CMYK").save(path, quality=92)
    elif kind == "grey":
        picture.convert("L").save(path)
    elif kind == "alpha":
        picture.putalpha(255)
        picture.save(path)
    elif kind == "palette":
        picture.convert("P", palette=Image.Palette.ADAPTIVE).save(path)
    elif kind == "sixteen":
        Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(path)
    else:
        path = tmp_path / "rotated.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise by a quarter when shown
        picture.transpose(Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif)
    portrait = maker.from_file(path)
    assert_aligned(portrait)
    if kind in ("grey", "sixteen"):
        assert "grey picture" in portrait.notes


def test_aligned_pictures_stay_as_they_are(face, face_models):
    plain = PortraitMaker(Options(frame="aligned", background="keep"))
    portrait = plain.from_picture(face)
    assert (portrait.face == face).all()
    assert np.hypot(*np.subtract(portrait.landmarks["left_eye"], CANONICAL_POINTS["left_eye"])) < 8
    large = plain.from_picture(cv2.resize(face, (1024, 1024), interpolation=cv2.INTER_CUBIC))
    assert np.abs(large.face.astype(int) - face).mean() < 2
    assert "not square" in rejected(plain, face[:400])


def test_given_landmarks_take_the_place_of_detection(face, samples):
    row = next(r for r in index.read(samples) if r.name == "00904")
    scale, shift = 0.6, np.array([120.0, 40.0])
    picture = cv2.warpAffine(face, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (600, 420),
                             flags=cv2.INTER_AREA, borderValue=(255,) * 3)
    points = {n: tuple(np.asarray(p) * scale + shift) for n, p in row.landmarks.items()}
    maker = PortraitMaker(Options(frame="landmarks"))
    portrait = maker.from_picture(picture, points)
    assert_aligned(portrait)
    with pytest.raises(Rejected, match="no landmarks"):
        maker.from_picture(picture)
    with pytest.raises(Rejected):
        maker.from_picture(picture, {n: (50.0, 50.0) for n in points})
    with pytest.raises(Rejected, match="not frontal"):
        maker.from_picture(picture, dict(points, nose=points["left_eye"]))


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="frame"):
        Options(frame="guess")
