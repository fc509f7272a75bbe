"""Linear layers of several networks in one operator, for inference on a GPU: vectors are read where they lie, in
another array or in a bank's rows, and nothing is copied together first.
"""
from __future__ import annotations

import sys
from typing import Any, List, NamedTuple, Sequence

import numpy as np

from ..backend import jt
from . import source

#: inputs of one layer that are computed together (pipeline.NEIGHBOURS)
MAX_ROWS = 15


class Row(NamedTuple):
    """A vector inside a float32 ``Var``: the numbers of it from ``at`` on, all its axes taken as one."""

    array: "jt.Var"
    at: int

    def vector(self, width: int):
        """(1, width) ``Var``."""
        return self.array.reshape((-1,))[self.at:self.at + width].reshape((1, width))


def linear(inputs: Sequence, weights: Sequence, biases: Sequence) -> List:
    """x @ weight.T + bias for several (weight (out, into), bias (out,)), all float32.

    inputs  Rows of each, 1 to MAX_ROWS, all of one array; or None, and so is the result
    Returns (rows, out) of each.
    """
    slots, count = source.slots(inputs)
    variables, shapes, data, call = [], [], {"count": count}, "jt_dfd::Products all = {}; "
    for slot, i in enumerate(slots):
        rows, (out, into), first = inputs[i], weights[i].shape, 3 * slot
        array: Any = rows[0].array if rows else None
        if not 0 < len(rows) <= MAX_ROWS or tuple(biases[i].shape) != (out,) or any(
                row.array is not array or not 0 <= row.at <= array.numel() - into for row in rows):
            raise ValueError(f"linear: from 1 to {MAX_ROWS} vectors of {into} inside one array, and a bias of {out}; "
                             f"got {len(rows)}, places {[row.at for row in rows]} and {tuple(biases[i].shape)}")
        variables += [array, weights[i], biases[i]]
        shapes.append((len(rows), out) if slot < count else (1, 1))
        data.update({f"n{slot}": len(rows), **{f"a{slot},{r}": row.at for r, row in enumerate(rows)}})
        call += (f"jt_dfd::Product product{slot} = {{in{first}_p, in{first + 1}_p, in{first + 2}_p, out{slot}_p, "
                 f"(int)in{first + 1}_shape0, (int)in{first + 1}_shape1}}; all.p[{slot}] = product{slot}; ")
    call += ('all.count = (int)data["count"]; for (int s = 0; s < all.count; s++) { std::string slot = '
             'std::to_string(s); all.p[s].rows = (int)data[("n" + slot).c_str()]; '
             'for (int r = 0; r < all.p[s].rows; r++) '
             'all.p[s].at[r] = (int64_t)data[("a" + slot + "," + std::to_string(r)).c_str()]; } jt_dfd_linear(all);')
    with jt.no_grad():
        return source.back(inputs, source.run(sys.modules[__name__], call, shapes, ["float32"] * len(slots), variables,
                                              data))


def self_test():
    """[(check, largest error, tolerance)] on the device in use: few inputs and many, one network and three."""
    rng, out = np.random.default_rng(17), []
    for name, sizes in (("one long", [(5000, 33, 1)]), ("three", [(24, 70, 15), (30, 257, 2), (24, 1, 7)])):
        arrays = [rng.standard_normal((rows + 3, into + 5), np.float32) for into, _, rows in sizes]
        weights = [rng.standard_normal((made, into), np.float32) for into, made, _ in sizes]
        biases = [rng.standard_normal(made).astype(np.float32) for _, made, _ in sizes]
        inputs = [[Row(v, (r + 3) * a.shape[1] + 5) for r in range(rows)]
                  for a, v, (_, _, rows) in zip(arrays, map(jt.array, arrays), sizes)]
        got = linear([*inputs, None][:5], [*map(jt.array, weights), None], [*map(jt.array, biases), None])
        for a, w, b, y in zip(arrays, weights, biases, got):
            want = a[3:, 5:].astype(np.float64) @ w.T.astype(np.float64) + b
            out.append((f"linear, {name}, {w.shape[1]} in", float(np.abs(y.numpy() - want).max() / np.abs(want).max()),
                        1e-5))
    return out


SHARED = r"""
#include <string>
namespace jt_dfd {
const int MAX_ROWS = 15;
// weight: out rows of into; at: where each vector begins in x
struct Product { const float *x, *weight, *bias; float* y; int out, into, rows; int64_t at[MAX_ROWS]; };
struct Products { Product p[5]; int count; };
}
"""

CPU = r"""
inline void jt_dfd_linear(const jt_dfd::Products& all) {
    for (int s = 0; s < all.count; s++) {
        const jt_dfd::Product& p = all.p[s];
        #pragma omp parallel for
        for (int o = 0; o < p.out; o++)
            for (int r = 0; r < p.rows; r++) {
                const float *w = p.weight + (int64_t)o * p.into, *x = p.x + p.at[r];
                float sum = 0;
                for (int c = 0; c < p.into; c++) sum += w[c] * x[c];
                p.y[(int64_t)r * p.out + o] = p.bias[o] + sum;
            }
    }
}
"""

# A warp computes an output of all the layer's inputs, so that each weight is read once; a block where sums are long.
CUDA = r"""
namespace jt_dfd {
const int LINEAR_THREADS = 256, LONG = 4096;

__global__ void linear_kernel(Products all, int lanes) {
    __shared__ float parts[LINEAR_THREADS / 32][MAX_ROWS];
    int o = blockIdx.x * (LINEAR_THREADS / lanes) + threadIdx.x / lanes, lane = threadIdx.x % lanes, s = 0;
    while (s < all.count && o >= all.p[s].out) o -= all.p[s++].out;
    if (s == all.count) return;      // whole warps, and no block that has to wait for one
    const Product& p = all.p[s];
    const float* w = p.weight + (int64_t)o * p.into;
    float sums[MAX_ROWS] = {0};
    for (int c = lane; c < p.into; c += lanes) {
        float v = w[c];
        #pragma unroll
        for (int r = 0; r < MAX_ROWS; r++) if (r < p.rows) sums[r] += v * p.x[p.at[r] + c];
    }
    #pragma unroll
    for (int r = 0; r < MAX_ROWS; r++) {
        if (r >= p.rows) break;
        for (int step = 16; step; step >>= 1) sums[r] += __shfl_down_sync(0xffffffffu, sums[r], step);
        if (threadIdx.x % 32 == 0) {
            if (lanes == 32) p.y[(int64_t)r * p.out + o] = p.bias[o] + sums[r];
            else parts[threadIdx.x / 32][r] = sums[r];
        }
    }
    if (lanes == 32) return;
    __syncthreads();
    if ((int)threadIdx.x >= p.rows) return;
    float sum = 0;
    for (int i = 0; i < LINEAR_THREADS / 32; i++) sum += parts[i][threadIdx.x];
    p.y[(int64_t)threadIdx.x * p.out + o] = p.bias[o] + sum;
}
}

inline void jt_dfd_linear(const jt_dfd::Products& all) {
    using namespace jt_dfd;
    int outputs = 0, into = 0;
    for (int s = 0; s < all.count; s++) {
        outputs += all.p[s].out;
        if (into < all.p[s].into) into = all.p[s].into;
    }
    int lanes = into < LONG ? 32 : LINEAR_THREADS, each = LINEAR_THREADS / lanes;
    linear_kernel<<<(outputs + each - 1) / each, LINEAR_THREADS>>>(all, lanes);
    JT_DFD_LAUNCHED("linear_kernel", outputs, into);
}
"""
