"""Every CUDA text of jt_dfd.kernels against NumPy, run by the emulation through the public functions that a GPU runs.

Each test runs in several orders of threads and blocks, which must give the same bytes.  The tests marked ``sanitizer``
run a part of the cases again under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer; alone:
``pytest tests/emulation -m sanitizer``.
"""
from types import SimpleNamespace

import emulator
import numpy as np
import pytest
from stand_in import variable

from jt_dfd.components import COMPONENTS, MERGE_ORDER, PARTS, Geometry
from jt_dfd.kernels import linear, merge, normalise, picture_norm, projection, rows, selection, shadow


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# -- projection

def bank_and_queries(rows, width, queries, kind, seed):
    """``kind``: what is special about the bank."""
    rng = np.random.default_rng(seed)
    bank, query = random(rows, width, seed=seed), random(queries, width, seed=seed + 1)
    if kind == "ties":          # few distances, exact in float32
        bank, query = (rng.integers(-1, 2, a.shape).astype(np.float32) for a in (bank, query))
    elif kind == "equal rows":
        bank[:] = bank[0]
    elif kind == "the query itself":
        query[:] = bank[rows // 2]
    elif kind == "large":
        bank, query = bank * np.float32(1e18), query * np.float32(1e18)
    elif kind == "not a number":
        bank[::5, 0], bank[1::7, 0] = np.nan, np.inf
    return bank, query


def check_projection(rows, width, queries, k, kind="random", seed=0):
    bank, query = bank_and_queries(rows, width, queries, kind, seed)
    for anchor in selection.ANCHORS:
        got = projection.project(variable(bank), variable(query), k, anchor)
        for q in range(queries):
            with np.errstate(all="ignore"):
                distances = selection.squared_distances(bank, query[q])
            distances[np.isnan(distances)] = np.inf
            want = (np.argsort(distances, kind="stable") if anchor == "nearest"
                    else selection.nth_element_order(distances, min(k, rows)))[:k]
            assert got.rows[q].tolist() == want.tolist(), anchor
            if kind != "not a number":
                unique = k - 1 < width and kind == "random"
                check_weights(bank[want], query[q], got.weights[q], got.vectors[q], unique)


def check_weights(near, query, weights, vector, unique):
    """unique: one best set of weights, so that they must be the reference's; else as good as the reference's."""
    want = selection.rebuilding_weights(near, query)
    scale, size = max(1, np.abs(want).max()), np.abs(near).max()
    rebuilt = weights.astype(np.float64) @ near.astype(np.float64)
    room = 1e-5 * max(scale, np.abs(weights).max())
    assert abs(weights.sum(dtype=np.float64) - 1) < room
    assert np.abs(vector - rebuilt).max() < room * size
    if unique:
        assert np.abs(weights - want).max() < room
        return
    length = np.linalg.norm(query)
    best = np.linalg.norm(want @ near.astype(np.float64) - query)
    assert np.linalg.norm(vector - query) < best + 1e-4 * scale * max(length, size)


@pytest.mark.parametrize("k", range(1, 65))
def test_projection_for_every_k(emulated, k):
    """Banks from k rows on; the vectors are often shorter than k - 1, where the small system has no single solution."""
    emulated.orders = (2, 3)
    rng = np.random.default_rng(k)
    check_projection(int(rng.integers(k, 200)), int(rng.integers(1, 70)), int(rng.integers(1, 4)), k, seed=k)


@pytest.mark.parametrize("rows, width, k, kind", [
    (1, 5, 1, "random"), (2, 4, 2, "equal rows"), (3, 1, 15, "random"), (255, 24, 15, "ties"), (257, 33, 64, "ties"),
    (512, 16, 10, "not a number"), (600, 8, 15, "the query itself"), (700, 12, 20, "large"), (300, 6, 64, "equal rows"),
    (2047, 4, 15, "not a number"), (2048, 132, 15, "random"), (2049, 5, 2, "ties"), (4097, 128, 64, "random"),
    (3000, 3, 15, "equal rows"), (11456, 64, 15, "random")])
def test_projection_of_odd_banks(emulated, rows, width, k, kind):
    emulated.orders = (1, 3)
    check_projection(rows, width, 2, k, kind)


def test_projection_of_more_queries_than_a_grid_takes(emulated, monkeypatch):
    """Five times over, with room for 3 instead of 65,535."""
    assert "MAX_QUERIES = 65535;" in projection.CUDA
    monkeypatch.setattr(projection, "CUDA", projection.CUDA.replace("MAX_QUERIES = 65535;", "MAX_QUERIES = 3;"))
    check_projection(300, 6, 13, 5)


@pytest.mark.sanitizer
@pytest.mark.parametrize("rows, width, k, kind", [(300, 7, 64, "random"), (2100, 4, 3, "ties"),
                                                  (9, 20, 9, "not a number")])
def test_projection_sanitized(sanitized, rows, width, k, kind):
    check_projection(rows, width, 2, k, kind)


#: the block's selection alone, on any keys and for any nth
SELECTION = SimpleNamespace(SHARED=projection.SHARED, CUDA=projection.CUDA + """
inline void select(const int64_t* keys, int64_t* out, int n, int nth, int* places, int* indices) {
    memcpy(out, keys, sizeof(int64_t) * n);
    jt_dfd::release_kernel<<<1, jt_dfd::THREADS>>>((uint64_t*)out, n, nth, places, indices);
}
""")


def hard_for_medians_of_three(n):
    """An order in which medians of three are next to extreme, so that partitions run out and the heap steps in."""
    i = np.arange(n // 2)
    return np.concatenate([np.where(i % 2 == 0, i + 1, n // 2 + i), 2 * (np.arange(n - n // 2) + 1)])


@pytest.mark.parametrize("name, values, nth", [
    ("few", np.arange(5)[::-1], 2), ("one", np.zeros(1), 0), ("all", random(700), 700), ("none", random(700), 0),
    *[(f"{n} to {nth}", random(n, seed=n), nth)
      for n, nth in ((257, 15), (258, 64), (513, 256), (3000, 2999), (6247, 15))],
    ("rising", np.arange(1000), 15), ("falling", -np.arange(1000), 500), ("equal", np.zeros(999), 7),
    *[(f"hard {nth}", hard_for_medians_of_three(2048), nth) for nth in (15, 500, 1000, 1500)]],
    ids=lambda v: str(v)[:20])
def test_a_block_selects_in_the_standard_library_s_order(emulated, name, values, nth):
    """All of the permutation, not the chosen keys alone; selection.nth_element_order is tested against the library."""
    n = len(values)
    ranks = np.unique(values, return_inverse=True)[1].astype(np.int64)
    keys, _, rows = emulated.run(SELECTION, "select(in0_p, out0_p, in0_shape0, (int)data[\"nth\"], out1_p, out2_p);",
                                 [(n,), (2 * ((n + 1) // 2),), (nth,)], ["int64", "int32", "int32"],
                                 [ranks << 32 | np.arange(n)], {"nth": nth})
    want = selection.nth_element_order(ranks, nth)
    assert (keys & 0xffffffff).tolist() == want.tolist() and rows.tolist() == want[:nth].tolist()


def test_the_hard_order_reaches_the_heap(monkeypatch):
    """With more keys left than one thread is given; else no test would."""
    reached = []
    real = selection._heap_select
    monkeypatch.setattr(selection, "_heap_select", lambda items, first, middle, last: (
        reached.append(last - first), real(items, first, middle, last)))
    selection.nth_element_order(hard_for_medians_of_three(2048), 500)
    assert reached and reached[0] > 256


# -- merging

def merged(maps, geometry):
    out = maps["rest"].copy()
    for part in MERGE_ORDER:
        x, y, width, height = geometry.merge_window(part)
        out[:, :, y:y + height, x:x + width] = maps[part][:, :, :height]
    return out


def check_merge(canvas, batch, channels, dtype=np.float32):
    """Forward and backward; bytes are moved, so also those of a NaN."""
    geometry = Geometry(canvas)
    names = ["rest", *MERGE_ORDER]
    maps = {c: random(batch, channels, geometry.window(c).size, geometry.window(c).size, seed=i).astype(dtype)
            for i, c in enumerate(names)}
    for values in maps.values():
        values[..., ::7] = np.nan
    got = merge.merge({c: variable(v) for c, v in maps.items()}, geometry)
    assert got.dtype == dtype and np.array_equal(got, merged(maps, geometry), equal_nan=True)
    # every map filled with its own number says where the canvas comes from
    owner = merged({c: np.full((1, 1) + v.shape[2:], i) for i, (c, v) in enumerate(maps.items())}, geometry)[0, 0]
    gradient = random(*got.shape, seed=9).astype(dtype)
    function = merge._Merge(geometry)
    function.execute(*(variable(maps[c]) for c in names))
    for i, (name, back) in enumerate(zip(names, function.grad(variable(gradient)))):
        rows, columns = geometry.window(name).slices
        want = np.where(owner[rows, columns] == i, gradient[:, :, rows, columns], dtype(0))
        assert back.dtype == dtype and np.array_equal(back, want), name


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("canvas, batch, channels", [(64, 1, 1), (64, 13, 5), (64, 0, 3), (128, 2, 3), (256, 1, 2)])
def test_merge(emulated, canvas, batch, channels, dtype):
    check_merge(canvas, batch, channels, dtype)


@pytest.mark.sanitizer
def test_merge_sanitized(sanitized):
    check_merge(64, 3, 1)


@pytest.mark.parametrize("anchor", selection.ANCHORS)
def test_refined_latents_of_several_banks(emulated, anchor):
    """Each in its row: the latent, what its own projection says, refined; nothing where k is 0."""
    banks = [random(n, 12, seed=n) for n in (300, 5, 2500, 40)]
    latents = [random(1, 12, seed=n) for n in range(4)]
    ks, amounts = (15, 15, 7, 0), (1.0, 0.25, 0.0, 1.0)
    emulated.orders = (1,)
    made = projection.refined([*map(variable, banks)], [*map(variable, latents)], ks, anchor, amounts)
    assert made.shape == (4, 2 * 12 + 2 * 15)
    for i in range(3):
        want, k = projection.project(variable(banks[i]), variable(latents[i]), ks[i], anchor), min(ks[i], len(banks[i]))
        latent, vector, weights, numbers = np.split(made[i].numpy(), (12, 24, 39))
        assert np.array_equal(latent, latents[i][0]) and np.array_equal(weights[:k], want.weights[0])
        assert numbers.view(np.int32)[:k].tolist() == want.rows[0].tolist()
        mixed = amounts[i] * want.vectors[0] + (1 - amounts[i]) * latents[i][0]
        assert np.abs(vector - mixed).max() < 1e-6


# -- rows

@pytest.mark.parametrize("cells", [(1,), (7, 9), (70001,)])
def test_rows_are_taken_and_kept(emulated, cells):
    bank = random(70, *cells)
    for which in ([69], list(range(64)), [5, 5, 0]):
        assert np.array_equal(rows.take(variable(bank), which), bank[which])
    for which in ([], [0] * 65):
        with pytest.raises(ValueError, match="1 to 64 rows"):
            rows.take(variable(bank), which)


def test_rows_of_several_are_kept(emulated, monkeypatch):
    """Inputs can only be read here, so the stores are copied to results first, and written there."""
    pictures, stores = [random(4, 7), random(2, 3001, seed=1)], [random(9, 7, seed=2), random(3, 3001, seed=3)]
    which, kept = [[8, 0, 3], [1]], []

    def run(kernel, call, shapes, dtypes, inputs, data):
        for i, store in enumerate(stores):
            call = (f"memcpy(out{i + 1}_p, in{2 * i + 1}_p, sizeof(float) * {store.size}); "
                    + call.replace(f"in{2 * i + 1}_p", f"out{i + 1}_p"))
        kept.extend(emulated.run(kernel, call, [*shapes, *(s.shape for s in stores)], dtypes * 3, inputs, data))
        return [variable(kept[0])]

    monkeypatch.setattr(rows.source, "run", run)
    rows.keep([None, *map(variable, pictures)], [None, *map(variable, stores)], [None, *which])
    for store, places, picture, made in zip(stores, which, pictures, kept[1:]):
        want = store.copy()
        want[places] = picture[:len(places)]
        assert np.array_equal(made, want)


# -- shadow

def check_shadow(canvas, counts, not_a_number=False):
    geometry, rng = Geometry(canvas), np.random.default_rng(canvas)
    decoded = {c: rng.uniform(-1.3, 1.3, (k, geometry.window(c).size, geometry.window(c).size)).astype(np.float32)
               for c, k in zip(COMPONENTS, counts)}
    weights = {c: rng.normal(0.2, 0.4, k).astype(np.float32) for c, k in zip(COMPONENTS, counts)}
    if not_a_number:   # such a weight counts as none
        for w in weights.values():
            w[::2] = np.nan
    which = {c: rng.permutation(len(w)) for c, w in weights.items()}
    stored = {c: variable(decoded[c][np.argsort(which[c])]) for c in COMPONENTS}
    got_page, got = shadow.pictures(shadow.shadow(stored, weights, geometry, which), geometry)
    want = {}
    for c in COMPONENTS:
        w = np.clip(np.nan_to_num(weights[c]).astype(np.float64), 0, selection.WEIGHT_LIMIT)
        want[c] = 255 * np.clip(1 - (w[:, None, None] * (1 - decoded[c]) / 2).sum(0), 0, 1)
    page = 255 - want["rest"]
    for part in PARTS:
        mask = selection.soft_mask(geometry.window(part).size)
        page[geometry.window(part).slices] *= 1 - (1 - mask) * selection.REST_FADE
    for part in PARTS:
        mask = selection.soft_mask(geometry.window(part).size)
        page[geometry.window(part).slices] += (255 - want[part]) * (1 - mask) * selection.PART_SHARE
    page = 255 - np.clip(page, 0, 255)
    # sums in another order may fall on the other side of a whole number
    assert np.abs(got_page.astype(int) - page.astype(np.uint8)).max() <= 1
    for c in COMPONENTS:
        assert np.abs(got[c].astype(int) - want[c].astype(np.uint8)).max() <= 1, c


@pytest.mark.parametrize("canvas, counts", [(64, (1, 1, 1, 1, 1)), (64, (0, 3, 0, 2, 5)), (128, (3, 1, 64, 7, 2)),
                                            (256, (15, 15, 15, 15, 15))])
def test_shadow(emulated, canvas, counts):
    check_shadow(canvas, counts)


def test_shadow_of_weights_that_are_no_numbers(emulated):
    check_shadow(64, (3, 2, 1, 4, 5), not_a_number=True)


@pytest.mark.sanitizer
def test_shadow_sanitized(sanitized):
    check_shadow(64, (1, 3, 0, 2, 2))


# -- normalisation

def check_finish(shape, relu, inset, mirror, several=True):
    x, w, b = random(*shape), random(shape[1], seed=1), random(shape[1], seed=2)
    n, c, high, wide = shape
    pictures = [None, x, random(n + 1, c, high + 3, wide + 2, seed=4), None] if several else [x]
    residuals = [v if v is None else random(*v.shape[:2], v.shape[2] + 2 * inset, v.shape[3] + 2 * inset, seed=3)
                 for v in pictures]
    made = picture_norm.finish([v if v is None else variable(v) for v in pictures], [variable(w)] * len(pictures),
                               [variable(b)] * len(pictures), 1e-5, relu,
                               [v if v is None else variable(v) for v in residuals], inset, mirror)
    for got, given, residual in zip(made, pictures, residuals):
        assert (got is None) == (given is None)
        if given is None:
            continue
        want, (high, wide) = normalise.in_float64(given, w, b, None, given)["result"], given.shape[2:]
        want = (np.maximum(want, 0) if relu else want) + residual[:, :, inset:inset + high, inset:inset + wide]
        want = np.pad(want, ((0, 0), (0, 0), (mirror, mirror), (mirror, mirror)), "reflect")
        assert got.shape == want.shape and np.abs(got - want).max() < 1e-4 * np.abs(want).max()


@pytest.mark.parametrize("relu, inset, mirror", [(False, 0, 0), (True, 0, 1), (False, 1, 1), (True, 2, 3)])
def test_picture_norm_with_what_follows(emulated, relu, inset, mirror):
    for several in (False, True):
        check_finish((2, 3, 5, 17), relu, inset, mirror, several)


def test_picture_norm_of_a_large_plane(emulated):
    """By more threads; twice in the same launch as small ones."""
    emulated.orders = (1, 3)
    check_finish((1, 2, 128, 131), False, 0, 1)


def check_linear(sizes):
    """sizes: (numbers in, numbers out, vectors) of each layer."""
    arrays = [random(rows + 3, into + 5, seed=i) for i, (into, _, rows) in enumerate(sizes)]
    weights, biases = ([random(*shape, seed=7 + i) for i, shape in enumerate(shapes)] for shapes in (
        [(out, into) for into, out, _ in sizes], [(out,) for _, out, _ in sizes]))
    inputs = [[linear.Row(v, (r + 3) * v.shape[1] + 5) for r in range(rows)]
              for v, (_, _, rows) in zip(map(variable, arrays), sizes)]
    made = linear.linear([None, *inputs], [None, *map(variable, weights)], [None, *map(variable, biases)])
    assert made[0] is None
    for a, w, b, got in zip(arrays, weights, biases, made[1:]):
        want = a[3:, 5:].astype(np.float64) @ w.T.astype(np.float64) + b
        assert got.shape == want.shape and np.abs(got - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("sizes", [
    [(24, 33, 1)], [(24, 33, 15)], [(4096, 3, 1)], [(4099, 2, 15)], [(1, 1, 2)], [(31, 9, 3), (24, 300, 15), (5, 1, 1)],
    [(5000, 3, 2), (24, 7, 1)], [(24, 8, 1), (24, 8, 2), (24, 8, 3), (24, 8, 4)]])
def test_linear_layers(emulated, sizes):
    check_linear(sizes)


@pytest.mark.sanitizer
def test_linear_layers_sanitized(sanitized):
    check_linear([(31, 9, 3), (5, 1, 15)])
    check_linear([(4100, 3, 2)])


@pytest.mark.sanitizer
def test_picture_norm_sanitized(sanitized):
    check_finish((1, 2, 4, 9), True, 1, 2)


# -- what would be found

def without_barrier(text, function, number):
    """The text without one __syncthreads() of a function, counted from 0."""
    at = text.index(f" {function}(")
    for _ in range(number + 1):
        at = text.index("__syncthreads();", at + 1)
    return text[:at] + text[at + len("__syncthreads();"):]


@pytest.mark.parametrize("kernel, function, number, check", [
    (picture_norm, "block_sum", 0, lambda: check_finish((2, 3, 17, 19), False, 0, 0, False)),
    (picture_norm, "block_sum", 1, lambda: check_finish((2, 3, 17, 19), False, 0, 0, False)),
    (linear, "linear_kernel", 0, lambda: check_linear([(4100, 3, 2)])),
    (projection, "block_min", 0, lambda: check_projection(300, 7, 1, 20)),
    (projection, "partition_by_block", 1, lambda: check_projection(600, 7, 1, 20))])
def test_a_barrier_that_is_missing_would_be_found(emulated, monkeypatch, kernel, function, number, check):
    """The second of block_sum and the first of block_min only matter to a warp that has run ahead."""
    monkeypatch.setattr(kernel, "CUDA", without_barrier(kernel.CUDA, function, number))
    with pytest.raises(emulator.Fault, match="depends on the order"):
        check()


@pytest.mark.sanitizer
def test_a_barrier_whose_lack_changes_no_number_would_be_found(sanitized, monkeypatch):
    """The first of solve_by_block: the largest pivot is read while another thread writes."""
    if sanitized.sanitizer != "thread":
        pytest.skip("only ThreadSanitizer sees it")
    monkeypatch.setattr(projection, "CUDA", without_barrier(projection.CUDA, "solve_by_block", 0))
    with pytest.raises(emulator.Fault, match="data race"):
        check_projection(300, 7, 1, 20)


# -- launches

def launch_projection(anchor):
    projection.project(variable(random(300, 4)), variable(random(2, 4, seed=1)), 3, anchor)


def launch_refined():
    projection.refined([variable(random(300, 4))], [variable(random(1, 4, seed=1))], [3], "nearest", [0.5])


LAUNCHES = {
    "nearest": (lambda: launch_projection("nearest"),
                ["distance_kernel", "chunk_kernel", "choose_kernel", "weights_kernel"], "some = 2"),
    "release": (lambda: launch_projection("release"),
                ["distance_kernel", "release_kernel", "weights_kernel"], "some = 2"),
    "merge": (lambda: check_merge(64, 1, 1), ["merge_kernel"], "size = 64"),
    "shadow": (lambda: check_shadow(64, (1,) * 5), ["shadow_kernel"], "canvas = 64"),
    "refine": (lambda: launch_refined(), ["distance_kernel", "chunk_kernel", "choose_kernel", "weights_kernel",
                                          "refine_kernel"], ""),
    "rows": (lambda: rows.take(variable(random(9, 300)), [3]), ["copy_rows_kernel"], "cells = 300, count = 1"),
    "linear": (lambda: check_linear([(24, 33, 2)]), ["linear_kernel"], "outputs = 33, into = 24"),
    "norm": (lambda: check_finish((1, 2, 3, 3), False, 0, 0, False), ["norm_kernel"], "planes = 2, cells = 9"),
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_refused_launch_names_kernel_and_sizes(emulated, name):
    call, kernels, sizes = LAUNCHES[name]
    for number, kernel in enumerate(kernels, 1):
        emulated.refuse = number
        with pytest.raises(RuntimeError, match=rf"kernel {kernel} \(.*{sizes}.*\): no kernel image"):
            call()


def gradient_of_merge(emulated):
    geometry = Geometry(64)
    function = merge._Merge(geometry)
    function.execute(*(variable(random(1, 1, geometry.window(c).size, geometry.window(c).size))
                       for c in ("rest", *MERGE_ORDER)))
    emulated.refuse = 5
    function.grad(variable(random(1, 1, 64, 64)))


def test_a_refused_launch_of_a_gradient(emulated):
    with pytest.raises(RuntimeError, match="kernel unmerge_kernel "):
        gradient_of_merge(emulated)


def test_no_queries_launch_nothing(emulated):
    emulated.refuse = 1
    got = projection.project(variable(random(30, 4)), variable(random(0, 4)), 3)
    assert got.vectors.shape == (0, 4) and got.rows.shape == (0, 3)
