"""Pictures in and out: any common file as pixels, the release's own reading of a sketch, PNG files, and sheets of
pictures side by side.

A sketch is one channel, black strokes on white.  Of a colour picture the release reads channel 0 (red); ``to_sketch``
does the same.  What a person meant by a drawing on real paper is the business of :mod:`jt_dfd.drawings`.
"""
from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np

from .atomic import write_atomically
from .errors import UserError

#: file name endings taken for pictures when a folder is listed
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jfif", ".jpe", ".avif",
            ".heic", ".heif")
#: pictures with more pixels are refused before they are decoded (ours; a guard against decompression bombs)
MAX_PIXELS = 100_000_000
#: frames of an animation, or pages of a TIFF, that are looked at for the first one with something on it (ours)
MAX_FRAMES = 100
#: a frame whose channels vary by no more than this, of 255, is empty (ours: what JPEG and dithering leave)
_EMPTY = 8
#: largest values of the kinds of integer pixels there are, 1-bit masks to 16-bit; the smallest that holds all is white
_FULL_SCALES = (1, 255, 1023, 4095, 16383, 65535)
#: endings of painting programs' own files, which nobody else reads
_PROJECTS = (".kra", ".xcf", ".ora", ".procreate", ".clip", ".sai", ".sai2", ".mdp", ".afphoto", ".afdesign", ".ai")
#: brands in the first bytes of a HEIC file
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


class PictureError(UserError, ValueError):
    """A file or array that is no usable picture; the message names it and says why."""


def read_picture(path: Union[str, os.PathLike]) -> np.ndarray:
    """A picture file as a uint8 array, (H, W) grey or (H, W, 3) RGB.

    Transparency is laid over white, deeper and floating pixels are scaled to 8 bit by their own range, EXIF rotation is
    applied, of an animation or a file of several pages the first that is not empty is taken.  PictureError names the
    file where it cannot be read.
    """
    return _decoded(Path(path), opaque)


def read_pixels(path: Union[str, os.PathLike]) -> np.ndarray:
    """The same with transparency left: (H, W), (H, W, 3), or (H, W, 4) RGB and straight alpha, uint8."""
    return _decoded(Path(path), pixels_of)


def frames(source) -> int:
    """How many frames or pages a file or Pillow image has; 1 for whatever else it is.  A camera's previews, in its own
    formats, do not count."""
    from PIL import Image

    if isinstance(source, np.ndarray):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with nullcontext(source) if hasattr(source, "mode") else Image.open(source) as image:
                return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # a file that cannot be read is named where it is read
        return 1


def opaque(image) -> np.ndarray:
    """A Pillow image of any mode as uint8, (H, W) or (H, W, 3), transparency laid over white."""
    from PIL import Image

    array = pixels_of(image)
    if array.ndim == 3 and array.shape[2] == 4:
        white = Image.new("RGBA", array.shape[1::-1], (255, 255, 255, 255))
        array = np.asarray(Image.alpha_composite(white, Image.fromarray(array)).convert("RGB"))
    return array


def pixels_of(image) -> np.ndarray:
    """A Pillow image of any mode as uint8, (H, W), (H, W, 3) or (H, W, 4); a palette image by its colours."""
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        return scaled(np.asarray(image))
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        if mode in ("1", "L"):
            image = image.convert("LA")
        return np.asarray(image.convert("RGBA"))
    if mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if mode == "LAB":  # not among Pillow's own conversions
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return np.asarray(ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB"))
    return np.asarray(image.convert("RGB"))


def scaled(values: np.ndarray) -> np.ndarray:
    """Pixels of any numeric type as uint8, by their own range: integers by the smallest full scale of 1, 8, 10, 12, 14
    or 16 bit that holds them, numbers up to 1 or 255 as they are meant, anything else from its least to its greatest.
    """
    values = np.asarray(values)
    whole = values.dtype.kind in "iub"
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise PictureError("holds pixels that are not numbers")
    low, high = min(0.0, values.min(initial=0)), values.max(initial=0)
    if whole and low == 0:
        high = next((top for top in _FULL_SCALES if top >= high), high)
    elif low == 0 and high <= 1:
        high = 1.0
    elif low == 0 and 128 <= high <= 255:
        high = 255.0
    return np.clip(np.round((values - low) * (255.0 / max(high - low, 1e-12))), 0, 255).astype(np.uint8)


def why_no_picture(path: Union[str, os.PathLike]) -> str:
    """"" where a file is a picture by its content, whatever its name ends in; else the reason, for a list of files that
    were passed over."""
    from PIL import Image

    try:
        head = open(path, "rb").read(16)
        if not head:
            return "an empty file"
        if _is_heic(head):
            return ""
        if head.startswith(b"%PDF") or head.startswith(b"%!PS"):
            return "a document; export the page as PNG"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path):
                return ""
    except OSError as error:
        if Path(path).suffix.lower() in (".svg", ".svgz"):
            return "a vector drawing; export it as PNG"
        if Path(path).suffix.lower() in _PROJECTS:
            return "a painting program's own file; export it as PNG"
        return error.strerror.lower() if error.strerror else "not a picture"
    except Exception:
        return "not a picture"


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC


