"""The paper's first sketching step without Photoshop: the photocopy effect of GIMP and GEGL, from its definition.

A picture's luma is blurred twice, a little and a lot.  Where the ratio of the two falls below a threshold a pixel is
darker than its surroundings and goes towards black, elsewhere towards white; how steeply on either side is set by
percentiles of the ratios themselves.
"""
from __future__ import annotations

import cv2
import numpy as np


def photocopy(photograph: np.ndarray, mask_radius: float = 10.0, sharpness: float = 0.5, threshold: float = 0.75,
              black: float = 0.2, white: float = 0.2) -> np.ndarray:
    """A photograph (H, W, 3) RGB or (H, W), uint8, as a grey sketch (H, W) uint8.

    mask_radius, sharpness   radii of the two blurs: ``mask_radius`` and 10 * (1 - sharpness), at least 1, in pixels
    threshold                ratio of the blurs under which a pixel counts as dark
    black, white             shares of the dark and of the light pixels that become fully black and fully white
    Defaults are the filter's.
    """
    luma = photograph.astype(np.float32) / 255
    if luma.ndim == 3:
        luma = luma @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    fine = cv2.GaussianBlur(luma, (0, 0), _sigma(max(1.0, 10.0 * (1.0 - sharpness))))
    coarse = cv2.GaussianBlur(luma, (0, 0), _sigma(mask_radius))
    ratio = fine / np.maximum(coarse, 1e-6)
    dark = ratio < threshold
    fall = threshold - _percentile(ratio[dark], black, otherwise=threshold)
    rise = _percentile(ratio[~dark & (ratio < 2)], 1 - white, otherwise=threshold) - threshold
    toner = np.minimum((threshold - ratio) / fall, 1) if fall > 0 else np.ones_like(ratio)
    paper = np.minimum((ratio - threshold) / rise, 1) if rise > 0 else np.ones_like(ratio)
    copy = np.where(dark, fine * (1 - toner), fine + (1 - fine) * paper)
    return np.clip(np.round(copy * 255), 0, 255).astype(np.uint8)


def _sigma(radius: float) -> float:
    """The filter's radius is where a Gaussian has fallen to 1/255."""
    return (abs(radius) + 1) / np.sqrt(2 * np.log(255))


def _percentile(values: np.ndarray, share: float, otherwise: float) -> float:
    return float(np.quantile(values, share)) if values.size else otherwise
