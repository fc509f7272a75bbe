"""Names, shapes and sizes of the networks."""
import json

import numpy as np
import pytest

from jt_dfd import networks
from jt_dfd.backend import jt
from jt_dfd.components import COMPONENTS
from jt_dfd.config import PRESETS, preset
from jt_dfd.networks import load_arrays, to_arrays
from jt_dfd.networks.modules import fold

RELEASE_FILE = {"encoder": "encoder_{}", "image_decoder": "decoder_{}_image", "feature_decoder": "DE_{}",
                "generator": "G"}


@pytest.fixture(scope="module")
def release_spec(parity):
    return json.loads((parity / "state_spec.json").read_text())


def test_the_release_s_names_and_shapes_in_its_order(release_spec):
    seen = set()
    for (kind, component), shapes in networks.specification_of(preset("release")).items():
        file = RELEASE_FILE[kind].format("" if component == "rest" else component)
        assert [[n, list(s)] for n, s in shapes.items()] == release_spec[file], file
        seen.add(file)
    assert seen == set(release_spec)


@pytest.mark.parametrize("name", list(PRESETS))
def test_built_networks_follow_the_specification(name):
    """All presets; Jittor is lazy, so nothing of the release's 2 GB is computed here."""
    config = preset(name)
    for kind in networks.KINDS + ("discriminator",):
        for component in COMPONENTS if kind not in ("generator", "discriminator") else ("rest",):
            built = networks.build(kind, config, component)
            shapes = {n: tuple(v.shape) for n, v in built.state_dict().items()}
            assert shapes == networks.specification(kind, config, component), (kind, component)


def test_parameter_counts():
    """The release's 562.8 M in all; compact's inference weights under 60 MB in float16."""
    release = preset("release")
    counts = {kind: sum(networks.count_parameters(networks.build(kind, release, c)) for c in COMPONENTS)
              for kind in networks.KINDS[:3]}
    counts["generator"] = networks.count_parameters(networks.build("generator", release))
    assert {k: round(v / 1e6, 1) for k, v in counts.items()} == {
        "encoder": 136.9, "image_decoder": 137.3, "feature_decoder": 148.9, "generator": 139.8}
    compact = sum(int(np.prod(s)) for shapes in networks.specification_of(preset("compact")).values()
                  for s in shapes.values())
    assert compact * 2 < 60e6


def test_initial_weights_follow_the_release():
    net = networks.build("generator", preset("compact"))
    conv, norm = net.model[10].weight.numpy(), net.model[13].conv_block[2].weight.numpy()
    assert abs(conv.std() - 0.02) < 0.001 and abs(conv.mean()) < 0.001
    assert abs(norm.mean() - 1) < 0.01 and 0.01 < norm.std() < 0.03


def test_feature_decoder_gives_each_picture_of_a_batch_its_own_statistics():
    """The release maps one picture at a time; a batch must come out as its pictures alone do, in eval and in train."""
    net = networks.build("feature_decoder", preset("tiny"), "eye1")
    vectors = jt.array(np.random.default_rng(0).normal(0, 2, (3, 24)).astype(np.float32))
    for mode in (net.eval, net.train):
        mode()
        with jt.no_grad():
            together = net(vectors).numpy()
            alone = np.concatenate([net(vectors[i:i + 1]).numpy() for i in range(3)])
        assert np.abs(together - alone).max() < 1e-4 * np.abs(alone).max()


@pytest.mark.parametrize("kind", ["encoder", "feature_decoder", "generator", "image_decoder"])
def test_fused_layers_give_what_the_layers_give(kind):
    from jt_dfd.networks import steps

    """Two networks side by side, as the components' are, and one of them left out."""
    config, rng = networks.preset("tiny"), np.random.default_rng(0)
    sequences, pictures, wanted = [], [], []
    for component in ("nose", "mouth"):
        network = networks.build(kind, config, component)
        network.eval()
        arrays = {name: rng.standard_normal(parameter.shape).astype(np.float32) * np.float32(0.3)   # biases that matter
                  for name, parameter in network.state_dict().items()}
        arrays = {k: np.abs(v) if k.endswith("running_var") else v for k, v in arrays.items()}
        load_arrays(network, fold(network, arrays) if kind == "image_decoder" else arrays)   # as inference does it
        with jt.no_grad():
            if kind == "generator":
                x = jt.array(rng.standard_normal((1, config.feature_channels, 64, 64)).astype(np.float32))
            elif kind == "encoder":
                size = config.geometry.window(component).size
                x = jt.array(rng.standard_normal((2, 1, size, size)).astype(np.float32))
            else:
                x = network.start(jt.array(rng.standard_normal((2, config.latent)).astype(np.float32)))
            layers = network.model if kind == "generator" else network.conv
            wanted.append(layers(x).numpy())
        sequences.append(list(layers))
        pictures.append(x)
    made = steps.fused(sequences)
    for given in (pictures, [None, pictures[1]]):
        got = given
        for step in made:
            got = step(got)
        for one, want in zip(got, wanted):
            assert one is None or np.abs(one.numpy() - want).max() < 2e-5 * np.abs(want).max()
        assert [one is None for one in got] == [one is None for one in given]


