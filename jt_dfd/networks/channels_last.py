"""Inference with channels innermost, for the CPU.

A convolution of oneDNN wants its picture as (N, H, W, C) and Jittor keeps (N, C, H, W), so each call turns the picture
there and back; with planes of 512 x 512 that costs more than the arithmetic (the channels of a pixel lie a power of two
apart and fall into the same lines of the processor's caches).  Here a picture is turned once at either end of a run of
layers, and the kernels for this layout do most of the arithmetic: 3x3 convolutions by Winograd's method, those that
double a picture, and those to a few channels.  Results differ from the layers' own by about 1e-5.  Measured in
tools/benchmark.py.
"""
from __future__ import annotations

from typing import Callable, List

from ..backend import jt, nn
from ..kernels import doubling, winograd
from ..kernels.narrow_convolution import MAX_CHANNELS, narrow_convolution
from ..kernels.picture_norm_last import picture_norm_last
from .fused import NORMS
from .modules import Res, Tanh, Up


def steps(layers) -> List[Callable]:
    """``layers`` (an ``nn.Sequential`` in evaluation mode) as functions of (N, H, W, C) float32 pictures, one a layer.
    TypeError where a layer has no such form here.

    The layers themselves can no longer be used: weights are brought into the order that suits their kernel, and a
    second copy would not fit beside full-size networks.
    """
    layers = list(layers)
    out = []
    for before, layer, after in zip([None] + layers[:-1], layers, layers[1:] + [None]):
        if isinstance(layer, nn.ReflectionPad2d) and _is_narrow(after):
            out.append(_taken_along)
        elif before is not None and isinstance(before, nn.ReflectionPad2d) and _is_narrow(layer):
            out.append(_narrow(layer, before.padding))
        elif isinstance(layer, NORMS):
            out.append(_norm(layer, relu=isinstance(after, nn.ReLU)))
        elif isinstance(layer, nn.ReLU) and isinstance(before, NORMS):
            out.append(_taken_along)
        else:
            out.append(_step(layer))
    return out


def enter(x):
    """(N, C, H, W) -> (N, H, W, C)."""
    return x.transpose((0, 2, 3, 1))


def leave(x):
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.transpose((0, 3, 1, 2))


def _step(layer) -> Callable:
    if isinstance(layer, Res):
        return _residual(layer)
    if isinstance(layer, Up):
        block = steps(layer.conv)
        return lambda x: _run(block, x)
    if isinstance(layer, nn.ReflectionPad2d):
        return lambda x: _reflect(x, layer.padding)
    if isinstance(layer, nn.ConvTranspose):
        if doubling.fits(layer):
            layer.weight = _kept(doubling.pack(layer.weight))
            return lambda x: doubling.doubling(x, layer.weight, layer.bias)
        return lambda x: _transposed(x, layer)
    if _is_narrow(layer):
        return _narrow(layer)
    if isinstance(layer, nn.Conv):
        return lambda x: _convolution(x, layer)
    if isinstance(layer, nn.ReLU):
        return lambda x: jt.maximum(x, 0.0)
    if isinstance(layer, Tanh):
        return jt.tanh
    if isinstance(layer, nn.Identity):
        return lambda x: x
    raise TypeError(f"{type(layer).__name__} has no channels-last form")


def _is_narrow(layer) -> bool:
    return (isinstance(layer, nn.Conv) and layer.weight.shape[0] <= MAX_CHANNELS and layer.bias is not None
            and (*layer.stride, *layer.padding, *layer.dilation, layer.groups) == (1, 1, 0, 0, 1, 1, 1))


def _narrow(layer, mirror: int = 0) -> Callable:
    return lambda x: narrow_convolution(x, layer.weight, layer.bias, mirror)


def _taken_along(x):
    """What the kernel of the layer before or after it does by itself."""
    return x


def _residual(layer) -> Callable:
    _, first, norm, _, _, second, last_norm = layer.conv_block
    if not (winograd.fits(first.weight) and winograd.fits(second.weight)):
        block = steps(layer.conv_block)
        return lambda x: x + _run(block, x)
    for conv in (first, second):
        conv.weight = _kept(winograd.pack(conv.weight))
    if isinstance(norm, nn.Identity) and isinstance(last_norm, nn.Identity):
        return lambda x: winograd.winograd(
            winograd.winograd(x, first.weight, first.bias, mirror=True, relu=True),
            second.weight, second.bias, mirror=True, residual=x)
    if not all(isinstance(n, NORMS) for n in (norm, last_norm)):
        raise TypeError(f"a residual block with {type(norm).__name__} has no channels-last form")

    norm, last_norm = _norm(norm, relu=True), _norm(last_norm)

    def run(x):
        inner = norm(winograd.winograd(x, first.weight, first.bias, mirror=True))
        return last_norm(winograd.winograd(inner, second.weight, second.bias, mirror=True), x)
    return run


def _norm(layer, relu: bool = False) -> Callable:
    return lambda x, residual=None: picture_norm_last(x, layer.weight, layer.bias, layer.eps, relu, residual)


def _kept(weight):
    """Computed now, so that what it was made of can go."""
    weight = weight.stop_grad()
    weight.sync()
    return weight


def _run(block, x):
    for step in block:
        x = step(x)
    return x


def _reflect(x, by):
    n, height, width, channels = x.shape

    def source(index, size):
        return f"{index}<{by} ? {by}-{index} : {index}>={size + by} ? {2 * size + by - 2}-{index} : {index}-{by}"

    return x.reindex([n, height + 2 * by, width + 2 * by, channels],
                     ["i0", source("i1", height), source("i2", width), "i3"])


def _convolution(x, layer):
    """Written so that Jittor recognises it and hands it to oneDNN in this layout."""
    n, height, width, _ = x.shape
    out, into, high, wide = layer.weight.shape
    (sy, sx), (py, px) = layer.stride, layer.padding
    shape = [n, (height + 2 * py - high) // sy + 1, (width + 2 * px - wide) // sx + 1, out, into, high, wide]
    windows = x.reindex(shape, ["i0", f"i1*{sy}-{py}+i5", f"i2*{sx}-{px}+i6", "i4"])
    return _biased((windows * layer.weight.broadcast(shape, [0, 1, 2])).sum([4, 5, 6]), layer)


def _transposed(x, layer):
    n, height, width, _ = x.shape
    into, out, high, wide = layer.weight.shape
    (sy, sx), (py, px), (ey, ex) = layer.stride, layer.padding, layer.output_padding
    shape = [n, height, width, into, out, high, wide]
    products = x.broadcast(shape, [4, 5, 6]) * layer.weight.broadcast(shape, [0, 1, 2])
    size = [n, (height - 1) * sy - 2 * py + high + ey, (width - 1) * sx - 2 * px + wide + ex, out]
    return _biased(products.reindex_reduce("add", size, ["i0", f"i1*{sy}-{py}+i5", f"i2*{sx}-{px}+i6", "i4"]), layer)


def _biased(x, layer):
    return x if layer.bias is None else x + layer.bias.reshape((1, 1, 1, -1))

