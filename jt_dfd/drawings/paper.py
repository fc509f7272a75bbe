"""The paper under a drawing: how bright it is at every point, and what is ruled on it.

All arrays are float32 with paper towards 1 and ink towards 0, (H, W) or (H, W, 3).  Numbers are ours, chosen on
made-up papers (tests/core/test_drawings.py) and on what phones and scanners give.
"""
from __future__ import annotations

from typing import List, Optional

import cv2
import numpy as np

#: edge of the small picture that the paper is looked at in
SMALL = 384
#: widest stroke in that small picture that is no part of the paper
_STROKE = 17
#: what is darker than this share of the paper's general brightness is a filled area, not paper in shadow
_FILLED = 0.45
#: darker than its surroundings' paper by more than this is ink, where the paper is looked at
_NEAR_PAPER = 0.93
#: share of tones that are neither strokes nor paper, and their spread, from which a picture is a photograph: of 313
#: faces that these were not chosen on, 312 have them; drawings with filled hair in falling light or a hard shadow do
#: not
_TONAL_SHARE, _TONAL_SPREAD = 0.14, 0.14
#: what is darker than this share of the paper is ink, lighter than that paper
_TONES = (0.3, 0.86)
#: strips of a page in which ruled lines are followed
_STRIPS = 32
#: how many times a page is looked at for ruled lines of another darkness
_KINDS = 3


def small(picture: np.ndarray, edge: int = SMALL) -> np.ndarray:
    """The picture shrunk by area to ``edge`` at its longer side; as it is where it is no larger."""
    height, width = picture.shape[:2]
    factor = edge / max(height, width)
    if factor >= 1:
        return picture
    return cv2.resize(picture, (max(1, round(width * factor)), max(1, round(height * factor))),
                      interpolation=cv2.INTER_AREA)


