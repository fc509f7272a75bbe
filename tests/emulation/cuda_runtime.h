// The part of CUDA C++ and of its runtime that this project's kernels use, for g++ on x86-64 without CUDA.
//
// Threads of a block are fibers; blocks run one after the other (scheduler.cpp).  What is not C++ (<<< >>>, __shared__)
// is rewritten by emulator.py before g++ sees it.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };

// ---- errors -------------------------------------------------------------------------------------------------------

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9, cudaErrorNoKernelImageForDevice = 209 };
cudaError_t cudaGetLastError();                  // the last launch's error, which is forgotten by asking
const char* cudaGetErrorString(cudaError_t error);

// ---- launches, and what a thread waits for ------------------------------------------------------------------------

namespace emulation {
struct Configuration {
    dim3 grid, block;
    size_t shared;                               // bytes of dynamic shared memory
    Configuration(dim3 grid, dim3 block, size_t shared = 0) : grid(grid), block(block), shared(shared) {}
};

void launch(const char* kernel, const Configuration& how, void (*run)(const void*), const void* body);

template <class Body> void launch(const char* kernel, const Configuration& how, const Body& body) {
    launch(kernel, how, [](const void* p) { (*(const Body*)p)(); }, &body);
}

// The block's shared variable of this name, the same in all its threads; 0 bytes: the launch's dynamic shared memory.
void* shared(const char* name, size_t bytes);

enum Kind { BLOCK_BARRIER, WARP_BARRIER, SHUFFLE, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, BALLOT };
// What a thread waits for, and what it brings to it.
struct Meeting {
    Kind kind;
    unsigned mask;
    uint64_t value;
    int argument, width, line;
    bool same(const Meeting& other) const { return kind == other.kind && mask == other.mask && line == other.line; }
};
// Waits for the other threads that take part; a shuffle returns another lane's value, a ballot the warp's bits.
uint64_t meet(const Meeting& meeting);

template <class T> T shuffle(Kind kind, unsigned mask, T v, int argument, int width, int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    bits = meet({kind, mask, bits, argument, width, line});
    memcpy(&v, &bits, sizeof v);
    return v;
}
}

#define EMULATION_LINE int line = __builtin_LINE()   // of the call in the kernel's text
inline void __syncthreads(EMULATION_LINE) { emulation::meet({emulation::BLOCK_BARRIER, 0, 0, 0, 32, line}); }
inline void __syncwarp(unsigned mask = ~0u, EMULATION_LINE) {
    emulation::meet({emulation::WARP_BARRIER, mask, 0, 0, 32, line});
}
template <class T> T __shfl_sync(unsigned mask, T v, int lane, int width = 32, EMULATION_LINE) {
    return emulation::shuffle(emulation::SHUFFLE, mask, v, lane, width, line);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, int by, int width = 32, EMULATION_LINE) {
    return emulation::shuffle(emulation::SHUFFLE_UP, mask, v, by, width, line);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, int by, int width = 32, EMULATION_LINE) {
    return emulation::shuffle(emulation::SHUFFLE_DOWN, mask, v, by, width, line);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32, EMULATION_LINE) {
    return emulation::shuffle(emulation::SHUFFLE_XOR, mask, v, with, width, line);
}
inline unsigned __ballot_sync(unsigned mask, int set, EMULATION_LINE) {
    return (unsigned)emulation::meet({emulation::BALLOT, mask, set != 0, 0, 32, line});
}

// ---- arithmetic ---------------------------------------------------------------------------------------------------

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
inline int atomicAdd(int* at, int v) { return __atomic_fetch_add(at, v, __ATOMIC_RELAXED); }

// float16 as storage; arithmetic goes through float
struct __half {
    _Float16 value;
    __half() = default;
    explicit __half(float v) : value((_Float16)v) {}
    explicit __half(int v) : value((_Float16)v) {}
    operator float() const { return (float)value; }
};
