"""Every kernel on the GPU against its reference, at the release's sizes, gradients included."""
import importlib

import numpy as np
import pytest
from conftest import CANVAS, CHANNELS, ROWS, WIDTH, K, random

from jt_dfd.components import COMPONENTS, Geometry
from jt_dfd.kernels import selection

pytestmark = pytest.mark.gpu


def kernel_files():
    from pathlib import Path

    import jt_dfd

    folder = Path(jt_dfd.__file__).parent / "kernels"
    return sorted(f.stem for f in folder.glob("*.py") if "def self_test" in f.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", kernel_files())
def test_self_test(jt, name):
    checks = importlib.import_module(f"jt_dfd.kernels.{name}").self_test()
    assert checks
    assert [check for check in checks if not check[1] <= check[2]] == []


@pytest.mark.parametrize("anchor", selection.ANCHORS)
@pytest.mark.parametrize("rows, k", [(ROWS, K), (6247, K), (ROWS, 64), (1_000_000, K)])
def test_projection(jt, anchor, rows, k):
    """Rows, weights and vectors as the readable statement has them, in float64 on the host."""
    from jt_dfd.kernels import projection

    if anchor == "release" and rows == 1_000_000:
        pytest.skip("the release's rule walks the keys one by one; its banks have 11456 rows at most")
    bank, queries = random(rows, WIDTH), random(5, WIDTH, seed=1)
    got = projection.project(jt.array(bank), jt.array(queries), k, anchor)
    for q, query in enumerate(queries):
        want = selection.neighbours(bank, query, k, anchor)
        assert np.array_equal(got.rows.numpy()[q], want)
        w = selection.rebuilding_weights(bank[want], query)
        assert np.abs(got.weights.numpy()[q] - w).max() < 1e-5 * max(1, np.abs(w).max())
        assert np.abs(got.vectors.numpy()[q] - w @ bank[want].astype(np.float64)).max() < 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("batch", [1, 3])
def test_merge_and_its_gradients(jt, dtype, batch):
    """It copies, so every bit is the reference's, which the CPU computes."""
    from jt_dfd.kernels import merge

    geometry = Geometry(CANVAS)
    maps = {c: random(batch, CHANNELS, *[geometry.window(c).size] * 2, seed=i).astype(dtype)
            for i, c in enumerate(COMPONENTS)}
    weight = random(batch, CHANNELS, CANVAS, CANVAS, seed=9).astype(dtype)

    def compute(impl):
        variables = {c: jt.array(a) for c, a in maps.items()}
        merged = merge.merge(variables, geometry, impl)
        # the gradient with respect to the merged map is ``weight`` itself: nothing else rounds
        gradients = jt.grad((merged.float32() * jt.array(weight).float32()).sum(), [variables[c] for c in COMPONENTS])
        return [merged.numpy()] + [g.numpy() for g in gradients]

    here = compute("kernel")
    with jt.flag_scope(use_cuda=0):
        right = compute("kernel" if dtype == "float16" else "reference")
    for name, got, want in zip(["merged", *COMPONENTS], here, right):
        assert got.dtype == want.dtype and np.array_equal(got, want), name


def test_shadow(jt):
    """Within a grey level of the plain operations: sums in another order may fall beside a whole number."""
    from jt_dfd.kernels import shadow

    geometry, rng = Geometry(CANVAS), np.random.default_rng(5)
    decoded = {c: rng.uniform(-1.2, 1.2, (K, *[geometry.window(c).size] * 2)).astype(np.float32) for c in COMPONENTS}
    weights = {c: rng.normal(0.07, 0.2, K).astype(np.float32) for c in COMPONENTS}

    def compute(impl):
        made = shadow.shadow({c: jt.array(a) for c, a in decoded.items()}, weights, geometry, impl=impl)
        page, parts = shadow.pictures(made.numpy(), geometry)
        return [page, *parts.values()]

    here = compute("kernel")
    with jt.flag_scope(use_cuda=0):
        right = compute("reference")
    for name, got, want in zip(["page", *COMPONENTS], here, right):
        assert np.abs(got.astype(int) - want).max() <= 1, name
        assert want.std() > 5, "a blank picture would prove nothing"


def test_half_convolutions_sum_in_float32(jt):
    """9216 products a number, as in the generator's widest layer: float16 sums would be off by a hundredth."""
    from jt_dfd.backend import nn
    from jt_dfd.networks import half

    for make, shape in ((lambda: nn.Conv(1024, 1024, 3, padding=1), (1, 1024, 32, 32)),
                        (lambda: nn.ConvTranspose(1024, 512, 3, stride=2, padding=1, output_padding=1),
                         (1, 1024, 32, 32))):
        x, network = random(*shape), half.use(nn.Sequential(make()))
        network[0].weight.update(jt.array(random(*network[0].weight.shape, seed=1) / np.float32(96)))
        network[0].weight.sync()
        got = network(jt.array(x)).numpy()
        with jt.flag_scope(use_cuda=0):
            want = network(jt.array(x)).numpy()
        # one float16 rounding of the result, 2^-11, and float32's own
        assert np.abs(got - want).max() < 2 ** -9 * np.abs(want).max()
        assert np.abs(got - want).mean() < 2 ** -11 * np.abs(want).mean() * 2


def test_the_switch_of_tf32_works(jt):
    """float32 throughout is a hundred times closer to float64 than 10 bits of mantissa; both are what they say."""
    from jt_dfd.runtime import gpu

    x, w = random(1, 256, 32, 32), random(256, 256, 3, 3, seed=1)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    right = np.tensordot(windows, w.astype(np.float64), ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)

    def error():
        found = jt.nn.conv2d(jt.array(x), jt.array(w), None, 1, 1).numpy()
        return np.abs(found - right).mean() / np.abs(right).mean()

    with gpu.exact(jt):
        exact = error()
    loose = error()
    print(f"\nmean relative error of a convolution: {exact:.2g} in float32, {loose:.2g} as chosen")
    assert exact < 1e-5 and loose < 2e-3
