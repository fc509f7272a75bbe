"""PyTorch's files (``.pth``, ``.pt``) read without PyTorch and without executing anything.

Both layouts are read: the zip archive of PyTorch 1.6 and later (a pickle ``data.pkl`` that refers to one raw record
per storage) and the older one (pickles, then the storages one behind the other), in which pix2pixHD's and torchvision's
first models were published.  Pickles go through the same strict reader as the release's files, with the few names of
PyTorch's tensors added; TorchScript programs, whole pickled modules and anything unknown are refused.

Writing is PyTorch's own ``torch.save``.
"""
from __future__ import annotations

import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from . import safe_pickle
from .bfloat16 import widened
from .errors import CheckpointError
from .safe_pickle import UnsafePickle

#: the older layout begins with a pickle of PyTorch's magic number, these bytes among its first
_LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_WITHIN = 32
_LEGACY_PROTOCOL = 1001
_CHUNK = 1 << 20
#: storage class -> element type; bfloat16 has none in NumPy and becomes float32, which holds it exactly
_STORAGES = {"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "bf16",
             "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
             "BoolStorage": "b1"}


class MissingPyTorch(CheckpointError):
    """PyTorch is needed and not installed."""


class _StorageKind:
    def __init__(self, code: str):
        self.code = code
        self.size = 2 if code == "bf16" else np.dtype(code).itemsize


class _Storage:
    """A piece of raw data that tensors are views of; ``values`` is filled when its bytes were read."""

    def __init__(self, kind: _StorageKind, count: int):
        self.kind, self.count, self.values = kind, count, None  # type: Any

    def fill(self, raw: bytearray) -> None:
        if self.kind.code == "bf16":
            self.values = widened(raw)
        else:
            self.values = np.frombuffer(raw, np.dtype(self.kind.code).newbyteorder("<"))


class _Tensor:
    """A tensor whose storage may not have been read yet."""

    def __init__(self, storage, offset, size, stride):
        numbers = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or len(size) != len(stride) or len(size) > 16 or not all(
                isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2 ** 40 for n in numbers):
            raise UnsafePickle("holds a damaged tensor")
        count, last = 1, offset
        for n, step in zip(size, stride):
            count, last = count * n, last + (n - 1) * step
        if count and (last >= storage.count or count > storage.count):
            raise UnsafePickle(f"holds a tensor of shape {tuple(size)} in a storage of {storage.count} numbers")
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)

    def __setstate__(self, state):
        """PyTorch before 0.4 gave parameters a state: whether they take gradients, and hooks."""

    def array(self) -> np.ndarray:
        if self.storage.values is None:
            raise UnsafePickle("holds a tensor without contents")
        if 0 in self.size:
            return np.zeros(self.size, self.storage.values.dtype)
        values = self.storage.values[self.offset:]
        strides = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values, self.size, strides, subok=True)


def _rebuild_tensor(storage, offset, size, stride, *_):
    return _Tensor(storage, offset, size, stride)


def _rebuild_parameter(data, *_):
    if not isinstance(data, _Tensor):
        raise UnsafePickle("holds a parameter that is no tensor")
    return data


def _rebuild_marked(function, kind, arguments, *_):
    """A tensor with notes of a training script's own on it, which stay behind."""
    if function not in (_rebuild_tensor, _rebuild_parameter) or not isinstance(arguments, tuple):
        raise UnsafePickle("holds a tensor of a class of its own")
    return function(*arguments)


def _counted(items=None):
    if not isinstance(items, dict):
        raise UnsafePickle("holds a damaged count")
    return items


class _Class:
    """Stands for a class that is named and not called."""


class _Named:
    """A value of PyTorch's that only has a name here: an element type, a device."""

    def __init__(self, *name):
        self.name = name


