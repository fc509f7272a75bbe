"""The CPU's own layout changes speed, never a picture."""
import numpy as np
import pytest

from jt_dfd import networks
from jt_dfd.backend import jt, nn
from jt_dfd.components import GRID
from jt_dfd.networks import steps


@pytest.mark.parametrize("kind, component, preset", [
    ("image_decoder", "mouth", "tiny"), ("feature_decoder", "rest", "tiny"), ("generator", "", "tiny"),
    # wide enough for the Winograd kernel
    ("image_decoder", "eye1", "compact"), ("feature_decoder", "nose", "compact"), ("generator", "", "compact")])
def test_every_network_gives_what_its_layers_give(kind, component, preset):
    config = networks.preset(preset)
    network = networks.build(kind, config, component)
    network.eval()
    if kind == "image_decoder":  # statistics as after training: folded as inference does it
        from jt_dfd.networks import load_arrays
        from jt_dfd.networks.modules import fold

        arrays = {k: v.numpy() for k, v in network.state_dict().items()}
        rng = np.random.default_rng(0)
        arrays.update({k: rng.uniform(0.5, 2, v.shape).astype(np.float32) for k, v in arrays.items() if "running" in k})
        load_arrays(network, fold(network, arrays))
    layers = network.model if kind == "generator" else network.conv
    shape = (2, config.feature_channels, 64, 64) if kind == "generator" else (2, config.encoder_widths[-1],
                                                                            *[GRID[component]] * 2)
    x = jt.array(np.random.default_rng(1).standard_normal(shape).astype(np.float32))
    with jt.no_grad():
        want = layers(x).numpy()
        made = steps.enter(x)
        for step in steps.channels_last(layers):
            made = step(made)
        got = steps.leave(made).numpy()
    assert got.shape == want.shape
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()


def test_padding_mirrors():
    x = np.arange(2 * 5 * 6, dtype=np.float32).reshape(1, 2, 5, 6)
    step, = steps.channels_last(nn.Sequential(nn.ReflectionPad2d(3)))
    got = steps.leave(step(steps.enter(jt.array(x)))).numpy()
    assert np.array_equal(got, np.pad(x, ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect"))


def test_an_unknown_layer_is_refused_by_name():
    with pytest.raises(TypeError, match="PixelShuffle"):
        steps.channels_last(nn.Sequential(nn.PixelShuffle(2)))
