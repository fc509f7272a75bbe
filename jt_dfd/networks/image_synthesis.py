"""Image synthesis (IS): the merged feature map becomes a photograph.

(N, feature_channels, H, W) -> (N, 3, H, W) in [-1, 1], RGB.  pix2pixHD's global generator with affine InstanceNorm.
"""
from __future__ import annotations

from ..backend import nn
from ..config import Config
from .layers import Res, initialise, instance_norm


class Generator(nn.Module):
    def __init__(self, config: Config):
        width = config.generator_width
        layers = [nn.ReflectionPad2d(3), nn.Conv(config.feature_channels, width, 7), instance_norm(width), nn.ReLU()]
        for _ in range(config.generator_downs):
            layers += [nn.Conv(width, width * 2, 3, stride=2, padding=1), instance_norm(width * 2), nn.ReLU()]
            width *= 2
        layers += [Res(width, instance_norm) for _ in range(config.generator_blocks)]
        for _ in range(config.generator_downs):
            layers += [nn.ConvTranspose(width, width // 2, 3, stride=2, padding=1, output_padding=1),
                       instance_norm(width // 2), nn.ReLU()]
            width //= 2
        layers += [nn.ReflectionPad2d(3), nn.Conv(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        initialise(self)

    def execute(self, features):
        return self.model(features)
