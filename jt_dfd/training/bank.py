"""Feature banks: every training sketch encoded, a row a sketch and component (paper), split by gender where labelled.

Beside each weight folder's banks lies ``AE_whole/rows.json``: which training picture a row is, mirrored or not.
"""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from .. import checkpoints, networks
from ..backend import jt
from ..components import COMPONENTS, MIRROR
from ..data import index
from ..data.augment import Augmentation
from ..errors import UserError
from ..pictures import write_atomically
from . import arrays as named
from .weights import open_weights

ROWS_FILE = "AE_whole/rows.json"


class BankError(UserError, ValueError):
    """Banks that cannot be built; the message says why."""


def build_banks(weights, data, *, split: str = "train", mirrored: bool = False, limit: int = 0, batch: int = 16,
                by_gender: bool = True, dtype: str = "float32", progress: bool = True) -> Dict[str, int]:
    """Encode the sketches of ``data``'s split and write the banks into the weight folder; gender -> rows.

    by_gender   banks for male and female where both have pictures; unlabelled pictures then go nowhere.  Otherwise, and
                where labels are missing altogether, one shared bank
    mirrored    a second row for each sketch, flipped left to right
    limit       at most so many pictures a bank, evenly chosen; 0 takes all
    dtype       "float32" (release) or "float16"
    """
    folder = open_weights(weights)
    config = folder.config
    rows = index.read(data, split=split)
    if not rows:
        raise BankError(f"{data}: no pictures of split {split!r}")
    groups = _groups(rows, by_gender)
    encoders = {}
    for component in COMPONENTS:
        encoders[component] = networks.build("encoder", config, component)
        named.into_network(encoders[component], folder.network("encoder", component), folder.path)
        encoders[component].eval()
    chosen = {}
    for gender, numbers in groups.items():
        if limit and len(numbers) > limit:
            numbers = [numbers[i] for i in np.linspace(0, len(numbers) - 1, limit).round().astype(int)]
        chosen[gender] = numbers
    latents = _encode(encoders, data, config, split, chosen, mirrored, batch, progress)
    table = {}
    for gender, numbers in chosen.items():
        keys = [(n, flip) for flip in ((False, True) if mirrored else (False,)) for n in numbers]
        for component in COMPONENTS:
            bank = np.stack([latents[key][component] for key in keys])
            checkpoints.write_bank(folder.path / checkpoints.bank_path(component, gender), bank, dtype)
        table[gender] = [{"file": rows[n].file, "mirrored": flip} for n, flip in keys]
    # banks of an earlier call that this one did not write would be taken for its own
    for gender in ("male", "female", checkpoints.SHARED_BANK):
        if gender not in chosen:
            for component in COMPONENTS:
                (folder.path / checkpoints.bank_path(component, gender)).unlink(missing_ok=True)
    text = json.dumps({"encoders": encoders_digest(folder), "rows": table}, indent=0) + "\n"
    write_atomically(folder.path / ROWS_FILE, lambda t: t.write_text(text, encoding="utf-8"))
    checkpoints.write_config(folder.path, config, folder.meta.get("provenance"), dtype)
    return {gender: len(entries) for gender, entries in table.items()}


def _groups(rows: List[index.Row], by_gender: bool) -> Dict[str, List[int]]:
    genders = {g: [i for i, row in enumerate(rows) if row.gender == g] for g in checkpoints.GENDERS}
    if by_gender and all(genders.values()):
        return genders
    return {checkpoints.SHARED_BANK: list(range(len(rows)))}


def _encode(encoders, data, config, split, chosen, mirrored, batch, progress):
    """(item, mirrored) -> {component: latent}."""
    from tqdm import tqdm

    from ..data.dataset import FaceDataset

    wanted = sorted({n for numbers in chosen.values() for n in numbers})
    still = {f: 0.0 for f in Augmentation().to_dict()}
    out = {}
    for flip in (False, True) if mirrored else (False,):
        # a "strength" of nothing but the mirror
        strength = Augmentation(**{**still, "flip": 1.0, "width_low": 2.0, "width_high": 2.0}) if flip else None
        dataset = FaceDataset(data, config.geometry, "embedding", batch, split=split, shuffle=False, drop_last=False,
                              augmentation=None, cache_mb=0) if strength is None else \
            FaceDataset(data, config.geometry, "embedding", batch, split=split, shuffle=False, drop_last=False,
                        augmentation=strength, cache_mb=0)
        with jt.no_grad():
            for start in tqdm(range(0, len(wanted), batch), unit="batch", disable=not progress,
                              desc="mirrored sketches" if flip else "sketches"):
                numbers = wanted[start:start + batch]
                items = [dataset[n] for n in numbers]
                for component in COMPONENTS:
                    crops = np.stack([item.crops[component] for item in items])[:, None]
                    found = encoders[component](jt.array((crops.astype(np.float32) - 127.5) / 127.5)).numpy()
                    for n, latent in zip(numbers, found):
                        out.setdefault((n, flip), {})[component] = latent
                jt.gc()
    return out


def encoders_digest(folder: checkpoints.Folder) -> str:
    """A fingerprint of a folder's encoders: banks and stage II belong to one set of encoders only."""
    digest = hashlib.sha256()
    for component in COMPONENTS:
        for name, array in sorted(folder.network("encoder", component).items()):
            # a folder in half precision is the same set of encoders
            digest.update(name.encode() + np.asarray(array, np.float16).tobytes())
    return digest.hexdigest()


def banks_of(folder: checkpoints.Folder) -> Optional[Dict]:
    """What rows.json of a folder says, or None."""
    try:
        return json.loads((Path(folder.path) / ROWS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


__all__ = ["BankError", "ROWS_FILE", "banks_of", "build_banks", "encoders_digest", "MIRROR"]
