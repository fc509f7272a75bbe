"""The terms of both stages.  Pictures are (N, C, H, W) in [-1, 1], sketches with one channel, photographs with three;
``maps`` are the discriminator's outputs, for each scale a list of feature maps with the patch scores last, of the real
pictures and the fake ones one after the other."""
from __future__ import annotations

import numpy as np

from ..backend import jt, nn

#: binomial; as a blur before each halving it leaves standard deviations of 0.9, 1.9, 4.0, 8.0, 16.0 pixels
_BLUR = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64

#: pixels after which the pattern of three transposed convolutions of stride 2 repeats, the edge of the squares in which
#: it is looked for, and that of the mean which is taken off before (ours: what told fake pictures best from real ones)
PERIOD, SQUARE, SMOOTH = 8, 64, 4


def falling(start: float, end: float, step: int, over: float) -> float:
    """A weight that falls from ``start`` at step 0 linearly to ``end`` at step ``over``, then stays."""
    return end if over <= 0 else start + (end - start) * min(1.0, step / over)


def l1(fake, real):
    return (fake - real).abs().mean()


def mse(fake, real):
    return ((fake - real) ** 2).mean()


def multiscale(fake, real, scales: int):
    """MSE of sketches (N, 1, H, W) at ``scales`` scales, 1 or more (ours); one is the plain MSE.

    Each further scale is the one before, blurred and halved, as long as its edge has 4 pixels or more.  In the plain
    MSE a line that is drawn two pixels beside its place costs as much as one at the other end of the picture, and more
    than none at all: nothing pulls it nearer.  Blurred by as much as it is off, it does.

    The mean over scales is taken of ``2 ** scale`` times the scale's MSE: what is left of thin lines after a blur is
    half as much for each doubling of the blur, and the coarse scales would be drowned.
    """
    error = fake - real   # the blur is linear: one pyramid of the difference instead of two
    total, count = (error ** 2).mean(), 1
    if scales > 1:
        kernel = jt.array(_BLUR.astype(np.float32)[None, None]).stop_grad()
    while count < scales and min(error.shape[2:]) >= 4:
        # beyond the picture there is no error
        error = nn.conv2d(error, kernel, stride=2, padding=1)
        total, count = total + 2.0 ** count * (error ** 2).mean(), count + 1
    return total / count if count > 1 else total


def split(maps, count: int):
    """(maps of the first ``count`` pictures, maps of the others)."""
    return ([[m[:count] for m in scale] for scale in maps], [[m[count:] for m in scale] for scale in maps])


def discriminator(real_maps, fake_maps):
    """Least squares: real patches towards 1, fake ones towards 0; summed over scales."""
    total = jt.float32(0)
    for real, fake in zip(real_maps, fake_maps):
        total = total + 0.5 * (((real[-1] - 1) ** 2).mean() + (fake[-1] ** 2).mean())
    return total


def adversarial(fake_maps):
    """Least squares: the generator wants its patches at 1; summed over scales.  Differentiable in the picture."""
    total = jt.float32(0)
    for fake in fake_maps:
        total = total + ((fake[-1] - 1) ** 2).mean()
    return total


def feature_matching(real_maps, fake_maps):
    """L1 between the discriminator's inner maps of a real picture and a fake one: mean over layers and scales.
    The real side takes no gradient."""
    total, count = jt.float32(0), 0
    for real, fake in zip(real_maps, fake_maps):
        for a, b in zip(real[:-1], fake[:-1]):
            total, count = total + (a.detach() - b).abs().mean(), count + 1
    return total / max(count, 1)


def checkerboard(fake, real):
    """How much a fake picture repeats itself every PERIOD pixels beyond what the real one does (ours): mean over
    squares of the excess, in the pictures' own units.

    Transposed convolutions begin with such a pattern.  L1 hardly sees it where it is fainter than the picture's other
    errors: moving a pixel up and its neighbour down changes nothing in the sum.  Real pictures of any size have none.
    """
    return nn.relu(_repetition(fake) - _repetition(real).detach()).mean()


def _repetition(x):
    """(N * C * rows, columns) of squares: the standard deviation over a square's PERIOD x PERIOD positions of the mean
    over everything at that position, without what is smooth."""
    n, c, height, width = x.shape
    rows, columns, times = height // SQUARE, width // SQUARE, SQUARE // PERIOD
    smooth = _smooth(x, SMOOTH)
    x = (x - smooth[:, :, :height, :width])[:, :, :rows * SQUARE, :columns * SQUARE]
    x = x.reshape((n * c * rows, times, PERIOD, columns * SQUARE)).mean(dims=(1,))
    x = x.reshape((n * c * rows, PERIOD, columns, times, PERIOD)).mean(dims=(3,))
    x = x - x.mean(dims=(1, 3), keepdims=True)
    return jt.sqrt((x * x).mean(dims=(1, 3)) + 1e-8)


def _smooth(x, edge: int):
    """Mean of each pixel's ``edge`` x ``edge`` neighbours, mirrored at the border; a row and a column more where that
    is even."""
    return nn.avg_pool2d(nn.ReflectionPad2d(edge // 2)(x), edge, 1)


def fine_colour(fake, real):
    """Mean absolute difference of fine colour (ours): what is left of a pixel without its grey and without the mean
    of its 3 x 3 neighbours.  Photographs have next to none; transposed convolutions leave coloured dots along edges,
    in irises above all, which are too few for L1 and too small for the other losses."""
    return (_fine(fake) - _fine(real).detach()).abs().mean()


def _fine(x):
    colour = x - x.mean(dims=(1,), keepdims=True)
    return colour - _smooth(colour, 3)


#: losses of a fake picture and the real one, each named as the option that is its weight
WEIGHTED = {"checkerboard": checkerboard, "fine_colour": fine_colour}
