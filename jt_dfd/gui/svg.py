"""Drawings as SVG: the strokes themselves, which any drawing program shows and this one can undo one by one.

A stroke is a ``polyline``; its pressures and whether it is mirrored stand in ``data-`` attributes, the mirror image,
for other programs, beside it as a copy that is not read.  A picture on the page is an ``image`` with a PNG inside.  The
settings of the face are the text of ``metadata``.  No widget.
"""
from __future__ import annotations

import base64
import io
import math
import os
from typing import List, Optional, Sequence, Tuple

import numpy as np

from ..atomic import write_text
from ..errors import UserError
from .settings import FaceSettings
from .strokes import CANVAS, Item, Picture, Stroke, width_at

_SPACE = "{http://www.w3.org/2000/svg}"
#: longest file that is read, and most strokes and points taken from one (ours; an evening's drawing has some thousands)
_MAX_BYTES, _MAX_POINTS = 50_000_000, 2_000_000


def save(path, items: Sequence[Item], settings: FaceSettings) -> None:
    """Write strokes and pictures with their settings, atomically.  OSError where the place cannot be written."""
    write_text(path, as_text(items, settings))


def as_text(items: Sequence[Item], settings: FaceSettings) -> str:
    from xml.sax.saxutils import escape

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{CANVAS}" height="{CANVAS}" '
             f'viewBox="0 0 {CANVAS} {CANVAS}" data-program="jt_dfd">',
             f"<metadata>{escape(settings.to_json())}</metadata>", '<rect width="100%" height="100%" fill="#fff"/>']
    for item in items:
        if isinstance(item, Picture):
            lines.append(f'<image width="{CANVAS}" height="{CANVAS}" '
                         f'href="data:image/png;base64,{_png(item.pixels)}"/>')
            continue
        lines.append(_line(item, item.points, f'data-width="{item.width:g}" data-mirror="{int(item.mirror)}" '
                                              f'data-pressure="{" ".join(f"{p:.4g}" for *_, p in item.points)}"'))
        if item.mirror:
            lines.append(_line(item, [(CANVAS - x, y, p) for x, y, p in item.points], 'data-copy="1"'))
    return "\n".join(lines + ["</svg>", ""])


def _line(stroke: Stroke, points, data: str) -> str:
    width = sum(width_at(stroke.width, p) for *_, p in points) / len(points)
    if len(points) == 1:
        points = [points[0], (points[0][0] + 0.01, *points[0][1:])]
    where = " ".join(f"{x:.2f},{y:.2f}" for x, y, _ in points)
    return (f'<polyline fill="none" stroke="{"#fff" if stroke.erase else "#000"}" stroke-width="{width:.2f}" '
            f'stroke-opacity="{stroke.opacity:g}" stroke-linecap="round" stroke-linejoin="round" {data} '
            f'points="{where}"/>')


def load(path) -> Tuple[List[Item], Optional[FaceSettings]]:
    """(items, settings) of a file that ``save`` wrote.  UserError names a file that is none."""
    path = os.fspath(path)
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise UserError(f"{path}: too large for a drawing ({os.path.getsize(path)} bytes)")
        with open(path, "rb") as f:
            return parse(f.read(), path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def parse(text: bytes, path: str) -> Tuple[List[Item], Optional[FaceSettings]]:
    """What ``as_text`` wrote, out of the file ``path``."""
    from xml.etree import ElementTree

    if b"<!ENTITY" in text:
        raise UserError(f"{path}: no SVG drawing of this program")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: no SVG file: {error}") from None
    if root.get("data-program") != "jt_dfd":
        raise UserError(f"{path}: an SVG of another program. Export it as PNG there and open that.")
    items: List[Item] = []
    left = _MAX_POINTS
    try:
        for element in root:
            if element.tag == _SPACE + "image":
                items.append(Picture(_pixels(element.get("href", ""))))
            elif element.tag == _SPACE + "polyline" and not element.get("data-copy"):
                stroke = _stroke(element)
                left -= len(stroke.points)
                if left < 0:
                    raise ValueError("too many points")
                items.append(stroke)
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"{path}: a stroke of this drawing cannot be read: {error}") from None
    return items, FaceSettings.from_json(root.findtext(_SPACE + "metadata") or "")


def _stroke(element) -> Stroke:
    where = [pair.split(",") for pair in element.get("points", "").split()]
    pressures = [float(p) for p in element.get("data-pressure", "").split()]
    points = [(float(x), float(y), min(max(p, 0.0), 1.0)) for (x, y), p in zip(where, pressures)]
    width = float(element.get("data-width"))
    if not points or not all(math.isfinite(v) and abs(v) < 1e5 for point in points for v in point):
        raise ValueError("its points are no numbers on the page")
    if not 0 < width <= CANVAS:
        raise ValueError(f"its width is {width:g}")
    opacity = min(max(float(element.get("stroke-opacity", "1")), 0.0), 1.0)
    return Stroke(width, element.get("stroke") == "#fff", element.get("data-mirror") == "1", points, opacity)


def _png(pixels: np.ndarray) -> str:
    from .files import encode_drawing

    return base64.b64encode(encode_drawing(pixels)).decode("ascii")


def _pixels(link: str) -> np.ndarray:
    from PIL import Image

    data = base64.b64decode(link.partition("base64,")[2], validate=True)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.size != (CANVAS, CANVAS):
            raise ValueError(f"its picture is {image.size[0]}x{image.size[1]}")
        return np.asarray(image.convert("L")).copy()
