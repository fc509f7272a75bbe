"""A face drawn by hand out of its curves (outlines.py): few, clean strokes, and each time other ones.

    picture = draw(curves, np.random.default_rng(3))           # (512, 512) uint8, black on white

What varies is what varies between people with a mouse or a pen: which curves they leave out, whether an eye or a lip is
one closed stroke or two open ones, filled brows and irises, the pen, an unsteady hand, features a little out of place.
The same generator state gives the same drawing.  All numbers are ours.
"""
from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np

from ..components import RELEASE_CANVAS
from .outlines import Curves
from .strokes import draw_on, smooth

#: pixels of the pen, from the thinnest to the thickest
MIN_PEN, MAX_PEN = 1.5, 5.0


@dataclass
class Stroke:
    """Points (N, 2) float32 of x and y, the pen's width in pixels; filled: a closed area, all ink."""

    points: np.ndarray
    width: int
    filled: bool = False


def draw(curves: Curves, rng: np.random.Generator, bend: Optional[np.ndarray] = None) -> np.ndarray:
    """(512, 512) uint8.  bend: (512, 512, 2) float32 displacements of the whole drawing in pixels."""
    hand = _Hand(curves, rng)
    hand.face()
    return render(hand.strokes, hand.soft, bend)


def generator(name: str) -> np.random.Generator:
    """The random numbers of the one drawing that stands for a face of this name."""
    return np.random.default_rng([0xD2A4, zlib.crc32(name.encode("utf-8"))])


def render(strokes: List[Stroke], soft: bool, bend: Optional[np.ndarray] = None) -> np.ndarray:
    picture = np.full((RELEASE_CANVAS, RELEASE_CANVAS), 255, np.uint8)
    by_width: Dict[int, List[np.ndarray]] = {}
    for stroke in strokes:
        points = stroke.points
        if bend is not None:
            x, y = np.clip(np.round(points), 0, RELEASE_CANVAS - 1).astype(int).T
            points = points + bend[y, x]
        if stroke.filled:
            cv2.fillPoly(picture, [np.round(points * 16).astype(np.int32)], 0, cv2.LINE_AA if soft else cv2.LINE_8, 4)
        by_width.setdefault(stroke.width, []).append(points)
    for width, lines in sorted(by_width.items()):
        draw_on(picture, lines, width, soft)
    return picture


