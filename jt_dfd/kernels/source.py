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
