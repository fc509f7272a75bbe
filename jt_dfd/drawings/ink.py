"""Which pixels of a page are ink, and how dark: colour, light on dark, paper, ruling and construction lines.

A grey picture of black strokes on white paper is *clean* and comes back as it is, bit for bit.  Everything else is
corrected step by step, and every step that did something is noted.  Numbers are ours.
"""
from __future__ import annotations

from typing import List, Optional, Tuple

import cv2
import numpy as np

from . import frame, paper
from .words import Remark, remark

#: channels further apart than this are a colour, where more than this share of the page shows it
_COLOURED, _COLOURED_SHARE = 24, 0.0005
#: a clean page: at least this share of it as white as this (a sheet a fiftieth darker all over changes a face by 15
#: grey levels), its median nearly, and this share of its ink as dark as this (JPEG makes some of grey ink
#: that dark too: 0.02; a flat grey area beside lines leaves 0.07)
_WHITE, _WHITE_SHARE, _INK, _INK_SHARE = 254, 0.2, 112, 0.05
#: parts of one tone a pixel from which a page is made of dots (a line drawing has a twentieth of that)
_DOTS = 0.01
#: pages with a shorter side than this are small; one of them is clean with this share of it as dark as ink
_SMALL, _SMALL_SHARE = 256, 0.0003
#: a ground lighter than this is never a dark one
_DARK = 150
#: nor, painted in one tone, one lighter than this
_PAINTED = 245
#: longer side to which a page that has to be corrected is shrunk first: four times the canvas, for time and memory
_MAX_EDGE = 2048
#: less of the ink than this is no construction lines but the fringes of strokes
_MIN_LINES = 0.04
#: a lens makes the sides of strokes soft, and thin strokes pale: photographed ink is read as darker by this.  Of eight
#: papers and three drawings the faces then differ by 4.3 from the clean ones' on average, without it by 8.5; with 1.35
#: by 4.4, but a grey pencil's by 8 where it was 1
_SOFT = 1.2
#: contrast below which a page holds nothing, of its paper's brightness
_MIN_CONTRAST = 0.05


def neutral(pixels: np.ndarray) -> Optional[np.ndarray]:
    """The one channel of a grey picture, (H, W); None where it shows colour.  Of three channels the first, as the
    release reads it."""
    if pixels.ndim == 2:
        return pixels
    spread = pixels.max(2).astype(np.int16) - pixels.min(2)
    return np.ascontiguousarray(pixels[:, :, 0]) if float((spread > _COLOURED).mean()) <= _COLOURED_SHARE else None


def _is_screened(grey: np.ndarray) -> bool:
    """Are the tones of a page (H, W) made of dots, as by a newspaper's screen or dithering?"""
    return min(grey.shape) >= _SMALL and _dots(grey) > _DOTS * grey.size


def _dots(grey: np.ndarray) -> int:
    dark = (paper.small(grey, _MAX_EDGE) < 128).astype(np.uint8)
    return max(cv2.connectedComponents(part, connectivity=4)[0] for part in (dark, 1 - dark))


def _without_screen(grey: np.ndarray) -> np.ndarray:
    """A screened page as the grey it stands for: dots on white become paper by their mean."""
    pitch = float(np.sqrt(grey.size / _dots(grey)))
    return cv2.GaussianBlur(paper.small(grey, _MAX_EDGE), (0, 0), 0.4 * pitch)


def _luma(picture: np.ndarray) -> np.ndarray:
    """(H, W) of (H, W, 3) float32; OpenCV, as a BLAS's threads wait for one another on a busy machine."""
    return cv2.transform(picture, np.float32([[0.299, 0.587, 0.114]]))


def is_clean(grey: np.ndarray) -> bool:
    """Is this (H, W) uint8 page black strokes on white, as the release expects it?  An empty white page is."""
    counts = np.bincount(grey.reshape(-1), minlength=256)
    total = grey.size
    if counts[_WHITE:].sum() < _WHITE_SHARE * total or np.searchsorted(np.cumsum(counts), total / 2) < 240:
        return False
    dark, any_ink = counts[:_INK].sum(), counts[:235].sum()
    if min(grey.shape) < _SMALL:   # shrunk lines are grey: a few dark pixels will do
        return bool(any_ink == 0 or dark >= max(1.0, _SMALL_SHARE * total))
    return bool(dark >= _INK_SHARE * any_ink)


