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
#: how far a component's shadow may be from that of all its neighbours, in grey levels: a pixel of the page lies under
#: the remainder and two parts at most, which count half, so it is not half a level off (ours)
LEFT_OUT = 0.25
#: the most ink that a decoded pixel holds, 1 being black, where it would be 0.5 * (1 + 2): the decoders are not bounded
#: (ours, generous)
MAX_INK = 1.5
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


def visible(weights: np.ndarray) -> np.ndarray:
    """(k,) weights of a component's neighbours -> (k,) bool: those that have to be decoded for its shadow.  The others
    have no positive weight, or so little, all together, that no grey level changes (LEFT_OUT)."""
    least_first = np.argsort(weights, kind="stable")
    ink = 255 * MAX_INK * np.cumsum(np.clip(weights[least_first].astype(np.float64), 0, WEIGHT_LIMIT))
    out = np.zeros(len(weights), bool)
    out[least_first] = ink >= LEFT_OUT
    return out & (weights > 0)
