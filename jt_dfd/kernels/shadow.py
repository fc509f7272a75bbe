"""Shadow guidance: weighted sum of the decoded neighbours of all five components, masks and clipping, in one pass.

For a component, s = sum over w_i > 0 of min(w_i, 0.5) * (1 - decoded_i) / 2, shown as 255 * (1 - s), clipped (release).
On the page each part's shadow is faded towards its window's rim and halved, the remainder's is weakened under the
parts, and the sum is clipped (release; constants in ``guidance``).

No gradient passes: it is a picture for the person who draws.
"""
from __future__ import annotations

import sys
from typing import Dict, NamedTuple

import numpy as np

from .. import guidance
from ..backend import jt
from ..components import COMPONENTS, PARTS, Geometry
from . import source


class Shadow(NamedTuple):
    """page (canvas, canvas) uint8, white = no shadow, at full strength;
    components {component: (size, size) uint8} before masks."""

    page: "jt.Var"
    components: Dict[str, "jt.Var"]


def shadow(decoded: Dict[str, "jt.Var"], weights: Dict[str, "jt.Var"], geometry: Geometry,
           impl: str = "kernel") -> Shadow:
    """The guidance for a sketch.

    decoded  {component: (k, size, size) float32}, neighbours as the image decoder draws them, about [-1, 1];
             k may differ between components
    weights  {component: (k,) float32}
    impl     "kernel", or "reference" for the plain Jittor operations below
    """
    for name in COMPONENTS:
        size = geometry.window(name).size
        if tuple(decoded[name].shape[1:]) != (size, size) or tuple(weights[name].shape) != (decoded[name].shape[0],):
            raise ValueError(f"shadow of {name}: expected neighbours (k, {size}, {size}) and weights (k,), got "
                             f"{tuple(decoded[name].shape)} and {tuple(weights[name].shape)}")
    if impl == "reference":
        return reference(decoded, weights, geometry)
    data = {"limit": guidance.WEIGHT_LIMIT, "fade": guidance.REST_FADE, "share": guidance.PART_SHARE}
    for i, name in enumerate(PARTS):
        w = geometry.window(name)
        data.update({f"x{i}": w.x, f"y{i}": w.y, f"s{i}": w.size})
    sizes = [geometry.window(c).size for c in COMPONENTS]
    call = ("const float* decoded[5] = {in0_p, in1_p, in2_p, in3_p, in4_p}; "
            "const float* weights[5] = {in5_p, in6_p, in7_p, in8_p, in9_p}; "
            "uint8_t* pictures[6] = {out0_p, out1_p, out2_p, out3_p, out4_p, out5_p}; "
            "const int counts[5] = {(int)in0_shape0, (int)in1_shape0, (int)in2_shape0, (int)in3_shape0, "
            "(int)in4_shape0}; "
            "const int windows[12] = {" + ", ".join(f'(int)data["{letter}{i}"]' for i in range(4) for letter in "xys")
            + "}; jt_dfd_shadow(decoded, weights, counts, in10_p, in4_shape1, windows, data[\"limit\"], "
            "data[\"fade\"], data[\"share\"], pictures);")
    with jt.no_grad():
        outputs = source.run(
            sys.modules[__name__], call, [(s, s) for s in sizes] + [(geometry.canvas, geometry.canvas)], ["uint8"] * 6,
            [decoded[c].float32() for c in COMPONENTS] + [weights[c].float32() for c in COMPONENTS]
            + [_masks(geometry)], data)
    return Shadow(outputs[5], dict(zip(COMPONENTS, outputs)))


_mask_cache: Dict[int, "jt.Var"] = {}


def _masks(geometry: Geometry):
    if geometry.canvas not in _mask_cache:
        _mask_cache[geometry.canvas] = jt.array(guidance.part_masks(geometry)).stop_grad()
    return _mask_cache[geometry.canvas]


def reference(decoded, weights, geometry: Geometry) -> Shadow:
    """The same in plain Jittor operations."""
    ink, pictures = {}, {}
    with jt.no_grad():
        for name in COMPONENTS:
            w = weights[name].maximum(0.0).minimum(guidance.WEIGHT_LIMIT).reshape((-1, 1, 1))
            s = (w * (1 - decoded[name]) / 2).sum(0)
            pictures[name] = (255 * (1 - s)).maximum(0.0).minimum(255.0)
            ink[name] = 255 - pictures[name]
        total = ink["rest"]
        for part in PARTS:
            rows, columns = geometry.window(part).slices
            mask = jt.array(guidance.soft_mask(geometry.window(part).size))
            total[rows, columns] = total[rows, columns] * (1 - (1 - mask) * guidance.REST_FADE)
        for part in PARTS:
            rows, columns = geometry.window(part).slices
            mask = jt.array(guidance.soft_mask(geometry.window(part).size))
            total[rows, columns] = total[rows, columns] + ink[part] * (1 - mask) * guidance.PART_SHARE
        page = 255 - total.maximum(0.0).minimum(255.0)
        return Shadow(page.uint8(), {name: p.uint8() for name, p in pictures.items()})


