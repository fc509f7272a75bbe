"""Arrays out of a file that PyTorch saved (the zip of today or the row of pickles before 1.6), without PyTorch and
without running anything in it: the pickle may name tensors of plain numbers in dictionaries, nothing else."""
from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import numpy as np

from ..checkpoints import CheckpointError

_TYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8",
          "IntStorage": "<i4", "ByteStorage": "u1", "BoolStorage": "u1"}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
#: no VGG file is larger (VGG19 with its classifier: 548 MB)
MAX_BYTES = 2 << 30


class _Storage(NamedTuple):
    kind: str
    key: str = ""


class _Tensor(NamedTuple):
    """Where a tensor's numbers lie; the numbers themselves come later."""

    storage: _Storage
    offset: int
    shape: Tuple[int, ...]
    stride: Tuple[int, ...]

    def array(self, numbers: np.ndarray) -> np.ndarray:
        if len(self.shape) != len(self.stride) or min(self.shape + self.stride + (self.offset,)) < 0:
            raise pickle.UnpicklingError("holds a damaged array")
        if 0 in self.shape:
            return np.zeros(self.shape, numbers.dtype)
        if self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.stride)) >= numbers.size:
            raise pickle.UnpicklingError("holds an array that is larger than its data")
        strides = [s * numbers.itemsize for s in self.stride]
        return np.array(np.lib.stride_tricks.as_strided(numbers[self.offset:], self.shape, strides))


def _tensor(storage, offset, shape, stride, *_):
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("holds a tensor without numbers")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if module == "torch" and name in _TYPES:
            return _Storage(_TYPES[name])
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"asks for {module}.{name}, which is no array of numbers; nothing was run")

    def persistent_load(self, pid):
        if pid[0] != "storage" or not isinstance(pid[1], _Storage):
            raise pickle.UnpicklingError("refers to data of an unknown kind")
        return _Storage(pid[1].kind, str(pid[2]))


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise pickle.UnpicklingError("unpacks to more than 2 GB")
        value, numbers = _Unpickler(io.BytesIO(archive.read(name))).load(), {}
        for storage in {t.storage for t in _tensors(value)}:
            numbers[storage.key] = np.frombuffer(archive.read(f"{name[:-len('data.pkl')]}data/{storage.key}"),
                                                 storage.kind)
    return value, numbers


def _read_legacy(path):
    with open(path, "rb") as stream:
        if _Unpickler(stream).load() != _LEGACY_MAGIC:
            raise pickle.UnpicklingError("does not begin as one")
        _Unpickler(stream).load(), _Unpickler(stream).load()  # protocol, properties of the machine
        value, keys = _Unpickler(stream).load(), _Unpickler(stream).load()
        kinds = {t.storage.key: t.storage.kind for t in _tensors(value)}
        numbers, left = {}, path.stat().st_size
        for key in keys:
            count, kind = int(np.frombuffer(stream.read(8), "<i8")[0]), kinds[str(key)]
            if not 0 <= count <= left:
                raise pickle.UnpicklingError("is cut off")
            numbers[str(key)] = np.frombuffer(stream.read(count * np.dtype(kind).itemsize), kind)
    return value, numbers


def _tensors(value):
    return [t for t in value.values() if isinstance(t, _Tensor)] if isinstance(value, dict) else []


def read_torch_arrays(path) -> Dict[str, np.ndarray]:
    """name -> array of a state dict.  CheckpointError names the file."""
    path = Path(path)
    try:
        value, numbers = (_read_zip if zipfile.is_zipfile(path) else _read_legacy)(path)
        arrays = {str(k): v.array(numbers[v.storage.key]) for k, v in value.items() if isinstance(v, _Tensor)}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # damaged zips and pickles raise nearly anything
        raise CheckpointError(f"{path}: not a PyTorch file of weights ({error or type(error).__name__}). Save it in "
                              "PyTorch with torch.save(module.state_dict(), path).") from None
    if not arrays:
        raise CheckpointError(f"{path}: expected a dictionary of named tensors, found none")
    return arrays
