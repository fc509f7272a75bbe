"""What every kernel's C++ starts with, and the call that runs it on the device in use."""
from __future__ import annotations

from ..backend import jt

#: makes one text compile as host code and as device code; and what follows every launch, because a launch that CUDA
#: refuses (too large a grid, a GPU the kernel was not compiled for) is silent otherwise and leaves garbage
PRELUDE = r"""
#include <cstdint>
#include <cmath>
#include <cstring>
#ifdef __CUDACC__
#include <cuda_runtime.h>
#include <initializer_list>
#include <stdexcept>
#include <string>
#define JT_DFD_SHARED __host__ __device__ inline
namespace jt_dfd {
// names: "rows, width", sizes: their values
inline void check_launch(const char* kernel, const char* names, std::initializer_list<long long> sizes) {
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) return;
    std::string said;
    for (long long size : sizes) {
        while (*names && *names != ',') said += *names++;
        said += " = " + std::to_string(size) + (*names ? "," : "");
        if (*names) names++;
    }
    throw std::runtime_error(std::string("CUDA did not run the kernel ") + kernel + " (" + said + "): " +
                             cudaGetErrorString(error));
}
}
#define JT_DFD_LAUNCHED(kernel, ...) jt_dfd::check_launch(kernel, #__VA_ARGS__, {__VA_ARGS__})
#else
#include <algorithm>
#include <vector>
#define JT_DFD_SHARED inline
#endif
"""

#: sixteen numbers at once, and how many sums of them fit the registers; for kernels that are for the CPU only
VECTORS = r"""
namespace jt_dfd {
const int LANES = 16;
typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));
inline Lanes load(const float* p) { return *(const Lanes*)p; }
inline void store(float* p, Lanes v) { *(Lanes*)p = v; }

#ifdef __AVX512F__
const int TOGETHER = 16;
#else
const int TOGETHER = 4;
#endif
}
"""


def cpu_text(kernel) -> str:
    """Complete C++ of a kernel's CPU side."""
    return PRELUDE + kernel.SHARED + kernel.CPU


def cuda_text(kernel) -> str:
    """Complete CUDA C++ of a kernel's GPU side; compiles by itself with nvcc."""
    return PRELUDE + kernel.SHARED + kernel.CUDA


def run(kernel, call: str, shapes, dtypes, inputs, data):
    """``call`` on raw pointers (``in0_p``, ``out0_p``...), with the kernel's CPU or CUDA text before it.

    ``data`` holds numbers the call reads as ``data["name"]``; changing them does not compile anything anew.
    """
    return jt.code(shapes, dtypes, inputs, cpu_header=cpu_text(kernel), cpu_src=call,
                   cuda_header=cuda_text(kernel), cuda_src=call, data={k: float(v) for k, v in data.items()})


def run_on_cpu(text: str, call: str, shape, inputs, data=None):
    """One float32 output of ``call``, with ``text`` before it, for kernels without a CUDA side.  No gradient passes."""
    with jt.no_grad():
        return jt.code(shape, "float32", inputs, cpu_header=PRELUDE + text, cpu_src=call,
                       data={k: float(v) for k, v in (data or {}).items()}).stop_grad()
