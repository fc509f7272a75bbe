"""The release's choice of neighbours as C++: ``std::nth_element`` in GNU libstdc++'s order, by a thread or by a block.

selection.py has the readable form; projection.py puts these texts among its own, which define THREADS and FEW.
"""
from __future__ import annotations

SHARED = r"""
namespace jt_dfd {
JT_DFD_SHARED void swap_keys(uint64_t* v, int i, int j) { uint64_t t = v[i]; v[i] = v[j]; v[j] = t; }

JT_DFD_SHARED void choose_pivot(uint64_t* v, int first, int last) {
    int a = first + 1, b = first + (last - first) / 2, c = last - 1, median;
    if (v[a] < v[b]) median = v[b] < v[c] ? b : v[a] < v[c] ? c : a;
    else median = v[a] < v[c] ? a : v[b] < v[c] ? c : b;
    swap_keys(v, first, median);
}

JT_DFD_SHARED int partition_keys(uint64_t* v, int first, int last) {
    choose_pivot(v, first, last);
    uint64_t pivot = v[first];
    int low = first + 1, high = last;
    while (true) {
        while (v[low] < pivot) low++;
        high--;
        while (pivot < v[high]) high--;
        if (low >= high) return low;
        swap_keys(v, low, high);
        low++;
    }
}

JT_DFD_SHARED void sift_key(uint64_t* v, int hole, int length, uint64_t value) {
    int top = hole, child = hole;
    while (child < (length - 1) / 2) {
        child = 2 * (child + 1);
        if (v[child] < v[child - 1]) child--;
        v[hole] = v[child];
        hole = child;
    }
    if (length % 2 == 0 && child == (length - 2) / 2) {
        child = 2 * (child + 1);
        v[hole] = v[child - 1];
        hole = child - 1;
    }
    int parent = (hole - 1) / 2;
    while (hole > top && v[parent] < value) {
        v[hole] = v[parent];
        hole = parent;
        parent = (hole - 1) / 2;
    }
    v[hole] = value;
}

// partitions before it gives up and takes a heap
JT_DFD_SHARED int selection_rounds(int n) {
    int rounds = 0;
    for (int size = n; size > 1; size /= 2) rounds += 2;
    return rounds;
}

// The selection from where [first, last) is left to be looked at and `rounds` partitions are left to be made.
JT_DFD_SHARED void select_keys(uint64_t* v, int first, int last, int nth, int rounds) {
    while (last - first > 3) {
        if (rounds-- == 0) {
            uint64_t* heap = v + first;
            int length = nth + 1 - first;
            for (int parent = (length - 2) / 2; parent >= 0; parent--) sift_key(heap, parent, length, heap[parent]);
            for (int i = nth + 1; i < last; i++) {
                if (v[i] < v[first]) {
                    uint64_t value = v[i];
                    v[i] = v[first];
                    sift_key(heap, 0, length, value);
                }
            }
            swap_keys(v, first, nth);
            return;
        }
        int cut = partition_keys(v, first, last);
        if (cut <= nth) first = cut; else last = cut;
    }
    for (int i = first + 1; i < last; i++) {
        uint64_t value = v[i];
        int j = i;
        for (; j > first && value < v[j - 1]; j--) v[j] = v[j - 1];
        v[j] = value;
    }
}

JT_DFD_SHARED void nth_element_keys(uint64_t* v, int n, int nth) {
    if (nth < n) select_keys(v, 0, n, nth, selection_rounds(n));
}
}
"""

CUDA = r"""
namespace jt_dfd {
// The sum over the threads before this one, and over all of them.
__device__ inline int sum_before(int v, int* shared, int* total) {
    int sum = v, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int o = 1; o < 32; o *= 2) {
        int other = __shfl_up_sync(0xffffffffu, sum, o);
        if (lane >= o) sum += other;
    }
    __syncthreads();
    if (lane == 31) shared[warp] = sum;
    __syncthreads();
    int before = sum - v;
    *total = 0;
    for (int i = 0; i < THREADS / 32; i++) {
        if (i == warp) before += *total;
        *total += shared[i];
    }
    return before;
}

// What partition_keys does, by a block.  It exchanges the first key from the left that is not smaller than the pivot
// with the first from the right that is, the second with the second, and so on up to the cut; no two keys are equal.
// So the block lists both kinds' places and exchanges all pairs at once.  left, right: room for half of the keys each.
__device__ inline int partition_by_block(uint64_t* v, int first, int last, int* left, int* right, int* shared) {
    if (threadIdx.x == 0) choose_pivot(v, first, last);
    __syncthreads();
    uint64_t pivot = v[first];
    int count = last - first - 1, share = (count + THREADS - 1) / THREADS;
    int from = (int)threadIdx.x * share < count ? first + 1 + threadIdx.x * share : last;
    int to = from + share < last ? from + share : last, smaller = 0, pairs;
    for (int i = from; i < to; i++) smaller += v[i] < pivot;
    sum_before(smaller, shared, &pairs);
    int cut = first + 1 + pairs, larger = 0;
    smaller = 0;
    for (int i = from; i < to; i++)
        if (i < cut) larger += !(v[i] < pivot); else smaller += v[i] < pivot;
    int at = sum_before(larger, shared, &pairs);
    for (int i = from; i < to && i < cut; i++)
        if (!(v[i] < pivot)) left[at++] = i;
    at = pairs - sum_before(smaller, shared, &pairs);
    for (int i = from > cut ? from : cut; i < to; i++)
        if (v[i] < pivot) right[--at] = i;
    __syncthreads();
    for (int i = threadIdx.x; i < pairs; i += THREADS) swap_keys(v, left[i], right[i]);
    __syncthreads();
    return cut;
}

// places: 2 * ((n + 1) / 2) a query
__global__ void release_kernel(uint64_t* keys, int n, int k, int* places, int* indices) {
    __shared__ int shared[THREADS / 32];
    uint64_t* own = keys + (int64_t)blockIdx.x * n;
    int half = (n + 1) / 2, *left = places + (int64_t)blockIdx.x * 2 * half;
    int first = 0, last = n, rounds = selection_rounds(n);
    while (k < n && last - first > FEW && rounds > 0) {
        rounds--;
        int cut = partition_by_block(own, first, last, left, left + half, shared);
        if (cut <= k) first = cut; else last = cut;
    }
    if (threadIdx.x == 0 && k < n) select_keys(own, first, last, k, rounds);
    __syncthreads();
    for (int i = threadIdx.x; i < k; i += THREADS) indices[(int64_t)blockIdx.x * k + i] = (int)(uint32_t)own[i];
}
}
"""
