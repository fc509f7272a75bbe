"""Manifold projection: the K nearest rows of a feature bank, the weights that rebuild the query, the rebuilt vector.

No gradient passes: projection is for inference (paper; stage II trains on the encoders' own vectors).
"""
from __future__ import annotations

import sys
from typing import NamedTuple, Sequence

import numpy as np

from ..backend import jt
from . import nth_element, selection, source

#: weight of the condition that the weights of the other rows sum to zero (release)
PENALTY = 10.0
#: rows whose best K one CUDA block selects
CHUNK = 2048


class Projection(NamedTuple):
    """vectors (Q, d) float32; rows (Q, k) int32, the anchor first; weights (Q, k) float32, each row summing to 1."""

    vectors: "jt.Var"
    rows: "jt.Var"
    weights: "jt.Var"


def project(bank, queries, k: int = 15, anchor: str = "nearest") -> Projection:
    """Project queries onto the local linear span of their neighbours.

    bank     (N, d) float32, N > 0
    queries  (Q, d) float32
    k        neighbours, 1 to selection.MAX_K; more than N means N.  15 is the release's, 10 the paper's
    anchor   "nearest": neighbours by (distance, row), the nearest is the anchor; the same on every device.
             "release": the release's own choice, see ``selection``
    The readable statement of all this, in NumPy, is ``selection``.
    """
    if anchor not in selection.ANCHORS:
        raise ValueError(f"no anchor rule {anchor!r}; there are {', '.join(selection.ANCHORS)}")
    selection.check_k(k)
    if len(bank.shape) != 2 or len(queries.shape) != 2 or bank.shape[1] != queries.shape[1] or bank.shape[0] == 0:
        raise ValueError(f"expected a bank (N, d) and queries (Q, d), got {tuple(bank.shape)} and "
                         f"{tuple(queries.shape)}")
    k = min(int(k), bank.shape[0])
    count, rows, width = queries.shape[0], bank.shape[0], bank.shape[1]
    with jt.no_grad():
        vectors, indices, weights, _, _ = source.run(
            sys.modules[__name__],
            'jt_dfd_project(in0_p, in1_p, in0_shape0, in0_shape1, in1_shape0, (int)data["k"], (int)data["release"], '
            'data["penalty"], out0_p, out1_p, out2_p, (uint64_t*)out3_p, (uint64_t*)out4_p);',
            [(count, width), (count, k), (count, k), (count, rows), (count, _scratch(rows, k, anchor))],
            ["float32", "int32", "float32", "int64", "int64"], [bank.float32(), queries.float32()],
            {"k": k, "release": anchor == "release", "penalty": PENALTY})
    return Projection(vectors.stop_grad(), indices.stop_grad(), weights.stop_grad())


def refined(banks: Sequence, latents: Sequence, ks: Sequence[int], anchor: str, amounts: Sequence[float]):
    """Several latents, each onto its own bank, in one operator and one array, so that one copy brings all to the host.

    banks, latents  (N, d) and (1, d) float32, as many of each; nothing is computed where k is 0
    amounts         the vector is ``amount`` of the projection and the rest of the latent
    Returns (len(banks), 2 d + 2 max(ks)) float32: latent, vector, weights, and the bits of the int32 rows.
    """
    count, width, most = len(banks), latents[0].shape[1], max(ks)
    longest = max(bank.shape[0] for bank in banks)
    data = {"release": anchor == "release", "penalty": PENALTY}
    for i, (k, amount) in enumerate(zip(ks, amounts)):
        data.update({f"k{i}": min(int(k), banks[i].shape[0]), f"amount{i}": amount})

    def of(text: str) -> str:
        return "[] = {" + ", ".join(text.replace("BANK", f"in{i}").replace("LATENT", f"in{count + i}")
                                    .replace("NUMBER", str(i)) for i in range(count)) + "}; "
    call = ("const float* banks" + of("BANK_p") + "const float* latents" + of("LATENT_p")
            + "const int rows" + of("(int)BANK_shape0") + "const int ks" + of('(int)data["kNUMBER"]')
            + "const double amounts" + of('data["amountNUMBER"]') +
            f"int d = in{count}_shape1, most = (out0_shape1 - 2 * d) / 2; "
            f"for (int i = 0; i < {count}; i++) {{ "
            "if (!ks[i]) continue; float* out = out0_p + (int64_t)i * out0_shape1; "
            'jt_dfd_project(banks[i], latents[i], rows[i], d, 1, ks[i], (int)data["release"], data["penalty"], '
            "out + d, (int*)(out + 2 * d + most), out + 2 * d, (uint64_t*)out1_p, (uint64_t*)out2_p); "
            "jt_dfd_refine(latents[i], d, amounts[i], out); }")
    with jt.no_grad():
        return source.run(sys.modules[__name__], call, [(count, 2 * width + 2 * most), (longest,),
                                                        (_scratch(longest, most, anchor),)],
                          ["float32", "int64", "int64"], [*banks, *latents], data)[0].stop_grad()


