"""3x3 convolution by Winograd's minimal filtering F(4x4, 3x3), channels last, for inference on a CPU.

A tile of 4 x 4 outputs costs 36 multiplications a channel pair instead of 144.  Most of the arithmetic of the decoders
and of the generator's residual blocks is such convolutions, and their arithmetic is what a face costs on a CPU.  The
mirrored border, the bias, a ReLU and a residual sum are taken along, so that a picture is read and written once.

Transformed weights are four times as large as weights, more than a full-size generator may take; they are made for
one or two vectors of outputs at a time, when they are needed, which costs little beside their use.

Results differ from plain convolution by about 1e-5 of the largest output.  No gradient passes.  There is no CUDA side:
cuDNN brings its own.  The matrices are those of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks".
"""
from __future__ import annotations

import numpy as np

from ..backend import jt
from . import narrow_convolution, source


def fits(weight) -> bool:
    """Whether a convolution of this weight (O, C, KH, KW) can be computed here: channels in whole vectors."""
    out, into, high, wide = weight.shape
    lanes = source.vector_set().lanes
    return (high, wide) == (3, 3) and out % lanes == 0 and into % lanes == 0


def pack(weight, lanes=None):
    """(O, C, 3, 3) -> (O / L, 9, C, L), L = ``lanes``, a vector's by default: as ``winograd`` reads weights; the same
    numbers."""
    out, into = weight.shape[:2]
    lanes = lanes or source.vector_set().lanes
    return weight.reshape((out // lanes, lanes, into, 9)).permute((0, 3, 2, 1)).float32()


def winograd(x, packed, bias, mirror: bool = False, relu: bool = False, residual=None):
    """Stride 1.

    x         (N, H, W, C) float32
    packed    (O / L, 9, C, L) float32, see ``pack``
    bias      (O,) float32
    mirror    True: the picture is continued by one mirrored pixel at each border, the edge itself not repeated (H and W
              at least 2); False: no padding
    relu      negative results become 0
    residual  (N, HO, WO, O) float32, added last; or None
    returns   (N, HO, WO, O) float32: HO = H with ``mirror``, else H - 2
    """
    n, height, width, channels = x.shape
    blocks, nine, into, lanes = packed.shape
    pad = int(mirror)
    shape = (n, height - 2 + 2 * pad, width - 2 + 2 * pad, blocks * lanes)
    if (nine, lanes, into) != (9, source.vector_set().lanes, channels) or tuple(bias.shape) != (shape[3],) \
            or min(shape) < 1 or (mirror and min(height, width) < 2) \
            or (residual is not None and tuple(residual.shape) != shape):
        raise ValueError(f"winograd: picture {tuple(x.shape)}, packed weight {tuple(packed.shape)}, bias "
                         f"{tuple(bias.shape)}" + ("" if residual is None else f", residual {tuple(residual.shape)}")
                         + " do not fit")
    inputs = [x, packed, bias] + ([] if residual is None else [residual])
    call = ("jt_dfd::winograd(in0_p, in1_p, in2_p, " + ("in3_p" if residual is not None else "(const float*)nullptr")
            + ", (int)in0_shape0, (int)in0_shape1, (int)in0_shape2, (int)in0_shape3, (int)in1_shape0, "
            f"{pad}, {int(relu)}, out0_p);")
    return source.run_on_cpu(source.vector_set().text() + CPU, call, shape, inputs)


def reference(x, weight, bias, mirror: bool = False, relu: bool = False, residual=None):
    """The same in plain Jittor operations, from the weight as it is (O, C, 3, 3)."""
    y = narrow_convolution.reference(x, weight, bias, int(mirror))
    if relu:
        y = jt.maximum(y, 0.0)
    return y if residual is None else y + residual


def self_test():
    """[(check, largest error, tolerance)], on the CPU whatever device is in use."""
    rng, out = np.random.default_rng(13), []
    with jt.flag_scope(use_cuda=0):
        for name, n, edge, channels, wanted, mirror in (("mirrored", 2, 21, 32, 16, True),
                                                        ("plain", 1, 18, 16, 48, False)):
            x, w, b = (jt.array(rng.standard_normal(s, np.float32)) for s in (
                (n, edge, edge + 3, channels), (wanted, channels, 3, 3), (wanted,)))
            got, want = winograd(x, pack(w), b, mirror).numpy(), reference(x, w, b, mirror).numpy()
            out.append((f"winograd, {name}", float(np.abs(got - want).max() / np.abs(want).max()), 1e-4))
    return out


CPU = r"""
#ifdef _OPENMP
#include <omp.h>
#endif
namespace jt_dfd {
inline void input_line(const Lanes* d, int s, Lanes* o) {     // s: distance between elements
    Lanes a = d[4 * s] - 4.f * d[2 * s], b = d[3 * s] - 4.f * d[s], c = d[4 * s] - d[2 * s],
        e = 2.f * (d[3 * s] - d[s]);
    o[0] = 4.f * d[0] - 5.f * d[2 * s] + d[4 * s];
    o[1] = a + b; o[2] = a - b; o[3] = c + e; o[4] = c - e;
    o[5] = 4.f * d[s] - 5.f * d[3 * s] + d[5 * s];
}
inline void weight_line(Lanes a, Lanes b, Lanes c, Lanes* o, int s) {
    Lanes even = (a + c) * (1.f / 6), odd = b * (1.f / 6), wide = a * (1.f / 24) + c * (1.f / 6), half = b * (1.f / 12);
    o[0] = a * .25f; o[s] = -(even + odd); o[2 * s] = odd - even; o[3 * s] = wide + half; o[4 * s] = wide - half;
    o[5 * s] = c;
}
inline void output_line(const Lanes* m, int s, Lanes* o) {
    Lanes a = m[s] + m[2 * s], b = m[s] - m[2 * s], c = m[3 * s] + m[4 * s], d = m[3 * s] - m[4 * s];
    o[0] = m[0] + a + c; o[1] = b + 2.f * d; o[2] = a + 4.f * c; o[3] = b + 8.f * d + m[5 * s];
}

struct Sizes { int height, width, channels, rows, columns, down, across, pad; };  // rows, columns: of the output; tiles

// a coordinate of the continued picture -> of the picture: mirrored by one; beyond that (tiles that hang over) clamped
inline int inside(int at, int size, int pad) {
    at -= pad;
    if (at < 0) at = -at;
    if (pad && at == size) at = size - 2;
    return at < size ? at : size - 1;
}

// Transformed tiles lie as they are multiplied: TOGETHER tiles side by side, LANES channels of each at a time.
inline int64_t place(int t, int channels) {
    return (int64_t)(t / TOGETHER) * TOGETHER * channels + t % TOGETHER * LANES;
}

// one tile's 6 x 6 window, transformed: v[36][stride], at its place
inline void transform_input(const float* x, const Sizes& z, int tile, float* v, int64_t stride) {
    int per = z.down * z.across, picture = tile / per, row = tile % per / z.across * 4, column = tile % z.across * 4;
    const float* lines[6];
    int64_t places[6];
    for (int i = 0; i < 6; i++) {
        lines[i] = x + ((int64_t)picture * z.height + inside(row + i, z.height, z.pad)) * z.width * z.channels;
        places[i] = (int64_t)inside(column + i, z.width, z.pad) * z.channels;
    }
    for (int c = 0; c < z.channels; c += LANES) {
        Lanes half[36], line[6], out[6];
        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 6; j++) line[j] = load(lines[i] + places[j] + c);
            input_line(line, 1, half + 6 * i);
        }
        for (int j = 0; j < 6; j++) {
            input_line(half + j, 6, out);
            for (int i = 0; i < 6; i++) store(v + (6 * i + j) * stride + c * TOGETHER, out[i]);
        }
    }
}

// weights of LANES outputs, transformed: u[36][channels][step], of which LANES are written
inline void transform_weights(const float* w, int channels, float* u, int step) {
    for (int c = 0; c < channels; c++) {
        Lanes half[18], out[6];
        for (int j = 0; j < 3; j++)
            weight_line(load(w + ((int64_t)j * channels + c) * LANES),
                        load(w + ((int64_t)(3 + j) * channels + c) * LANES),
                        load(w + ((int64_t)(6 + j) * channels + c) * LANES), half + j, 3);
        for (int i = 0; i < 6; i++) {
            weight_line(half[3 * i], half[3 * i + 1], half[3 * i + 2], out, 1);
            for (int j = 0; j < 6; j++) store(u + ((int64_t)(6 * i + j) * channels + c) * step, out[j]);
        }
    }
}

// sums over channels for COUNT of TOGETHER tiles and WIDE vectors of outputs: m[TOGETHER][WIDE * LANES]
template <int WIDE, int COUNT> inline void multiply(const float* v, int channels, const float* u, float* m) {
    Lanes sums[COUNT][WIDE];
    #pragma GCC unroll 32
    for (int t = 0; t < COUNT; t++)
        #pragma GCC unroll 4
        for (int o = 0; o < WIDE; o++) sums[t][o] = Lanes{};
    for (int c = 0; c < channels; c += LANES, v += LANES * TOGETHER)
        for (int lane = 0; lane < LANES; lane++, u += WIDE * LANES) {
            Lanes w[WIDE];
            #pragma GCC unroll 4
            for (int o = 0; o < WIDE; o++) w[o] = load(u + o * LANES);
            #pragma GCC unroll 32
            for (int t = 0; t < COUNT; t++)
                #pragma GCC unroll 4
                for (int o = 0; o < WIDE; o++) sums[t][o] += w[o] * v[t * LANES + lane];
        }
    #pragma GCC unroll 32
    for (int t = 0; t < COUNT; t++)
        #pragma GCC unroll 4
        for (int o = 0; o < WIDE; o++) store(m + (t * WIDE + o) * LANES, sums[t][o]);
}

template <int WIDE> inline void multiply_tiles(const float* v, int channels, int count, const float* u, float* m) {
    for (; count > TOGETHER / 2; count -= TOGETHER, v += (int64_t)TOGETHER * channels, m += TOGETHER * WIDE * LANES)
        multiply<WIDE, TOGETHER>(v, channels, u, m);
    if (count > 0) multiply<WIDE, TOGETHER / 2>(v, channels, u, m);
}

// m[36][stride] of one tile -> up to 4 x 4 outputs
inline void transform_output(const float* m, int64_t stride, const Sizes& z, int tile, int outputs, int from,
                             const float* bias, const float* residual, bool relu, float* y) {
    int per = z.down * z.across, picture = tile / per, row = tile % per / z.across * 4, column = tile % z.across * 4;
    Lanes half[24], sums[36], out[4], shift = load(bias + from);
    for (int i = 0; i < 36; i++) sums[i] = load(m + i * stride);
    for (int i = 0; i < 6; i++) output_line(sums + 6 * i, 1, half + 4 * i);
    for (int j = 0; j < 4 && column + j < z.columns; j++) {
        output_line(half + j, 4, out);
        for (int i = 0; i < 4 && row + i < z.rows; i++) {
            int64_t at = (((int64_t)picture * z.rows + row + i) * z.columns + column + j) * outputs + from;
            Lanes v = out[i] + shift;
            if (relu) v = v > 0.f ? v : Lanes{};
            if (residual) v += load(residual + at);
            store(y + at, v);
        }
    }
}

inline void winograd(const float* x, const float* w, const float* bias, const float* residual, int n, int height,
                     int width, int channels, int blocks, int pad, int relu, float* y) {
    Sizes z = {height, width, channels, height - 2 + 2 * pad, width - 2 + 2 * pad, 0, 0, pad};
    z.down = (z.rows + 3) / 4;
    z.across = (z.columns + 3) / 4;
    int tiles = n * z.down * z.across, outputs = blocks * LANES, threads = 1;
    #ifdef _OPENMP
    threads = omp_get_max_threads();
    #endif
    // Transformed tiles of a group stay in the caches until every block of outputs has used them.
    int group = (int)((int64_t)(1 << 20) * threads / (144 * (int64_t)channels));
    group = std::min(std::max(64, std::min(group, 2048)), tiles);
    group = (group + TOGETHER - 1) / TOGETHER * TOGETHER;
    // one vector more: at a multiple of a page all 36 numbers of a tile would fall into the same lines of the cache
    int64_t stride = (int64_t)group * channels + LANES;
    std::vector<float> v(36 * stride, 0.f);
    int wide_blocks = (blocks + VECTORS - 1) / VECTORS;
    for (int first = 0; first < tiles; first += group) {
        int count = std::min(group, tiles - first);
        #pragma omp parallel for schedule(static)
        for (int t = 0; t < count; t++) transform_input(x, z, first + t, v.data() + place(t, channels), stride);
        // tiles of a task: few enough for its sums to stay in the core's own cache, and tasks for every thread
        int lots = std::max((count + 63) / 64, (2 * threads + wide_blocks - 1) / wide_blocks);
        int lot = ((count + lots - 1) / lots + TOGETHER - 1) / TOGETHER * TOGETHER;
        lots = (count + lot - 1) / lot;
        int64_t row = (int64_t)(lot * VECTORS + 1) * LANES;
        #pragma omp parallel
        {
            std::vector<float> u((int64_t)36 * channels * VECTORS * LANES), m(36 * row);
            int made = -1;
            #pragma omp for schedule(static)
            for (int task = 0; task < wide_blocks * lots; task++) {
                int block = task / lots, start = task % lots * lot, end = std::min(start + lot, count);
                int from = block * VECTORS, wide = std::min(VECTORS, blocks - from);     // VECTORS, or one that is left
                if (block != made)
                    for (int o = 0; o < wide; o++)
                        transform_weights(w + (int64_t)(from + o) * 9 * channels * LANES, channels,
                                          u.data() + o * LANES, wide * LANES);
                made = block;
                for (int p = 0; p < 36; p++) {
                    const float* tile = v.data() + p * stride + place(start, channels);
                    const float* weights = u.data() + (int64_t)p * channels * wide * LANES;
                    if (wide == VECTORS)
                        multiply_tiles<VECTORS>(tile, channels, end - start, weights, m.data() + p * row);
                    else
                        multiply_tiles<1>(tile, channels, end - start, weights, m.data() + p * row);
                }
                for (int t = start; t < end; t++)
                    for (int o = 0; o < wide; o++)
                        transform_output(m.data() + (int64_t)((t - start) * wide + o) * LANES, row, z, first + t,
                                         outputs, (from + o) * LANES, bias, residual, relu, y);
            }
        }
    }
}
}
"""
