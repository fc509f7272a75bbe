"""An unpickler that can build numeric arrays and plain values, and leaves out everything else.

A pickle is a program: unpickling a stranger's file runs it.  This reader answers the handful of names that a saved
dictionary of arrays needs with stand-ins written here.  For every other name an ``Inert`` stands, which can be "called"
and "filled" and does nothing: nothing is imported and nothing is run, and the arrays beside it are read all the same.
It does not even call numpy's own array restoring, which trusts sizes it is given: a stand-in notes shape, type and
bytes, and checks that they agree.

It stands on the standard library's reader written in Python, not the one in C: that one lets a four-byte number in the
file make it clear gigabytes of memory (its memo is an array), and here every instruction that is not needed is left
out; instructions are counted, and what calls copy is bounded by the size of the file.
"""
from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from typing import Any, Callable, Dict, Optional

import numpy as np

#: a checkpoint nests a few levels (networks, optimiser state, options); what lies deeper is left out
_MAX_DEPTH = 12
#: element types an array in a checkpoint may have; others are left out
_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
#: a checkpoint of a thousand parameters with its optimiser has 100,000; this many take about two seconds
_MAX_INSTRUCTIONS = 1_000_000
_MAX_LINE = 4096


class UnsafePickle(pickle.UnpicklingError):
    """The pickle is damaged, or made to do harm."""


class StandIn:
    """What the pickle builds in place of a class that is known here; ``resolved`` is what it stands for."""

    def resolved(self) -> Any:
        raise UnsafePickle("holds a value without contents")


class Inert(StandIn):
    """Stands for whatever is no array: an object, a class, a function.  what: its name, for people."""

    __slots__ = ("what",)

    def __init__(self, what: str):
        self.what = what[:60]

    def resolved(self) -> "Inert":
        return self


class _DType(StandIn):
    def __init__(self, code: str):
        self.code, self.order = code, "<"

    def __setstate__(self, state):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise UnsafePickle("holds a damaged array type")
        self.order = "<" if order == "=" else order

    def numpy(self) -> np.dtype:
        return np.dtype(self.order.replace("|", "<") + self.code)

    def resolved(self) -> Inert:
        return Inert("numpy.dtype")


def _dtype(code, *_):
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str):
        raise UnsafePickle("holds a damaged array type")
    code = code.lstrip("<=|")
    return _DType(code) if code in _DTYPES else Inert(f"an array of type {code!r}")


class _Array(StandIn):
    """What numpy's ``_reconstruct`` would have returned; ``value`` is set once the contents came."""

    def __init__(self):
        self.value: Any = None

    def __setstate__(self, state):
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise UnsafePickle("holds a damaged array")
        shape, dtype, fortran, data = state[-4:]
        self.value = _build(shape, dtype, data, "F" if fortran else "C")

    def resolved(self):
        if self.value is None:
            raise UnsafePickle("holds an array without contents")
        return self.value


def _build(shape, dtype, data, order):
    if isinstance(dtype, Inert):
        return dtype
    if not isinstance(dtype, _DType):
        raise UnsafePickle("holds an array without a type")
    if isinstance(data, str):  # Python 2 pickles
        data = data.encode("latin-1")
    if isinstance(data, (bytearray, memoryview, pickle.PickleBuffer)):
        data = bytes(data)
    if not isinstance(data, bytes):
        raise UnsafePickle("holds an array without bytes")
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


def _reconstruct(subtype, *_):
    if isinstance(subtype, Inert):
        return subtype  # numpy.matrix and others of their own
    if subtype is not _NDARRAY:
        raise UnsafePickle("holds a damaged array")
    return _Array()


def _frombuffer(data, dtype, shape, order):
    out = _Array()
    out.value = _build(tuple(shape), dtype, data, order)
    return out


def _scalar(dtype, data):
    return dtype if isinstance(dtype, Inert) else np.asarray(_build((), dtype, data, "C")).item()


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


def _members(items=()):
    if not isinstance(items, (list, tuple)):
        raise UnsafePickle("makes a set of something that is no list")
    return list(items)


_PLAIN = (str, bytes, int, float, type(None))


