"""Merging: the parts' feature maps onto the remainder's, in one pass, forward and backward.

Each part overwrites its window, in the release's order (mouth, nose without its foot, left eye, right eye), so every
pixel of the canvas comes from exactly one map; its gradient goes back to that map alone.
"""
from __future__ import annotations

import sys
from typing import Dict

import numpy as np

from ..backend import derived, jt
from ..components import COMPONENTS, MERGE_ORDER, Geometry
from . import source


def merge(features: Dict[str, "jt.Var"], geometry: Geometry, impl: str = "kernel"):
    """One feature map of the whole canvas, (N, C, canvas, canvas).

    features  {component: (N, C, size, size)} for all five components, float32 or float16
    impl      "kernel", or "reference" for the plain Jittor operations below

    Differentiable with respect to all five maps.
    """
    shape = features["rest"].shape
    for name in COMPONENTS:
        size = geometry.window(name).size
        if tuple(features[name].shape) != (shape[0], shape[1], size, size):
            raise ValueError(f"feature map of {name}: expected shape {(shape[0], shape[1], size, size)}, "
                             f"got {tuple(features[name].shape)}")
        if features[name].dtype != features["rest"].dtype:
            raise ValueError(f"feature maps of {name} and rest differ in type: {features[name].dtype} and "
                             f"{features['rest'].dtype}")
    if impl == "reference":
        return reference(features, geometry)
    return _Merge(geometry)(features["rest"], *(features[p] for p in MERGE_ORDER))


def reference(features: Dict[str, "jt.Var"], geometry: Geometry):
    """The same by slice assignment, which Jittor differentiates."""
    out = features["rest"].clone()
    for part in MERGE_ORDER:
        x, y, width, height = geometry.merge_window(part)
        out[:, :, y:y + height, x:x + width] = features[part][:, :, :height, :]
    return out


@derived("Function")
class _Merge:
    def __init__(self, geometry: Geometry):
        self.data = {}
        for i, part in enumerate(MERGE_ORDER):
            x, y, width, height = geometry.merge_window(part)
            self.data.update({f"x{i}": x, f"y{i}": y, f"w{i}": width, f"h{i}": height})

    def execute(self, rest, *parts):
        self.shapes = [rest.shape] + [p.shape for p in parts]
        self.dtype = str(rest.dtype)
        pointers = ", ".join(f"in{i}_p" for i in range(5))
        return source.run(sys.modules[__name__], _WINDOWS + f"jt_dfd_merge({pointers}, out0_p, in0_shape0, "
                          "in0_shape1, in0_shape2, windows);", [rest.shape], [self.dtype], [rest, *parts], self.data)[0]

    def grad(self, gradient):
        pointers = ", ".join(f"out{i}_p" for i in range(5))
        return tuple(source.run(
            sys.modules[__name__], _WINDOWS + f"jt_dfd_unmerge(in0_p, {pointers}, in0_shape0, in0_shape1, in0_shape2, "
            "windows);", self.shapes, [self.dtype] * 5, [gradient.cast(self.dtype)], self.data))


def self_test():
    """[(check, largest error, tolerance)] on the device in use."""
    rng, geometry, out = np.random.default_rng(3), Geometry(128), []
    maps = {c: jt.array(rng.standard_normal((2, 3, geometry.window(c).size, geometry.window(c).size), np.float32))
            for c in COMPONENTS}
    weight = jt.array(rng.standard_normal((2, 3, 128, 128), np.float32))
    results = {}
    for impl in ("kernel", "reference"):
        merged = merge(maps, geometry, impl)
        results[impl] = [merged.numpy()] + [g.numpy() for g in jt.grad((merged * weight).sum(),
                                                                      [maps[c] for c in COMPONENTS])]
    names = ["forward"] + [f"gradient of {c}" for c in COMPONENTS]
    for name, got, want in zip(names, results["kernel"], results["reference"]):
        out.append((f"merge {name}", float(np.abs(got - want).max()), 0.0))
    return out


# reads the four windows, in merge order, out of `data`
_WINDOWS = "const int windows[16] = {" + ", ".join(
    f'(int)data["{letter}{i}"]' for i in range(4) for letter in "xywh") + "}; "

SHARED = r"""
namespace jt_dfd {
struct Windows { int v[16]; };            // x, y, width, height of each part, the last one wins

// Where a canvas pixel comes from: the map (0 the remainder, else 1 + the part's place in the merge order), the cells
// of one of its planes, and the cell in it.
struct Place { int map; int64_t plane, cell; };

JT_DFD_SHARED Place locate(const Windows& win, int size, int x, int y) {
    Place at = {0, (int64_t)size * size, (int64_t)y * size + x};
    #pragma unroll
    for (int p = 0; p < 4; p++) {
        const int* w = win.v + 4 * p;
        int u = x - w[0], v = y - w[1], side = w[2];
        if (u >= 0 && u < side && v >= 0 && v < w[3]) at = {p + 1, (int64_t)side * side, (int64_t)v * side + u};
    }
    return at;
}

// Edge of a part's square map; its window can be lower than that, never narrower.
JT_DFD_SHARED int edge(const Windows& win, int map, int size) { return map ? win.v[4 * (map - 1) + 2] : size; }
}
"""

