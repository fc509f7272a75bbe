"""Frechet and kernel distance of sets whose distances are known in closed form.  No Jittor."""
import numpy as np
import pytest

from jt_dfd.evaluation import metrics


def exactly(mean, covariance, count, seed):
    """(count, D) numbers whose own mean and covariance are the given ones, not only their distribution's."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(np.array(covariance)).T + mean


# neither diagonal nor commuting: the trace of the root is no sum of products of deviations
A, B = ((1.0, -2.0), ((2.0, 0.9), (0.9, 1.0))), ((0.5, 1.0), ((1.0, -0.6), (-0.6, 3.0)))


def by_hand(a, b):
    """In two dimensions tr sqrt(M) = sqrt(tr M + 2 sqrt(det M))."""
    (ma, ca), (mb, cb) = [(np.array(m), np.array(c)) for m, c in (a, b)]
    product = ca @ cb
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    return ((ma - mb) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root


def test_frechet_distance_of_two_gaussians():
    a, b = exactly(*A, 50, 0), exactly(*B, 80, 1)
    assert metrics.frechet(a, b) == pytest.approx(by_hand(A, B), rel=1e-9)
    assert metrics.frechet(b, a) == pytest.approx(by_hand(A, B), rel=1e-9)
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet(a, a + [3, 4]) == pytest.approx(25, rel=1e-9)


def test_frechet_distance_with_fewer_pictures_than_numbers():
    """Turned into 300 dimensions nothing changes, though 298 of them have no spread at all."""
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(300, 2)))[0].T
    a, b = exactly(*A, 50, 0) @ turn, exactly(*B, 80, 1) @ turn
    assert metrics.frechet(a, b) == pytest.approx(by_hand(A, B), rel=1e-9)
    # and as many copies of them as leave more pictures than numbers
    many = [np.repeat(x, 8, 0) * np.sqrt((8 * len(x) - 1) / (8 * len(x) - 8)) for x in (a - a.mean(0), b - b.mean(0))]
    expected = by_hand(A, B) - ((np.array(A[0]) - B[0]) ** 2).sum()
    assert metrics.frechet(*many) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_few_pictures_is_biased_upwards():
    """What the report warns of: two samples of one distribution, whose distance is 0."""
    random = np.random.default_rng(0)
    few, many = (metrics.frechet(random.normal(size=(n, 20)), random.normal(size=(n, 20))) for n in (30, 3000))
    assert few > 5 > 0.5 > many > 0


def test_kernel_distance_is_its_definition():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(5, 3)), random.normal(0.5, 1, (7, 3))

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    within_a = np.mean([kernel(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
    within_b = np.mean([kernel(b[i], b[j]) for i in range(7) for j in range(7) if i != j])
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert metrics.kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * across, rel=1e-12)


def test_kernel_distance_of_two_gaussians():
    """In one dimension (xy + 1)^3 splits into powers: the distance is (M3 - M3')^2 + 3 (M2 - M2')^2 + 3 (M1 - M1')^2
    with the moments M1 = m, M2 = m^2 + s^2, M3 = m^3 + 3 m s^2."""
    def moments(m, s):
        return m, m * m + s * s, m ** 3 + 3 * m * s * s

    (m1, s1), (m2, s2) = (0.5, 1.0), (-0.3, 0.6)
    expected = sum(w * (x - y) ** 2 for w, x, y in zip((3, 3, 1), moments(m1, s1), moments(m2, s2)))
    random = np.random.default_rng(0)
    got = [metrics.kernel_distance(random.normal(m1, s1, (300, 1)), random.normal(m2, s2, (350, 1)))
           for _ in range(60)]
    mean, error = metrics.summary(got)
    assert abs(mean - expected) < 3 * error and error < 0.05 * expected