def self_test():
    """[(check, largest error in grey levels, tolerance)] on the device in use."""
    rng, geometry = np.random.default_rng(5), Geometry(128)
    decoded, weights = {}, {}
    for i, name in enumerate(COMPONENTS):
        size = geometry.window(name).size
        decoded[name] = jt.array(rng.uniform(-1.2, 1.2, (i + 3, size, size)).astype(np.float32))
        weights[name] = jt.array(rng.normal(0.2, 0.4, i + 3).astype(np.float32))
    got, want = shadow(decoded, weights, geometry), shadow(decoded, weights, geometry, "reference")
    # a grey level of room: sums of floats in another order may fall on the other side of a whole number
    out = [("shadow page", np.abs(got.page.numpy().astype(int) - want.page.numpy()).max(), 1)]
    for name in COMPONENTS:
        out.append((f"shadow {name}", np.abs(got.components[name].numpy().astype(int)
                                             - want.components[name].numpy()).max(), 1))
    return [(name, float(error), float(room)) for name, error, room in out]


SHARED = r"""
namespace jt_dfd {
struct Guidance {
    const float* decoded[5];              // the four parts, then the remainder
    const float* weights[5];
    int counts[5];
    const float* masks[4];
    int windows[12];                      // x, y, size of each part
    int canvas;
    float limit, fade, share;
};

// A component's shadow at one of its pixels as a grey level, 255 where there is none.
JT_DFD_SHARED float grey(const Guidance& g, int component, int64_t pixel, int64_t pixels) {
    float s = 0;
    for (int i = 0; i < g.counts[component]; i++) {
        float w = g.weights[component][i];
        if (w > 0) s += (w < g.limit ? w : g.limit) * (1 - g.decoded[component][i * pixels + pixel]) / 2;
    }
    float v = 255 * (1 - s);
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

// One pixel of the page, and of every component's own picture that lies under it.
JT_DFD_SHARED void shade(const Guidance& g, uint8_t* const* out, int x, int y) {
    int64_t n = g.canvas, at = y * n + x;
    float rest = grey(g, 4, at, n * n), kept = 255 - rest, added = 0;
    out[4][at] = (uint8_t)rest;
    for (int p = 0; p < 4; p++) {
        const int* w = g.windows + 3 * p;
        int u = x - w[0], v = y - w[1], size = w[2];
        if (u < 0 || v < 0 || u >= size || v >= size) continue;
        int64_t own = (int64_t)v * size + u;
        float part = grey(g, p, own, (int64_t)size * size), mask = g.masks[p][own];
        out[p][own] = (uint8_t)part;
        kept *= 1 - (1 - mask) * g.fade;
        added += (255 - part) * (1 - mask) * g.share;
    }
    float page = 255 - (kept + added);
    out[5][at] = (uint8_t)(page < 0 ? 0 : page > 255 ? 255 : page);
}

inline Guidance describe(const float** decoded, const float** weights, const int* counts, const float* masks,
                         int canvas, const int* windows, double limit, double fade, double share) {
    Guidance g;
    for (int i = 0; i < 5; i++) { g.decoded[i] = decoded[i]; g.weights[i] = weights[i]; g.counts[i] = counts[i]; }
    for (int i = 0; i < 12; i++) g.windows[i] = windows[i];
    for (int i = 0; i < 4; i++) { g.masks[i] = masks; masks += windows[3 * i + 2] * windows[3 * i + 2]; }
    g.canvas = canvas;
    g.limit = (float)limit; g.fade = (float)fade; g.share = (float)share;
    return g;
}
}
"""

CPU = r"""
inline void jt_dfd_shadow(const float** decoded, const float** weights, const int* counts, const float* masks,
                          int canvas, const int* windows, double limit, double fade, double share, uint8_t** out) {
    using namespace jt_dfd;
    Guidance g = describe(decoded, weights, counts, masks, canvas, windows, limit, fade, share);
    #pragma omp parallel for
    for (int y = 0; y < canvas; y++)
        for (int x = 0; x < canvas; x++) shade(g, out, x, y);
}
"""

CUDA = r"""
namespace jt_dfd {
struct Outputs { uint8_t* p[6]; };
__global__ void shadow_kernel(Guidance g, Outputs out) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x < g.canvas) shade(g, out.p, x, y);
}
}

inline void jt_dfd_shadow(const float** decoded, const float** weights, const int* counts, const float* masks,
                          int canvas, const int* windows, double limit, double fade, double share, uint8_t** out) {
    using namespace jt_dfd;
    Guidance g = describe(decoded, weights, counts, masks, canvas, windows, limit, fade, share);
    Outputs o;
    for (int i = 0; i < 6; i++) o.p[i] = out[i];
    shadow_kernel<<<dim3((canvas + 127) / 128, canvas), 128>>>(g, o);
    JT_DFD_LAUNCHED("shadow_kernel", canvas);
}
"""
