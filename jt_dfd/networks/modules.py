"""The networks as Jittor modules.  Their layers are layout.py's records; here are the modules of those, their initial
weights, BatchNorms folded away for inference, and how a picture or a latent goes through each network."""
from __future__ import annotations

from typing import Dict, List

import numpy as np

from .. import layout
from ..backend import derived, jt, nn
from ..config import Config
from ..kernels.normalise import normalise
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
        return normalise(x, self.weight, self.bias, self.eps)[0]


class InstanceNorm(nn.InstanceNorm2d):
    """Affine, without running statistics: Jittor's default, and the release's.  (N, C, H, W) -> the same."""

    def execute(self, x):
        return normalise(x, self.weight, self.bias, self.eps)[0]


class Tanh(nn.Module):
    """Its gradient made of its result.  Jittor's is 1 / cosh(x)^2, which is not a number from |x| = 44.4 on: a
    generator with a few pixels as far beyond black or white could not be trained.  Any shape -> the same."""

    def execute(self, x):
        return _Tanh()(x)


@derived("Function")
class _Tanh:
    def execute(self, x):
        self.result = jt.tanh(x)
        return self.result

    def grad(self, gradient):
        return gradient * (1 - self.result * self.result)


def _norm(record: layout.Norm):
    if record.kind == "picture":
        return PictureNorm(record.channels)
    if record.kind == "instance":
        return InstanceNorm(record.channels)
    return nn.BatchNorm(record.channels, momentum=record.momentum)


class Chain(nn.Sequential):
    """Layers run in order.  Where a convolution's result is normalised by its own statistics (by every norm but a
    BatchNorm in evaluation mode or over several ranks), one operator does that and what follows up to the next
    convolution: activation, residual sum, reflected border.  The convolution's bias has no effect there and a gradient
    of zero; a running mean contains it.

    (N, C, H, W) -> (N, out, H', W'), or what the layers make of another shape."""

    def execute(self, x):
        layers, border, at = list(self.layers.values()), 0, 0   # border: reflected pixels that x already has around it
        while at < len(layers):
            layer, after = layers[at], layers[at + 1:]
            if isinstance(layer, _Block) and layer.is_fused():
                x, border, at = layer.fused(x, border, _border(after)), _border(after), at + 1
            elif isinstance(layer, nn.ReflectionPad2d):
                x, border, at = x if border else layer(x), 0, at + 1
            elif isinstance(layer, (nn.Conv, nn.ConvTranspose)) and after and _is_fused(after[0]):
                slope = _slope(after[1:])
                at += 2 + (slope != 1)
                border = _border(layers[at:])
                x = _between(layer, x, after[0], slope, mirror=border)
            else:
                x, at = layer(x), at + 1
        return x


def _is_fused(norm) -> bool:
    return isinstance(norm, (PictureNorm, nn.InstanceNorm)) or (
        type(norm) is nn.BatchNorm and norm.is_train and not jt.in_mpi)


def _slope(layers) -> float:
    """What the activation that comes first multiplies negative numbers with; 1 where none does."""
    for first in layers[:1]:
        if isinstance(first, nn.ReLU):
            return 0.0
        if isinstance(first, nn.LeakyReLU):
            return first.args[0]
    return 1.0


def _border(layers) -> int:
    """The reflected border that the next layer puts around its picture first."""
    for first in layers[:1]:
        if isinstance(first, nn.ReflectionPad2d):
            return first.padding
        return int(isinstance(first, Res) and first.is_fused())
    return 0


def _between(convolution, x, norm, slope: float = 1.0, residual=None, inset: int = 0, mirror: int = 0):
    """The convolution without its bias, and what ``normalise`` makes of its result."""
    bias, convolution.bias = convolution.bias, None
    try:
        x = convolution(x)
    finally:
        convolution.bias = bias
    together = isinstance(norm, nn.BatchNorm)
    y, statistics = normalise(x, norm.weight, norm.bias, norm.eps, together, slope, residual, inset, mirror)
    if together:
        for running, found in zip((norm.running_mean, norm.running_var),
                                  (statistics[0, :, 0] + bias, statistics[0, :, 1])):
            running.update(running + (found.detach() - running) * norm.momentum)
    return y


