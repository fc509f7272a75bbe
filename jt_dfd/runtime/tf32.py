"""TF32: whether float32 convolutions on a GPU may round their operands to 10 bits of mantissa; and what float16 gains.

What was found in Jittor 1.3.11's sources (extern/cuda/cudnn/ops, extern/cuda/cublas/ops): convolutions leave the math
type at cuDNN's default, which allows TF32 from compute capability 8.0 on; matrix products ask cuBLAS for
CUBLAS_COMPUTE_32F, which does not.  The flag ``use_tensorcore`` does not switch that off: 1 lets matrix products use
TF32 and lets convolutions convert float32 to float16.  The toolkit's view gives values below zero the missing meaning
(cuda_headers/jt_dfd_cudnn_precision.h).  NVIDIA's own NVIDIA_TF32_OVERRIDE=0 forbids TF32 to all its libraries and
wins over everything here.

    JT_DFD_TF32=1   (default) convolutions may use TF32, matrix products do not: the same as PyTorch's defaults
    JT_DFD_TF32=0   float32 throughout
"""
from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Dict

#: Jittor's flag, and the values that this project gives it
FLAG = "use_tensorcore"
EXACT = -1
#: compute capability from which GPUs have TF32
FIRST = 80
#: and from which tensor cores, which compute float16 convolutions (NVIDIA's CUDA C++ Programming Guide); before, cuDNN
#: computes those with float32 sums no faster than float32 ones, so that nothing but rounding is left of them
FIRST_HALF = 70


def setting() -> str:
    """JT_DFD_TF32: "1" or "0", or whatever else a user has written there."""
    return os.environ.get("JT_DFD_TF32", "").strip() or "1"


def state(capability: int) -> Dict:
    """{"convolutions": whether float32 convolutions may use TF32 on such a GPU, "words": the same for people}."""
    jittors = os.environ.get(FLAG, "")
    if capability < FIRST:
        return {"convolutions": False, "words": "full precision (this GPU has no TF32)"}
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return {"convolutions": False, "words": "full precision (NVIDIA_TF32_OVERRIDE=0)"}
    if jittors not in ("", "0"):
        exact = jittors.startswith("-")
        return {"convolutions": not exact, "words": f"as Jittor's {FLAG}={jittors} says: " + (
            "full precision" if exact else "convolutions may convert to float16, matrix products to TF32 or less")}
    if setting() == "0":
        return {"convolutions": False, "words": "full precision (JT_DFD_TF32=0)"}
    return {"convolutions": True, "words": "convolutions with TF32, matrix products and encoders in full precision; "
                                           "JT_DFD_TF32=0 switches TF32 off"}


def half_state(capability: int) -> Dict:
    """{"gains": whether half precision is worth asking for on such a GPU, "words": the same for people}."""
    if capability < FIRST_HALF:
        return {"gains": False, "words": "no gain (this GPU has no tensor cores): float32 is used instead"}
    return {"gains": True, "words": "worth asking for: --precision half (faces), --mixed-precision 1 (training)"}


def apply(jittor) -> None:
    """Set Jittor's flag as JT_DFD_TF32 says, unless the user has set the flag himself."""
    if os.environ.get(FLAG, "") == "":
        jittor.flags.use_tensorcore = EXACT if setting() == "0" else 0


@contextmanager
def exact(jittor):
    """Inside, what is computed (not only described: Jittor is lazy) is float32 throughout, on any device."""
    if not jittor.flags.use_cuda:
        yield
        return
    with jittor.flag_scope(use_tensorcore=EXACT):
        yield
