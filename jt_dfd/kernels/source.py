"""What every kernel's C++ starts with, and the call that runs it on the device in use."""
from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from typing import List, Sequence, Tuple

from ..backend import jt

#: makes one text compile as host code and as device code; and what follows every launch, because a launch that CUDA
#: refuses (too large a grid, a GPU the kernel was not compiled for) is silent otherwise and leaves garbage.  The last
#: #include is one that both compilers read: Jittor writes its definitions (in0_type, index_t) behind the last one
PRELUDE = r"""
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
#include <cstdint>
#include <cmath>
#include <cstring>
"""

@dataclass(frozen=True)
class VectorSet:
    """How a kernel for the CPU is cut for an instruction set.

    name      "avx512", "avx2" or "baseline" (SSE2 on x86, NEON on ARM: correct there, and tried for speed on neither)
    lanes     float32 numbers of a vector; weights are packed in blocks of so many outputs
    vectors   blocks of outputs computed together, 1 or 2, and
    together  pixels or tiles computed together: vectors * together sums, the weights and one pixel fill the registers,
              and each number that is loaded serves several products (ours, measured)
    """

    name: str
    lanes: int
    vectors: int
    together: int

    def text(self) -> str:
        """C++ that states it; what follows does not depend on what the compiler itself was told."""
        return VECTORS % (self.lanes, self.vectors, self.together, 4 * self.lanes)


VECTOR_SETS = (VectorSet("avx512", 16, 2, 8), VectorSet("avx2", 8, 2, 6), VectorSet("baseline", 4, 2, 4))

VECTORS = r"""
namespace jt_dfd {
const int LANES = %d, VECTORS = %d, TOGETHER = %d;
typedef float Lanes __attribute__((vector_size(%d), aligned(4), may_alias));
inline Lanes load(const float* p) { return *(const Lanes*)p; }
inline void store(float* p, Lanes v) { *(Lanes*)p = v; }
}
"""


@lru_cache(maxsize=None)
def vector_set() -> VectorSet:
    """The set that every kernel is compiled for in this process."""
    return vector_set_of(jt.flags.cc_path, [flag for flag in jt.flags.cc_flags.split() if flag.startswith("-m")])


def vector_set_of(compiler: str, flags) -> VectorSet:
    """The set that a compiler generates code for with these flags: it is asked itself, which knows what "native" means
    on this machine.  One that does not answer gets the baseline, which every one accepts."""
    try:
        answer = subprocess.run([compiler, *flags, "-dM", "-E", "-x", "c++", "-"], input=b"", timeout=60,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        answer = ""
    defined = set(re.findall(r"#define (__\w+__) ", answer))
    return next(s for s in VECTOR_SETS if _NEEDED[s.name] <= defined)


_NEEDED = {"avx512": {"__AVX512F__"}, "avx2": {"__AVX2__", "__FMA__"}, "baseline": set()}


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


#: what a kernel that serves several networks at once has room for: the five components
SLOTS = 5


def slots(things: Sequence) -> Tuple[List[int], int]:
    """(numbers of those that are not None, how many).  Where there are several, the first fills up the list to SLOTS:
    a kernel is compiled for one thing and for SLOTS of them, not for every number between."""
    there = [i for i, thing in enumerate(things) if thing is not None]
    return there + there[:1] * (SLOTS - len(there) if len(there) > 1 else 0), len(there)


def back(things: Sequence, made: Sequence) -> List:
    """What was made of each slot, in its thing's place."""
    results = iter(made)
    return [None if thing is None else next(results).stop_grad() for thing in things]


def run_on_cpu(text: str, call: str, shape, inputs, data=None):
    """One float32 output of ``call``, with ``text`` before it, for kernels without a CUDA side.  No gradient passes."""
    with jt.no_grad():
        return jt.code(shape, "float32", inputs, cpu_header=PRELUDE + text, cpu_src=call,
                       data={k: float(v) for k, v in (data or {}).items()}).stop_grad()
