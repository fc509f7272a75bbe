"""Batch normalisation with fixed statistics, folded into the convolution before it.

A BatchNorm that uses running statistics is one multiplication and one addition a channel; so is the convolution's own
scale.  Folding saves a pass over every feature map of the CE networks and changes results by rounding only.
"""
from __future__ import annotations

from typing import Dict

import numpy as np

from ..backend import nn
from .layers import Down, Res, Up


def fold(network, arrays: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Take the BatchNorms out of ``network`` and their effect into the returned arrays, which fit what is left.

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
