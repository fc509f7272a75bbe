"""Pictures in and out: any common file or array to a sketch on the canvas, and PNG files out.

A sketch is one channel, black strokes on white.  Of a colour picture the release reads channel 0 (red); so do we.
"""
from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Union

import numpy as np

from .atomic import write_atomically
from .errors import UserError

#: file name endings taken for pictures when a folder is listed
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
#: pictures with more pixels are refused before they are decoded (ours; a guard against decompression bombs)
MAX_PIXELS = 100_000_000


class PictureError(UserError, ValueError):
    """A file or array that is no usable picture; the message names it and says why."""


def read_picture(path: Union[str, os.PathLike]) -> np.ndarray:
    """A picture file as a uint8 array, (H, W) grey or (H, W, 3) RGB.

    Transparency is laid over white, 16-bit and floating grey are scaled to 8 bit, EXIF rotation is applied,
    of an animation the first frame is taken.  PictureError names the file where it cannot be read.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd tags; the pixels are read or they are not
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PictureError(f"{path}: {image.width}x{image.height} pixels; at most {MAX_PIXELS} are read")
                image.load()
                image = ImageOps.exif_transpose(image)
                return _to_array(image)
    except PictureError as error:
        # what looks at pixels knows no name
        raise error if str(path) in str(error) else PictureError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise PictureError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{path}: a folder, not a picture") from None
    except MemoryError:
        raise PictureError(f"{path}: too large for this machine's memory") from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise PictureError(f"{path}: not a readable picture ({error or type(error).__name__})") from None


def _to_array(image) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all():
            raise PictureError("holds pixels that are not numbers")
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        if image.mode == "F" and values.max(initial=0) <= 1:
            top = 1.0
        if image.mode.startswith("I;16"):
            top = 65535.0
        return np.clip(np.round(values * (255.0 / top)), 0, 255).astype(np.uint8)
    if image.mode in ("1", "L"):
        if "transparency" not in image.info:
            return np.asarray(image.convert("L"))
        image = image.convert("LA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.asarray(image.convert("RGB"))


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
    if canvas != 512:
        array = cv2.resize(array, (canvas, canvas), interpolation=cv2.INTER_AREA)
    return array


def write_png(path: Union[str, os.PathLike], array: np.ndarray, **info) -> None:
    """Write a uint8 (H, W) or (H, W, 3) RGB array as PNG, atomically; ``info`` become text entries."""
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    for key, value in info.items():
        text.add_itxt(key, str(value))
    image = Image.fromarray(np.ascontiguousarray(array))
    write_atomically(path, lambda temporary: image.save(temporary, format="PNG", pnginfo=text))
