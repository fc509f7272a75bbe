"""Normalisation of each channel of each picture by its own statistics, with what follows it, of several networks at
once; for inference.

Instance normalisation (the generator), which is also what batch normalisation in training mode does to a batch of one
(the feature decoders).  In plain Jittor operations it is seven passes over the picture; here it is two, the second of
which mostly finds the plane in the processor's cache.  ``normalise`` is the form for training.
"""
from __future__ import annotations

import sys
from typing import Any, List, Optional, Sequence

import numpy as np

from ..backend import jt
from . import source
from .normalise import BLOCK_SUM, MIRRORED, PLANE_SUMS, in_float64


def finish(pictures: Sequence, weights: Sequence, biases: Sequence, eps: Optional[float] = 1e-5, relu: bool = False,
           residuals: Optional[Sequence] = None, inset: int = 0, mirror: int = 0) -> List:
    """(x - mean) / sqrt(variance + eps) * weight + bias over each plane of several pictures, each (N, C, H, W) float32
    of sizes of its own, variance biased, and what follows it in a network, in one operator.  No gradient passes.

    weights, biases  (C,) float32 of each
    eps        1e-5 (release); None: no statistics, just x * weight + bias
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
        call += _add(slot, len(inputs), f"in{len(inputs) + 3}_p" if residuals else "nullptr")
        inputs += [x.float32(), weight, bias] + ([residual] if residuals else [])
        shapes.append((n, c, h + 2 * mirror, w + 2 * mirror) if slot < count else (1,) * 4)
    data = {"eps": -1 if eps is None else eps, "relu": relu, "mirror": mirror, "inset": inset, "count": count}
    with jt.no_grad():
        made = source.run(sys.modules[__name__], call + _NORM, shapes, ["float32"] * len(slots), inputs, data)
    return source.back(pictures, made)


def self_test():
    """[(check, largest error, tolerance)] on the device in use: small and large planes in one launch, with and without
    statistics."""
    rng = np.random.default_rng(11)
    pictures = [rng.standard_normal(s, np.float32) for s in ((1, 3, 12, 9), (2, 4, 160, 130))]
    residuals = [rng.standard_normal((*x.shape[:2], x.shape[2] + 2, x.shape[3] + 2), np.float32) for x in pictures]
    weights, biases = ([rng.standard_normal(x.shape[1]).astype(np.float32) for x in pictures] for _ in range(2))
    x, w, b, more = ([*map(jt.array, arrays), None] for arrays in (pictures, weights, biases, residuals))
    out: List = []
    for name, eps, relu in (("normalised", 1e-5, True), ("scaled", None, False)):
        made = finish(x, w, b, eps, relu, more, 1, 2)
        for plane, scale, shift, beside, y in zip(pictures, weights, biases, residuals, made):
            want = (in_float64(plane, scale, shift, None, plane)["result"] if eps else plane.astype(np.float64)
                    * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1))
            want = (np.maximum(want, 0) if relu else want) + beside[:, :, 1:-1, 1:-1]
            want = np.pad(want, ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect")
            out.append((f"{name} with what follows, {plane.shape[-1]} wide",
                        float(np.abs(y.numpy() - want).max() / np.abs(want).max()), 1e-5))
    return out


_NORM = ('all.count = (int)data["count"]; all.relu = (int)data["relu"]; all.mirror = (int)data["mirror"]; '
         'all.inset = (int)data["inset"]; jt_dfd_norm(all, data["eps"]);')


def _add(slot: int, first: int, residual: str) -> str:
    """C++ that describes a picture: the input ``first``, with weight and bias behind it."""
    return (f"all.p[{slot}] = {{in{first}_p, in{first + 1}_p, in{first + 2}_p, {residual}, out{slot}_p, "
            f"(int)(in{first}_shape0 * in{first}_shape1), (int)in{first}_shape1, (int)in{first}_shape2, "
            f"(int)in{first}_shape3}}; ")


SHARED = MIRRORED + r"""
namespace jt_dfd {
struct Picture {   // planes = N * C
    const float *x, *weight, *bias, *residual;
    float* y;
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
}
"""

CPU = PLANE_SUMS + r"""
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
        if (eps >= 0) {
            double squares;
            jt_dfd::plane_sums(in, cells, &mean, &squares);
            rate = (float)(1 / std::sqrt(squares / cells + eps));
        }
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

"""

# a block of threads a plane
CUDA = BLOCK_SUM + r"""
namespace jt_dfd {
const int NORM_THREADS = 256, LARGE = 16384;

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
"""
