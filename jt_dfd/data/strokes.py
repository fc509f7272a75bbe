"""Strokes in a raster sketch: thinning, tracing, dropping specks, and drawing them again with a pen.

Everything here is numpy and OpenCV on single pictures, without random numbers.
"""
from __future__ import annotations

from typing import List, Tuple

import cv2
import numpy as np

#: the eight neighbours (row, column), clockwise from the one above, and the bit each has in a neighbour code
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _code_kernel() -> np.ndarray:
    kernel = np.zeros((3, 3), np.float32)
    for bit, (dy, dx) in enumerate(_NEIGHBOURS):
        kernel[1 + dy, 1 + dx] = 1 << bit
    return kernel


_CODE_KERNEL = _code_kernel()


def _codes(ink: np.ndarray) -> np.ndarray:
    """For each pixel of a 0/1 uint8 picture (H, W) which of its eight neighbours are ink, as bits (uint8)."""
    return cv2.filter2D(ink, cv2.CV_8U, _CODE_KERNEL, borderType=cv2.BORDER_CONSTANT)


def _thinning_tables():
    """Lookup tables of the two half steps of Zhang and Suen's thinning (CACM 1984): 1 where a pixel may go."""
    tables = np.zeros((2, 256), np.uint8)
    for code in range(256):
        p = [code >> bit & 1 for bit in range(8)]  # p[0] above, p[2] right, p[4] below, p[6] left
        crossings = sum(p[i] == 0 and p[(i + 1) % 8] == 1 for i in range(8))
        if 2 <= sum(p) <= 6 and crossings == 1:
            tables[0, code] = not (p[0] and p[2] and p[4]) and not (p[2] and p[4] and p[6])
            tables[1, code] = not (p[0] and p[2] and p[6]) and not (p[0] and p[4] and p[6])
    return tables


def _corner_table() -> np.ndarray:
    """Pixels of a skeleton that only fill the inside of a step of a diagonal: 1 where one may go."""
    table = np.zeros(256, np.uint8)
    for code in range(256):
        p = [code >> bit & 1 for bit in range(8)]
        for a in (0, 2, 4, 6):  # two neighbours at a right angle, nothing opposite
            b, far = (a + 2) % 8, ((a + 4) % 8, (a + 5) % 8, (a + 6) % 8)
            if p[a] and p[b] and not any(p[i] for i in far):
                table[code] = 1
    return table


_THINNING = _thinning_tables()
_CORNER = _corner_table()


def thin(ink: np.ndarray) -> np.ndarray:
    """The skeleton, one pixel wide, of a picture (H, W) where non-zero is ink; 0/1 uint8."""
    ink = (np.asarray(ink) != 0).astype(np.uint8)
    while True:
        before = cv2.countNonZero(ink)
        for table in _THINNING:
            ink[cv2.LUT(_codes(ink), table).astype(bool) & (ink != 0)] = 0
        if cv2.countNonZero(ink) == before:
            break
    # corners one parity at a time: two neighbouring ones must not go together
    rows, columns = np.indices(ink.shape, sparse=True)
    for parity in range(4):
        turn = ((rows & 1) * 2 + (columns & 1)) == parity
        ink[cv2.LUT(_codes(ink), _CORNER).astype(bool) & (ink != 0) & turn] = 0
    return ink


