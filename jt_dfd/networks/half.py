"""Half precision: convolutions in float16, everything else in float32.

A convolution's two operands and its result are float16, its sums float32; biases, normalisations and their statistics,
activations and residual sums stay float32.  Parameters keep their names and shapes, and in training they stay float32
too (their float16 form is made at each use), so that checkpoints are the same with and without.

On a GPU these are cuDNN's float16 convolutions on tensor cores.  Jittor 1.3.11 has no fast one for a CPU: its oneDNN
operator only knows float32, and what it generates instead is plain loops (a 3x3 convolution of 64 channels at 128
pixels: 16 s instead of 0.04 s, measured on one core).  There the operands and the result are rounded to float16 around
a float32 convolution: the same numbers but for the order of the sums, at no gain in speed.  It is what the tests run.
"""
from __future__ import annotations

from ..backend import jt, nn

#: bits that Jittor's own convolutions set so that a float16 reduction stays one (and is recognised as a convolution)
_KEEP_TYPE = 36


def _rounded(x):
    return x if x.dtype == "float16" else x.float16()


class _HalfConv(nn.Conv):
    def execute(self, x):
        def convolve(x, weight):
            return nn.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)
        return _convolution(convolve, x, self.weight, self.bias)


class _HalfConvTranspose(nn.ConvTranspose):
    def execute(self, x):
        def convolve(x, weight):
            return nn.conv_transpose(x, weight, None, self.stride, self.padding, self.output_padding, self.groups,
                                     self.dilation)
        return _convolution(convolve, x, self.weight, self.bias)


def _convolution(convolve, x, weight, bias):
    x, weight = _rounded(x), _rounded(weight)
    if jt.flags.use_cuda:
        with jt.flag_scope(amp_reg=jt.flags.amp_reg | _KEEP_TYPE):
            y = convolve(x, weight).float32()
    else:
        y = convolve(x.float32(), weight.float32()).float16().float32()
    return y if bias is None else y + bias.broadcast(y.shape, [0, 2, 3])


_HALF = {nn.Conv: _HalfConv, nn.ConvTranspose: _HalfConvTranspose}


def use(network, keep_weights: bool = True):
    """Let all convolutions of ``network`` compute in float16; returns it.

    keep_weights  False stores their weights as float16 too, for inference: half the memory, nothing to convert at each
                  use.  Such a network cannot be trained or saved.
    """
    for module in network.modules():
        if type(module) in _HALF:
            # the class alone changes: names, shapes and what isinstance says stay
            module.__class__ = _HALF[type(module)]
            if not keep_weights:
                module.weight = module.weight.float16().stop_grad()
    if not keep_weights:
        jt.sync_all()
    return network


def used(network) -> bool:
    """Whether ``use`` was called on it."""
    return any(type(m) in _HALF.values() for m in network.modules())