# A row of the canvas is a few runs of pixels from one map each: find the runs once, then copy them for every channel.
CPU = r"""
namespace jt_dfd {
struct Run { Place start; int from, length; };

inline std::vector<std::vector<Run>> rows_of(const Windows& win, int size) {
    std::vector<std::vector<Run>> rows(size);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            Place at = locate(win, size, x, y);
            if (rows[y].empty() || rows[y].back().start.map != at.map) rows[y].push_back({at, x, 0});
            rows[y].back().length++;
        }
    return rows;
}
}

template <class T>
inline void jt_dfd_merge(const T* rest, const T* a, const T* b, const T* c, const T* d, T* out, int count, int channels,
                         int size, const int* windows) {
    using namespace jt_dfd;
    Windows win;
    memcpy(win.v, windows, sizeof win.v);
    const T* maps[5] = {rest, a, b, c, d};
    auto rows = rows_of(win, size);
    #pragma omp parallel for
    for (int64_t plane = 0; plane < (int64_t)count * channels; plane++)
        for (int y = 0; y < size; y++)
            for (const Run& r : rows[y])
                memcpy((void*)(out + (plane * size + y) * size + r.from),
                       maps[r.start.map] + plane * r.start.plane + r.start.cell, sizeof(T) * r.length);
}

template <class T>
inline void jt_dfd_unmerge(const T* gradient, T* rest, T* a, T* b, T* c, T* d, int count, int channels, int size,
                           const int* windows) {
    using namespace jt_dfd;
    Windows win;
    memcpy(win.v, windows, sizeof win.v);
    T* maps[5] = {rest, a, b, c, d};
    auto rows = rows_of(win, size);
    #pragma omp parallel for
    for (int64_t plane = 0; plane < (int64_t)count * channels; plane++) {
        for (int m = 0; m < 5; m++) {
            int64_t cells = (int64_t)edge(win, m, size) * edge(win, m, size);
            memset((void*)(maps[m] + plane * cells), 0, sizeof(T) * cells);
        }
        for (int y = 0; y < size; y++)
            for (const Run& r : rows[y])
                memcpy((void*)(maps[r.start.map] + plane * r.start.plane + r.start.cell),
                       gradient + (plane * size + y) * size + r.from, sizeof(T) * r.length);
    }
}
"""

CUDA = r"""
namespace jt_dfd {
template <class T> struct Maps { T* p[5]; };

template <class T>
__global__ void merge_kernel(Maps<const T> maps, T* out, int64_t planes, int size, Windows win) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= size) return;
    Place at = locate(win, size, x, y);
    const T* from = maps.p[0];
    #pragma unroll
    for (int p = 1; p < 5; p++) if (at.map == p) from = maps.p[p];   // constant indices keep it in registers
    for (int64_t plane = blockIdx.z; plane < planes; plane += gridDim.z)
        out[(plane * size + y) * size + x] = from[plane * at.plane + at.cell];
}

// One map's gradient: what the canvas took from it, zero where another map covers it.
template <class T>
__global__ void unmerge_kernel(const T* gradient, T* out, int64_t planes, int size, Windows win, int map) {
    int side = edge(win, map, size), u = blockIdx.x * blockDim.x + threadIdx.x, v = blockIdx.y;
    if (u >= side) return;
    int x = map ? win.v[4 * (map - 1)] + u : u, y = map ? win.v[4 * (map - 1) + 1] + v : v;
    bool mine = locate(win, size, x, y).map == map;
    for (int64_t plane = blockIdx.z; plane < planes; plane += gridDim.z)
        out[(plane * side + v) * side + u] = mine ? gradient[(plane * size + y) * size + x] : T(0);
}

inline int layers(int64_t planes) { return planes < 64 ? (int)planes : 64; }
}

template <class T>
inline void jt_dfd_merge(const T* rest, const T* a, const T* b, const T* c, const T* d, T* out, int count, int channels,
                         int size, const int* windows) {
    using namespace jt_dfd;
    Windows win;
    memcpy(win.v, windows, sizeof win.v);
    Maps<const T> maps = {{rest, a, b, c, d}};
    int64_t planes = (int64_t)count * channels;
    if (planes == 0) return;
    merge_kernel<T><<<dim3((size + 127) / 128, size, layers(planes)), 128>>>(maps, out, planes, size, win);
    JT_DFD_LAUNCHED("merge_kernel", planes, size);
}

template <class T>
inline void jt_dfd_unmerge(const T* gradient, T* rest, T* a, T* b, T* c, T* d, int count, int channels, int size,
                           const int* windows) {
    using namespace jt_dfd;
    Windows win;
    memcpy(win.v, windows, sizeof win.v);
    T* maps[5] = {rest, a, b, c, d};
    int64_t planes = (int64_t)count * channels;
    if (planes == 0) return;
    for (int m = 0; m < 5; m++) {
        int side = edge(win, m, size);
        dim3 grid((side + 127) / 128, side, layers(planes));
        unmerge_kernel<T><<<grid, 128>>>(gradient, maps[m], planes, size, win, m);
        JT_DFD_LAUNCHED("unmerge_kernel", planes, size, side);
    }
}
"""
