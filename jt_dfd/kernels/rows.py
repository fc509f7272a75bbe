"""Rows of one variable copied to chosen rows of another: a face's neighbours out of a bank, and decoded pictures to
where they are remembered.  The numbers of the rows go along with the launch; no array of indices is copied first.
"""
from __future__ import annotations

import sys
from typing import Sequence

import numpy as np

from ..backend import jt
from ..selection import MAX_K
from . import source


def take(rows, which: Sequence[int]):
    """(N, ...) float32 -> (n, ...): ``rows[which]``, n from 1 to MAX_K."""
    return _copy(rows, which, range(len(which)), [(len(which), *rows.shape[1:])], "in0_p", "out0_p")[0]


def keep(pictures, store, which: Sequence[int]) -> None:
    """Write the first ``len(which)`` rows of ``pictures`` (n, ...) over those rows of ``store`` (N, ...), both float32,
    in place and at once: ``store`` must have been computed, and nothing that reads it may still be pending."""
    _copy(pictures, range(len(which)), which, [(1,)], "in0_p", "in1_p", store)[0].sync()


def _copy(rows, source_rows, target_rows, shapes, read, written, *more):
    if not 0 < len(source_rows) == len(target_rows) <= MAX_K:
        raise ValueError(f"from 1 to {MAX_K} rows are copied at once, not {len(source_rows)}")
    data = {"count": len(source_rows), "cells": int(np.prod(rows.shape[1:]))}
    data.update({f"f{i}": row for i, row in enumerate(source_rows)}, **{f"t{i}": row for i, row in
                                                                       enumerate(target_rows)})
    call = ("jt_dfd::Rows rows; rows.count = (int)data[\"count\"]; for (int i = 0; i < rows.count; i++) { "
            "rows.from[i] = (int)data[(\"f\" + std::to_string(i)).c_str()]; "
            "rows.to[i] = (int)data[(\"t\" + std::to_string(i)).c_str()]; } "
            f"jt_dfd_copy_rows({read}, rows, (int64_t)data[\"cells\"], {written});")
    with jt.no_grad():
        return [v.stop_grad() for v in source.run(sys.modules[__name__], call, shapes, ["float32"], [rows, *more],
                                                  data)]


def self_test():
    """[(check, largest error, tolerance)] on the device in use."""
    bank = np.random.default_rng(13).standard_normal((50, 6, 7)).astype(np.float32)
    store = jt.array(bank)
    store.sync()
    taken = take(store, [49, 0, 7])
    want = bank.copy()
    want[[3, 1]] = bank[[49, 0]]
    kept = jt.array(bank)
    kept.sync()
    keep(taken, kept, [3, 1])
    return [("rows taken", float(np.abs(taken.numpy() - bank[[49, 0, 7]]).max()), 0.0),
            ("rows kept", float(np.abs(kept.numpy() - want).max()), 0.0)]


SHARED = r"""
#include <string>
namespace jt_dfd {
struct Rows { int count, from[64], to[64]; };
}
"""

CPU = r"""
inline void jt_dfd_copy_rows(const float* source, const jt_dfd::Rows& rows, int64_t cells, float* target) {
    for (int i = 0; i < rows.count; i++)
        memcpy(target + rows.to[i] * cells, source + rows.from[i] * cells, sizeof(float) * cells);
}
"""

CUDA = r"""
namespace jt_dfd {
__global__ void copy_rows_kernel(const float* source, Rows rows, int64_t cells, float* target) {
    const float* from = source + rows.from[blockIdx.y] * cells;
    float* to = target + rows.to[blockIdx.y] * cells;
    for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < cells; i += (int64_t)gridDim.x * blockDim.x)
        to[i] = from[i];
}
}

inline void jt_dfd_copy_rows(const float* source, const jt_dfd::Rows& rows, int64_t cells, float* target) {
    int64_t blocks = (cells + 255) / 256;
    jt_dfd::copy_rows_kernel<<<dim3(blocks < 256 ? (int)blocks : 256, rows.count), 256>>>(source, rows, cells, target);
    JT_DFD_LAUNCHED("copy_rows_kernel", cells, rows.count);
}
"""
