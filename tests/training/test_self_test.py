"""The self-test's training steps, here on the CPU; on a GPU they are compared with this (tools/doctor.py --gpu)."""
import numpy as np
import pytest

from jt_dfd.doctor import selftest
from jt_dfd.training import losses, one_step


def test_a_step_of_each_stage_passes_and_is_found():
    results = one_step.self_test()
    assert [name for name, error, tolerance in results if not error <= tolerance] == []
    assert {name.split(",")[0] for name, _, _ in results} == {"stage I", "stage II"}
    assert "jt_dfd.training.one_step" in [name for name, _ in selftest.checks()]


def test_a_wrong_gradient_fails(monkeypatch):
    """A loss whose gradient is not its own: half of the error is hidden from differentiation."""
    right = losses.multiscale
    monkeypatch.setattr(losses, "multiscale",
                        lambda made, real, scales: right((made + made.detach()) / 2, real, scales))
    found = one_step._step(one_step._embedding)
    assert found["gradient against differences"] > 0.05


def test_two_runs_are_equal_and_other_numbers_are_told_apart():
    first, second = (one_step._step(one_step._embedding) for _ in range(2))
    assert one_step._distance(first["gradient"], second["gradient"]) < 1e-6
    bent = first["gradient"] + 0.02 * np.abs(first["gradient"]).max() * np.sign(first["gradient"])
    assert one_step._distance(bent, second["gradient"]) > 1e-2
    assert one_step._distance(first["gradient"] * np.nan, second["gradient"]) == float("inf")


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_the_distance_is_relative(size):
    right = np.full(4, size)
    assert one_step._distance(right * 1.01, right) == pytest.approx(0.01)
