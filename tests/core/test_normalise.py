"""What lies between two convolutions as one operator, and the networks in training that are made of it."""
import numpy as np
import pytest

from jt_dfd import config, networks
from jt_dfd.backend import jt
from jt_dfd.kernels.normalise import normalise, reference
from jt_dfd.networks import modules

CONFIG = config.PRESETS["tiny"]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("shape, slope, inset, mirror", [
    ((2, 5, 33, 70), 1.0, None, 0), ((3, 4, 16, 16), 0.0, None, 1), ((1, 2, 5, 9), 0.2, 0, 3),
    ((2, 3, 8, 8), 1.0, 1, 1), ((4, 1, 3, 3), 0.0, 2, 2), ((1, 1, 1, 2), 1.0, None, 0)])
def test_normalise_equals_its_reference_forward_and_backward(together, shape, slope, inset, mirror):
    n, c, h, w = shape
    x, weight, bias = (jt.array(v) for v in (random(*shape) + 3, random(c, seed=1), random(c, seed=2)))
    more = [] if inset is None else [jt.array(random(n, c, h + 2 * inset, w + 2 * inset, seed=3))]
    seed = jt.array(random(n, c, h + 2 * mirror, w + 2 * mirror, seed=4))
    options = dict(together=together, slope=slope, residual=more[0] if more else None, inset=inset or 0, mirror=mirror)
    results = []
    for y in (normalise(x, weight, bias, **options)[0], reference(x, weight, bias, **options)):
        results.append([v.numpy() for v in [y] + jt.grad((y * seed).sum(), [x, weight, bias, *more])])
    for got, want in zip(*results):
        assert got.shape == want.shape and np.abs(got - want).max() <= 2e-4 * max(np.abs(want).max(), 1)


def test_normalise_returns_the_statistics():
    x = random(3, 2, 7, 5) * 2 + 5
    for together, dims in ((True, (0, 2, 3)), (False, (2, 3))):
        statistics = normalise(jt.array(x), jt.ones(2), jt.zeros(2), together=together)[1].numpy()
        assert np.allclose(statistics[..., 0], x.mean(dims), atol=1e-5)
        assert np.allclose(statistics[..., 1], x.var(dims), rtol=1e-5)


def test_a_constant_plane_becomes_its_bias():
    y = normalise(jt.ones((1, 2, 8, 8)) * 3, jt.ones(2), jt.array(np.float32([0.5, -1])))[0].numpy()
    assert np.array_equal(y[0, :, 0, 0], np.float32([0.5, -1])) and np.ptp(y, axis=(2, 3)).max() == 0


def test_normalise_says_what_does_not_fit():
    x, one = jt.zeros((1, 4, 8, 8)), jt.ones(4)
    for options in (dict(mirror=8), dict(residual=x, inset=1), dict(residual=jt.zeros((1, 4, 8, 9)))):
        with pytest.raises(ValueError, match="do not fit"):
            normalise(x, one, one, **options)
    with pytest.raises(ValueError, match="do not fit"):
        normalise(x, jt.ones(3), one)


def trained_once(kind):
    """{name: array} of a network in training: results, gradients of every parameter and input, running statistics."""
    jt.set_global_seed(3)
    network = networks.build(kind, CONFIG, "nose")
    jt.sync_all()   # random numbers are drawn when they are needed
    network.train()
    size, canvas, features = CONFIG.geometry.window("nose").size, CONFIG.canvas, CONFIG.feature_channels
    shapes = {"encoder": [(3, 1, size, size)], "generator": [(2, features, canvas, canvas)],
              "discriminator": [(2, features, canvas, canvas), (2, 3, canvas, canvas)]}
    inputs = [jt.array(random(*s, seed=i)) for i, s in enumerate(shapes.get(kind, [(3, CONFIG.latent)]))]
    made = network(*inputs)
    maps = [m for scale in made for m in scale] if kind == "discriminator" else [made]
    loss = sum((m * jt.array(random(*m.shape, seed=9 + i))).sum() for i, m in enumerate(maps))
    state = network.state_dict()
    learnt = {name: v for name, v in state.items() if not v.is_stop_grad()}
    gradients = jt.grad(loss, [*learnt.values(), *inputs])
    found = {f"result {i}": m for i, m in enumerate(maps)}
    found.update({f"gradient {name}": g for name, g in zip([*learnt, *range(len(inputs))], gradients)})
    found.update({name: v for name, v in state.items() if v.is_stop_grad()})
    return {name: v.numpy() for name, v in found.items()}


@pytest.mark.parametrize("kind", ["encoder", "image_decoder", "feature_decoder", "generator", "discriminator"])
def test_a_network_trains_as_it_does_layer_by_layer(kind, monkeypatch):
    got = trained_once(kind)
    monkeypatch.setattr(modules, "_is_fused", lambda norm: False)
    wanted = trained_once(kind)
    assert set(got) == set(wanted)
    largest = max(np.abs(v).max() for name, v in wanted.items() if name.startswith("gradient"))
    for name, want in wanted.items():
        # a bias before a normalisation has a gradient of rounding errors alone, and here none
        scale = largest if name.endswith("bias") else np.abs(want).max()
        assert np.abs(got[name] - want).max() <= 2e-4 * scale, name


def test_a_network_in_evaluation_mode_uses_its_running_statistics():
    encoder = networks.build("encoder", CONFIG, "nose")
    size = CONFIG.geometry.window("nose").size
    x = jt.array(random(2, 1, size, size))
    encoder.train()
    first = encoder(x).numpy()
    encoder.eval()
    both = encoder(x).numpy()
    assert np.abs(both - first).max() > 1e-3
    alone = np.concatenate([encoder(x[i:i + 1]).numpy() for i in range(2)])
    assert np.abs(both - alone).max() < 1e-4 * np.abs(both).max()