def envelope(grey: np.ndarray) -> np.ndarray:
    """A small picture (H, W) without its strokes: grey closing."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STROKE, _STROKE))
    return cv2.morphologyEx(cv2.medianBlur(grey.astype(np.float32), 3), cv2.MORPH_CLOSE, kernel,
                            borderType=cv2.BORDER_REPLICATE)


def general(closed: np.ndarray) -> np.ndarray:
    """The paper's general brightness: a surface of second degree through the bright part of ``closed`` (H, W), by
    least squares in which what lies far below the surface hardly counts."""
    height, width = closed.shape
    y, x = np.mgrid[-1:1:complex(height), -1:1:complex(width)].astype(np.float64)
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    values = closed.reshape(-1).astype(np.float64)
    step = max(1, len(values) // 6000)
    b, v = basis[::step], values[::step]
    surface = np.full_like(v, np.quantile(v, 0.75))
    for _ in range(12):
        weight = np.where(v < 0.85 * surface, 0.01, 1.0)
        scaled = b * weight[:, None]
        # sums, not matrix products: the threads of a BLAS wait for one another for seconds on a busy machine
        coefficients = np.linalg.solve(np.einsum("ni,nj->ij", scaled, b) + 1e-6 * len(v) * np.eye(6),
                                       np.einsum("ni,n->i", scaled, v))
        surface = np.einsum("ni,i->n", b, coefficients)
    fitted = np.einsum("ni,i->n", basis, coefficients).reshape(height, width)
    return np.clip(fitted, max(0.02, 0.3 * np.quantile(v, 0.75)), 1.2).astype(np.float32)


def brightness(picture: np.ndarray) -> np.ndarray:
    """How bright the paper is at every pixel of ``picture`` (H, W): what the picture is divided by.

    Where paper is seen, its mean over a few pixels of the small picture; under strokes and filled areas what their
    surroundings have.
    """
    little = small(picture).astype(np.float32)
    closed = envelope(little)
    surface = general(closed)
    is_paper = ((little >= _NEAR_PAPER * closed) & (closed >= _FILLED * surface)).astype(np.float32)
    near = cv2.GaussianBlur(is_paper, (0, 0), 3), cv2.GaussianBlur(is_paper * little, (0, 0), 3)
    wide = cv2.GaussianBlur(is_paper, (0, 0), 15), cv2.GaussianBlur(is_paper * little, (0, 0), 15)
    far = (wide[1] + 0.002 * surface) / (wide[0] + 0.002)
    found = (near[1] + 0.02 * far) / (near[0] + 0.02)
    return cv2.resize(found, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def is_tonal(picture: np.ndarray) -> bool:
    """Is a picture (H, W), paper light, a photograph or painting?

    What is neither strokes nor paper nor black, seen without the strokes, is a notable part of it and of many tones. A
    filled area is of one tone, and so is what lies in a shadow's edge.
    """
    little = small(picture, 256).astype(np.float32)
    closed = cv2.morphologyEx(cv2.GaussianBlur(little, (0, 0), 1), cv2.MORPH_CLOSE,
                              cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)), borderType=cv2.BORDER_REPLICATE)
    ratio = closed / general(closed)
    off = (ratio > _TONES[0]) & (ratio < _TONES[1])
    if float(off.mean()) < _TONAL_SHARE:
        return False
    low, high = np.quantile(ratio[off], (0.1, 0.9))
    return bool(high - low > _TONAL_SPREAD)


def ruling(ink: np.ndarray, level: bool = False) -> List[np.ndarray]:
    """What is ruled on a page: an (H, W) bool for each kind of line, as level and upright ones.

    ink: (H, W) float32, 0 on paper.  Lines count as ruled where at least four of them, straight and nearly level or
    upright, cross most of the page at one distance.  Squared paper is both; a margin that crosses ruled lines goes with
    them.  The page may be turned by up to eight degrees and seen at an angle, unless it is known to be ``level``.  A
    grid of dots is ruling too.
    """
    factor = max(1, max(ink.shape) // 1024)
    height, width = (n // factor * factor for n in ink.shape)
    little = ink if factor == 1 else ink[:height, :width].reshape(
        height // factor, factor, width // factor, factor).max((1, 3))  # of thin lines an average would leave nothing
    ways = (little, np.ascontiguousarray(little.T))
    lines = [_lines(way, level) for way in ways]
    if (lines[0] is None) != (lines[1] is None):
        other = 0 if lines[0] is None else 1
        lines[other] = _lines(ways[other], level, margin=True)
    found = (_dot_grid(little), lines[0], None if lines[1] is None else lines[1].T)
    return [cv2.resize(mask.astype(np.uint8), ink.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
            for mask in found if mask is not None]


def _dot_grid(ink: np.ndarray) -> Optional[np.ndarray]:
    """(H, W) bool, the small spots of a page that lie at one distance from one another; None where they do not."""
    _, labels, stats, middles = cv2.connectedComponentsWithStats((ink > 0.08).astype(np.uint8), connectivity=8)
    spots = np.flatnonzero(stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1) <= max(3, max(ink.shape) / 100))
    if not 60 <= len(spots) <= 2500:
        return None
    x, y = middles[spots].T.astype(np.float32)
    apart = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    np.fill_diagonal(apart, np.inf)
    nearest = np.sqrt(apart.min(1))
    step = float(np.median(nearest))
    if step < 6 or (np.abs(nearest - step) < max(1.5, 0.1 * step)).mean() < 0.7:
        return None
    return cv2.dilate(np.isin(labels, spots).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _lines(ink: np.ndarray, level: bool, margin: bool = False) -> Optional[np.ndarray]:
    """(H, W) bool, the nearly level ruled lines of ``ink`` (H, W), or with ``margin`` one or two that cross nearly all
    of it; None where there are none."""
    height, width = ink.shape
    if min(height, width) < 64:
        return None
    # thin things only: a filled area is no ruling
    thick = max(3, round(max(height, width) / 512 * 7)) | 1
    thin = ink - cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((thick, 1), np.float32))
    edge = max(8, width // _STRIPS)
    count = width // edge
    profile = np.ascontiguousarray(thin[:, :count * edge].reshape(height, count, edge).mean(2).T)
    profile = np.maximum(profile - np.median(profile, 1, keepdims=True), 0)
    wavers = cv2.dilate(profile, np.ones((1, 3), np.float32))  # a printed line may waver by a pixel
    across = (np.arange(count) + 0.5) * edge - width / 2
    share = 0.85 if margin else 0.6

    def strengths(slope, fan):
        return _crossing(wavers, _rows(height, across, slope, fan), share)

    slope = fan = 0.0
    if not level:
        steps = [(a, b) for a in np.linspace(-0.14, 0.14, 57) for b in np.linspace(-0.06, 0.06, 13)]
        for step in (0.0, 0.0012):
            tried = steps if not step else [(slope + i * step, fan + j * 2 * step) for i in range(-2, 3)
                                            for j in range(-2, 3)]
            slope, fan = max(tried, key=lambda t: (_sharpness(strengths(*t)), -abs(t[0]) - abs(t[1])))
    curves = _rows(height, across, slope, fan)
    bands = [band for band in _bands(strengths(slope, fan), margin)
             if _is_unbroken(thin, np.interp(np.arange(width), across + width / 2, curves[:, sum(band) // 2]))]
    if not (_is_regular(bands, height) if not margin else 1 <= len(bands) <= 2):
        return None
    mask = np.zeros(ink.shape, np.uint8)
    for band in bands:
        rows = _followed(profile, curves[:, sum(band) // 2])
        points = np.stack([across + width / 2, rows], 1)
        ends = [points[0] + (points[0] - points[1]), *points, points[-1] + (points[-1] - points[-2])]
        cv2.polylines(mask, [np.round(16 * np.array(ends)).astype(np.int32)], False, 1,
                      _width(thin, rows, across + width / 2), shift=4)
    return mask > 0


def _rows(height: int, across: np.ndarray, slope: float, fan: float) -> np.ndarray:
    """(strips, H): where the lines through every row of the middle column run.  ``slope`` at half the height, ``fan``
    more at the lower edge and less at the upper, as parallels that are seen at an angle meet in one point."""
    at = np.arange(height)
    return at + across[:, None] * (slope + fan * (2 * at / height - 1))


def _crossing(profile: np.ndarray, rows: np.ndarray, share: float) -> np.ndarray:
    """(H,) how dark a line through every row of the middle is in all but this share's rest of the strips."""
    height = profile.shape[1]
    at = np.clip(np.round(rows).astype(int), 0, height - 1)
    along = np.take_along_axis(profile, at, 1)
    along[(rows < -0.5) | (rows > height - 0.5)] = 0
    return np.partition(along, round((1 - share) * len(along)), 0)[round((1 - share) * len(along))]