def _is_black(grey: np.ndarray) -> bool:
    """Are a page's strokes black?  Chalk and light screen colours leave less when light and dark are exchanged."""
    return float(np.quantile(grey, 0.002)) <= 8


def is_dark(luma: np.ndarray) -> bool:
    """Is the page (H, W), 0 to 255, a dark ground with light strokes, as a blackboard?  Where its middle is not light,
    and what is lighter than its surroundings outweighs what is darker.  A painted ground, of one tone, may be lighter:
    there is no light and shade in which it would only seem so."""
    little = paper.small(luma.astype(np.float32), 384)
    middle = float(np.median(little))
    painted = middle < _PAINTED and float((np.abs(luma - middle) <= 2).mean()) > 0.6
    return (painted or middle <= _DARK) and _is_lighter(little)


def _ground(little: np.ndarray) -> np.ndarray:
    """What the strokes of a small picture (H, W) float32, 0 to 255, are on."""
    return cv2.medianBlur(np.round(little).astype(np.uint8), 31).astype(np.float32)


def _is_lighter(little: np.ndarray) -> bool:
    """Are the strokes of a small picture (H, W) float32, 0 to 255, lighter than what they are on?"""
    away = little - _ground(little)
    away[np.abs(away) < 12] = 0
    return float(np.maximum(away, 0).sum()) > float(np.maximum(-away, 0).sum())


def read(pixels: np.ndarray, turned: bool = False) -> Tuple[np.ndarray, List[Remark], List[Remark]]:
    """(page, notes, warnings) of a picture (H, W) or (H, W, 3), uint8: page is (H, W) uint8, black strokes on white.
    ``turned``: light and dark were exchanged already."""
    on = frame.canvas(pixels)
    if on is not None:
        page, more, warnings = read(np.ascontiguousarray(pixels[on[1]:on[3], on[0]:on[2]]))
        return page, [remark("sheet"), *more], warnings
    grey = neutral(pixels)
    notes: List[Remark] = []
    if grey is not None and _is_screened(grey):
        notes.append(remark("screen"))
        grey = pixels = _without_screen(grey)
    if grey is not None and is_clean(grey) and (not turned or _is_black(grey)):
        return _without_ruling(grey, notes), notes, []
    pixels = paper.small(pixels, _MAX_EDGE)
    grey = None if grey is None else paper.small(grey, _MAX_EDGE)
    luma = grey if grey is not None else np.round(_luma(pixels.astype(np.float32)))
    luma = luma.astype(np.float32)
    if float(np.ptp(paper.small(luma))) <= 255 * _MIN_CONTRAST and float(np.ptp(luma)) <= 40:
        page = np.full(luma.shape, 0 if np.median(luma) < 64 else 255, np.uint8)
        return page, notes, []
    lights = [luma]  # a sheet on something darker, of a colour on something without, or without on something with
    if grey is None:
        most, least = pixels.max(2).astype(np.float32), pixels.min(2).astype(np.float32)
        lights += [most - least, 255 * least / np.maximum(most, 1)]  # the last is the same in a shadow
    for light in lights:
        inside = frame.sheet(pixels, light)
        if inside is not None:
            page, more, warnings = read(inside)
            if not warnings and not any(n.code == "inverted" for n in more) and page.min() < 255:
                return page, [remark("sheet"), *more], warnings
    dark = is_dark(luma)
    if paper.is_tonal((255 - luma if dark else luma) / 255):
        return np.round(luma).astype(np.uint8) if grey is None else grey, notes, [remark("photograph")]
    if dark:
        notes.append(remark("inverted"))
        pixels = 255 - pixels
        if grey is not None:
            grey = 255 - grey
            if is_clean(grey) and _is_black(grey):
                return _without_ruling(grey, notes), notes, []
    page = _corrected(grey if grey is not None else pixels, notes)
    return page, notes, []


def _without_ruling(grey: np.ndarray, notes: List[Remark]) -> np.ndarray:
    """A clean page without what is ruled on it, where something is; else the same array."""
    ink = 1 - grey.astype(np.float32) / 255
    kept = paper.without_ruling(ink, level=True)
    if kept is ink:
        return grey
    notes.append(remark("ruling"))
    return np.where(kept != ink, np.round(255 * (1 - kept)), grey).astype(np.uint8)


