"""Sketches out of aligned photographs, by style name.

lines      clean thin strokes as a person draws them: HED edges (hed.py), ridges, thinning, specks out, and redrawing
           two pixels wide.  Numbers are ours, chosen by eye on the generated faces against hand-drawn sketches
photocopy  the paper's first sketching step without Photoshop: the photocopy effect of GIMP and GEGL
drawn      few clean curves, as a person draws (outlines.py, hand.py); of a set's faces prepare.py makes them, each its
           own way
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..components import PARTS, Geometry
from ..pictures import PictureError
from . import strokes

STYLES = ("lines", "photocopy", "drawn")
DEFAULT_STYLE = "lines"


class Sketcher:
    """``Sketcher(style)(photograph)``: an aligned (512, 512, 3) uint8 RGB face to a (512, 512) uint8 sketch.

    The networks of ``lines`` (with Jittor) and ``drawn`` are loaded on first use; the others never touch Jittor.
    PictureError where ``drawn`` finds no face.
    """

    def __init__(self, style: str = DEFAULT_STYLE):
        if style not in STYLES:
            raise ValueError(f"no sketch style {style!r}; there are {', '.join(STYLES)}")
        self.style = style
        self._detector = self._outlines = None

    def __call__(self, photograph: np.ndarray) -> np.ndarray:
        if photograph.shape[:2] != (512, 512) or photograph.dtype != np.uint8:
            raise ValueError(f"expected an aligned 512x512 uint8 face, found {photograph.dtype} {photograph.shape}")
        if self.style == "photocopy":
            return photocopy(photograph)
        if self.style == "drawn":
            return self._drawn(photograph)
        return edges_to_lines(self.edges(photograph))

    def _drawn(self, photograph: np.ndarray) -> np.ndarray:
        from . import hand, outlines

        if self._outlines is None:
            self._outlines = outlines.OutlineFinder()
        curves = self._outlines(photograph)
        if curves is None:
            raise PictureError("no face mesh found to draw by; take another style")
        return hand.draw(curves, hand.generator(""))  # the same hand for every face

    def edges(self, photograph: np.ndarray) -> np.ndarray:
        """The edge map that ``lines`` starts from: (512, 512) float32 from 0 to 1."""
        if self._detector is None:
            from .hed import EdgeDetector

            self._detector = EdgeDetector()
        return self._detector(photograph)


def photocopy(photograph: np.ndarray, mask_radius: float = 10.0, sharpness: float = 0.5, threshold: float = 0.75,
              black: float = 0.2, white: float = 0.2) -> np.ndarray:
    """A photograph (H, W, 3) RGB or (H, W), uint8, as a grey sketch (H, W) uint8.

    Its luma is blurred twice, a little and a lot.  Where the ratio of the two falls below a threshold a pixel is darker
    than its surroundings and goes towards black, elsewhere towards white; how steeply on either side is set by
    percentiles of the ratios themselves.

    mask_radius, sharpness   radii of the two blurs: ``mask_radius`` and 10 * (1 - sharpness), at least 1, in pixels
    threshold                ratio of the blurs under which a pixel counts as dark
    black, white             shares of the dark and of the light pixels that become fully black and fully white
    Defaults are the filter's.
    """
    luma = photograph.astype(np.float32) / 255
    if luma.ndim == 3:
        luma = luma @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    fine = cv2.GaussianBlur(luma, (0, 0), _sigma(max(1.0, 10.0 * (1.0 - sharpness))))
    coarse = cv2.GaussianBlur(luma, (0, 0), _sigma(mask_radius))
    ratio = fine / np.maximum(coarse, 1e-6)
    dark = ratio < threshold
    fall = threshold - _percentile(ratio[dark], black, otherwise=threshold)
    rise = _percentile(ratio[~dark & (ratio < 2)], 1 - white, otherwise=threshold) - threshold
    toner = np.minimum((threshold - ratio) / fall, 1) if fall > 0 else np.ones_like(ratio)
    paper = np.minimum((ratio - threshold) / rise, 1) if rise > 0 else np.ones_like(ratio)
    copy = np.where(dark, fine * (1 - toner), fine + (1 - fine) * paper)
    return np.clip(np.round(copy * 255), 0, 255).astype(np.uint8)


def _sigma(radius: float) -> float:
    """The filter's radius is where a Gaussian has fallen to 1/255."""
    return (abs(radius) + 1) / np.sqrt(2 * np.log(255))


