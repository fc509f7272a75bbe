"""Component embedding (CE): one autoencoder for each component's sketch.

encoder        (N, 1, S, S) in [-1, 1] -> latents (N, latent)
image decoder  (N, latent) -> (N, 1, S, S), about [-1, 1] but unbounded: the release has no tanh

S is the component's window in pixels.  Both normalise with running statistics at inference.
"""
from __future__ import annotations

from ..backend import nn
from ..config import Config
from .layers import RES_MOMENTUM, SAMPLING_MOMENTUM, Down, Res, Up, batch_norm, initialise


class Encoder(nn.Module):
    """Halves the window at each stage until the latent grid is reached, then one linear layer."""

    def __init__(self, config: Config, component: str):
        layers, into = [], 1
        for width in config.encoder_widths:
            layers += [Down(into, width), Res(width)]
            into = width
        self.conv = nn.Sequential(*layers)
        self.fc_mu = nn.Sequential(nn.Linear(into * config.grid(component) ** 2, config.latent))
        initialise(self)

    def execute(self, x):
        x = self.conv(x)
        return self.fc_mu(x.reshape((x.shape[0], -1)))


class Decoder(nn.Module):
    """Latent to picture: a linear layer onto the latent grid, then doubling stages and a 5x5 convolution.

    The release's image decoder and feature decoder are this with different widths and normalisation.
    """

    def __init__(self, config: Config, component: str, widths, channels: int, norm):
        self.width, self.grid = config.encoder_widths[-1], config.grid(component)
        self.fc = nn.Sequential(nn.Linear(config.latent, self.width * self.grid ** 2))
        layers, width = [Res(self.width, norm(RES_MOMENTUM))], self.width
        for up in widths:
            layers += [Up(width, up, norm(SAMPLING_MOMENTUM)), Res(up, norm(RES_MOMENTUM))]
            width = up
        self.conv = nn.Sequential(*layers, nn.ReflectionPad2d(2), nn.Conv(width, channels, 5))
        initialise(self)

    def start(self, latent):
        """(N, latent) -> (N, width, grid, grid), what the convolutions begin with."""
        return self.fc(latent).reshape((latent.shape[0], self.width, self.grid, self.grid))

    def execute(self, latent):
        return self.conv(self.start(latent))


class ImageDecoder(Decoder):
    """Latent to the component's sketch."""

    def __init__(self, config: Config, component: str):
        super().__init__(config, component, config.image_widths, 1, batch_norm)
