"""The safetensors format, read and written with NumPy alone.

    8 bytes    length of the header, little-endian
    header     JSON: name -> {"dtype", "shape", "data_offsets": [begin, end]}, and "__metadata__": text -> text
    data       the arrays one after the other, without holes

Files written here carry a SHA-256 over names, types, shapes and data in their metadata, which is verified when it is
there: the format itself would not notice a changed number.
"""
from __future__ import annotations

import difflib
import hashlib
import json
import struct
from typing import Any, Dict, Tuple

import numpy as np

from .arrays import widened
from .safe_pickle import Inert

_CODES = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf16", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1",
          "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1"}
_NAMES = {np.dtype(code): name for name, code in _CODES.items() if code != "bf16"}
#: types that the format has, and no network here
_OTHERS = {"C64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4"}
_MAX_HEADER = 8_000_000  # the format's own bound is 100 MB, half a minute and a gigabyte of names
_MAX_ENTRIES = 20_000
_CHECKSUM = "jt_dfd.sha256"


def _size(code: str) -> int:
    return 2 if code == "bf16" else np.dtype(code).itemsize


def _unique(pairs) -> Dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("its header names something twice")
    return out


def _number(text: str) -> int:
    if len(text) > 18:
        raise ValueError("its header holds a number too large")
    return int(text)


def read_tensors(stream, size: int) -> Dict[str, Any]:
    """name -> array of a safetensors file of ``size`` bytes, bfloat16 as float32 (which holds it exactly), an Inert for
    types that no network here has.  ValueError for anything damaged, cut off or not exactly as the format says."""
    header, metadata, length = _header(stream, size)
    entries = sorted((_entry(name, entry) for name, entry in header.items()), key=lambda entry: entry[3:])
    position = 0
    for name, _, _, begin, end in entries:
        if begin != position:
            raise ValueError(f"the data of {name!r:.80} begin at {begin} instead of {position}")
        position = end
    if position != size - 8 - length:
        raise ValueError(f"it holds {size - 8 - length} bytes of data instead of {position}")
    out: Dict[str, Any] = {}
    digest = hashlib.sha256(_table(entries)) if _CHECKSUM in metadata else None
    for name, code, shape, begin, end in entries:
        raw = bytearray(end - begin)
        if stream.readinto(raw) != len(raw):
            raise ValueError("it is cut off")
        if digest is not None:
            digest.update(raw)
        if code not in _CODES.values():
            out[name] = Inert(f"a tensor of type {code}")
        elif code == "bf16":
            out[name] = widened(raw).reshape(shape)
        else:
            out[name] = np.frombuffer(raw, np.dtype(code).newbyteorder("<")).reshape(shape)
    if digest is not None and digest.hexdigest() != metadata[_CHECKSUM]:
        raise ValueError("the checksum in its header does not match: the file is damaged")
    return {name: out[name] for name in header}


def has_checksum(stream, size: int) -> bool:
    return _CHECKSUM in _header(stream, size)[1]


def _header(stream, size: int) -> Tuple[Dict[str, Any], Dict[str, str], int]:
    """(entries, metadata, bytes of the header)."""
    stream.seek(0)
    head = stream.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else None
    if length is None or length > size - 8:
        raise ValueError(f"its header would be {length} bytes long in a file of {size}")
    if length > _MAX_HEADER:
        raise ValueError(f"its header has {length} bytes, more than any checkpoint's")
    try:
        header = json.loads(stream.read(length).decode("utf-8"), object_pairs_hook=_unique, parse_int=_number)
    except UnicodeDecodeError:
        raise ValueError("its header is not text") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata is not text")
    for key in list(metadata)[:1000]:
        # damage to the name of the checksum would switch it off
        if key != _CHECKSUM and difflib.SequenceMatcher(None, key[:64], _CHECKSUM).ratio() > 0.75:
            raise ValueError(f"its checksum is called {key!r:.40} instead of {_CHECKSUM!r}: the header is damaged")
    if len(header) > _MAX_ENTRIES:
        raise ValueError(f"it has {len(header)} entries, more than any checkpoint")
    return header, metadata, length


def _entry(name: str, entry):
    """(name, element code, shape, begin, end), checked."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its entry {name!r:.80} is damaged")
    shape, offsets, code = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not isinstance(code, str) or code not in _CODES and code not in _OTHERS:
        raise ValueError(f"{name!r:.80} is of type {code!r:.40}; only numbers are read")
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0
                for numbers in (shape, offsets) for n in (numbers if isinstance(numbers, list) else [None]))
    if not whole or len(shape) > 16 or len(offsets) != 2:
        raise ValueError(f"its entry {name!r:.80} is damaged")
    count = 1
    for n in shape:
        count *= n
    if code in _CODES and offsets[1] - offsets[0] != count * _size(_CODES[code]) or offsets[1] < offsets[0]:
        raise ValueError(f"{name!r:.80} of shape {tuple(shape)} and type {code} has {offsets[1] - offsets[0]} bytes")
    return name, _CODES.get(code, code), tuple(shape), offsets[0], offsets[1]


def _table(entries) -> bytes:
    return json.dumps([[name, code, list(shape)] for name, code, shape, _, _ in entries],
                      separators=(",", ":")).encode()


def write_tensors(path, arrays: Dict[str, np.ndarray]) -> None:
    """Write name -> array in order.  ValueError for element types that the format does not have."""
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
    header = {"__metadata__": {"format": "pt", _CHECKSUM: digest.hexdigest()}, **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data then begin at a multiple of eight
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)))
        stream.write(text)
        for array in arrays.values():
            stream.write(_raw(array))


def _raw(array: np.ndarray) -> memoryview:
    return memoryview(np.require(array, array.dtype.newbyteorder("<"), ["C"]).reshape(-1).view(np.uint8))