def trace(skeleton: np.ndarray, min_length: int = 0) -> List[np.ndarray]:
    """The paths of a skeleton as a list of (N, 2) int32 arrays of (x, y), in a fixed order.

    A path runs between ends and junctions, or around a ring (then its first point comes again last).  At a junction it
    goes on in the straightest way, over a pixel that another path has taken too: a line that is crossed stays one
    stroke.  Paths of fewer than ``min_length`` pixels are left out.
    """
    height, width = skeleton.shape
    flat = np.zeros((height + 2, width + 2), np.uint8)
    flat[1:-1, 1:-1] = skeleton != 0
    step = width + 2
    offsets = [dy * step + dx for dy, dx in _NEIGHBOURS]
    # directly joined neighbours before diagonal ones: those would cut a corner
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    ink = flat.ravel() != 0
    left = {int(i) for i in np.flatnonzero(flat)}
    degree = _degrees(flat[1:-1, 1:-1])
    padded = np.zeros(flat.shape, np.uint8)
    padded[1:-1, 1:-1] = degree
    degree = padded.ravel()
    ends = sorted(i for i in left if degree[i] == 1)
    paths = []

    def across(here, heading):
        """(pixel, neighbour bit) that lead straight on over a pixel which another stroke has taken already."""
        for first in (heading, (heading + 1) % 8, (heading - 1) % 8):
            taken = here + offsets[first]
            if not ink[taken] or taken in left:
                continue
            for second in (heading, (heading + 1) % 8, (heading - 1) % 8):
                if taken + offsets[second] in left:
                    return taken, second
        return None

    def follow(start):
        path, heading = [start], None
        left.discard(start)
        here = start
        while True:
            best, best_turn = None, 9
            for bit in order:
                there = here + offsets[bit]
                if there not in left:
                    continue
                turn = 0 if heading is None else min((bit - heading) % 8, (heading - bit) % 8)
                if best is None or turn < best_turn:
                    best, best_turn = bit, turn
            if best is None or (heading is not None and best_turn > 2):
                over = None if heading is None else across(here, heading)
                if over is None:
                    return path
                path.append(over[0])
                best, here = over[1], over[0]
            here += offsets[best]
            left.discard(here)
            path.append(here)
            # heading over the last few steps: a single pixel step says little about direction
            back = path[max(0, len(path) - 5)]
            heading = _direction(here // step - back // step, here % step - back % step)

    for start in ends + sorted(left):
        if start not in left:
            continue
        path = follow(start)
        if len(path) > 2:
            tail = _follow_back(path, left, offsets, order)
            path = tail + path
        if len(path) > 3 and path[-1] - path[0] in offsets:
            path.append(path[0])
        if len(path) >= max(min_length, 2):
            points = np.asarray(path, np.int32)
            paths.append(np.stack([points % step - 1, points // step - 1], 1))
    return paths


def _follow_back(path, left, offsets, order):
    """The part of a path before its start, where it was entered in its middle (rings, junction remains)."""
    tail, here = [], path[0]
    while True:
        for bit in order:
            if here + offsets[bit] in left:
                here += offsets[bit]
                left.discard(here)
                tail.append(here)
                break
        else:
            return tail[::-1]


def _direction(dy: int, dx: int) -> int:
    """The neighbour bit nearest to a direction."""
    angle = np.arctan2(dx, -dy)  # clockwise from straight up
    return int(np.round(angle / (np.pi / 4))) % 8


def _degrees(ink: np.ndarray) -> np.ndarray:
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 0
    return cv2.filter2D(np.ascontiguousarray(ink), cv2.CV_8U, kernel, borderType=cv2.BORDER_CONSTANT)


def smooth(path: np.ndarray, sigma: float) -> np.ndarray:
    """A path (N, 2) smoothed along its length with a Gaussian of ``sigma`` pixels; ends stay, rings stay closed."""
    if sigma <= 0 or len(path) < 5:
        return path.astype(np.float32)
    points = path.astype(np.float32)
    radius = max(1, int(np.ceil(2.5 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    if (path[0] == path[-1]).all():
        ring = points[:-1]
        radius_points = np.take(ring, np.arange(-radius, len(ring) + radius), axis=0, mode="wrap")
        out = np.stack([np.convolve(radius_points[:, i], kernel, "valid") for i in (0, 1)], 1)
        return np.concatenate([out, out[:1]]).astype(np.float32)
    # mirrored through the end points, which therefore stay where they are
    n = len(points)
    reach = min(radius, n - 1)
    head, foot = 2 * points[0] - points[reach:0:-1], 2 * points[-1] - points[-2:-reach - 2:-1]
    padded = np.concatenate([head, points, foot])
    if reach < radius:
        padded = np.pad(padded, ((radius - reach,) * 2, (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, i], kernel, "valid") for i in (0, 1)], 1).astype(np.float32)


def draw(paths, size: int = 512, width: int = 2, soft: bool = False) -> np.ndarray:
    """Paths (N, 2) of (x, y) drawn black on white as lines of ``width`` pixels: (size, size) uint8."""
    picture = np.full((size, size), 255, np.uint8)
    draw_on(picture, paths, width, soft)
    return picture


def draw_on(picture: np.ndarray, paths, width: int = 2, soft: bool = False) -> None:
    """Draw paths (N, 2) of (x, y) into a uint8 picture (H, W): black, ``width`` pixels, hard-edged as a pen on the
    drawing page or anti-aliased."""
    shift = 4  # fractional bits: positions count to a sixteenth of a pixel
    lines = [np.round(np.asarray(p, np.float32) * (1 << shift)).astype(np.int32).reshape(-1, 1, 2) for p in paths]
    cv2.polylines(picture, lines, False, 0, int(width), cv2.LINE_AA if soft else cv2.LINE_8, shift)


#: a line is darker than what lies around it by this much, of 255, within a square of this edge (ours, by eye)
_CONTRAST, _AROUND = 28, 31
#: pixels: shorter lines are crumbs; between two points of a stroke; how far a line is smoothed
_MIN_LENGTH, _APART, _SMOOTH = 12, 4, 1.0


def lines_of(sketch: np.ndarray) -> List[List[Tuple[float, float]]]:
    """(H, W) uint8, dark lines on light: polylines of (x, y) along their middles, longest first, to
    go on drawing from.  A soft grey drawing will do."""
    grey = sketch.astype(np.float32)
    ink = cv2.blur(grey, (_AROUND, _AROUND), borderType=cv2.BORDER_REPLICATE) - grey > _CONTRAST
    ink[[0, 1, -2, -1], :] = ink[:, [0, 1, -2, -1]] = False  # the picture's own border is no line
    paths = trace(thin(ink), _MIN_LENGTH)
    return [_spaced(smooth(path, _SMOOTH)) for path in sorted(paths, key=len, reverse=True)]


def _spaced(line: np.ndarray) -> List[Tuple[float, float]]:
    keep = list(range(0, len(line) - 1, _APART)) + [len(line) - 1]
    return [(round(float(x), 1), round(float(y), 1)) for x, y in line[keep]]
