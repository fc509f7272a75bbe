"""A network's layers as steps for inference, in one of two layouts.

``fused``, that of Jittor's own layers: what comes between two convolutions (bias or normalisation, ReLU, residual sum,
reflected border) is one operator, and one for all components whose networks have the same layers.  A convolution's bias
has no effect in front of a normalisation of each picture by itself and is left out; one in front of a BatchNorm, which
uses running statistics, becomes part of what that adds.

``channels_last``, channels innermost, for the CPU: a convolution of oneDNN wants its picture as (N, H, W, C) and Jittor
keeps (N, C, H, W), so each call turns the picture there and back; with planes of 512 x 512 that costs more than the
arithmetic (the channels of a pixel lie a power of two apart and fall into the same lines of the processor's caches).
Here a picture is turned once at either end of a run of layers, and the kernels for this layout do most of the
arithmetic: 3x3 convolutions by Winograd's method, those that double a picture, and those to a few channels.  Results
differ from the layers' own by about 1e-5.  Measured in tools/benchmark.py.
"""
from __future__ import annotations

from typing import Any, Callable, List, Sequence

from ..backend import jt, nn
from ..kernels import doubling, winograd
from ..kernels.narrow_convolution import MAX_CHANNELS, narrow_convolution
from ..kernels.picture_norm import finish
from ..kernels.picture_norm_last import picture_norm_last
from .modules import Down, PictureNorm, Res, Tanh, Up

#: layers that normalise each picture by its own statistics
NORMS = (nn.InstanceNorm, PictureNorm)


def fused(networks: Sequence[Sequence]) -> List[Callable]:
    """The layers of several encoders, decoders (an image decoder's are folded) or of the generator, of the same kinds
    in the same order, as functions from pictures to pictures, lists of one for each network, one function a layer.
    Where a picture is None nothing is computed and the result is None.  The layers themselves lose biases.
    """
    layers, out = list(zip(*networks)), []     # each a tuple of one network's layer, the next one's, ...
    for i, layer in enumerate(layers):
        before, behind = [row[0] for row in layers[:i]], [row[0] for row in layers[i + 1:]]
        relu = bool(behind) and isinstance(behind[0], nn.ReLU)
        if before and isinstance(before[-1], nn.ReLU):
            before = before[:-1]
        # these put the border around their result
        bordered = bool(before) and isinstance(before[-1], (Down, Res, Up, *NORMS))
        if isinstance(layer[0], NORMS):
            out.append(_finished(layer, relu, _border(behind[relu:])))
        elif isinstance(layer[0], Res):
            out.append(_residual(layer, bordered, _border(behind)))
        elif isinstance(layer[0], (Down, Up)):
            convolutions, norms = zip(*((part.conv, part.bn) if isinstance(part, Down) else part.conv
                                        for part in layer))
            out.append(_then(_each(convolutions), _finished(norms, False, _border(behind), convolutions)))
        elif bordered and isinstance(layer[0], (nn.ReLU, nn.ReflectionPad2d)):
            out.append(_as_it_is)
        elif not behind and isinstance(layer[0], nn.Conv):
            out.append(_then(_each(layer), _finished([nn.Identity()] * len(layer), False, 0, layer)))
        else:
            for part in layer if behind and isinstance(behind[0], NORMS) else ():
                part.bias = None
            out.append(_each(layer))
    return out


def _border(layers) -> int:
    """The reflected border that the next layer puts around its picture first."""
    return (0 if not layers else 1 if isinstance(layers[0], Res)
            else layers[0].padding if isinstance(layers[0], nn.ReflectionPad2d) else 0)


def _as_it_is(pictures):
    return pictures


def _each(layers) -> Callable:
    return lambda pictures: [x if x is None else layer(x) for layer, x in zip(layers, pictures)]


def _finished(norms, relu: bool, mirror: int, convolutions=None) -> Callable:
    """convolutions: what comes before, whose biases are added here."""
    weights, biases, eps = [], [], None
    nothing: Any = None
    for norm, convolution in zip(norms, convolutions or (nothing,) * len(norms)):
        if isinstance(norm, NORMS):
            weight, bias, eps = norm.weight, norm.bias, norm.eps
        elif isinstance(norm, nn.Identity):
            weight, bias = jt.ones(convolution.bias.shape), convolution.bias
        else:   # BatchNorm with running statistics
            weight = norm.weight / jt.sqrt(norm.running_var + norm.eps)
            bias = (convolution.bias - norm.running_mean) * weight + norm.bias
        if convolution is not None:
            convolution.bias = None
        weights.append(weight.stop_grad())
        biases.append(bias.stop_grad())
    jt.sync(weights + biases)
    return lambda pictures, residuals=None, inset=0: finish(pictures, weights, biases, eps, relu, residuals, inset,
                                                            mirror)


def _bordered(blocks) -> Callable:
    """A reflected border around what enters residual blocks, by the same operator as everywhere."""
    widths = [block.conv_block[1].weight.shape[1] for block in blocks]
    weights, biases = ([made(width).stop_grad() for width in widths] for made in (jt.ones, jt.zeros))
    jt.sync(weights + biases)
    return lambda pictures: finish(pictures, weights, biases, None, mirror=1)


def _then(first, second) -> Callable:
    return lambda pictures: second(first(pictures))


def _residual(blocks, bordered: bool, mirror: int) -> Callable:
    _, first, norm, _, _, second, last_norm = zip(*(block.conv_block for block in blocks))
    border = _as_it_is if bordered else _bordered(blocks)
    first, norm = _each(first), _finished(norm, True, 1, first)
    second, last_norm = _each(second), _finished(last_norm, False, mirror, second)

    def run(pictures):
        pictures = border(pictures)
        return last_norm(second(norm(first(pictures))), pictures, 1)
    return run


def channels_last(layers) -> List[Callable]:
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
        return _residual_last(layer)
    if isinstance(layer, Up):
        block = channels_last(layer.conv)
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
        return lambda x: _convolution_last(x, layer)
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


def _residual_last(layer) -> Callable:
    _, first, norm, _, _, second, last_norm = layer.conv_block
    if not (winograd.fits(first.weight) and winograd.fits(second.weight)):
        block = channels_last(layer.conv_block)
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


def _convolution_last(x, layer):
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
