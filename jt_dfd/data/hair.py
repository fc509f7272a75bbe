"""Where the hair, the skin and the cloth of a portrait are: by colour, out of the face mesh and the person mask.

Each of the three is a small mixture of Gaussians in Lab colour.  Skin is learned from cheeks and nose, hair from the
head above the face, cloth from the lower edge; where a pixel lies against the face says how likely each is before its
colour is looked at, and neighbours agree (mean field).  All numbers are ours, found by looking at what came out.
"""
from __future__ import annotations

from typing import Any, List, Optional, Tuple

import cv2
import numpy as np

from .detect import LIPS

BACKGROUND, SKIN, HAIR, CLOTH = range(4)
#: the face's outline in the mesh, clockwise from the top of the forehead
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
EYES_AND_BROWS = ((33, 133, 46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 145, 159, 7, 163, 144, 153, 154, 155, 110, 25,
                   226),
                   (263, 362, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336, 374, 386, 249, 390, 373, 380, 381, 382,
                    339, 255, 446))
#: edge of the picture that is worked on
SIZE = 192
#: the smallest spread of a colour, in L, a and b
_FLOOR = np.diag(np.square([5.0, 2.5, 2.5]))


class Colours:
    """A mixture of up to three Gaussians over (N, 3) Lab colours."""

    def __init__(self, samples: np.ndarray, spread: float = 1.0):
        samples = samples[:: max(1, len(samples) // 400)].astype(np.float64)
        groups = _groups(samples, 3)
        self.parts: List[Tuple[np.ndarray, np.ndarray, float]] = []
        for group in groups:
            covariance = np.cov(group.T) if len(group) > 8 else np.zeros((3, 3))
            inverse = np.linalg.inv(covariance * spread + _FLOOR)
            weight = np.log(len(group) / len(samples)) + 0.5 * np.log(np.linalg.det(inverse))
            self.parts.append((group.mean(0), inverse, weight))

    def unlike(self, other: "Colours", distance: float) -> "Colours":
        """Without the parts whose middle ``other`` might have too, as long as a fair one is left."""
        far = [float(other.distance(mean.astype(np.float32).reshape(1, 1, 3))[0, 0]) for mean, _, _ in self.parts]
        kept = [part for part, d in zip(self.parts, far) if d >= distance]
        if kept and len(kept) < len(far):
            self.parts = kept
        return self

    def shaded(self, dark: float) -> "Colours":
        """The same surfaces in the shade: lightness times ``dark``, colours a little paler."""
        out = Colours.__new__(Colours)
        factors = (dark, 0.5 + 0.5 * dark, 0.5 + 0.5 * dark)
        out.parts = [(mean * factors, inverse, weight) for mean, inverse, weight in self.parts]
        return out

    def distance(self, lab: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance to the nearest part, (H, W)."""
        return np.min([self._squared(lab, mean, inverse) for mean, inverse, _ in self.parts], 0)

    def log_likelihood(self, lab: np.ndarray) -> np.ndarray:
        """Up to a constant, (H, W); falls no lower than far away, so that an odd pixel is left to its neighbours."""
        values = np.max([weight - 0.5 * self._squared(lab, mean, inverse) for mean, inverse, weight in self.parts], 0)
        return np.logaddexp(values, -18.0)

    @staticmethod
    def _squared(lab, mean, inverse):
        # |root (x - mean)|^2, one channel after the other: a quarter of einsum's time
        root = np.linalg.cholesky(inverse).T
        d = cv2.transform(lab, np.concatenate([root, -root @ mean[:, None]], 1))
        return cv2.transform(d * d, np.ones((1, 3)))


def _groups(samples: np.ndarray, count: int) -> List[np.ndarray]:
    """k-means without random numbers: it starts from quantiles of lightness."""
    order = samples[:, 0].argsort()
    centres = np.stack([samples[order[int((i + 0.5) / count * len(order))]] for i in range(count)])
    for _ in range(5):
        nearest = np.square(samples[:, None] - centres).sum(2).argmin(1)
        centres = np.stack([samples[nearest == i].mean(0) if (nearest == i).any() else centres[i]
                            for i in range(count)])
    return [samples[nearest == i] for i in range(count) if np.count_nonzero(nearest == i) >= 3]


def regions(photo: np.ndarray, mesh: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(SIZE, SIZE) uint8 of BACKGROUND, SKIN, HAIR and CLOTH for an aligned face (512, 512, 3) uint8 RGB, its mesh
    (468, 2 or 3) in its pixels and its person mask (512, 512) from 0 to 1.  Beards, brows and lips count as skin."""
    half = (SIZE / photo.shape[0])
    small = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 0.7).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    person = cv2.resize(mask.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA) > 0.5
    p = np.asarray(mesh, np.float32)[:, :2] * half
    oval = _filled(p[list(OVAL)])
    inside = cv2.distanceTransform(oval, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - oval, cv2.DIST_L2, 5)
    eyes = (p[33] + p[133] + p[263] + p[362]) / 4
    unit = max(float(p[152][1] - eyes[1]), 20.0)
    columns = (np.arange(SIZE, dtype=np.float32)[None] - eyes[0]) / unit
    rows = (np.arange(SIZE, dtype=np.float32)[:, None] - eyes[1]) / unit
    u, v = np.broadcast_arrays(np.abs(columns), rows)

    features = np.zeros((SIZE, SIZE), np.uint8)
    for points in (*EYES_AND_BROWS, LIPS):
        cv2.fillConvexPoly(features, cv2.convexHull(np.round(p[list(points)]).astype(np.int32)), 1)
    features = cv2.dilate(features, np.ones((7, 7), np.uint8)) != 0
    # between eyes and nose only: neither fringe nor beard is skin to learn from
    face = person & (inside > 0.12 * unit) & ~features & (np.arange(SIZE)[:, None] < p[2][1]) & (v > 0)
    if face.sum() < 60:
        face = person & (inside > 3)
    skin = Colours(_core(lab[face]), 1.5)
    # foreheads are lighter: what of theirs is like the cheeks counts too
    forehead = person & (inside > 0.12 * unit) & ~features & (v <= 0) & (v > -0.5) & (u < 0.45)
    like = forehead & (skin.distance(lab) < 12)
    if like.sum() > 0.4 * forehead.sum():
        skin = Colours(_core(lab[face | like]), 1.5)
    skin_distance = skin.distance(lab)

    above = person & (inside < -0.06 * unit) & (v < -0.1) & (u < 1.3)
    hairy = above & (skin_distance > 9)
    bald = hairy.sum() < 0.12 * max(above.sum(), 1) or hairy.sum() < 40
    low = person & (v > 1.22) & (skin_distance > 6)
    # of a forehead higher than the mesh's some is among them
    hair = None if bald else Colours(lab[hairy], 1.3).unlike(skin, 12)
    cloth = None
    if low.sum() > 40:
        other = low if hair is None else low & (hair.distance(lab) > 5)
        cloth = Colours(lab[other] if other.sum() > 0.15 * low.sum() else lab[low], 1.3)

    # the neck lies in the shade of the chin
    dim = np.max([skin.shaded(dark).log_likelihood(lab) for dark in (0.82, 0.68)], 0) - 1
    shade = np.max([dim, *(skin.shaded(dark).log_likelihood(lab) - less for dark, less in ((0.55, 1.5), (0.4, 3.0)))],
                   0)
    under = _under_the_jaw(inside / unit, u, v)
    prior = _priors(inside / unit, u, v, features)
    labels: Any = None
    for turn in range(2):
        scores = np.stack([np.full((SIZE, SIZE), -20.0, np.float32) if model is None else model.log_likelihood(lab)
                           for model in (skin, hair, cloth)])
        shaded = np.where(under, shade, np.where(inside > 0, dim, -np.inf))
        scores[0] = np.maximum(scores[0], shaded)
        scores = (0.6 * scores + prior).astype(np.float32)
        probabilities = _agreed(scores, person)
        labels = _tidy(np.where(person, probabilities.argmax(0) + 1, BACKGROUND).astype(np.uint8), v, inside)
        if turn == 0:
            sure = (labels == SKIN) & (probabilities[0] > 0.8) & (inside > 0) & (v < 0.5) & ~features
            skin = Colours(_core(lab[sure | face]), 1.5)
            clear = person & (probabilities.max(0) > 0.8) & (inside < 2)
            hair, cloth = (_learned(lab, clear & (labels == kind), model)
                           for kind, model in ((HAIR, hair), (CLOTH, cloth)))
            if hair is not None:
                hair.unlike(skin, 12)
    if _shines(labels, lab, v):
        labels[labels == HAIR] = SKIN
    return labels


def _shines(labels: np.ndarray, lab: np.ndarray, v: np.ndarray) -> bool:
    """Whether what was taken for hair is the shine of a bald head: smoother than the face below, and no edge between
    the two (of 24 real photographs and 24 generated ones it held for the two bald heads)."""
    square = np.ones((3, 3), np.uint8)
    found, skin = (labels == HAIR).astype(np.uint8), (labels == SKIN).astype(np.uint8)
    here = (found != 0) & (cv2.dilate(skin, square, iterations=4) != 0) & (v < -0.35)
    there = (skin != 0) & (cv2.dilate(found, square, iterations=4) != 0) & (v < -0.35)
    if here.sum() < 20 or there.sum() < 20:
        return False
    edge = float(np.linalg.norm(np.median(lab[here], 0) - np.median(lab[there], 0)))
    light = lab[:, :, 0]
    rough = np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.5))
    inner = (cv2.erode(found, square, iterations=2) != 0) & (v < -0.35)
    face = (cv2.erode(skin, square, iterations=2) != 0) & (v < 0)
    return edge < 10 and inner.sum() > 20 and face.any() and bool(rough[inner].mean() < 0.8 * rough[face].mean())