class _Hand:
    """One drawing in the making: the hand's habits are drawn first, then every feature by them."""

    def __init__(self, curves: Curves, rng: np.random.Generator):
        self.curves, self.rng = curves, rng
        self.strokes: List[Stroke] = []
        self.pen = float(np.exp(rng.uniform(np.log(MIN_PEN), np.log(MAX_PEN))))
        self.pen = min(self.pen, 1.0 + 3.0 * rng.random() + 1.0)   # thick pens are the rarer ones
        self.rounding = rng.random()
        self.soft = rng.random() < 0.4
        self.careless = rng.random() ** 1.5                        # 0 a draughtsman, 1 a hurried mouse
        self.wobble = 0.25 + 1.3 * self.careless * rng.random()
        self.misplaced = 0.7 + 2.6 * self.careless * rng.random()
        self.angular = rng.uniform(1.0, 2.5) if rng.random() < 0.1 else 0.0
        self.sparse = rng.random() < 0.25                          # leaves out more
        self._moves: Dict[str, Tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    # -- a hand's means

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def get(self, name: str) -> List[np.ndarray]:
        return self.curves.get(name, [])

    def one(self, name: str) -> Optional[np.ndarray]:
        lines = self.get(name)
        return lines[0] if lines else None

    def place(self, group: str, points: np.ndarray, share: float = 1.0) -> np.ndarray:
        """Points where this hand puts them: every group of features has one small shift, turn and size."""
        if group not in self._moves:
            rng, off = self.rng, self.misplaced * share
            turn = rng.normal(0, 0.010 * off)
            size = 1 + rng.normal(0, 0.012 * off, 2)
            matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * size
            self._moves[group] = points.mean(0), matrix, rng.normal(0, off, 2)
        centre, matrix, shift = self._moves[group]
        return (points - centre) @ matrix.T + centre + shift

    def width(self, factor: float = 1.0) -> int:
        """Whole pixels, in most strokes of a drawing rounded the same way; over all drawings on average the pen's
        width."""
        rounding = self.rng.random() if self.chance(0.1) else self.rounding
        return int(np.clip(np.floor(self.pen * factor + rounding), 1, 9))

    def line(self, points: np.ndarray, factor: float = 1.0, closed: bool = False, steady: float = 1.0,
             ends: float = 4.0, soften: float = 2.0, filled: bool = False, pieces: float = 0.15) -> None:
        """One stroke, or by chance two.  steady: share of the hand's wobble; ends: pixels by which they miss; soften:
        smoothing in pixels; pieces: probability of two strokes."""
        rng = self.rng
        points = _resampled(points, 2.5)
        if len(points) < 3:
            return
        length = 2.5 * len(points)
        if closed:
            points = np.concatenate([points[:-1], points[:1]]) if np.hypot(*(points[0] - points[-1])) < 4 else \
                _resampled(np.concatenate([points, points[:1]]), 2.5)
        if self.wobble * steady > 0.05:
            knots = max(3, int(length / rng.uniform(22, 45)) + 1)
            bumps = rng.normal(0, self.wobble * steady, (knots, 2))
            if closed:
                bumps[-1] = bumps[0]
            at = np.linspace(0, knots - 1, len(points))
            points = points + np.stack([np.interp(at, np.arange(knots), bumps[:, i]) for i in (0, 1)], 1)
        if closed:
            points[-1] = points[0]
        points = smooth(points, soften / 2.5 + 0.8)
        if not closed and ends and len(points) > 8:
            points = self._ends(points, ends)
        if closed and not filled and self.chance(0.35):
            # a loop that does not quite meet
            start = int(rng.integers(len(points)))
            points = np.roll(points[:-1], start, 0)
            points = points[: len(points) - int(rng.integers(0, 3))]
        if self.angular:
            points = cv2.approxPolyDP(points.reshape(-1, 1, 2).astype(np.float32), self.angular, False).reshape(-1, 2)
        pen = self.width(factor)
        if filled:
            self.strokes.append(Stroke(points, max(1, pen // 2), True))
        elif len(points) > 14 and not closed and self.chance(pieces):
            cut, over = int(rng.integers(5, len(points) - 5)), int(rng.integers(-2, 4))
            self.strokes.append(Stroke(points[: max(3, cut + over)], pen))
            self.strokes.append(Stroke(points[cut:] + rng.normal(0, 0.8 * self.careless, 2), pen))
        else:
            self.strokes.append(Stroke(points, pen))

    def _ends(self, points: np.ndarray, ends: float) -> np.ndarray:
        for _ in range(2):
            miss = int(np.round(self.rng.normal(0, ends * (0.4 + self.careless)) / 2.5))
            if miss < 0 and len(points) > 6 - miss:
                points = points[:miss]
            elif miss > 0:
                step = (points[-1] - points[-4]) / 3
                points = np.concatenate([points, points[-1] + step * np.arange(1, miss + 1)[:, None]])
            points = points[::-1]
        return points

    # -- the face

    def face(self) -> None:
        self._eyes()
        self._brows()
        self._nose()
        self._mouth()
        self._outline()
        self._hair()
        if self.get("glasses") and self.chance(0.97):
            self._glasses()

    def _eyes(self) -> None:
        rng = self.rng
        lids = rng.choice(["almond", "two", "upper"], p=[0.5, 0.36, 0.14])
        iris = rng.choice(["none", "circle", "pupil", "filled"], p=[0.06, 0.36, 0.32, 0.26])
        whole, fold = self.chance(0.45), self.chance(0.12 if self.sparse else 0.35)
        heavy = rng.uniform(1.2, 2.0) if self.chance(0.4) else 1.0
        size = rng.uniform(0.88, 1.15)
        for side in ("left", "right"):
            upper, lower, ring = (self.one(f"{name}_{side}") for name in ("lid_upper", "lid_lower", "iris"))
            if upper is None or lower is None:
                continue
            group = f"eye_{side}"
            upper, lower = self.place(group, upper), self.place(group, lower)
            if lids == "almond":
                self.line(np.concatenate([upper, lower[::-1]]), closed=True, steady=0.6, soften=1.2)
                if heavy > 1:
                    self.line(upper, heavy, steady=0.6, soften=1.2, ends=2, pieces=0)
            else:
                self.line(upper, heavy, steady=0.6, soften=1.2, ends=2.5, pieces=0.05)
                if lids == "two" and self.chance(0.93):
                    self.line(lower, steady=0.6, soften=1.2, ends=2.5, pieces=0.05)
            line = self.one(f"fold_{side}")
            if fold and line is not None:
                self.line(self.place(group, line), 0.8, steady=0.7, ends=6)
            if ring is not None and iris != "none":
                self._iris(self.place(group, ring), upper, lower, iris, whole, size)

    def _iris(self, ring, upper, lower, kind, whole, size) -> None:
        centre = ring[:-1].mean(0)
        ring = centre + (ring - centre) * size
        if not whole:
            x = ring[:, 0]
            over, under = (lid[np.argsort(lid[:, 0])] for lid in (upper, lower))
            top, bottom = np.interp(x, over[:, 0], over[:, 1]), np.interp(x, under[:, 0], under[:, 1])
            ring = np.stack([x, np.clip(ring[:, 1], np.minimum(top, bottom), np.maximum(top, bottom))], 1)
        self.line(ring, closed=True, steady=0.4, soften=1.0, filled=kind == "filled")
        if kind == "pupil":
            radius = np.hypot(*(ring - centre).T).max() * self.rng.uniform(0.25, 0.5)
            around = np.linspace(0, 2 * np.pi, 12)
            dot = centre + radius * np.stack([np.cos(around), np.sin(around)], 1)
            self.line(dot, closed=True, steady=0.2, soften=0.5, filled=self.chance(0.7))

    def _brows(self) -> None:
        kind = self.rng.choice(["stroke", "outline", "filled", "hatch"], p=[0.42, 0.2, 0.22, 0.16])
        factor = self.rng.uniform(1.0, 2.6)
        for side in ("left", "right"):
            outline = self.one(f"brow_{side}")
            if outline is None or self.chance(0.02):
                continue
            outline = self.place(f"brow_{side}", outline)
            half = len(outline) // 2
            # the outline runs outwards above and back below
            middle = (_resampled(outline[:half + 1], 3)[:, None], _resampled(outline[half:][::-1], 3)[:, None])
            count = min(len(middle[0]), len(middle[1]))
            upper, lower = (_counted(m[:, 0], count) for m in middle)
            if kind == "stroke":
                self.line((upper + lower) / 2, factor, ends=3, pieces=0.05)
            elif kind == "hatch":
                for t in np.linspace(0.05, 0.95, int(self.rng.integers(6, 13))):
                    at = int(t * (count - 1))
                    a, b = lower[at], upper[min(count - 1, at + int(self.rng.integers(0, 3)))]
                    a, b = a + self.rng.normal(0, 1, 2), b + (b - a) * self.rng.uniform(0, 0.2)
                    self.strokes.append(Stroke(np.stack([a, (a + b) / 2 + self.rng.normal(0, 0.7, 2), b]),
                                               self.width(0.8)))
            else:
                self.line(outline, closed=True, steady=0.7, soften=1.5, filled=kind == "filled")

    def _nose(self) -> None:
        rng = self.rng
        bridge = rng.choice(["left", "right", "both", "none"], p=[0.34, 0.22, 0.09, 0.35])
        base, nostrils = self.one("nose"), self.chance(0.35 if self.sparse else 0.5)
        for side in ("left", "right"):
            line = self.one(f"bridge_{side}")
            if line is not None and bridge in (side, "both"):
                line = self.place("nose", line)
                start = int(len(line) * rng.uniform(0, 0.45))
                stop = len(line) - int(len(line) * rng.uniform(0, 0.2))
                self.line(line[start:stop], ends=5)
        if base is not None:
            base = self.place("nose", base)
            kind = rng.choice(["whole", "wings", "middle"], p=[0.55, 0.27, 0.18])
            third = max(3, int(len(base) * 0.36))
            if kind == "whole":
                self.line(base, steady=0.8, ends=3)
            elif kind == "wings":
                self.line(base[:third], steady=0.8, ends=3, pieces=0)
                self.line(base[-third:], steady=0.8, ends=3, pieces=0)
                nostrils = nostrils or self.chance(0.5)
            else:
                self.line(base[third // 2:-(third // 2)], steady=0.8, ends=3, pieces=0.05)
        if nostrils:
            dots = self.chance(0.25)
            for line in self.get("nostrils"):
                line = self.place("nose", line)
                if dots:
                    centre = line.mean(0)
                    around = np.linspace(0, 2 * np.pi, 9)
                    self.line(centre + np.stack([4 * np.cos(around), 2.2 * np.sin(around)], 1), closed=True,
                              filled=True, steady=0.3, soften=0.5)
                else:
                    self.line(line, steady=0.6, ends=2, pieces=0)
        for side in ("left", "right"):
            line = self.one(f"cheek_{side}")
            if line is not None and self.chance(0.15 if self.sparse else 0.5):
                self.line(self.place("nose", line, 0.8), 0.8, ends=8)

    def _mouth(self) -> None:
        rng = self.rng
        upper, lower, above, below = (self.one(n) for n in ("lips_upper", "lips_lower", "mouth_upper", "mouth_lower"))
        if upper is None or lower is None or above is None or below is None:
            return
        upper, lower, above, below = (self.place("mouth", line) for line in (upper, lower, above, below))
        count = max(len(above), len(below))
        above, below = _counted(above, count), _counted(below, count)
        gap = float(np.max(below[:, 1] - above[:, 1]))
        parting = (above + below) / 2
        # from corner to corner of the lips
        parting = np.concatenate([(upper[:1] + lower[:1]) / 2, parting, (upper[-1:] + lower[-1:]) / 2])
        kind = rng.choice(["closed", "two", "parting and arc", "parting"], p=[0.5, 0.24, 0.17, 0.09])
        if kind == "closed":
            self.line(np.concatenate([upper, lower[::-1]]), closed=True, steady=0.7, soften=1.3)
        elif kind == "two":
            self.line(upper, steady=0.7, soften=1.3, ends=2.5, pieces=0.08)
            self.line(lower, steady=0.7, soften=1.5, ends=2.5, pieces=0.08)
        if gap > 6:
            if kind in ("closed", "two") and self.chance(0.12):
                pass                                    # the lips' outline alone
            elif self.chance(0.6):
                self.line(np.concatenate([above, below[::-1]]), closed=True, steady=0.6, soften=1.2)
            else:
                self.line(above, steady=0.6, soften=1.2, ends=2)
                self.line(below, steady=0.6, soften=1.2, ends=2)
            if gap > 12 and self.chance(0.3):           # the teeth: where the rows meet, now and then each
                t = rng.uniform(0.5, 0.9)
                row = above * (1 - t) + below * t
                self.line(row[2:-2], 0.7, steady=0.5, ends=0, pieces=0)
                if self.chance(0.3):
                    for i in np.linspace(3, count - 4, int(rng.integers(4, 9))).astype(int):
                        self.strokes.append(Stroke(np.stack([above[i], row[i]]), self.width(0.6)))
        elif not (kind == "closed" and self.chance(0.12)):
            self.line(parting, rng.uniform(0.9, 1.4), steady=0.7, soften=1.3, ends=3, pieces=0.05)
        if kind == "parting and arc":
            part = slice(int(len(lower) * 0.28), int(len(lower) * 0.75))
            self.line(lower[part], steady=0.7, ends=3, pieces=0)
            if self.chance(0.4):
                part = slice(int(len(upper) * 0.25), int(len(upper) * 0.78))
                self.line(upper[part], steady=0.7, ends=3, pieces=0)

    def _outline(self) -> None:
        share = 0.8
        for line in self.get("jaw"):
            if self.chance(0.98):
                self.line(self.place("outline", line, share), soften=4, pieces=0.25, ends=6)
        for side in ("left", "right"):
            line = self.one(f"ear_{side}")
            if line is not None and self.chance(0.65 if self.sparse else 0.88):
                line = self.place("outline", line, share)
                self.line(line, soften=3, ends=5)
                if self.chance(0.3):
                    inner = line.mean(0) + (line - line.mean(0)) * self.rng.uniform(0.45, 0.65)
                    self.line(inner, 0.8, soften=2, ends=4, pieces=0)
        for name, often in (("head", 0.98), ("neck", 0.85), ("collar", 0.6), ("shoulders", 0.8), ("beard", 0.9)):
            drawn = self.chance(often * (0.75 if self.sparse and name in ("neck", "collar", "shoulders") else 1))
            for line in self.get(name):
                if drawn:
                    self.line(self.place("outline", line, share), soften=4, pieces=0.2, ends=6)

    def _hair(self) -> None:
        rng = self.rng
        # the outline is what tells hair from hair: it is always there
        for name, often in (("hair_outer", 1.0), ("hair_inner", 0.96), ("hair_end", 0.9)):
            lines = self.get(name)
            longest = max(map(len, lines), default=0)
            for line in lines:
                if self.chance(often if len(line) > 0.4 * longest else often - 0.25):
                    self.line(self.place("outline", line, 0.8), soften=rng.uniform(2, 7), pieces=0.25, ends=5)
        self._crown()
        if self.chance(0.1):
            self._ticks()
        strands = self.get("strands")
        if strands:
            most = int(rng.choice([0, 2, 4, 7, 11, 18], p=[0.22, 0.18, 0.22, 0.2, 0.12, 0.06]))
            if self.sparse:
                most //= 2
            for i in rng.permutation(min(len(strands), most + 4))[:most]:
                line = strands[i]
                size = max(3, int(len(line) * rng.uniform(0.45, 1)))
                start = int(rng.integers(0, len(line) - size + 1))
                self.line(self.place("outline", line[start:start + size], 0.8), 0.9, soften=2, ends=5, pieces=0)

    def _crown(self) -> None:
        """Where the frame cuts off the top of the head, some close it along the edge all the same."""
        top = sorted((end for name in ("hair_outer", "head") for line in self.get(name) for end in (line[0], line[-1])
                      if end[1] < 8), key=lambda end: end[0])
        if len(top) >= 2 and self.chance(0.4):
            left, right = top[0], top[-1]
            middle = (left + right) / 2
            level = float(self.rng.uniform(3, 8))
            arch = np.array([(left[0], level + 5), (middle[0], level - 2), (right[0], level + 5)])
            self.line(arch, soften=8, ends=5, steady=0.6, pieces=0.3)

    def _ticks(self) -> None:
        """Short strokes across the hairline, as one draws short hair in a hurry."""
        lines = self.get("hair_inner")
        if not lines:
            return
        line = max(lines, key=len)
        line = self.place("outline", line[line[:, 1] < 235], 0.8) if (line[:, 1] < 235).sum() > 4 else line[:0]
        out = self.rng.uniform(18, 50)
        for i in range(1, len(line) - 1, int(self.rng.integers(1, 4))):
            away = line[i] - (256, 330)
            away = away / np.hypot(*away) + self.rng.normal(0, 0.15, 2)
            start = line[i] - away * self.rng.uniform(0, 10)
            end = line[i] + away * out * self.rng.uniform(0.6, 1.2)
            self.strokes.append(Stroke(np.stack([start, end]), self.width(0.9)))

    def _glasses(self) -> None:
        lines = [self.place("glasses", line) for line in self.get("glasses")]
        factor = self.rng.uniform(0.9, 1.7)
        for line in lines[:2]:
            self.line(line, factor, closed=True, steady=0.6, soften=1.5)
        if len(lines) > 2:
            self.line(lines[2], factor, steady=0.5, ends=2, pieces=0)
        if self.chance(0.75):
            for line in lines[3:]:
                self.line(line, factor, steady=0.5, ends=4, pieces=0)


def _resampled(points: np.ndarray, spacing: float) -> np.ndarray:
    """The line with points ``spacing`` pixels apart."""
    points = np.asarray(points, np.float32)
    steps = np.hypot(*np.diff(points, axis=0).T)
    at = np.concatenate([[0], np.cumsum(steps)])
    if at[-1] < spacing:
        return points[:1]
    wanted = np.linspace(0, at[-1], int(at[-1] / spacing) + 2)
    return np.stack([np.interp(wanted, at, points[:, 0]), np.interp(wanted, at, points[:, 1])], 1)


def _counted(points: np.ndarray, count: int) -> np.ndarray:
    """The line as ``count`` points."""
    at = np.linspace(0, len(points) - 1, count)
    return np.stack([np.interp(at, np.arange(len(points)), points[:, i]) for i in (0, 1)], 1)
