"""An unpickler that can build numeric arrays and nothing else.

A pickle is a program: unpickling a stranger's file runs it.  This reader answers the handful of names that a saved
dictionary of arrays needs with stand-ins written here, and refuses every other.  It does not even call numpy's own
array restoring, which trusts sizes it is given: a stand-in notes shape, type and bytes, and checks that they agree.

It stands on the standard library's reader written in Python, not the one in C: that one lets a four-byte number in the
file make it clear gigabytes of memory (its memo is an array), and here every instruction that is not needed is left out.
"""
from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from typing import Any, Dict, Optional

import numpy as np

#: a checkpoint nests a few levels (networks, optimiser state); more is no checkpoint
_DEEPEST = 12
#: element types an array in a checkpoint may have
_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


class UnsafePickle(pickle.UnpicklingError):
    """The pickle asks for something that is no array of numbers."""


class _DType:
    def __init__(self, code):
        if isinstance(code, bytes):
            code = code.decode("latin-1")
        code = code.lstrip("<=|") if isinstance(code, str) else ""
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
        raise UnsafePickle("holds an array of an impossible shape")
    if order not in ("C", "F"):
        raise UnsafePickle("holds an array in an unknown order")
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


def _no_bytes(*arguments):
    if arguments:
        raise UnsafePickle("makes bytes in a way no checkpoint does")
    return b""


def _named(keys):
    """The keys, which must be plain names: the hash of a tuple takes time and stack as its nesting says, which is a
    byte a level in the file and doubles what is hashed."""
    for key in keys:
        if not isinstance(key, (str, bytes, int, float, type(None))):
            raise UnsafePickle("holds a dictionary whose keys are no names")
    return keys


def _ordered(pairs=()):
    pairs = [tuple(pair) for pair in pairs]
    _named([pair[0] for pair in pairs])
    return OrderedDict(pairs)


class _Marker:
    """Stands for numpy's ndarray class; cannot be called."""


_NDARRAY = _Marker()
_ALLOWED: Dict[tuple, Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): lambda code, *_: _DType(code),
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,  # the contents of an array without elements
    ("builtins", "bytes"): _no_bytes,
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


_LONGEST_LINE = 4096
#: the instructions that build names, numbers, text, bytes, lists, tuples and dictionaries, or call a stand-in
_INSTRUCTIONS = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS "
    "GLOBAL STACK_GLOBAL BINPERSID PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET").split()


class Reader(pickle._Unpickler):
    """Reads one pickle from a binary stream.  ``names`` says what each (module, name) the pickle may ask for stands
    for; readers of other formats extend it and ``persistent_load``."""

    names: Dict[tuple, Any] = _ALLOWED
    #: classes whose instances take a state (the ``BUILD`` instruction)
    stateful: tuple = (_DType, _Array)

    def __init__(self, stream):
        super().__init__(_Lines(stream), encoding="latin-1")

    def find_class(self, module, name):
        try:
            return self.names[module, name]
        except (KeyError, TypeError):
            raise UnsafePickle(f"asks for {module}.{name}, which is no array of numbers; nothing was run") from None

    def persistent_load(self, pid):
        raise UnsafePickle("refers to data outside the file")

    def load_reduce(self):
        arguments, function = self.stack.pop(), self.stack[-1]
        if not isinstance(arguments, tuple) or not any(function is known for known in self.names.values()):
            raise UnsafePickle("calls something that is no array of numbers; nothing was run")
        self.stack[-1] = function(*arguments)

    def load_build(self):
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, self.stateful):
            value.__setstate__(state)
        elif not isinstance(value, OrderedDict):  # whose state is PyTorch's notes on versions, of no use here
            raise UnsafePickle("sets the state of something that has none")

    def load_dict(self):
        items = self.pop_mark()
        self.append(dict(zip(_named(items[::2]), items[1::2])))

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][_named([key])[0]] = value

    def load_setitems(self):
        items = self.pop_mark()
        self.stack[-1].update(zip(_named(items[::2]), items[1::2]))

    def load_bytearray8(self):
        # the library's would reserve what the number says before looking whether the file has it
        length, = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]]
                for name in _INSTRUCTIONS}
    dispatch.update({pickle.REDUCE[0]: load_reduce, pickle.BUILD[0]: load_build,
                     pickle.DICT[0]: load_dict, pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems,
                     pickle.BYTEARRAY8[0]: load_bytearray8})

    def load(self):
        try:
            return super().load()
        except pickle.UnpicklingError:
            raise
        except KeyError as error:
            raise pickle.UnpicklingError(f"holds an instruction or reference no checkpoint has ({error})") from None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a damaged pickle can raise nearly anything, MemoryError included
            raise pickle.UnpicklingError(f"damaged pickle ({type(error).__name__}: {error})") from None


class _Lines:
    """A stream whose lines are short: numbers written out as text take time that grows with their length squared."""

    def __init__(self, stream):
        self.read, self._readline = stream.read, stream.readline

    def readline(self):
        return self._readline(_LONGEST_LINE)


def load(stream: io.BufferedIOBase) -> Any:
    """The pickled value with every array as a read-only numpy array, tuples as lists.  Raises
    ``pickle.UnpicklingError`` (of which UnsafePickle is one) for anything that is not a plain structure of names,
    numbers and arrays."""
    return resolve(Reader(stream).load())


def resolve(value, _depth: int = 0, _seen: Optional[Dict[int, Any]] = None):
    """The value with stand-ins replaced by what they stand for; anything unforeseen raises UnsafePickle.  A part that
    occurs many times is gone through once."""
    seen = {} if _seen is None else _seen
    if _depth > _DEEPEST:
        raise UnsafePickle("nests deeper than a checkpoint does")
    if isinstance(value, _Array):
        if value.value is None:
            raise UnsafePickle("holds an array without contents")
        return value.value
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.ndarray)):
        return value
    if not isinstance(value, (dict, list, tuple)):
        raise UnsafePickle(f"holds a {type(value).__name__}")
    if id(value) not in seen:
        seen[id(value)] = None  # within itself
        if isinstance(value, dict):
            out = {key: resolve(item, _depth + 1, seen) for key, item in value.items()}
        else:
            out = [resolve(item, _depth + 1, seen) for item in value]
        seen[id(value)] = out
    if seen[id(value)] is None:
        raise UnsafePickle("holds a structure that contains itself")
    return seen[id(value)]
