"""Shadow guidance: weighted sum of the decoded neighbours of all five components, masks and clipping, in one pass.

For a component, s = sum over w_i > 0 of min(w_i, 0.5) * (1 - decoded_i) / 2, shown as 255 * (1 - s), clipped (release).
On the page each part's shadow is faded towards its window's rim and halved, the remainder's is weakened under the
parts, and the sum is clipped (release; constants in ``selection``).

No gradient passes: it is a picture for the person who draws.
"""
from __future__ import annotations

import sys
from typing import Dict, Mapping, Optional, Sequence

import numpy as np

from ..backend import jt
from ..components import COMPONENTS, PARTS, Geometry
from . import selection, source


def shadow(decoded: Dict[str, "jt.Var"], weights: Dict[str, Sequence[float]], geometry: Geometry,
           which: Optional[Mapping[str, Sequence[int]]] = None, impl: str = "kernel"):
    """The guidance for a sketch, all pictures in one array: (n,) uint8, which ``pictures`` takes apart.

    decoded  {component: (rows, size, size) float32}, neighbours as the image decoder draws them, about [-1, 1]
    weights  {component: (k,)} numbers, k at most selection.MAX_K and different between components as it likes
    which    {component: (k,)} rows of ``decoded`` that the weights are of; the first k where it is not given
    impl     "kernel", or "reference" for the plain Jittor operations below
    """
    which = which or {c: range(len(weights[c])) for c in COMPONENTS}
    for name in COMPONENTS:
        size = geometry.window(name).size
        if tuple(decoded[name].shape[1:]) != (size, size) or len(weights[name]) > selection.MAX_K \
                or len(weights[name]) != len(which[name]) or any(not 0 <= row < len(decoded[name])
                                                                 for row in which[name]):
            raise ValueError(f"shadow of {name}: expected neighbours (k, {size}, {size}) and weights (k,), got "
                             f"{tuple(decoded[name].shape)} and {len(weights[name])} weights of the rows "
                             f"{list(which[name])}")
    if impl == "reference":
        return reference(decoded, weights, geometry, which)
    data = {"limit": selection.WEIGHT_LIMIT, "fade": selection.REST_FADE, "share": selection.PART_SHARE}
    for i, name in enumerate(PARTS):
        w = geometry.window(name)
        data.update({f"x{i}": w.x, f"y{i}": w.y, f"s{i}": w.size})
    for i, name in enumerate(COMPONENTS):
        shown = [(w, row) for w, row in zip(weights[name], which[name]) if w > 0]
        data[f"n{i}"] = len(shown)
        for j, (w, row) in enumerate(shown):
            data.update({f"w{i},{j}": w, f"r{i},{j}": row})
    call = ("const float* decoded[5] = {in0_p, in1_p, in2_p, in3_p, in4_p}; "
            "const int windows[12] = {" + ", ".join(f'(int)data["{letter}{i}"]' for i in range(4) for letter in "xys")
            + "}; jt_dfd::Neighbours near; for (int i = 0; i < 5; i++) { "
            'near.counts[i] = (int)data[("n" + std::to_string(i)).c_str()]; '
            "for (int j = 0; j < near.counts[i]; j++) { "
            'std::string place = std::to_string(i) + "," + std::to_string(j); '
            'near.weights[i][j] = (float)data[("w" + place).c_str()]; '
            'near.rows[i][j] = (int)data[("r" + place).c_str()]; } } '
            'jt_dfd_shadow(decoded, near, in5_p, in4_shape1, windows, data["limit"], data["fade"], data["share"], '
            "out0_p);")
    with jt.no_grad():
        return source.run(sys.modules[__name__], call, [(sum(s * s for s in _sizes(geometry)),)], ["uint8"],
                          [*(decoded[c] for c in COMPONENTS), _masks(geometry)], data)[0]


def _sizes(geometry: Geometry):
    """Edges of the pictures in one array: the page, then the components."""
    return geometry.canvas, *(geometry.window(c).size for c in COMPONENTS)


def pictures(made: np.ndarray, geometry: Geometry):
    """What ``shadow`` made, on the host -> (page (canvas, canvas) uint8, white = no shadow, at full strength;
    {component: (size, size) uint8} before masks)."""
    cuts = np.cumsum([s * s for s in _sizes(geometry)])
    page, *parts = (p.reshape(s, s) for p, s in zip(np.split(made, cuts[:-1]), _sizes(geometry)))
    return page, dict(zip(COMPONENTS, parts))


_mask_cache: Dict[int, "jt.Var"] = {}


def _masks(geometry: Geometry):
    if geometry.canvas not in _mask_cache:
        _mask_cache[geometry.canvas] = jt.array(selection.part_masks(geometry)).stop_grad()
    return _mask_cache[geometry.canvas]


def reference(decoded, weights, geometry: Geometry, which):
    """The same in plain Jittor operations."""
    ink, out = {}, {}
    with jt.no_grad():
        for name in COMPONENTS:
            w = np.clip(np.asarray(weights[name], np.float32), 0, selection.WEIGHT_LIMIT)
            s = jt.zeros(decoded[name].shape[1:])
            for share, row in zip(w, which[name]):
                s = s + float(share) * (1 - decoded[name][int(row)]) / 2
            out[name] = (255 * (1 - s)).maximum(0.0).minimum(255.0)
            ink[name] = 255 - out[name]
        total = ink["rest"]
        for part in PARTS:
            rows, columns = geometry.window(part).slices
            mask = jt.array(selection.soft_mask(geometry.window(part).size))
            total[rows, columns] = total[rows, columns] * (1 - (1 - mask) * selection.REST_FADE)
        for part in PARTS:
            rows, columns = geometry.window(part).slices
            mask = jt.array(selection.soft_mask(geometry.window(part).size))
            total[rows, columns] = total[rows, columns] + ink[part] * (1 - mask) * selection.PART_SHARE
        page = 255 - total.maximum(0.0).minimum(255.0)
        return jt.concat([p.reshape(-1) for p in (page, *(out[c] for c in COMPONENTS))]).uint8()


