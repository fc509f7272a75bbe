"""The release's networks in nothing but Jittor's own layers, as its program runs them.

A yardstick: it is to stay as slow as it is, whatever becomes of ``jt_dfd/networks``.  So nothing is shared with those
but parameter names; normalisations are not folded, feature decoders use BatchNorm in training mode (a batch of one:
the picture's own statistics), and the LeakyReLU of slope 1 behind every Down and Up is computed.
"""
from __future__ import annotations

from ..backend import nn
from ..config import Config


def _res(channels: int, norm):
    class Res(nn.Module):
        def __init__(self):
            self.conv_block = nn.Sequential(
                nn.ReflectionPad2d(1), nn.Conv(channels, channels, 3), norm(channels), nn.ReLU(),
                nn.ReflectionPad2d(1), nn.Conv(channels, channels, 3), norm(channels))

        def execute(self, x):
            return x + self.conv_block(x)
    return Res()


class Down(nn.Module):
    def __init__(self, into: int, out: int):
        self.conv = nn.Conv(into, out, 4, stride=2, padding=1)
        self.bn = nn.BatchNorm(out, momentum=0.9)
        self.slope = nn.LeakyReLU(1.0)

    def execute(self, x):
        return self.slope(self.bn(self.conv(x)))


class Up(nn.Module):
    def __init__(self, into: int, out: int):
        self.conv = nn.Sequential(nn.ConvTranspose(into, out, 4, stride=2, padding=1),
                                  nn.BatchNorm(out, momentum=0.9))
        self.slope = nn.LeakyReLU(1.0)

    def execute(self, x):
        return self.slope(self.conv(x))


class Encoder(nn.Module):
    def __init__(self, config: Config, component: str):
        layers, into = [], 1
        for width in config.encoder_widths:
            layers += [Down(into, width), _res(width, nn.BatchNorm)]
            into = width
        self.conv = nn.Sequential(*layers)
        self.fc_mu = nn.Sequential(nn.Linear(into * config.grid(component) ** 2, config.latent))

    def execute(self, x):
        x = self.conv(x)
        return self.fc_mu(x.reshape((x.shape[0], -1)))


class Decoder(nn.Module):
    def __init__(self, config: Config, component: str, widths, channels: int):
        self.width, self.grid = config.encoder_widths[-1], config.grid(component)
        self.fc = nn.Sequential(nn.Linear(config.latent, self.width * self.grid ** 2))
        layers, width = [_res(self.width, nn.BatchNorm)], self.width
        for up in widths:
            layers += [Up(width, up), _res(up, nn.BatchNorm)]
            width = up
        self.conv = nn.Sequential(*layers, nn.ReflectionPad2d(2), nn.Conv(width, channels, 5))

    def execute(self, latent):
        return self.conv(self.fc(latent).reshape((latent.shape[0], self.width, self.grid, self.grid)))


class Generator(nn.Module):
    def __init__(self, config: Config):
        width, norm = config.generator_width, nn.InstanceNorm2d
        layers = [nn.ReflectionPad2d(3), nn.Conv(config.feature_channels, width, 7), norm(width), nn.ReLU()]
        for _ in range(config.generator_downs):
            layers += [nn.Conv(width, width * 2, 3, stride=2, padding=1), norm(width * 2), nn.ReLU()]
            width *= 2
        layers += [_res(width, norm) for _ in range(config.generator_blocks)]
        for _ in range(config.generator_downs):
            layers += [nn.ConvTranspose(width, width // 2, 3, stride=2, padding=1, output_padding=1), norm(width // 2),
                       nn.ReLU()]
            width //= 2
        layers += [nn.ReflectionPad2d(3), nn.Conv(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def execute(self, features):
        return self.model(features)


def build(kind: str, config: Config, component: str = "rest"):
    """As the release's program has it when it computes a face."""
    if kind == "encoder":
        network = Encoder(config, component)
    elif kind == "generator":
        network = Generator(config)
    else:
        image = kind == "image_decoder"
        network = Decoder(config, component, config.image_widths if image else config.feature_widths,
                          1 if image else config.feature_channels)
    # its feature decoders lie in a dict, which Jittor's eval() does not enter
    (network.train if kind == "feature_decoder" else network.eval)()
    return network
