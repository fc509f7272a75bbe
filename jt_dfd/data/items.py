"""One training item: read, augmented, reduced to the canvas and cropped.  No Jittor: this runs in worker processes."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import cv2
import numpy as np

from .. import drawings
from ..components import COMPONENTS, RELEASE_CANVAS, Geometry
from ..pictures import PictureError, read_picture, resized, rgb, to_sketch
from . import augment, hand, index, outlines

STAGES = ("embedding", "synthesis")


@dataclass(frozen=True)
class Spec:
    """Everything that decides what an item looks like, besides epoch and item number."""

    folder: str
    canvas: int
    stage: str
    seed: int
    augmentation: Optional[augment.Augmentation]
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
        rng = augment.generator(self.spec.seed, epoch, item)
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
            moved = cv2.warpAffine(sketch, augment.component_warp(strength, rng, centre), (RELEASE_CANVAS,) * 2,
                                   flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255)
            crops[name] = self.geometry.crop(self._reduce(moved), name)
        return crops

    def _reduce(self, sketch: np.ndarray) -> np.ndarray:
        return to_sketch(sketch, self.spec.canvas)

    def _sketch(self, item, strength, rng) -> np.ndarray:
        """The item's sketch on the 512 frame, as drawn in this epoch."""
        if strength is None:
            return self._cached("sketch", item, self._read_sketch)
        paths = self._cached("paths", item, lambda i: augment.to_paths(self._read_sketch(i)))
        if paths is not None:
            return augment.sketch_from_paths(paths, strength, rng)
        return augment.bend_picture(self._cached("sketch", item, self._read_sketch), strength, rng)

    def _drawn(self, item, strength, rng) -> np.ndarray:
        """The item's curves as a hand draws them in this epoch; without augmentation always the same drawing."""
        curves = self._cached("curves", item,
                              lambda i: outlines.read(os.path.join(self.spec.folder, self.spec.drawn[i])))
        if strength is None:
            return hand.draw(curves, hand.generator(Path(self.spec.drawn[item]).stem))
        return hand.draw(curves, np.random.default_rng(rng.integers(1 << 62)), augment.bend_of_drawn(strength, rng))

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


def _moves(strength: augment.Augmentation) -> bool:
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
