"""The JIT kernels against their references, and against the readable statements of what they compute."""
import ctypes
import platform
import re
import shutil
import subprocess

import numpy as np
import pytest

from jt_dfd.backend import jt
from jt_dfd.components import COMPONENTS, MERGE_ORDER, Geometry
from jt_dfd.kernels import (
    doubling,
    linear,
    merge,
    narrow_convolution,
    normalise,
    picture_norm,
    picture_norm_last,
    projection,
    rows,
    selection,
    shadow,
    source,
    winograd,
)

KERNELS = (projection, merge, rows, linear, shadow, picture_norm, normalise)
# what a header-only text needs so that nvcc generates its templates
INSTANCES = {merge: """
template void jt_dfd_merge<{T}>(const {T}*, const {T}*, const {T}*, const {T}*, const {T}*, {T}*, \
int, int, int, const int*);
template void jt_dfd_unmerge<{T}>(const {T}*, {T}*, {T}*, {T}*, {T}*, {T}*, int, int, int, const int*);
"""}


@pytest.mark.parametrize("kernel", [*KERNELS, winograd, doubling, narrow_convolution, picture_norm_last],
                         ids=lambda k: k.__name__.split(".")[-1])
def test_self_test(kernel):
    """On the CPU here; the same checks run on a GPU where there is one (tests/gpu, tools/doctor.py --gpu)."""
    checks = kernel.self_test()
    assert checks
    for name, error, tolerance in checks:
        assert error <= tolerance, name


# -- every instruction set: the texts compiled for it by themselves, as Jittor would on a processor that has no more

#: flags that select a set, and the processor's words for it in /proc/cpuinfo
X86 = {"avx512": (["-mavx512f", "-mfma"], {"avx512f"}), "avx2": (["-mavx2", "-mfma"], {"avx2", "fma"}),
       "baseline": ([], set())}
ENTRY = """
extern "C" void entry_winograd(const float* x, const float* w, const float* b, int n, int high, int wide, int c, \
int blocks,
                               float* y) {
    jt_dfd::winograd(x, w, b, x, n, high, wide, c, blocks, 1, 1, y);
}
extern "C" void entry_doubling(const float* x, const float* w, const float* b, int n, int high, int wide, int c, \
int blocks,
                               int size, float* y) {
    jt_dfd::doubling(x, w, b, n, high, wide, c, blocks, size, y);
}
"""


