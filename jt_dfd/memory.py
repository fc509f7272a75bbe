"""What a synthesizer remembers between strokes: small tables that forget the least recently used."""
from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np


def digest(array: np.ndarray) -> bytes:
    """16 bytes that stand for an array's contents."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()


class Recent:
    """A dictionary that holds at most ``limit`` entries, or entries of at most ``size_limit`` bytes together (arrays
    only; an entry larger than that alone is not kept)."""

    def __init__(self, limit: int = 0, size_limit: int = 0):
        self._entries: "OrderedDict" = OrderedDict()
        self._limit, self._size_limit, self.bytes = limit, size_limit, 0

    def __contains__(self, key) -> bool:
        return key in self._entries

    def __getitem__(self, key):
        self._entries.move_to_end(key)
        return self._entries[key]

    def __setitem__(self, key, value) -> None:
        if self._size_limit:
            if key in self._entries:
                self.bytes -= self._entries.pop(key).nbytes
            if value.nbytes > self._size_limit:
                return
            self.bytes += value.nbytes
        self._entries[key] = value
        self._entries.move_to_end(key)
        while ((self._limit and len(self._entries) > self._limit)
               or (self._size_limit and self.bytes > self._size_limit)):
            _, old = self._entries.popitem(last=False)
            if self._size_limit:
                self.bytes -= old.nbytes

    def __len__(self) -> int:
        return len(self._entries)
