"""The safetensors format, read and written with NumPy alone.

    8 bytes    length of the header, little-endian
    header     JSON: name -> {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__": text -> text
    data       the arrays one behind the other, without holes

Files written here carry a SHA-256 over names, types, shapes and data in their metadata, which is verified when it is
there: the format itself would not notice a changed number.
"""
from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from .bfloat16 import widened
from .errors import CheckpointError

_CODES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf16", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
          "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1"}
_NAMES = {np.dtype(code): name for name, code in _CODES.items() if code != "bf16"}
_LONGEST_HEADER = 100_000_000  # the format's own bound
_CHECKSUM = "jt_dfd.sha256"


def _size(code: str) -> int:
    return 2 if code == "bf16" else np.dtype(code).itemsize


def read_tensors(path) -> Dict[str, np.ndarray]:
    """name -> array, bfloat16 as float32 (which holds it exactly).  CheckpointError names the file and the cause for
    anything damaged, cut off or not exactly as the format says."""
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            return _read(stream, stream.seek(0, os.SEEK_END))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError, OverflowError, MemoryError) as error:
        raise CheckpointError(f"{path}: not a usable safetensors file: {error or type(error).__name__}. "
                              "Fetch or write the file again.") from None


def _unique(pairs) -> Dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("its header names something twice")
    return out


def _number(text: str) -> int:
    if len(text) > 18:
        raise ValueError("its header holds a number too large")
    return int(text)


def _read(stream, size: int) -> Dict[str, np.ndarray]:
    stream.seek(0)
    head = stream.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else None
    if length is None or length > min(size - 8, _LONGEST_HEADER):
        raise ValueError(f"its header would be {length} bytes long in a file of {size}")
    try:
        header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_unique, parse_int=_number)
    except UnicodeDecodeError:
        raise ValueError("its header is not text") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata is not text")
    entries = sorted((_entry(name, entry) for name, entry in header.items()), key=lambda entry: entry[3:])
    position = 0
    for name, _, _, begin, end in entries:
        if begin != position:
            raise ValueError(f"the data of {name} begin at {begin} instead of {position}")
        position = end
    if position != size - 8 - length:
        raise ValueError(f"it holds {size - 8 - length} bytes of data instead of {position}")
    out = {}
    digest = hashlib.sha256(_table(entries)) if _CHECKSUM in metadata else None
    for name, code, shape, begin, end in entries:
        raw = bytearray(end - begin)
        if stream.readinto(raw) != len(raw):
            raise ValueError("it is cut off")
        if digest is not None:
            digest.update(raw)
        if code == "bf16":
            array = widened(raw)
        else:
            array = np.frombuffer(raw, np.dtype(code).newbyteorder("<"))
        out[name] = array.reshape(shape)
    if digest is not None and digest.hexdigest() != metadata[_CHECKSUM]:
        raise ValueError("the checksum in its header does not match: the file is damaged")
    return {name: out[name] for name in header}


def _entry(name: str, entry):
    """(name, element code, shape, begin, end), checked."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its entry {name!r:.80} is damaged")
    shape, offsets, code = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not isinstance(code, str) or code not in _CODES:
        raise ValueError(f"{name!r:.80} is of type {code!r:.40}; only numbers are read")
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0
                for numbers in (shape, offsets) for n in (numbers if isinstance(numbers, list) else [None]))
    if not whole or len(shape) > 16 or len(offsets) != 2:
        raise ValueError(f"its entry {name!r:.80} is damaged")
    count = 1
    for n in shape:
        count *= n
    if offsets[1] - offsets[0] != count * _size(_CODES[code]):
        raise ValueError(f"{name!r:.80} of shape {tuple(shape)} and type {code} has {offsets[1] - offsets[0]} bytes")
    return name, _CODES[code], tuple(shape), offsets[0], offsets[1]


def _table(entries) -> bytes:
    return json.dumps([[name, code, list(shape)] for name, code, shape, _, _ in entries],
                      separators=(",", ":")).encode()


def write_tensors(path, arrays: Dict[str, np.ndarray], metadata: Optional[Dict[str, str]] = None) -> None:
    """Write name -> array in order; ``metadata`` is text for people and tools.  ValueError for element types that the
    format does not have."""
    header, entries, position = {}, [], 0
    for name, array in arrays.items():
        kind = array.dtype.newbyteorder("=")
        if kind not in _NAMES:
            raise ValueError(f"{name} holds {array.dtype}, which safetensors does not have")
        header[name] = {"dtype": _NAMES[kind], "shape": list(array.shape),
                        "data_offsets": [position, position + array.nbytes]}
        entries.append((name, _CODES[_NAMES[kind]], array.shape, position, position + array.nbytes))
        position += array.nbytes
    digest = hashlib.sha256(_table(sorted(entries, key=lambda entry: entry[3:])))
    for array in arrays.values():
        digest.update(_raw(array))
    header = {"__metadata__": {"format": "pt", **(metadata or {}), _CHECKSUM: digest.hexdigest()}, **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data then begin at a multiple of eight
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)))
        stream.write(text)
        for array in arrays.values():
            stream.write(_raw(array))


def _raw(array: np.ndarray) -> memoryview:
    return memoryview(np.require(array, array.dtype.newbyteorder("<"), ["C"]).reshape(-1).view(np.uint8))
