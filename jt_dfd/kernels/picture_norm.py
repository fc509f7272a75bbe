"""Normalisation of each channel of each picture by its own statistics, forward and backward.

Instance normalisation (the generator), which is also what batch normalisation in training mode does to a batch of one
(the feature decoders).  In plain Jittor operations it is seven passes over the picture forward and more backward; here
it is two each way, the second of which mostly finds the plane in the processor's cache.
"""
from __future__ import annotations

import sys
from typing import Any, List, Optional, Sequence

import numpy as np

from ..backend import derived, jt
from . import source


def picture_norm(x, weight, bias, eps: float = 1e-5, impl: str = "kernel"):
    """(x - mean) / sqrt(variance + eps) * weight + bias, over each plane of (N, C, H, W) float32; variance biased.

    weight, bias  (C,) float32
    eps           1e-5 (release)
    impl          "kernel", or "reference" for the plain Jittor operations below

    Differentiable with respect to picture, weight and bias.
    """
    if len(x.shape) != 4 or tuple(weight.shape) != (x.shape[1],) or tuple(bias.shape) != (x.shape[1],) \
            or x.shape[2] * x.shape[3] == 0:
        raise ValueError(f"picture norm: pictures {tuple(x.shape)} do not fit weight {tuple(weight.shape)} and bias "
                         f"{tuple(bias.shape)}")
    if impl == "reference":
        return reference(x, weight, bias, eps)
    return _PictureNorm(eps)(x.float32(), weight, bias)


def finish(pictures: Sequence, weights: Sequence, biases: Sequence, eps: Optional[float] = 1e-5, relu: bool = False,
           residuals: Optional[Sequence] = None, inset: int = 0, mirror: int = 0) -> List:
    """``picture_norm`` of several pictures, each (N, C, H, W) of sizes of its own, together with what follows it in a
    network, in one operator; for inference, no gradient passes.

    weights, biases  (C,) float32 of each
    eps        None: no statistics, just x * weight + bias
    relu       negative results become 0
    residuals  (N, C, H + 2 inset, W + 2 inset) float32 of each, added last but for their borders of ``inset``; or None
    mirror     the results get a reflected border so wide, less than H and W, as the next convolution wants it
    Returns (N, C, H + 2 mirror, W + 2 mirror) of each.  A picture may be None: so are its result and what goes with it.
    """
    slots, count = source.slots(pictures)
    inputs, shapes, call = [], [], "jt_dfd::Pictures all = {}; "
    for slot, i in enumerate(slots):
        x, weight, bias = pictures[i], weights[i], biases[i]
        residual: Any = residuals[i] if residuals else None
        n, c, h, w = x.shape
        if tuple(weight.shape) != (c,) or tuple(bias.shape) != (c,) or mirror >= min(h, w) or (
                residuals and tuple(residual.shape) != (n, c, h + 2 * inset, w + 2 * inset)):
            raise ValueError(f"picture norm: pictures {tuple(x.shape)}, border {mirror}, weight {tuple(weight.shape)}, "
                             f"bias {tuple(bias.shape)}"
                             + (f", residual {tuple(residual.shape)}" if residuals else "") + " do not fit")
        call += _add(slot, len(inputs), f"in{len(inputs) + 3}_p" if residuals else "nullptr", "nullptr")
        inputs += [x.float32(), weight, bias] + ([residual] if residuals else [])
        shapes.append((n, c, h + 2 * mirror, w + 2 * mirror) if slot < count else (1,) * 4)
    data = {"eps": -1 if eps is None else eps, "relu": relu, "mirror": mirror, "inset": inset, "count": count}
    with jt.no_grad():
        made = source.run(sys.modules[__name__], call + _NORM, shapes, ["float32"] * len(slots), inputs, data)
    return source.back(pictures, made)


