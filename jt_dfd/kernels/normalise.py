"""What lies between two convolutions in training, forward and backward: normalisation, activation, residual sum and
reflected border as one operator.

Statistics are those of each channel over the whole batch (BatchNorm in training mode) or of each picture by itself
(InstanceNorm).  In plain Jittor operations the same is some twenty operators there and back, each a pass over the
pictures or more; here it is two passes each way.  ``picture_norm.finish`` is the form for inference.
"""
from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..backend import derived, jt
from . import source


def normalise(x, weight, bias, eps: float = 1e-5, together: bool = False, slope: float = 1.0, residual=None,
              inset: int = 0, mirror: int = 0):
    """(x - mean) / sqrt(variance + eps) * weight + bias, of (N, C, H, W) float32, and what follows it.

    weight, bias  (C,) float32
    eps           1e-5 (release)
    together      statistics over the batch instead of each picture's own; variance biased (Jittor)
    slope         negative results are multiplied with it: 0 is a ReLU, 0.2 the discriminator's LeakyReLU, 1 nothing
    residual      (N, C, H + 2 inset, W + 2 inset) float32, added last but for its border of ``inset``; or None
    mirror        the result gets a reflected border so wide, less than H and W, as the next convolution wants it

    Returns ((N, C, H + 2 mirror, W + 2 mirror), statistics).  statistics: (N or 1, C, 2), mean and variance; no
    gradient passes through them.  The first is differentiable with respect to x, weight, bias and residual.
    """
    n, c, h, w = x.shape
    if tuple(weight.shape) != (c,) or tuple(bias.shape) != (c,) or h * w == 0 or mirror >= min(h, w) or (
            residual is not None and tuple(residual.shape) != (n, c, h + 2 * inset, w + 2 * inset)):
        raise ValueError(f"normalise: pictures {tuple(x.shape)}, border {mirror}, weight {tuple(weight.shape)}, "
                         f"bias {tuple(bias.shape)}"
                         + ("" if residual is None else f", residual {tuple(residual.shape)}") + " do not fit")
    function = _Normalise(eps, together, slope, 0 if residual is None else inset, mirror)
    y = function(x.float32(), weight, bias, *([] if residual is None else [residual]))
    return y, function.statistics


@derived("Function")
class _Normalise:
    def __init__(self, eps: float, together: bool, slope: float, inset: int, mirror: int):
        self.data = {"eps": eps, "together": together, "slope": slope, "inset": inset, "mirror": mirror}

    def execute(self, x, weight, bias, residual=None):
        n, c, h, w = x.shape
        border = 2 * self.data["mirror"]
        y, self.statistics, _ = source.run(
            sys.modules[__name__], _SIZES + "jt_dfd_normalise(in0_p, in1_p, in2_p, "
            + ("nullptr" if residual is None else "in3_p") + ', shape, (float)data["eps"], out0_p, out1_p, out2_p);',
            [(n, c, h + border, w + border), (1 if self.data["together"] else n, c, 2), (n, c, 2)], ["float32"] * 3,
            [x, weight, bias] + ([] if residual is None else [residual]), self.data)
        self.statistics = self.statistics.stop_grad()
        self.saved, self.residual = (x, weight, bias, self.statistics), residual is not None and residual.shape
        return y

    def grad(self, gradient):
        x, weight = self.saved[:2]
        n, c = x.shape[:2]
        shapes = [x.shape, (n, c, 2)] + ([self.residual] if self.residual else [])
        to_x, sums, *to_residual = source.run(
            sys.modules[__name__], _SIZES + "jt_dfd_unnormalise(in0_p, in1_p, in2_p, in3_p, in4_p, shape, "
            '(float)data["eps"], out0_p, out1_p, ' + ("out2_p" if self.residual else "nullptr") + ");",
            shapes, ["float32"] * len(shapes), [*self.saved, gradient.float32()], self.data)
        sums = sums.sum(0)
        return (to_x, sums[:, 0], sums[:, 1], *to_residual)


