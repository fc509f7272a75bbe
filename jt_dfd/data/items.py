"""One training item: read, augmented, reduced to the canvas and cropped.  No Jittor: this runs in worker processes.

Augmentation makes of a clean training sketch one that a hand with a mouse might have drawn.  A line sketch is kept as
strokes (polylines, strokes.py), so that whole strokes can be dropped, broken, bent and drawn with another pen.  A grey
sketch (photocopy, a scan) is bent as a picture.  Everything is a function of its arguments and of the generator that is
passed in: the same (seed, epoch, item) gives the same sketch in any process.
"""
from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import cv2
import numpy as np

from .. import drawings
from ..components import COMPONENTS, RELEASE_CANVAS, Geometry
from ..errors import InputError
from ..pictures import PictureError, read_picture, resized, rgb, to_sketch
from . import hand, index, outlines, strokes

STAGES = ("embedding", "synthesis")


@dataclass(frozen=True)
class Spec:
    """Everything that decides what an item looks like, besides epoch and item number."""

    folder: str
    canvas: int
    stage: str
    seed: int
    augmentation: Optional[Augmentation]
    files: Tuple[Tuple[str, str], ...]  # (photograph, sketch) of each item, relative to the folder; "": no such sketch
    cache_bytes: int = 1 << 29
    style: str = "lines"                # of those sketches
    drawn: Tuple[str, ...] = ()         # the curves of each item, "" where it has none; (): nobody has


@dataclass
class Item:
    """uint8 arrays: sketch (canvas, canvas), photo (canvas, canvas, 3) RGB or None, crops {component: (size, size)};
    style: of the sketch."""

    sketch: np.ndarray
    photo: Optional[np.ndarray]
    crops: Dict[str, np.ndarray]
    flipped: bool
    style: str = "lines"


