"""losses.png: one small plot a quantity, drawn with OpenCV."""
from __future__ import annotations

from typing import Any, Dict, List

import numpy as np

from ..pictures import write_png

WIDTH, HEIGHT, MARGIN = 460, 190, 34
_SKIP = ("step", "epoch", "seconds", "memory_mb")


def draw_curves(lines: List[Dict[str, Any]], path) -> None:
    """lines: log lines with ``step`` and numbers.  Values are shown raw (pale) and smoothed."""
    import cv2

    names = sorted({k for line in lines for k, v in line.items()
                    if k not in _SKIP and isinstance(v, (int, float)) and not isinstance(v, bool)})
    plots = []
    for name in names:
        points = [(line["step"], line[name]) for line in lines
                  if isinstance(line.get(name), (int, float)) and np.isfinite(line[name])]
        if len(points) > 1:
            plots.append(_plot(cv2, name, np.array(points, np.float64)))
    if not plots:
        return
    columns = min(3, len(plots))
    while len(plots) % columns:
        plots.append(np.full_like(plots[0], 255))
    write_png(path, np.vstack([np.hstack(plots[i:i + columns]) for i in range(0, len(plots), columns)]))


def _plot(cv2, name: str, points: np.ndarray) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    steps, values = points[:, 0], points[:, 1]
    width = max(1, len(values) // 40)
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    smooth = np.convolve(padded, np.ones(width) / width, "valid")
    low, high = np.percentile(values, 1), np.percentile(values, 99)
    low, high = min(low, smooth.min()), max(high, smooth.max())
    span = (high - low) or 1.0

    def place(series):
        x = MARGIN + (steps - steps[0]) / ((steps[-1] - steps[0]) or 1) * (WIDTH - MARGIN - 10)
        y = HEIGHT - MARGIN - np.clip((series - low) / span, -0.05, 1.05) * (HEIGHT - 2 * MARGIN)
        return np.stack([x, y], 1).round().astype(np.int32)

    cv2.rectangle(picture, (MARGIN, MARGIN), (WIDTH - 10, HEIGHT - MARGIN), (225, 225, 225), 1)
    cv2.polylines(picture, [place(values)], False, (190, 205, 235), 1, cv2.LINE_AA)
    cv2.polylines(picture, [place(smooth)], False, (30, 70, 160), 2, cv2.LINE_AA)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, f"{name}: {smooth[-1]:.4g}", (MARGIN, 22), font, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(picture, f"{high:.3g}", (2, MARGIN + 4), font, 0.32, (90, 90, 90), 1, cv2.LINE_AA)
    cv2.putText(picture, f"{low:.3g}", (2, HEIGHT - MARGIN + 4), font, 0.32, (90, 90, 90), 1, cv2.LINE_AA)
    cv2.putText(picture, f"step {int(steps[0])} to {int(steps[-1])}", (MARGIN, HEIGHT - 10), font, 0.38,
                (90, 90, 90), 1, cv2.LINE_AA)
    return picture