def _named(keys):
    """The keys as plain names.  A flat tuple becomes its text; one that nests is refused: its hash takes time and stack
    as its nesting says, which is a byte a level in the file and doubles what is hashed."""
    out = []
    for key in keys:
        if isinstance(key, Inert):
            key = f"({key.what})"
        elif isinstance(key, tuple) and len(key) <= 16 and all(isinstance(part, _PLAIN) for part in key):
            key = ", ".join(str(part)[:60] for part in key)
        elif not isinstance(key, _PLAIN):
            raise UnsafePickle("holds a dictionary whose keys are no names")
        out.append(key)
    return out


def _ordered(pairs=()):
    pairs = [tuple(pair) for pair in _members(pairs)]
    return OrderedDict(zip(_named([key for key, _ in pairs]), [value for _, value in pairs]))


def _counted(items=None):
    if not isinstance(items, dict):
        raise UnsafePickle("holds a damaged count")
    return items


class _Marker(StandIn):
    """Stands for a class that is named and not called."""

    def __init__(self, what: str):
        self.what = what

    def resolved(self) -> Inert:
        return Inert(self.what)


_NDARRAY = _Marker("numpy.ndarray")
_ALLOWED: Dict[tuple, Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("collections", "OrderedDict"): _ordered,
    ("collections", "Counter"): _counted,
    ("collections", "defaultdict"): lambda *_: OrderedDict(),
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
for _core in ("builtins", "__builtin__"):
    _ALLOWED[_core, "bytes"] = _no_bytes  # the contents of an array without elements
    _ALLOWED[_core, "set"] = _members
    _ALLOWED[_core, "frozenset"] = _members


#: the instructions that build names, numbers, text, bytes, lists, tuples and dictionaries
_INSTRUCTIONS = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT LONG BININT BININT1 BININT2 LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT "
    "GLOBAL STACK_GLOBAL BINPERSID PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET").split()
#: functions whose first argument says what is made
_MAKERS = ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__", "builtins.getattr")


class _Counting(dict):
    """Instruction -> what carries it out; counts those taken."""

    left = _MAX_INSTRUCTIONS

    def __getitem__(self, key):
        self.left -= 1
        if self.left < 0:
            raise UnsafePickle(f"has more than {_MAX_INSTRUCTIONS:,} instructions, more than any checkpoint needs")
        return dict.__getitem__(self, key)