class ItemLoader:
    """Makes items; what was decoded stays in memory up to ``spec.cache_bytes``."""

    def __init__(self, spec: Spec):
        if spec.stage not in STAGES:
            raise ValueError(f"no stage {spec.stage!r}; there are {', '.join(STAGES)}")
        self.spec = spec
        self.geometry = Geometry(spec.canvas)
        self._cache: Dict[Tuple[str, int], Any] = {}
        self._room = spec.cache_bytes

    def load(self, epoch: int, item: int) -> Item:
        """Item number ``item`` as epoch ``epoch`` sees it.  PictureError names a file that cannot be used."""
        strength = self.spec.augmentation
        rng = generator(self.spec.seed, epoch, item)
        flipped = bool(strength is not None and rng.random() < strength.flip)
        style = self.style(epoch, item)
        sketch = (self._drawn if style == index.DRAWN else self._sketch)(item, strength, rng)
        photo = self._cached("photo", item, self._read_photo) if self.spec.stage == "synthesis" else None
        if flipped:
            # the whole canvas is mirrored, then cropped: eye1's window gets the eye that is now at the left
            sketch = sketch[:, ::-1]
            photo = None if photo is None else photo[:, ::-1]
        sketch = np.ascontiguousarray(sketch)
        if self.spec.stage == "embedding" and strength is not None and _moves(strength):
            crops = self._moved_crops(sketch, strength, rng)
        else:
            crops = self.geometry.crops(self._reduce(sketch))
        return Item(self._reduce(sketch), None if photo is None else np.ascontiguousarray(photo),
                    {name: np.ascontiguousarray(crop) for name, crop in crops.items()}, flipped, style)

    def style(self, epoch: int, item: int) -> str:
        """The style of an item's sketch in an epoch: of those that it has each is as likely."""
        drawn = bool(self.spec.drawn and self.spec.drawn[item])
        if drawn and self.spec.files[item][1]:
            # a stream of its own: sets without drawn sketches are augmented as ever
            drawn = np.random.default_rng([0x57E1, self.spec.seed & 0xFFFFFFFF, epoch, item]).random() < 0.5
        return index.DRAWN if drawn else self.spec.style

    def _moved_crops(self, sketch, strength, rng) -> Dict[str, np.ndarray]:
        """Each component turned, scaled and shifted a little by itself, on the full 512 frame."""
        full = Geometry(RELEASE_CANVAS)
        crops = {}
        for name in COMPONENTS:
            window = full.window(name)
            centre = (window.x + window.size / 2, window.y + window.size / 2)
            moved = cv2.warpAffine(sketch, component_warp(strength, rng, centre), (RELEASE_CANVAS,) * 2,
                                   flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255)
            crops[name] = self.geometry.crop(self._reduce(moved), name)
        return crops

    def _reduce(self, sketch: np.ndarray) -> np.ndarray:
        return to_sketch(sketch, self.spec.canvas)

    def _sketch(self, item, strength, rng) -> np.ndarray:
        """The item's sketch on the 512 frame, as drawn in this epoch."""
        if strength is None:
            return self._cached("sketch", item, self._read_sketch)
        paths = self._cached("paths", item, lambda i: to_paths(self._read_sketch(i)))
        if paths is not None:
            return sketch_from_paths(paths, strength, rng)
        return bend_picture(self._cached("sketch", item, self._read_sketch), strength, rng)

    def _drawn(self, item, strength, rng) -> np.ndarray:
        """The item's curves as a hand draws them in this epoch; without augmentation always the same drawing."""
        curves = self._cached("curves", item,
                              lambda i: outlines.read(os.path.join(self.spec.folder, self.spec.drawn[i])))
        if strength is None:
            return hand.draw(curves, hand.generator(Path(self.spec.drawn[item]).stem))
        return hand.draw(curves, np.random.default_rng(rng.integers(1 << 62)), bend_of_drawn(strength, rng))

    def _read_sketch(self, item: int) -> np.ndarray:
        path = os.path.join(self.spec.folder, self.spec.files[item][1])
        sketch = to_sketch(path, RELEASE_CANVAS)
        wrong = [w for w in drawings.judge(sketch) if w.code in drawings.UNFIT]
        if wrong:
            raise PictureError(f"{path}: {wrong[0]}; tools/prepare_data.py check {self.spec.folder} lists everything "
                               "that is wrong with the set")
        return sketch

    def _read_photo(self, item: int) -> np.ndarray:
        path = os.path.join(self.spec.folder, self.spec.files[item][0])
        photo = rgb(read_picture(path))
        if photo.shape[0] != photo.shape[1]:
            raise PictureError(f"{path}: expected a square aligned face, found {photo.shape[1]}x{photo.shape[0]}; "
                               "tools/prepare_data.py aligns photographs")
        return resized(photo, self.spec.canvas)

    def _cached(self, kind: str, item: int, make):
        key = (kind, item)
        if key not in self._cache:
            value = make(item)
            size = _bytes(value)
            if size > self._room:
                return value
            self._room -= size
            self._cache[key] = value
        return self._cache[key]


def _bytes(value) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes + 100
    if isinstance(value, dict):
        value = list(value.values())
    return 100 + sum(_bytes(v) for v in value) if isinstance(value, list) else 100


def _moves(strength: Augmentation) -> bool:
    return bool(strength.component_shift or strength.component_turn or strength.component_scale)


def files_of(rows: List[index.Row], folder, styles: Optional[Tuple[str, ...]] = None):
    """(files, drawn) as Spec takes them, of index rows and the styles that are wanted (None: all).  PictureError names
    the first file missing."""
    style, folder = index.sketch_style(folder), index.root(folder)
    files, drawn = [], []
    for row in rows:
        curves = row.drawn if styles is None or index.DRAWN in styles else ""
        # a set that was made in the style drawn has a picture besides: what to look at, not another style
        sketch = row.sketch if (styles is None or style in styles) and not (curves and style == index.DRAWN) else ""
        for name in filter(None, (row.file, sketch, curves)):
            if not (folder / name).is_file():
                raise PictureError(f"{folder / name}: in the index, but no such file; tools/prepare_data.py check "
                                   f"{folder} lists everything that is wrong with the set")
        files.append((row.file, sketch))
        drawn.append(curves)
    return tuple(files), tuple(drawn) if any(drawn) else ()


def make(spec: Spec):
    """For the worker processes, which never import Jittor."""
    return ItemLoader(spec).load


#: upper edge of the brows on the 512 frame, by the median of 300 faces
_BROWS = 196


