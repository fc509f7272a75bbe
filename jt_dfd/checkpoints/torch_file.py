"""PyTorch's files read without PyTorch and without executing anything.

Both layouts are read: the zip archive of PyTorch 1.6 and later (a pickle ``data.pkl`` that refers to one raw record
per storage) and the older one (pickles, then the storages one after the other), in which pix2pixHD's and torchvision's
first models were published.  Pickles go through the same strict reader as the release's files, with the few names of
PyTorch's dense tensors added; sparse, quantised, complex and other tensors are left out, TorchScript programs refused.

Writing is PyTorch's own ``torch.save``.
"""
from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections import OrderedDict
from typing import Any, Dict, Optional

import numpy as np

from . import safe_pickle
from .arrays import CheckpointError, widened
from .safe_pickle import Inert, Limited, StandIn, UnsafePickle

#: the older layout begins with a pickle of PyTorch's magic number, these bytes among its first
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
_CHUNK = 1 << 20
#: an archive of more records, or a longer list of them, is no checkpoint and would take minutes
_MAX_RECORDS = 20_000
_MAX_DIRECTORY = 8 << 20
#: compressed records may unpack to so many times the file, and to so many bytes besides; weights hardly compress
_UNPACKED, _UNPACKED_BESIDE, _UNPACKED_MOST = 20, 64 << 20, 3 << 29
#: bytes of tensors larger than their storage (``expand``), which are written out when they are used
_EXPANDED = 1 << 28
#: storage class -> element type; "bf16" becomes float32, which holds it exactly; of "V" nothing is read but the size
_STORAGES = {"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "bf16",
             "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
             "BoolStorage": "b1", "UntypedStorage": "u1", "ComplexFloatStorage": "V8", "ComplexDoubleStorage": "V16",
             "QInt8Storage": "V1", "QUInt8Storage": "V1", "QUInt4x2Storage": "V1", "QUInt2x4Storage": "V1",
             "QInt32Storage": "V4"}
#: element types that have no storage class of their own; the others (float8 and the like) are left out
_TYPES = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}


class MissingPyTorch(CheckpointError):
    """PyTorch is needed and not installed."""


class _StorageKind(StandIn):
    def __init__(self, name: str, code: str):
        self.name, self.code = name, code
        self.size = 2 if code == "bf16" else np.dtype(code).itemsize

    def resolved(self) -> Inert:
        return Inert(f"torch.{self.name}")


class _Storage(StandIn):
    """A piece of raw data that tensors are views of; ``raw`` is filled when its bytes were read."""

    def __init__(self, kind: _StorageKind, count: int):
        self.kind, self.count = kind, count
        self.raw: Any = None

    def values(self, code: str) -> np.ndarray:
        if self.raw is None:
            raise UnsafePickle("holds a tensor without contents")
        return widened(self.raw) if code == "bf16" else np.frombuffer(self.raw, np.dtype(code).newbyteorder("<"))

    def resolved(self) -> Inert:
        return Inert(f"torch.{self.kind.name}")


