"""Pictures of the window in and out, drawings as SVG, and films.  No widget.

A PNG that the window writes carries text entries: the settings, the strokes, and, where the picture is not the drawing
itself, the drawing; so opening a saved face brings back the page it was made from, stroke by stroke.

An SVG holds the strokes themselves, which any drawing program shows and this one can undo one by one.  A stroke is a
``polyline``; its pressures and whether it is mirrored stand in ``data-`` attributes, the mirror image, for other
programs, beside it as a copy that is not read.  A picture on the page is an ``image`` with a PNG inside.  The settings
of the face are the text of ``metadata``.
"""
from __future__ import annotations

import base64
import io
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .. import pictures
from ..atomic import write_atomically, write_text
from ..errors import UserError
from .settings import FaceSettings
from .strokes import CANVAS, Item, Picture, Raster, Stroke, to_array, width_at

SETTINGS_KEY = "jt_dfd settings"
KIND_KEY = "jt_dfd kind"
DRAWING_KEY = "jt_dfd drawing"
STROKES_KEY = "jt_dfd strokes"
#: longest text entry that is looked at (ours; the longest we write is some 300 kB)
_MAX_TEXT = 4_000_000


@dataclass
class Opened:
    """pixels    (512, 512) uint8 drawing
    settings  as stored, or None
    reading   what was done to a picture from elsewhere, and what is wrong with it; None for what this program wrote
    photograph   (H, W, 3) uint8, where the picture is a photograph rather than a drawing
    ours      is the file itself a drawing of this program, so that Save may write over it?
    items     the strokes that the drawing is made of, where they are known
    """

    path: str
    pixels: np.ndarray
    settings: Optional[FaceSettings] = None
    ours: bool = False
    reading: Any = None
    photograph: Optional[np.ndarray] = None
    items: List[Item] = field(default_factory=list)


def encode_drawing(pixels: np.ndarray) -> bytes:
    """A grey drawing as the bytes of a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def open_picture(path, as_is: bool = False) -> Opened:
    """Any picture file as a drawing, read as drawings.read does; PictureError (a ValueError) names the file that cannot
    be read."""
    path = os.fspath(path)
    said = texts(path)
    settings = FaceSettings.from_json(said.get(SETTINGS_KEY, ""))
    kind = said.get(KIND_KEY, "")
    if settings is not None and DRAWING_KEY in said:
        pixels = stored_drawing(said[DRAWING_KEY])
        if pixels is not None:
            return Opened(path, pixels, settings, items=strokes_of(said, pixels))
    array = pictures.read_pixels(path)
    if settings is not None and kind == "drawing" and array.dtype == np.uint8 and array.shape == (CANVAS, CANVAS):
        return Opened(path, array.copy(), settings, True, items=strokes_of(said, array))
    opened = read_array(array, as_is)
    opened.path, opened.settings = path, settings
    return opened


def read_array(array: np.ndarray, as_is: bool = False) -> Opened:
    """Pixels of any size, (H, W), (H, W, 3) or (H, W, 4) uint8, as a drawing."""
    # late, for OpenCV comes with it: that costs start-up time, and its Qt plugins must not be found before the window
    # is up
    from .. import drawings

    reading = drawings.read(array, as_is=as_is)
    photograph = None
    if any(w.code == "photograph" for w in reading.warnings):
        photograph = np.repeat(array[:, :, None], 3, 2) if array.ndim == 2 else np.ascontiguousarray(array[:, :, :3])
    return Opened("", reading.page, reading=reading, photograph=photograph)


def read_reference(path) -> np.ndarray:
    """Any picture file as (H, W, 3) uint8 of at most 1,024 pixels a side, to lie under the page."""
    from PIL import Image

    image = Image.fromarray(pictures.read_picture(path)).convert("RGB")
    image.thumbnail((2 * CANVAS, 2 * CANVAS))
    return np.asarray(image).copy()


def sketch_of(photograph: np.ndarray, style: str = "lines") -> np.ndarray:
    """(512, 512) uint8 sketch of the face in a photograph (H, W, 3) uint8.  UserError where there is none, or where the
    data tools are not installed."""
    import tempfile

    from ..child import Child, ChildError

    with tempfile.TemporaryDirectory(prefix="jt_dfd_") as folder:
        source, target = os.path.join(folder, "photograph.png"), os.path.join(folder, "sketch.png")
        pictures.write_png(source, photograph)
        child = Child("jt_dfd.data.portrait:Process", show=False)
        try:
            child.ask("sketch", photograph=source, target=target, style=style)
        except (UserError, ChildError) as error:
            raise UserError(str(error).replace(f"{source}: ", "")) from None
        finally:
            child.close()
        return pictures.read_picture(target)


def save_drawing(path, pixels: np.ndarray, settings: FaceSettings, items: Sequence[Item] = ()) -> None:
    """Write a drawing with its settings and the strokes it is made of, atomically.  OSError where the place cannot be
    written."""
    pictures.write_png(path, pixels, **{SETTINGS_KEY: settings.to_json(), KIND_KEY: "drawing"},
                       **_strokes(items, settings))


def _strokes(items: Sequence[Item], settings: FaceSettings) -> Dict[str, str]:
    text = svg_text(items, settings) if any(isinstance(item, Stroke) for item in items) else ""
    return {STROKES_KEY: text} if 0 < len(text) <= _MAX_TEXT else {}


def strokes_of(said: Dict[str, str], pixels: np.ndarray) -> List[Item]:
    """The strokes among a picture's text entries; none where they are not what its drawing, (512, 512) uint8, shows:
    another program may have changed that and kept the entries."""
    try:
        items = parse_svg(said.get(STROKES_KEY, "").encode(), "")[0]
    except UserError:
        return []
    raster = Raster(1)
    raster.show(items)
    return items if np.abs(to_array(raster.image).astype(int) - pixels).max() <= 8 else []


def save_face(path, face: np.ndarray, drawing: np.ndarray, settings: FaceSettings, kind: str = "face",
              items: Sequence[Item] = (), **more: str) -> None:
    """Write a face (H, W, 3) with the drawing, its strokes and the settings that made it, and ``more`` text entries."""
    stored = base64.b64encode(encode_drawing(drawing)).decode("ascii")
    pictures.write_png(path, face, **{SETTINGS_KEY: settings.to_json(), KIND_KEY: kind, DRAWING_KEY: stored, **more,
                                     **_strokes(items, settings)})


def side_by_side(drawing: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(512, 1024, 3): the drawing and its face."""
    return np.concatenate([np.repeat(drawing[:, :, None], 3, 2), face], axis=1)