class _Reader(safe_pickle.Reader):
    names = dict(safe_pickle.Reader.names)
    names.update({
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
        ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_marked,
        ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
        ("torch", "Tensor"): _Class(),
        ("collections", "Counter"): _counted,
        ("torch", "Size"): lambda sizes=(): tuple(sizes),
        ("torch", "device"): _Named,
        ("collections", "defaultdict"): lambda *_: OrderedDict(),
        ("__builtin__", "set"): lambda items=(): list(items),
        ("builtins", "set"): lambda items=(): list(items),
    })
    names.update({(module, name): _Class() for module in ("builtins", "__builtin__") for name in ("dict", "list")})
    names.update({("torch", name): _StorageKind(code) for name, code in _STORAGES.items()})
    names.update({("torch", name): _Named(name) for name in (
        "float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 bool").split()})

    stateful = safe_pickle.Reader.stateful + (_Tensor,)

    def __init__(self, stream, storages: Optional[Dict[str, _Storage]] = None):
        super().__init__(stream)
        self.storages = storages

    def find_class(self, module, name):
        try:
            return super().find_class(module, name)
        except UnsafePickle as error:
            raise UnsafePickle(f"{error}. A file that holds whole objects has to be saved anew, as net.state_dict() "
                               "alone") from None

    def load_empty_set(self):
        self.append([])

    def load_additems(self):
        items = self.pop_mark()
        self.stack[-1].extend(items)

    dispatch = {**safe_pickle.Reader.dispatch, pickle.EMPTY_SET[0]: load_empty_set, pickle.ADDITEMS[0]: load_additems}

    def persistent_load(self, pid):
        if self.storages is None or not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            what = pid[0] if isinstance(pid, tuple) and pid and isinstance(pid[0], str) else "data"
            raise UnsafePickle(f"refers to a {what!r} outside the pickle, which is no array of numbers")
        _, kind, key, _, count = pid[:5]
        key = str(key) if isinstance(key, int) else key  # Jittor's own writer numbers them
        if not isinstance(kind, _StorageKind) or not isinstance(key, str) or not isinstance(count, int) \
                or not 0 <= count < 2 ** 40:
            raise UnsafePickle("refers to a damaged storage")
        if len(pid) > 5 and pid[5] is not None:
            raise UnsafePickle("holds a view of a storage in the layout of PyTorch before 0.4; save it anew")
        storage = self.storages.setdefault(key, _Storage(kind, count))
        if storage.kind is not kind or storage.count != count:
            raise UnsafePickle(f"refers to storage {key!r} as two different things")
        return storage


def _plain(value, depth: int = 0, seen: Optional[Dict[int, Any]] = None):
    """Stand-ins of PyTorch's replaced, so that safe_pickle.resolve does the rest."""
    seen = {} if seen is None else seen
    if isinstance(value, _Tensor):
        return value.array()
    if isinstance(value, _Named):
        first = value.name[0] if value.name else ""
        return str(first) if isinstance(first, (str, int)) else ""  # of a nested tuple, text without end
    if isinstance(value, (dict, list, tuple)) and depth <= 16:
        if id(value) not in seen:
            seen[id(value)] = value  # a structure within itself is left for resolve to refuse
            seen[id(value)] = ({key: _plain(item, depth + 1, seen) for key, item in value.items()}
                               if isinstance(value, dict) else [_plain(item, depth + 1, seen) for item in value])
        return seen[id(value)]
    return value


