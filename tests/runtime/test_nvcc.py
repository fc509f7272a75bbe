"""The view with this machine's CUDA compiler: what it gives back does compile, to sm_80 and sm_90.  No GPU needed."""
from __future__ import annotations

import subprocess

import pytest
from machines import wheel

from jt_dfd.runtime import cuda_toolkit, cuda_view, host

TWO = {"devices": [{"name": "A100", "capability": 80, "memory": 0}, {"name": "H100", "capability": 90, "memory": 0}],
       "driver": [99, 0], "why": ""}

CUDNN_9 = """
#pragma once
#define CUDNN_MAJOR 9
#define CUDNN_MINOR 1
#define CUDNN_PATCHLEVEL 0
typedef enum { CUDNN_STATUS_SUCCESS = 0, CUDNN_STATUS_NOT_SUPPORTED = 3000 } cudnnStatus_t;
typedef enum { CUDNN_CONVOLUTION, CUDNN_CROSS_CORRELATION } cudnnConvolutionMode_t;
typedef enum { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_HALF = 2, CUDNN_DATA_BFLOAT16 = 9 } cudnnDataType_t;
typedef enum { CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
               CUDNN_FMA_MATH } cudnnMathType_t;
typedef struct cudnnConvolutionStruct* cudnnConvolutionDescriptor_t;
cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t, int, const int*, const int*, const int*,
                                              cudnnConvolutionMode_t, cudnnDataType_t);
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t, cudnnMathType_t);
"""

SOURCE = r"""
#include <cuda_runtime.h>
#include <cudnn.h>
#include <npp.h>
#include <cub/cub.cuh>

struct Half { __host__ __device__ float operator()(int i) const { return i * 0.5f; } };

__global__ void lanes(unsigned* out) { out[threadIdx.x] = cub::LaneId(); }

__global__ void scan(float* out) {
    typedef cub::BlockScan<float, 128> Scan;
    __shared__ typename Scan::TempStorage room;
    float value = threadIdx.x;
    Scan(room).InclusiveScan(value, value, cub::Max());
    Scan(room).InclusiveScan(value, value, cub::Min());
    out[threadIdx.x] = value + NPP_MAX_32S + NPP_MIN_64U;
}

// as Jittor's convolutions call it, from within its namespace
namespace jittor {
int half_convolution(cudnnConvolutionDescriptor_t descriptor) {
    int one[2] = {1, 1};
    return cudnnSetConvolutionNdDescriptor(descriptor, 2, one, one, one, CUDNN_CROSS_CORRELATION, CUDNN_DATA_HALF)
        || cudnnSetConvolutionMathType(descriptor, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION);
}
}

int host_side(float* in, float* out, int n) {
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, 0);
    if (properties.computeMode == cudaComputeModeProhibited || properties.clockRate < 0) return 1;
    cub::CountingInputIterator<int> counted(0);
    cub::TransformInputIterator<float, Half, cub::CountingInputIterator<int>> halves(counted, Half());
    size_t bytes = 0;
    cub::DeviceReduce::Reduce(nullptr, bytes, halves, out, n, cub::Sum(), 0.0f);
    int handle = 0; size_t size = 0;
    return cudnnGetRNNParamsSize(handle, nullptr, &size) == CUDNN_STATUS_NOT_SUPPORTED;
}
"""


@pytest.fixture(scope="module")
def nvcc():
    there = [n for n in cuda_toolkit.find_nvcc() if not n["problem"] and n["version"] >= cuda_toolkit.OLDEST]
    if not there:
        pytest.skip("no CUDA compiler (nvcc) on this machine")
    return there[0]


@pytest.fixture
def view(nvcc, machine, tmp_path, monkeypatch):
    """The real toolkit with a cuDNN 9 header of our own, in case none is installed."""
    site = tmp_path / "site"
    wheel(site, f"nvidia-cudnn-cu{nvcc['version'][0]}", "9.1.0", {
        "nvidia/cudnn/include/cudnn.h": CUDNN_9, "nvidia/cudnn/lib/libcudnn.so.9": ""})
    monkeypatch.syspath_prepend(str(site))
    there = host.compilers()
    fitting = [c for c in there if cuda_toolkit.fits(nvcc)(c)]
    if not fitting:
        pytest.skip(f"no host compiler that CUDA {nvcc['version']} takes")
    verdict = cuda_toolkit.judge(nvcc, TWO, there)
    if not {"cudart", "cub"} <= set(verdict["parts"]):
        pytest.skip("the toolkit has no runtime or no CUB headers")
    place = next(p for p in verdict["places"] if "cudnn" in p["name"])
    verdict["parts"]["cudnn"] = {"header": place, "library": place}
    verdict["cudnn"] = cuda_toolkit.cudnn_version(place)
    return cuda_view.build(cuda_view.plan_view(verdict, TWO)), fitting[0]["path"]


def test_what_newer_versions_took_away_compiles_for_both_generations(view, tmp_path):
    folder, compiler = view
    source = tmp_path / "mended.cu"
    source.write_text(SOURCE)
    # the words that Jittor itself uses, C++14 and all
    command = [str(folder / "bin/nvcc"), str(source), "-std=c++14", "-Xcompiler", "-fPIC", "-x", "cu",
               "--cudart=shared", "-ccbin=" + compiler, "--use_fast_math", "-w", "-I" + str(folder / "include"),
               "-arch=compute_80", "-code=sm_80", "-code=sm_90", "-c", "-o", str(tmp_path / "mended.o")]
    if "-std=c++17" not in (folder / "bin/nvcc").read_text():
        command = [w for w in command if w != "-std=c++14"] + ["-std=c++14"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, done.stdout[-3000:]
    code = (tmp_path / "mended.o").read_bytes()
    assert b"sm_80" in code and b"sm_90" in code


def test_the_script_is_taken_for_the_compiler(view, nvcc):
    seen = cuda_toolkit.look_at_nvcc(str(view[0] / "bin/nvcc"))
    assert seen["version"] == nvcc["version"] and seen["problem"] == ""


def test_the_host_compiler_limit_is_read_from_the_toolkit(nvcc):
    highest = cuda_toolkit.highest_compiler(nvcc)
    assert 9 <= highest <= 30
    table = [gcc for version, gcc in cuda_toolkit._GCC if nvcc["version"] >= version]
    assert highest >= table[0] - 1
