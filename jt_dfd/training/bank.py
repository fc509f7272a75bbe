"""Feature banks: every training sketch encoded, a row a sketch and component (paper), split by gender where labelled.

Beside each weight folder's banks lies ``AE_whole/rows.json``: which training picture a row is, in which style of
sketch, mirrored or not.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from .. import checkpoints, networks
from ..atomic import write_text
from ..backend import jt
from ..components import COMPONENTS
from ..data import index
from ..data.augment import Augmentation
from ..errors import UserError
from ..networks import loading as named
from ..pictures import to_input
from .weights import open_weights

ROWS_FILE = "AE_whole/rows.json"


class BankError(UserError, ValueError):
    """Banks that cannot be built; the message says why."""


def build_banks(weights, data, *, split: str = "train", mirrored: bool = False, limit: int = 0, batch: int = 16,
                by_gender: bool = True, dtype: str = "float32", progress: bool = True,
                styles: Optional[Tuple[str, ...]] = None) -> Dict[str, int]:
    """Encode the sketches of ``data``'s split and write the banks into the weight folder; gender -> rows.

    by_gender   banks for male and female where both have pictures; unlabelled pictures then go nowhere.  Otherwise, and
                where labels are missing altogether, one shared bank
    mirrored    a second row for each sketch, flipped left to right
    limit       at most so many pictures a bank, evenly chosen; 0 takes all
    styles      the sketches that get rows, one each a picture that has them (lines, drawn ...); None: every style of
                the set
    dtype       "float32" (release) or "float16"
    """
    folder = open_weights(weights)
    config = folder.config
    for remark in index.remarks(data) if progress else ():
        print(remark, file=sys.stderr)
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
    styles = index.styles_of(data, rows) if styles is None else styles
    latents = _encode(encoders, data, config, split,
                      [rows[n] for n in sorted({n for ns in chosen.values() for n in ns})],
                      styles, mirrored, batch, progress)
    table = {}
    for gender, numbers in chosen.items():
        keys = [key for flip in ((False, True) if mirrored else (False,)) for style in styles for n in numbers
                for key in [(rows[n].file, style, flip)] if key in latents]
        for component in COMPONENTS:
            folder.write_bank(component, gender, np.stack([latents[key][component] for key in keys]).astype(dtype))
        table[gender] = [{"file": file, "mirrored": flip, "style": style} for file, style, flip in keys]
    # banks of an earlier call that this one did not write would be taken for its own
    for gender in ("male", "female", checkpoints.SHARED_BANK):
        if gender not in chosen:
            for component in COMPONENTS:
                folder.target("bank", component, gender).unlink(missing_ok=True)
    text = json.dumps({"encoders": encoders_digest(folder), "rows": table}, indent=0) + "\n"
    write_text(folder.path / ROWS_FILE, text)
    folder.write_config(folder.meta.get("provenance"), dtype)
    return {gender: len(entries) for gender, entries in table.items()}


def _groups(rows: List[index.Row], by_gender: bool) -> Dict[str, List[int]]:
    genders = {g: [i for i, row in enumerate(rows) if row.gender == g] for g in checkpoints.GENDERS}
    if by_gender and all(genders.values()):
        return genders
    return {checkpoints.SHARED_BANK: list(range(len(rows)))}


def _encode(encoders, data, config, split, wanted: List[index.Row], styles, mirrored, batch, progress):
    """(photograph, style, mirrored) -> {component: latent} of the rows that are wanted, as far as they have the
    styles."""
    from tqdm import tqdm

    from ..data.dataset import FaceDataset

    files = {row.file for row in wanted}
    still = {field.name: 0.0 for field in dataclasses.fields(Augmentation)}
    out = {}
    for style in styles:
        for flip in (False, True) if mirrored else (False,):
            # a "strength" of nothing but the mirror
            strength = Augmentation(**{**still, "flip": 1.0, "width_low": 2.0, "width_high": 2.0}) if flip else None
            dataset = FaceDataset(data, config.geometry, "embedding", batch, split=split, shuffle=False,
                                  drop_last=False, augmentation=strength, cache_mb=0, styles=(style,))
            numbers = [n for n, row in enumerate(dataset.rows) if row.file in files]
            with jt.no_grad():
                for start in tqdm(range(0, len(numbers), batch), unit="batch", disable=not progress,
                                  desc=f"{'mirrored ' if flip else ''}{style}"):
                    some = numbers[start:start + batch]
                    items = [dataset[n] for n in some]
                    for component in COMPONENTS:
                        crops = np.stack([item.crops[component] for item in items])[:, None]
                        found = encoders[component](jt.array(to_input(crops))).numpy()
                        for n, latent in zip(some, found):
                            out.setdefault((dataset.rows[n].file, style, flip), {})[component] = latent
                    jt.gc()
    return out


def encoders_digest(folder) -> str:
    """A fingerprint of a folder's encoders: banks and stage II belong to one set of encoders only.  folder: a
    ``checkpoints.Folder`` or {component: arrays}."""
    digest = hashlib.sha256()
    for component in COMPONENTS:
        arrays = folder[component] if isinstance(folder, dict) else folder.network("encoder", component)
        for name, array in sorted(arrays.items()):
            # a folder in half precision is the same set of encoders
            digest.update(name.encode() + np.asarray(array, np.float16).tobytes())
    return digest.hexdigest()


def other_encoders(synthesis, embedding) -> UserError:
    """What to say where stage II's encoders are not stage I's any more."""
    return UserError(f"{synthesis} was trained with other encoders than those in {embedding}: stage I has gone on "
                     f"since. Train stage II with the new ones in another folder (--init {synthesis} keeps what it "
                     f"learned), or go on with the old ones, which it has kept: --embedding {synthesis}.")


def banks_of(folder: checkpoints.Folder) -> Optional[Dict]:
    """What rows.json of a folder says, or None."""
    try:
        return json.loads((Path(folder.path) / ROWS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
