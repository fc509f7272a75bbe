"""The CUDA text of kernels/normalise.py by emulation, forward and backward."""
import numpy as np
import pytest
from stand_in import variable

from jt_dfd.kernels import normalise


def check(shape, **options):
    arrays = normalise.example(shape, **options)
    kept = {name: value for name, value in options.items() if name != "residual"}
    got = normalise.computed(*arrays, variable=variable, **kept)
    wanted = normalise.in_float64(*arrays, **kept)
    assert set(got) == set(wanted)
    for name, want in wanted.items():
        assert got[name].shape == want.shape
        assert np.abs(got[name] - want).max(initial=0) <= 1e-4 * np.abs(want).max(initial=1), name


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("shape, options", [
    ((2, 3, 7, 9), dict(residual=False)), ((1, 5, 64, 64), dict(slope=0.0, mirror=1)), ((1, 2, 1, 257), dict(inset=1)),
    ((3, 2, 15, 17), dict(slope=0.2, inset=1, mirror=3)), ((70, 1, 3, 3), dict(mirror=2)),
    ((1, 1, 1, 2), dict(slope=0.0)), ((2, 2, 16, 16), dict(inset=2))])
def test_normalise(emulated, shape, options, together):
    check(shape, together=together, **options)


def test_a_plane_that_is_no_number_leaves_the_others_alone(emulated):
    x, weight, bias, _, _ = normalise.example((2, 2, 9, 9))
    x[0, 1, 3, 3] = np.nan
    got = normalise.normalise(*map(variable, (x, weight, bias)))[0]
    assert np.isnan(got[0, 1]).all() and np.isfinite(got[0, 0]).all() and np.isfinite(got[1]).all()


@pytest.mark.sanitizer
def test_normalise_sanitized(sanitized):
    check((2, 3, 17, 19), together=True, slope=0.0, inset=1, mirror=2)
    check((1, 2, 4, 9), slope=0.2, inset=2, mirror=1)


def test_no_pictures_launch_nothing(emulated):
    emulated.refuse = 1
    got = normalise.computed(*normalise.example((0, 3, 4, 4)), variable=variable)
    assert got["result"].shape == got["gradient of x"].shape == (0, 3, 4, 4)
    assert not got["gradient of weight"].any()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kernel", ["normalise_kernel", "unnormalise_kernel"])
def test_a_refused_launch_names_kernel_and_sizes(emulated, kernel, number):
    """Statistics of a batch take two launches each way."""
    x, weight, bias, residual, gradient = map(variable, normalise.example((2, 2, 3, 3)))
    function = normalise._Normalise(1e-5, True, 1.0, 0, 0)
    if kernel == "unnormalise_kernel":
        function.execute(x, weight, bias, residual)
    emulated.refuse = number
    with pytest.raises(RuntimeError, match=rf"kernel {kernel} \(planes = 4, cells = 9\)"):
        function.execute(x, weight, bias, residual) if kernel == "normalise_kernel" else function.grad(gradient)
