"""Convolution to a few channels, channels last: the layer that ends every decoder and the generator.

oneDNN computes at least sixteen output channels whether they are wanted or not: a decoder's last 5x5 layer wants one,
the generator's last 7x7 layer three.  Here each output is the scalar product that it is; the numbers of one row of the
window lie side by side in memory.

For inference on the CPU; no gradient passes.  On a GPU cuDNN's own layers are used; the CUDA side is here for pictures
that are in this layout already.
"""
from __future__ import annotations

import sys

import numpy as np

from ..backend import jt
from . import source

#: output channels up to which this is the faster way (ours, measured)
MOST_CHANNELS = 4


def narrow_convolution(x, weight, bias, impl: str = "kernel"):
    """Stride 1, no padding.

    x       (N, H, W, C) float32
    weight  (O, C, KH, KW) float32, O up to MOST_CHANNELS
    bias    (O,) float32
    impl    "kernel", or "reference" for the plain Jittor operations below
    returns (N, H - KH + 1, W - KW + 1, O) float32
    """
    n, height, width, channels = x.shape
    out, into, high, wide = weight.shape
    if into != channels or out > MOST_CHANNELS or high > height or wide > width or tuple(bias.shape) != (out,):
        raise ValueError(f"narrow convolution: picture {tuple(x.shape)}, weight {tuple(weight.shape)} and bias "
                         f"{tuple(bias.shape)} do not fit, or more than {MOST_CHANNELS} channels are wanted")
    if impl == "reference":
        return reference(x, weight, bias)
    with jt.no_grad():
        return source.run(
            sys.modules[__name__],
            "jt_dfd_narrow(in0_p, in1_p, in2_p, (int)in0_shape0, (int)in0_shape1, (int)in0_shape2, (int)in0_shape3, "
            "(int)in1_shape0, (int)in1_shape1, (int)in1_shape2, out0_p);",
            [(n, height - high + 1, width - wide + 1, out)], ["float32"],
            [x, weight.transpose((0, 2, 3, 1)), bias], {})[0].stop_grad()


def reference(x, weight, bias):
    """The same in plain Jittor operations."""
    n, height, width, _ = x.shape
    out, into, high, wide = weight.shape
    shape = [n, height - high + 1, width - wide + 1, out, into, high, wide]
    windows = x.reindex(shape, ["i0", "i1+i5", "i2+i6", "i4"])
    return (windows * weight.broadcast(shape, [0, 1, 2])).sum([4, 5, 6]) + bias.reshape((1, 1, 1, -1))


def self_test():
    """[(check, largest error, tolerance)] on the device in use: the decoders' and the generator's last layers in small,
    and a width that is no multiple of the kernel's step."""
    rng, out = np.random.default_rng(5), []
    for name, n, edge, channels, kernel, wanted in (("decoder's", 2, 20, 32, 5, 1), ("generator's", 1, 25, 56, 7, 3),
                                                    ("odd", 1, 9, 3, 3, 4)):
        x, w, b = (rng.standard_normal(s, np.float32) for s in (
            (n, edge, edge, channels), (wanted, channels, kernel, kernel), (wanted,)))
        got = narrow_convolution(jt.array(x), jt.array(w), jt.array(b)).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (kernel, kernel), (1, 2))
        want = np.einsum("nhwcij,ocij->nhwo", windows, w.astype(np.float64)) + b
        out.append((f"narrow convolution, {name}", float(np.abs(got - want).max() / np.abs(want).max()), 1e-5))
    return out


SHARED = r"""
namespace jt_dfd {
// the scalar product of one window and one output's weights; a row of the window is `row` numbers side by side
JT_DFD_SHARED float window_product(const float* x, const float* w, int64_t stride, int high, int row) {
    float sum = 0;
    for (int k = 0; k < high; k++)
        for (int j = 0; j < row; j++) sum += x[k * stride + j] * w[k * row + j];
    return sum;
}
}
"""

CPU = r"""
namespace jt_dfd {
// four neighbouring windows at once: every weight that is read serves four products
inline void four_products(const float* __restrict__ x, const float* __restrict__ w, int64_t stride, int high, int row,
                          int channels, float* sums) {
    float a = 0, b = 0, c = 0, d = 0;
    for (int k = 0; k < high; k++) {
        const float *p = x + k * stride, *g = w + k * row;
        for (int j = 0; j < row; j++) {
            float t = g[j];
            a += p[j] * t; b += p[j + channels] * t; c += p[j + 2 * channels] * t; d += p[j + 3 * channels] * t;
        }
    }
    sums[0] = a; sums[1] = b; sums[2] = c; sums[3] = d;
}
}

inline void jt_dfd_narrow(const float* x, const float* w, const float* bias, int n, int height, int width, int channels,
                          int out, int high, int wide, float* y) {
    using namespace jt_dfd;
    int rows = height - high + 1, columns = width - wide + 1, row = wide * channels;
    int64_t stride = (int64_t)width * channels;
    #pragma omp parallel for
    for (int at = 0; at < n * rows; at++) {
        int picture = at / rows, line = at % rows;
        const float* source = x + ((int64_t)picture * height + line) * stride;
        float* target = y + (int64_t)at * columns * out;
        for (int column = 0; column < columns; column += 4)
            for (int o = 0; o < out; o++) {
                const float* weights = w + (int64_t)o * high * row;
                const float* window = source + (int64_t)column * channels;
                float sums[4];
                int count = columns - column < 4 ? columns - column : 4;
                if (count == 4) four_products(window, weights, stride, high, row, channels, sums);
                else for (int i = 0; i < count; i++)
                    sums[i] = window_product(window + i * channels, weights, stride, high, row);
                for (int i = 0; i < count; i++) target[(column + i) * out + o] = sums[i] + bias[o];
            }
    }
}
"""

CUDA = r"""
namespace jt_dfd {
__global__ void narrow_kernel(const float* x, const float* w, const float* bias, int height, int width, int channels,
                              int out, int high, int wide, int rows, int columns, float* y) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, line = blockIdx.y, picture = blockIdx.z;
    if (column >= columns) return;
    int64_t stride = (int64_t)width * channels;
    const float* window = x + ((int64_t)picture * height + line) * stride + (int64_t)column * channels;
    float* target = y + (((int64_t)picture * rows + line) * columns + column) * out;
    for (int o = 0; o < out; o++)
        target[o] = window_product(window, w + (int64_t)o * high * wide * channels, stride, high, wide * channels) + bias[o];
}
}

inline void jt_dfd_narrow(const float* x, const float* w, const float* bias, int n, int height, int width, int channels,
                          int out, int high, int wide, float* y) {
    int rows = height - high + 1, columns = width - wide + 1;
    jt_dfd::narrow_kernel<<<dim3((columns + 127) / 128, rows, n), 128>>>(x, w, bias, height, width, channels, out, high,
                                                                       wide, rows, columns, y);
}
"""