def _scratch(rows: int, k: int, anchor: str) -> int:
    """What the CUDA side needs besides: by the nearest rule the best keys of every chunk, by the release's two
    lists."""
    return -(-rows // CHUNK) * k if anchor == "nearest" else (rows + 1) // 2


def self_test():
    """[(check, largest error, tolerance)] on the device in use."""
    rng = np.random.default_rng(7)
    bank, queries = rng.standard_normal((5000, 512), np.float32), rng.standard_normal((3, 512), np.float32)
    out = []
    for anchor, k in (("nearest", 15), ("nearest", selection.MAX_K), ("release", 15)):
        got = project(jt.array(bank), jt.array(queries), k, anchor)
        rows, weights, vectors = got.rows.numpy(), got.weights.numpy(), got.vectors.numpy()
        for q, query in enumerate(queries):
            want = selection.neighbours(bank, query, k, anchor)
            w = selection.rebuilding_weights(bank[want], query)
            name = f"{anchor}, k {k}"
            out += [(f"projection rows, {name}", float((rows[q] != want).sum()), 0.0),
                    (f"projection weights, {name}", float(np.abs(weights[q] - w).max()), 1e-5),
                    (f"projection vectors, {name}", float(np.abs(vectors[q] - w @ bank[want]).max()), 1e-5)]
    return out


# A neighbour is a 64-bit key: the distance's bits above, the row below.  Distances are not negative, so keys compare
# like (distance, row) pairs.
SHARED = r"""
namespace jt_dfd {
const int MAX_K = 64;
const double DEPENDENT = 1e-9;   // selection.DEPENDENT

JT_DFD_SHARED uint64_t make_key(double distance, unsigned row) {
    float d = (float)distance;
    uint32_t bits;
    memcpy(&bits, &d, 4);
    bits &= 0x7fffffffu;
    // A NaN sorts last instead of derailing the selection.  Asked of the bits: Jittor compiles with -Ofast, under which
    // comparisons take numbers to be finite.
    if (bits > 0x7f800000u) bits = 0x7f800000u;
    return ((uint64_t)bits << 32) | row;
}

// x -> the sum over [from, d) in steps of `step`: a lane's share of a squared distance, squares in float64
JT_DFD_SHARED double partial_distance(const float* a, const float* b, int d, int from, int step) {
    double sum = 0;
    for (int i = from; i < d; i += step) {
        double t = a[i] - b[i];
        sum += t * t;
    }
    return sum;
}

}
""" + nth_element.SHARED + r"""
namespace jt_dfd {
// One entry of the normal equations: column m holds the right side.  rows[0] is the anchor.
JT_DFD_SHARED double normal_entry(const float* bank, const float* query, const int* rows, int d,
                                  int i, int j, int m, int from, int step) {
    const float* f0 = bank + (int64_t)rows[0] * d;
    const float* fi = bank + (int64_t)rows[i + 1] * d;
    const float* fj = j == m ? query : bank + (int64_t)rows[j + 1] * d;
    double sum = 0;
    for (int c = from; c < d; c += step) sum += ((double)fi[c] - f0[c]) * ((double)fj[c] - f0[c]);
    return sum;
}

JT_DFD_SHARED void refine(const float* latent, int d, int c, float amount, float rest, float* out) {
    out[c] = latent[c];
    out[d + c] = out[d + c] * amount + latent[c] * rest;
}

JT_DFD_SHARED float rebuilt(const float* bank, const int* rows, const double* w, int k, int d, int c) {
    double sum = 0;
    for (int i = 0; i < k; i++) sum += w[i] * bank[(int64_t)rows[i] * d + c];
    return (float)sum;
}
}
"""

CPU = r"""
namespace jt_dfd {
// normal: m x m, both triangles not needed below the diagonal; right: m.  Writes weights w[0..m].  A column that
// depends on those before it gets the weight 0.
inline void solve_weights(double* normal, double* right, int m, double penalty, double* w) {
    double largest = 1e-300;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j <= i; j++) normal[i * m + j] += penalty * penalty;
        if (normal[i * m + i] > largest) largest = normal[i * m + i];
    }
    for (int i = 0; i < m; i++) {
        for (int j = 0; j <= i; j++) {
            double s = normal[i * m + j];
            for (int c = 0; c < j; c++) s -= normal[i * m + c] * normal[j * m + c];
            if (j < i) normal[i * m + j] = normal[j * m + j] > 0 ? s / normal[j * m + j] : 0;
            else normal[i * m + i] = s > DEPENDENT * largest ? sqrt(s) : 0;
        }
        double pivot = normal[i * m + i];
        if (pivot > 0) {
            for (int c = 0; c < i; c++) right[i] -= normal[i * m + c] * right[c];
            right[i] /= pivot;
        } else right[i] = 0;
    }
    double sum = 0;
    for (int i = m - 1; i >= 0; i--) {
        double pivot = normal[i * m + i], s = right[i];
        for (int c = i + 1; c < m; c++) s -= normal[c * m + i] * w[c + 1];
        w[i + 1] = pivot > 0 ? s / pivot : 0;
        sum += w[i + 1];
    }
    w[0] = 1 - sum;
}
}

inline void jt_dfd_project(const float* bank, const float* queries, int n, int d, int count, int k, int release,
                           double penalty, float* vectors, int* indices, float* weights,
                           uint64_t* keys, uint64_t* candidates) {
    using namespace jt_dfd;
    (void)candidates;
    for (int q = 0; q < count; q++) {
        const float* query = queries + (int64_t)q * d;
        uint64_t* key = keys + (int64_t)q * n;
        #pragma omp parallel for
        for (int r = 0; r < n; r++) {
            const float* row = bank + (int64_t)r * d;
            // eight sums side by side, so that the loop becomes vector instructions
            double sum[8] = {0}, rest;
            int c = 0;
            for (; c + 8 <= d; c += 8)
                for (int l = 0; l < 8; l++) {
                    double t = row[c + l] - query[c + l];
                    sum[l] += t * t;
                }
            rest = partial_distance(row, query, d, c, 1);
            key[r] = make_key(((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest,
                              r);
        }
        if (release) nth_element_keys(key, n, k);
        else std::partial_sort(key, key + k, key + n);
        int* rows = indices + (int64_t)q * k;
        for (int i = 0; i < k; i++) rows[i] = (int)(uint32_t)key[i];
        int m = k - 1;
        double normal[MAX_K * MAX_K], right[MAX_K], w[MAX_K];
        for (int i = 0; i < m; i++) {
            for (int j = 0; j <= i; j++) normal[i * m + j] = normal_entry(bank, query, rows, d, i, j, m, 0, 1);
            right[i] = normal_entry(bank, query, rows, d, i, m, m, 0, 1);
        }
        solve_weights(normal, right, m, penalty, w);
        for (int i = 0; i < k; i++) weights[(int64_t)q * k + i] = (float)w[i];
        for (int c = 0; c < d; c++) vectors[(int64_t)q * d + c] = rebuilt(bank, rows, w, k, d, c);
    }
}

// out: d numbers of room, and the d of the projection, which becomes the refined vector
inline void jt_dfd_refine(const float* latent, int d, double amount, float* out) {
    for (int c = 0; c < d; c++) jt_dfd::refine(latent, d, c, (float)amount, (float)(1 - amount), out);
}
"""

# Distances: a warp a row, read once, coalesced.  Selection by the nearest rule: every block takes the K best of a chunk
# in K rounds over keys in registers, then one block a query takes the K best of all chunks.  The release's rule: one
# block a query partitions while there are many keys, one thread ends it.  The small system: a warp an entry, then the
# block solves it, a thread a row.
CUDA = r"""
namespace jt_dfd {
const int THREADS = 256, CHUNK = 2048, EACH = CHUNK / THREADS;
const int FEW = 256;                      // keys that one thread selects from (ours)
const int MAX_QUERIES = 65535;           // in one launch: blocks of a grid's second dimension

__device__ inline double warp_sum(double v) {
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

__device__ inline uint64_t block_min(uint64_t v, uint64_t* shared) {
    for (int o = 16; o; o >>= 1) {
        uint64_t other = __shfl_xor_sync(0xffffffffu, (unsigned long long)v, o);
        v = other < v ? other : v;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
    __syncthreads();
    v = shared[0];
    for (int i = 1; i < THREADS / 32; i++) v = shared[i] < v ? shared[i] : v;
    return v;
}

__global__ void distance_kernel(const float* bank, const float* queries, int n, int d, uint64_t* keys) {
    int lane = threadIdx.x % 32, row = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, q = blockIdx.y;
    if (row >= n) return;
    const float* a = bank + (int64_t)row * d;
    const float* b = queries + (int64_t)q * d;
    double sum = 0;
    int c = 0;
    if (d % 4 == 0) {
        for (c = lane * 4; c < d; c += 128) {
            float4 x = *(const float4*)(a + c), y = *(const float4*)(b + c);
            double s = x.x - y.x, t = x.y - y.y, u = x.z - y.z, v = x.w - y.w;
            sum += (s * s + t * t) + (u * u + v * v);
        }
    } else sum = partial_distance(a, b, d, lane, 32);
    sum = warp_sum(sum);
    if (lane == 0) keys[(int64_t)q * n + row] = make_key(sum, row);
}

__global__ void chunk_kernel(const uint64_t* keys, int n, int k, uint64_t* candidates) {
    __shared__ uint64_t shared[THREADS / 32];
    const uint64_t none = ~0ull;
    uint64_t own[EACH];
    int base = blockIdx.x * CHUNK, q = blockIdx.y;
    for (int i = 0; i < EACH; i++) {
        int r = base + i * THREADS + threadIdx.x;
        own[i] = r < n ? keys[(int64_t)q * n + r] : none;
    }
    uint64_t last = 0;
    for (int round = 0; round < k; round++) {
        uint64_t best = none;
        for (int i = 0; i < EACH; i++)
            if ((round == 0 || own[i] > last) && own[i] < best) best = own[i];
        last = block_min(best, shared);
        if (threadIdx.x == 0) candidates[((int64_t)q * gridDim.x + blockIdx.x) * k + round] = last;
    }
}

__global__ void choose_kernel(const uint64_t* candidates, int count, int k, int* indices) {
    __shared__ uint64_t shared[THREADS / 32];
    const uint64_t none = ~0ull;
    const uint64_t* own = candidates + (int64_t)blockIdx.x * count;
    uint64_t last = 0;
    for (int round = 0; round < k; round++) {
        uint64_t best = none;
        for (int i = threadIdx.x; i < count; i += THREADS)
            if ((round == 0 || own[i] > last) && own[i] < best) best = own[i];
        last = block_min(best, shared);
        if (threadIdx.x == 0) indices[(int64_t)blockIdx.x * k + round] = (int)(uint32_t)last;
    }
}

}
""" + nth_element.CUDA + r"""
namespace jt_dfd {
// solve_weights of the CPU's text by a block, column by column, a thread a row.  a: m + 1 rows of m, the lower triangle
// of the normal equations with their penalty and below it the right side, which becomes the factor's solution on the
// way.
__device__ inline void solve_by_block(double* a, int m, double* w) {
    int i = threadIdx.x;
    double largest = 1e-300;
    for (int j = 0; j < m; j++) if (a[j * m + j] > largest) largest = a[j * m + j];
    __syncthreads();
    for (int j = 0; j < m; j++) {
        double s = 0;
        if (i >= j && i <= m) {
            s = a[i * m + j];
            for (int c = 0; c < j; c++) s -= a[i * m + c] * a[j * m + c];
        }
        if (i == j) a[j * m + j] = s > DEPENDENT * largest ? sqrt(s) : 0;
        __syncthreads();
        if (i > j && i <= m) a[i * m + j] = a[j * m + j] > 0 ? s / a[j * m + j] : 0;
        __syncthreads();
    }
    double *right = a + m * m, sum = 0;
    for (int j = m - 1; j >= 0; j--) {
        double x = a[j * m + j] > 0 ? right[j] / a[j * m + j] : 0;
        if (i < j) right[i] -= a[j * m + i] * x;
        if (i == 0) w[j + 1] = x;
        sum += x;
        __syncthreads();
    }
    if (i == 0) w[0] = 1 - sum;
    __syncthreads();
}

__global__ void weights_kernel(const float* bank, const float* queries, const int* indices, int d, int k,
                               double penalty, float* vectors, float* weights) {
    extern __shared__ double memory[];
    int m = k - 1, q = blockIdx.x, lane = threadIdx.x % 32;
    double *normal = memory, *w = normal + (m + 1) * m;
    const int* rows = indices + (int64_t)q * k;
    const float* query = queries + (int64_t)q * d;
    int entries = m * (m + 1) / 2 + m;
    for (int e = threadIdx.x / 32; e < entries; e += THREADS / 32) {
        int i = 0, j = e;                 // entry e counts through row i = 0: j 0, m; row 1: j 0, 1, m; ...
        while (j > i + 1) { j -= i + 2; i++; }
        bool side = j == i + 1;
        double v = warp_sum(normal_entry(bank, query, rows, d, i, side ? m : j, m, lane, 32));
        if (lane == 0) { if (side) normal[m * m + i] = v; else normal[i * m + j] = v + penalty * penalty; }
    }
    __syncthreads();
    solve_by_block(normal, m, w);
    for (int i = threadIdx.x; i < k; i += THREADS) weights[(int64_t)q * k + i] = (float)w[i];
    for (int c = threadIdx.x; c < d; c += THREADS) vectors[(int64_t)q * d + c] = rebuilt(bank, rows, w, k, d, c);
}

__global__ void refine_kernel(const float* latent, int d, float amount, float rest, float* out) {
    int c = blockIdx.x * THREADS + threadIdx.x;
    if (c < d) refine(latent, d, c, amount, rest, out);
}
}

inline void jt_dfd_refine(const float* latent, int d, double amount, float* out) {
    using namespace jt_dfd;
    refine_kernel<<<(d + THREADS - 1) / THREADS, THREADS>>>(latent, d, (float)amount, (float)(1 - amount), out);
    JT_DFD_LAUNCHED("refine_kernel", d);
}

inline void jt_dfd_project(const float* bank, const float* queries, int n, int d, int count, int k, int release,
                           double penalty, float* vectors, int* indices, float* weights,
                           uint64_t* keys, uint64_t* candidates) {
    using namespace jt_dfd;
    int warps = THREADS / 32, chunks = (n + CHUNK - 1) / CHUNK, m = k - 1;
    size_t bytes = sizeof(double) * ((m + 1) * m + k);
    while (count > 0) {
        int some = count < MAX_QUERIES ? count : MAX_QUERIES;
        distance_kernel<<<dim3((n + warps - 1) / warps, some), THREADS>>>(bank, queries, n, d, keys);
        JT_DFD_LAUNCHED("distance_kernel", n, d, some);
        if (release) {   // each query's lists of places lie where the candidates would
            release_kernel<<<some, THREADS>>>(keys, n, k, (int*)candidates, indices);
            JT_DFD_LAUNCHED("release_kernel", n, k, some);
        } else {
            chunk_kernel<<<dim3(chunks, some), THREADS>>>(keys, n, k, candidates);
            JT_DFD_LAUNCHED("chunk_kernel", n, k, chunks, some);
            choose_kernel<<<some, THREADS>>>(candidates, chunks * k, k, indices);
            JT_DFD_LAUNCHED("choose_kernel", k, chunks, some);
        }
        weights_kernel<<<some, THREADS, bytes>>>(bank, queries, indices, d, k, penalty, vectors, weights);
        JT_DFD_LAUNCHED("weights_kernel", d, k, some);
        count -= some;
        queries += (int64_t)some * d;
        vectors += (int64_t)some * d;
        indices += (int64_t)some * k;
        weights += (int64_t)some * k;
        // keys and candidates are used again: launches run one after the other
    }
}
"""