def _decoded(path: Path, pixels) -> np.ndarray:
    """``pixels(image)`` of the file's first frame with something on it; errors name the file."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd tags; the pixels are read or they are not
            with open(path, "rb") as f:
                head = f.read(16)
            if _is_heic(head):
                _know_heic()
            try:
                with Image.open(path) as image:
                    if image.width * image.height > MAX_PIXELS:
                        raise PictureError(f"{path}: {image.width}x{image.height} pixels; at most {MAX_PIXELS} are "
                                           "read; shrink it first")
                    _go_to_first_drawn_frame(image)
                    return pixels(ImageOps.exif_transpose(image))
            except UnidentifiedImageError:
                if head[:4] in (b"II*\0", b"MM\0*"):  # colour TIFFs of 16 bit or floats are not among Pillow's modes
                    return _tiff_by_opencv(path)
                raise
    except Image.DecompressionBombError:
        raise PictureError(f"{path}: too many pixels; at most {MAX_PIXELS} are read; shrink it first") from None
    except PictureError as error:
        # what looks at pixels knows no name
        raise error if str(path) in str(error) else PictureError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise PictureError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{path}: a folder, not a picture") from None
    except UnidentifiedImageError:
        reason = why_no_picture(path).replace("not a picture", "of no format that is known")
        raise PictureError(f"{path}: not a readable picture ({reason})") from None
    except MemoryError:
        raise PictureError(f"{path}: too large for this machine's memory") from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise PictureError(f"{path}: not a readable picture ({error or type(error).__name__})") from None


def _know_heic() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise PictureError("a HEIC photograph, which needs the package pillow-heif: pip install pillow-heif; or share "
                           "it as JPEG or PNG (on an iPhone: Settings, Camera, Formats, Most Compatible)") from None
    register_heif_opener()


def _go_to_first_drawn_frame(image) -> None:
    """Leaves a multi-frame image at its first frame that is not of one colour; at frame 0 where there is none."""
    image.load()
    frames = min(getattr(image, "n_frames", 1), MAX_FRAMES)
    for number in range(frames if frames > 1 else 0):
        try:
            image.seek(number)
            image.load()
        except Exception:  # a damaged later frame: the first one is what there is
            break
        if not _is_empty(pixels_of(image)):
            return
    if frames > 1:
        image.seek(0)
        image.load()


def _is_empty(array: np.ndarray) -> bool:
    if array.ndim == 3 and array.shape[2] == 4:  # the colour of what cannot be seen does not count
        seen = (array[:, :, 3:] > 0)
        array = np.concatenate([np.where(seen, array[:, :, :3], array[:, :, :3].max(initial=0)), array[:, :, 3:]], 2)
    flat = array.reshape(-1, array.shape[2] if array.ndim == 3 else 1)
    return bool(((flat.max(0).astype(int) - flat.min(0)) <= _EMPTY).all())


def _tiff_by_opencv(path: Path) -> np.ndarray:
    import cv2
    from PIL import Image

    array = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise PictureError("not a readable TIFF")
    array = array if array.dtype == np.uint8 else scaled(array)
    if array.ndim == 3:
        array = np.ascontiguousarray(array[:, :, (2, 1, 0, 3)[:array.shape[2]]])
    return opaque(Image.fromarray(array))


def to_sketch(source: Union[str, os.PathLike, np.ndarray], canvas: int = 512) -> np.ndarray:
    """A path or array as a (canvas, canvas) uint8 sketch, the networks' own input before scaling to [-1, 1].

    source: a file, or an (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 array (alpha is laid over white;
    uint16 is scaled down; bool is taken as ink where False).  Any size: resized to 512 with cubic interpolation as
    the release does, then to a smaller canvas by area (ours).  PictureError where it is none of these.
    """
    import cv2

    name = "the sketch"
    if isinstance(source, (str, os.PathLike)):
        name, array = os.fspath(source), read_picture(source)
    else:
        array = np.asarray(source)
    if array.dtype == np.uint16:
        array = np.round(array.astype(np.float32) / 257.0).astype(np.uint8)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype != np.uint8:
        raise PictureError(f"{name}: expected uint8 pixels from 0 to 255, found {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 4:
        alpha = array[:, :, 3].astype(np.float32) / 255
        array = np.round(array[:, :, 0] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    elif array.ndim == 3 and array.shape[2] in (1, 3):
        array = array[:, :, 0]
    if array.ndim != 2 or 0 in array.shape:
        raise PictureError(f"{name}: expected an (H, W) or (H, W, 3) picture, found shape {array.shape}")
    array = np.ascontiguousarray(array)
    if array.shape != (512, 512):
        array = cv2.resize(array, (512, 512), interpolation=cv2.INTER_CUBIC)
    return resized(array, canvas)


def to_input(picture: np.ndarray) -> np.ndarray:
    """uint8 of any shape -> float32 in [-1, 1], as the networks take it (release)."""
    return (picture.astype(np.float32) - 127.5) / 127.5


def to_pixels(values: np.ndarray) -> np.ndarray:
    """What the networks give, in [-1, 1] -> uint8, clipped and truncated (release)."""
    return np.clip((values + 1) / 2 * 255, 0, 255).astype(np.uint8)


def rgb(picture: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) -> (H, W, 3)."""
    return np.repeat(picture[:, :, None], 3, 2) if picture.ndim == 2 else picture


def resized(picture: np.ndarray, edge: int) -> np.ndarray:
    """A square picture as (edge, edge) or (edge, edge, 3): by area where it shrinks, cubic where it grows."""
    import cv2

    if picture.shape[0] == edge:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > edge else cv2.INTER_CUBIC
    return cv2.resize(picture, (edge, edge), interpolation=how)


def write_png(path: Union[str, os.PathLike], array: np.ndarray, **info) -> None:
    """Write a uint8 (H, W) or (H, W, 3) RGB array as PNG, atomically; ``info`` become text entries."""
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    for key, value in info.items():
        text.add_itxt(key, str(value))
    image = Image.fromarray(np.ascontiguousarray(array))
    write_atomically(path, lambda temporary: image.save(temporary, format="PNG", pnginfo=text))


def labelled(cells: Iterable[Tuple[str, np.ndarray]], size: int = 512) -> np.ndarray:
    """Pictures side by side, each with its words under it: (H, W, 3) uint8 out of (words, (size, size[, 3]) uint8)."""
    from PIL import Image, ImageDraw, ImageFont

    cells = list(cells)
    gap, strip = size // 64, size // 14
    sheet = Image.new("RGB", (len(cells) * (size + gap) + gap, size + 2 * gap + strip), "white")
    draw = ImageDraw.Draw(sheet)
    try:
        font = ImageFont.load_default(strip * 5 // 8)
    except TypeError:  # Pillow before 10.1: its one small font
        font = ImageFont.load_default()
    for number, (words, picture) in enumerate(cells):
        left = gap + number * (size + gap)
        sheet.paste(Image.fromarray(picture).convert("RGB").resize((size, size)), (left, gap))
        draw.text((left, size + 2 * gap), words, "black", font)
    return np.asarray(sheet)


SHEET_GAP = 4


def greys_of(batch) -> List[np.ndarray]:
    """(N, 1, H, W) in [-1, 1] -> N pictures (H, W, 3) uint8."""
    return [np.repeat(p, 3, 2) for p in pictures_of(batch)]


def pictures_of(batch) -> List[np.ndarray]:
    """(N, C, H, W) in [-1, 1] -> N pictures (H, W, C) uint8, as the release turns outputs into pixels."""
    values = np.asarray(batch.numpy(), np.float32).transpose(0, 2, 3, 1)
    return list(to_pixels(values))


def sheet_row(groups: Sequence[List[np.ndarray]], size: int) -> np.ndarray:
    """groups: lists of equal length; the i-th pictures of all groups stand side by side, then the next ones."""
    import cv2

    cells = []
    for members in zip(*groups):
        for picture in members:
            if picture.shape[0] != size:
                picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
            cells += [picture, np.full((size, SHEET_GAP, 3), 255, np.uint8)]
    return np.hstack(cells)


def sheet_captions(words: Sequence[str], size: int, times: int = 1) -> np.ndarray:
    """A strip that says what stands below, for rows of ``times`` sets of pictures of ``size`` pixels."""
    import cv2

    strip = np.full((18, times * len(words) * (size + SHEET_GAP), 3), 255, np.uint8)
    for n in range(times * len(words)):
        word = words[n % len(words)]
        cv2.putText(strip, word, (n * (size + SHEET_GAP) + 2, 13), cv2.FONT_HERSHEY_SIMPLEX,
                    min(0.45, size / (17 * len(word))), (60, 60, 60), 1, cv2.LINE_AA)
    return strip


def sheet_of(rows: List[np.ndarray]) -> Optional[np.ndarray]:
    """Rows one below the other, padded to the widest; None where there are none."""
    if not rows:
        return None
    width = max(r.shape[1] for r in rows)
    out = []
    for r in rows:
        out += [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255),
                np.full((SHEET_GAP, width, 3), 255, np.uint8)]
    return np.vstack(out)