def reference(x, weight, bias, eps: float):
    """The same in plain Jittor operations."""
    mean = x.mean(dims=(2, 3), keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(dims=(2, 3), keepdims=True)
    return centred / jt.sqrt(variance + eps) * weight.reshape((1, -1, 1, 1)) + bias.reshape((1, -1, 1, 1))


@derived("Function")
class _PictureNorm:
    def __init__(self, eps: float):
        self.data = {"eps": eps, "relu": 0, "mirror": 0, "inset": 0, "count": 1}

    def execute(self, x, weight, bias):
        n, c = x.shape[:2]
        y, statistics = source.run(
            sys.modules[__name__], "jt_dfd::Pictures all = {}; " + _add(0, 0, "nullptr", "out1_p") + _NORM,
            [x.shape, (n, c, 2)], ["float32"] * 2, [x, weight, bias], self.data)
        self.saved = x, weight, statistics
        return y

    def grad(self, gradient):
        x, weight, statistics = self.saved
        n, c = x.shape[:2]
        to_x, sums = source.run(
            sys.modules[__name__], _SIZES + "jt_dfd_unnorm(in0_p, in1_p, in2_p, in3_p, planes, channels, cells, "
            "out0_p, out1_p);", [x.shape, (n, c, 2)], ["float32"] * 2, [x, weight, statistics, gradient.float32()], {})
        sums = sums.sum(0)
        return to_x, sums[:, 0], sums[:, 1]


def self_test():
    """[(check, largest error, tolerance)] on the device in use: two sizes of plane, a mean large beside the
    deviation."""
    rng, out = np.random.default_rng(11), []
    for shape in ((2, 3, 7, 9), (1, 5, 64, 64)):
        x = rng.standard_normal(shape, np.float32) * 0.5 + 4
        w, b = rng.standard_normal((2, shape[1]), np.float32)
        seed = rng.standard_normal(shape, np.float32)
        wanted = _in_float64(x, w, b, seed)
        variables = [jt.array(v) for v in (x, w, b)]
        made = picture_norm(*variables)
        got = [made] + jt.grad((made * jt.array(seed)).sum(), variables)
        for name, value, want in zip(("forward", "gradient of picture", "gradient of weight", "gradient of bias"),
                                     got, wanted):
            error = np.abs(value.numpy() - want).max() / np.abs(want).max()
            out.append((f"picture norm {shape[-1]} wide, {name}", float(error), 1e-4))
    return out + _finish_self_test(rng)


def _finish_self_test(rng):
    """Small and large planes in one launch, with and without statistics."""
    pictures = [rng.standard_normal(s, np.float32) for s in ((1, 3, 12, 9), (2, 4, 160, 130))]
    residuals = [rng.standard_normal((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2), np.float32) for x in pictures]
    weights, biases = ([rng.standard_normal(x.shape[1]).astype(np.float32) for x in pictures] for _ in range(2))
    x, w, b, more = ([*map(jt.array, arrays), None] for arrays in (pictures, weights, biases, residuals))
    out: List = []
    for name, eps, relu in (("normalised", 1e-5, True), ("scaled", None, False)):
        made = finish(x, w, b, eps, relu, more, 1, 2)
        for plane, scale, shift, beside, y in zip(pictures, weights, biases, residuals, made):
            want = (_in_float64(plane, scale, shift, plane)[0] if eps else plane.astype(np.float64)
                    * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1))
            want = (np.maximum(want, 0) if relu else want) + beside[:, :, 1:-1, 1:-1]
            want = np.pad(want, ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect")
            out.append((f"{name} with what follows, {plane.shape[-1]} wide",
                        float(np.abs(y.numpy() - want).max() / np.abs(want).max()), 1e-5))
    return out


def _in_float64(x, w, b, seed):
    x, w, b, seed = (v.astype(np.float64) for v in (x, w, b, seed))
    mean = x.mean((2, 3), keepdims=True)
    rate = 1 / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5)
    unit, scale = (x - mean) * rate, w.reshape(1, -1, 1, 1)
    to_x = rate * scale * (seed - seed.mean((2, 3), keepdims=True) - unit * (seed * unit).mean((2, 3), keepdims=True))
    return unit * scale + b.reshape(1, -1, 1, 1), to_x, (seed * unit).sum((0, 2, 3)), seed.sum((0, 2, 3))


# pictures (planes = N * C) of `cells` numbers each
_SIZES = "int planes = in0_shape0 * in0_shape1, channels = in0_shape1, cells = in0_shape2 * in0_shape3; "

_NORM = ('all.count = (int)data["count"]; all.relu = (int)data["relu"]; all.mirror = (int)data["mirror"]; '
         'all.inset = (int)data["inset"]; jt_dfd_norm(all, data["eps"]);')


def _add(slot: int, first: int, residual: str, statistics: str) -> str:
    """C++ that describes a picture: the input ``first``, with weight and bias behind it."""
    return (f"all.p[{slot}] = {{in{first}_p, in{first + 1}_p, in{first + 2}_p, {residual}, out{slot}_p, {statistics}, "
            f"(int)(in{first}_shape0 * in{first}_shape1), (int)in{first}_shape1, (int)in{first}_shape2, "
            f"(int)in{first}_shape3}}; ")