def _percentile(values: np.ndarray, share: float, otherwise: float) -> float:
    return float(np.quantile(values, share)) if values.size else otherwise


@dataclass(frozen=True)
class LineStyle:
    """How edges become lines.

    blur            sigma in pixels of the smoothing before ridges are looked for
    weak, strong    a ridge is kept where the edge map exceeds ``weak``, if it exceeds ``strong`` somewhere along it
    weak_part, strong_part   the same inside the windows of eyes, nose and mouth, where small things matter more
    shortest, shortest_part  strokes of fewer pixels are specks and go
    smoothing       sigma in pixels of the smoothing along a stroke: a hand does not draw every pixel's step
    width           of the pen in pixels
    margin          edges closer than this to the border of the picture are the network's own padding and go
    """

    blur: float = 1.3
    weak: float = 0.2
    strong: float = 0.55
    weak_part: float = 0.2
    strong_part: float = 0.45
    shortest: int = 24
    shortest_part: int = 10
    smoothing: float = 2.0
    width: int = 2
    margin: int = 5


def part_mask(size: int = 512) -> np.ndarray:
    """(size, size) bool: the windows of eyes, nose and mouth."""
    mask = np.zeros((size, size), bool)
    geometry = Geometry(size)
    for part in PARTS:
        mask[geometry.window(part).slices] = True
    return mask


_PARTS_512 = part_mask()


def ridges(edges: np.ndarray, weak: np.ndarray, strong: np.ndarray, blur: float) -> np.ndarray:
    """The crests of an edge map (H, W) float32, as bool: local maxima across the crest's own direction, with
    hysteresis between the two thresholds (numbers or (H, W) arrays)."""
    g = cv2.GaussianBlur(edges, (0, 0), blur)
    gxx = cv2.Sobel(g, cv2.CV_32F, 2, 0, ksize=3)
    gyy = cv2.Sobel(g, cv2.CV_32F, 0, 2, ksize=3)
    gxy = cv2.Sobel(g, cv2.CV_32F, 1, 1, ksize=3)
    angle = 0.5 * np.arctan2(2 * gxy, gxx - gyy)  # of the larger curvature: along the crest
    across_x, across_y = -np.sin(angle), np.cos(angle)
    curvature = (gxx + gyy) / 2 - np.sqrt(((gxx - gyy) / 2) ** 2 + gxy ** 2)
    rows, columns = np.indices(g.shape, dtype=np.float32)
    one = cv2.remap(g, columns + across_x, rows + across_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    other = cv2.remap(g, columns - across_x, rows - across_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    crest = (g >= one) & (g >= other) & (curvature < 0) & (g > weak)
    count, labels = cv2.connectedComponents(crest.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    keep[np.unique(labels[crest & (g > strong)])] = True
    keep[0] = False
    return keep[labels]


def edges_to_lines(edges: np.ndarray, style: LineStyle = LineStyle()) -> np.ndarray:
    """An edge map (512, 512) float32 from 0 to 1 of an aligned face as a sketch, (512, 512) uint8, 0 on 255."""
    edges = np.asarray(edges, np.float32)
    if edges.shape != (512, 512):
        raise ValueError(f"expected the edge map of a 512x512 face, found shape {edges.shape}")
    weak = np.where(_PARTS_512, np.float32(style.weak_part), np.float32(style.weak))
    strong = np.where(_PARTS_512, np.float32(style.strong_part), np.float32(style.strong))
    crest = ridges(edges, weak, strong, style.blur).astype(np.uint8)
    m = style.margin
    if m:
        crest[:m], crest[-m:], crest[:, :m], crest[:, -m:] = 0, 0, 0, 0
    # crests come apart at junctions by a pixel or two
    crest = cv2.morphologyEx(crest, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    paths = strokes.trace(strokes.thin(crest), min(style.shortest, style.shortest_part))
    kept = []
    for path in paths:
        inside = _PARTS_512[path[:, 1], path[:, 0]].mean() > 0.5
        if len(path) >= (style.shortest_part if inside else style.shortest):
            kept.append(strokes.smooth(path, style.smoothing))
    return strokes.draw(kept, 512, style.width)
