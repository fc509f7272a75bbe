"""One ``.pkl`` file: a pickled dictionary of parameter name -> array, as the release and Jittor write it."""
from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any, Dict

import numpy as np

from ..atomic import write_atomically
from . import safe_pickle
from .errors import CheckpointError

#: newer Jittor appends the SHA-1 of the pickle and then these eight bytes
_MARK = b"HCAJSLHD"
_TRAILER = hashlib.sha1().digest_size + len(_MARK)
_CHUNK = 1 << 20


class _Limited:
    """A binary stream that ends ``length`` bytes in, so that the unpickler never sees the trailer, and that is
    never asked for more memory than the file can fill."""

    def __init__(self, stream, length: int):
        self._stream, self.left = stream, length

    def read(self, size=-1):
        size = self.left if size is None or size < 0 else min(size, self.left)
        data = self._stream.read(size)
        self.left -= len(data)
        return data

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")
        if len(view) > self.left:
            view = view[:self.left]
        count = self._stream.readinto(view)
        self.left -= count or 0
        return count

    def readline(self, size=-1):
        size = self.left if size is None or size < 0 else min(size, self.left)
        data = self._stream.readline(size)
        self.left -= len(data)
        return data


def read_arrays(path) -> Dict[str, np.ndarray]:
    """name -> array as stored (any numeric type, read-only).

    Plain pickles, pickles with Jittor's checksum (which is verified) and pickles of Jittor's own variables are all
    read; nothing in the file is executed.  CheckpointError names the file.
    """
    value = read_value(path)
    if not isinstance(value, dict) or not value:
        raise CheckpointError(f"{path}: expected a dictionary of named arrays, found {type(value).__name__}"
                              + (" without entries" if isinstance(value, dict) else ""))
    for name, array in value.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise CheckpointError(f"{path}: expected named arrays, found {type(array).__name__} under {name!r}")
    return value


def read_value(path) -> Any:
    """Whatever the pickle holds: dictionaries, lists, numbers, text and arrays.  As safe as read_arrays."""
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            length = _checked_length(stream, path)
            limited = _Limited(stream, length)
            value = safe_pickle.load(limited)
            if limited.left:
                # a checksum whose mark is damaged would go unnoticed otherwise, and with it the damage
                raise pickle.UnpicklingError(f"{limited.left} bytes follow its end")
            return value
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path}: not a usable checkpoint: {error}. Fetch or write the file again.") from None


def _checked_length(stream, path) -> int:
    """Length of the pickle without a trailer; the trailer's checksum is verified."""
    size = stream.seek(0, os.SEEK_END)
    if size > _TRAILER:
        stream.seek(size - _TRAILER)
        trailer = stream.read(_TRAILER)
        if trailer.endswith(_MARK):
            digest, left = hashlib.sha1(), size - _TRAILER
            stream.seek(0)
            while left:
                data = stream.read(min(_CHUNK, left))
                if not data:
                    break
                digest.update(data)
                left -= len(data)
            if digest.digest() != trailer[:-len(_MARK)]:
                raise CheckpointError(f"{path}: the checksum at its end does not match: the file is damaged. "
                                      "Fetch or write it again.")
            size -= _TRAILER
    stream.seek(0)
    return size


class _Hashing:
    """A file that is hashed while it is written."""

    def __init__(self, stream):
        self._stream, self.digest = stream, hashlib.sha1()

    def write(self, data):
        self.digest.update(data)
        return self._stream.write(data)


def write_arrays(path, arrays: Dict[str, np.ndarray]) -> None:
    """Write name -> array atomically: a pickle any reader of the release's files understands, with Jittor's
    checksum behind it.  Element types are kept."""
    plain = {str(name): np.ascontiguousarray(array) for name, array in arrays.items()}

    def write(temporary):
        with open(temporary, "wb") as stream:
            hashing = _Hashing(stream)
            pickler = pickle.Pickler(hashing, protocol=4)
            pickler.fast = True  # its memo would keep a copy of every array's bytes until the end
            pickler.dump(plain)
            stream.write(hashing.digest.digest() + _MARK)

    write_atomically(path, write)