def _filled(points: np.ndarray) -> np.ndarray:
    out = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(out, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return out


def _core(samples: np.ndarray) -> np.ndarray:
    """Without the darkest eighth and the far outliers: glasses, nostrils, hair on the cheek, shine."""
    samples = samples[samples[:, 0] >= np.quantile(samples[:, 0], 0.125)]
    middle = np.median(samples, 0)
    far = (np.abs(samples - middle) / (np.abs(samples - middle).mean(0) + 1)).max(1)
    return samples[far <= np.quantile(far, 0.9)]


def _learned(lab, sure, before: Optional[Colours]) -> Optional[Colours]:
    return Colours(lab[sure], 1.3) if before is not None and sure.sum() > 80 else before


def _priors(inside: np.ndarray, u: np.ndarray, v: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Log-probabilities (3, H, W) of skin, hair and cloth by place: inside the face's outline (positive), sideways (u)
    and downwards (v) from between the eyes, in units of eyes to chin."""
    ramp = lambda x, low, high: np.clip((x - low) / (high - low), 0, 1)  # noqa: E731
    face = ramp(inside, -0.06, 0.16)                                     # 0 outside, 1 well inside
    high = 1 - ramp(v, -0.55, -0.2)                                      # the forehead and above
    neck = ramp(v, 0.7, 0.95) * (1 - ramp(v, 1.15, 1.45)) * (1 - ramp(u, 0.3, 0.75))
    low = ramp(v - 0.35 * ramp(u, 0.7, 1.3), 0.75, 1.15)                                         # where cloth begins
    outer = ramp(u, 0.6, 1.3)
    skin = 0.25 + 0.75 * face * (1 - 0.45 * high) + 8 * neck
    skin = np.where((face <= 0) & (v < -0.35), 0.08, skin)
    hair = (1 - face) * (0.75 - 0.45 * low * (0.4 + 0.6 * outer)) + face * (0.02 + 0.35 * high)
    hair = np.where((inside > 0.0) & (v > 0.25), 0.03, hair)             # beards and the jaw's shadow
    cloth = 0.004 + 0.8 * low * (0.45 + 0.55 * outer) * (1 - face)
    total = np.stack([skin, hair, cloth])
    # eyes, brows, nose, mouth, chin: skin whatever its colour
    sure = (inside > 0.2) & (v > -0.25) | features & (v > -0.5)
    total[1:, sure] = 1e-4
    return np.log(total / total.sum(0) + 1e-4).astype(np.float32)


def _under_the_jaw(inside, u, v):
    return (inside < 0.12) & (inside > -0.45) & (v > 0.35) & (u < 0.75)


def _agreed(scores: np.ndarray, person: np.ndarray, turns: int = 5) -> np.ndarray:
    """Probabilities (3, H, W) once neighbours have been asked."""
    weight = person.astype(np.float32)
    around = cv2.GaussianBlur(weight, (0, 0), 2.5) + 1e-3
    said = scores
    for turn in range(turns + 1):
        q = np.exp(said - said.max(0))
        q = q / q.sum(0) * weight
        if turn < turns:
            said = scores + np.stack([6 * cv2.GaussianBlur(one, (0, 0), 2.5) / around for one in q])
    return q


def _tidy(labels: np.ndarray, v: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Hair that hangs together with the head, cloth below the chin only, no islands."""
    least = 0.004 * labels.size
    # a shadow along the jaw is thin, hair is not
    hair = (labels == HAIR).astype(np.uint8)
    thick = cv2.morphologyEx(hair, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11)))
    thin = (hair != 0) & (thick == 0) & (v > 0.1)
    labels[thin] = np.where(inside[thin] > -6, SKIN, CLOTH)
    for kind in (HAIR, CLOTH, SKIN):
        count, parts, stats, _ = cv2.connectedComponentsWithStats((labels == kind).astype(np.uint8), connectivity=4)
        for part in range(1, count):
            where = parts == part
            small = stats[part, cv2.CC_STAT_AREA] < least
            top = v[where].min()
            if kind == HAIR and top > 0.15 and v[where].mean() > 0.85:
                labels[where] = CLOTH  # what begins below the eyes and lies low hangs from no head
            elif kind == HAIR and small:
                labels[where] = SKIN if inside[where].mean() > 0 else _around(labels, where)
            elif kind == CLOTH and (top < 0.15 or small):
                labels[where] = _around(labels, where)
            elif kind == SKIN and (small or top < 0.1 and inside[where].max() < 0):  # a shine on the hair
                labels[where] = _around(labels, where)
    return labels


def _around(labels: np.ndarray, where: np.ndarray) -> int:
    """The kind that most of an island's neighbours are."""
    ring = (cv2.dilate(where.astype(np.uint8), np.ones((3, 3), np.uint8)) != 0) & ~where
    counts = np.bincount(labels[ring], minlength=4)
    counts[BACKGROUND] = 0
    return int(counts.argmax()) if counts.any() else SKIN