def self_test():
    """[(check, largest error in grey levels, tolerance)] on the device in use."""
    rng, geometry = np.random.default_rng(5), Geometry(128)
    decoded, weights, which = {}, {}, {}
    for i, name in enumerate(COMPONENTS):
        size = geometry.window(name).size
        decoded[name] = jt.array(rng.uniform(-1.2, 1.2, (i + 5, size, size)).astype(np.float32))
        weights[name] = rng.normal(0.2, 0.4, i + 3).astype(np.float32)
        which[name] = rng.permutation(i + 5)[:i + 3]
    (page, parts), (want, wanted) = (pictures(shadow(decoded, weights, geometry, which, impl=impl).numpy(), geometry)
                                     for impl in ("kernel", "reference"))
    # a grey level of room: sums of floats in another order may fall on the other side of a whole number
    out = [("shadow page", np.abs(page.astype(int) - want).max(), 1)]
    out += [(f"shadow {c}", np.abs(parts[c].astype(int) - wanted[c]).max(), 1) for c in COMPONENTS]
    return [(name, float(error), float(room)) for name, error, room in out]


SHARED = r"""
#include <string>
namespace jt_dfd {
struct Neighbours { int counts[5], rows[5][64]; float weights[5][64]; };   // all weights above zero
struct Guidance {
    const float* decoded[5];              // the four parts, then the remainder
    Neighbours near;
    const float* masks[4];
    int windows[12];                      // x, y, size of each part
    int canvas;
    float limit, fade, share;
};

// A component's shadow at one of its pixels as a grey level, 255 where there is none.
JT_DFD_SHARED float grey(const Guidance& g, int component, int64_t pixel, int64_t pixels) {
    float s = 0;
    for (int i = 0; i < g.near.counts[component]; i++) {
        float w = g.near.weights[component][i];
        s += (w < g.limit ? w : g.limit) * (1 - g.decoded[component][g.near.rows[component][i] * pixels + pixel]) / 2;
    }
    float v = 255 * (1 - s);
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

// One pixel of the page, and of every component's own picture that lies under it.
// out: the page, then the components' pictures
JT_DFD_SHARED void shade(const Guidance& g, uint8_t* out, int x, int y) {
    int64_t n = g.canvas, at = y * n + x;
    float rest = grey(g, 4, at, n * n), kept = 255 - rest, added = 0;
    uint8_t* own_picture = out + n * n;
    for (int p = 0; p < 4; p++) {
        const int* w = g.windows + 3 * p;
        int u = x - w[0], v = y - w[1], size = w[2];
        uint8_t* picture = own_picture;
        own_picture += size * size;
        if (u < 0 || v < 0 || u >= size || v >= size) continue;
        int64_t own = (int64_t)v * size + u;
        float part = grey(g, p, own, (int64_t)size * size), mask = g.masks[p][own];
        picture[own] = (uint8_t)part;
        kept *= 1 - (1 - mask) * g.fade;
        added += (255 - part) * (1 - mask) * g.share;
    }
    float page = 255 - (kept + added);
    own_picture[at] = (uint8_t)rest;
    out[at] = (uint8_t)(page < 0 ? 0 : page > 255 ? 255 : page);
}

inline Guidance describe(const float** decoded, const Neighbours& near, const float* masks, int canvas,
                         const int* windows, double limit, double fade, double share) {
    Guidance g;
    g.near = near;
    for (int i = 0; i < 5; i++) g.decoded[i] = decoded[i];
    for (int i = 0; i < 12; i++) g.windows[i] = windows[i];
    for (int i = 0; i < 4; i++) { g.masks[i] = masks; masks += windows[3 * i + 2] * windows[3 * i + 2]; }
    g.canvas = canvas;
    g.limit = (float)limit; g.fade = (float)fade; g.share = (float)share;
    return g;
}
}
"""

CPU = r"""
inline void jt_dfd_shadow(const float** decoded, const jt_dfd::Neighbours& near, const float* masks, int canvas,
                          const int* windows, double limit, double fade, double share, uint8_t* out) {
    using namespace jt_dfd;
    Guidance g = describe(decoded, near, masks, canvas, windows, limit, fade, share);
    #pragma omp parallel for
    for (int y = 0; y < canvas; y++)
        for (int x = 0; x < canvas; x++) shade(g, out, x, y);
}
"""

CUDA = r"""
namespace jt_dfd {
__global__ void shadow_kernel(Guidance g, uint8_t* out) {      // 2.8 kB of arguments; CUDA takes 4
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x < g.canvas) shade(g, out, x, y);
}
}

inline void jt_dfd_shadow(const float** decoded, const jt_dfd::Neighbours& near, const float* masks, int canvas,
                          const int* windows, double limit, double fade, double share, uint8_t* out) {
    using namespace jt_dfd;
    Guidance g = describe(decoded, near, masks, canvas, windows, limit, fade, share);
    shadow_kernel<<<dim3((canvas + 127) / 128, canvas), 128>>>(g, out);
    JT_DFD_LAUNCHED("shadow_kernel", canvas);
}
"""
