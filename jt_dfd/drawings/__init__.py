"""One reading of drawings, for every way in: what a person meant, whatever paper, ink, format and shape it came in.

    reading = drawings.read("scan.jpg")
    reading.page, [n.text for n in reading.notes], [w.code for w in reading.warnings]

Grey pages of black strokes on white are read bit for bit as the release reads them.  What else is done, and when, each
module says: ``ink`` (colour, dark grounds, pencil, construction lines), ``paper`` (light and shade, ruling), ``frame``
(shape and scale), ``place`` (the outline to where a face belongs, on request), ``words`` (codes and their sentences).
NumPy, OpenCV and Pillow only.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from .. import pictures
from ..pictures import PictureError
from . import frame, ink
from .words import ERRORS, NOTES, UNFIT, WARNINGS, Remark, remark

__all__ = ["ERRORS", "NOTES", "UNFIT", "WARNINGS", "Reading", "Remark", "judge", "read"]

#: a sketch with a smaller share of ink is empty; one with a larger is no drawing (ours)
MIN_INK, MAX_INK = 0.002, 0.6
#: less ink than this is nothing at all: a speck, not a stroke (ours)
_NOTHING = 0.0001
#: pictures with a shorter side than this have too few pixels for a face's lines (at 96 and 128 pixels faces differ by 4
#: to 20 grey levels from those of the same drawings at 512, at 160 by 2 to 5)
_COARSE = 150
#: edges as wide as this, in pixels of the canvas, are those of a blurred picture (frame.softness; at 3.6, a Gaussian of
#: 1.6 pixels, faces still differ by 3 to 4 grey levels)
_BLURRED = 3.9
#: longer side of the page from which it is shrunk before anything else is done with it
_MAX_EDGE = 4608


@dataclass(frozen=True)
class Reading:
    """What became of a picture.

    page       (512, 512) uint8, black strokes on white
    notes      what was done to it, in order; empty for a clean page
    warnings   why it may not be what was meant
    raw        (512, 512) uint8, the picture as it is read with as_is; the page where nothing was done
    """

    page: np.ndarray
    notes: Tuple[Remark, ...] = ()
    warnings: Tuple[Remark, ...] = ()
    raw: Optional[np.ndarray] = None

    @property
    def errors(self) -> Tuple[Remark, ...]:
        """Those warnings with which the drawing cannot be used."""
        return tuple(w for w in self.warnings if w.is_error)


def read(source, as_is: bool = False, place: bool = False) -> Reading:
    """A drawing as a sketch of 512x512 pixels.

    source   a path; a Pillow image of any mode; or an array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 or uint16,
             RGB and straight alpha; bool, or integers that are all 0 or 1, are a mask, its rarer value the ink
    as_is    decode it and nothing else: the red channel, squeezed to a square, as the release does
    place    move, turn and scale the drawn face to where a face belongs
    PictureError where it is no picture.
    """
    pixels, ground = _decoded(source, as_is)
    size = pixels.shape[:2]
    notes: List[Remark] = []
    warnings: List[Remark] = []
    count = pictures.frames(source)
    if count > 1:
        notes.append(remark("frames", count=count))
    raw = page = None
    photograph = False
    if as_is:
        page = pictures.to_sketch(pixels)
    else:
        if ground == "black":
            notes.append(remark("transparent"))
            raw = np.full((512, 512), 255, np.uint8)
            pixels = 255 - pixels
        before = pixels
        pixels = _no_larger(pixels)
        page, more, warnings = ink.read(pixels, turned=ground == "black")
        notes += more
        photograph = any(w.code == "photograph" for w in warnings)
        clean = not more and not photograph and ground != "black"
        if not photograph:
            page = frame.without_frame(page, notes, clean)
            if abs(page.shape[0] - page.shape[1]) > frame.SQUARE * max(page.shape) or not clean:
                page = frame.without_things_beside(page, notes)
            if not clean and frame.is_drawn_to_the_edge(page) and not any(n.code == "crowded" for n in notes):
                notes.append(remark("crowded"))
        drawn = [] if photograph else notes  # of lines nothing is to be said there
        page = frame.square(page, drawn, whole=photograph)
        page = frame.to_canvas(page, drawn)
        if not photograph:
            from . import place as places

            if place:
                page, said = places.place(page)
                notes.append(said)
            if notes or size != (512, 512) or not isinstance(source, np.ndarray):  # a page being drawn is not asked
                odd = places.oddities(page)
                crowded = any(n.code == "crowded" for n in notes)  # faces side by side look like one that lies
                notes += [n for n in odd if n.code != "turned" or not crowded]
            if min(size) >= _COARSE and frame.softness(page) > _BLURRED:
                notes.append(remark("blurred"))
    page = np.ascontiguousarray(page)
    said = [*warnings, *notes, *judge(page, photograph)]
    warnings, notes = [r for r in said if r.is_warning], [r for r in said if not r.is_warning]
    if min(size) < _COARSE and not warnings:
        warnings.append(remark("coarse", width=size[1], height=size[0]))
    if raw is None:
        raw = pictures.to_sketch(before) if notes else page
    return Reading(page, tuple(notes), tuple(warnings), raw)


def judge(page: np.ndarray, photograph: bool = False) -> List[Remark]:
    """Warnings that a page (512, 512) uint8 by itself gives."""
    share = 1 - float(page.mean()) / 255
    if share < _NOTHING:
        return [remark("empty")]
    if page.max() < 64 or share > 0.985:
        return [remark("black")]
    if photograph:
        return []
    if share > MAX_INK:
        return [remark("ink", share=round(share, 3))]
    if share < MIN_INK:
        return [remark("little", share=round(share, 5))]
    box = frame.ink_box(page)
    if box is not None and max(box[2] - box[0], box[3] - box[1]) < 0.4 * max(page.shape) and share < 0.03:
        return [remark("small", share=round(max(box[2] - box[0], box[3] - box[1]) / max(page.shape), 2))]
    return []


def _decoded(source, as_is: bool) -> Tuple[np.ndarray, str]:
    """((H, W) or (H, W, 3) uint8, "white" or "black": what lies under its transparency)."""
    if isinstance(source, (str, os.PathLike)):
        pixels = pictures.read_pixels(source)
    elif hasattr(source, "convert") and hasattr(source, "mode"):
        pixels = pictures.pixels_of(source)
    else:
        pixels = _checked(np.asarray(source))
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        if not as_is:
            pixels = _opaque_page(pixels)
        if not as_is and _is_light(pixels):
            return _over(pixels, 0), "black"
        return _over(pixels, 255), "white"
    return pixels, "white"


def _checked(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.ndim == 3 and array.shape[2] not in (3, 4) or 0 in array.shape:
        raise PictureError(f"the sketch: expected an (H, W), (H, W, 3) or (H, W, 4) picture, found shape {array.shape}")
    if array.dtype == np.bool_ or array.dtype.kind in "iu" and array.ndim == 2 and array.size and (
            0 <= array.min() and array.max() == 1):
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return np.round(array.astype(np.float32) / 257.0).astype(np.uint8)
    if array.dtype != np.uint8:
        raise PictureError(f"the sketch: expected uint8 pixels from 0 to 255 (or a mask of 0 and 1), found "
                           f"{array.dtype}; numbers from 0 to 1 become such by (array * 255).astype('uint8')")
    return array


def _over(pixels: np.ndarray, ground: int) -> np.ndarray:
    alpha = pixels[:, :, 3:].astype(np.float32) / 255
    return np.round(pixels[:, :, :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def _opaque_page(pixels: np.ndarray) -> np.ndarray:
    """The page of (H, W, 4) pixels, where it is an opaque rectangle on a larger canvas with nothing else on it."""
    rows, columns = (np.flatnonzero(pixels[:, :, 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return pixels
    page = pixels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return page if page[:, :, 3].min() == 255 else pixels


def _is_light(pixels: np.ndarray) -> bool:
    """Is what can be seen of (H, W, 4) pixels light all over, on a ground that is transparent for the most part?"""
    alpha = pixels[:, :, 3]
    top = int(alpha.max())
    if top < 16 or float((alpha < 32).mean()) < 0.3:
        return False
    seen = alpha > top // 2
    darkness = 255 - pixels[:, :, :3].min(2)[seen]
    return float(np.quantile(darkness, 0.98)) < 0.35 * 255


def _no_larger(pixels: np.ndarray) -> np.ndarray:
    import cv2

    factor = max(pixels.shape[:2]) / _MAX_EDGE
    if factor <= 1:
        return pixels
    height, width = pixels.shape[:2]
    # by minimum first: lines of a pixel stay lines
    if factor >= 1.5 and ink.neutral(pixels) is not None and np.median(pixels) > 127:
        pixels = cv2.erode(pixels, np.ones((2, 2), np.uint8))
    return cv2.resize(pixels, (max(1, round(width / factor)), max(1, round(height / factor))),
                      interpolation=cv2.INTER_AREA)