class Reader(pickle._Unpickler):
    """Reads one pickle from a binary stream of ``size`` bytes.  ``names`` says what each (module, name) the pickle may
    ask for stands for; readers of other formats extend it and ``persistent_load``."""

    # of Python's own reader, of which the checkers' stubs say nothing
    dispatch: dict
    stack: list
    append: Callable
    pop_mark: Callable
    read: Callable
    readline: Callable

    names: Dict[tuple, Any] = _ALLOWED
    #: classes whose instances take a state (the ``BUILD`` instruction)
    stateful: tuple = (_DType, _Array)

    def __init__(self, stream, size: int):
        super().__init__(_Lines(stream), encoding="latin-1")
        self._known = {id(known) for known in self.names.values() if not isinstance(known, _Marker)}
        self._copies = 4 * size + (1 << 20)
        self.dispatch = _Counting(self.dispatch)

    def find_class(self, module, name):
        try:
            return self.names[module, name]
        except (KeyError, TypeError):
            return Inert(f"{module}.{name}")

    def persistent_load(self, pid):
        raise UnsafePickle("refers to data outside the file")

    def _charge(self, values):
        """What a call may copy is counted: a long text that is encoded a thousand times is one line in the file."""
        for value in values if isinstance(values, tuple) else ():
            if isinstance(value, (str, bytes, bytearray, list, tuple, dict)):
                self._copies -= len(value)
        if self._copies < 0:
            raise UnsafePickle("asks for more memory than the file can fill")

    def _call(self, function, arguments):
        if isinstance(function, Inert):
            if function.what in _MAKERS and arguments and isinstance(arguments[0], Inert):
                return arguments[0]
            return function
        if not isinstance(arguments, tuple) or id(function) not in self._known:
            raise UnsafePickle("calls something that cannot be called; nothing was run")
        self._charge(arguments)
        return function(*arguments)

    def load_reduce(self):
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def load_newobj_ex(self):
        self.stack.pop()
        self.load_reduce()

    def load_obj(self):
        kind, *arguments = self.pop_mark()
        self.append(self._call(kind, tuple(arguments)))

    def load_inst(self):
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        arguments = tuple(self.pop_mark())
        self.append(self._call(self.find_class(module, name), arguments))

    def load_build(self):
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, self.stateful):
            self._charge(state)
            value.__setstate__(state)
        elif not isinstance(value, (OrderedDict, Inert)):  # a dictionary's are PyTorch's notes on versions, of no use
            raise UnsafePickle("sets the state of something that has none")

    def _fill(self, items, kind):
        """Add to the list or dictionary on top of the stack, or to an Inert, which takes nothing."""
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if not isinstance(target, kind):
            raise UnsafePickle("adds to something that is no list or dictionary")
        if kind is list:
            target.extend(items)
        else:
            target.update(zip(_named(items[::2]), items[1::2]))

    def load_append(self):
        self._fill([self.stack.pop()], list)

    def load_appends(self):
        self._fill(self.pop_mark(), list)

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value], dict)

    def load_setitems(self):
        self._fill(self.pop_mark(), dict)

    def load_dict(self):
        items = self.pop_mark()
        self.append(dict(zip(_named(items[::2]), items[1::2])))

    def load_empty_set(self):
        self.append([])

    def load_frozenset(self):
        self.append(self.pop_mark())

    def load_bytearray8(self):
        # the library's would reserve what the number says before looking whether the file has it
        length, = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]]
                for name in _INSTRUCTIONS}
    dispatch.update({getattr(pickle, name.upper())[0]: own for name, own in (
        ("reduce", load_reduce), ("newobj", load_reduce), ("newobj_ex", load_newobj_ex), ("obj", load_obj),
        ("inst", load_inst), ("build", load_build), ("append", load_append), ("appends", load_appends),
        ("additems", load_appends), ("setitem", load_setitem), ("setitems", load_setitems), ("dict", load_dict),
        ("empty_set", load_empty_set), ("frozenset", load_frozenset), ("bytearray8", load_bytearray8))})

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
        return self._readline(_MAX_LINE)


class Limited:
    """A binary stream that ends ``length`` bytes in, and is never asked for more memory than that can fill."""

    def __init__(self, stream, length: int):
        self._stream, self.left = stream, length

    def read(self, size: int) -> bytes:
        data = self._stream.read(max(0, min(size, self.left)))
        self.left -= len(data)
        return data

    def readline(self, size: int) -> bytes:
        data = self._stream.readline(max(0, min(size, self.left)))
        self.left -= len(data)
        return data


def load(stream, size: int) -> Any:
    """The pickled value of a stream of ``size`` bytes, with every array as a read-only numpy array, tuples as lists,
    and an ``Inert`` for everything that is no array and no plain value.  Raises ``pickle.UnpicklingError`` (of which
    UnsafePickle is one) for anything damaged."""
    return resolve(Reader(stream, size).load())


def resolve(value, _depth: int = 0, _seen: Optional[Dict[int, Any]] = None):
    """The value with stand-ins replaced by what they stand for.  A part that occurs many times is gone through once."""
    seen = {} if _seen is None else _seen
    if isinstance(value, StandIn):
        if id(value) not in seen:
            seen[id(value)] = value.resolved()
        return seen[id(value)]
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.ndarray)):
        return value
    if not isinstance(value, (dict, list, tuple)):
        return Inert("a class or function")
    if id(value) not in seen:
        if _depth > _MAX_DEPTH:
            return Inert("nested too deep")
        seen[id(value)] = Inert("within itself")
        if isinstance(value, dict):
            out: Any = {key: resolve(item, _depth + 1, seen) for key, item in value.items()}
        else:
            out = [resolve(item, _depth + 1, seen) for item in value]
        seen[id(value)] = out
    return seen[id(value)]
