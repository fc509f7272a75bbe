"""What a synthesizer remembers between strokes: small tables that forget the least recently used."""
from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np


def digest(array: np.ndarray) -> bytes:
    """16 bytes that stand for an array's contents."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()


class Recent:
    """A dictionary that holds at most ``limit`` entries."""

    def __init__(self, limit: int):
        self._entries: "OrderedDict" = OrderedDict()
        self.limit = limit

    def __contains__(self, key) -> bool:
        return key in self._entries

    def __getitem__(self, key):
        self._entries.move_to_end(key)
        return self._entries[key]

    def __setitem__(self, key, value) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self.limit:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)

    def missing(self, keys):
        """Those of ``keys`` that are not held.  The others count as used, so that what is put in for these does not
        push them out."""
        for key in keys:
            if key in self:
                self._entries.move_to_end(key)
        return [key for key in keys if key not in self]


class Places(Recent):
    """Key -> place, a number from 0 to ``limit`` - 1: where the thing lies that the key names."""

    def take(self, keys):
        """Give every key a place, at most ``limit`` of them at once; what was used least recently goes.  Returns the
        keys that had none before."""
        new = self.missing(keys)
        for key in new:
            self[key] = len(self) if len(self) < self.limit else self._entries.popitem(last=False)[1]
        return new
