"""The curves of a face that a person would draw, out of photograph, face mesh and person mask.

    curves = OutlineFinder()(face)          # an aligned (512, 512, 3) uint8 face -> {name: [polyline, ...]} or None
    write(path, curves); curves = read(path)

Polylines are (N, 2) float32 of x and y in pixels of the 512 frame, a point every few pixels.  ``hand.py`` draws them,
each time a little differently.  Which points of the mesh follow what was seen on pictures of it; all other numbers are
ours.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import cv2
import numpy as np

from ..atomic import write_text
from ..components import CANONICAL_POINTS, RELEASE_CANVAS
from ..pictures import PictureError
from . import hair
from .detect import LIPS, FaceFinder, PersonMask, interpreter, run
from .strokes import smooth

Curves = Dict[str, List[np.ndarray]]

#: every curve there can be; "left" and "right" are the viewer's
NAMES = ("jaw", "brow_left", "brow_right", "lid_upper_left", "lid_upper_right", "lid_lower_left", "lid_lower_right",
         "fold_left", "fold_right", "iris_left", "iris_right", "bridge_left", "bridge_right", "nose", "nostrils",
         "lips_upper", "lips_lower", "mouth_upper", "mouth_lower", "cheek_left", "cheek_right", "ear_left", "ear_right",
         "hair_outer", "hair_inner", "hair_end", "strands", "head", "neck", "collar", "shoulders", "beard", "glasses")

_MESH = {
    "bridge_left": (55, 193, 122, 196, 3, 51, 45), "bridge_right": (285, 417, 351, 419, 248, 281, 275),
    "nose": (129, 48, 64, 98, 97, 2, 326, 327, 294, 278, 358),
    "lips_upper": (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    "lips_lower": (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    "mouth_upper": (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    "mouth_lower": (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    "fold_left": (247, 30, 29, 27, 28, 56, 190), "fold_right": (467, 260, 259, 257, 258, 286, 414),
}
_NOSTRILS = ((75, 60, 99, 97), (305, 290, 328, 326))
_BROWS = {"brow_left": ((70, 63, 105, 66, 107), (46, 53, 52, 65, 55)),
          "brow_right": ((300, 293, 334, 296, 336), (276, 283, 282, 295, 285))}
_JAW = (356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127)
_FOREHEAD = (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356)
_CHEEKS = {"cheek_left": (203, 206, 216, 212), "cheek_right": (423, 426, 436, 432)}
#: corners of the eyes: outer, inner
_CORNERS = {"left": (33, 133), "right": (263, 362)}
#: of the iris network's contour: the lower and the upper lid from the outer corner to the inner one
_LOWER, _UPPER = (0, 1, 2, 3, 4, 5, 6, 7, 8), (0, 9, 10, 11, 12, 13, 14, 15, 8)
#: pixels between the points of a curve on disk, by name; small features need closer ones
_SPACING = {"hair_outer": 10, "hair_inner": 9, "hair_end": 10, "shoulders": 14, "head": 12, "jaw": 12, "strands": 10,
            "neck": 12, "collar": 10, "beard": 9, "glasses": 7}


class OutlineFinder:
    """``OutlineFinder()(face, glasses)``: Curves of an aligned (512, 512, 3) uint8 RGB face, or None where no mesh
    fits.

    glasses: whether the person is known to wear some; they are drawn then
    """

    def __init__(self):
        self._finder, self._mask = FaceFinder(), PersonMask()
        self._iris = interpreter("iris")

    def __call__(self, face: np.ndarray, glasses: bool = False) -> Optional[Curves]:
        mesh = self._mesh(face)
        if mesh is None:
            return None
        eyes = {side: self._eye(face, mesh, side) for side in _CORNERS}
        return face_curves(face, mesh, self._mask(face), eyes, glasses)

    def _mesh(self, face: np.ndarray) -> Optional[np.ndarray]:
        """The mesh in the aligned frame: where the eyes are is known, so the detectors are asked only if that fails."""
        marks = np.array([CANONICAL_POINTS[p] for p in CANONICAL_POINTS])
        eye_distance = np.hypot(*np.subtract(CANONICAL_POINTS["right_eye"], CANONICAL_POINTS["left_eye"]))
        found = self._finder.mesh(face, marks.mean(0) - (0, 0.1 * eye_distance), 3.3 * eye_distance, 0.0)
        if found is not None and _in_place(found[0]):
            return found[0]
        seen = self._finder(face, thorough=False)
        return seen.mesh if seen is not None and _in_place(seen.mesh) else None

    def _eye(self, face: np.ndarray, mesh: np.ndarray, side: str) -> np.ndarray:
        """(21, 2): 16 points of the eye's contour and 5 of the iris (its middle first).  The network (64 pixels,
        mediapipe's iris landmarks) knows one side; the other is mirrored for it."""
        outer, inner = (mesh[i, :2] for i in _CORNERS[side])
        edge = 2.3 * float(np.hypot(*(outer - inner)))
        start = (outer + inner) / 2 - edge / 2
        scale = 64 / edge
        matrix = np.array([[scale, 0, -start[0] * scale], [0, scale, -start[1] * scale]])
        crop = cv2.warpAffine(face, matrix, (64, 64), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if side == "right":
            crop = crop[:, ::-1]
        outputs = run(self._iris, np.ascontiguousarray(crop[None], np.float32) / 255)
        contour = next(o for o in outputs if o.size == 213).reshape(-1, 3)[:16, :2]
        iris = next(o for o in outputs if o.size == 15).reshape(-1, 3)[:, :2]
        points = np.concatenate([contour, iris]).astype(np.float64)
        if side == "right":
            points[:, 0] = 64 - points[:, 0]
        return points * edge / 64 + start


def _in_place(mesh: np.ndarray) -> bool:
    """Whether the eyes are about where an aligned face has them."""
    for side, (outer, inner) in _CORNERS.items():
        middle = mesh[[outer, inner], :2].mean(0)
        if np.hypot(*(middle - CANONICAL_POINTS[f"{side}_eye"])) > 25:
            return False
    return bool(np.isfinite(mesh).all())


def face_curves(face: np.ndarray, mesh: np.ndarray, mask: np.ndarray, eyes: Dict[str, np.ndarray],
                glasses: bool = False) -> Curves:
    """Curves from an aligned face (512, 512, 3) uint8, its mesh (468, 2 or 3), its person mask (512, 512) from 0 to 1
    and the eyes (OutlineFinder._eye)."""
    p = np.asarray(mesh, np.float32)[:, :2]
    out: Curves = {name: [p[list(points)]] for name, points in _MESH.items()}
    out["nostrils"] = [p[list(points)] for points in _NOSTRILS]
    for name, (upper, lower) in _BROWS.items():
        # one closed outline; the mesh's upper points lie a little above the brow
        top, bottom = 0.85 * p[list(upper)] + 0.15 * p[list(lower)], p[list(lower)]
        out[name] = [np.concatenate([top, bottom[::-1], top[:1]])]
    for side, points in eyes.items():
        out[f"lid_lower_{side}"] = [points[list(_LOWER)]]
        out[f"lid_upper_{side}"] = [points[list(_UPPER)]]
        centre = points[16]
        radius = np.hypot(*(points[17:] - centre).T).mean()
        around = np.linspace(0, 2 * np.pi, 13)
        out[f"iris_{side}"] = [centre + radius * np.stack([np.cos(around), np.sin(around)], 1)]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    for name, points in _CHEEKS.items():
        line = _even(p[list(points)], 4)
        if _darker(grey, line) > 5:
            out[name] = [line]
    labels = hair.regions(face, p, mask)
    out.update(_outer_curves(labels, p, grey, cv2.cvtColor(face, cv2.COLOR_RGB2LAB)[:, :, 0]))
    if glasses:
        out["glasses"] = _glasses(grey, eyes, p)
    return {name: [_even(line, _SPACING.get(name, 5)) for line in out[name] if len(line) > 1]
            for name in NAMES if out.get(name)}


# -- hair, ears, neck, shoulders

def _outer_curves(labels: np.ndarray, p: np.ndarray, grey: np.ndarray, lightness: np.ndarray) -> Curves:
    out: Curves = {}
    size = RELEASE_CANVAS
    eyes = (p[33] + p[133] + p[263] + p[362]) / 4
    unit = max(float(p[152][1] - eyes[1]), 50.0)
    oval = np.zeros((size, size), np.uint8)
    cv2.fillPoly(oval, [np.round(p[list(hair.OVAL)] * 16).astype(np.int32)], 1, shift=4)
    fields = {kind: _soft(labels == kind) for kind in (hair.BACKGROUND, hair.SKIN, hair.HAIR, hair.CLOTH)}
    near = {kind: cv2.GaussianBlur(field, (0, 0), 6, borderType=cv2.BORDER_REPLICATE) for kind, field in fields.items()}
    v = lambda line: (line[:, 1] - eyes[1]) / unit  # noqa: E731

    for contour in _contours(1 - fields[hair.BACKGROUND]):
        if len(contour) < 60:
            continue
        kind = _choice(near, contour, (hair.SKIN, hair.HAIR, hair.CLOTH))
        # skin against the background: the top of a bald head, ears (drawn below), the neck
        low = v(contour)
        code = np.where(kind == hair.HAIR, 1, np.where(kind == hair.CLOTH, 2, np.where(low < -0.25, 3, np.where(
            low > 0.75, 4, 0))))
        for which, line in _runs(contour, code):
            name = {1: "hair_outer", 2: "shoulders", 3: "head", 4: "neck"}.get(which)
            if name:
                out.setdefault(name, []).append(line)
    for contour in _contours(fields[hair.HAIR]):
        if len(contour) < 50:
            continue
        kind = _choice(near, contour, (hair.BACKGROUND, hair.SKIN, hair.CLOTH))
        for which, line in _runs(contour, np.where(kind == hair.SKIN, 1, np.where(kind == hair.CLOTH, 2, 0))):
            if which:
                out.setdefault("hair_inner" if which == 1 else "hair_end", []).append(line)
    for contour in _contours(fields[hair.CLOTH]):
        kind = _choice(near, contour, (hair.BACKGROUND, hair.SKIN, hair.HAIR))
        for which, line in _runs(contour, (kind == hair.SKIN).astype(int)):
            if which:
                out.setdefault("collar", []).append(line)
    if out.get("hair_outer") and sum(map(len, out.get("hair_inner", []))) < 100 and "head" not in out:
        # hair of the skin's own colour: the mesh says where foreheads end
        out["hair_inner"] = [_even(p[list(_FOREHEAD)], 1)]
    out["jaw"] = _jaw(p, fields[hair.HAIR])
    for side in ("left", "right"):
        ear = _ear(fields[hair.SKIN], oval, p, side)
        if ear is not None:
            out[f"ear_{side}"] = [ear]
    beard = _beard(lightness, oval, fields[hair.HAIR], p)
    if beard:
        out["beard"] = beard
    out["strands"] = _strands(grey, fields[hair.HAIR])
    least = {"hair_outer": 30, "hair_inner": 30, "hair_end": 30, "shoulders": 30, "collar": 70, "head": 30, "neck": 25}
    for name, shortest in least.items():
        if name in out:
            out[name] = [smooth(line, 10.0 if name in ("collar", "shoulders") else 5.0) for line in out[name]
                         if _length(line) >= shortest]
    return out


def _soft(where: np.ndarray) -> np.ndarray:
    """A region of the small label picture as a field (512, 512) float32 from 0 to 1 whose half-way line is smooth."""
    big = cv2.resize(where.astype(np.float32), (RELEASE_CANVAS,) * 2, interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(big, (0, 0), 3.0, borderType=cv2.BORDER_REPLICATE)


def _contours(field: np.ndarray) -> List[np.ndarray]:
    found, _ = cv2.findContours((field > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return [c[:, 0].astype(np.float32) for c in found]


def _choice(near: Dict[int, np.ndarray], contour: np.ndarray, kinds: Tuple[int, ...]) -> np.ndarray:
    """Which of ``kinds`` is nearest at each point."""
    x, y = contour.astype(int).T
    return np.array(kinds)[np.argmax([near[kind][y, x] for kind in kinds], 0)]


def _runs(contour: np.ndarray, code: np.ndarray):
    """(code, line) for each stretch of a closed contour with one code; the edge of the frame (code -1) is no line."""
    edge = ((contour <= 1) | (contour >= RELEASE_CANVAS - 2)).any(1)
    code = np.where(edge, -1, code)
    changes = np.flatnonzero(code != np.roll(code, 1))
    if len(changes) == 0:
        if code[0] != -1:
            yield int(code[0]), np.concatenate([contour, contour[:1]])
        return
    contour, code = np.roll(contour, -changes[0], 0), np.roll(code, -changes[0])
    starts = np.concatenate([changes - changes[0], [len(code)]])
    # short stretches belong to what comes before them
    pieces: List[List[int]] = []
    for a, b in zip(starts[:-1], starts[1:]):
        if pieces and (code[a] == pieces[-1][0] or (b - a < 14 and code[a] != -1 and pieces[-1][0] != -1)):
            pieces[-1][2] = b
        else:
            pieces.append([int(code[a]), a, b])
    if len(pieces) > 1 and pieces[0][0] == pieces[-1][0]:
        last = pieces.pop()
        contour, shift = np.roll(contour, len(contour) - last[1], 0), len(code) - last[1]
        pieces = [[c, a + shift, b + shift] for c, a, b in pieces]
        pieces[0][1] = 0
    for which, a, b in pieces:
        if which != -1 and b - a > 3:
            # two pixels more: neighbouring lines meet
            yield which, contour[max(0, a - 2):b + 2]


def _jaw(p: np.ndarray, hair_field: np.ndarray) -> List[np.ndarray]:
    """The jaw from ear to ear as far as no hair covers it or runs along it."""
    line = _even(p[list(_JAW)], 3)
    x, y = np.clip(np.round(line), 0, RELEASE_CANVAS - 1).astype(int).T
    covered = cv2.dilate((hair_field > 0.5).astype(np.uint8), np.ones((13, 13), np.uint8))[y, x] != 0
    chin = int(np.argmax(line[:, 1]))
    free = ~covered
    free[max(0, chin - 12):chin + 13] = True
    first = chin - int(np.argmin(free[chin::-1])) + 1 if not free[:chin].all() else 0
    last = chin + int(np.argmin(free[chin:])) if not free[chin:].all() else len(line)
    return [line[first:last]]


def _ear(skin: np.ndarray, oval: np.ndarray, p: np.ndarray, side: str) -> Optional[np.ndarray]:
    """The outline of an ear that shows, from above to below: skin outside the face at the height of eyes and nose."""
    top, bottom = float(p[105][1]), float(p[0][1]) + 6
    edge = p[234 if side == "left" else 454][0]
    beside = (skin > 0.5) & (cv2.dilate(oval, np.ones((9, 9), np.uint8)) == 0)
    beside[:max(0, int(top))] = False
    beside[int(bottom):] = False
    if side == "left":
        beside[:, int(edge) + 12:] = False
    else:
        beside[:, :max(0, int(edge) - 12)] = False
    blob = cv2.morphologyEx(beside.astype(np.uint8), cv2.MORPH_OPEN,
                            cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(blob)
    if count < 2:
        return None
    part = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[part, cv2.CC_STAT_AREA] < 500 or stats[part, cv2.CC_STAT_HEIGHT] < 35:
        return None
    contour = max(_contours((parts == part).astype(np.float32)), key=len)
    # the side that looks away from the face
    away = cv2.dilate(oval, np.ones((17, 17), np.uint8))[contour[:, 1].astype(int), contour[:, 0].astype(int)] == 0
    lines = [line for which, line in _runs(contour, away.astype(int)) if which == 1]
    if not lines:
        return None
    line = smooth(max(lines, key=_length), 5.0)
    return line if line[0, 1] < line[-1, 1] else line[::-1]


def _beard(lightness: np.ndarray, oval: np.ndarray, hair_field: np.ndarray, p: np.ndarray) -> List[np.ndarray]:
    """The upper edge of a beard and moustache, from one cheek to the other: what is clearly darker than the cheeks
    around mouth and chin; [] where there is none."""
    soft = cv2.GaussianBlur(lightness, (0, 0), 4).astype(np.float32)
    cheeks = [soft[int(y), int(x)]
              for x, y in np.clip(p[[50, 280, 205, 425, 101, 330, 36, 266]], 0, RELEASE_CANVAS - 1)]
    light = float(np.median(cheeks))
    nose, mouth = float(p[2][1]), float(p[[61, 291], 1].mean())
    face = cv2.erode(oval, np.ones((9, 9), np.uint8)) != 0
    dark = (soft < 0.78 * light) & face & (hair_field < 0.5)
    lips = np.zeros_like(oval)
    cv2.fillConvexPoly(lips, cv2.convexHull(np.round(p[list(LIPS)]).astype(np.int32)), 1)
    lips = cv2.dilate(lips, np.ones((7, 7), np.uint8)) != 0
    # a shadow lies on jaw and neck, a beard on the chin and over the lip too (ours, on 24 real and 24 generated faces)
    middle, above = ([soft[int(y), int(x)] for x, y in np.clip(p[points], 0, RELEASE_CANVAS - 1)]
                     for points in ([200, 199, 175], [164, 167, 393]))
    if np.median(middle) > 0.805 * light or np.median(above) > 0.76 * light:
        return []
    left, right = (int(np.clip(p[i][0], 0, RELEASE_CANVAS - 1)) for i in (61, 291))
    rows = np.arange(RELEASE_CANVAS)
    moustache = dark[int(nose) + 6:int(p[0][1]) - 3, left + 10:right - 9]
    moustache = moustache.size > 0 and moustache.mean() > 0.4
    # over the mouth: between nose and lip, or below the lower lip where there is no moustache
    under, over = float(p[17][1]), float(p[0][1])
    points = []
    for x in range(0, RELEASE_CANVAS, 4):
        if left - 6 < x < right + 6:
            bulge = 1 - ((2 * x - left - right) / (right - left + 12)) ** 2
            y = nose + (0.75 - 0.3 * bulge) * (over - nose) if moustache else mouth + 10 + bulge * (under + 8 - mouth)
            points.append((x, y))
            continue
        usable = face[:, x] & (rows >= float(p[197][1]))
        if usable.sum() < 8:
            continue
        good = np.flatnonzero(usable)[::-1]                        # upwards from the jaw
        run = np.convolve(~dark[good, x], np.ones(16), "full")[:len(good)] >= 15
        end = int(np.argmax(run)) - 15 if run.any() else len(good) - 1
        points.append((x, good[max(0, min(end, len(good) - 1))]))
    line = np.array(points, np.float32)
    y = np.pad(line[:, 1], 5, mode="edge")
    line[:, 1] = np.median([y[i:i + len(line)] for i in range(11)], 0)
    return [smooth(_even(line, 3), 8.0)]


def _strands(grey: np.ndarray, field: np.ndarray, count: int = 18) -> List[np.ndarray]:
    """Lines that follow the hair as the photograph shows it (structure tensor), the clearest first."""
    half = 2
    small = cv2.resize(grey, None, fx=1 / half, fy=1 / half, interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = cv2.resize(field, small.shape[::-1], interpolation=cv2.INTER_AREA) > 0.75
    if inside.sum() < 400:
        return []
    dx, dy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    weight = inside.astype(np.float32)
    xx, yy, xy = (cv2.GaussianBlur(a * weight, (0, 0), 4) for a in (dx * dx, dy * dy, dx * dy))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2          # along the hair
    clear = np.hypot(xx - yy, 2 * xy) / (xx + yy + 30)
    flow = np.stack([np.cos(angle), np.sin(angle)], 2).astype(np.float32)
    deep = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) != 0
    candidates = np.argwhere(deep)
    if len(candidates) < 50:
        return []
    # far from one another: of a fixed shuffle the clearest, each taking its surroundings
    order = np.argsort(-clear[candidates[:, 0], candidates[:, 1]])
    taken, seeds = np.zeros(small.shape, bool), []
    for y, x in candidates[order]:
        if not taken[y, x]:
            seeds.append((x, y))
            taken[max(0, y - 14):y + 15, max(0, x - 14):x + 15] = True
            if len(seeds) == count:
                break
    lines = []
    for sign in (1, -1):
        at, heading = np.array(seeds, np.float32), None
        path = [at]
        alive = np.ones(len(seeds), bool)
        for _ in range(22):
            x, y = np.clip(np.round(at).astype(int), 0, small.shape[0] - 1).T
            step = flow[y, x]
            heading = sign * step if heading is None else step * np.sign((step * heading).sum(1) + 1e-9)[:, None]
            alive = alive & inside[y, x]
            at = np.where(alive[:, None], at + 2 * heading, at)
            path.append(at)
        lines.append(np.stack(path, 1))
    found = []
    for back, ahead in zip(lines[1], lines[0]):
        whole = np.concatenate([back[:0:-1], ahead]) * half
        whole = whole[np.concatenate([[True], np.hypot(*np.diff(whole, axis=0).T) > 0.5])]
        # a line that turns back is a swirl of the light, no hair
        if _length(whole) > 45 and np.hypot(*(whole[-1] - whole[0])) > 0.75 * _length(whole):
            found.append(smooth(whole, 2.0))
    return found


# -- glasses

def _glasses(grey: np.ndarray, eyes: Dict[str, np.ndarray], p: np.ndarray) -> List[np.ndarray]:
    """Two rims, the bridge and the temples; of rounded boxes the one that lies best on the photograph's edges."""
    middle = {side: points[16] for side, points in eyes.items()}
    across = float(middle["right"][0] - middle["left"][0])
    gradient = cv2.GaussianBlur(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)), (0, 0),
                                1.5)
    best, score = [], -1.0
    around = np.linspace(0, 2 * np.pi, 49)
    c, s = np.cos(around), np.sin(around)
    for power in (0.55, 0.8):
        unit = np.stack([np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power], 1)
        for width in (0.36, 0.40, 0.44):
            for height in (0.22, 0.27, 0.32, 0.37):
                for down in (0.02, 0.07, 0.12):
                    rims = [middle[side] + (sign * 0.03 * across, down * across)
                            + unit * (width * across, height * across)
                            for side, sign in (("left", -1), ("right", 1))]
                    x, y = np.clip(np.round(np.concatenate(rims)), 0, RELEASE_CANVAS - 1).astype(int).T
                    value = float(np.minimum(gradient[y, x], 120).mean())
                    if value > score:
                        best, score = rims, value
    left, right = best
    inner = [left[0], right[24]]                     # the rims' sides that face each other
    arch = np.array([inner[0], (inner[0] + inner[1]) / 2 - (0, 0.04 * across), inner[1]])
    up = (0, 0.05 * across)
    arms = [np.array([left[24] - up, p[127] - (2, 0)]), np.array([right[0] - up, p[356] + (2, 0)])]
    return [left, right, arch, *arms]


# -- lines

def _length(line: np.ndarray) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _even(line: np.ndarray, spacing: float) -> np.ndarray:
    """The same line with points about ``spacing`` pixels apart, through a smooth curve where there are few points."""
    line = np.asarray(line, np.float32)
    line = line[np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-3])]
    if len(line) < 3:
        return line
    at = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(3, int(round(at[-1] / spacing)) + 1)
    wanted = np.linspace(0, at[-1], count)
    return np.stack([np.interp(wanted, at, line[:, i]) for i in (0, 1)], 1).astype(np.float32)


def _darker(grey: np.ndarray, line: np.ndarray) -> float:
    """By how much a fold within a few pixels of ``line`` is darker than the skin on both sides, in grey levels."""
    soft = cv2.GaussianBlur(grey, (0, 0), 1.5).astype(np.float32)
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1) / (np.hypot(*along.T)[:, None] + 1e-6)
    offsets = np.arange(-18, 19, 2)
    at = np.clip(np.round(line[:, None] + across[:, None] * offsets[:, None]), 0, RELEASE_CANVAS - 1).astype(int)
    profile = soft[at[..., 1], at[..., 0]]
    inner = profile[:, 4:-4]
    valley = np.minimum(profile[:, :6].mean(1), profile[:, -6:].mean(1)) - inner.min(1)
    return float(np.median(valley))


# -- on disk

def write(path, curves: Curves) -> None:
    """One JSON object: name -> list of flat lists x, y, x, y ... in half pixels; a few KB."""
    data = {name: [np.round(np.asarray(line, np.float64) * 2).astype(int).ravel().tolist() for line in lines]
            for name, lines in curves.items()}
    text = json.dumps({"frame": RELEASE_CANVAS, "unit": 0.5, "curves": data}, separators=(",", ":")) + "\n"
    write_text(path, text)


def read(path) -> Curves:
    """PictureError names a file that holds no curves."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        unit = float(data["unit"])
        out: Curves = {}
        for name, lines in data["curves"].items():
            out[name] = [np.array(line, np.float32).reshape(-1, 2) * np.float32(unit) for line in lines
                         if len(line) >= 4]
            if not all(np.isfinite(line).all() for line in out[name]):
                raise ValueError("numbers that are none")
        return out
    except FileNotFoundError:
        raise PictureError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PictureError(f"{path}: not a file of drawn curves ({error}); delete it and run tools/prepare_data.py "
                           "again") from None
