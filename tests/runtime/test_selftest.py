"""The self-test's own honesty: what passes, what fails, and that a check which breaks is a failure."""
from __future__ import annotations

import numpy as np
import pytest

from jt_dfd.doctor import selftest


def run_with(monkeypatch, *checks):
    monkeypatch.setattr(selftest, "checks", lambda: iter(checks))
    lines = []
    return selftest.run(lines.append), lines


def test_a_line_each_and_the_count(monkeypatch):
    counted, lines = run_with(monkeypatch, ("one", lambda: [("good", 1e-6, 1e-5), ("bad", 1e-4, 1e-5)]))
    assert counted == {"passed": 1, "failed": 1}
    assert lines[0].startswith("PASS  good") and lines[1].startswith("FAIL  bad")


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_no_number_is_no_pass(monkeypatch, error):
    assert run_with(monkeypatch, ("one", lambda: [("x", error, 1.0)]))[0]["failed"] == 1


def test_a_check_that_breaks_fails_and_the_rest_still_run(monkeypatch):
    counted, lines = run_with(monkeypatch, ("broken", lambda: 1 / 0), ("after", lambda: [("fine", 0.0, 0.0)]))
    assert counted == {"passed": 1, "failed": 1} and "ZeroDivisionError" in lines[0] and lines[1].startswith("PASS")


def test_a_wrong_shape_or_value_is_an_error_above_every_tolerance():
    right = np.ones((2, 3))
    assert selftest._error(np.ones((3, 2)), right) == float("inf")
    assert selftest._error(np.full((2, 3), np.nan), right) == float("inf")
    assert selftest._error(right * 1.5, right) == pytest.approx(0.5)


@pytest.mark.parametrize("size, stride, pad", [(3, 1, 1), (4, 2, 1)])
def test_the_reference_convolution_is_its_own_derivative(size, stride, pad):
    """<g, dy> = <dx-gradient, dx> for small steps: the gradients belong to the forward pass."""
    random = np.random.default_rng(5)
    x, w = random.normal(size=(1, 2, 8, 10)), random.normal(size=(3, 2, size, size))
    y = selftest._convolve(x, w, stride, pad)
    g = random.normal(size=y.shape)
    dx, dw = selftest._gradients(x, w, g, stride, pad)
    step_x, step_w = random.normal(size=x.shape), random.normal(size=w.shape)
    change = (selftest._convolve(x + step_x, w, stride, pad) - y)   # linear in x, and in w
    assert (g * change).sum() == pytest.approx((dx * step_x).sum())
    change = (selftest._convolve(x, w + step_w, stride, pad) - y)
    assert (g * change).sum() == pytest.approx((dw * step_w).sum())
