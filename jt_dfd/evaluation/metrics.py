"""Distances between pictures (uint8, RGB) and between two sets of features.  No Jittor."""
from __future__ import annotations

from typing import Tuple

import numpy as np


def l1(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference in grey levels, 0 to 255."""
    return float(np.abs(a.astype(np.float64) - b).mean())


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio in dB for a peak of 255; infinite for equal pictures."""
    error = ((a.astype(np.float64) - b) ** 2).mean()
    return float(10 * np.log10(255.0 ** 2 / error)) if error > 0 else float("inf")


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity, -1 to 1: Gaussian window of deviation 1.5 (11 pixels), K1 0.01, K2 0.03, each channel by
    itself, borders of 5 pixels left out (Wang et al. 2004)."""
    import cv2

    x, y = a.astype(np.float64), b.astype(np.float64)

    def blur(image):
        return cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(value[5:-5, 5:-5].mean())


#: what two pictures are compared by: name of the score -> (function, heading in the table, digits there)
OF_PICTURES = {"l1": (l1, "L1", 2), "psnr": (psnr, "PSNR dB", 2), "ssim": (ssim, "SSIM", 3)}


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to two sets of features (N, D), (M, D); N and M at least 2."""
    ma, mb = a.mean(0), b.mean(0)
    ua, ub = (a - ma) / np.sqrt(len(a) - 1), (b - mb) / np.sqrt(len(b) - 1)   # ua.T @ ua is the covariance
    # the eigenvalues of ca cb = ua.T ua ub.T ub are the squared singular values of ua ub.T
    if max(len(a), len(b)) <= a.shape[1]:   # a small matrix, and no roots of what is zero but for rounding
        cross = np.linalg.svd(ua @ ub.T, compute_uv=False).sum()
    else:   # the trace of the root of ca cb is that of root(ca) cb root(ca), which is symmetric
        values, vectors = np.linalg.eigh(ua.T @ ua)
        root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ (ub.T @ ub) @ root), 0, None)).sum()
    return float(((ma - mb) ** 2).sum() + (ua ** 2).sum() + (ub ** 2).sum() - 2 * cross)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et al. 2018)."""
    n, m, d = len(a), len(b), a.shape[1]

    def kernel(x, y):
        return (x.astype(np.float64) @ y.astype(np.float64).T / d + 1) ** 3

    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    return float((aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1)) - 2 * ab.mean())


def summary(values) -> Tuple[float, float]:
    """(mean, standard error of the mean) of numbers; nan where there are too few."""
    values = np.asarray(list(values), np.float64)
    if not len(values):
        return float("nan"), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(values.mean()), float(error)
