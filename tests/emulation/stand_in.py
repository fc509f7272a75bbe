"""Stands in for ``jt_dfd.backend`` where kernels are emulated: as much of Jittor as ``jt_dfd.kernels`` touches around
``source.run``, on NumPy arrays.  Jittor itself is neither compiled nor started."""
from __future__ import annotations

import contextlib
import sys
import types

import numpy as np


class Variable(np.ndarray):
    def float32(self):
        return self.astype(np.float32)

    def cast(self, dtype):
        return self.astype(dtype)

    def stop_grad(self):
        return self

    def numel(self):
        return self.size

    def sync(self):
        pass

    def numpy(self):
        return np.asarray(self)


def variable(values) -> Variable:
    return np.ascontiguousarray(values).view(Variable)


class Function:
    """Called, it computes; ``grad`` afterwards is called by whoever wants gradients."""

    def __call__(self, *arguments):
        return self.execute(*arguments)


def install() -> None:
    """Before anything imports ``jt_dfd.kernels``."""
    backend = types.ModuleType("jt_dfd.backend")
    backend.jt = types.SimpleNamespace(Var=Variable, Function=Function, array=variable, no_grad=contextlib.nullcontext)
    backend.nn = types.SimpleNamespace()
    backend.derived = lambda base: lambda cls: type(cls.__name__, (cls, getattr(backend.jt, base)), {})
    sys.modules["jt_dfd.backend"] = backend
