"""The records of layout.py as Jittor modules, their initial weights, and BatchNorms folded away for inference."""
from __future__ import annotations

from typing import Dict

import numpy as np

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
#: the module of a record of layout.py
make = layout.maker(nn, nn.Conv, nn.ConvTranspose, _norm, lambda block: _BLOCKS[block.kind](block))


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
