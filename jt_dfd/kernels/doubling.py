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


def fits(layer) -> bool:
    """Whether this ``nn.ConvTranspose`` can be computed here: stride 2, kernel 3 or 4, twice the size, and outputs in
    whole vectors."""
    into, out, high, wide = layer.weight.shape
    size, padding, more = high, layer.padding[0], layer.output_padding[0]
    return (high == wide and out % source.vector_set().lanes == 0 and tuple(layer.stride) == (2, 2)
            and tuple(layer.dilation) == (1, 1) and layer.groups == 1 and layer.bias is not None
            and layer.padding == (padding, padding)
            and layer.output_padding == (more, more) and (size, padding, more) in ((4, 1, 0), (3, 1, 1)))


def pack(weight, lanes=None):
    """(C, O, K, K) -> (O / L, K * K, C, L), L = ``lanes``, a vector's by default: as ``doubling`` reads weights; the
    same numbers."""
    into, out, high, wide = weight.shape
    lanes = lanes or source.vector_set().lanes
    return weight.reshape((into, out // lanes, lanes, high * wide)).permute((1, 3, 0, 2)).float32()


def doubling(x, packed, bias):
    """x (N, H, W, C) float32, packed (O / L, K * K, C, L) with K = 4 (padding 1) or K = 3 (padding 1, output padding
    1), bias (O,) -> (N, 2 H, 2 W, O) float32."""
    n, height, width, channels = x.shape
    blocks, taps, into, lanes = packed.shape
    if taps not in (9, 16) or into != channels or lanes != source.vector_set().lanes \
            or tuple(bias.shape) != (blocks * lanes,):
        raise ValueError(f"doubling: picture {tuple(x.shape)}, packed weight {tuple(packed.shape)} and bias "
                         f"{tuple(bias.shape)} do not fit")
    return source.run_on_cpu(
        source.vector_set().text() + CPU,
        "jt_dfd::doubling(in0_p, in1_p, in2_p, (int)in0_shape0, (int)in0_shape1, (int)in0_shape2, (int)in0_shape3, "
        "(int)in1_shape0, in1_shape1 == 16 ? 4 : 3, out0_p);",
        (n, 2 * height, 2 * width, blocks * lanes), [x, packed, bias])


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
struct Tap { const float* weights; int64_t offset; };    // (channels, LANES) numbers, and where its pixel lies

// COUNT neighbouring pixels, WIDE vectors of outputs whose weights lie `apart` numbers apart; `step` between results
template <int WIDE, int COUNT> void pixels(const float* x, const Tap* taps, int used, int channels, int64_t apart,
                                           const float* bias, float* y, int64_t step) {
    Lanes sums[COUNT][WIDE];
    #pragma GCC unroll 32
    for (int t = 0; t < COUNT; t++)
        #pragma GCC unroll 4
        for (int o = 0; o < WIDE; o++) sums[t][o] = load(bias + o * LANES);
    for (int k = 0; k < used; k++) {
        const float *in = x + taps[k].offset, *w = taps[k].weights;
        for (int c = 0; c < channels; c++) {
            Lanes weights[WIDE];
            #pragma GCC unroll 4
            for (int o = 0; o < WIDE; o++) weights[o] = load(w + o * apart + (int64_t)c * LANES);
            #pragma GCC unroll 32
            for (int t = 0; t < COUNT; t++)
                #pragma GCC unroll 4
                for (int o = 0; o < WIDE; o++) sums[t][o] += weights[o] * in[(int64_t)t * channels + c];
        }
    }
    #pragma GCC unroll 32
    for (int t = 0; t < COUNT; t++)
        #pragma GCC unroll 4
        for (int o = 0; o < WIDE; o++) store(y + t * step + o * LANES, sums[t][o]);
}

// a row of pixels; what is left over at its end in smaller lots
template <int WIDE> void pixel_row(const float* x, const Tap* taps, int used, int channels, int64_t apart,
                                   const float* bias, int width, float* y, int64_t step) {
    int q = 0;
    for (; q + TOGETHER <= width; q += TOGETHER)
        pixels<WIDE, TOGETHER>(x + (int64_t)q * channels, taps, used, channels, apart, bias, y + q * step, step);
    for (; q + TOGETHER / 2 <= width; q += TOGETHER / 2)
        pixels<WIDE, TOGETHER / 2>(x + (int64_t)q * channels, taps, used, channels, apart, bias, y + q * step, step);
    for (; q < width; q++)
        pixels<WIDE, 1>(x + (int64_t)q * channels, taps, used, channels, apart, bias, y + q * step, step);
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
        std::memcpy(to + channels, x + ((int64_t)i * height + row) * width * channels,
                    sizeof(float) * width * channels);
        std::fill(to + line - channels, to + line, 0.f);
    }
    int outputs = blocks * LANES, wide_blocks = (blocks + VECTORS - 1) / VECTORS;
    int64_t apart = (int64_t)size * size * channels * LANES;
    #pragma omp parallel for schedule(static)
    for (int task = 0; task < n * wide_blocks * height; task++) {
        int row = task % height, block = task / height % wide_blocks * VECTORS, i = task / height / wide_blocks;
        const float* weights = w + (int64_t)block * apart;
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
                if (block + VECTORS <= blocks)
                    pixel_row<VECTORS>(source, taps, used, channels, apart, shift, width, target, step);
                else
                    pixel_row<1>(source, taps, used, channels, apart, shift, width, target, step);   // one that is left
            }
    }
}
}
"""