class _Tensor(StandIn):
    """A tensor whose storage may not have been read yet.  code: its element type where it is not the storage's."""

    def __init__(self, storage, offset, size, stride, code=None, negative=False):
        numbers = [offset, *size, *stride]
        if not isinstance(storage, _Storage) or len(size) != len(stride) or len(size) > 16 or not all(
                isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2 ** 40 for n in numbers):
            raise UnsafePickle("holds a damaged tensor")
        self.code = code or storage.kind.code
        held = storage.count if code is None else storage.count // np.dtype(code).itemsize
        count, last = 1, offset
        for n, step in zip(size, stride):
            count, last = count * n, last + (n - 1) * step
        if count and (last >= held or count > max(held, _EXPANDED // storage.kind.size)):
            raise UnsafePickle(f"holds a tensor of shape {tuple(size)} in a storage of {held} numbers")
        self.storage, self.offset, self.size, self.stride = storage, offset, tuple(size), tuple(stride)
        self.negative, self.expanded = negative, count * storage.kind.size if count > held else 0

    def __setstate__(self, state):
        """PyTorch before 0.4 gave parameters a state: whether they take gradients, and hooks."""

    def resolved(self):
        if self.code.startswith("V"):
            return Inert(f"a tensor of torch.{self.storage.kind.name}")
        values = self.storage.values(self.code)
        if 0 in self.size:
            return np.zeros(self.size, values.dtype)
        values = values[self.offset:]
        strides = [step * values.itemsize for step in self.stride]
        array = np.lib.stride_tricks.as_strided(values, self.size, strides, subok=True)
        return np.negative(array) if self.negative else array


def _rebuild_tensor(storage, offset, size, stride, _grad=False, _hooks=None, notes=None, *_):
    if isinstance(storage, Inert):
        return storage
    # a lazily negated tensor is marked, not computed; a lazily conjugated one is complex and left out
    return _Tensor(storage, offset, size, stride, None, isinstance(notes, dict) and bool(notes.get("neg")))


def _rebuild_of_type(storage, offset, size, stride, _grad, _hooks, kind, *_):
    if not isinstance(kind, Inert) or kind.what not in _TYPES:
        return Inert(f"a tensor of {kind.what}") if isinstance(kind, Inert) else Inert("a tensor")
    return _Tensor(storage, offset, size, stride, _TYPES[kind.what])


def _rebuild_parameter(data, *_):
    if not isinstance(data, (_Tensor, Inert)):
        raise UnsafePickle("holds a parameter that is no tensor")
    return data


def _rebuild_marked(function, kind, arguments, *_):
    """A tensor with notes of a training script's own on it, which are left out."""
    if function not in (_rebuild_tensor, _rebuild_parameter, _rebuild_of_type) or not isinstance(arguments, tuple):
        return function if isinstance(function, Inert) else Inert("a tensor of a class of its own")
    return function(*arguments)


class _Reader(safe_pickle.Reader):
    names = dict(safe_pickle.Reader.names)
    names.update({
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v3"): _rebuild_of_type,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
        ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_marked,
        ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
        ("torch", "Size"): safe_pickle._members,
    })
    names.update({(module, name): _StorageKind(name, code) for name, code in _STORAGES.items()
                  for module in ("torch", "torch.storage", "torch.cuda")})

    stateful = safe_pickle.Reader.stateful + (_Tensor,)

    def __init__(self, stream, size: int, storages: Optional[Dict[str, _Storage]] = None):
        super().__init__(stream, size)
        self.storages = storages
        self.expanded = 0

    def _call(self, function, arguments):
        made = super()._call(function, arguments)
        if isinstance(made, _Tensor) and made.expanded:
            self.expanded, made.expanded = self.expanded + made.expanded, 0
            if self.expanded > _EXPANDED:
                raise UnsafePickle("holds expanded tensors larger together than any network's")
        return made

    def find_class(self, module, name):
        found = super().find_class(module, name)
        if isinstance(found, Inert) and module == "torch._utils" and name.startswith("_rebuild_"):
            return Inert("a " + name[len("_rebuild_"):].replace("_", " "))
        return found

    def persistent_load(self, pid):
        if self.storages is not None and isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module" \
                and isinstance(pid[1], Inert):
            return pid[1]  # the older layout's class of a whole module, with its source
        if self.storages is None or not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            what = pid[0] if isinstance(pid, tuple) and pid and isinstance(pid[0], str) else "data"
            raise UnsafePickle(f"refers to a {what!r:.40} outside the pickle, which is no array of numbers")
        _, kind, key, _, count = pid[:5]
        key = str(key) if isinstance(key, int) else key  # Jittor's own writer numbers them
        if not isinstance(kind, _StorageKind) or not isinstance(key, str) or not isinstance(count, int) \
                or not 0 <= count < 2 ** 40:
            raise UnsafePickle("refers to a damaged storage")
        if len(pid) > 5 and pid[5] is not None:
            raise UnsafePickle("holds a view of a storage in the layout of PyTorch before 0.4; save it anew")
        storage = self.storages.setdefault(key, _Storage(kind, count))
        if storage.kind is not kind or storage.count != count:
            raise UnsafePickle(f"refers to storage {key!r:.40} as two different things")
        return storage


def read_zip(stream, size: int) -> Any:
    """The value in a zip archive of PyTorch's; UnpicklingError or whatever zipfile raises where it is damaged."""
    _check_directory(stream, size)
    with zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UnsafePickle(_other_archive(names))
        root = pickles[0][:-len("data.pkl")]
        if root + "constants.pkl" in names or any(name.startswith(root + "code/") for name in names):
            raise UnsafePickle("a TorchScript program, not a checkpoint: save the module's state_dict() instead")
        entries = _entries(archive, size)
        if root + "byteorder" in entries and _record(archive, entries[root + "byteorder"]) != b"little":
            raise UnsafePickle("written on a big-endian machine, which is not supported")
        storages: Dict[str, _Storage] = {}
        length = entries[pickles[0]].file_size
        value = _Reader(Limited(io.BytesIO(_record(archive, entries[pickles[0]])), length), length, storages).load()
        for key, storage in storages.items():
            entry = entries.get(f"{root}data/{key}")
            if entry is None:
                raise UnsafePickle(f"its record data/{key[:40]} is missing")
            if entry.file_size != storage.count * storage.kind.size:
                raise UnsafePickle(f"its record data/{key[:40]} has {entry.file_size} bytes instead of "
                                   f"{storage.count * storage.kind.size}")
            if not storage.kind.code.startswith("V"):
                storage.raw = _record(archive, entry)
        return safe_pickle.resolve(value)


def has_checksum(stream) -> bool:
    with zipfile.ZipFile(stream) as archive:
        return any(entry.CRC for entry in archive.infolist())


def _check_directory(stream, size: int) -> None:
    """UnsafePickle where the archive's list of records is longer than a checkpoint's: zipfile would read it all."""
    tail = min(size, 66_000)
    stream.seek(size - tail)
    data = stream.read(tail)
    end = data.rfind(b"PK\x05\x06")
    if end >= 0 and len(data) >= end + 16:
        count, length = struct.unpack("<H", data[end + 10:end + 12])[0], struct.unpack("<L", data[end + 12:end + 16])[0]
        far = data.rfind(b"PK\x06\x06", 0, end)
        if (count == 0xFFFF or length == 0xFFFFFFFF) and far >= 0 and len(data) >= far + 48:
            count, length = struct.unpack("<QQ", data[far + 32:far + 48])
        if count > _MAX_RECORDS or length > _MAX_DIRECTORY:
            raise UnsafePickle(f"an archive of {count} records, more than any checkpoint has")
    stream.seek(0)


def _other_archive(names) -> str:
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz), not a checkpoint: load it and save {name: array} as .pkl or .safetensors"
    inner = [name for name in names if name.endswith((".pth", ".pt", ".pkl", ".safetensors", ".ckpt", ".bin"))]
    return ("a zip archive without data.pkl, so no PyTorch checkpoint"
            + (f": unpack it and name the file inside ({inner[0]!r:.60})" if inner else ""))


def _entries(archive: zipfile.ZipFile, size: int) -> Dict[str, zipfile.ZipInfo]:
    """The records by name: each once, and together no larger than the file can sensibly hold."""
    entries: Dict[str, zipfile.ZipInfo] = {}
    packed = False
    for entry in archive.infolist():
        if entry.filename in entries:
            raise UnsafePickle(f"holds two records {entry.filename!r:.60}")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsafePickle(f"its record {entry.filename!r:.60} is compressed in a way that PyTorch does not read")
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise UnsafePickle(f"its record {entry.filename!r:.60} has two sizes")
        packed = packed or entry.compress_type == zipfile.ZIP_DEFLATED
        entries[entry.filename] = entry
    bound = min(max(size, _UNPACKED_MOST), _UNPACKED * size + _UNPACKED_BESIDE) if packed else size
    if sum(entry.file_size for entry in entries.values()) > bound:
        raise UnsafePickle("its compressed records unpack to far more than weights do" if packed
                           else "its records are larger together than the file")
    if not any(entry.CRC for entry in entries.values()):
        for entry in entries.values():
            entry.CRC = None  # type: ignore  # PyTorch can be told to write none (set_crc32_options)
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
        raise UnsafePickle(f"its record {entry.filename!r:.60} is cut off")
    return out


def read_legacy(stream, size: int) -> Any:
    """The value in a file of PyTorch's older layout; UnpicklingError where it is damaged."""
    def load(storages=None):
        return _Reader(Limited(stream, size - stream.tell()), size, storages).load()

    load()  # the magic number
    if load() != _LEGACY_PROTOCOL:
        raise UnsafePickle("of an unknown version of PyTorch's older layout")
    system = load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UnsafePickle("written on a big-endian machine, which is not supported")
    storages: Dict[str, _Storage] = {}
    value, keys = load(storages), load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages) \
            or len(keys) != len(storages):
        raise UnsafePickle("its list of storages does not match its tensors")
    for key in keys:
        storage = storages[key]
        head = stream.read(8)
        if len(head) != 8 or struct.unpack("<q", head)[0] != storage.count:
            raise UnsafePickle(f"its storage {key[:40]!r} is missing or of another size")
        length = storage.count * storage.kind.size
        if length > size - stream.tell():
            raise UnsafePickle(f"its storage {key[:40]!r} is cut off")
        raw = bytearray(length)
        stream.readinto(raw)
        storage.raw = raw
    if stream.tell() != size:
        raise UnsafePickle(f"{size - stream.tell()} bytes too long")
    return safe_pickle.resolve(value)


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