def save_series(folder, name: str, frames: List[np.ndarray]) -> List[str]:
    """Frames as name_000.png, name_001.png ... in a folder; returns the paths.  Pictures of an earlier series are
    not written over: the name gets a number."""
    folder = os.fspath(folder)
    os.makedirs(folder, exist_ok=True)
    taken, stem, n = set(os.listdir(folder)), name, 2
    while any(f"{stem}_{i:03d}.png" in taken for i in range(len(frames))):
        stem, n = f"{name}-{n}", n + 1
    paths = [os.path.join(folder, f"{stem}_{i:03d}.png") for i in range(len(frames))]
    for path, frame in zip(paths, frames):
        pictures.write_png(path, frame)
    return paths


def texts(path: str) -> dict:
    """The text entries of a PNG; empty for anything else (what is wrong with it is told by the reader of pixels)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.format != "PNG" or image.width * image.height > pictures.MAX_PIXELS:
                return {}
            image.load()  # text may follow the pixels
            return {k: str(v) for k, v in image.text.items() if len(v) <= _MAX_TEXT}
    except Exception:
        return {}


def stored_drawing(text: str) -> Optional[np.ndarray]:
    """(512, 512) uint8 out of a DRAWING_KEY entry, None where it is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",)) as image:
            if image.size != (CANVAS, CANVAS) or image.mode != "L":
                return None
            return np.asarray(image).copy()
    except Exception:
        return None


# -- pictures one after another as a film: GIF, MP4 or WebM; on a thread

#: pictures a second, and how often the first and the last are repeated, so that one can look at them (ours)
FILM_RATE, FILM_REST = 12, 8
#: {suffix: code of the video format}
_FILM_CODES = {".mp4": "mp4v", ".webm": "VP80"}
FILM_SUFFIXES = (".gif", *_FILM_CODES)


def there_and_back(frames: Sequence[np.ndarray]) -> List[np.ndarray]:
    """From the first to the last and back, with a rest at both ends."""
    frames = list(frames)
    return [frames[0]] * FILM_REST + frames[1:-1] + [frames[-1]] * FILM_REST + frames[-2:0:-1]