@dataclass(frozen=True)
class Augmentation:
    """Strengths; 0 switches a part off.  Lengths are pixels of the 512 frame.  All numbers are ours.

    flip               probability of mirroring left to right (sketch and photograph together)
    width_low, width_high   range of the pen's width, one width a sketch, now and then another for one stroke
    wobble, wobble_scale    rms and wavelength of a smooth bend of the whole sketch: strokes that meet stay together
    tremor             rms of the unsteadiness along each stroke
    stray              rms of the shift of each stroke by itself
    straighten         largest tolerance when a stroke is replaced by straight pieces
    drop               probability of dropping a short stroke; long ones are dropped correspondingly less often
    breaks, gap        gaps per 100 pixels of stroke, and their mean length
    soft               probability of anti-aliased strokes
    crown              most by which what lies above the brows is drawn too low, as a share of its height, in most
                       drawings out of curves: hands make the skull too small, photographs seldom do
    component_shift, component_turn, component_scale   rms shift in pixels, turn in degrees and relative size of each
                       component by itself; for stage I only, where no photograph has to match
    """

    flip: float = 0.5
    width_low: float = 1.0
    width_high: float = 3.5
    wobble: float = 1.2
    wobble_scale: float = 48.0
    tremor: float = 0.35
    stray: float = 0.8
    straighten: float = 1.6
    drop: float = 0.12
    breaks: float = 0.25
    gap: float = 6.0
    soft: float = 0.3
    crown: float = 0.45
    component_shift: float = 4.0
    component_turn: float = 3.0
    component_scale: float = 0.03

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 512:
                raise InputError(f"augmentation: {f.name} must be a number from 0 to 512, not {value!r}")
        if self.flip > 1 or self.drop > 1 or self.soft > 1:
            raise InputError("augmentation: flip, drop and soft are probabilities, at most 1")
        if self.width_low > self.width_high:
            raise InputError("augmentation: width_low is above width_high")

def generator(seed: int, epoch: int, item: int) -> np.random.Generator:
    """The random numbers of one item in one epoch."""
    return np.random.default_rng([seed & 0xFFFFFFFF, epoch, item])


def is_line_sketch(sketch: np.ndarray) -> bool:
    """Whether a uint8 sketch (H, W) is strokes on paper (nearly all pixels black or white, few of them black)."""
    ink = float((sketch < 64).mean())
    grey = float(((sketch >= 64) & (sketch < 192)).mean())
    return ink < 0.2 and grey < 0.02 + 0.5 * ink


def to_paths(sketch: np.ndarray) -> Optional[List[np.ndarray]]:
    """The strokes of a line sketch (512, 512) as float32 paths (N, 2), or None for a grey one."""
    if not is_line_sketch(sketch):
        return None
    return [strokes.smooth(path, 1.0) for path in strokes.trace(strokes.thin(sketch < 128), 3)]


def bend_field(rng: np.random.Generator, rms: float, scale: float, size: int = 512) -> np.ndarray:
    """A smooth displacement field (size, size, 2) float32 of the given rms in pixels, (dx, dy)."""
    cells = max(3, int(np.ceil(size / max(scale, 8.0))) + 3)
    coarse = rng.normal(0, rms, (cells, cells, 2)).astype(np.float32)
    field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    # interpolation between independent corners lowers the spread
    return field * np.float32(1.25)


