"""One member of a folder of weights into memory, checked."""
from __future__ import annotations

from typing import Dict

import numpy as np

from ..checkpoints import CheckpointError, read_bank
from ..checkpoints.folder import sha256
from . import formats
from .folders import CONFIG_FILE, Member, SourceFolder
from .recognise import BANK, Layout, recognise


def read_member(folder: SourceFolder, member: Member, as_stored: bool = False) -> Dict[str, np.ndarray]:
    """name -> float32 array of a network, or {"feature": (rows, latent) float32} of a bank; as_stored keeps each
    array's own element type.  CheckpointError names the file where it is damaged, of other sizes than the folder's
    configuration or not what config.json promises."""
    promised = folder.checksum(member)
    if promised is not None and sha256(member.path) != promised:
        raise CheckpointError(f"{member.path}: its sha256 is not the one in {folder.path / CONFIG_FILE}: the file was "
                              "changed or damaged. Fetch it again, or convert anew.")
    if member.kind == "bank":
        return {BANK: read_rows(member.path, folder.config.latent, folder.bank_dtype, as_stored)}
    layout = Layout(member.kind, member.component, folder.config)
    _, arrays, _ = recognise(formats.read_any(member.path), member.path, None, layout)
    return arrays if as_stored else {name: np.require(array, np.float32) for name, array in arrays.items()}


def read_rows(path, latent: int, stored: str, as_stored: bool = False) -> np.ndarray:
    """(rows, latent) float32 of a bank in any format; ``stored`` is the element type of a ``.bin``.  as_stored keeps
    the file's own element type."""
    if path.suffix.lower() == ".bin":
        return read_bank(path, latent, stored).astype(stored if as_stored else np.float32, copy=False)
    layout, arrays, _ = recognise(formats.read_any(path), path)
    if layout.kind != "bank" or arrays[BANK].shape[1] != latent:
        raise CheckpointError(f"{path}: expected a feature bank of rows of {latent} numbers, found "
                              + (f"rows of {arrays[BANK].shape[1]}" if layout.kind == "bank" else f"a {layout}"))
    return np.require(arrays[BANK], None if as_stored else np.float32, ["C"])
