// Names that CUB 3 (CUDA 13) gave up in favour of libcu++ and Thrust, and that Jittor 1.3 still writes.
#pragma once
#include <cub/version.cuh>
#if CUB_VERSION >= 300000
#include <cstddef>
#include <cuda/functional>
#include <cuda/std/functional>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
namespace cub {
using Max = ::cuda::maximum<>;
using Min = ::cuda::minimum<>;
using Sum = ::cuda::std::plus<>;

template <class Value, class Distance = std::ptrdiff_t>
using CountingInputIterator = ::thrust::counting_iterator<Value>;

template <class Value, class Function, class Source, class Distance = std::ptrdiff_t>
using TransformInputIterator = ::thrust::transform_iterator<Function, Source, Value, Value>;

// the thread's place in its warp
__device__ __forceinline__ static unsigned int LaneId() {
    unsigned int lane;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}
}  // namespace cub
#endif
