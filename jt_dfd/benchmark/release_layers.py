"""The release's networks in nothing but Jittor's own layers, as its program runs them.

A yardstick: it is to stay as slow as it is, whatever becomes of ``jt_dfd/networks``.  So nothing is shared with those
but the table of layers; normalisations are not folded, feature decoders use BatchNorm in training mode (a batch of one:
the picture's own statistics), and the LeakyReLU of slope 1 after every Down and Up is computed.
"""
from __future__ import annotations

from typing import Any

from .. import layout
from ..backend import nn
from ..config import Config


class _Block(nn.Module):
    """Its parts one after the other; kind "res": plus the input, else the release's LeakyReLU of slope 1."""

    def __init__(self, block: layout.Block):
        self.order, self.residual = [name for name, _ in block.parts], block.kind == "res"
        for name, part in block.parts:
            setattr(self, name, _make(part))
        self.slope: Any = None if self.residual else nn.LeakyReLU(1.0)

    def execute(self, x):
        y = x
        for name in self.order:
            y = getattr(self, name)(y)
        return x + y if self.residual else self.slope(y)


def _norm(record: layout.Norm):
    if record.kind == "instance":
        return nn.InstanceNorm2d(record.channels)
    return nn.BatchNorm(record.channels, momentum=record.momentum)


_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
_MAKERS = {
    tuple: lambda layers: nn.Sequential(*[_make(layer) for layer in layers]),
    layout.Block: _Block,
    layout.Linear: lambda r: nn.Linear(r.into, r.out),
    layout.Conv: lambda c: nn.Conv(c.into, c.out, c.kernel, stride=c.stride, padding=c.padding),
    layout.ConvTranspose: lambda c: nn.ConvTranspose(c.into, c.out, c.kernel, stride=c.stride, padding=c.padding,
                                                     output_padding=c.output_padding),
    layout.Norm: _norm,
    layout.Reflect: lambda r: nn.ReflectionPad2d(r.padding),
    layout.Activation: lambda a: _ACTIVATIONS[a.name](),
}


def _make(layer):
    return _MAKERS[type(layer)](layer)


class _Network(nn.Module):
    """A network's sequences in order.  Decoders reshape the first one's latent onto their grid, encoders flatten the
    last one's map."""

    def __init__(self, sequences: layout.Network):
        self.order = [(s.name, s.size, layout.channels(s.layers)) for s in sequences]
        for sequence in sequences:
            setattr(self, sequence.name, _make(sequence.layers))

    def execute(self, x):
        for name, size, channels in self.order:
            if size and x.ndim == 2:
                x = x.reshape((x.shape[0], channels, size, size))
            elif not size and x.ndim == 4:
                x = x.reshape((x.shape[0], -1))
            x = getattr(self, name)(x)
        return x


def build(kind: str, config: Config, component: str = "rest"):
    """As the release's program has it when it computes a face.  kind: one of layout.KINDS."""
    network = _Network(layout.network(kind, config, component))
    # its feature decoders lie in a dict, which Jittor's eval() does not enter
    (network.train if kind == "feature_decoder" else network.eval)()
    return network