def reference(x, weight, bias, eps: float = 1e-5, together: bool = False, slope: float = 1.0, residual=None,
              inset: int = 0, mirror: int = 0):
    """The picture of ``normalise`` in plain Jittor operations."""
    n, c, h, w = x.shape
    dims = (0, 2, 3) if together else (2, 3)
    centred = x - x.mean(dims=dims, keepdims=True)
    variance = (centred * centred).mean(dims=dims, keepdims=True)
    y = centred / jt.sqrt(variance + eps) * weight.reshape((1, -1, 1, 1)) + bias.reshape((1, -1, 1, 1))
    y = jt.ternary(y > 0, y, y * slope)
    if residual is not None:
        y = y + residual[:, :, inset:inset + h, inset:inset + w]
    return jt.nn.ReflectionPad2d(mirror)(y) if mirror else y


def self_test():
    """[(check, largest error, tolerance)] on the device in use, against float64: statistics of a batch and of a
    picture, with all that may follow, a mean large beside the deviation."""
    out = []
    for shape, options in (((3, 4, 7, 9), {"together": True, "slope": 0.0, "mirror": 2}),
                           ((2, 3, 40, 33), {"slope": 0.2, "inset": 1, "mirror": 1})):
        arrays: Any = example(shape, **options)
        got = computed(*arrays, **options)
        for name, want in in_float64(*arrays, **options).items():
            error = np.abs(got[name] - want).max() / np.abs(want).max()
            out.append((f"normalise, {'batch' if 'together' in options else 'picture'}, {name}", float(error), 1e-4))
    return out


def example(shape, mean: float = 4.0, residual: bool = True, inset: int = 0, mirror: int = 0, **_):
    """Seeded (x, weight, bias, residual or None, gradient of the result) for ``normalise`` with these options."""
    rng = np.random.default_rng(7)
    n, c, h, w = shape
    return (rng.standard_normal(shape, np.float32) * np.float32(0.5) + np.float32(mean),
            *rng.standard_normal((2, c), np.float32),
            rng.standard_normal((n, c, h + 2 * inset, w + 2 * inset), np.float32) if residual else None,
            rng.standard_normal((n, c, h + 2 * mirror, w + 2 * mirror), np.float32))


def computed(x, weight, bias, residual, gradient, variable=None, **options):
    """{name: array} of result, statistics and gradients.  variable: makes what the kernel takes of an array."""
    function = _Normalise(1e-5, options.get("together", False), options.get("slope", 1.0), options.get("inset", 0),
                          options.get("mirror", 0))
    inputs = [(variable or jt.array)(v) for v in (x, weight, bias, residual) if v is not None]
    result = function.execute(*inputs)
    gradients = function.grad((variable or jt.array)(gradient))
    found = dict(zip(("result", "gradient of x", "gradient of weight", "gradient of bias", "gradient of residual"),
                     (result, *gradients)), statistics=function.statistics)
    return {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in found.items()}


def in_float64(x, weight, bias, residual, gradient, together=False, slope=1.0, inset=0, mirror=0):
    """What ``computed`` should have found."""
    x, weight, bias, gradient = (v.astype(np.float64) for v in (x, weight, bias, gradient))
    n, c, h, w = x.shape
    dims, shape = ((0, 2, 3) if together else (2, 3)), (1, c, 1, 1)
    mean, variance = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    rate = 1 / np.sqrt(variance + 1e-5)
    unit = (x - mean) * rate
    y = unit * weight.reshape(shape) + bias.reshape(shape)
    factor = np.where(y > 0, 1, slope)
    result = y * factor
    if residual is not None:
        result = result + residual[:, :, inset:inset + h, inset:inset + w]
    where = np.pad(np.arange(h * w).reshape(h, w), mirror, "reflect").ravel()
    result = result.reshape(n, c, -1)[:, :, where].reshape(gradient.shape)
    inner = np.zeros((n * c, h * w))
    np.add.at(inner, (slice(None), where), gradient.reshape(n * c, -1))
    inner = inner.reshape(x.shape)
    g = inner * factor
    to_x = rate * weight.reshape(shape) * (g - g.mean(dims, keepdims=True)
                                           - unit * (g * unit).mean(dims, keepdims=True))
    found = {"result": result, "gradient of x": to_x, "gradient of weight": (g * unit).sum((0, 2, 3)),
             "gradient of bias": g.sum((0, 2, 3)),
             "statistics": np.stack([mean, variance], -1).reshape(-1, c, 2)}
    if residual is not None:
        found["gradient of residual"] = np.pad(inner, ((0, 0), (0, 0), (inset, inset), (inset, inset)))
    return found


