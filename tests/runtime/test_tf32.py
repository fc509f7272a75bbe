"""TF32: what is said about it, what sets it, and what the view's header makes of Jittor's calls to cuDNN."""
from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace

import pytest
from machines import ROOT

from jt_dfd.runtime import gpu, host
from jt_dfd.runtime.plan import make_plan

#: before a test gets a home of its own; not the one of the user's record, which may be another or nowhere
HOME = os.path.expanduser("~")
# What the header needs of cuDNN; every call is printed.
CUDNN = r"""
#pragma once
#include <cstdio>
#define CUDNN_MAJOR 9
typedef int* cudnnConvolutionDescriptor_t;
enum cudnnStatus_t { CUDNN_STATUS_SUCCESS, CUDNN_STATUS_BAD_PARAM };
enum cudnnConvolutionMode_t { CUDNN_CROSS_CORRELATION };
enum cudnnDataType_t { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_DOUBLE = 1, CUDNN_DATA_HALF = 2, CUDNN_DATA_BFLOAT16 = 9 };
enum cudnnMathType_t { CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
                       CUDNN_FMA_MATH };
inline cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t, int n, const int*, const int*,
                                                     const int*, cudnnConvolutionMode_t, cudnnDataType_t type) {
    printf("sums%d ", type);
    return n == 2 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
inline cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t, cudnnMathType_t math) {
    printf("math%d ", math);
    return CUDNN_STATUS_SUCCESS;
}
"""
# The calls of Jittor's convolution, in its order.
JITTOR = r"""
#include "cudnn.h"
#include "jt_dfd_cudnn_precision.h"
namespace jittor {
int use_tensorcore = 0;
void convolution(cudnnDataType_t type) {
    int a[2] = {1, 1};
    cudnnSetConvolutionNdDescriptor(nullptr, 2, a, a, a, CUDNN_CROSS_CORRELATION, type);
    if (use_tensorcore) cudnnSetConvolutionMathType(nullptr, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION);
    if (type != CUDNN_DATA_FLOAT) cudnnSetConvolutionMathType(nullptr, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION);
    printf("\n");
}
}
int main() {
    using namespace jittor;
    const int flags[3] = {0, -1, 1};
    for (int flag : flags) {
        use_tensorcore = flag;
        convolution(CUDNN_DATA_FLOAT);
        convolution(CUDNN_DATA_HALF);
    }
    convolution(CUDNN_DATA_BFLOAT16);
    int a[2] = {1, 1};
    return cudnnSetConvolutionNdDescriptor(nullptr, 3, a, a, a, CUDNN_CROSS_CORRELATION, CUDNN_DATA_HALF)
        == CUDNN_STATUS_BAD_PARAM ? 0 : 1;
}
"""


def test_the_header_sets_what_it_says(tmp_path):
    compilers = host.compilers()
    if not compilers:
        pytest.skip("no C++ compiler on this machine")
    (tmp_path / "cudnn.h").write_text(CUDNN)
    (tmp_path / "jittor.cc").write_text(JITTOR)
    subprocess.run([compilers[0]["path"], "-std=c++14", "-Wall", "-Werror", "-I", str(tmp_path), "-I",
                    str(ROOT / "jt_dfd/runtime/cuda_headers"), str(tmp_path / "jittor.cc"), "-o", str(tmp_path / "run")]
                   + (["-lstdc++"] if "clang" in compilers[0]["path"] else []), check=True)
    done = subprocess.run([str(tmp_path / "run")], stdout=subprocess.PIPE, universal_newlines=True)
    said = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, "cuDNN's own refusal is passed on"
    half = ["sums0", "math1"]      # float32 sums, tensor cores; what Jittor asks for afterwards allows them too
    assert said[:6] == [["sums0"],                      # 0: cuDNN's default stays, TF32 allowed
                        half + ["math2"],
                        ["sums0", "math3"],             # below 0: FMA, and Jittor's wish to convert is not heard
                        half + ["math2", "math2"],
                        ["sums0", "math2"],             # 1: as Jittor has it
                        half + ["math2", "math2"]]
    assert said[6][:2] == half


@pytest.mark.parametrize("capability, environment, allowed, word", [
    (90, {}, True, "with TF32"), (80, {}, True, "JT_DFD_TF32=0 switches"), (75, {}, False, "has no TF32"),
    (90, {"JT_DFD_TF32": "0"}, False, "JT_DFD_TF32=0"), (90, {"JT_DFD_TF32": "1"}, True, "with TF32"),
    (90, {"NVIDIA_TF32_OVERRIDE": "0"}, False, "NVIDIA_TF32_OVERRIDE"),
    (90, {"use_tensorcore": "1"}, True, "float16"), (90, {"use_tensorcore": "-1", "JT_DFD_TF32": "1"}, False, "full")])
def test_what_is_said(machine, monkeypatch, capability, environment, allowed, word):
    for name in ("NVIDIA_TF32_OVERRIDE", "JT_DFD_TF32", "use_tensorcore"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    state = gpu.tf32_state(capability)
    assert state["convolutions"] is allowed and word in state["words"]


@pytest.mark.parametrize("environment, flag", [({}, 0), ({"JT_DFD_TF32": "0"}, -1), ({"JT_DFD_TF32": "1"}, 0),
                                               ({"use_tensorcore": "3", "JT_DFD_TF32": "0"}, 3)])
def test_what_is_set(monkeypatch, environment, flag):
    for name in ("JT_DFD_TF32", "use_tensorcore"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    jittor = SimpleNamespace(flags=SimpleNamespace(use_tensorcore=int(environment.get("use_tensorcore", 0))))
    gpu.apply_tf32(jittor)
    assert jittor.flags.use_tensorcore == flag


def test_another_word_is_a_problem_with_its_fix(machine, monkeypatch):
    monkeypatch.setenv("JT_DFD_TF32", "maybe")
    said = [p for p in make_plan("cpu", dry=True).problems if "JT_DFD_TF32=maybe" in p["what"]]
    assert said and "unset JT_DFD_TF32" in str(said[0])


def test_jittor_itself_takes_the_flag(run):
    """In the home that the tests were started in: compiling Jittor for this alone would take minutes."""
    status, out, err = run("from jt_dfd.runtime import first_compile, gpu, prepare, start\n"
                           "report = prepare('cpu')\n"
                           "if not report['compiled']: print('not compiled'); raise SystemExit\n"
                           "jt = start('cpu')\n"
                           "print(jt.flags.use_tensorcore)\n"
                           "with jt.flag_scope(use_tensorcore=gpu.EXACT): print(jt.flags.use_tensorcore)\n"
                           "print(jt.flags.use_tensorcore)", HOME=HOME, JT_DFD_TF32="0")
    if "not compiled" in out:
        pytest.skip("Jittor is not compiled on this machine yet")
    assert status == 0 and out.split()[-3:] == ["-1", "-1", "-1"], err
