"""Adam with what training needs around it: the gradient's length before anything moves, its state as arrays, and the
learning-rate schedule, a plain function of the step, so that a resumed run needs no state for it."""
from __future__ import annotations

from contextlib import contextmanager
from math import cos, pi
from typing import Any, Dict, List

import numpy as np

from ..backend import jt
from ..checkpoints import CheckpointError
from ..networks import assign


def learning_rate(base: float, step: int, steps: int, decay_from: float = 0.5, warmup: int = 0,
                  shape: str = "linear") -> float:
    """Rate of step ``step`` (from 0): rises over ``warmup`` steps, stays, and after the share ``decay_from`` of
    ``steps`` falls to zero just after the last step: along a straight line, or half a wave (``shape`` "cosine")."""
    rate = base
    if step < warmup:
        rate *= (step + 1) / warmup
    start = decay_from * steps
    if step > start:
        left = max(0.0, (steps - step) / (steps - start))
        rate *= (1 - cos(pi * left)) / 2 if shape == "cosine" else left
    return rate


class Adam:
    """Jittor's Adam over some networks' trainable parameters.

    Gradients are averaged over ranks by Jittor.  Use: ``norm = backward(loss)``, look at it, then ``step(rate)``, or
    ``discard()`` to take it back.  With ``scale`` above 1 the loss is multiplied by it before it is differentiated and
    the gradients divided by it afterwards (``precision``): norms and moments are those of the loss itself.

    pieces  how often ``backward`` is called before a ``step``: the gradient is that of the losses' mean
    """

    def __init__(self, networks: List, beta1: float, beta2: float, scale: float = 1.0, pieces: int = 1):
        # BatchNorm's running statistics are among parameters(); they take no gradient
        self.parameters = [p for network in networks for p in network.parameters() if not p.is_stop_grad()]
        self._adam = jt.optim.Adam(self.parameters, 1e-4, betas=(beta1, beta2))
        self.scale, self._pending, self._pieces = scale, False, pieces

    _norm: Any   #: of the last backward

    def backward(self, loss):
        """Gradients of ``loss`` for these parameters and no others, added to those of the pieces before; returns their
        length, a (1,) variable."""
        if self._pending:
            self._adam.n_step -= 1   # Jittor counts calls, and corrects the moments by their number
            if self.scale != 1:
                for gradient in self._adam.param_groups[0]["grads"]:
                    gradient.update(gradient * self.scale)
        factor = self.scale / self._pieces
        # the graph is shared with the other optimiser's loss
        self._adam.backward(loss if factor == 1 else loss * factor, retain_graph=True)
        self._pending = True
        if self.scale != 1:
            for gradient in self._adam.param_groups[0]["grads"]:
                gradient.update(gradient * (1 / self.scale))
        squares = [(g * g).sum() for g in self._adam.param_groups[0]["grads"]]
        self._norm = jt.sqrt(jt.stack(squares).sum())
        return self._norm

    def discard(self) -> None:
        """Take the last ``backward`` back, if nothing was made of it."""
        if self._pending:
            self._adam.zero_grad()
            self._adam.n_step -= 1
        self._pending = False

    def gradients(self) -> List:
        return list(self._adam.param_groups[0]["grads"])

    def step(self, rate: float, max_norm: float = 0.0) -> None:
        """Move.  With ``max_norm`` above zero, a longer gradient is scaled down to it first."""
        if max_norm > 0:
            scale = jt.minimum(max_norm / (self._norm + 1e-12), jt.float32(1.0))
            for gradient in self._adam.param_groups[0]["grads"]:
                gradient.update(gradient * scale)
        self._adam.lr = rate
        self._adam.step()
        self._pending = False

    def arrays(self) -> Dict[str, np.ndarray]:
        """Both moments of every parameter and the number of steps."""
        group = self._adam.param_groups[0]
        out = {"n_step": np.array([self._adam.n_step], np.float64)}
        for i, (m, v) in enumerate(zip(group["m"], group["values"])):
            out[f"m{i}"], out[f"v{i}"] = np.array(m.numpy()), np.array(v.numpy())
        return out

    def load(self, arrays: Dict[str, np.ndarray], source) -> None:
        group = self._adam.param_groups[0]
        expected = {"n_step"} | {f"{k}{i}" for i in range(len(group["m"])) for k in "mv"}
        if set(arrays) != expected:
            raise CheckpointError(f"{source}: the optimiser's state has {len(arrays)} entries, expected "
                                  f"{len(expected)}. The checkpoint belongs to another network.")
        for key, variables in (("m", group["m"]), ("v", group["values"])):
            for i, variable in enumerate(variables):
                if tuple(variable.shape) != arrays[f"{key}{i}"].shape:
                    raise CheckpointError(f"{source}: the optimiser's entry {key}{i} has shape "
                                          f"{arrays[f'{key}{i}'].shape}, expected {tuple(variable.shape)}.")
                assign(variable, arrays[f"{key}{i}"])
        self._adam.n_step = int(arrays["n_step"][0])


class MovingAverage:
    """Exponential moving average of networks' parameters: what is shown, validated and exported.

    decay: share of the old average kept at each step; it starts smaller, (1 + t) / (10 + t), so that the first
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
