"""An unpickler that can build numeric arrays and nothing else.

A pickle is a program: unpickling a stranger's file runs it.  This reader answers the handful of names that a saved
dictionary of arrays needs with stand-ins written here, and refuses every other.  It does not even call numpy's own
array restoring, which trusts sizes it is given: a stand-in notes shape, type and bytes, and checks that they agree.
"""
from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any, Dict

import numpy as np

#: element types an array in a checkpoint may have
_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


class UnsafePickle(pickle.UnpicklingError):
    """The pickle asks for something that is no array of numbers."""


class _DType:
    def __init__(self, code):
        if isinstance(code, bytes):
            code = code.decode("latin-1")
        code = code.lstrip("<=|") if isinstance(code, str) else code
        if code not in _DTYPES:
            raise UnsafePickle(f"holds an array of type {code!r}; only numbers are read")
        self.code, self.order = code, "<"

    def __setstate__(self, state):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise UnsafePickle("holds a damaged array type")
        self.order = "<" if order == "=" else order

    def numpy(self) -> np.dtype:
        return np.dtype(self.order.replace("|", "<") + self.code)


class _Array:
    """What numpy's ``_reconstruct`` would have returned; ``value`` is set once the contents came."""

    def __init__(self):
        self.value = None

    def __setstate__(self, state):
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise UnsafePickle("holds a damaged array")
        shape, dtype, fortran, data = state[-4:]
        self.value = _build(shape, dtype, data, "F" if fortran else "C")


def _build(shape, dtype, data, order) -> np.ndarray:
    if not isinstance(dtype, _DType):
        raise UnsafePickle("holds an array without a type")
    if isinstance(data, str):  # Python 2 pickles
        data = data.encode("latin-1")
    if isinstance(data, (bytearray, memoryview, pickle.PickleBuffer)):
        data = bytes(data)
    if not isinstance(data, bytes):
        raise UnsafePickle("holds an array of Python objects")
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(
            isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2 ** 40 for n in shape):
        raise UnsafePickle(f"holds an array of shape {shape!r}")
    if order not in ("C", "F"):
        raise UnsafePickle(f"holds an array in order {order!r}")
    kind, count = dtype.numpy(), 1
    for n in shape:
        count *= n
    if count * kind.itemsize != len(data):
        raise UnsafePickle(f"holds an array of shape {shape} and type {kind} in {len(data)} bytes "
                           f"instead of {count * kind.itemsize}")
    return np.frombuffer(data, kind).reshape(shape, order=order)


def _reconstruct(subtype, shape, typecode):
    if subtype is not _NDARRAY:
        raise UnsafePickle("holds an array of a class of its own")
    return _Array()


def _frombuffer(data, dtype, shape, order):
    out = _Array()
    out.value = _build(tuple(shape), dtype, data, order)
    return out


def _scalar(dtype, data):
    return _frombuffer(data, dtype, (), "C")


def _jittor_var(*arguments):
    if len(arguments) != 1 or not isinstance(arguments[0], _Array):
        raise UnsafePickle("holds a Jittor variable without an array in it")
    return arguments[0]


def _encode(text, encoding="latin-1", *_):
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise UnsafePickle("holds text in an unexpected encoding")
    return text.encode("latin-1")


class _Marker:
    """Stands for numpy's ndarray class; cannot be called."""


_NDARRAY = _Marker()
_ALLOWED: Dict[tuple, Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): lambda code, *_: _DType(code),
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("jittor", "jittor_core.Var"): _jittor_var,
    ("jittor", "Var"): _jittor_var,
    ("jittor_core", "Var"): _jittor_var,
    ("jittor.jittor_core", "Var"): _jittor_var,
    ("jittor_core.jittor_core", "Var"): _jittor_var,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _frombuffer
    _ALLOWED[f"{_core}.multiarray", "ndarray"] = _NDARRAY


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafePickle(f"asks for {module}.{name}, which is no array of numbers; nothing was run") from None

    def persistent_load(self, pid):
        raise UnsafePickle("refers to data outside the file")


def load(stream: io.BufferedIOBase) -> Any:
    """The pickled value with every array as a read-only numpy array.  Raises ``pickle.UnpicklingError`` (of which
    UnsafePickle is one) for anything that is not a plain structure of names, numbers and arrays."""
    try:
        return _resolve(_Unpickler(stream, encoding="latin-1").load(), 0)
    except pickle.UnpicklingError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a damaged pickle can raise nearly anything, MemoryError included
        raise pickle.UnpicklingError(f"damaged pickle ({type(error).__name__}: {error})") from None


def _resolve(value, depth):
    if depth > 8:
        raise UnsafePickle("nests deeper than a checkpoint does")
    if isinstance(value, _Array):
        if value.value is None:
            raise UnsafePickle("holds an array without contents")
        return value.value
    if isinstance(value, dict):
        return {key: _resolve(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolve(item, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise UnsafePickle(f"holds a {type(value).__name__}")