def save_film(path, frames: Sequence[np.ndarray], rate: int = FILM_RATE) -> None:
    """Write (H, W, 3) uint8 RGB frames, all of one size; the path's ending chooses the kind.  UserError where this
    machine cannot write it, OSError where the place cannot be written."""
    suffix = Path(path).suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise UserError(f"{path}: films are written as {', '.join(FILM_SUFFIXES)}")
    write_atomically(path, lambda part: (_gif(part, frames, rate) if suffix == ".gif"
                                         else _video(part, suffix, frames, rate)))


def _gif(path, frames: Sequence[np.ndarray], rate: int) -> None:
    from PIL import Image

    seen = {}  # a frame that rests is made once
    pictures = []
    for frame in frames:
        if id(frame) not in seen:
            seen[id(frame)] = Image.fromarray(frame).quantize(256, Image.Quantize.FASTOCTREE)
        pictures.append(seen[id(frame)])
    pictures[0].save(path, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 // rate, loop=0)


def _video(path, suffix: str, frames: Sequence[np.ndarray], rate: int) -> None:
    import cv2  # late: it costs start-up time, and its Qt plugins must not be found before the window is up

    name = f"{path}{suffix}"  # OpenCV goes by the ending
    h, w = frames[0].shape[:2]
    writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*_FILM_CODES[suffix]), rate, (w, h))
    try:
        if not writer.isOpened():
            raise UserError(f"this machine's OpenCV writes no {suffix[1:]} films; choose .gif")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
        writer.release()
        os.replace(name, path)
    finally:
        writer.release()
        if os.path.exists(name):
            os.unlink(name)


_SPACE = "{http://www.w3.org/2000/svg}"
#: longest file that is read, and most strokes and points taken from one (ours; an evening's drawing has some thousands)
_MAX_BYTES, _MAX_POINTS = 50_000_000, 2_000_000


def save_svg(path, items: Sequence[Item], settings: FaceSettings) -> None:
    """Write strokes and pictures with their settings, atomically.  OSError where the place cannot be written."""
    write_text(path, svg_text(items, settings))


def svg_text(items: Sequence[Item], settings: FaceSettings) -> str:
    from xml.sax.saxutils import escape

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{CANVAS}" height="{CANVAS}" '
             f'viewBox="0 0 {CANVAS} {CANVAS}" data-program="jt_dfd">',
             f"<metadata>{escape(settings.to_json())}</metadata>", '<rect width="100%" height="100%" fill="#fff"/>']
    for item in items:
        if isinstance(item, Picture):
            lines.append(f'<image width="{CANVAS}" height="{CANVAS}" '
                         f'href="data:image/png;base64,{base64.b64encode(encode_drawing(item.pixels)).decode()}"/>')
            continue
        lines.append(_polyline(item, item.points, f'data-width="{item.width:g}" data-mirror="{int(item.mirror)}" '
                                              f'data-pressure="{" ".join(f"{p:.4g}" for *_, p in item.points)}"'))
        if item.mirror:
            lines.append(_polyline(item, [(CANVAS - x, y, p) for x, y, p in item.points], 'data-copy="1"'))
    return "\n".join(lines + ["</svg>", ""])


def _polyline(stroke: Stroke, points, data: str) -> str:
    width = sum(width_at(stroke.width, p) for *_, p in points) / len(points)
    if len(points) == 1:
        points = [points[0], (points[0][0] + 0.01, *points[0][1:])]
    where = " ".join(f"{x:.2f},{y:.2f}" for x, y, _ in points)
    return (f'<polyline fill="none" stroke="{"#fff" if stroke.erase else "#000"}" stroke-width="{width:.2f}" '
            f'stroke-opacity="{stroke.opacity:g}" stroke-linecap="round" stroke-linejoin="round" {data} '
            f'points="{where}"/>')


def load_svg(path) -> Tuple[List[Item], Optional[FaceSettings]]:
    """(items, settings) of a file that ``save`` wrote.  UserError names a file that is none."""
    path = os.fspath(path)
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise UserError(f"{path}: too large for a drawing ({os.path.getsize(path)} bytes)")
        with open(path, "rb") as f:
            return parse_svg(f.read(), path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def parse_svg(text: bytes, path: str) -> Tuple[List[Item], Optional[FaceSettings]]:
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
                items.append(Picture(_image(element.get("href", ""))))
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


def _image(link: str) -> np.ndarray:
    from PIL import Image

    data = base64.b64decode(link.partition("base64,")[2], validate=True)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.size != (CANVAS, CANVAS):
            raise ValueError(f"its picture is {image.size[0]}x{image.size[1]}")
        return np.asarray(image.convert("L")).copy()
