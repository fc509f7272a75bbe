"""Alignment: one similarity (turn, uniform scale, shift) puts a face's five points nearest to the canonical ones.

Coordinates count pixel centres: (0, 0) is the middle of the top left pixel.
"""
from __future__ import annotations

from typing import Dict, Tuple

import cv2
import numpy as np

from ..components import CANONICAL_POINTS, RELEASE_CANVAS

#: the eyes may miss their places by so much, in pixels of the 512 frame
MAX_EYE_ERROR = 6.0
#: from this error on the eyes are pulled harder (ours: leaves room for another detector's opinion)
GOOD_EYE_ERROR = 4.0

Points = Dict[str, Tuple[float, float]]
#: pull of each point in the least squares (ours): faces differ most in the length of nose and mouth, and with equal
#: pulls that moved the eyes by up to 10 pixels; with these by up to 6, and the lips kept as far from their window's
#: edge
WEIGHTS = {"left_eye": 6.0, "right_eye": 6.0, "nose": 1.0, "mouth_left": 1.0, "mouth_right": 1.0}


def similarity(source: Points, target: Points = CANONICAL_POINTS, weights=WEIGHTS) -> np.ndarray:
    """The similarity that takes ``source`` points nearest to ``target`` in the weighted least squares sense, as a
    (2, 3) float64 matrix.  ValueError where the points determine none (all in one place, or not numbers)."""
    names = list(target)
    a = np.array([source[n] for n in names], float)
    b = np.array([target[n] for n in names], float)
    w = np.array([weights.get(n, 1.0) for n in names])
    w /= w.sum()
    if not np.isfinite(a).all():
        raise ValueError("landmarks that are not numbers")
    a0, b0 = w @ a, w @ b
    a, b = a - a0, b - b0
    spread = float(w @ (a ** 2).sum(1))
    if spread < 1e-9:
        raise ValueError("landmarks all in one place")
    # of complex numbers: the factor that takes a to b
    real = float(w @ (a * b).sum(1)) / spread
    imaginary = float(w @ (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])) / spread
    matrix = np.array([[real, -imaginary, 0], [imaginary, real, 0]])
    matrix[:, 2] = b0 - matrix[:, :2] @ a0
    return matrix


def fit(landmarks: Points) -> np.ndarray:
    """The similarity for a face: by ``WEIGHTS``, and where that leaves the eyes off their places (long or short faces),
    with the eyes pulled harder until they are within ``GOOD_EYE_ERROR``."""
    for harder in (1, 4, 16, 64, 1024):
        matrix = similarity(landmarks, weights={n: w * (harder if "eye" in n else 1) for n, w in WEIGHTS.items()})
        if eye_error(moved(matrix, landmarks)) <= GOOD_EYE_ERROR:
            break
    return matrix


def moved(matrix: np.ndarray, landmarks: Points) -> Points:
    """Where the landmarks come to lie."""
    return {name: tuple(apply(matrix, [point])[0]) for name, point in landmarks.items()}


def eye_error(landmarks: Points) -> float:
    """Pixels by which the eye further off misses its place in the 512 frame."""
    return max(float(np.hypot(*np.subtract(landmarks[p], CANONICAL_POINTS[p]))) for p in ("left_eye", "right_eye"))


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points through a (2, 3) matrix."""
    return np.asarray(points, float) @ matrix[:, :2].T + matrix[:, 2]


def invert(matrix: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(matrix[:, :2])
    return np.concatenate([inverse, -inverse @ matrix[:, 2:]], 1)


def warp(picture: np.ndarray, to_picture: np.ndarray, size: int = RELEASE_CANVAS,
         border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """The (size, size) picture whose pixel p shows ``picture`` at ``to_picture`` (2, 3) of p.

    Where that shrinks, every output pixel is the mean over its area: the picture is sampled bicubically on a grid k
    times as fine and averaged k x k, k the shrinking factor rounded up.  uint8 in and out.
    """
    scale = float(np.sqrt(abs(np.linalg.det(to_picture[:, :2]))))
    k = int(np.clip(np.ceil(scale - 1e-6), 1, 4))
    if scale > 4:
        # further than the fine grid reaches: halve first, as often as it takes
        halvings = int(np.ceil(np.log2(scale / 4)))
        factor = 2 ** halvings
        height, width = picture.shape[:2]
        picture = cv2.resize(picture, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
        zoom = np.array([picture.shape[1] / width, picture.shape[0] / height])
        to_picture = to_picture.copy()
        to_picture[:, 2] += 0.5
        to_picture *= zoom[:, None]
        to_picture[:, 2] -= 0.5
        scale = float(np.sqrt(abs(np.linalg.det(to_picture[:, :2]))))
        k = int(np.clip(np.ceil(scale - 1e-6), 1, 4))
    # fine pixel q lies at (q + 0.5) / k - 0.5 of the coarse grid
    fine = to_picture.astype(np.float64).copy()
    fine[:, :2] /= k
    fine[:, 2] += to_picture[:, :2] @ np.array([0.5 / k - 0.5] * 2)
    out = cv2.warpAffine(picture, fine, (size * k, size * k), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                         borderMode=border)
    return cv2.resize(out, (size, size), interpolation=cv2.INTER_AREA) if k > 1 else out


def align(picture: np.ndarray, landmarks: Points) -> Tuple[np.ndarray, np.ndarray]:
    """(aligned, matrix): a photograph (H, W, 3) uint8 in the canonical frame, (512, 512, 3), and the (2, 3) matrix that
    takes its pixels there.  Beyond the photograph its border pixels are repeated."""
    matrix = fit(landmarks)
    return warp(picture, invert(matrix)), matrix
