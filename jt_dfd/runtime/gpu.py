"""Is there a GPU that answers?  Asked of the driver itself, in a child process: a CUDA build of Jittor aborts the whole
process where there is none, and a driver initialised here would not survive the forks that Jittor makes to compile.

And how it computes: whether float32 convolutions may round their operands to 10 bits of mantissa (TF32), and what
float16 gains.  What was found in Jittor 1.3.11's sources (extern/cuda/cudnn/ops, extern/cuda/cublas/ops): convolutions
leave the math type at cuDNN's default, which allows TF32 from compute capability 8.0 on; matrix products ask cuBLAS for
CUBLAS_COMPUTE_32F, which does not.  The flag ``use_tensorcore`` does not switch that off: 1 lets matrix products use
TF32 and lets convolutions convert float32 to float16.  The toolkit's view gives values below zero the missing meaning
(cuda_headers/jt_dfd_cudnn_precision.h).  NVIDIA's own NVIDIA_TF32_OVERRIDE=0 forbids TF32 to all its libraries and wins
over everything here.

    JT_DFD_TF32=1   (default) convolutions may use TF32, matrix products do not: the same as PyTorch's defaults
    JT_DFD_TF32=0   float32 throughout
"""
from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import Dict

_ASK = """
import ctypes, json
cu = ctypes.CDLL("libcuda.so.1")
def get(call, *args, kind=ctypes.c_int):
    value = kind()
    status = call(ctypes.byref(value), *args)
    if status: raise SystemExit(json.dumps({"status": status}))
    return value.value
status = cu.cuInit(0)
if status: raise SystemExit(json.dumps({"status": status}))
driver = get(cu.cuDriverGetVersion)
devices = []
for index in range(get(cu.cuDeviceGetCount)):
    device = get(cu.cuDeviceGet, index)
    name = ctypes.create_string_buffer(256)
    cu.cuDeviceGetName(name, 256, device)
    devices.append({"name": name.value.decode("utf8", "replace"),
        "capability": 10 * get(cu.cuDeviceGetAttribute, 75, device) + get(cu.cuDeviceGetAttribute, 76, device),
        "memory": get(cu.cuDeviceTotalMem_v2, device, kind=ctypes.c_size_t)})
print(json.dumps({"driver": [driver // 1000, driver % 1000 // 10], "devices": devices}))
"""
#: the driver's answers that people meet; others are given as numbers
_STATUS = {3: "the driver did not initialise", 34: "only the toolkit's stub of the driver is there", 100: "no GPU",
           101: "no such GPU", 802: "the GPUs' fabric is not ready", 803: "driver and its library do not match",
           804: "this GPU does not take the compatibility library", 999: "the driver failed (a restart often helps)"}


def ask() -> Dict:
    """{"devices": [{"name", "capability" (90 for 9.0), "memory" (bytes)}], "driver": [13, 0], "why": ""}; devices is
    empty where no GPU answers, and ``why`` says the reason.

    ``JT_DFD_ASSUME_GPU=90`` answers for a GPU of that capability without asking: to compile for one that is not there.
    """
    assumed = os.environ.get("JT_DFD_ASSUME_GPU", "")
    if assumed:
        return {"devices": [{"name": "assumed", "capability": int(n), "memory": 0} for n in assumed.split(",")],
                "driver": [99, 0], "why": ""}
    try:
        ctypes.CDLL("libcuda.so.1")   # loading is harmless; calling is left to the child
    except OSError:
        return {"devices": [], "driver": None, "why": "no GPU driver (libcuda.so.1) on this machine"}
    try:
        child = subprocess.run([sys.executable, "-S", "-c", _ASK], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               timeout=120)
        said = (child.stdout or child.stderr).decode("utf8", "replace").strip().splitlines()
        answer = json.loads(said[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {"devices": [], "driver": None, "why": "the GPU driver did not answer"}
    if "status" in answer:
        status = answer["status"]
        why = "no GPU answers: " + _STATUS.get(status, f"driver status {status}")
        return {"devices": [], "driver": None, "why": why}
    if not answer["devices"]:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return dict(answer, why="no GPU" + (f" (CUDA_VISIBLE_DEVICES={hidden})" if hidden is not None else ""))
    return dict(answer, why="")


#: Jittor's flag, and the values that this project gives it
TF32_FLAG = "use_tensorcore"
EXACT = -1
#: compute capability from which GPUs have TF32
FIRST_TF32 = 80
#: and from which tensor cores, which compute float16 convolutions (NVIDIA's CUDA C++ Programming Guide); before, cuDNN
#: computes those with float32 sums no faster than float32 ones, so that nothing but rounding is left of them
FIRST_HALF = 70


def tf32_setting() -> str:
    """JT_DFD_TF32: "1" or "0", or whatever else a user has written there."""
    return os.environ.get("JT_DFD_TF32", "").strip() or "1"


def tf32_state(capability: int) -> Dict:
    """{"convolutions": whether float32 convolutions may use TF32 on such a GPU, "words": the same for people}."""
    jittors = os.environ.get(TF32_FLAG, "")
    if capability < FIRST_TF32:
        return {"convolutions": False, "words": "full precision (this GPU has no TF32)"}
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return {"convolutions": False, "words": "full precision (NVIDIA_TF32_OVERRIDE=0)"}
    if jittors not in ("", "0"):
        exact = jittors.startswith("-")
        return {"convolutions": not exact, "words": f"as Jittor's {TF32_FLAG}={jittors} says: " + (
            "full precision" if exact else "convolutions may convert to float16, matrix products to TF32 or less")}
    if tf32_setting() == "0":
        return {"convolutions": False, "words": "full precision (JT_DFD_TF32=0)"}
    return {"convolutions": True, "words": "convolutions with TF32, matrix products and encoders in full precision; "
                                           "JT_DFD_TF32=0 switches TF32 off"}


def half_state(capability: int) -> Dict:
    """{"gains": whether half precision is worth asking for on such a GPU, "words": the same for people}."""
    if capability < FIRST_HALF:
        return {"gains": False, "words": "no gain (this GPU has no tensor cores): float32 is used instead"}
    return {"gains": True, "words": "worth asking for: --precision half (faces), --mixed-precision 1 (training)"}


def apply_tf32(jittor) -> None:
    """Set Jittor's flag as JT_DFD_TF32 says, unless the user has set the flag himself."""
    if os.environ.get(TF32_FLAG, "") == "":
        jittor.flags.use_tensorcore = EXACT if tf32_setting() == "0" else 0


@contextmanager
def exact(jittor):
    """Inside, what is computed (not only described: Jittor is lazy) is float32 throughout, on any device."""
    if not jittor.flags.use_cuda:
        yield
        return
    with jittor.flag_scope(use_tensorcore=EXACT):
        yield
