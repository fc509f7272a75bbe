"""The terms of stage II.  Pictures are (N, 3, H, W) in [-1, 1]; ``maps`` are the discriminator's outputs, for each
scale a list of feature maps with the patch scores last, of the real pictures and the made ones one after the other."""
from __future__ import annotations

from ..backend import jt


def l1(made, real):
    return (made - real).abs().mean()


def mse(made, real):
    return ((made - real) ** 2).mean()


def split(maps, count: int):
    """(maps of the first ``count`` pictures, maps of the others)."""
    return ([[m[:count] for m in scale] for scale in maps], [[m[count:] for m in scale] for scale in maps])


def discriminator(real_maps, made_maps):
    """Least squares: real patches towards 1, made ones towards 0; summed over scales."""
    total = jt.float32(0)
    for real, made in zip(real_maps, made_maps):
        total = total + 0.5 * (((real[-1] - 1) ** 2).mean() + (made[-1] ** 2).mean())
    return total


def adversarial(made_maps):
    """Least squares: the generator wants its patches at 1; summed over scales.  Differentiable in the picture."""
    total = jt.float32(0)
    for made in made_maps:
        total = total + ((made[-1] - 1) ** 2).mean()
    return total


def feature_matching(real_maps, made_maps):
    """L1 between the discriminator's inner maps of a real picture and a made one: mean over layers and scales.
    The real side takes no gradient."""
    total, count = jt.float32(0), 0
    for real, made in zip(real_maps, made_maps):
        for a, b in zip(real[:-1], made[:-1]):
            total, count = total + (a.detach() - b).abs().mean(), count + 1
    return total / max(count, 1)
