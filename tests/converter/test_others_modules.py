"""A module written by others with the release's names loads what the converter writes, and computes the same."""
import pytest

from jt_dfd.components import GRID
from jt_dfd.config import preset

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")
from torch import nn  # noqa: E402

from jt_dfd.converter import torch_modules as modules  # noqa: E402
from jt_dfd.converter.convert import convert_file  # noqa: E402

pytestmark = pytest.mark.torch


class Block(nn.Module):
    def __init__(self, d, norm):
        super().__init__()
        self.conv_block = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(d, d, 3), norm(d), nn.ReLU(True),
                                        nn.ReflectionPad2d(1), nn.Conv2d(d, d, 3), norm(d))

    def forward(self, x):
        return self.conv_block(x) + x


class Shrink(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b, momentum=0.9)

    def forward(self, x):
        return nn.functional.leaky_relu(self.bn(self.conv(x)), 1.0)


class Grow(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv = nn.Sequential(nn.ConvTranspose2d(a, b, 4, 2, 1), nn.BatchNorm2d(b, momentum=0.9),
                                  nn.LeakyReLU(1.0))

    def forward(self, x):
        return self.conv(x)


class TheirEncoder(nn.Module):
    def __init__(self, widths, grid, latent):
        super().__init__()
        layers, a = [], 1
        for b in widths:
            layers, a = layers + [Shrink(a, b), Block(b, nn.BatchNorm2d)], b
        self.conv = nn.Sequential(*layers)
        self.fc_mu = nn.Sequential(nn.Linear(a * grid * grid, latent))

    def forward(self, x):
        return self.fc_mu(self.conv(x).view(x.size(0), -1))


class TheirDecoder(nn.Module):
    def __init__(self, first, widths, out, grid, latent):
        super().__init__()
        self.shape = (-1, first, grid, grid)
        self.fc = nn.Sequential(nn.Linear(latent, first * grid * grid))
        layers, a = [Block(first, nn.BatchNorm2d)], first
        for b in widths:
            layers, a = layers + [Grow(a, b), Block(b, nn.BatchNorm2d)], b
        self.conv = nn.Sequential(*layers, nn.ReflectionPad2d(2), nn.Conv2d(a, out, 5))

    def forward(self, z):
        return self.conv(self.fc(z).view(*self.shape))


def their_generator(into, ngf, downs, blocks):
    def norm(d):
        return nn.InstanceNorm2d(d, affine=True)

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(into, ngf, 7), norm(ngf), nn.ReLU(True)]
    for i in range(downs):
        a = ngf * 2 ** i
        layers += [nn.Conv2d(a, 2 * a, 3, 2, 1), norm(2 * a), nn.ReLU(True)]
    layers += [Block(ngf * 2 ** downs, norm) for _ in range(blocks)]
    for i in range(downs, 0, -1):
        a = ngf * 2 ** i
        layers += [nn.ConvTranspose2d(a, a // 2, 3, 2, 1, output_padding=1), norm(a // 2), nn.ReLU(True)]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
    net = nn.Module()
    net.model = nn.Sequential(*layers)
    net.forward = net.model.forward
    return net


def theirs(kind, config, component):
    grid, last = GRID[component], config.encoder_widths[-1]
    if kind == "encoder":
        return TheirEncoder(config.encoder_widths, grid, config.latent)
    if kind == "image_decoder":
        return TheirDecoder(last, config.image_widths, 1, grid, config.latent)
    if kind == "feature_decoder":
        return TheirDecoder(last, config.feature_widths, config.feature_channels, grid, config.latent)
    return their_generator(config.feature_channels, config.generator_width, config.generator_downs,
                           config.generator_blocks)


@pytest.mark.parametrize("name", ["tiny", "compact"])
@pytest.mark.parametrize("kind", ["encoder", "image_decoder", "feature_decoder", "generator"])
def test_loads_strictly_and_computes_the_same(kind, name, tmp_path, weights_of, identical):
    config, component = preset(name), "mouth"
    arrays = weights_of(kind, config, component)
    from jt_dfd.checkpoints import read_arrays, write_arrays

    write_arrays(tmp_path / "a.pkl", arrays)
    convert_file(tmp_path / "a.pkl", tmp_path / "a.pth", "torch", verify=False)
    state = torch.load(str(tmp_path / "a.pth"), weights_only=True)
    net = theirs(kind, config, component)
    net.load_state_dict(state, strict=True)
    # one picture at a time in training mode is what the release's feature decoders do
    net.train(kind == "feature_decoder")
    random = torch.Generator().manual_seed(0)
    if kind == "encoder":
        x = torch.randn(1, 1, config.geometry.window(component).size, config.geometry.window(component).size,
                        generator=random)
    elif kind == "generator":
        x = torch.randn(1, config.feature_channels, 64, 64, generator=random)
    else:
        x = torch.randn(1, config.latent, generator=random)
    ours = modules.build_with(kind, config, component, arrays)
    with torch.no_grad():
        expected, found = net(x), ours(x)
    assert float((found - expected).abs().max() / expected.abs().max()) < 2e-6

    # trained on over there and brought back: PyTorch's counters stay behind, the numbers are theirs
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01)
    torch.save(net.state_dict(), str(tmp_path / "b.pth"))
    convert_file(tmp_path / "b.pth", tmp_path / "b.pkl", "jittor", verify=False)
    back = read_arrays(tmp_path / "b.pkl")
    expected = {n: t.numpy() for n, t in net.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert identical({n: back[n] for n in expected}, expected) and len(back) == len(expected)


def test_our_modules_take_a_batchnorm_state_of_theirs():
    config = preset("tiny")
    net = theirs("feature_decoder", config, "nose")
    ours = modules.build("feature_decoder", config, "nose")
    ours.load_state_dict(net.state_dict(), strict=True)
    assert torch.equal(ours.conv[1].conv[1].running_var, net.conv[1].conv[1].running_var)
