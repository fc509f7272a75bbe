"""The networks as PyTorch modules, out of the table in layout.py.

Needs PyTorch (2.0 or newer) and never imports Jittor.
"""
from __future__ import annotations

import warnings
from typing import Dict, List

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import layout
from ..config import Config
from ..layout import INITIAL_DEVIATION, specification


class PictureNorm(nn.Module):
    """Normalises each picture with its own mean and biased variance, in training and inference alike.

    That is what the release's feature decoders do.  Their running statistics are part of the checkpoint, so they are
    kept as buffers here, but nothing reads or updates them.  (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)

    def _load_from_state_dict(self, state_dict, prefix, *arguments):
        # a BatchNorm of the same name counts its batches; the count says nothing here
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _norm(record: layout.Norm) -> nn.Module:
    if record.kind == "picture":
        return PictureNorm(record.channels)
    if record.kind == "instance":
        return nn.InstanceNorm2d(record.channels, affine=True)
    return nn.BatchNorm2d(record.channels, momentum=record.momentum)


class _Block(nn.Module):
    def __init__(self, block: layout.Block):
        super().__init__()
        for name, part in block.parts:
            self.add_module(name, make(part))


class Res(_Block):
    """Two reflect-padded, normalised 3x3 convolutions plus the input.  (N, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Down(_Block):
    """(N, C, H, W) -> (N, out, H/2, W/2)"""

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Up(_Block):
    """(N, C, H, W) -> (N, out, 2H, 2W)"""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


_BLOCKS = {"res": Res, "down": Down, "up": Up}
#: the module of a record of layout.py
make = layout.maker(nn, nn.Conv2d, nn.ConvTranspose2d, _norm, lambda block: _BLOCKS[block.kind](block))


class _Network(nn.Module):
    """Every sequence of the network as a module of its name."""

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        super().__init__()
        for sequence in layout.network(kind, config, component):
            self.add_module(sequence.name, make(sequence.layers))


class Encoder(_Network):
    """CE encoder.  (N, 1, S, S) in [-1, 1] -> latents (N, latent); S is the component's window in pixels."""

    def __init__(self, config: Config, component: str):
        super().__init__("encoder", config, component)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc_mu(self.conv(x).flatten(1))


class Decoder(_Network):
    """Latents (N, latent) -> (N, channels, S, S)."""

    def __init__(self, kind: str, config: Config, component: str):
        super().__init__(kind, config, component)
        first = layout.network(kind, config, component)[1]
        self.width, self.grid = layout.channels(first.layers), first.size

    def forward(self, latent: Tensor) -> Tensor:
        return self.conv(self.fc(latent).reshape(latent.shape[0], self.width, self.grid, self.grid))


class ImageDecoder(Decoder):
    """CE image decoder: latents -> the component's sketch (N, 1, S, S), about [-1, 1]."""

    def __init__(self, config: Config, component: str):
        super().__init__("image_decoder", config, component)


class FeatureDecoder(Decoder):
    """FM feature decoder: latents -> (N, feature_channels, S, S)."""

    def __init__(self, config: Config, component: str):
        super().__init__("feature_decoder", config, component)


class Generator(_Network):
    """IS generator: merged feature map (N, feature_channels, H, W) -> picture (N, 3, H, W) in [-1, 1], RGB."""

    def __init__(self, config: Config):
        super().__init__("generator", config)

    def forward(self, features: Tensor) -> Tensor:
        return self.model(features)


class MultiScaleDiscriminator(_Network):
    """Patch scores of a picture given its feature map (ours, pix2pixHD lineage).

    features (N, feature_channels, H, W), picture (N, 3, H, W) -> for every scale, full size first, the feature maps
    of all layers; the last of them is the (N, 1, h, w) map of scores.
    """

    def __init__(self, config: Config):
        super().__init__("discriminator", config)
        self.config = config
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, features: Tensor, picture: Tensor) -> List[List[Tensor]]:
        return layout.discriminate(self, torch.cat([features, picture], 1), self.config, self.halve)


def initialise(network: nn.Module) -> nn.Module:
    """Initial weights as in the release: convolutions N(0, 0.02), norm weights N(1, 0.02), norm biases 0; linear
    layers and convolution biases keep PyTorch's."""
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(part.weight, 0.0, INITIAL_DEVIATION)
        elif isinstance(part, (nn.BatchNorm2d, nn.InstanceNorm2d, PictureNorm)):
            nn.init.normal_(part.weight, 1.0, INITIAL_DEVIATION)
            nn.init.zeros_(part.bias)
    return network


def _blank(kind: str, config: Config, component: str) -> nn.Module:
    specification(kind, config, component)  # ValueError for an unknown kind or component
    if kind == "generator":
        return Generator(config)
    if kind == "discriminator":
        return MultiScaleDiscriminator(config)
    return {"encoder": Encoder, "image_decoder": ImageDecoder, "feature_decoder": FeatureDecoder}[kind](
        config, component)


def build(kind: str, config: Config, component: str = "rest") -> nn.Module:
    """A network with fresh initial weights, in training mode.

    kind: "encoder", "image_decoder", "feature_decoder" (one a component), "generator", "discriminator".
    """
    return initialise(_blank(kind, config, component))


def build_with(kind: str, config: Config, component: str, arrays: Dict[str, np.ndarray],
               share: bool = False) -> nn.Module:
    """The network in ``eval()`` with the given weights: name -> array, all of the network's names and no other.

    Writable float32 arrays are used where they lie, others are copied first, so that the weights can be trained on.
    share: use read-only arrays where they lie, too; the network must then not be trained.  No initial weights are
    drawn, so there is no second copy of the network at any time.
    """
    with torch.device("meta"):
        network = _blank(kind, config, component)
    for name, shape in specification(kind, config, component).items():
        tensor = as_tensor(arrays[name], share)
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"parameter {name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")
        owner, _, leaf = name.rpartition(".")
        part = network.get_submodule(owner)
        if leaf in part._parameters:
            part._parameters[leaf] = nn.Parameter(tensor)
        else:
            part._buffers[leaf] = tensor
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):  # PyTorch's own count, which checkpoints of this family do not hold
            part._buffers["num_batches_tracked"] = torch.tensor(0, dtype=torch.long)
    return network.eval()


def as_tensor(array: np.ndarray, share: bool = False) -> Tensor:
    """A float32 tensor over the array's memory where it is writable float32 (or ``share`` allows any), else a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.require(array, np.float32, ["C"] if share else ["C", "W"]))
