"""The emulation itself: kernels that are right pass, each kind of deliberate fault is found and named."""
import re
from types import SimpleNamespace

import numpy as np
import pytest
from emulator import SANITIZERS, Emulator, Fault, translate

# Sums of 64 numbers a block, by shared memory, a barrier, and shuffles.
SUMS = """
__global__ void sums_kernel(const float* x, float* y, int n) {
    __shared__ float scratch[64];
    int at = blockIdx.x * 64 + threadIdx.x;
    scratch[threadIdx.x] = at < n ? x[at] : 0;
    __syncthreads();
    if (threadIdx.x < 32) {
        float v = scratch[threadIdx.x] + scratch[63 - threadIdx.x];
        for (int step = 16; step; step >>= 1) v += __shfl_down_sync(0xffffffffu, v, step);
        if (threadIdx.x == 0) y[blockIdx.x] = v;
    }
}
inline void sums(const float* x, float* y, int n) {
    sums_kernel<<<(n + 63) / 64, 64>>>(x, y, n);
    JT_DFD_LAUNCHED("sums_kernel", n);
}
"""


def run(programs, text, sanitizer="", n=100, shape=(2,), **more):
    """The kernel's output for n numbers; ``text`` defines sums(x, y, n)."""
    x = np.arange(n, dtype=np.float32)
    kernel = SimpleNamespace(SHARED="", CUDA=text)
    return Emulator(programs, sanitizer, **more).run(kernel, "sums(in0_p, out0_p, in0_shape0);", [shape], ["float32"],
                                                     [x], {})[0]


def changed(was, now, text=SUMS):
    assert text.count(was) == 1, was
    return text.replace(was, now)


@pytest.fixture(params=list(SANITIZERS), ids=lambda s: s or "plain")
def sanitizer(request, programs):
    """Each, where a correct kernel runs under it."""
    try:
        run(programs, SUMS, request.param)
    except (Fault, RuntimeError) as error:
        if not request.param:
            raise
        pytest.skip(f"{request.param} sanitizer does not work here: {str(error).splitlines()[-1]}")
    return request.param


def test_a_correct_kernel(programs, sanitizer):
    assert run(programs, SUMS, sanitizer).tolist() == [sum(range(64)), sum(range(64, 100))]


# what is said: without a sanitizer, with AddressSanitizer and UndefinedBehaviorSanitizer, with ThreadSanitizer;
# None where it cannot be seen
FAULTS = {
    "missing barrier": (changed("__syncthreads();", ""), "depends on the order", "depends on the order", "data race"),
    "write past the end": (changed("y[blockIdx.x] = v", "y[blockIdx.x + 2] = v"), "written 8 bytes",
                           "heap-buffer-overflow", "output 0|written"),
    "read past the end": (changed("at < n ? x[at] : 0", "x[at]"), "input 0, byte 400 of 400", "heap-buffer-overflow",
                          "input 0|SEGV"),
    "write before the start": (changed("y[blockIdx.x] = v", "y[(int)blockIdx.x - 1] = v"), "written -4 bytes",
                               "heap-buffer-overflow", "written -4"),
    "shared memory too small": (changed("scratch[64]", "scratch[60]"), "shared scratch",
                                "buffer-overflow|out of bounds", None),
    "shared memory not set": (changed("scratch[threadIdx.x] = at < n ? x[at] : 0;",
                                      "if (at < n) scratch[threadIdx.x] = x[at];"), "nan", "nan", "nan"),
    "barrier not reached by all": (changed("__syncthreads();", "if (threadIdx.x < 40) __syncthreads(); else return;"),
                                   "barrier after threads", "barrier after threads", "barrier after threads"),
    "different barriers": (changed("__syncthreads();", "if (threadIdx.x < 40) __syncthreads();\nelse __syncthreads();"),
                           "different barriers", "different barriers", "different barriers"),
    "shuffle not reached by all": (changed("if (threadIdx.x < 32)", "if (threadIdx.x < 20)"), "takes no part",
                                   "takes no part", "takes no part"),
    "race between blocks": (changed("y[blockIdx.x] = v", "y[0] = y[1] = v"), "depends on the order",
                            "depends on the order", "data race"),
    "write to an input": (changed("y[blockIdx.x] = v", "y[blockIdx.x] = v, ((float*)x)[1] = v"),
                          "input 0, byte 4 of 400", None, "input 0|SEGV"),
    "local array": (changed("float v =", "float a[4]; a[threadIdx.x % 5] = 1; float v = 0 * a[0] +"), None,
                    "out of bounds|stack-buffer-overflow", None),
    "misaligned vector": (changed("float v =", "float4 f = *(const float4*)(x + 1); float v = 0 * f.x +"), None,
                          "misaligned", None),
    "error nobody asks for": (changed('JT_DFD_LAUNCHED("sums_kernel", n);', "").replace("64, 64>>>", "64, 2000>>>"),
                              "its launch failed, and nobody asked", "nobody asked", "nobody asked"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_deliberate_fault_is_found(programs, sanitizer, fault):
    text, *wanted = FAULTS[fault]
    said = wanted[list(SANITIZERS).index(sanitizer)]
    if said is None:
        return
    try:
        got = run(programs, text, sanitizer)
    except Fault as error:
        assert re.search(said, str(error)), str(error)
    else:
        assert said == "nan" and np.isnan(got).any(), f"{got} and no complaint"


def test_every_order_is_tried(programs):
    """The last block to write wins: orders differ, and are named."""
    with pytest.raises(Fault, match=r"orders 0 and 1"):
        run(programs, changed("y[blockIdx.x] = v", "y[0] = y[1] = v"), orders=(0, 1))
    run(programs, changed("y[blockIdx.x] = v", "y[0] = y[1] = v"), orders=(1,))


def test_a_refused_launch_is_an_error_of_the_host(programs):
    with pytest.raises(RuntimeError, match="sums_kernel.*n = 100.*no kernel image"):
        run(programs, SUMS, refuse=1)
    with pytest.raises(RuntimeError, match="sums_kernel.*n = 100.*invalid configuration"):
        run(programs, changed("64, 64>>>", "64, 1025>>>"))


def test_the_translation_leaves_the_rest_alone():
    assert translate("a << b; f<g>(c); int x[3];") == "a << b; f<g>(c); int x[3];"
    assert translate(SUMS).count("\n") == SUMS.count("\n")
