"""Sample sheets: pictures side by side, as uint8 arrays."""
from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np

from ..pictures import to_pixels

GAP = 4


def grey(batch) -> List[np.ndarray]:
    """(N, 1, H, W) in [-1, 1] -> N pictures (H, W, 3) uint8."""
    return [np.repeat(p, 3, 2) for p in colour(batch)]


def colour(batch) -> List[np.ndarray]:
    """(N, C, H, W) in [-1, 1] -> N pictures (H, W, C) uint8, as the release turns outputs into pixels."""
    values = np.asarray(batch.numpy(), np.float32).transpose(0, 2, 3, 1)
    return list(to_pixels(values))


def row(groups: Sequence[List[np.ndarray]], size: int) -> np.ndarray:
    """groups: lists of equal length; the i-th pictures of all groups stand side by side, then the next ones."""
    import cv2

    cells = []
    for members in zip(*groups):
        for picture in members:
            if picture.shape[0] != size:
                picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
            cells += [picture, np.full((size, GAP, 3), 255, np.uint8)]
    return np.hstack(cells)


def captions(words: Sequence[str], size: int, times: int = 1) -> np.ndarray:
    """A strip that says what stands below, for rows of ``times`` sets of pictures of ``size`` pixels."""
    import cv2

    strip = np.full((18, times * len(words) * (size + GAP), 3), 255, np.uint8)
    for n in range(times * len(words)):
        word = words[n % len(words)]
        cv2.putText(strip, word, (n * (size + GAP) + 2, 13), cv2.FONT_HERSHEY_SIMPLEX,
                    min(0.45, size / (17 * len(word))), (60, 60, 60), 1, cv2.LINE_AA)
    return strip


def stack(rows: List[np.ndarray]) -> Optional[np.ndarray]:
    """Rows one below the other, padded to the widest; None where there are none."""
    if not rows:
        return None
    width = max(r.shape[1] for r in rows)
    out = []
    for r in rows:
        out += [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255),
                np.full((GAP, width, 3), 255, np.uint8)]
    return np.vstack(out)
