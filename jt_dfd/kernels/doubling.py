"""Transposed convolution that doubles a picture, channels last, for inference on a CPU.

Of the taps of a transposed convolution with stride 2 only every second one meets a pixel, which ones depends on whether
the output's row and column are even.  Each of the four cases is a small convolution of its own; computed as such, no
tap is wasted and nothing is turned into another layout, as oneDNN does before and after.

No gradient passes.  There is no CUDA side: cuDNN's layers are used there.
"""
from __future__ import annotations

import numpy as np

from ..backend import jt
from . import source
from .winograd import LANES


def fits(layer) -> bool:
    """Whether this ``nn.ConvTranspose`` can be computed here: stride 2, kernel 3 or 4, twice the size, and outputs a
    multiple of 16."""
    into, out, high, wide = layer.weight.shape
    size, padding, more = high, layer.padding[0], layer.output_padding[0]
    return (high == wide and out % LANES == 0 and tuple(layer.stride) == (2, 2) and tuple(layer.dilation) == (1, 1)
            and layer.groups == 1 and layer.bias is not None and layer.padding == (padding, padding)
            and layer.output_padding == (more, more) and (size, padding, more) in ((4, 1, 0), (3, 1, 1)))


def pack(weight):
    """(C, O, K, K) -> (O / 16, K * K, C, 16), the order in which ``doubling`` reads weights; the same numbers."""
    into, out, high, wide = weight.shape
    return weight.reshape((into, out // LANES, LANES, high * wide)).permute((1, 3, 0, 2)).float32()


def doubling(x, packed, bias):
    """x (N, H, W, C) float32, packed (O / 16, K * K, C, 16) with K = 4 (padding 1) or K = 3 (padding 1, output padding
    1), bias (O,) -> (N, 2 H, 2 W, O) float32."""
    n, height, width, channels = x.shape
    blocks, taps, into, lanes = packed.shape
    if taps not in (9, 16) or into != channels or lanes != LANES or tuple(bias.shape) != (blocks * LANES,):
        raise ValueError(f"doubling: picture {tuple(x.shape)}, packed weight {tuple(packed.shape)} and bias "
                         f"{tuple(bias.shape)} do not fit")
    return source.run_on_cpu(
        source.VECTORS + CPU, "jt_dfd::doubling(in0_p, in1_p, in2_p, (int)in0_shape0, (int)in0_shape1, (int)in0_shape2, "
        "(int)in0_shape3, (int)in1_shape0, in1_shape1 == 16 ? 4 : 3, out0_p);",
        (n, 2 * height, 2 * width, blocks * LANES), [x, packed, bias])


def reference(x, weight, bias):
    """The same in plain Jittor operations, from the weight as it is (C, O, K, K)."""
    n, height, width, _ = x.shape
    into, out, size, _ = weight.shape
    shape = [n, height, width, into, out, size, size]
    products = x.broadcast(shape, [4, 5, 6]) * weight.broadcast(shape, [0, 1, 2])
    return products.reindex_reduce("add", [n, 2 * height, 2 * width, out],
                                   ["i0", "i1*2-1+i5", "i2*2-1+i6", "i4"]) + bias.reshape((1, 1, 1, -1))


def self_test():
    """[(check, largest error, tolerance)], on the CPU whatever device is in use."""
    rng, out = np.random.default_rng(17), []
    with jt.flag_scope(use_cuda=0):
        for size, n, height, width, channels, wanted in ((4, 2, 6, 11, 20, 32), (3, 1, 9, 35, 16, 16)):
            x, w, b = (jt.array(rng.standard_normal(s, np.float32)) for s in (
                (n, height, width, channels), (channels, wanted, size, size), (wanted,)))
            got, want = doubling(x, pack(w), b).numpy(), reference(x, w, b).numpy()
            out.append((f"doubling, kernel {size}", float(np.abs(got - want).max() / np.abs(want).max()), 1e-5))
    return out


CPU = r"""
namespace jt_dfd {
struct Tap { const float* weights; int64_t offset; };    // (channels, 16) numbers, and where its pixel lies

// COUNT neighbouring pixels, sixteen outputs; `step` floats between the results
template <int COUNT> void pixels(const float* x, const Tap* taps, int used, int channels, const float* bias, float* y,
                                 int64_t step) {
    Lanes sums[COUNT], first = *(const Lanes*)bias;
    #pragma GCC unroll 16
    for (int t = 0; t < COUNT; t++) sums[t] = first;
    for (int k = 0; k < used; k++) {
        const float *in = x + taps[k].offset, *w = taps[k].weights;
        for (int c = 0; c < channels; c++) {
            Lanes weight = *(const Lanes*)(w + (int64_t)c * LANES);
            #pragma GCC unroll 16
            for (int t = 0; t < COUNT; t++) sums[t] += weight * in[(int64_t)t * channels + c];
        }
    }
    #pragma GCC unroll 16
    for (int t = 0; t < COUNT; t++) *(Lanes*)(y + t * step) = sums[t];
}

inline void doubling(const float* x, const float* w, const float* bias, int n, int height, int width, int channels,
                     int blocks, int size, float* y) {
    // a border of zeros, so that every tap has a pixel
    int64_t line = (int64_t)(width + 2) * channels, picture = line * (height + 2);
    std::vector<float> framed(n * picture);
    #pragma omp parallel for
    for (int at = 0; at < n * (height + 2); at++) {
        int i = at / (height + 2), row = at % (height + 2) - 1;
        float* to = framed.data() + i * picture + (row + 1) * line;
        if (row < 0 || row >= height) { std::fill(to, to + line, 0.f); continue; }
        std::fill(to, to + channels, 0.f);
        std::memcpy(to + channels, x + ((int64_t)i * height + row) * width * channels, sizeof(float) * width * channels);
        std::fill(to + line - channels, to + line, 0.f);
    }
    int outputs = blocks * LANES;
    #pragma omp parallel for schedule(static)
    for (int task = 0; task < n * blocks * height; task++) {
        int row = task % height, block = task / height % blocks, i = task / height / blocks;
        const float* weights = w + (int64_t)block * size * size * channels * LANES;
        const float* source = framed.data() + i * picture + (row + 1) * line + channels;
        for (int odd_row = 0; odd_row < 2; odd_row++)
            for (int odd = 0; odd < 2; odd++) {
                // output 2 q + odd meets pixel q + (odd + 1 - tap) / 2, where that is whole
                Tap taps[4];
                int used = 0;
                for (int a = (odd_row + 1) % 2; a < size; a += 2)
                    for (int b = (odd + 1) % 2; b < size; b += 2)
                        taps[used++] = {weights + (int64_t)(a * size + b) * channels * LANES,
                                        (odd_row + 1 - a) / 2 * line + (int64_t)((odd + 1 - b) / 2) * channels};
                float* target = y + (((int64_t)i * 2 * height + 2 * row + odd_row) * 2 * width + odd) * outputs
                                + block * LANES;
                const float* shift = bias + block * LANES;
                int64_t step = 2 * (int64_t)outputs;
                int q = 0;
                for (; q + TOGETHER <= width; q += TOGETHER)
                    pixels<TOGETHER>(source + (int64_t)q * channels, taps, used, channels, shift, target + q * step, step);
                if (TOGETHER > 8 && q + 8 <= width) {
                    pixels<8>(source + (int64_t)q * channels, taps, used, channels, shift, target + q * step, step);
                    q += 8;
                }
                for (; q + 4 <= width; q += 4)
                    pixels<4>(source + (int64_t)q * channels, taps, used, channels, shift, target + q * step, step);
                for (; q < width; q++)
                    pixels<1>(source + (int64_t)q * channels, taps, used, channels, shift, target + q * step, step);
            }
    }
}
}
"""
