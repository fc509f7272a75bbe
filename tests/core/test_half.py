"""Half precision, as far as a CPU shows it: the same roundings around float32 convolutions (see networks/half.py)."""
import subprocess
import sys

import numpy as np
import pytest

from jt_dfd import Synthesizer, networks
from jt_dfd.backend import jt, nn
from jt_dfd.checkpoints import open_folder
from jt_dfd.components import COMPONENTS
from jt_dfd.config import preset
from jt_dfd.networks import half


def random(*shape, seed=0):
    return jt.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("make", [lambda: nn.Conv(3, 5, 3, stride=2, padding=1), lambda: nn.Conv(3, 5, 7, bias=False),
                                  lambda: nn.ConvTranspose(3, 5, 4, stride=2, padding=1),
                                  lambda: nn.ConvTranspose(3, 5, 3, stride=2, padding=1, output_padding=1)])
def test_a_convolution_rounds_its_operands_and_its_result_and_nothing_else(make):
    conv, x = nn.Sequential(make()), random(2, 3, 12, 10)
    bias = conv[0].bias
    conv[0].weight.update(conv[0].weight.float16().float32())
    conv[0].bias = None
    expected = conv(x.float16().float32()).float16().float32().numpy()
    conv[0].bias = bias
    if bias is not None:
        expected = expected + bias.numpy()[:, None, None]
    got = half.use(conv)(x)
    assert got.dtype == "float32" and np.array_equal(got.numpy(), expected)
    # and the rounding is there: unrounded, the numbers are others
    x32 = x.numpy()
    assert not np.array_equal(x32, x32.astype(np.float16).astype(np.float32))


def test_names_shapes_and_kinds_stay():
    config = preset("tiny")
    for kind in ("generator", "feature_decoder", "discriminator", "encoder"):
        network = networks.build(kind, config, "eye1")
        before = {k: (tuple(v.shape), str(v.dtype)) for k, v in network.state_dict().items()}
        kinds = [m for m in network.modules() if isinstance(m, (nn.Conv, nn.ConvTranspose))]
        assert not half.used(network) and half.used(half.use(network))
        assert {k: (tuple(v.shape), str(v.dtype)) for k, v in network.state_dict().items()} == before
        assert [m for m in network.modules() if isinstance(m, (nn.Conv, nn.ConvTranspose))] == kinds


def test_gradients_arrive_in_float32_and_close():
    jt.set_global_seed(1)
    network, x = networks.build("generator", preset("tiny")), random(1, preset("tiny").feature_channels, 64, 64)
    target = random(1, 3, 64, 64, seed=2)
    parameters = network.parameters()

    def gradients(scale):
        found = jt.grad((network(x) - target).abs().mean() * scale, parameters)
        assert {str(g.dtype) for g in found} == {"float32"}
        return np.concatenate([g.numpy().ravel() / scale for g in found])

    plain = gradients(1.0)
    half.use(network)
    rounded = gradients(1024.0)
    cosine = plain @ rounded / np.linalg.norm(plain) / np.linalg.norm(rounded)
    assert 0.99 < cosine < 1 and not np.array_equal(plain, rounded)


def test_for_inference_only_weights_become_float16():
    network = half.use(networks.build("generator", preset("tiny")), keep_weights=False)
    kinds = {name: str(value.dtype) for name, value in network.state_dict().items()}
    convolutions = {n for n, v in network.state_dict().items() if n.endswith("weight") and len(v.shape) == 4}
    assert {n for n, kind in kinds.items() if kind == "float16"} == convolutions


def test_statistics_are_float32():
    """A map whose squares float16 cannot hold is normalised as well as any other."""
    network = half.use(nn.Sequential(nn.Conv(2, 3, 3), nn.InstanceNorm2d(3)))
    x = random(1, 2, 20, 20)
    small, large = network(x).numpy(), network(x * 3000).numpy()
    assert np.isfinite(large).all() and np.abs(small - large).max() < 0.02


def test_the_face_stays_within_two_grey_levels_and_the_neighbours_are_the_same(tiny_params, root):
    from jt_dfd.inference import pipeline

    single, rounded = (Synthesizer(tiny_params, device="cpu") for _ in range(2))
    rounded.networks = pipeline.Networks(open_folder(tiny_params), "half")
    assert half.used(rounded.networks.generator) and not half.used(rounded.networks._of["encoder", "eye1"])
    sketch = str(root / "tests/sketches/a.png")
    a, b = single.synthesize(sketch), rounded.synthesize(sketch)
    for c in COMPONENTS:
        assert np.array_equal(a.rows[c], b.rows[c]) and np.array_equal(a.vectors[c], b.vectors[c])
    assert np.array_equal(a.shadow, b.shadow)
    error = np.abs(a.face.astype(int) - b.face)
    assert 0 < error.mean() < 2 and error.max() < 10


def test_on_a_cpu_it_is_refused_with_the_reason(tiny_params):
    with pytest.raises(ValueError, match="needs a GPU.*float32 only"):
        Synthesizer(tiny_params, device="cpu", precision="half")
    with pytest.raises(ValueError, match="'single' or 'half'"):
        Synthesizer(tiny_params, device="cpu", precision="double")


def test_on_a_gpu_without_tensor_cores_float32_is_used_and_said(tiny_params, monkeypatch):
    from jt_dfd import runtime
    from jt_dfd.inference import pipeline

    monkeypatch.setattr(pipeline, "device", lambda: "cuda")
    monkeypatch.setattr(runtime, "half_precision_gains", lambda: False)
    with pytest.warns(RuntimeWarning, match="no tensor cores"):
        synthesizer = Synthesizer(tiny_params, device="cpu", precision="half")
    assert synthesizer.precision == "single" and not half.used(synthesizer.networks.generator)


def test_the_tool_says_so_too(root, tiny_params, tmp_path):
    done = subprocess.run([sys.executable, str(root / "tools/synthesize.py"), str(root / "tests/sketches/a.png"),
                           "--params", str(tiny_params), "--device", "cpu", "--precision", "half",
                           "-o", str(tmp_path / "out")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 2 and "needs a GPU" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
