"""Normalisation of each channel of each picture by its own statistics, channels last, for inference on a CPU.

The same as ``picture_norm``, with the ReLU or the residual sum that follows it, in two passes over the picture.
"""
from __future__ import annotations

import numpy as np

from ..backend import jt
from . import source


def picture_norm_last(x, weight, bias, eps: float = 1e-5, relu: bool = False, residual=None):
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the pixels of (N, H, W, C) float32; variance biased.

    weight, bias  (C,) float32
    eps           1e-5 (release)
    relu          negative results become 0
    residual      (N, H, W, C) float32, added last; or None
    """
    if len(x.shape) != 4 or tuple(weight.shape) != (x.shape[3],) or tuple(bias.shape) != (x.shape[3],) \
            or (residual is not None and tuple(residual.shape) != tuple(x.shape)):
        raise ValueError(f"picture norm: pictures {tuple(x.shape)}, weight {tuple(weight.shape)}, bias "
                         f"{tuple(bias.shape)}" + ("" if residual is None else f", residual {tuple(residual.shape)}")
                         + " do not fit")
    inputs = [x, weight, bias] + ([] if residual is None else [residual])
    call = ("jt_dfd::norm_last(in0_p, in1_p, in2_p, " + ("in3_p" if residual is not None else "(const float*)nullptr")
            + ', (int)in0_shape0, (int64_t)in0_shape1 * in0_shape2, (int)in0_shape3, data["eps"], '
            f"{int(relu)}, out0_p);")
    return source.run_on_cpu(CPU, call, x.shape, inputs, {"eps": eps})


def reference(x, weight, bias, eps: float = 1e-5, relu: bool = False, residual=None):
    """The same in plain Jittor operations."""
    centred = x - x.mean((1, 2), keepdims=True)
    variance = (centred * centred).mean((1, 2), keepdims=True)
    y = centred / jt.sqrt(variance + eps) * weight.reshape((1, 1, 1, -1)) + bias.reshape((1, 1, 1, -1))
    if relu:
        y = jt.maximum(y, 0.0)
    return y if residual is None else y + residual


def self_test():
    """[(check, largest error, tolerance)], on the CPU whatever device is in use: a mean large beside the deviation."""
    rng, out = np.random.default_rng(19), []
    with jt.flag_scope(use_cuda=0):
        for shape in ((2, 7, 9, 5), (1, 64, 70, 24)):
            x, (w, b) = rng.standard_normal(shape, np.float32) * 0.5 + 4, rng.standard_normal((2, shape[3]), np.float32)
            got = picture_norm_last(*(jt.array(v) for v in (x, w, b))).numpy()
            x = x.astype(np.float64)
            want = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 1e-5) * w + b
            out.append((f"picture norm, channels last, {shape[3]} channels",
                        float(np.abs(got - want).max() / np.abs(want).max()), 1e-4))
    return out


CPU = r"""
#ifdef _OPENMP
#include <omp.h>
#endif
namespace jt_dfd {
inline void norm_last(const float* x, const float* weight, const float* bias, const float* residual, int n,
                      int64_t pixels, int channels, double eps, int relu, float* y) {
    const int64_t lot = 512;                        // pixels summed in float32; the lots are summed in float64
    int64_t lots = (pixels + lot - 1) / lot;
    int threads = 1;
    #ifdef _OPENMP
    threads = omp_get_max_threads();
    #endif
    std::vector<float> scale(channels), shift(channels);
    for (int i = 0; i < n; i++) {
        const float* in = x + i * pixels * channels;
        // added up in the threads' order, so that the same picture always gives the same numbers
        std::vector<double> parts((int64_t)threads * 2 * channels, 0.0);
        #pragma omp parallel
        {
            int thread = 0;
            #ifdef _OPENMP
            thread = omp_get_thread_num();
            #endif
            double *own_sums = parts.data() + (int64_t)thread * 2 * channels, *own_squares = own_sums + channels;
            std::vector<float> a(channels), b(channels);
            #pragma omp for schedule(static)
            for (int64_t l = 0; l < lots; l++) {
                int64_t end = std::min((l + 1) * lot, pixels);
                float *s = a.data(), *q = b.data();
                std::fill(a.begin(), a.end(), 0.f);
                std::fill(b.begin(), b.end(), 0.f);
                for (int64_t p = l * lot; p < end; p++) {
                    const float* v = in + p * channels;
                    // about the first pixel: exact where the mean is large beside the deviation
                    for (int c = 0; c < channels; c++) { float t = v[c] - in[c]; s[c] += t; q[c] += t * t; }
                }
                for (int c = 0; c < channels; c++) { own_sums[c] += s[c]; own_squares[c] += q[c]; }
            }
        }
        for (int c = 0; c < channels; c++) {
            double sum = 0, squares = 0;
            for (int t = 0; t < threads; t++) {
                sum += parts[(int64_t)t * 2 * channels + c];
                squares += parts[(int64_t)t * 2 * channels + channels + c];
            }
            double mean = sum / pixels, variance = std::max(squares / pixels - mean * mean, 0.0);
            double rate = weight[c] / std::sqrt(variance + eps);
            scale[c] = (float)rate;
            shift[c] = (float)(bias[c] - (mean + in[c]) * rate);
        }
        const float *g = scale.data(), *h = shift.data(), *r = residual ? residual + i * pixels * channels : nullptr;
        float* out = y + i * pixels * channels;
        #pragma omp parallel for schedule(static)
        for (int64_t l = 0; l < lots; l++) {
            int64_t end = std::min((l + 1) * lot, pixels);
            for (int64_t p = l * lot; p < end; p++) {
                const float* v = in + p * channels;
                float* o = out + p * channels;
                if (relu) for (int c = 0; c < channels; c++) o[c] = std::max(v[c] * g[c] + h[c], 0.f);
                else for (int c = 0; c < channels; c++) o[c] = v[c] * g[c] + h[c];
                if (r) for (int c = 0; c < channels; c++) o[c] += r[p * channels + c];
            }
        }
    }
}
}
"""
