"""Networks for inference, in the layout of Jittor's own layers: what comes between two convolutions (bias or
normalisation, ReLU, residual sum, reflected border) is one operator, and one for all components whose networks have the
same layers.

A convolution's bias has no effect in front of a normalisation of each picture by itself and is left out; one in front
of a BatchNorm, which uses running statistics, becomes part of what that adds.
"""
from __future__ import annotations

from typing import Any, Callable, List, Sequence

from ..backend import jt, nn
from ..kernels.picture_norm import finish
from .modules import Down, PictureNorm, Res, Up

#: layers that normalise each picture by its own statistics
NORMS = (nn.InstanceNorm, PictureNorm)


def steps(networks: Sequence[Sequence]) -> List[Callable]:
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
