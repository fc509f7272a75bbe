"""The terms of stage II.  Pictures are (N, 3, H, W) in [-1, 1]; ``maps`` are the discriminator's outputs, for each
scale a list of feature maps with the patch scores last, of the real pictures and the made ones one after the other."""
from __future__ import annotations

from ..backend import jt, nn

#: pixels after which the pattern of three transposed convolutions of stride 2 repeats, the edge of the squares in which
#: it is looked for, and that of the mean which is taken off before (ours: what told made pictures best from real ones)
PERIOD, SQUARE, SMOOTH = 8, 64, 4


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


def grid(made, real):
    """How much a made picture repeats itself every PERIOD pixels beyond what the real one does (ours): mean over
    squares of the excess, in the pictures' own units.

    Transposed convolutions begin with such a pattern.  L1 hardly sees it where it is fainter than the picture's other
    errors: moving a pixel up and its neighbour down changes nothing in the sum.  Real pictures of any size have none.
    """
    return nn.relu(_repetition(made) - _repetition(real).detach()).mean()


def _repetition(x):
    """(N * C * rows, columns) of squares: the standard deviation over a square's PERIOD x PERIOD positions of the mean
    over everything at that position, without what is smooth."""
    n, c, height, width = x.shape
    rows, columns, times = height // SQUARE, width // SQUARE, SQUARE // PERIOD
    smooth = nn.avg_pool2d(nn.ReflectionPad2d(SMOOTH // 2)(x), SMOOTH, 1)
    x = (x - smooth[:, :, :height, :width])[:, :, :rows * SQUARE, :columns * SQUARE]
    x = x.reshape((n * c * rows, times, PERIOD, columns * SQUARE)).mean(dims=(1,))
    x = x.reshape((n * c * rows, PERIOD, columns, times, PERIOD)).mean(dims=(3,))
    x = x - x.mean(dims=(1, 3), keepdims=True)
    return jt.sqrt((x * x).mean(dims=(1, 3)) + 1e-8)
