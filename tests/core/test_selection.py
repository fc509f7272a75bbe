"""Which rows are neighbours: against C++ itself."""
import shutil
import subprocess

import numpy as np
import pytest

from jt_dfd.kernels import selection

PROGRAM = r"""
#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>
int main() {
    int cases;
    if (scanf("%d", &cases) != 1) return 1;
    while (cases--) {
        int n, k;
        if (scanf("%d %d", &n, &k) != 2) return 1;
        std::vector<std::pair<float, int>> v(n);
        for (int i = 0; i < n; i++) { if (scanf("%f", &v[i].first) != 1) return 1; v[i].second = i; }
        std::nth_element(v.begin(), v.begin() + k, v.end());
        for (auto& p : v) printf("%d ", p.second);
        printf("\n");
    }
}
"""


def killer(n):
    """An order that makes median-of-three pivots bad, so that the heap has to step in."""
    half, out = n // 2, np.zeros(n)
    for i in range(half):
        out[2 * i if i % 2 == 0 else 2 * i] = i + 1 if i % 2 == 0 else half + i + (half % 2)
        out[2 * i + 1] = 2 * (i + 1)
    out[:half] = [i + 1 if i % 2 == 0 else half + i for i in range(half)]
    out[half:] = [2 * (i + 1) for i in range(n - half)]
    return out


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    out = [(rng.standard_normal(n), k) for n, k in ((1, 1), (2, 1), (3, 2), (4, 1), (5, 4), (50, 15),
                                                    (50, 50), (17, 0))]
    out += [(rng.standard_normal(int(n)), int(rng.integers(0, n + 1))) for n in rng.integers(1, 400, 60)]
    out += [(rng.integers(0, 5, 300).astype(float), 15) for _ in range(5)]        # many ties
    out += [(np.arange(1000.0), 15), (np.arange(1000.0)[::-1], 15), (np.zeros(100), 7)]
    out += [(killer(2048), k) for k in (15, 500, 1023, 1024, 2000)]
    out += [(rng.standard_normal(11456), 15)]
    return out


@pytest.fixture(scope="module")
def truth(cases, tmp_path_factory):
    if not shutil.which("g++"):
        pytest.skip("needs g++ for the standard library's own answer")
    folder = tmp_path_factory.mktemp("nth")
    (folder / "nth.cc").write_text(PROGRAM)
    subprocess.run(["g++", "-O1", "-o", str(folder / "nth"), str(folder / "nth.cc")], check=True)
    text = f"{len(cases)}\n" + "\n".join(f"{len(v)} {k} " + " ".join(f"{x:.9g}" for x in np.float32(v))
                                         for v, k in cases)
    done = subprocess.run([str(folder / "nth")], input=text, capture_output=True, text=True, check=True)
    return [np.array(line.split(), int) for line in done.stdout.splitlines()]


def test_permutation_equals_the_standard_library_s(cases, truth):
    for (values, k), want in zip(cases, truth):
        assert np.array_equal(selection.nth_element_order(np.float32(values), k), want), (len(values), k)


def test_the_killer_reaches_the_heap(monkeypatch, cases):
    """Else the comparison above would never test it."""
    reached = []
    real = selection._heap_select
    monkeypatch.setattr(selection, "_heap_select", lambda *a: (reached.append(1), real(*a)))
    for values, k in cases:
        selection.nth_element_order(np.float32(values), k)
    assert reached


def test_weights_rebuild_a_point_of_the_neighbours_span():
    """Without the penalty a point inside the span is rebuilt exactly; with it weights lean to the anchor."""
    rng = np.random.default_rng(2)
    rows, mix = rng.standard_normal((6, 40)), rng.dirichlet(np.ones(6))
    w = selection.rebuilding_weights(rows, mix @ rows, penalty=0)
    assert np.allclose(w, mix, atol=1e-9) and abs(w.sum() - 1) < 1e-12
    assert selection.rebuilding_weights(rows, mix @ rows)[0] > w[0]


def test_equal_rows_do_not_break_the_weights():
    rows = np.repeat(np.random.default_rng(0).standard_normal((3, 20)), 4, axis=0)
    w = selection.rebuilding_weights(rows, rows[0] + 0.1)
    assert np.isfinite(w).all() and abs(w.sum() - 1) < 1e-9 and np.abs(w).max() < 10


def test_rounding_does_not_decide_which_columns_are_dependent():
    """64 neighbours in 33 dimensions: 30 columns depend on the others. Another order of the same sums (another
    compiler, another processor) changes the last digits of the equations, and must not change the weights."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        bank = np.random.default_rng(seed).standard_normal((64, 33), dtype=np.float32).astype(np.float64)
        a, b = bank[1:] - bank[0], rng.standard_normal(33) - bank[0]
        normal, right = a @ a.T + 100, a @ b
        weights = selection.solve_semidefinite(normal, right)
        noise = 1 + 3e-15 * rng.uniform(-1, 1, normal.shape)
        again = selection.solve_semidefinite(normal * np.tril(noise) + (normal * np.tril(noise, -1)).T, right)
        assert np.abs(weights - again).max() < 1e-6 * max(1, np.abs(weights).max()), seed
