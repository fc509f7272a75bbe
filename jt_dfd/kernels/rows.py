"""Rows of one variable copied to chosen rows of another: a face's neighbours out of a bank, and decoded pictures to
where they are remembered.  The numbers of the rows go along with the launch; no array of indices is copied first.
"""
from __future__ import annotations

import sys
from typing import Sequence

import numpy as np

from ..backend import jt
from . import source
from .selection import MAX_K


def take(rows, which: Sequence[int]):
    """(N, ...) float32 -> (n, ...): ``rows[which]``, n from 1 to MAX_K."""
    return _copy([(rows, which, range(len(which)))], [(len(which), *rows.shape[1:])], [rows], "in{0}_p, out{0}_p")[0]


def keep(pictures: Sequence, stores: Sequence, which: Sequence) -> None:
    """Write the first ``len(which)`` rows of ``pictures`` (n, ...) over those rows of ``store`` (N, ...), both float32,
    in place and at once: ``store`` must have been computed, and nothing that reads it may still be pending.  Several of
    them in one operator; those that are None are left out."""
    there, count = source.slots(pictures)
    moves = [(pictures[i], range(len(which[i])), which[i]) for i in there[:count]]
    inputs = [variable for i in there for variable in (pictures[i], stores[i])]
    _copy(moves, [(1,)], inputs, "in{1}_p, in{2}_p")[0].sync()


def _copy(moves, shapes, inputs, pointers):
    """moves: (rows, from, to) of each."""
    data, call = {"count": len(moves)}, "jt_dfd::Moves all = {}; all.count = (int)data[\"count\"]; "
    for slot, (rows, source_rows, target_rows) in enumerate(moves):
        if not 0 < len(source_rows) == len(target_rows) <= MAX_K:
            raise ValueError(f"from 1 to {MAX_K} rows are copied at once, not {len(source_rows)}")
        data.update({f"n{slot}": len(source_rows), f"cells{slot}": int(np.prod(rows.shape[1:]))})
        data.update({f"f{slot},{i}": row for i, row in enumerate(source_rows)})
        data.update({f"t{slot},{i}": row for i, row in enumerate(target_rows)})
    for slot in range(max(1, len(inputs) // 2)):
        call += (f"jt_dfd::Rows rows{slot} = {{{pointers.format(slot, 2 * slot, 2 * slot + 1)}}}; "
                 f"all.p[{slot}] = rows{slot}; ")
    call += ("for (int s = 0; s < all.count; s++) { jt_dfd::Rows& rows = all.p[s]; std::string slot = "
             "std::to_string(s); rows.count = (int)data[(\"n\" + slot).c_str()]; "
             "rows.cells = (int64_t)data[(\"cells\" + slot).c_str()]; for (int i = 0; i < rows.count; i++) { "
             "std::string place = slot + \",\" + std::to_string(i); "
             "rows.from[i] = (int)data[(\"f\" + place).c_str()]; rows.to[i] = (int)data[(\"t\" + place).c_str()]; } } "
             "jt_dfd_copy_rows(all);")
    with jt.no_grad():
        return [v.stop_grad() for v in source.run(sys.modules[__name__], call, shapes, ["float32"], inputs, data)]


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
    keep([taken], [kept], [[3, 1]])
    others = [jt.array(bank), jt.array(bank[:9, 0])]
    jt.sync(others)
    keep([None, taken, jt.array(bank[20:30, 0])], [None, *others], [None, [3, 1], [8]])
    small = bank[:9, 0].copy()
    small[8] = bank[20, 0]
    return [("rows taken", float(np.abs(taken.numpy() - bank[[49, 0, 7]]).max()), 0.0),
            ("rows kept", float(np.abs(kept.numpy() - want).max()), 0.0),
            ("rows of several kept", float(max(np.abs(a.numpy() - b).max() for a, b in zip(others, (want, small)))),
             0.0)]


SHARED = r"""
#include <string>
namespace jt_dfd {
struct Rows { const float* source; float* target; int64_t cells; int count, from[64], to[64]; };
struct Moves { Rows p[5]; int count; };      // 2.7 kB; CUDA takes 4
}
"""

CPU = r"""
inline void jt_dfd_copy_rows(const jt_dfd::Moves& all) {
    for (int s = 0; s < all.count; s++) {
        const jt_dfd::Rows& rows = all.p[s];
        for (int i = 0; i < rows.count; i++)
            memcpy(rows.target + rows.to[i] * rows.cells, rows.source + rows.from[i] * rows.cells,
                   sizeof(float) * rows.cells);
    }
}
"""

CUDA = r"""
namespace jt_dfd {
__global__ void copy_rows_kernel(Moves all) {
    const Rows& rows = all.p[blockIdx.z];
    if ((int)blockIdx.y >= rows.count) return;
    const float* from = rows.source + rows.from[blockIdx.y] * rows.cells;
    float* to = rows.target + rows.to[blockIdx.y] * rows.cells;
    for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < rows.cells; i += (int64_t)gridDim.x * blockDim.x)
        to[i] = from[i];
}
}

inline void jt_dfd_copy_rows(const jt_dfd::Moves& all) {
    int64_t cells = 0;
    int count = 0;
    for (int s = 0; s < all.count; s++) {
        if (cells < all.p[s].cells) cells = all.p[s].cells;
        if (count < all.p[s].count) count = all.p[s].count;
    }
    int64_t blocks = (cells + 255) / 256;
    jt_dfd::copy_rows_kernel<<<dim3(blocks < 256 ? (int)blocks : 256, count, all.count), 256>>>(all);
    JT_DFD_LAUNCHED("copy_rows_kernel", cells, count);
}
"""
