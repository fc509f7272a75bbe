"""The records of layout.py as Jittor modules, and their initial weights."""
from __future__ import annotations

from .. import layout
from ..backend import jt, nn
from ..kernels.picture_norm import picture_norm
from ..layout import INITIAL_DEVIATION


class PictureNorm(nn.Module):
    """BatchNorm in training mode over a batch of one, for every picture of a batch by itself.

    The release's feature decoders never leave training mode (they sit in a dict, which Jittor's ``eval()`` does not
    enter), and it runs them one picture at a time: each picture is normalised with its own statistics.  The running
    statistics are kept for the sake of the checkpoint's layout and never read.

    x: (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        self.eps = eps
        self.weight = jt.ones(channels)
        self.bias = jt.zeros(channels)
        self.running_mean = jt.zeros(channels).stop_grad()
        self.running_var = jt.ones(channels).stop_grad()

    def execute(self, x):
        return picture_norm(x, self.weight, self.bias, self.eps)


class InstanceNorm(nn.InstanceNorm2d):
    """Affine, without running statistics: Jittor's default, and the release's.  (N, C, H, W) -> the same."""

    def execute(self, x):
        return picture_norm(x, self.weight, self.bias, self.eps)


def _norm(record: layout.Norm):
    if record.kind == "picture":
        return PictureNorm(record.channels)
    if record.kind == "instance":
        return InstanceNorm(record.channels)
    return nn.BatchNorm(record.channels, momentum=record.momentum)


class _Block(nn.Module):
    def __init__(self, block: layout.Block):
        for name, part in block.parts:
            setattr(self, name, make(part))


class Res(_Block):
    """reflect-pad 1, conv 3x3, norm, ReLU, reflect-pad 1, conv 3x3, norm, plus the input.  (N, C, H, W) -> same."""

    def execute(self, x):
        return x + self.conv_block(x)


class Down(_Block):
    """conv 4x4 stride 2, BatchNorm.  (N, C, H, W) -> (N, out, H/2, W/2)"""

    def execute(self, x):
        return self.bn(self.conv(x))


class Up(_Block):
    """Transposed conv 4x4 stride 2, norm.  (N, C, H, W) -> (N, out, 2H, 2W)"""

    def execute(self, x):
        return self.conv(x)


_BLOCKS = {"res": Res, "down": Down, "up": Up}
_ACTIVATIONS = {"relu": lambda a: nn.ReLU(), "tanh": lambda a: nn.Tanh(), "leaky_relu": lambda a: nn.LeakyReLU(a.slope)}
_MAKERS = {
    tuple: lambda layers: nn.Sequential(*[make(layer) for layer in layers]),
    layout.Block: lambda b: _BLOCKS[b.kind](b),
    layout.Linear: lambda r: nn.Linear(r.into, r.out),
    layout.Conv: lambda c: nn.Conv(c.into, c.out, c.kernel, stride=c.stride, padding=c.padding),
    layout.ConvTranspose: lambda c: nn.ConvTranspose(c.into, c.out, c.kernel, stride=c.stride, padding=c.padding,
                                                     output_padding=c.output_padding),
    layout.Norm: _norm,
    layout.Reflect: lambda r: nn.ReflectionPad2d(r.padding),
    layout.Activation: lambda a: _ACTIVATIONS[a.name](a),
}


def make(layer):
    """The module of a record of layout.py; of a tuple of them an ``nn.Sequential``."""
    return _MAKERS[type(layer)](layer)


def initialise(module) -> None:
    """Initial weights as in the release: convolutions N(0, 0.02), norm weights N(1, 0.02), norm biases 0;
    linear layers and convolution biases keep the framework's."""
    for part in module.modules():
        if isinstance(part, (nn.Conv, nn.ConvTranspose)):
            part.weight = jt.init.gauss(part.weight.shape, "float32", 0.0, INITIAL_DEVIATION)
        elif isinstance(part, (nn.BatchNorm, nn.InstanceNorm, PictureNorm)):
            part.weight = jt.init.gauss(part.weight.shape, "float32", 1.0, INITIAL_DEVIATION)