@pytest.fixture(scope="module", params=source.VECTOR_SETS, ids=lambda s: s.name)
def for_set(request, tmp_path_factory):
    """(vector set, library of the kernels compiled for it)."""
    flags = []
    if platform.machine() == "x86_64":
        flags, words = X86[request.param.name]
        there = {w for line in open("/proc/cpuinfo") if line.startswith("flags") for w in line.split()}
        if not words <= there:
            pytest.skip(f"this processor has no {request.param.name}")
    path = tmp_path_factory.mktemp("set") / "kernels.so"
    text = source.PRELUDE + request.param.text() + winograd.CPU + doubling.CPU + ENTRY
    done = subprocess.run([jt.flags.cc_path, "-std=c++14", "-O3", "-ffast-math", "-fPIC", "-shared", "-fopenmp", *flags,
                           "-x", "c++", "-", "-o", str(path)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return request.param, ctypes.CDLL(str(path))


def pointers(*arrays):
    return [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]


# in vectors: one, an odd number, and more tiles than are computed together
@pytest.mark.parametrize("n, height, width, vectors", [(1, 4, 4, 1), (2, 9, 14, 3), (1, 33, 30, 4)])
def test_winograd_for_every_instruction_set(for_set, n, height, width, vectors):
    used, library = for_set
    channels = vectors * used.lanes
    x, w, b = random(n, height, width, channels), random(channels, channels, 3, 3, seed=1), random(channels, seed=2)
    packed = np.ascontiguousarray(winograd.pack(jt.array(w), used.lanes).numpy())
    got = np.empty_like(x)
    library.entry_winograd(*pointers(x, packed, b), n, height, width, channels, vectors, *pointers(got))
    want = winograd.reference(*map(jt.array, (x, w, b)), True, True, jt.array(x)).numpy()
    assert np.abs(got - want).max() < 5e-5 * np.abs(want).max()


@pytest.mark.parametrize("size, n, height, width, channels, vectors", [(4, 2, 3, 27, 5, 3), (3, 1, 4, 16, 16, 1),
                                                                       (4, 1, 2, 13, 8, 2)])
def test_doubling_for_every_instruction_set(for_set, size, n, height, width, channels, vectors):
    used, library = for_set
    out = vectors * used.lanes
    x, w, b = random(n, height, width, channels), random(channels, out, size, size, seed=1), random(out, seed=2)
    packed = np.ascontiguousarray(doubling.pack(jt.array(w), used.lanes).numpy())
    got = np.empty((n, 2 * height, 2 * width, out), np.float32)
    library.entry_doubling(*pointers(x, packed, b), n, height, width, channels, vectors, size, *pointers(got))
    want = doubling.reference(*map(jt.array, (x, w, b))).numpy()
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


def test_the_set_is_what_the_compiler_generates():
    """Narrowing flags narrow it, so weights are packed as the kernel reads them."""
    if platform.machine() != "x86_64":
        pytest.skip("flags of x86")
    assert source.vector_set_of(jt.flags.cc_path, ["-mavx2", "-mfma"]).lanes == 8
    assert source.vector_set_of(jt.flags.cc_path, []).lanes == 4
    assert source.vector_set_of(jt.flags.cc_path, ["-mavx512f"]).lanes == 16
    assert source.vector_set_of(jt.flags.cc_path, ["-mavx2", "-mfma", "-mavx512f", "-mno-avx512f"]).lanes == 8
    assert source.vector_set_of("/no/such/compiler", []).lanes == 4


def test_a_changed_kernel_is_compiled_anew(monkeypatch):
    """Where call and shapes stay: a clone that is brought up to date must not run what was compiled before."""
    x, w, b = (jt.array(np.ones(shape, np.float32)) for shape in ((1, 8, 8, 3), (1, 3, 3, 3), (1,)))
    before = narrow_convolution.CPU
    for factor in (1, 2, 3):
        text = before.replace("sums[i] + bias[o]", f"sums[i] * {factor}.f + bias[o]")
        monkeypatch.setattr(narrow_convolution, "CPU", text)
        assert narrow_convolution.narrow_convolution(x, w, b).numpy().max() == 27 * factor + 1


def test_the_compiler_takes_the_kept_headers(tmp_path):
    """Those that every operator begins with; where they do not fit the flags, g++ reads the text, and is slow."""
    if "headers_operators.h" not in jt.flags.cc_flags:
        pytest.skip("a Jittor that is taken as it is installed, or one for CUDA")
    done = subprocess.run(f"{jt.flags.cc_path} {jt.flags.cc_flags} -Winvalid-pch -Werror -x c++ /dev/null -c -o "
                          f"{tmp_path}/x.o", shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__.split(".")[-1])
def test_cuda_source_compiles(kernel, architecture, tmp_path):
    if not shutil.which("nvcc"):
        pytest.skip("no nvcc on this machine")
    text = source.cuda_text(kernel)
    for element in ("float", "__half"):
        text += INSTANCES.get(kernel, "").replace("{T}", element)
    if kernel in INSTANCES:
        text = "#include <cuda_fp16.h>\n" + text
    (tmp_path / "kernel.cu").write_text(text)
    done = subprocess.run(["nvcc", "-std=c++17", "-arch", architecture, "-cubin", "-o", str(tmp_path / "kernel.cubin"),
                           str(tmp_path / "kernel.cu")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kernel.cubin").stat().st_size > 1000


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__.split(".")[-1])
def test_nvcc_reads_what_jittor_writes_behind_the_last_include(kernel):
    """Jittor defines in0_type, index_t and the like in the line after the text's last #include."""
    text = source.cuda_text(kernel)
    before = text[:text.rindex("#include")]
    assert len(re.findall(r"^ *#if", before, re.M)) == len(re.findall(r"^ *#endif", before, re.M))


# -- projection

def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("anchor", selection.ANCHORS)
@pytest.mark.parametrize("rows, width, k", [(11456, 512, 15), (6247, 512, 10), (300, 24, 20), (77, 33, 64), (9, 5, 3)])
def test_projection_equals_the_readable_statement(anchor, rows, width, k):
    bank, queries = random(rows, width), random(4, width, seed=1)
    got = projection.project(jt.array(bank), jt.array(queries), k, anchor)
    for q, query in enumerate(queries):
        want = selection.neighbours(bank, query, k, anchor)
        assert np.array_equal(got.rows.numpy()[q], want)
        w = selection.rebuilding_weights(bank[want], query)
        assert np.abs(got.weights.numpy()[q] - w).max() < 1e-5 * max(1, np.abs(w).max())
        assert np.abs(got.vectors.numpy()[q] - w @ bank[want].astype(np.float64)).max() < 1e-4


def test_a_row_of_the_bank_projects_onto_itself():
    bank = random(2000, 64)
    got = projection.project(jt.array(bank), jt.array(bank[[7, 1999]]), 15)
    assert got.rows.numpy()[:, 0].tolist() == [7, 1999]
    assert np.abs(got.vectors.numpy() - bank[[7, 1999]]).max() < 1e-5


def test_equal_rows_and_small_banks():
    bank = np.repeat(random(4, 16), 5, axis=0)
    got = projection.project(jt.array(bank), jt.array(random(1, 16, seed=3)), 15)
    weights = got.weights.numpy()[0]
    assert np.isfinite(weights).all() and abs(weights.sum() - 1) < 1e-5 and np.abs(weights).max() < 10
    rows = got.rows.numpy()[0]
    assert all(rows[i + 1] == rows[i] + 1 for i in range(14) if rows[i] % 5 != 4), "ties go by row number"
    alone = projection.project(jt.array(bank[:1]), jt.array(random(1, 16, seed=3)), 15)
    assert alone.weights.numpy().tolist() == [[1.0]] and np.abs(alone.vectors.numpy() - bank[:1]).max() < 1e-6


def test_numbers_that_are_none_do_not_crash_the_selection():
    bank = random(3000, 32)
    bank[5], bank[6, 0] = np.nan, np.inf
    for anchor in selection.ANCHORS:
        rows = projection.project(jt.array(bank), jt.array(random(1, 32, seed=1)), 15, anchor).rows.numpy()
        assert not {5, 6} & set(rows[0].tolist())
    query = np.full((1, 32), np.nan, np.float32)
    rows = projection.project(jt.array(bank), jt.array(query), 15, "release").rows.numpy()
    assert ((rows >= 0) & (rows < 3000)).all()


def test_projection_refuses_wrong_arguments():
    bank, query = jt.array(random(10, 4)), jt.array(random(1, 4))
    for k in (0, 65, -1, 2.5, True, "3"):
        with pytest.raises(ValueError, match="1 to 64"):
            projection.project(bank, query, k)
    with pytest.raises(ValueError, match="nearest, release"):
        projection.project(bank, query, 3, "farthest")
    with pytest.raises(ValueError, match="bank"):
        projection.project(bank, jt.array(random(1, 5)), 3)


# -- merging

def maps(geometry, batch=1, channels=2, seed=0, dtype=np.float32):
    return {c: jt.array(random(batch, channels, geometry.window(c).size, geometry.window(c).size, seed=seed + i)
                        .astype(dtype)) for i, c in enumerate(COMPONENTS)}


@pytest.mark.parametrize("canvas", [64, 256, 512])
def test_merge_overwrites_in_the_release_s_order(canvas):
    geometry = Geometry(canvas)
    features = maps(geometry)
    want = features["rest"].numpy().copy()
    for part in MERGE_ORDER:
        x, y, w, h = geometry.merge_window(part)
        want[:, :, y:y + h, x:x + w] = features[part].numpy()[:, :, :h]
    assert np.array_equal(merge.merge(features, geometry).numpy(), want)


def test_the_nose_gives_up_its_last_36_rows_to_the_mouth():
    geometry = Geometry(512)
    features = maps(geometry, channels=1)
    merged, window = merge.merge(features, geometry).numpy()[0, 0], geometry.window("nose")
    bottom = window.y + window.size
    assert np.array_equal(merged[bottom - 37, 260:300], features["nose"].numpy()[0, 0, 160 - 37, 260 - 182:300 - 182])
    assert np.array_equal(merged[bottom - 36, 260:300],
                          features["mouth"].numpy()[0, 0, bottom - 36 - 301, 260 - 169:300 - 169])


def test_every_gradient_goes_back_to_the_map_its_pixel_came_from():
    geometry = Geometry(64)
    features = maps(geometry, batch=2)
    weight = jt.array(random(2, 2, 64, 64, seed=9))
    grads = jt.grad((merge.merge(features, geometry) * weight).sum(), [features[c] for c in COMPONENTS])
    plain = jt.grad((merge.reference(features, geometry) * weight).sum(), [features[c] for c in COMPONENTS])
    for c, got, want in zip(COMPONENTS, grads, plain):
        assert np.array_equal(got.numpy(), want.numpy()), c
    total = sum(float(g.numpy().sum()) for g in grads)
    assert abs(total - float(weight.numpy().sum())) < 1e-3, "no gradient may get lost"


def test_merge_of_half_precision():
    geometry = Geometry(64)
    features = maps(geometry, dtype=np.float16)
    assert np.array_equal(merge.merge(features, geometry).numpy(), merge.reference(features, geometry).numpy())


def test_merge_refuses_maps_that_do_not_fit():
    geometry = Geometry(64)
    features = maps(geometry)
    features["nose"] = features["nose"][:, :, 1:]
    with pytest.raises(ValueError, match="nose"):
        merge.merge(features, geometry)


# -- shadow

def test_no_neighbour_with_weight_leaves_a_white_page():
    geometry = Geometry(64)
    decoded = {c: -jt.ones((3, geometry.window(c).size, geometry.window(c).size)) for c in COMPONENTS}
    page, parts = shadow.pictures(shadow.shadow(decoded, {c: [-0.3, 0, -1] for c in COMPONENTS}, geometry).numpy(),
                                  geometry)
    assert (page == 255).all() and all((p == 255).all() for p in parts.values())
    page, parts = shadow.pictures(shadow.shadow(decoded, {c: [0.5, 0.9, -1] for c in COMPONENTS}, geometry).numpy(),
                                  geometry)
    # 0.9 counts as 0.5 at most, so the two together are full ink
    assert all((p == 0).all() for p in parts.values()) and page.max() < 80


def test_a_part_s_shadow_fades_towards_its_window_s_rim():
    geometry = Geometry(512)
    decoded = {c: jt.ones((1, geometry.window(c).size, geometry.window(c).size)) for c in COMPONENTS}
    decoded["mouth"] = -decoded["mouth"]
    page, _ = shadow.pictures(shadow.shadow(decoded, {c: [1] for c in COMPONENTS}, geometry).numpy(), geometry)
    w = geometry.window("mouth")
    middle, rim = page[w.y + 96, w.x + 96], page[w.y + 96, w.x + 1]
    assert middle < 200 and rim > 250 and (page[:w.y] == 255).all()


# -- normalisation with what follows it

@pytest.mark.parametrize("relu, inset, mirror", [(False, None, 0), (True, None, 1), (False, 0, 3), (False, 1, 1),
                                                 (False, 2, 0)])
def test_a_normalisation_takes_along_what_follows_it(relu, inset, mirror):
    x, w, b = random(2, 3, 9, 14) * 3 + 5, random(3, seed=1), random(3, seed=2)
    residual = None if inset is None else random(2, 3, 9 + 2 * inset, 14 + 2 * inset, seed=3)
    x, w, b, residual = (None if v is None else jt.array(v) for v in (x, w, b, residual))
    small = jt.array(random(1, 3, 4, 5, seed=4))       # beside it, another size, and one that is left out
    beside = None if inset is None else jt.array(random(1, 3, 4 + 2 * inset, 5 + 2 * inset, seed=5))
    got, none, other = picture_norm.finish(
        [x, None, small], [w] * 3, [b] * 3, relu=relu, inset=inset or 0, mirror=mirror,
        residuals=None if inset is None else [residual, None, beside])
    assert none is None
    for made, given, more in ((got, x, residual), (other, small, beside)):
        want = normalise.normalise(given, w, b)[0].numpy()
        want = np.maximum(want, 0) if relu else want
        if more is not None:
            want = want + more.numpy()[:, :, inset:want.shape[2] + inset, inset:want.shape[3] + inset]
        want = np.pad(want, ((0, 0), (0, 0), (mirror, mirror), (mirror, mirror)), "reflect")
        assert made.shape == want.shape and np.abs(made.numpy() - want).max() < 1e-6
    bare, = picture_norm.finish([x], [w], [b], eps=None)
    assert np.abs(bare.numpy() - (x.numpy() * w.numpy().reshape(-1, 1, 1) + b.numpy().reshape(-1, 1, 1))).max() < 1e-5
    with pytest.raises(ValueError, match="do not fit"):
        picture_norm.finish([x], [w], [b], mirror=9)


# -- linear layers

def test_a_linear_layer_says_what_does_not_fit():
    x, w, b = jt.zeros((2, 6)), jt.zeros((3, 4)), jt.zeros(3)
    for places, bias in (([9], b), ([-1], b), ([0] * 16, b), ([], b), ([0], jt.zeros(4))):
        with pytest.raises(ValueError, match="linear: "):
            linear.linear([[linear.Row(x, at) for at in places]], [w], [bias])


# -- narrow convolution

@pytest.mark.parametrize("mirror", [0, 3])
@pytest.mark.parametrize("channels, edge, kernel, out", [(32, 40, 5, 1), (56, 30, 7, 3), (3, 9, 3, 4), (5, 7, 7, 2)])
def test_narrow_convolution_equals_its_reference(channels, edge, kernel, out, mirror):
    x, w, b = (jt.array(random(*s, seed=i)) for i, s in enumerate((
        (2, edge, edge + 1, channels), (out, channels, kernel, kernel), (out,))))
    got, want = (function(x, w, b, mirror).numpy()
                 for function in (narrow_convolution.narrow_convolution, narrow_convolution.reference))
    assert got.shape == want.shape == (2, edge + 2 * mirror - kernel + 1, edge + 2 * mirror - kernel + 2, out)
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


def test_narrow_convolution_refuses_what_does_not_fit():
    x = jt.zeros((1, 8, 8, 3))
    for weight, bias in (((1, 4, 3, 3), 1), ((5, 3, 3, 3), 5), ((1, 3, 9, 3), 1), ((2, 3, 3, 3), 1)):
        with pytest.raises(ValueError, match="do not fit"):
            narrow_convolution.narrow_convolution(x, jt.zeros(weight), jt.zeros(bias))


# -- winograd

@pytest.mark.parametrize("n, height, width, channels, out", [(1, 4, 4, 16, 16), (3, 9, 14, 32, 48), (1, 2, 3, 16, 32),
                                                             (1, 33, 70, 16, 16), (2, 16, 16, 64, 128)])
@pytest.mark.parametrize("mirror, relu, rest", [(True, True, False), (True, False, True), (False, False, False)])
def test_winograd_equals_its_reference(n, height, width, channels, out, mirror, relu, rest):
    if not mirror and height < 3:
        pytest.skip("no output without the mirrored border")
    less = 0 if mirror else 2
    x, w, b, r = (jt.array(random(*s, seed=i)) for i, s in enumerate((
        (n, height, width, channels), (out, channels, 3, 3), (out,), (n, height - less, width - less, out))))
    residual = r if rest else None
    got = winograd.winograd(x, winograd.pack(w), b, mirror, relu, residual).numpy()
    want = winograd.reference(x, w, b, mirror, relu, residual).numpy()
    assert got.shape == want.shape and np.abs(got - want).max() < 5e-5 * np.abs(want).max()


def test_winograd_says_what_does_not_fit():
    w, b = winograd.pack(jt.zeros((16, 32, 3, 3))), jt.zeros(16)
    for shape, mirror in (((1, 8, 8, 16), True), ((1, 2, 8, 32), False), ((1, 1, 8, 32), True)):
        with pytest.raises(ValueError, match="do not fit"):
            winograd.winograd(jt.zeros(shape), w, b, mirror)
    assert not winograd.fits(jt.zeros((16, 26, 3, 3))) and not winograd.fits(jt.zeros((16, 16, 5, 5)))


# -- doubling

@pytest.mark.parametrize("size, n, height, width, channels, out", [
    (4, 1, 1, 1, 16, 16), (4, 2, 5, 27, 33, 48), (3, 1, 3, 16, 16, 32), (3, 2, 7, 9, 5, 16), (4, 1, 32, 64, 64, 32)])
def test_doubling_equals_its_reference_and_the_layer(size, n, height, width, channels, out):
    x, w, b = (jt.array(random(*s, seed=i)) for i, s in enumerate((
        (n, height, width, channels), (channels, out, size, size), (out,))))
    layer = jt.nn.ConvTranspose(channels, out, size, stride=2, padding=1, output_padding=4 - size)
    layer.weight, layer.bias = w, b
    assert doubling.fits(layer)
    got = doubling.doubling(x, doubling.pack(w), b).numpy()
    for want in (doubling.reference(x, w, b).numpy(), layer(x.transpose((0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)):
        assert got.shape == want.shape and np.abs(got - want).max() < 1e-5 * np.abs(want).max()


def test_doubling_says_what_does_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        doubling.doubling(jt.zeros((1, 8, 8, 16)), doubling.pack(jt.zeros((32, 16, 4, 4))), jt.zeros(16))
    for changes in (dict(stride=1), dict(stride=2, padding=0), dict(stride=2, padding=1, output_padding=1)):
        assert not doubling.fits(jt.nn.ConvTranspose(16, 16, 4, **changes))
    assert not doubling.fits(jt.nn.ConvTranspose(16, 26, 4, stride=2, padding=1))


# -- picture norm, channels last

@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 33, 70, 5), (1, 64, 64, 56)])
@pytest.mark.parametrize("relu, rest", [(False, False), (True, False), (False, True)])
def test_picture_norm_last_equals_its_reference(shape, relu, rest):
    x, w, b, r = (jt.array(random(*s, seed=i)) for i, s in enumerate((shape, shape[3:], shape[3:], shape)))
    residual = r if rest else None
    got = picture_norm_last.picture_norm_last(x * 3 + 20, w, b, 1e-5, relu, residual).numpy()
    want = picture_norm_last.reference((x * 3 + 20).float64(), w, b, 1e-5, relu, residual).numpy()
    assert got.shape == want.shape and np.abs(got - want).max() < 2e-4 * max(1, np.abs(want).max())
    again = picture_norm_last.picture_norm_last(x * 3 + 20, w, b, 1e-5, relu, residual).numpy()
    assert np.array_equal(got, again)


def test_picture_norm_last_says_what_does_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        picture_norm_last.picture_norm_last(jt.zeros((1, 8, 8, 4)), jt.ones(8), jt.zeros(4))
