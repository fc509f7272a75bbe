"""From an edge map to pen strokes: ridges, thinning, specks out, and redrawing two pixels wide.

Numbers are ours, chosen by eye on the generated faces against hand-drawn sketches.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..components import PARTS, Geometry
from . import strokes


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
