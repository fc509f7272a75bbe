"""The networks as PyTorch modules, with the names and shapes of the release's checkpoints.

Needs PyTorch (2.0 or newer) and never imports Jittor.  A state dictionary alone does not say how these networks
compute; what it leaves out stands here: feature decoders normalise every picture by its own statistics, whatever
``eval()`` says; the generator's InstanceNorm is affine and keeps no running statistics; the LeakyReLU behind every
Down and Up has slope 1 and so is left out.
"""
from __future__ import annotations

import warnings
from typing import Callable, Dict, List

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import Config
from ..networks.specification import specification

#: BatchNorm momentum inside Down and Up, and inside Res (release)
SAMPLING_MOMENTUM = 0.9
RES_MOMENTUM = 0.1
#: standard deviation of initial convolution weights and of norm weights around one (release)
INITIAL_DEVIATION = 0.02


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


Norm = Callable[[int], nn.Module]


def batch_norm(momentum: float) -> Norm:
    return lambda channels: nn.BatchNorm2d(channels, momentum=momentum)


def instance_norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


class Res(nn.Module):
    """Two reflect-padded, normalised 3x3 convolutions plus the input.  (N, C, H, W) -> the same."""

    def __init__(self, channels: int, norm: Norm):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Down(nn.Module):
    """(N, C, H, W) -> (N, out, H/2, W/2)"""

    def __init__(self, into: int, out: int):
        super().__init__()
        self.conv = nn.Conv2d(into, out, 4, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(out, momentum=SAMPLING_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Up(nn.Module):
    """(N, C, H, W) -> (N, out, 2H, 2W)"""

    def __init__(self, into: int, out: int, norm: Norm):
        super().__init__()
        self.conv = nn.Sequential(nn.ConvTranspose2d(into, out, 4, stride=2, padding=1), norm(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Encoder(nn.Module):
    """CE encoder.  (N, 1, S, S) in [-1, 1] -> latents (N, latent); S is the component's window in pixels."""

    def __init__(self, config: Config, component: str):
        super().__init__()
        layers, into = [], 1
        for width in config.encoder_widths:
            layers += [Down(into, width), Res(width, batch_norm(RES_MOMENTUM))]
            into = width
        self.conv = nn.Sequential(*layers)
        self.fc_mu = nn.Sequential(nn.Linear(into * config.grid(component) ** 2, config.latent))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc_mu(self.conv(x).flatten(1))


class Decoder(nn.Module):
    """Latents (N, latent) -> (N, channels, S, S)."""

    def __init__(self, config: Config, component: str, widths, channels: int, norm: Callable[[float], Norm]):
        super().__init__()
        self.width, self.grid = config.encoder_widths[-1], config.grid(component)
        self.fc = nn.Sequential(nn.Linear(config.latent, self.width * self.grid ** 2))
        layers, width = [Res(self.width, norm(RES_MOMENTUM))], self.width
        for up in widths:
            layers += [Up(width, up, norm(SAMPLING_MOMENTUM)), Res(up, norm(RES_MOMENTUM))]
            width = up
        self.conv = nn.Sequential(*layers, nn.ReflectionPad2d(2), nn.Conv2d(width, channels, 5))

    def forward(self, latent: Tensor) -> Tensor:
        return self.conv(self.fc(latent).reshape(latent.shape[0], self.width, self.grid, self.grid))


class ImageDecoder(Decoder):
    """CE image decoder: latents -> the component's sketch (N, 1, S, S), about [-1, 1]."""

    def __init__(self, config: Config, component: str):
        super().__init__(config, component, config.image_widths, 1, batch_norm)


class FeatureDecoder(Decoder):
    """FM feature decoder: latents -> (N, feature_channels, S, S)."""

    def __init__(self, config: Config, component: str):
        super().__init__(config, component, config.feature_widths, config.feature_channels,
                         lambda momentum: PictureNorm)


class Generator(nn.Module):
    """IS generator: merged feature map (N, feature_channels, H, W) -> picture (N, 3, H, W) in [-1, 1], RGB."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.generator_width
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(config.feature_channels, width, 7), instance_norm(width), nn.ReLU()]
        for _ in range(config.generator_downs):
            layers += [nn.Conv2d(width, width * 2, 3, stride=2, padding=1), instance_norm(width * 2), nn.ReLU()]
            width *= 2
        layers += [Res(width, instance_norm) for _ in range(config.generator_blocks)]
        for _ in range(config.generator_downs):
            layers += [nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1),
                       instance_norm(width // 2), nn.ReLU()]
            width //= 2
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return self.model(features)


class MultiScaleDiscriminator(nn.Module):
    """Patch scores of a picture given its feature map (ours, pix2pixHD lineage).

    features (N, feature_channels, H, W), picture (N, 3, H, W) -> for every scale, full size first, the feature maps
    of all layers; the last of them is the (N, 1, h, w) map of scores.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.scales, self.layers = config.discriminator_scales, config.discriminator_layers
        for scale in range(self.scales):
            into, width = config.feature_channels + 3, config.discriminator_width
            for layer in range(self.layers + 1):
                stride = 2 if layer < self.layers else 1
                parts = [nn.Conv2d(into, width, 4, stride=stride, padding=2)]
                if layer:
                    parts.append(instance_norm(width))
                parts.append(nn.LeakyReLU(0.2))
                self.add_module(f"scale{scale}_layer{layer}", nn.Sequential(*parts))
                into, width = width, min(width * 2, 512)
            self.add_module(f"scale{scale}_layer{self.layers + 1}",
                            nn.Sequential(nn.Conv2d(into, 1, 4, stride=1, padding=2)))
        self.halve = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, features: Tensor, picture: Tensor) -> List[List[Tensor]]:
        x = torch.cat([features, picture], 1)
        out = []
        for scale in range(self.scales):
            maps, y = [], x
            for layer in range(self.layers + 2):
                y = getattr(self, f"scale{scale}_layer{layer}")(y)
                maps.append(y)
            out.append(maps)
            if scale + 1 < self.scales:
                x = self.halve(x)
        return out


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
