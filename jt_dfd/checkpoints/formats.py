"""One file of weights in any format, known by its content; the suffix chooses only what is written.

    .pkl            a pickled dictionary of parameter name -> array, as the release and Jittor write it
    .pth, .pt       PyTorch's; reading needs nothing, writing needs PyTorch
    .safetensors    safetensors
    .bin            a feature bank: raw little-endian rows of ``latent`` numbers, without names (release: float32)
"""
from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import stat
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from ..atomic import write_atomically
from . import safe_pickle, tensors_file, torch_file
from .arrays import CheckpointError
from .safe_pickle import Inert
from .tensors_file import write_tensors
from .torch_file import import_torch, write_torch

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


def _has_sha1(stream, size: int) -> bool:
    stream.seek(max(0, size - _TRAILER))
    return size > _TRAILER and stream.read(_TRAILER).endswith(MARK)


def _checked_length(stream, size: int) -> int:
    """Length of the pickle without a trailer; the trailer's checksum is verified."""
    if not _has_sha1(stream, size):
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


JITTOR_SUFFIXES = (".pkl",)
TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")
SUFFIXES = JITTOR_SUFFIXES + TORCH_SUFFIXES
#: what files of weights are called that are read and never written here
OTHER_SUFFIXES = (".ckpt", ".pth.tar", ".bin", "")

_READERS = {"pickle": (read_pickle, "checkpoint"), "zip": (torch_file.read_zip, "PyTorch checkpoint"),
            "legacy": (torch_file.read_legacy, "PyTorch checkpoint"),
            "safetensors": (tensors_file.read_tensors, "safetensors file")}