def read_torch(path) -> Any:
    """Whatever the file holds: dictionaries, lists, numbers, text, and arrays for tensors.

    CheckpointError names the file and the cause for anything that is damaged, cut off, unknown or no plain data.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            start = stream.read(_LEGACY_WITHIN)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            if start[:1] == b"\x80" and _LEGACY in start:
                return _read_legacy(stream, size)
            if start[:4] == b"PK\x03\x04":
                return _read_zip(stream, size)
            if start[:1] == b"\x80":
                raise UnsafePickle("a plain pickle, not a PyTorch file; name it .pkl if that is what it is")
            raise UnsafePickle("neither of PyTorch's two layouts (it starts with "
                               f"{start[:4]!r}); the file is damaged or something else")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (KeyboardInterrupt, SystemExit):
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: not a usable PyTorch checkpoint: {error}. "
                              "Fetch or write the file again.") from None
    except BaseException as error:  # zipfile raises many kinds on damaged archives
        raise CheckpointError(f"{path}: not a usable PyTorch checkpoint: damaged ({type(error).__name__}: {error}). "
                              "Fetch or write the file again.") from None


def _read_zip(stream, size: int) -> Any:
    with zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UnsafePickle("a zip archive without data.pkl, so no PyTorch checkpoint")
        root = pickles[0][:-len("data.pkl")]
        if root + "constants.pkl" in names or any(name.startswith(root + "code/") for name in names):
            raise UnsafePickle("a TorchScript program, not a checkpoint: save the module's state_dict() instead")
        entries = _entries(archive, size)
        if root + "byteorder" in entries and _record(archive, entries[root + "byteorder"]) != b"little":
            raise UnsafePickle("written on a big-endian machine, which is not supported")
        storages: Dict[str, _Storage] = {}
        value = _Reader(_Bytes(_record(archive, entries[pickles[0]])), storages).load()
        for key, storage in storages.items():
            entry = entries.get(f"{root}data/{key}")
            if entry is None:
                raise UnsafePickle(f"its record data/{key[:40]} is missing")
            if entry.file_size != storage.count * storage.kind.size:
                raise UnsafePickle(f"its record data/{key[:40]} has {entry.file_size} bytes instead of "
                                   f"{storage.count * storage.kind.size}")
            storage.fill(_record(archive, entry))
        return safe_pickle.resolve(_plain(value))


def _entries(archive: zipfile.ZipFile, size: int) -> Dict[str, zipfile.ZipInfo]:
    """The records by name: each once, none compressed, and no more of them than the file can hold."""
    entries: Dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.filename in entries:
            raise UnsafePickle(f"holds two records {entry.filename!r}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise UnsafePickle(f"its record {entry.filename!r} is compressed, which PyTorch never does")
        entries[entry.filename] = entry
    if sum(entry.file_size for entry in entries.values()) > size:
        raise UnsafePickle("its records are larger together than the file")
    return entries


def _record(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytearray:
    """A record's bytes, its checksum verified."""
    out = bytearray(entry.file_size)
    view, position = memoryview(out), 0
    with archive.open(entry) as stream:
        while True:
            piece = stream.read(_CHUNK)
            if not piece:
                break
            view[position:position + len(piece)] = piece
            position += len(piece)
    if position != len(out):
        raise UnsafePickle(f"its record {entry.filename!r} is cut off")
    return out


class _Bytes:
    """Bytes in memory as a stream for the strict reader."""

    def __init__(self, data):
        import io

        stream = io.BytesIO(data)
        self.read, self.readline = stream.read, stream.readline


class _Bounded:
    """A file as a stream for the strict reader that is never asked for more than the file has."""

    def __init__(self, stream, size: int):
        self._stream, self._size = stream, size
        self.readline = stream.readline

    def read(self, count: int) -> bytes:
        return self._stream.read(max(0, min(count, self._size - self._stream.tell())))


def _read_legacy(stream, size: int) -> Any:
    bounded = _Bounded(stream, size)
    _Reader(bounded).load()  # the magic number
    if _Reader(bounded).load() != _LEGACY_PROTOCOL:
        raise UnsafePickle("of an unknown version of PyTorch's older layout")
    system = _Reader(bounded).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UnsafePickle("written on a big-endian machine, which is not supported")
    storages: Dict[str, _Storage] = {}
    value = _Reader(bounded, storages).load()
    keys = _Reader(bounded).load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages) \
            or len(keys) != len(storages):
        raise UnsafePickle("its list of storages does not match its tensors")
    for key in keys:
        storage = storages[key]
        head = stream.read(8)
        if len(head) != 8 or struct.unpack("<q", head)[0] != storage.count:
            raise UnsafePickle(f"its storage {key[:40]} is missing or of another size")
        length = storage.count * storage.kind.size
        if length > size - stream.tell():
            raise UnsafePickle(f"its storage {key[:40]} is cut off")
        raw = bytearray(length)
        stream.readinto(raw)
        storage.fill(raw)
    if stream.tell() != size:
        raise UnsafePickle(f"{size - stream.tell()} bytes too long")
    return safe_pickle.resolve(_plain(value))


def import_torch(path=None):
    """The torch module; MissingPyTorch says how to get it."""
    try:
        import torch
    except ImportError:
        raise MissingPyTorch(f"{path or 'PyTorch'}: PyTorch is not installed and is needed for this. Install the "
                             "extra: pip install 'jt_dfd[torch]'. Files ending in .pkl and .safetensors need no "
                             "PyTorch.") from None
    return torch


def write_torch(path, arrays: Dict[str, np.ndarray]) -> None:
    """Write name -> array as a plain dictionary of tensors, the way ``torch.save(net.state_dict(), path)`` does.
    MissingPyTorch where PyTorch is not installed."""
    torch = import_torch(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # they are only read
        tensors = OrderedDict((name, torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C"])))
                              for name, array in arrays.items())
    torch.save(tensors, str(path))