class _Block(nn.Module):
    def __init__(self, block: layout.Block):
        for name, part in block.parts:
            setattr(self, name, make(part))

    def is_fused(self) -> bool:
        """Whether its norms are part of ``normalise``; then ``fused(x, border, mirror)`` is what it does to an ``x``
        with ``border`` reflected pixels around it, and around the result there are ``mirror``."""
        return _is_fused(self.norm())


class Res(_Block):
    """reflect-pad 1, conv 3x3, norm, ReLU, reflect-pad 1, conv 3x3, norm, plus the input.  (N, C, H, W) -> same."""

    def execute(self, x):
        return x + self.conv_block(x)

    def norm(self):
        return self.conv_block[2]

    def fused(self, x, border: int, mirror: int):
        pad, first, norm, _, _, second, last_norm = self.conv_block
        inner = _between(first, x if border else pad(x), norm, 0.0, mirror=1)
        return _between(second, inner, last_norm, residual=x, inset=border, mirror=mirror)


class Down(_Block):
    """conv 4x4 stride 2, BatchNorm.  (N, C, H, W) -> (N, out, H/2, W/2)"""

    def execute(self, x):
        return self.bn(self.conv(x))

    def norm(self):
        return self.bn

    def fused(self, x, border: int, mirror: int):
        return _between(self.conv, x, self.bn, mirror=mirror)


class Up(_Block):
    """Transposed conv 4x4 stride 2, norm.  (N, C, H, W) -> (N, out, 2H, 2W)"""

    def execute(self, x):
        return self.conv(x)

    def norm(self):
        return self.conv[1]

    def fused(self, x, border: int, mirror: int):
        return _between(self.conv[0], x, self.conv[1], mirror=mirror)


_BLOCKS = {"res": Res, "down": Down, "up": Up}
#: the module of a record of layout.py
make = layout.maker(nn, nn.Conv, nn.ConvTranspose, _norm, lambda block: _BLOCKS[block.kind](block), Chain,
                    Tanh)


def initialise(module) -> None:
    """Initial weights as in the release: convolutions N(0, 0.02), norm weights N(1, 0.02), norm biases 0;
    linear layers and convolution biases keep the framework's."""
    for part in module.modules():
        if isinstance(part, (nn.Conv, nn.ConvTranspose)):
            part.weight = jt.init.gauss(part.weight.shape, "float32", 0.0, INITIAL_DEVIATION)
        elif isinstance(part, (nn.BatchNorm, nn.InstanceNorm, PictureNorm)):
            part.weight = jt.init.gauss(part.weight.shape, "float32", 1.0, INITIAL_DEVIATION)