# statistics of a plane: its mean and one over its deviation.  sums of a plane: of gradient * normalised, of gradient
SHARED = r"""
namespace jt_dfd {
// statistics, where they are wanted: a mean and a rate a plane (planes = N * C)
struct Picture {
    const float *x, *weight, *bias, *residual;
    float *y, *statistics;
    int planes, channels, height, width;
};
struct Pictures { Picture p[5]; int count, relu, mirror, inset; };
// The picture that a plane, counted over all of them, belongs to; the number becomes that in the picture.
JT_DFD_SHARED int picture_of(const Pictures& all, int& plane) {
    int i = 0;
    while (plane >= all.p[i].planes) plane -= all.p[i++].planes;
    return i;
}
inline int planes_of(const Pictures& all) {
    int planes = 0;
    for (int i = 0; i < all.count; i++) planes += all.p[i].planes;
    return planes;
}
JT_DFD_SHARED int mirrored(int at, int size) { return at < 0 ? -at : at < size ? at : 2 * size - 2 - at; }

JT_DFD_SHARED float normalised(float x, const float* statistics) { return (x - statistics[0]) * statistics[1]; }
JT_DFD_SHARED float gradient_of_cell(float x, float gradient, const float* statistics, const float* sums, float scale,
                                     int cells) {
    return scale * statistics[1] * (gradient - sums[1] / cells - normalised(x, statistics) * (sums[0] / cells));
}
}
"""

CPU = r"""
namespace jt_dfd {
inline void plane_statistics(const float* in, int cells, double eps, float* mean, float* rate) {
    // sums of a block in float32, of the blocks in float64
    const int block = 4096;
    double total = 0, squares = 0;
    for (int start = 0; start < cells; start += block) {
        int end = start + block < cells ? start + block : cells;
        float sum = 0;
        for (int i = start; i < end; i++) sum += in[i];
        total += sum;
    }
    const float m = *mean = (float)(total / cells);
    for (int start = 0; start < cells; start += block) {
        int end = start + block < cells ? start + block : cells;
        float sum = 0;
        for (int i = start; i < end; i++) { float t = in[i] - m; sum += t * t; }
        squares += sum;
    }
    *rate = (float)(1 / std::sqrt(squares / cells + eps));
}
}

inline void jt_dfd_norm(const jt_dfd::Pictures& all, double eps) {
    const int planes = jt_dfd::planes_of(all);
    #pragma omp parallel for
    for (int plane = 0; plane < planes; plane++) {
        int p = plane;
        jt_dfd::Picture f = all.p[jt_dfd::picture_of(all, p)];
        if (!all.mirror && !all.inset) { f.width *= f.height; f.height = 1; }  // one long row is quicker
        const int width = f.width, cells = f.height * width;
        const int wide = width + 2 * all.mirror, high = f.height + 2 * all.mirror;
        const float* in = f.x + (int64_t)p * cells;
        float mean = 0, rate = 1;
        if (eps >= 0) jt_dfd::plane_statistics(in, cells, eps, &mean, &rate);
        if (f.statistics) { f.statistics[2 * p] = mean; f.statistics[2 * p + 1] = rate; }
        float scale = rate * f.weight[p % f.channels], shift = f.bias[p % f.channels];
        const int outer = width + 2 * all.inset;
        for (int row = 0; row < high; row++) {
            const int r = jt_dfd::mirrored(row - all.mirror, f.height);
            const float* from = in + (int64_t)r * width;
            float* to = f.y + ((int64_t)p * high + row) * wide + all.mirror;
            for (int c = 0; c < width; c++) to[c] = (from[c] - mean) * scale + shift;
            if (all.relu) for (int c = 0; c < width; c++) to[c] = to[c] > 0 ? to[c] : 0;
            if (f.residual) {
                const float* more = f.residual + all.inset +
                                    ((int64_t)p * (f.height + 2 * all.inset) + r + all.inset) * outer;
                for (int c = 0; c < width; c++) to[c] += more[c];
            }
            for (int m = 1; m <= all.mirror; m++) { to[-m] = to[m]; to[width - 1 + m] = to[width - 1 - m]; }
        }
    }
}

inline void jt_dfd_unnorm(const float* x, const float* weight, const float* statistics, const float* gradient,
                          int planes, int channels, int cells, float* to_x, float* sums) {
    #pragma omp parallel for
    for (int p = 0; p < planes; p++) {
        const float *in = x + (int64_t)p * cells, *g = gradient + (int64_t)p * cells, *s = statistics + 2 * p;
        float* out = to_x + (int64_t)p * cells;
        const int block = 4096;
        double products = 0, total = 0;
        for (int start = 0; start < cells; start += block) {
            int end = start + block < cells ? start + block : cells;
            float a = 0, b = 0;
            for (int i = start; i < end; i++) { a += g[i] * jt_dfd::normalised(in[i], s); b += g[i]; }
            products += a;
            total += b;
        }
        sums[2 * p] = (float)products;
        sums[2 * p + 1] = (float)total;
        float scale = weight[p % channels];
        for (int i = 0; i < cells; i++) out[i] = jt_dfd::gradient_of_cell(in[i], g[i], s, sums + 2 * p, scale, cells);
    }
}
"""