def _corrected(pixels: np.ndarray, notes: List[Remark]) -> np.ndarray:
    picture = pixels.astype(np.float32) / 255
    channels = [picture] if picture.ndim == 2 else [np.ascontiguousarray(picture[:, :, c]) for c in range(3)]
    if len(channels) == 3:
        level = [float(np.median(c)) for c in channels]
        channels = [_no_lighter(c) if v >= 0.25 * max(level) else np.ones_like(c) for c, v in zip(channels, level)]
    bright = [np.maximum(paper.brightness(c), 0.02) for c in channels]
    lit = np.median([float(np.median(b)) for b in bright])
    if any(abs(float(np.median(b)) - 1) > 0.015 or float(np.std(b)) > 0.01 for b in bright):
        notes.append(remark("paper"))
    ratios = np.stack([np.minimum(c / b, 1) for c, b in zip(channels, bright)], -1)
    del channels, picture
    ink = 1 - ratios.min(2)
    noise = _noise(ink)
    kept = paper.without_ruling(ink, 2 * noise)
    if kept is not ink:
        ratios = 1 - (1 - ratios) * (kept / np.maximum(ink, 1e-6))[:, :, None]
        ink = kept
        notes.append(remark("ruling"))
    if ratios.shape[2] == 3:
        ink = _without_construction(ratios, ink, noise, notes)
    grain = _grain(ink, noise)
    ink = np.clip(ink - grain, 0, 1) / (1 - grain)
    strength = _strength(ink, noise)
    if strength < _MIN_CONTRAST or strength * lit < 0.02:
        return np.full(ink.shape, 255, np.uint8)
    if strength < 0.65:
        notes.append(remark("faint"))
    ink = _without_faint_lines(ink, strength, notes)
    ink = np.clip(ink * (_SOFT if _is_photographed(pixels) else 1) / strength, 0, 1)
    if noise > 0.002:
        ink = _without_specks(ink)
    return np.round(255 * (1 - ink)).astype(np.uint8)


def _is_photographed(pixels: np.ndarray) -> bool:
    """Did a picture go through a camera or scanner?  Painted paper is of one colour: neighbours there are the same."""
    return float((pixels[:, 1:] == pixels[:, :-1]).mean()) < 0.6


