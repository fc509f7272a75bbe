"""Building blocks shared by the networks: Res, Down, Up, the normalisations, initial weights."""
from __future__ import annotations

from ..backend import jt, nn
from ..kernels.picture_norm import picture_norm

#: BatchNorm momentum inside Down and Up, and inside Res (release)
SAMPLING_MOMENTUM = 0.9
RES_MOMENTUM = 0.1
#: standard deviation of initial convolution weights and of norm weights around one (release)
INITIAL_DEVIATION = 0.02


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


def batch_norm(momentum: float):
    return lambda channels: nn.BatchNorm(channels, momentum=momentum)


def instance_norm(channels: int):
    return InstanceNorm(channels)


class Res(nn.Module):
    """reflect-pad 1, conv 3x3, norm, ReLU, reflect-pad 1, conv 3x3, norm, plus the input.  (N, C, H, W) -> same."""

    def __init__(self, channels: int, norm=batch_norm(RES_MOMENTUM)):
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv(channels, channels, 3), norm(channels), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv(channels, channels, 3), norm(channels))

    def execute(self, x):
        return x + self.conv_block(x)


class Down(nn.Module):
    """conv 4x4 stride 2, BatchNorm; the release's LeakyReLU of slope 1 that follows is the identity.
    (N, C, H, W) -> (N, out, H/2, W/2)."""

    def __init__(self, into: int, out: int):
        self.conv = nn.Conv(into, out, 4, stride=2, padding=1)
        self.bn = nn.BatchNorm(out, momentum=SAMPLING_MOMENTUM)

    def execute(self, x):
        return self.bn(self.conv(x))


class Up(nn.Module):
    """Transposed conv 4x4 stride 2, norm; again with an identity behind it.  (N, C, H, W) -> (N, out, 2H, 2W)."""

    def __init__(self, into: int, out: int, norm=batch_norm(SAMPLING_MOMENTUM)):
        self.conv = nn.Sequential(nn.ConvTranspose(into, out, 4, stride=2, padding=1), norm(out))

    def execute(self, x):
        return self.conv(x)


def initialise(module) -> None:
    """Initial weights as in the release: convolutions N(0, 0.02), norm weights N(1, 0.02), norm biases 0;
    linear layers and convolution biases keep the framework's."""
    for part in module.modules():
        if isinstance(part, (nn.Conv, nn.ConvTranspose)):
            part.weight = jt.init.gauss(part.weight.shape, "float32", 0.0, INITIAL_DEVIATION)
        elif isinstance(part, (nn.BatchNorm, nn.InstanceNorm, PictureNorm)):
            part.weight = jt.init.gauss(part.weight.shape, "float32", 1.0, INITIAL_DEVIATION)