_SIZES = ('const jt_dfd::Between shape = {(int)in0_shape0, (int)in0_shape1, (int)in0_shape2, (int)in0_shape3, '
          '(int)data["together"], (int)data["inset"], (int)data["mirror"], (float)data["slope"]}; ')

# What picture_norm's texts have too: a place in a picture with a reflected border, the statistics of a plane on a CPU
# (sums of a block in float32, of the blocks in float64), and the sum over a block of threads, in every thread.
MIRRORED = r"""
namespace jt_dfd {
JT_DFD_SHARED int mirrored(int at, int size) { return at < 0 ? -at : at < size ? at : 2 * size - 2 - at; }
}
"""
PLANE_SUMS = r"""
namespace jt_dfd {
inline void plane_sums(const float* in, int cells, float* mean, double* squares) {
    const int block = 4096;
    double total = 0;
    for (int start = 0; start < cells; start += block) {
        int end = start + block < cells ? start + block : cells;
        float sum = 0;
        for (int i = start; i < end; i++) sum += in[i];
        total += sum;
    }
    const float m = *mean = (float)(total / cells);
    *squares = 0;
    for (int start = 0; start < cells; start += block) {
        int end = start + block < cells ? start + block : cells;
        float sum = 0;
        for (int i = start; i < end; i++) { float t = in[i] - m; sum += t * t; }
        *squares += sum;
    }
}
}
"""
BLOCK_SUM = r"""
namespace jt_dfd {
__device__ inline float block_sum(float v, float* scratch) {
    for (int step = 16; step; step >>= 1) v += __shfl_down_sync(0xffffffffu, v, step);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < (int)blockDim.x / 32; i++) sum += scratch[i];
    __syncthreads();
    return sum;
}
}
"""

# parts of a plane: its mean, and the sum of squared distances from it.  statistics: mean and variance.  sums of a
# plane: of gradient * normalised, of gradient
SHARED = MIRRORED + r"""
namespace jt_dfd {
struct Between { int pictures, channels, height, width, together, inset, mirror; float slope; };

// statistics of the planes from `first` on, one every `step`
JT_DFD_SHARED void combined(const float* parts, int first, int step, int planes, int cells, float* mean,
                            float* variance) {
    double sum = 0, squares = 0;
    for (int i = 0; i < planes; i++) sum += parts[2 * (first + i * step)];
    const double middle = sum / planes;
    for (int i = 0; i < planes; i++) {
        const double off = parts[2 * (first + i * step)] - middle;
        squares += parts[2 * (first + i * step) + 1] + off * off * cells;
    }
    *mean = (float)middle;
    *variance = (float)(squares / ((double)planes * cells));
}

// the rows (or columns) of a bordered picture that show row `at` of `size` rows; returns how many, at most three
JT_DFD_SHARED int shown_at(int at, int size, int mirror, int* where) {
    int count = 0;
    where[count++] = at + mirror;
    if (at >= 1 && at <= mirror) where[count++] = mirror - at;
    if (at <= size - 2 && at >= size - 1 - mirror) where[count++] = mirror + 2 * (size - 1) - at;
    return count;
}
}
"""

