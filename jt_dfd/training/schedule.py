"""What changes with the step: learning rates and the weight of L1.  Plain functions of the step, so that a resumed
run needs no state for them."""
from __future__ import annotations


def learning_rate(base: float, step: int, steps: int, decay_from: float = 0.5, warmup: int = 0) -> float:
    """Rate of step ``step`` (from 0): rises over ``warmup`` steps, stays, and after the share ``decay_from`` of
    ``steps`` falls linearly, to zero just after the last step."""
    rate = base
    if step < warmup:
        rate *= (step + 1) / warmup
    start = decay_from * steps
    if step > start:
        rate *= max(0.0, (steps - step) / (steps - start))
    return rate


def falling(start: float, end: float, step: int, over: float) -> float:
    """From ``start`` at step 0 linearly to ``end`` at step ``over``, then ``end``."""
    if over <= 0:
        return end
    share = min(1.0, step / over)
    return start + (end - start) * share
