"""One ``.pkl`` file: a pickled dictionary of parameter name -> array, as the release and Jittor write it."""
from __future__ import annotations

import hashlib
import pickle
from typing import Any, Dict

import numpy as np

from ..atomic import write_atomically
from . import safe_pickle

#: newer Jittor appends the SHA-1 of the pickle and then these eight bytes
MARK = b"HCAJSLHD"
_TRAILER = hashlib.sha1().digest_size + len(MARK)
_CHUNK = 1 << 20


def read_pickle(stream, size: int) -> Any:
    """The value in a pickle of ``size`` bytes, with Jittor's checksum after it or without; UnpicklingError where it is
    damaged."""
    length = _checked_length(stream, size)
    limited = safe_pickle.Limited(stream, length)
    value = safe_pickle.load(limited, length)
    if limited.left:
        # a checksum whose mark is damaged would go unnoticed otherwise, and with it the damage
        raise safe_pickle.UnsafePickle(f"{limited.left} bytes follow its end")
    return value


def has_checksum(stream, size: int) -> bool:
    stream.seek(max(0, size - _TRAILER))
    return size > _TRAILER and stream.read(_TRAILER).endswith(MARK)


def _checked_length(stream, size: int) -> int:
    """Length of the pickle without a trailer; the trailer's checksum is verified."""
    if not has_checksum(stream, size):
        stream.seek(0)
        return size
    left = size - _TRAILER
    digest = hashlib.sha1()
    stream.seek(0)
    while left:
        data = stream.read(min(_CHUNK, left))
        digest.update(data)
        left -= len(data)
    if stream.read(digest.digest_size) != digest.digest():
        raise safe_pickle.UnsafePickle("the checksum at its end does not match: the file is damaged")
    stream.seek(0)
    return size - _TRAILER


class _Hashing:
    """A file that is hashed while it is written."""

    def __init__(self, stream):
        self._stream, self.digest = stream, hashlib.sha1()

    def write(self, data):
        self.digest.update(data)
        return self._stream.write(data)


def write_arrays(path, arrays: Dict[str, np.ndarray]) -> None:
    """Write name -> array atomically: a pickle any reader of the release's files understands, with Jittor's
    checksum after it.  Element types are kept."""
    plain = {str(name): np.ascontiguousarray(array) for name, array in arrays.items()}

    def write(temporary):
        with open(temporary, "wb") as stream:
            hashing = _Hashing(stream)
            pickler = pickle.Pickler(hashing, protocol=4)
            pickler.fast = True  # its memo would keep a copy of every array's bytes until the end
            pickler.dump(plain)
            stream.write(hashing.digest.digest() + MARK)

    write_atomically(path, write)