def _sharpness(strength: np.ndarray) -> float:
    return float((strength ** 2).sum())


def _bands(strength: np.ndarray, few: bool):
    """[(first row, last row)] in which lines cross the page."""
    top = float(strength.max() if few else np.quantile(strength, 0.995))
    dark = strength > max(0.012, 0.3 * top)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2])]


def _is_unbroken(thin: np.ndarray, rows: np.ndarray) -> bool:
    """Is there ink on nearly every column of a line (W,), or near it?  A line of words has gaps."""
    at = np.clip(np.round(rows).astype(int) + np.arange(-3, 4)[:, None], 0, thin.shape[0] - 1)
    along = thin[at, np.arange(thin.shape[1])].max(0)
    return bool((along > 0.3 * np.median(along)).mean() > 0.8)


def _is_regular(bands, height: int) -> bool:
    """Are there at least four lines, thin ones, at one distance or at distances that change little by little?"""
    if len(bands) < 4 or np.median([b - a for a, b in bands]) > height / 40 + 4:
        return False
    gaps = np.diff([(a + b) / 2 for a, b in bands])
    step = np.array([np.median(gaps[max(0, n - 3):n + 4]) for n in range(len(gaps))])
    if np.median(step) < 5:
        return False
    steps = np.round(gaps / step)
    even = (steps > 0) & (np.abs(gaps / step - steps) < np.maximum(0.15, 1.6 / step))
    full = gaps.sum() / np.median(step) < 2.5 * len(gaps)  # four lines at a page's ends are frames
    return bool(full and even.mean() > 0.75 and (steps == 1).mean() >= 0.5)


def _followed(profile: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows (strips,) of one line where it is darkest nearby: paper bends."""
    reach = np.arange(-3, 4)
    at = np.clip(np.round(rows).astype(int)[:, None] + reach, 0, profile.shape[1] - 1)
    near = np.take_along_axis(profile, at, 1)
    near = np.maximum(near - 0.5 * near.max(1, keepdims=True), 0)
    off = (near * reach).sum(1) / np.maximum(near.sum(1), 1e-6)
    return np.round(rows) + [np.median(off[max(0, n - 2):n + 3]) for n in range(len(off))]


def _width(thin: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> int:
    """Pixels that a line is wide, from its middle profile over all strips."""
    reach = np.arange(-6, 7)
    at = np.clip(np.round(rows).astype(int)[:, None] + reach, 0, thin.shape[0] - 1)
    near = np.stack([thin[at, np.clip(columns.astype(int) + off, 0, thin.shape[1] - 1)[:, None]]
                     for off in range(-3, 4)])
    middle = np.median(near, (0, 1))
    return int((middle > 0.2 * middle.max()).sum()) + 1 if middle.max() > 0 else 1


def without_ruling(ink: np.ndarray, grain: float = 0.0, level: bool = False) -> np.ndarray:
    """``ink`` (H, W), 0 on paper, with what is ruled on it taken off; the same array where nothing is.

    grain: what the paper itself is at most.  Each kind of line is taken off by itself, and of millimetre paper, whose
    wider lines are darker than the others, these after those.
    """
    for _ in range(_KINDS):
        masks = ruling(np.maximum(ink - grain, 0), level)
        if not masks:
            break
        for mask in masks:
            ink = _without_lines(ink, mask)
    return ink


def _without_lines(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``ink`` (H, W), 0 on paper, with the ruling under ``mask`` taken off.

    A ruled pixel keeps what is clearly darker than the ruling is by itself; where the ruling is as dark as the strokes,
    what joins strokes on both of its sides.
    """
    # of a turned line some pixels hold it whole and some a part: the darkest nearby counts
    on = cv2.dilate(np.where(mask, ink, 0).astype(np.float32), np.ones((3, 3), np.uint8))[mask]
    level = float(np.median(on[on > 0.02])) if (on > 0.02).any() else 0.0
    strong = float(np.quantile(ink[~mask & (ink > 0.1)], 0.7)) if (~mask & (ink > 0.1)).any() else 1.0
    darker = min(1.0, level * 1.35 + 0.05)
    if darker < 0.85 * strong:
        return np.where(mask & (ink < darker), 0, ink).astype(np.float32)
    gone = np.where(mask, 0, ink).astype(np.float32)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3)[mask]
    width = 2 * int(np.quantile(inside, 0.9)) + 1  # a little more than a line is wide
    joined = cv2.morphologyEx(gone, cv2.MORPH_CLOSE, np.ones((width, width), np.float32))
    return np.where(mask, np.minimum(joined, ink), ink)
