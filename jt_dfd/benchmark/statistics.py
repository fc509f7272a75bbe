"""Median, spread and paired ratios of timings."""
from __future__ import annotations

from typing import Dict, List, Sequence

import numpy as np


def summary(seconds: Sequence[float]) -> Dict[str, float]:
    """Median, quartiles, median absolute deviation, least, most and how many; in the unit of ``seconds``."""
    values = np.asarray(seconds, np.float64)
    median = float(np.median(values))
    low, high = np.percentile(values, (25, 75))
    return {"median": median, "quartiles": [float(low), float(high)],
            "deviation": float(np.median(np.abs(values - median))), "minimum": float(values.min()),
            "maximum": float(values.max()), "count": len(values)}


def ratio(ours: List[List[float]], theirs: List[List[float]]) -> Dict[str, object]:
    """Median of the paired ratios ours / theirs, with their quartiles and each of them.

    Both are rounds of timings; the first round of one was measured beside the first round of the other, so noise of the
    machine that lasts longer than a round falls out.
    """
    pairs = [float(np.median(a) / np.median(b)) for a, b in zip(ours, theirs) if a and b and np.median(b) > 0]
    if not pairs:
        return {}
    low, high = np.percentile(pairs, (25, 75))
    return {"median": float(np.median(pairs)), "quartiles": [float(low), float(high)], "pairs": pairs}
