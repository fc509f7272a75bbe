"""The multi-scale discriminator that trains image synthesis (ours, pix2pixHD lineage; the release ships none).

Input: the merged feature map and a picture side by side, (N, feature_channels + 3, H, W).
Output: for each scale a list of feature maps, the last of them the (N, 1, h, w) map of patch scores; scale 0 reads
the full size, every further one half of the one before.
"""
from __future__ import annotations

from typing import List

from ..backend import jt, nn
from ..config import Config
from .layers import initialise, instance_norm


class MultiScaleDiscriminator(nn.Module):
    def __init__(self, config: Config):
        self.scales, self.layers = config.discriminator_scales, config.discriminator_layers
        for scale in range(self.scales):
            into, width = config.feature_channels + 3, config.discriminator_width
            for layer in range(self.layers + 1):
                # the last normalised layer keeps the resolution, as in PatchGAN
                stride = 2 if layer < self.layers else 1
                parts = [nn.Conv(into, width, 4, stride=stride, padding=2)]
                if layer:
                    parts.append(instance_norm(width))
                parts.append(nn.LeakyReLU(0.2))
                setattr(self, f"scale{scale}_layer{layer}", nn.Sequential(*parts))
                into, width = width, min(width * 2, 512)
            setattr(self, f"scale{scale}_layer{self.layers + 1}",
                    nn.Sequential(nn.Conv(into, 1, 4, stride=1, padding=2)))
        initialise(self)

    def execute(self, features, picture) -> List[List]:
        x = jt.concat([features, picture], dim=1)
        out = []
        for scale in range(self.scales):
            maps, y = [], x
            for layer in range(self.layers + 2):
                y = getattr(self, f"scale{scale}_layer{layer}")(y)
                maps.append(y)
            out.append(maps)
            if scale + 1 < self.scales:
                x = halve(x)
        return out


def halve(x):
    """Mean of 3x3 with stride 2, at the border of as many pixels as there are.  (N, C, H, W) -> (N, C, H/2, W/2)

    Jittor 1.3.11 takes ``count_include_pad=False`` and counts the padding all the same, which darkens the border.
    """
    def mean(y):
        return nn.pool(y, 3, "mean", stride=2, padding=1)

    return mean(x) / mean(jt.ones((1, 1, x.shape[2], x.shape[3])))
