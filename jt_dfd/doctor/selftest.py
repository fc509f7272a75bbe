"""A one-minute check of numbers on the device at hand: Jittor's own operators, our kernels, one training step a stage.

Each check compares with a reference and gives (name, largest error, tolerance).  Checks find themselves: every module
of ``jt_dfd.kernels`` and ``jt_dfd.training`` with a function ``self_test()`` that returns such a list is run.
"""
from __future__ import annotations

import importlib
import pkgutil
import time
import traceback
from typing import Callable, Dict, Iterator, List, Tuple

import numpy as np

Result = Tuple[str, float, float]
#: packages whose modules may offer ``self_test()``
PLACES = ("jt_dfd.kernels", "jt_dfd.training")


def matrix_product() -> List[Result]:
    """A (256, 384) x (384, 128) product against float64.  The tolerance leaves room for TF32's 10-bit mantissa."""
    from .. import runtime

    jt = runtime.jt()
    random = np.random.default_rng(0)
    a, b = random.normal(size=(256, 384)), random.normal(size=(384, 128))
    found = jt.matmul(jt.array(a.astype("float32")), jt.array(b.astype("float32"))).numpy()
    return [("matrix product", _error(found, a @ b), _precision(jt))]


def convolution() -> List[Result]:
    """3x3 stride 1 and 4x4 stride 2, forward and both gradients, against sums in float64 (ours)."""
    from .. import runtime

    jt = runtime.jt()
    random = np.random.default_rng(1)
    results = []
    for size, stride, pad in ((3, 1, 1), (4, 2, 1)):
        x, w = random.normal(size=(2, 8, 20, 24)), random.normal(size=(12, 8, size, size))
        y = _convolve(x, w, stride, pad)
        g = random.normal(size=y.shape)
        dx, dw = _gradients(x, w, g, stride, pad)
        xv, wv, gv = (jt.array(a.astype("float32")) for a in (x, w, g))
        yv = jt.nn.conv2d(xv, wv, None, stride, pad)
        dxv, dwv = jt.grad((yv * gv).sum(), [xv, wv])
        name = f"convolution {size}x{size} stride {stride}"
        for part, found, right in (("forward", yv, y), ("input gradient", dxv, dx), ("weight gradient", dwv, dw)):
            results.append((f"{name}, {part}", _error(found.numpy(), right), _precision(jt)))
    return results


def _precision(jt) -> float:
    """Relative to the largest value: float32 on the CPU, TF32 (2^-10, summed) on a GPU that uses it."""
    return 5e-3 if jt.flags.use_cuda else 1e-4


def _error(found: np.ndarray, right: np.ndarray) -> float:
    if found.shape != right.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - right).max() / np.abs(right).max())


def _convolve(x, w, stride, pad):
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, w)


def _gradients(x, w, g, stride, pad):
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    dw = np.einsum("nchwij,nohw->ocij", windows, g)
    dpadded = np.zeros_like(padded)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = np.einsum("nohw,oc->nchw", g, w[:, :, i, j])
            dpadded[:, :, i:i + stride * g.shape[2]:stride, j:j + stride * g.shape[3]:stride] += part
    return dpadded[:, :, pad:-pad, pad:-pad], dw


def checks() -> Iterator[Tuple[str, Callable[[], List[Result]]]]:
    """(name, function) of every check there is."""
    yield "matrix product", matrix_product
    yield "convolution", convolution
    for place in PLACES:
        try:
            package = importlib.import_module(place)
        except ImportError:
            continue
        for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
            yield f"{place}.{module}", lambda name=f"{place}.{module}": _of_module(name)


def _of_module(name: str) -> List[Result]:
    test = getattr(importlib.import_module(name), "self_test", None)
    return list(test()) if test else []


def run(say: Callable[[str], None] = print) -> Dict[str, int]:
    """Run every check on the device that ``runtime.start`` chose; one PASS or FAIL a line.  {"passed", "failed"}."""
    counted = {"passed": 0, "failed": 0}
    started = time.monotonic()
    for name, check in checks():
        try:
            results = check()
        except Exception as error:   # a check that cannot run is a failure, and the rest still run
            counted["failed"] += 1
            last = traceback.extract_tb(error.__traceback__)[-1]
            say(f"FAIL  {name}: {type(error).__name__}: {str(error).strip()[:300]} ({last.filename}:{last.lineno})")
            continue
        for what, error, tolerance in results:
            good = error <= tolerance   # False for NaN too
            counted["passed" if good else "failed"] += 1
            say(f"{'PASS' if good else 'FAIL'}  {what}: error {error:.2g}, at most {tolerance:.2g}")
    say(f"{counted['passed']} passed, {counted['failed']} failed in {time.monotonic() - started:.0f} s")
    return counted
