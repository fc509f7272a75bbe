"""The paper under a drawing: how bright it is at every point, and what is ruled on it.

All arrays are float32 with paper towards 1 and ink towards 0, (H, W) or (H, W, 3).  Numbers are ours, chosen on
made-up papers (tests/core/test_drawings.py) and on what phones and scanners give.
"""
from __future__ import annotations

from typing import Optional, Tuple

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


def ruling(ink: np.ndarray, level: bool = False) -> Optional[np.ndarray]:
    """What is ruled on a page: (H, W) bool, or None where nothing is.

    ink: (H, W) float32, 0 on paper.  Lines count as ruled where at least four of them, straight and nearly level or
    upright, cross most of the page at one distance.  Squared paper is both.  The page may be turned by up to three
    degrees, unless it is known to be ``level``, which is quicker.  A grid of dots is ruling too.
    """
    factor = max(1, max(ink.shape) // 1024)
    height, width = (n // factor * factor for n in ink.shape)
    little = ink if factor == 1 else ink[:height, :width].reshape(
        height // factor, factor, width // factor, factor).max((1, 3))  # of thin lines an average would leave nothing
    found = _dot_grid(little)
    for upright in (False, True):
        lines = _level_lines(np.ascontiguousarray(little.T if upright else little), level)
        if lines is not None:
            lines = lines.T if upright else lines
            found = lines if found is None else found | lines
    if found is None or factor == 1:
        return found
    return cv2.resize(found.astype(np.uint8), ink.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


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


def _level_lines(ink: np.ndarray, level: bool) -> Optional[np.ndarray]:
    height, width = ink.shape
    if min(height, width) < 64:
        return None
    # thin things only: a filled area is no ruling
    thick = max(3, round(max(height, width) / 512 * 7)) | 1
    thin = ink - cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((thick, 1), np.float32))
    slope = 0.0 if level else _slope(thin)
    at, rows = _sheared(thin, slope)
    cover = _coverage(at)
    lines = _regular(cover, height)
    if lines is None:
        return None
    mask = np.zeros(at.shape, bool)
    for top, bottom in lines:
        mask[top:bottom + 1] = True
    # back to the page's own rows
    y = np.arange(height)[:, None] + rows[None, :]
    return mask[np.clip(y, 0, height - 1), np.arange(width)[None, :]]


def _slope(ink: np.ndarray) -> float:
    """Rise a pixel at which level lines are sharpest in the row sums."""
    best = _sharpest(small(ink, 256), np.linspace(-0.052, 0.052, 27))
    if best is None:
        return 0.0
    return _sharpest(ink, best + np.linspace(-0.003, 0.003, 13)) or 0.0


def _sharpest(ink: np.ndarray, slopes) -> Optional[float]:
    """The slope with the sharpest row sums, where it is clearly sharper than level lines would be; else None."""
    def sharpness(slope):
        at, _ = _sheared(ink, slope)
        return float((np.diff(at.mean(1)) ** 2).sum())

    level = sharpness(0.0)
    found = [(sharpness(slope), slope) for slope in slopes]
    best = max(found, key=lambda f: (f[0], -abs(f[1])))
    return float(best[1]) if best[0] > 1.5 * level else None


def _sheared(ink: np.ndarray, slope: float) -> Tuple[np.ndarray, np.ndarray]:
    """(ink with lines of that slope made level, how many rows down every column of the page came)."""
    height, width = ink.shape
    down = -np.round((np.arange(width) - width / 2) * slope).astype(int)
    if not down.any():
        return ink, down
    rows = np.arange(height)[:, None] - down[None, :]
    at = ink[np.clip(rows, 0, height - 1), np.arange(width)[None, :]]
    return at, down


def _coverage(ink: np.ndarray) -> np.ndarray:
    """(H,) the share of every row's columns with ink on it that goes on to the sides; a row's neighbours count too, as
    a printed line may waver by a pixel."""
    inked = ink[ink > 0.03]
    level = max(0.03, 0.3 * float(np.median(inked))) if len(inked) else 1.0
    dark = cv2.dilate((ink > level).astype(np.uint8), np.ones((3, 1), np.uint8))
    run = max(15, ink.shape[1] // 24)
    joined = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((1, 7), np.uint8))  # where upright lines cross
    long = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    return long.mean(1)


def _regular(cover: np.ndarray, height: int):
    """[(first row, last row)] of the lines, or None where they are not regular."""
    dark = cover > 0.55
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.astype(np.int8), [0]])))
    bands = [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2])]
    bands = [b for b in bands if b[1] - b[0] < height / 40 + 4]
    if len(bands) < 4:
        return None
    centres = np.array([(a + b) / 2 for a, b in bands])
    gaps = np.diff(centres)
    step = float(np.median(gaps))
    if step < 5:
        return None
    even = np.abs(gaps / step - np.round(gaps / step)) < max(0.12, 1.6 / step)
    full = gaps.sum() / step < 2.5 * len(gaps)  # four lines at a page's ends are frames
    return bands if full and even.mean() > 0.75 else None


def without_ruling(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``ink`` (H, W), 0 on paper, with the ruling under ``mask`` taken off.

    A ruled pixel keeps what is clearly darker than the ruling is by itself; where the ruling is as dark as the strokes,
    what joins strokes on both of its sides.
    """
    on = ink[mask]
    level = float(np.median(on[on > 0.02])) if (on > 0.02).any() else 0.0
    strong = float(np.quantile(ink[~mask & (ink > 0.1)], 0.7)) if (~mask & (ink > 0.1)).any() else 1.0
    darker = min(1.0, level * 1.35 + 0.05)
    if darker < 0.85 * strong:
        return np.where(mask & (ink < darker), 0, ink).astype(np.float32)
    gone = np.where(mask, 0, ink).astype(np.float32)
    width = 2 * int(np.ceil(_thickness(mask) / 2)) + 3
    joined = cv2.morphologyEx(gone, cv2.MORPH_CLOSE, np.ones((width, width), np.float32))
    return np.where(mask, np.minimum(joined, ink), ink)


def _thickness(mask: np.ndarray) -> float:
    return float(2 * np.quantile(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_C, 3)[mask], 0.5))
