"""What every kernel's C++ starts with, and the call that runs it on the device in use."""
from __future__ import annotations

from ..backend import jt

#: makes one text compile as host code and as device code
PRELUDE = r"""
#include <cstdint>
#include <cmath>
#include <cstring>
#ifdef __CUDACC__
#include <cuda_runtime.h>
#define JT_DFD_SHARED __host__ __device__ inline
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
