"""Metrics against values known from elsewhere.  No Jittor."""
import numpy as np
import pytest

from jt_dfd.evaluation import metrics


def test_psnr_and_l1_of_a_known_difference():
    a = np.full((32, 32, 3), 100, np.uint8)
    assert metrics.l1(a, a + 10) == 10
    assert metrics.psnr(a, a + 10) == pytest.approx(20 * np.log10(25.5))


def test_ssim_of_flat_pictures_is_the_luminance_term():
    a, b = np.full((40, 40, 3), 100, np.uint8), np.full((40, 40, 3), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert metrics.ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100 ** 2 + 120 ** 2 + c1))
    noise = np.random.default_rng(0).integers(0, 256, a.shape, dtype=np.uint8)
    assert abs(metrics.ssim(noise, noise[::-1].copy())) < 0.05


def test_frechet_distance_of_known_gaussians():
    """For diagonal covariances it is |m1 - m2|^2 + sum (s1 - s2)^2."""
    rng = np.random.default_rng(0)
    a = rng.normal(0, [1.0, 2.0, 3.0], (40000, 3))
    b = rng.normal([1.0, 0, 0], [1.0, 1.0, 1.0], (40000, 3))
    assert metrics.frechet(a, b) == pytest.approx(1 + 0 + 1 + 4, rel=0.03)
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(0)
    same = [metrics.kernel_distance(rng.normal(size=(50, 4)), rng.normal(size=(60, 4))) for _ in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 40 ** 0.5 + 1e-3
    assert metrics.kernel_distance(rng.normal(size=(200, 4)), rng.normal(1, 1, (200, 4))) > 1