CPU = PLANE_SUMS + r"""
namespace jt_dfd {
// what the gradient of a bordered picture is for row `row` of the picture
inline const float* row_of_gradient(const float* gradient, int row, const Between& f, float* scratch) {
    const int w = f.width, m = f.mirror, wide = w + 2 * m;
    if (m == 0) return gradient + (int64_t)row * wide;
    int rows[3], count = shown_at(row, f.height, m, rows);
    for (int i = 0; i < count; i++) {
        const float* from = gradient + (int64_t)rows[i] * wide + m;
        if (i == 0) for (int c = 0; c < w; c++) scratch[c] = from[c];
        else for (int c = 0; c < w; c++) scratch[c] += from[c];
        for (int j = 1; j <= m; j++) { scratch[j] += from[-j]; scratch[w - 1 - j] += from[w - 1 + j]; }
    }
    return scratch;
}
}

inline void jt_dfd_normalise(const float* x, const float* weight, const float* bias, const float* residual,
                             jt_dfd::Between f, float eps, float* y, float* statistics, float* parts) {
    using namespace jt_dfd;
    const int cells = f.height * f.width, groups = f.together ? f.channels : f.pictures * f.channels;
    const int planes = f.together ? f.pictures : 1;
    #pragma omp parallel for
    for (int g = 0; g < groups; g++) {
        for (int i = 0; i < planes; i++) {
            const int p = g + i * f.channels;
            double squares;
            plane_sums(x + (int64_t)p * cells, cells, parts + 2 * p, &squares);
            parts[2 * p + 1] = (float)squares;
        }
        float *mean = statistics + 2 * g, *variance = mean + 1;
        combined(parts, g, f.channels, planes, cells, mean, variance);
        const float scale = weight[g % f.channels] / std::sqrt(*variance + eps);
        const float middle = *mean, shift = bias[g % f.channels], slope = f.slope;
        const int w = f.width, wide = w + 2 * f.mirror, high = f.height + 2 * f.mirror, outer = w + 2 * f.inset;
        for (int i = 0; i < planes; i++) {
            const int64_t p = g + i * f.channels;
            for (int r = 0; r < f.height; r++) {
                const float* from = x + p * cells + (int64_t)r * w;
                float* to = y + (p * high + r + f.mirror) * wide + f.mirror;
                if (slope == 1) for (int c = 0; c < w; c++) to[c] = (from[c] - middle) * scale + shift;
                else for (int c = 0; c < w; c++) {
                    const float v = (from[c] - middle) * scale + shift;
                    to[c] = v > 0 ? v : v * slope;
                }
                if (residual) {
                    const float* more = residual + (p * (f.height + 2 * f.inset) + r + f.inset) * outer + f.inset;
                    for (int c = 0; c < w; c++) to[c] += more[c];
                }
                for (int k = 1; k <= f.mirror; k++) { to[-k] = to[k]; to[w - 1 + k] = to[w - 1 - k]; }
            }
            float* plane = y + p * high * wide;
            for (int k = 1; k <= f.mirror; k++) {
                std::memcpy(plane + (int64_t)(f.mirror - k) * wide, plane + (int64_t)(f.mirror + k) * wide,
                            wide * sizeof(float));
                std::memcpy(plane + (int64_t)(f.mirror + f.height - 1 + k) * wide,
                            plane + (int64_t)(f.mirror + f.height - 1 - k) * wide, wide * sizeof(float));
            }
        }
    }
}

inline void jt_dfd_unnormalise(const float* x, const float* weight, const float* bias, const float* statistics,
                               const float* gradient, jt_dfd::Between f, float eps, float* to_x, float* sums,
                               float* to_residual) {
    using namespace jt_dfd;
    const int cells = f.height * f.width, groups = f.together ? f.channels : f.pictures * f.channels;
    const int planes = f.together ? f.pictures : 1, w = f.width, m = f.mirror;
    const int64_t bordered = (int64_t)(f.height + 2 * m) * (w + 2 * m), outer = w + 2 * f.inset;
    #pragma omp parallel for
    for (int g = 0; g < groups; g++) {
        const float mean = statistics[2 * g], rate = 1 / std::sqrt(statistics[2 * g + 1] + eps);
        const float scale = weight[g % f.channels], shift = bias[g % f.channels], slope = f.slope;
        std::vector<float> scratch(w);
        double all_products = 0, all = 0;
        for (int i = 0; i < planes; i++) {
            const int64_t p = g + i * f.channels;
            double products = 0, total = 0;
            for (int r = 0; r < f.height; r++) {
                const float* from = row_of_gradient(gradient + p * bordered, r, f, scratch.data());
                const float* in = x + p * cells + (int64_t)r * w;
                float *to = to_x + p * cells + (int64_t)r * w, a = 0, b = 0;
                if (slope == 1) for (int c = 0; c < w; c++) {
                    to[c] = from[c];
                    a += from[c] * ((in[c] - mean) * rate);
                    b += from[c];
                } else for (int c = 0; c < w; c++) {
                    const float unit = (in[c] - mean) * rate;
                    const float v = unit * scale + shift > 0 ? from[c] : from[c] * slope;
                    to[c] = v;
                    a += v * unit;
                    b += v;
                }
                products += a;
                total += b;
                if (to_residual) {
                    float* row = to_residual + (p * (f.height + 2 * f.inset) + r + f.inset) * outer;
                    std::memcpy(row + f.inset, from, w * sizeof(float));
                    for (int k = 0; k < f.inset; k++) row[k] = row[outer - 1 - k] = 0;
                }
            }
            if (to_residual && f.inset) {
                float* plane = to_residual + p * (f.height + 2 * f.inset) * outer;
                std::memset(plane, 0, f.inset * outer * sizeof(float));
                std::memset(plane + (f.height + f.inset) * outer, 0, f.inset * outer * sizeof(float));
            }
            sums[2 * p] = (float)products;
            sums[2 * p + 1] = (float)total;
            all_products += products;
            all += total;
        }
        const float cells_of_group = (float)planes * cells;
        const float by_unit = (float)(all_products / cells_of_group), flat = (float)(all / cells_of_group);
        for (int i = 0; i < planes; i++) {
            const int64_t p = g + i * f.channels;
            const float* in = x + p * cells;
            float* to = to_x + p * cells;
            for (int k = 0; k < cells; k++) to[k] = scale * rate * (to[k] - flat - (in[k] - mean) * rate * by_unit);
        }
    }
}
"""

