"""The networks as Jittor modules.  Their layers are layout.py's; here is how a picture or a latent goes through
them."""
from __future__ import annotations

from typing import List

from .. import layout
from ..backend import jt, nn
from ..config import Config
from .layers import initialise, make


class _Network(nn.Module):
    """Every sequence of the network as an attribute of its name, with fresh weights."""

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        for sequence in layout.network(kind, config, component):
            setattr(self, sequence.name, make(sequence.layers))
        initialise(self)


class Encoder(_Network):
    """Component embedding (CE): (N, 1, S, S) in [-1, 1] -> latents (N, latent).

    S is the component's window in pixels, halved at each block down to the latent grid.
    """

    def execute(self, x):
        x = self.conv(x)
        return self.fc_mu(x.reshape((x.shape[0], -1)))


class Decoder(_Network):
    """Latent to picture: a linear layer onto the latent grid, then doubling blocks and a 5x5 convolution.

    image decoder    (CE) (N, latent) -> (N, 1, S, S), about [-1, 1] but unbounded: the release has no tanh
    feature decoder  (FM) (N, latent) -> (N, feature_channels, S, S); normalises each picture by its own statistics,
                     in training and inference alike (release; see :class:`layers.PictureNorm`)
    """

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        super().__init__(kind, config, component)
        first = layout.network(kind, config, component)[1]
        self.width, self.grid = layout.channels(first.layers), first.size

    def start(self, latent):
        """(N, latent) -> (N, width, grid, grid), what the convolutions begin with."""
        return self.fc(latent).reshape((latent.shape[0], self.width, self.grid, self.grid))

    def execute(self, latent):
        return self.conv(self.start(latent))


class Generator(_Network):
    """Image synthesis (IS): the merged feature map (N, feature_channels, H, W) becomes a photograph (N, 3, H, W) in
    [-1, 1], RGB.  pix2pixHD's global generator with affine InstanceNorm."""

    def execute(self, features):
        return self.model(features)


class MultiScaleDiscriminator(_Network):
    """What trains image synthesis (ours, pix2pixHD lineage; the release ships none).

    Input: the merged feature map and a picture side by side, (N, feature_channels + 3, H, W).
    Output: for each scale a list of feature maps, the last of them the (N, 1, h, w) map of patch scores; scale 0 reads
    the full size, every further one half of the one before.
    """

    def __init__(self, kind: str, config: Config, component: str = "rest"):
        super().__init__(kind, config, component)
        self.config = config

    def execute(self, features, picture) -> List[List]:
        return layout.discriminate(self, jt.concat([features, picture], dim=1), self.config,
                                   lambda x: mean_of_neighbours(x, 2))


def mean_of_neighbours(x, stride: int):
    """Mean of 3x3, at the border of as many pixels as there are.  (N, C, H, W) -> (N, C, H / stride, W / stride)

    Jittor 1.3.11 takes ``count_include_pad=False`` and counts the padding all the same, which darkens the border.
    """
    def mean(y):
        return nn.pool(y, 3, "mean", stride=stride, padding=1)

    return mean(x) / mean(jt.ones((1, 1, x.shape[2], x.shape[3])))


NETWORKS = {"encoder": Encoder, "image_decoder": Decoder, "feature_decoder": Decoder, "generator": Generator,
            "discriminator": MultiScaleDiscriminator}