# a block of threads a plane
CUDA = r"""
namespace jt_dfd {
const int NORM_THREADS = 256, LARGE = 16384;

// the sum over the block, in every thread
__device__ inline float block_sum(float v, float* scratch) {
    for (int step = 16; step; step >>= 1) v += __shfl_down_sync(0xffffffffu, v, step);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < (int)blockDim.x / 32; i++) sum += scratch[i];
    __syncthreads();
    return sum;
}

__global__ void __launch_bounds__(4 * NORM_THREADS) norm_kernel(Pictures all, float eps) {
    __shared__ float scratch[32];
    int p = blockIdx.x;
    const Picture& f = all.p[picture_of(all, p)];
    int cells = f.height * f.width;
    const float* in = f.x + (int64_t)p * cells;
    float mean = 0, rate = 1;
    if (eps >= 0) {
        float sum = 0;
        for (int i = threadIdx.x; i < cells; i += blockDim.x) sum += in[i];
        mean = block_sum(sum, scratch) / cells;
        sum = 0;
        for (int i = threadIdx.x; i < cells; i += blockDim.x) { float t = in[i] - mean; sum += t * t; }
        rate = rsqrtf(block_sum(sum, scratch) / cells + eps);
    }
    if (threadIdx.x == 0 && f.statistics) { f.statistics[2 * p] = mean; f.statistics[2 * p + 1] = rate; }
    float scale = rate * f.weight[p % f.channels], shift = f.bias[p % f.channels];
    int wide = f.width + 2 * all.mirror, every = wide * (f.height + 2 * all.mirror), outer = f.width + 2 * all.inset;
    const float* more = f.residual ? f.residual + (int64_t)p * outer * (f.height + 2 * all.inset) : nullptr;
    for (int i = threadIdx.x; i < every; i += blockDim.x) {
        int row = mirrored(i / wide - all.mirror, f.height), column = mirrored(i % wide - all.mirror, f.width);
        float v = (in[row * f.width + column] - mean) * scale + shift;
        if (all.relu && v < 0) v = 0;
        if (more) v += more[(row + all.inset) * outer + column + all.inset];
        f.y[(int64_t)p * every + i] = v;
    }
}

__global__ void unnorm_kernel(const float* x, const float* weight, const float* statistics, const float* gradient,
                              int channels, int cells, float* to_x, float* sums) {
    __shared__ float scratch[NORM_THREADS / 32];
    int p = blockIdx.x;
    const float *in = x + (int64_t)p * cells, *g = gradient + (int64_t)p * cells, *s = statistics + 2 * p;
    float a = 0, b = 0;
    for (int i = threadIdx.x; i < cells; i += NORM_THREADS) { a += g[i] * normalised(in[i], s); b += g[i]; }
    float both[2] = {block_sum(a, scratch), block_sum(b, scratch)};
    if (threadIdx.x == 0) { sums[2 * p] = both[0]; sums[2 * p + 1] = both[1]; }
    float scale = weight[p % channels];
    for (int i = threadIdx.x; i < cells; i += NORM_THREADS)
        to_x[(int64_t)p * cells + i] = gradient_of_cell(in[i], g[i], s, both, scale, cells);
}
}

inline void jt_dfd_norm(const jt_dfd::Pictures& all, double eps) {
    int planes = jt_dfd::planes_of(all), cells = 0;
    if (planes == 0) return;
    for (int i = 0; i < all.count; i++)
        if (cells < all.p[i].height * all.p[i].width) cells = all.p[i].height * all.p[i].width;
    // a few planes have to fill the memory's bus (ours; not measured yet)
    int threads = cells < jt_dfd::LARGE ? jt_dfd::NORM_THREADS : 4 * jt_dfd::NORM_THREADS;
    jt_dfd::norm_kernel<<<planes, threads>>>(all, (float)eps);
    JT_DFD_LAUNCHED("norm_kernel", planes, cells);
}

inline void jt_dfd_unnorm(const float* x, const float* weight, const float* statistics, const float* gradient,
                          int planes, int channels, int cells, float* to_x, float* sums) {
    if (planes == 0) return;
    jt_dfd::unnorm_kernel<<<planes, jt_dfd::NORM_THREADS>>>(x, weight, statistics, gradient, channels, cells, to_x,
                                                            sums);
    JT_DFD_LAUNCHED("unnorm_kernel", planes, cells);
}
"""