# a block of threads a plane.  A picture's own statistics are ready within its block; those of a batch are combined by
# a second launch, in every block
CUDA = BLOCK_SUM + r"""
namespace jt_dfd {
const int BETWEEN_THREADS = 256;

__global__ void normalise_kernel(const float* x, const float* weight, const float* bias, const float* residual,
                                 Between f, float eps, int measure, int apply, float* y, float* statistics,
                                 float* parts) {
    __shared__ float scratch[BETWEEN_THREADS / 32];
    const int p = blockIdx.x, cells = f.height * f.width, channel = p % f.channels;
    const float* in = x + (int64_t)p * cells;
    float mean = 0, variance = 0;
    if (measure) {
        float sum = 0;
        for (int i = threadIdx.x; i < cells; i += BETWEEN_THREADS) sum += in[i];
        mean = block_sum(sum, scratch) / cells;
        sum = 0;
        for (int i = threadIdx.x; i < cells; i += BETWEEN_THREADS) { float t = in[i] - mean; sum += t * t; }
        sum = block_sum(sum, scratch);
        variance = sum / cells;
        if (threadIdx.x == 0) { parts[2 * p] = mean; parts[2 * p + 1] = sum; }
    }
    if (!apply) return;
    if (f.together) combined(parts, channel, f.channels, f.pictures, cells, &mean, &variance);
    if (threadIdx.x == 0 && (!f.together || p < f.channels)) {
        statistics[2 * p] = mean;
        statistics[2 * p + 1] = variance;
    }
    const float scale = weight[channel] / sqrtf(variance + eps), shift = bias[channel];
    const int wide = f.width + 2 * f.mirror, all = wide * (f.height + 2 * f.mirror), outer = f.width + 2 * f.inset;
    const float* more = residual ? residual + (int64_t)p * outer * (f.height + 2 * f.inset) : nullptr;
    for (int i = threadIdx.x; i < all; i += BETWEEN_THREADS) {
        const int row = mirrored(i / wide - f.mirror, f.height), column = mirrored(i % wide - f.mirror, f.width);
        float v = (in[row * f.width + column] - mean) * scale + shift;
        if (v < 0) v *= f.slope;
        if (more) v += more[(row + f.inset) * outer + column + f.inset];
        y[(int64_t)p * all + i] = v;
    }
}

__global__ void unnormalise_kernel(const float* x, const float* weight, const float* bias, const float* statistics,
                                   const float* gradient, Between f, float eps, int measure, int apply, float* to_x,
                                   float* sums, float* to_residual) {
    __shared__ float scratch[BETWEEN_THREADS / 32];
    const int p = blockIdx.x, cells = f.height * f.width, channel = p % f.channels, group = f.together ? channel : p;
    const float mean = statistics[2 * group], rate = 1 / sqrtf(statistics[2 * group + 1] + eps);
    const float scale = weight[channel], shift = bias[channel];
    const float* in = x + (int64_t)p * cells;
    float *to = to_x + (int64_t)p * cells, products = 0, total = 0;
    if (measure) {
        const int wide = f.width + 2 * f.mirror, outer = f.width + 2 * f.inset;
        const float* from = gradient + (int64_t)p * wide * (f.height + 2 * f.mirror);
        float a = 0, b = 0;
        for (int i = threadIdx.x; i < cells; i += BETWEEN_THREADS) {
            int rows[3], columns[3];
            const int row = i / f.width, column = i % f.width;
            const int high = shown_at(row, f.height, f.mirror, rows);
            const int across = shown_at(column, f.width, f.mirror, columns);
            float v = 0;
            for (int r = 0; r < high; r++)
                for (int c = 0; c < across; c++) v += from[(int64_t)rows[r] * wide + columns[c]];
            if (to_residual)
                to_residual[((int64_t)p * (f.height + 2 * f.inset) + row + f.inset) * outer + column + f.inset] = v;
            const float unit = (in[i] - mean) * rate;
            if (!(unit * scale + shift > 0)) v *= f.slope;
            to[i] = v;
            a += v * unit;
            b += v;
        }
        if (to_residual && f.inset) {
            const int tall = f.height + 2 * f.inset;
            for (int i = threadIdx.x; i < tall * outer; i += BETWEEN_THREADS) {
                const int row = i / outer, column = i % outer;
                if (row < f.inset || row >= f.height + f.inset || column < f.inset || column >= f.width + f.inset)
                    to_residual[(int64_t)p * tall * outer + i] = 0;
            }
        }
        products = block_sum(a, scratch);
        total = block_sum(b, scratch);
        if (threadIdx.x == 0) { sums[2 * p] = products; sums[2 * p + 1] = total; }
    }
    if (!apply) return;
    int planes = 1;
    if (f.together) {
        planes = f.pictures;
        products = total = 0;
        for (int i = 0; i < planes; i++) {
            products += sums[2 * (channel + i * f.channels)];
            total += sums[2 * (channel + i * f.channels) + 1];
        }
    }
    const float number = (float)planes * cells;
    for (int i = threadIdx.x; i < cells; i += BETWEEN_THREADS)
        to[i] = scale * rate * (to[i] - total / number - (in[i] - mean) * rate * (products / number));
}
}

inline void jt_dfd_normalise(const float* x, const float* weight, const float* bias, const float* residual,
                             jt_dfd::Between f, float eps, float* y, float* statistics, float* parts) {
    const int planes = f.pictures * f.channels, cells = f.height * f.width;
    if (planes == 0) return;
    for (int half = 0; half < 1 + f.together; half++) {
        const int measure = half == 0, apply = half == f.together;
        jt_dfd::normalise_kernel<<<planes, jt_dfd::BETWEEN_THREADS>>>(x, weight, bias, residual, f, eps, measure, apply,
                                                                      y, statistics, parts);
        JT_DFD_LAUNCHED("normalise_kernel", planes, cells);
    }
}

inline void jt_dfd_unnormalise(const float* x, const float* weight, const float* bias, const float* statistics,
                               const float* gradient, jt_dfd::Between f, float eps, float* to_x, float* sums,
                               float* to_residual) {
    const int planes = f.pictures * f.channels, cells = f.height * f.width;
    if (planes == 0) return;
    for (int half = 0; half < 1 + f.together; half++) {
        const int measure = half == 0, apply = half == f.together;
        jt_dfd::unnormalise_kernel<<<planes, jt_dfd::BETWEEN_THREADS>>>(x, weight, bias, statistics, gradient, f, eps,
                                                                        measure, apply, to_x, sums, to_residual);
        JT_DFD_LAUNCHED("unnormalise_kernel", planes, cells);
    }
}
"""