def sketch_from_paths(paths: List[np.ndarray], strength: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Strokes drawn by an unsteady hand: (512, 512) uint8."""
    width = rng.uniform(strength.width_low, strength.width_high) if strength.width_high > 0 else 2.0
    soft = rng.random() < strength.soft
    field = bend_field(rng, strength.wobble, strength.wobble_scale) if strength.wobble > 0 else None
    by_width: Dict[int, List[np.ndarray]] = {}
    for path in paths:
        own = np.random.default_rng(rng.integers(1 << 62))  # what happens to one stroke leaves the others alone
        length = len(path)
        if strength.drop and own.random() < strength.drop * min(1.0, 25.0 / length):
            continue
        points = path.astype(np.float32)
        if field is not None:
            at = np.clip(np.round(points).astype(int), 0, 511)
            points = points + field[at[:, 1], at[:, 0]]
        if strength.stray:
            points = points + own.normal(0, strength.stray, 2).astype(np.float32)
        if strength.tremor and length > 3:
            points = points + _tremor(own, length, strength.tremor)
        pen = int(np.clip(np.round(width + own.choice([-0.5, 0, 0, 0, 0.5])), 1, 8))
        for piece in _break(points, strength, own):
            if strength.straighten:
                tolerance = own.uniform(0, strength.straighten)
                piece = cv2.approxPolyDP(piece.reshape(-1, 1, 2), tolerance, False).reshape(-1, 2)
            by_width.setdefault(pen, []).append(piece)
    picture = np.full((512, 512), 255, np.uint8)
    for pen, pieces in sorted(by_width.items()):
        strokes.draw_on(picture, pieces, pen, soft=soft)
    return picture


def bend_of_drawn(strength: Augmentation, rng: np.random.Generator) -> Optional[np.ndarray]:
    """The bend of a whole drawing that comes from curves (hand.py), or None.  Dropped and broken strokes, pens and an
    unsteady hand it has already; a bend as tight as that of traced lines would make its long curves shake."""
    field = bend_field(rng, strength.wobble, 2.5 * strength.wobble_scale) if strength.wobble > 0 else None
    if strength.crown and rng.random() < 0.6:
        field = np.zeros((RELEASE_CANVAS, RELEASE_CANVAS, 2), np.float32) if field is None else field
        above = np.maximum(_BROWS - np.arange(RELEASE_CANVAS, dtype=np.float32), 0)
        field[:, :, 1] += (above * (rng.random() * min(1.0, strength.crown)))[:, None]
    return field


def _tremor(rng: np.random.Generator, length: int, rms: float) -> np.ndarray:
    """Noise along a stroke that changes every few pixels, (length, 2) float32."""
    knots = max(2, length // 6 + 1)
    coarse = rng.normal(0, rms * 1.3, (knots, 2))
    at = np.linspace(0, knots - 1, length)
    return np.stack([np.interp(at, np.arange(knots), coarse[:, i]) for i in (0, 1)], 1).astype(np.float32)


def _break(points: np.ndarray, strength: Augmentation, rng: np.random.Generator) -> List[np.ndarray]:
    """The pieces left when gaps are cut into a stroke of (N, 2) points a pixel apart."""
    count = rng.poisson(strength.breaks * len(points) / 100) if strength.breaks else 0
    keep = np.ones(len(points), bool)
    for _ in range(count):
        gap = 1 + rng.exponential(max(strength.gap - 1, 0.1))
        middle = rng.uniform(0, len(points))
        keep[int(max(0, middle - gap / 2)):int(middle + gap / 2) + 1] = False
    if keep.all():
        return [points]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], keep.astype(np.int8), [0]])))
    return [points[a:b] for a, b in zip(edges[::2], edges[1::2]) if b - a >= 2]


def bend_picture(sketch: np.ndarray, strength: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """A grey sketch (512, 512) uint8, bent and with spots left white."""
    out = sketch
    if strength.wobble > 0:
        field = bend_field(rng, strength.wobble, strength.wobble_scale)
        rows, columns = np.indices(out.shape, dtype=np.float32)
        out = cv2.remap(out, columns + field[:, :, 0], rows + field[:, :, 1], cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_CONSTANT, borderValue=255)
    if strength.breaks and strength.gap:
        dark = np.argwhere(out < 128)
        if len(dark):
            out = out.copy()
            for y, x in dark[rng.integers(len(dark), size=rng.poisson(strength.breaks * 8))]:
                cv2.circle(out, (int(x), int(y)), int(1 + rng.exponential(strength.gap / 2)), 255, -1)
    return out


def component_warp(strength: Augmentation, rng: np.random.Generator, centre: Tuple[float, float]) -> np.ndarray:
    """A small turn, scale and shift about ``centre`` (x, y) as a (2, 3) float32 matrix for cv2.warpAffine."""
    turn = rng.normal(0, strength.component_turn) if strength.component_turn else 0.0
    scale = float(np.exp(rng.normal(0, strength.component_scale))) if strength.component_scale else 1.0
    matrix = cv2.getRotationMatrix2D(centre, turn, scale)
    if strength.component_shift:
        matrix[:, 2] += rng.normal(0, strength.component_shift, 2)
    return matrix.astype(np.float32)