def fold(network, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Take the BatchNorms out of ``network`` and their effect into the returned arrays, which fit what is left.

    A BatchNorm that uses running statistics is one multiplication and one addition a channel; so is the scale of the
    convolution before it.  Folding saves a pass over every feature map of the CE networks and changes results by
    rounding only.

    arrays: name -> float32 array of the whole network, as its checkpoint holds them; not changed.
    """
    out = dict(arrays)
    for index, block in network.conv.layers.items():
        if isinstance(block, Res):
            for conv, norm in ((1, 2), (5, 6)):
                _fold(out, f"conv.{index}.conv_block.{conv}", f"conv.{index}.conv_block.{norm}",
                      block.conv_block[norm].eps, 0)
                block.conv_block.layers[str(norm)] = nn.Identity()
        elif isinstance(block, Down):
            _fold(out, f"conv.{index}.conv", f"conv.{index}.bn", block.bn.eps, 0)
            block.bn = nn.Identity()
        elif isinstance(block, Up):
            _fold(out, f"conv.{index}.conv.0", f"conv.{index}.conv.1", block.conv[1].eps, 1)
            block.conv.layers["1"] = nn.Identity()
    return out


def _fold(arrays, conv: str, norm: str, eps: float, axis: int) -> None:
    """``axis`` is the weight's output channel axis: 0 for a convolution, 1 for a transposed one."""
    weight, bias, mean, variance = (arrays.pop(f"{norm}.{leaf}").astype(np.float64)
                                    for leaf in ("weight", "bias", "running_mean", "running_var"))
    scale = weight / np.sqrt(variance + eps)
    shape = [1] * 4
    shape[axis] = -1
    arrays[f"{conv}.weight"] = arrays[f"{conv}.weight"] * scale.reshape(shape).astype(np.float32)
    arrays[f"{conv}.bias"] = ((arrays[f"{conv}.bias"] - mean) * scale + bias).astype(np.float32)


class _Network(nn.Module):
    """Every sequence of the network as an attribute of its name, with fresh weights."""

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        for sequence in layout.network(kind, config, component):
            setattr(self, sequence.name, make(sequence.layers))
        initialise(self)


class Encoder(_Network):
    """Component embedding (CE): (N, 1, S, S) in [-1, 1] -> latents (N, latent).

    S is the component's window in pixels, halved at each block down to the latent grid.
    """

    def execute(self, x):
        x = self.conv(x)
        return self.fc_mu(x.reshape((x.shape[0], -1)))


class Decoder(_Network):
    """Latent to picture: a linear layer onto the latent grid, then doubling blocks and a 5x5 convolution.

    image decoder    (CE) (N, latent) -> (N, 1, S, S), about [-1, 1] but unbounded: the release has no tanh
    feature decoder  (FM) (N, latent) -> (N, feature_channels, S, S); normalises each picture by its own statistics,
                     in training and inference alike (release; see :class:`PictureNorm`)
    """

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        super().__init__(kind, config, component)
        first = layout.network(kind, config, component)[1]
        self.width, self.grid = layout.channels(first.layers), first.size

    def start(self, latent):
        """(N, latent) -> (N, width, grid, grid), what the convolutions begin with."""
        return self.fc(latent).reshape((latent.shape[0], self.width, self.grid, self.grid))

    def execute(self, latent):
        return self.conv(self.start(latent))


class Generator(_Network):
    """Image synthesis (IS): the merged feature map (N, feature_channels, H, W) becomes a photograph (N, 3, H, W) in
    [-1, 1], RGB.  pix2pixHD's global generator with affine InstanceNorm."""

    def execute(self, features):
        return self.model(features)


class MultiScaleDiscriminator(_Network):
    """What trains image synthesis (ours, pix2pixHD lineage; the release ships none).

    Input: the merged feature map and a picture side by side, (N, feature_channels + 3, H, W).
    Output: for each scale a list of feature maps, the last of them the (N, 1, h, w) map of patch scores; scale 0 reads
    the full size, every further one half of the one before.
    """

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        super().__init__(kind, config, component)
        self.config = config

    def execute(self, features, picture) -> List[List]:
        return layout.discriminate(self, jt.concat([features, picture], dim=1), self.config,
                                   lambda x: mean_of_neighbours(x, 2))


def mean_of_neighbours(x, stride: int):
    """Mean of 3x3, at the border of as many pixels as there are.  (N, C, H, W) -> (N, C, H / stride, W / stride)

    Jittor 1.3.11 takes ``count_include_pad=False`` and counts the padding all the same, which darkens the border.
    """
    def mean(y):
        return nn.pool(y, 3, "mean", stride=stride, padding=1)

    return mean(x) / mean(jt.ones((1, 1, x.shape[2], x.shape[3])))


NETWORKS = {"encoder": Encoder, "image_decoder": Decoder, "feature_decoder": Decoder, "generator": Generator,
            "discriminator": MultiScaleDiscriminator}