#: (offset, beginning, what the file is) of what people take for weights
_OTHERS = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (of Keras, say), which holds no network of this kind"),
    (0, b"\x93NUMPY", "one NumPy array without a name; save {name: array} as .pkl or .safetensors"),
    (257, b"ustar", "a tar archive: unpack it and name the file inside (PyTorch before 0.1.10 wrote such, too: load "
                    "and save those with it)"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (0, b"BZh", "compressed with bzip2: unpack it first"),
    (0, b"\xfd7zXZ", "compressed with xz: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (0, b"7z\xbc\xaf", "a 7z archive: unpack it and name the file inside"),
    (0, b"Rar!", "a rar archive: unpack it and name the file inside"),
    (0, b"GGUF", "a GGUF file, which holds language models"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the weights themselves: run git lfs pull"),
    (0, b"\x89PNG", "a picture"), (0, b"\xff\xd8\xff", "a picture"), (0, b"%PDF", "a PDF"),
    (0, b"\x7fELF", "a program"),
    (0, bytes(64), "nothing but zeros at its beginning: its contents were never written (a full disk, a machine that "
                   "went down). Fetch or write the file again"))
_MUCH = 1 << 30


def suffix(path) -> str:
    """The path's suffix in small letters; CheckpointError where it is none of SUFFIXES."""
    ending = Path(path).suffix.lower()
    if ending not in SUFFIXES:
        raise CheckpointError(f"{path}: the format to write is chosen by the suffix, and {ending or 'none'} is not one "
                              f"of {', '.join(SUFFIXES)}")
    return ending


def _known(head: bytes, tail: bytes, ending: str) -> Optional[str]:
    """Which of _READERS reads a file that begins and ends so; None for none."""
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:1] == b"\x80" and torch_file.LEGACY in head[:32]:
        return "legacy"
    if head[4:9] == b"\0\0\0\0{":  # a length below 4 GB, and its JSON
        return "safetensors"
    old = head[:1] in b"(}]cdlIFSVLN)X" and tail.endswith((b".", MARK))  # protocols 0 and 1
    if head[:1] == b"\x80" and head[1:2] <= b"\x05" or old:
        return "pickle"
    return "safetensors" if ending == ".safetensors" and _told(head) is None else None


def _open(path):
    """(stream, size, which of _READERS or None, first bytes).  CheckpointError where it is no file that can be read."""
    if not os.path.lexists(path):
        raise CheckpointError(f"{path}: missing: no such file or folder")
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise CheckpointError(f"{path}: is a folder; name a file")
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(f"{path}: is no regular file")
        stream = open(path, "rb")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing: a link to nothing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        head, size = stream.read(512), found.st_size
        if not head:
            raise CheckpointError(f"{path}: is empty (0 bytes). Fetch or write the file again.")
        if size > _MUCH and getattr(found, "st_blocks", size) * 512 < size // 2:
            raise CheckpointError(f"{path}: more than half of its {size} bytes were never written: a download that "
                                  "broke off? Fetch it again.")
        stream.seek(max(0, size - 8))
        return stream, size, _known(head, stream.read(8), Path(path).suffix.lower()), head
    except BaseException:
        stream.close()
        raise


def read_any(path) -> Any:
    """Whatever the file holds, nothing executed: usually name -> array, possibly wrapped, with an ``Inert`` for each
    entry that is no array and no plain value.  CheckpointError names the file and the cause."""
    stream, size, kind, head = _open(path)
    with stream:
        if kind is None:
            raise CheckpointError(f"{path}: {_what_else(head, Path(path).suffix.lower())}")
        read, what = _READERS[kind]
        stream.seek(0)
        try:
            value = read(stream, size)
        except (KeyboardInterrupt, SystemExit, CheckpointError):
            raise
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
        except BaseException as error:  # zipfile and json raise many kinds on damaged files, MemoryError included
            plain = isinstance(error, (ValueError, pickle.UnpicklingError))
            cause = f"{error}" if plain and str(error) else f"damaged ({type(error).__name__}: {error})"
            if kind == "zip" and "not a zip file" in cause:
                cause = "cut off: the archive's list of records, at its end, is not there"
            raise CheckpointError(f"{path}: not a usable {what}: {cause[:600]}. Fetch or write the file again."
                                  ) from None
    if isinstance(value, Inert):
        raise CheckpointError(f"{path}: holds a whole object, {value.what}, of which nothing was run: save "
                              "net.state_dict() alone")
    return value


def _told(head: bytes) -> Optional[str]:
    """What a file that begins so is, where its beginning tells."""
    for offset, beginning, what in _OTHERS:
        if head[offset:offset + len(beginning)] == beginning:
            return f"is {what}"
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text[:1] == b"<":
        return "is a web page, not weights: the download was answered with a page to read"
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a"):
        return "looks like an ONNX model, which is not read here; convert the weights that it was made of"
    shown = head.decode("utf-8", "ignore")  # which may be cut in the middle of a character
    if shown and len(shown.encode()) > len(head) - 4 and all(c.isprintable() or c in "\r\n\t" for c in shown):
        return f"is a text file, not weights (it begins {shown.split(chr(10))[0]!r:.60})"
    return None


def _what_else(head: bytes, ending: str) -> str:
    told = _told(head)
    if told is not None:
        return told
    if ending == ".bin":
        return "holds no named arrays: raw rows of a feature bank, or damaged"
    return (f"is neither a pickle, PyTorch's nor safetensors (it starts with {head[:4]!r}); the file is damaged or "
            "something else")


def is_rows(path) -> bool:
    """Whether a file is to be read as a bank's raw rows: called ``.bin``, and of no format that is known by its
    content."""
    if Path(path).suffix.lower() != ".bin":
        return False
    try:
        stream, _, kind, _ = _open(path)
    except CheckpointError:
        return True  # read_bank says what is wrong
    stream.close()
    return kind is None


def has_checksum(path) -> bool:
    """Whether a changed number in the file would be noticed."""
    stream, size, kind, _ = _open(path)
    with stream:
        if kind == "zip":
            return torch_file.has_checksum(stream)
        readers = {"pickle": _has_sha1, "safetensors": tensors_file.has_checksum}
        return kind in readers and readers[kind](stream, size)


def read_arrays(path) -> Dict[str, np.ndarray]:
    """name -> array as stored (any numeric type, read-only) of a file that holds nothing else.  CheckpointError names
    the file."""
    value = read_any(path)
    if not isinstance(value, dict) or not value:
        raise CheckpointError(f"{path}: expected a dictionary of named arrays, found {type(value).__name__}"
                              + (" without entries" if isinstance(value, dict) else ""))
    for name, array in value.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            what = array.what if isinstance(array, Inert) else type(array).__name__
            raise CheckpointError(f"{path}: expected named arrays, found {what} under {name!r:.80}; nothing was run")
    return value


def write(path, arrays: Dict[str, np.ndarray]) -> None:
    """Write name -> array (any shape and numeric type), atomically.  CheckpointError where it cannot be written."""
    ending = suffix(path)
    try:
        if ending == ".pkl":
            write_arrays(path, arrays)
        elif ending == ".safetensors":
            write_atomically(path, lambda temporary: write_tensors(temporary, arrays))
        else:
            import_torch(path)  # before a temporary file is made
            write_atomically(path, lambda temporary: write_torch(temporary, arrays))
    except CheckpointError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        cause = str(error)
        if isinstance(error, RuntimeError):   # how PyTorch says that a disk is full
            free, wanted = shutil.disk_usage(Path(path).parent).free, sum(array.nbytes for array in arrays.values())
            if free < wanted:
                cause = f"the disk is full: {wanted >> 10} KiB are needed, {free >> 10} are free"
        raise CheckpointError(f"{path}: cannot be written ({cause})") from None


def read_bank(path, latent: int, dtype: str = "float32") -> np.ndarray:
    """(rows, latent) float32.  CheckpointError where the file is missing, empty, no whole number of rows or holds
    numbers that are not finite."""
    path, kind = Path(path), np.dtype(dtype).newbyteorder("<")
    try:
        size = path.stat().st_size
        if size == 0 or size % (latent * kind.itemsize):
            raise CheckpointError(f"{path}: {size} bytes are no whole number of rows of {latent} {dtype} numbers "
                                  f"({latent * kind.itemsize} bytes each). The file is cut off or of another network.")
        rows = np.fromfile(path, kind)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    rows = np.ascontiguousarray(rows.reshape(-1, latent), np.float32)
    bad = ~np.isfinite(rows.sum(axis=1, dtype=np.float64))
    if bad.any():
        raise CheckpointError(f"{path}: row {int(bad.argmax())} holds numbers that are not finite. The file is "
                              "damaged.")
    return rows


def write_bank(path, rows: np.ndarray, dtype: str = "float32") -> None:
    """Write (rows, latent) atomically as ``dtype``, "float32" (release) or "float16" (ours)."""
    data = np.ascontiguousarray(rows, np.dtype(dtype).newbyteorder("<"))
    write_atomically(path, lambda temporary: data.tofile(temporary))
