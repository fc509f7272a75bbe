"""Whether float16 convolutions gain anything on a GPU.

Tensor cores compute them, from compute capability 7.0 on (NVIDIA's CUDA C++ Programming Guide); before, cuDNN computes
float16 convolutions with float32 sums no faster than float32 ones, so that nothing but rounding is left of them.
"""
from __future__ import annotations

from typing import Dict

#: compute capability from which GPUs have tensor cores
FIRST = 70


def state(capability: int) -> Dict:
    """{"gains": whether half precision is worth asking for on such a GPU, "words": the same for people}."""
    if capability < FIRST:
        return {"gains": False, "words": "no gain (this GPU has no tensor cores): float32 is used instead"}
    return {"gains": True, "words": "worth asking for: --precision half (faces), --mixed-precision 1 (training)"}
