"""Exponential moving average of networks' parameters: what is shown, validated and exported."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Dict, List

import numpy as np

from .arrays import assign


class MovingAverage:
    """decay: share of the old average kept at each step; it starts smaller, (1 + t) / (10 + t), so that the first
    steps' noise is soon forgotten (ours)."""

    def __init__(self, networks: List, decay: float):
        self.decay, self.count = decay, 0
        self._live = [p for network in networks for p in network.state_dict().values()]
        self._average = [p.clone().stop_grad() for p in self._live] if decay > 0 else []

    def update(self) -> None:
        if not self._average:
            return
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        self.count += 1
        for average, live in zip(self._average, self._live):
            average.update(average * decay + live.detach() * (1 - decay))

    @contextmanager
    def applied(self):
        """Inside, the networks carry the average; afterwards their own weights again, bit for bit."""
        if not self._average:
            yield
            return
        own = [np.array(p.numpy()) for p in self._live]
        for live, average in zip(self._live, self._average):
            assign(live, average.numpy())
        try:
            yield
        finally:
            for live, array in zip(self._live, own):
                assign(live, array)

    def arrays(self) -> Dict[str, np.ndarray]:
        out = {"count": np.array([self.count], np.float64)}
        out.update({f"a{i}": np.array(v.numpy()) for i, v in enumerate(self._average)})
        return out

    def load(self, arrays: Dict[str, np.ndarray]) -> None:
        self.count = int(arrays["count"][0])
        for i, variable in enumerate(self._average):
            if f"a{i}" in arrays:
                assign(variable, arrays[f"a{i}"])
            else:  # the run was started without an average
                assign(variable, self._live[i].numpy())