def test_a_pixel_far_beyond_black_or_white_leaves_a_gradient():
    """Weights as another tool may have left them: some pixels are hundreds before the tanh, whose gradient is 0 there
    and as ever elsewhere."""
    from jt_dfd.networks.modules import Tanh

    x = np.array([0, -0.5, 3, 44, 45, -60, 300, -3e38], np.float32)
    variable = jt.array(x)
    y = Tanh()(variable)
    assert np.array_equal(y.numpy(), jt.tanh(jt.array(x)).numpy())
    assert np.allclose(jt.grad(y.sum(), variable).numpy(), 1 - np.tanh(x.astype(np.float64)) ** 2, rtol=0, atol=1e-6)

    generator = networks.build("generator", preset("tiny"))
    last = [m for m in generator.modules() if isinstance(m, jt.nn.Conv)][-1]
    last.weight *= 3000
    features = jt.array(np.random.default_rng(0).standard_normal((1, 6, 64, 64), np.float32))
    gradients = jt.grad(generator(features).abs().mean(), generator.parameters())
    assert all(np.isfinite(g.numpy()).all() for g in gradients)


def test_folding_changes_nothing_but_rounding():
    import weights

    config = preset("tiny")
    for kind in ("encoder", "image_decoder"):
        arrays = weights.network(config, kind, "nose")
        plain, folded = networks.build(kind, config, "nose"), networks.build(kind, config, "nose")
        load_arrays(plain, arrays)
        load_arrays(folded, fold(folded, arrays))
        plain.eval(), folded.eval()
        assert not any("running" in n for n in folded.state_dict())
        shape = (2, 1, 20, 20) if kind == "encoder" else (2, 24)
        x = jt.array(np.random.default_rng(1).standard_normal(shape).astype(np.float32))
        with jt.no_grad():
            a, b = plain(x).numpy(), folded(x).numpy()
        assert np.abs(a - b).max() < 1e-5 * np.abs(a).max()


def test_loading_is_all_or_nothing():
    net = networks.build("encoder", preset("tiny"), "eye1")
    before = to_arrays(net)
    arrays = {n: a + 1 for n, a in before.items()}
    for damage, complaint in ((lambda a: a.pop("fc_mu.0.bias"), "fc_mu.0.bias is missing"),
                              (lambda a: a.update(extra=np.zeros(1)), "extra is unexpected"),
                              (lambda a: a.update({"fc_mu.0.bias": np.zeros(3)}), "fc_mu.0.bias has shape")):
        damaged = dict(arrays)
        damage(damaged)
        with pytest.raises(ValueError, match=complaint):
            load_arrays(net, damaged)
    after = to_arrays(net)
    assert all(np.array_equal(before[n], after[n]) for n in before)
    load_arrays(net, arrays)
    assert all(np.array_equal(arrays[n], a) for n, a in to_arrays(net).items())


def test_discriminator_reads_features_and_picture_at_two_scales():
    config = preset("tiny")
    net = networks.build("discriminator", config)
    rng = np.random.default_rng(0)
    features = jt.array(rng.standard_normal((2, config.feature_channels, 64, 64)).astype(np.float32))
    pictures = [jt.array(rng.standard_normal((2, 3, 64, 64)).astype(np.float32)) for _ in range(2)]
    first, second = (net(features, p) for p in pictures)
    assert len(first) == 2 and len(first[0]) == config.discriminator_layers + 2
    assert first[0][-1].shape[1] == 1 and first[1][-1].shape[2] < first[0][-1].shape[2]
    assert np.abs(first[0][-1].numpy() - second[0][-1].numpy()).max() > 0, "scores must depend on the picture"


def test_unknown_names_are_refused_with_the_known():
    with pytest.raises(ValueError, match="encoder, image_decoder"):
        networks.build("critic", preset("tiny"))
    with pytest.raises(ValueError, match="eye1, eye2"):
        networks.specification("encoder", preset("tiny"), "ear")