def _no_lighter(channel: np.ndarray) -> np.ndarray:
    """A channel (H, W) float32, 0 to 1, without strokes that are lighter in it than the paper."""
    little = 255 * paper.small(channel)
    if float(np.median(little)) > 230 or not _is_lighter(little):
        return channel
    return np.minimum(channel, cv2.resize(_ground(little) / 255, channel.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _noise(ink: np.ndarray) -> float:
    """Standard deviation of the paper's grain, from the median deviation: strokes are too few to count."""
    step = max(1, int(np.sqrt(ink.size / 1e6)))
    rough = np.abs(ink - cv2.medianBlur(ink, 5))[::step, ::step]
    plain = np.abs(ink)[::step, ::step]
    return float(1.4826 * max(np.median(rough), min(np.median(plain), 0.03) * 0.8))


def _grain(ink: np.ndarray, noise: float) -> float:
    """How dark the paper's own grain gets: what is to be white."""
    if noise <= 0.002:
        return 0.0
    deepest = float(np.quantile(ink, 0.999))
    reach = 2 * max(3, round(max(ink.shape) / 512 * 3)) + 1
    near = cv2.dilate((ink > max(0.3 * deepest, 3.5 * noise)).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    # grain is everywhere: what only a hundredth of the paper shows are faint strokes
    far = float(min(np.quantile(ink[~near], 0.99), 2 * np.quantile(ink[~near], 0.9) + 0.01)) if (~near).any() else 0.0
    return float(np.clip(max(3.5 * noise, far), 0, max(0.35 * deepest, min(3.5 * noise, 0.5))))


def _cores(ink: np.ndarray, least: float) -> np.ndarray:
    """The darkness along the middle of every stroke, (N,): local maxima above ``least``."""
    top = cv2.dilate(ink, np.ones((3, 3), np.uint8))
    return ink[(ink >= top) & (ink > least)]


def _strength(ink: np.ndarray, noise: float) -> float:
    """How dark the drawing's strokes are: what becomes black.  0 where there are none."""
    deepest = float(np.quantile(ink, 0.999))
    cores = _cores(ink, max(0.04, 2 * noise, 0.3 * deepest))
    return float(np.clip(np.quantile(cores, 0.4), 0, 1)) if len(cores) >= 12 else deepest


def _without_construction(ratios, ink, noise, notes) -> np.ndarray:
    """Coloured construction lines under dark ink go: there the channel in which they are the paper's own is measured.

    Where there is dark ink enough to be a drawing, and where the light lines are, these count as construction: light
    colours (they keep more than half of the paper's luma: non-photo blue, pink, yellow), and saturated red and orange
    that run all over the drawing rather than in one part of it, such as lips.  Dark blue, green and violet are ink, and
    so is any colour without dark ink.
    """
    luma = _luma(ratios)
    spread = ratios.max(2) - ratios.min(2)
    coloured = (spread > 0.12 + 3 * noise) & (ink > 0.12)
    # a pencil is pale, but of no colour at all
    dark = (luma < 0.45) & ((spread < 0.35) | (ratios[:, :, 0] < 0.6)) | (luma < 0.62) & (spread < 0.08)
    # soft edges of coloured ink are light and coloured too: only what lies off the dark ink is a line of its own
    reach = 2 * max(1, round(max(ink.shape) / 1024)) + 1
    beside = cv2.dilate(dark.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    light = coloured & (luma > 0.5)
    warm = coloured & (ratios[:, :, 0] > 0.8) & (luma <= 0.5)
    lines = light & ~beside
    gone = np.zeros_like(coloured)
    if float(warm.mean()) > _COLOURED_SHARE:
        if dark.sum() > 0.3 * warm.sum() and _spans(warm, dark) and _spans(dark, warm, 0.35):
            gone |= coloured & (ratios[:, :, 0] > 0.6)
    elif (float(lines.mean()) > _COLOURED_SHARE and dark.sum() > 0.3 * lines.sum() and _spans(dark, lines, 0.35)
          and not _are_of_one_hue(ratios[dark], ratios[lines])):
        gone |= light & ~(beside & (spread < 0.12))
    if float(ink[gone].sum()) < _MIN_LINES * float(ink.sum()):
        gone[:] = False
    if gone.any():
        notes.append(remark("construction"))
    if float((coloured & ~gone).mean()) > _COLOURED_SHARE:
        notes.append(remark("colour"))
    left = np.clip(1 - ratios.max(2), 0, 1)
    return np.where(gone, np.where(left < 0.2, 0, left), ink).astype(np.float32)


def _are_of_one_hue(one: np.ndarray, other: np.ndarray) -> bool:
    """Are (N, 3) and (M, 3) pixels both coloured, and alike?  Then the paler ones are the same pen in a glare."""
    a, b = (1 - v.mean(0) for v in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return bool(np.linalg.norm(a) > 0.1 and a @ b > 0.9 * np.linalg.norm(a) * np.linalg.norm(b))


def _spans(one: np.ndarray, other: np.ndarray, part: float = 0.6) -> bool:
    """Does ``one`` (H, W) bool run over this part of where ``other`` is, in both directions?"""
    for axis in (0, 1):
        (a0, a1), (b0, b1) = (np.searchsorted(np.cumsum(v.sum(axis)), np.array([0.05, 0.95]) * v.sum())
                              for v in (one, other))
        narrow = b1 - b0 < 0.1 * one.shape[1 - axis]  # one line, as a margin, lies where it will
        if not one.any() or not narrow and min(a1, b1) - max(a0, b0) < part * (b1 - b0):
            return False
    return True


def _without_faint_lines(ink, strength, notes) -> np.ndarray:
    """Faint lines under dark ones of the same colour go, where the two are told apart at a glance: few strokes are
    between them."""
    cores = _cores(ink, 0.06)
    if len(cores) < 60 or strength < 0.5:
        return ink
    faint = float((cores < 0.45 * strength).mean())
    between = float(((cores >= 0.45 * strength) & (cores < 0.65 * strength)).mean())
    if not 0.06 < faint < 0.75 or between > 0.25 * min(faint, 1 - faint):
        return ink
    strong = (ink > 0.5 * strength).astype(np.uint8)
    reach = 2 * max(1, round(max(ink.shape) / 512)) + 1
    kept = cv2.dilate(strong, np.ones((reach, reach), np.uint8)) > 0
    notes.append(remark("pencil-under"))
    return np.where(kept, ink, 0).astype(np.float32)


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Grain that passed for ink goes: what is faint, or a spot of a pixel or two of the canvas, far from any stroke."""
    scale = max(1.0, max(ink.shape) / 512)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 0.2).astype(np.uint8), connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    small = area < 5 * scale * scale
    small[0] = False
    strokes = (~small[labels] & (labels > 0)).astype(np.uint8)
    reach = 2 * int(round(4 * scale)) + 1
    near = cv2.dilate(strokes, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0
    return np.where(near, ink, 0).astype(np.float32)
