"""Convolution to a few channels, channels last: the layer that ends every decoder and the generator.

oneDNN computes at least sixteen output channels whether they are wanted or not: a decoder's last 5x5 layer wants one,
the generator's last 7x7 layer three.  Here each output is the scalar product that it is; the numbers of one row of the
window lie side by side in memory.

For inference on the CPU; no gradient passes.  There is no CUDA side: cuDNN's layers are used there.
"""
from __future__ import annotations

import numpy as np

from ..backend import jt
from . import source

#: output channels up to which this is the faster way (ours, measured)
MAX_CHANNELS = 4


def narrow_convolution(x, weight, bias, mirror: int = 0):
    """Stride 1.

    x       (N, H, W, C) float32
    weight  (O, C, KH, KW) float32, O up to MAX_CHANNELS
    bias    (O,) float32
    mirror  pixels by which the picture is continued at each border, mirrored, the edge itself not repeated; less than H
            and W
    returns (N, H + 2 mirror - KH + 1, W + 2 mirror - KW + 1, O) float32
    """
    n, height, width, channels = x.shape
    out, into, high, wide = weight.shape
    rows, columns = height + 2 * mirror - high + 1, width + 2 * mirror - wide + 1
    if into != channels or out > MAX_CHANNELS or min(rows, columns) < 1 or tuple(bias.shape) != (out,) \
            or not 0 <= mirror < min(height, width):
        raise ValueError(f"narrow convolution: picture {tuple(x.shape)}, weight {tuple(weight.shape)} and bias "
                         f"{tuple(bias.shape)} do not fit, or more than {MAX_CHANNELS} channels are wanted")
    return source.run_on_cpu(
        CPU,
        "jt_dfd::narrow(in0_p, in1_p, in2_p, (int)in0_shape0, (int)in0_shape1, (int)in0_shape2, (int)in0_shape3, "
        '(int)in1_shape0, (int)in1_shape1, (int)in1_shape2, (int)data["mirror"], out0_p);',
        (n, rows, columns, out), [x, weight.transpose((0, 2, 3, 1)), bias], {"mirror": mirror})


def reference(x, weight, bias, mirror: int = 0):
    """The same in plain Jittor operations."""
    for axis in (1, 2):
        if mirror:
            size = x.shape[axis]
            at = np.abs(np.arange(-mirror, size + mirror))
            x = x.permute((axis, *(a for a in range(4) if a != axis)))[jt.array(np.minimum(at, 2 * size - 2 - at))]
            x = x.permute((1, 0, 2, 3) if axis == 1 else (1, 2, 0, 3))
    n, height, width, _ = x.shape
    out, into, high, wide = weight.shape
    shape = [n, height - high + 1, width - wide + 1, out, into, high, wide]
    windows = x.reindex(shape, ["i0", "i1+i5", "i2+i6", "i4"])
    return (windows * weight.broadcast(shape, [0, 1, 2])).sum([4, 5, 6]) + bias.reshape((1, 1, 1, -1))


def self_test():
    """[(check, largest error, tolerance)], on the CPU whatever device is in use: the decoders' and the generator's last
    layers in small, and a width that is no multiple of the kernel's step."""
    rng, out = np.random.default_rng(5), []
    for name, n, edge, channels, kernel, wanted, mirror in (
            ("decoder's", 2, 20, 32, 5, 1, 2), ("generator's", 1, 25, 56, 7, 3, 3), ("odd", 1, 9, 3, 3, 4, 0)):
        x, w, b = (rng.standard_normal(s, np.float32) for s in (
            (n, edge, edge, channels), (wanted, channels, kernel, kernel), (wanted,)))
        with jt.flag_scope(use_cuda=0):
            got = narrow_convolution(jt.array(x), jt.array(w), jt.array(b), mirror).numpy()
        wide = np.pad(x.astype(np.float64), ((0, 0), (mirror, mirror), (mirror, mirror), (0, 0)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(wide, (kernel, kernel), (1, 2))
        want = np.einsum("nhwcij,ocij->nhwo", windows, w.astype(np.float64)) + b
        out.append((f"narrow convolution, {name}", float(np.abs(got - want).max() / np.abs(want).max()), 1e-5))
    return out


CPU = r"""
namespace jt_dfd {
// a coordinate of the picture as it is continued -> of the picture
inline int mirrored(int at, int size) { return at < 0 ? -at : at >= size ? 2 * size - 2 - at : at; }

// the scalar product of one window, whose corner may lie outside, and one output's weights
inline float window_product(const float* picture, const float* w, int top, int left, int height, int width,
                            int channels, int high, int wide) {
    float sum = 0;
    for (int k = 0; k < high; k++)
        for (int j = 0; j < wide; j++) {
            const float* x =
                picture + ((int64_t)mirrored(top + k, height) * width + mirrored(left + j, width)) * channels;
            for (int c = 0; c < channels; c++) sum += x[c] * w[(k * wide + j) * channels + c];
        }
    return sum;
}

// Four neighbouring windows inside the picture at once: every weight that is read serves four products.
inline void four_products(const float* __restrict__ picture, const float* __restrict__ w, int top, int left, int height,
                          int width, int channels, int high, int wide, float* sums) {
    float a = 0, b = 0, c = 0, d = 0;
    int row = wide * channels;
    for (int k = 0; k < high; k++) {
        const float *p = picture + ((int64_t)mirrored(top + k, height) * width + left) * channels, *g = w + k * row;
        for (int j = 0; j < row; j++) {
            float t = g[j];
            a += p[j] * t; b += p[j + channels] * t; c += p[j + 2 * channels] * t; d += p[j + 3 * channels] * t;
        }
    }
    sums[0] = a; sums[1] = b; sums[2] = c; sums[3] = d;
}

inline void narrow(const float* x, const float* w, const float* bias, int n, int height, int width, int channels,
                   int out, int high, int wide, int mirror, float* y) {
    int rows = height + 2 * mirror - high + 1, columns = width + 2 * mirror - wide + 1;
    int64_t weights = (int64_t)high * wide * channels;
    #pragma omp parallel for
    for (int at = 0; at < n * rows; at++) {
        const float* picture = x + (int64_t)(at / rows) * height * width * channels;
        float* target = y + (int64_t)at * columns * out;
        int top = at % rows - mirror;
        for (int column = 0; column < columns; ) {
            int left = column - mirror, count = left >= 0 && left + 3 + wide <= width ? 4 : 1;
            for (int o = 0; o < out; o++) {
                float sums[4];
                if (count == 4)
                    four_products(picture, w + o * weights, top, left, height, width, channels, high, wide, sums);
                else
                    sums[0] = window_product(picture, w + o * weights, top, left, height, width, channels, high, wide);
                for (int i = 0; i < count; i++) target[(column + i) * out + o] = sums[i] + bias[o];
            }
            column += count;
        }
    }
}
}
"""
