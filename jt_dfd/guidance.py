"""Shadow guidance: soft masks of the part windows, and the shares of what lies under them.

A shadow is what the neighbours of a sketch look like, laid over one another: a hint where to draw.
Nothing here imports Jittor.
"""
from __future__ import annotations

import numpy as np

from .components import PARTS, Geometry

#: how much of a decoded neighbour's weight may count (release)
WEIGHT_LIMIT = 0.5
#: share of the remainder's shadow that is taken away at the middle of a part's window (release)
REST_FADE = 0.2
#: share of a part's shadow that is added to the remainder's (release)
PART_SHARE = 0.5
#: where a mask starts to fade and where it has faded, as a radius with the window's edge at 1 (ours: the release's
#: mask pictures are its own; these have their look, a dark centre and a light rim)
_INNER, _OUTER = 0.55, 1.0


def soft_mask(size: int) -> np.ndarray:
    """(size, size) float32: 0 in the middle of a window, 1 at its rim, smooth between, on rounded squares."""
    axis = np.abs((np.arange(size) + 0.5) / size * 2 - 1)
    radius = (axis[:, None] ** 4 + axis[None, :] ** 4) ** 0.25
    t = np.clip((radius - _INNER) / (_OUTER - _INNER), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def part_masks(geometry: Geometry) -> np.ndarray:
    """The four parts' masks flattened one after the other in the order of ``PARTS``, float32."""
    return np.concatenate([soft_mask(geometry.window(part).size).ravel() for part in PARTS])
