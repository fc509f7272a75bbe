"""Mixed precision: convolutions in float16 on a GPU; parameters, losses, gradients, norms and moments in float32.

Jittor's own ``auto_mixed_precision_level`` is not used: in 1.3.11 its levels 1 to 3 leave float32 numbers as they are
(they change nothing here at all), and from 4 on every operator is lowered, the losses' among them, without a loss
scale.

The gradients that flow back into a float16 convolution are float16 too, whose smallest number is 6e-8, and those of a
mean over a picture are about 1e-6 each.  So losses are multiplied by a scale before they are differentiated, and the
parameters' gradients divided by it.  Where that overflows, the scale falls and the same step is computed again; nothing
has moved by then.
"""
from __future__ import annotations

from typing import Callable, Dict, Tuple

import numpy as np

from .. import runtime
from ..backend import jt
from . import feed, parallel
from .options import Options

#: scale that a run begins with, and what an overflow divides it by: powers of two, which round nothing (ours)
FIRST_SCALE = 2.0 ** 14
FALL = 4.0
#: tests set it: the same roundings on a CPU, where they gain nothing
ON_CPU = False


def mixed(options: Options) -> bool:
    """Whether this run computes in mixed precision: it was asked for and there is a GPU that gains by it."""
    return options.mixed_precision > 0 and bool(ON_CPU or jt.flags.use_cuda and runtime.half_precision_gains())


def prepare(options: Options, networks) -> float:
    """Switch the networks over where ``options`` ask for it; the loss scale to begin with."""
    if not mixed(options):
        return 1.0
    from ..networks import half

    for network in networks:
        half.use(network)
    return FIRST_SCALE


def words(options: Options) -> str:
    """A line for the log; "" where nothing was asked for."""
    if not options.mixed_precision:
        return ""
    if mixed(options):
        return f"mixed precision: convolutions in float16, all else in float32, loss scale {FIRST_SCALE:g} at first"
    if jt.flags.use_cuda:
        return "--mixed-precision gains nothing on this GPU, which has no tensor cores: this run computes in float32"
    return "--mixed-precision is for GPUs: this run is on the CPU and computes in float32"


def step(trainer, batch, number: int, parts, note: Callable[[str], None] = lambda text: None) -> Tuple[Dict, Callable]:
    """({name: value} of one step averaged over ranks, what applies it).  Values that are not finite are the loss's own,
    not the scale's: as long as only gradients overflow, the scale falls and the step is computed again."""
    while True:
        values: Dict[str, float] = {}
        pieces = feed.pieces(batch, trainer.options.accumulate)
        for piece in pieces:
            names, numbers, apply = trainer.step(piece, number, parts)
            for name, value in zip(names, np.asarray(parallel.mean(numbers).numpy(), np.float64)):
                # losses are means over the pieces, a gradient's length is that of all pieces so far
                values[name] = float(value if name.startswith("gradient") else
                                     values.get(name, 0) + value / len(pieces))
        bad = [n for n, v in values.items() if not np.isfinite(v)]
        if not bad or not all(n.startswith("gradient") for n in bad):
            return values, apply
        scale = lower(trainer.adams(parts))
        if not scale:
            return values, apply
        note(f"step {number + 1}: {', '.join(bad)} overflowed; the loss scale is {scale:g} from here")


def lower(optimisers) -> float:
    """After gradients that are not finite: take them back and make the scale smaller.  The new scale; 0 where it was 1
    already, so that the fault lies elsewhere."""
    scale = max(optimiser.scale for optimiser in optimisers)
    if scale <= 1:
        return 0.0
    for optimiser in optimisers:
        optimiser.discard()
        optimiser.scale = max(1.0, scale / FALL)
    return max(1.0, scale / FALL)
