"""Decoders and the generator for inference, in the layout of Jittor's own layers: what comes between two convolutions
(bias or normalisation, ReLU, residual sum, reflected border) is one operator.

A convolution's bias has no effect in front of a normalisation of each picture by itself and is left out.
"""
from __future__ import annotations

from typing import Callable, List

from ..backend import jt, nn
from ..kernels.picture_norm import finish
from .modules import PictureNorm, Res, Up

#: layers that normalise each picture by its own statistics
NORMS = (nn.InstanceNorm, PictureNorm)


def steps(layers) -> List[Callable]:
    """``layers`` of a decoder (an image decoder's are folded) or the generator as functions from picture to picture,
    one a layer; the layers themselves lose biases."""
    layers, out = list(layers), []
    for i, layer in enumerate(layers):
        before, behind = layers[:i], layers[i + 1:]
        relu = bool(behind) and isinstance(behind[0], nn.ReLU)
        if before and isinstance(before[-1], nn.ReLU):
            before = before[:-1]
        bordered = bool(before) and isinstance(before[-1], (Res, Up, *NORMS))   # these put it around their result
        if isinstance(layer, NORMS):
            out.append(_finished(layer, relu, _border(behind[relu:])))
        elif isinstance(layer, Res):
            out.append(_residual(layer, bordered, _border(behind)))
        elif isinstance(layer, Up):
            convolution, norm = layer.conv
            out.append(_then(convolution, _finished(norm, False, _border(behind), convolution)))
        elif bordered and isinstance(layer, (nn.ReLU, nn.ReflectionPad2d)):
            out.append(_as_it_is)
        else:
            if behind and isinstance(behind[0], NORMS):
                layer.bias = None
            out.append(layer)
    return out


def _border(layers) -> int:
    """The reflected border that the next layer puts around its picture first."""
    return 1 if isinstance(layers[0], Res) else layers[0].padding if isinstance(layers[0], nn.ReflectionPad2d) else 0


def _as_it_is(x):
    return x


def _finished(norm, relu: bool, mirror: int, convolution=None) -> Callable:
    """convolution: what comes before, whose bias is added here where nothing is normalised."""
    if convolution is not None and isinstance(norm, nn.Identity):
        weight, bias, eps = jt.ones(convolution.bias.shape).stop_grad(), convolution.bias, None
        weight.sync()
    else:
        weight, bias, eps = norm.weight, norm.bias, norm.eps
    if convolution is not None:
        convolution.bias = None
    return lambda x, residual=None, inset=0: finish(x, weight, bias, eps, relu, residual, inset, mirror)


def _then(first, second) -> Callable:
    return lambda x: second(first(x))


def _residual(block, bordered: bool, mirror: int) -> Callable:
    pad, first, norm, _, _, second, last_norm = block.conv_block
    norm, last_norm = _finished(norm, True, 1, first), _finished(last_norm, False, mirror, second)

    def run(x):
        inner = second(norm(first(x if bordered else pad(x))))
        return last_norm(inner, x, int(bordered))
    return run
