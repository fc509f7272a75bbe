"""Feature banks: every training sketch encoded, a row a sketch and component (paper), split by gender where labelled;
and stage II on what inference makes of a sketch, latents projected onto them (``--projected``; ours).

Beside each weight folder's banks lies ``AE_whole/rows.json``: which training picture a row is, in which style of
sketch, mirrored or not.

The paper's stage II sees the encoders' own latents alone, while inference feeds the generator what neighbours in a bank
rebuild.  With ``--projected`` a share of the samples is fed the same, with the photograph of the sketch still the
truth.  Every component of such a sample is projected, and wholly: at inference ``refine`` mixes the two latents, and
between two points that are both trained on the networks need nothing more.  A bank holds the training pictures
themselves, so the rows of a sample's own picture, mirrored ones too, count as if they were not there.  The number of
neighbours is drawn from 5 to 15 (paper 10, release 15); the anchor is the nearest row.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from .. import checkpoints, networks
from ..atomic import write_text
from ..backend import jt
from ..checkpoints import SHARED_BANK, Folder
from ..components import COMPONENTS
from ..data import index
from ..data.items import Augmentation
from ..errors import UserError
from ..kernels import projection, selection
from ..pictures import to_input
from .options import OptionsError
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
    if limit < 0:
        raise BankError(f"limit {limit}: expected a number of pictures, or 0 for all")
    if batch < 1:
        raise BankError(f"batch {batch}: expected a number of sketches")
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
        networks.into_network(encoders[component], folder.network("encoder", component), folder.path)
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
    found = {gender: [key for flip in ((False, True) if mirrored else (False,)) for style in styles for n in numbers
                      for key in [(rows[n].file, style, flip)] if key in latents] for gender, numbers in chosen.items()}
    for gender in (gender for gender, keys in found.items() if not keys):
        raise BankError(f"{data}: no sketches of {gender} faces in the style {', '.join(styles)}; name --styles that "
                        "they have, or --shared for one bank")
    table = {}
    for gender, keys in found.items():
        for component in COMPONENTS:
            folder.write_bank(component, gender, np.stack([latents[key][component] for key in keys]).astype(dtype))
        table[gender] = [{"file": file, "mirrored": flip, "style": style} for file, style, flip in keys]
    folder.keep_banks(chosen)
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


#: range of the number of neighbours (ours), both ends among them
MIN_NEIGHBOURS, MAX_NEIGHBOURS = 5, 15
#: keeps these random numbers apart from other uses of the seed
_STREAM = 0x9B0


class Choice(NamedTuple):
    """What becomes of one sample of one step: neighbours is 0 where it keeps its own latents; which, from 0 to 1, picks
    a bank where the picture's gender is not known."""

    neighbours: int
    which: float


class Projected:
    """The banks of a folder, and the projection of a step's latents onto them."""

    def __init__(self, folder: Folder, share: float, seed: int):
        """share: of the samples, 0 to 1.  OptionsError where the folder has no banks of its own encoders."""
        self.share, self.seed = share, seed
        table: Any = banks_of(folder)
        build = f"build them with tools/build_bank.py --params {folder.path} --data SET"
        try:
            owners = {gender: [entry["file"] for entry in entries] for gender, entries in table["rows"].items()}
            encoders = table["encoders"]
        except (TypeError, KeyError, AttributeError):
            raise OptionsError(f"--projected: {folder.path} has no feature banks with a readable {ROWS_FILE}, which "
                               f"says whose rows are whose; {build}") from None
        if encoders != encoders_digest(folder):
            raise OptionsError(f"--projected: the feature banks in {folder.path} are of other encoders, stage I has "
                               f"gone on since; {build}")
        self._owners = {gender: np.array(files) for gender, files in owners.items()}
        self._banks: Dict[str, Dict[str, np.ndarray]] = {}
        self._variables: Dict[str, Dict[str, "jt.Var"]] = {}
        for gender, files in owners.items():
            bank = {c: folder.bank(c, None if gender == SHARED_BANK else gender) for c in COMPONENTS}
            if any(len(rows) != len(files) for rows in bank.values()):
                raise OptionsError(f"--projected: the feature banks in {folder.path} have not as many rows as "
                                   f"{ROWS_FILE} says; {build}")
            if len(set(files)) < 2:
                raise OptionsError(f"--projected: the bank {gender!r} in {folder.path} has rows of one picture only; "
                                   f"{build}")
            self._banks[gender] = bank
            self._variables[gender] = {c: jt.array(rows).stop_grad() for c, rows in bank.items()}
        # so many nearest rows hold MAX_NEIGHBOURS others
        most_own = max(int(np.unique(files, return_counts=True)[1].max()) for files in self._owners.values())
        self._reach = MAX_NEIGHBOURS + most_own
        if self._reach > selection.MAX_K:
            raise OptionsError(f"--projected: a bank in {folder.path} has {most_own} rows of one picture, at most "
                               f"{selection.MAX_K - MAX_NEIGHBOURS} can be left out; {build}")

    def describe(self) -> str:
        rows = ", ".join(f"{gender} {len(files)} rows" for gender, files in self._owners.items())
        return (f"projected: {self.share:g} of the samples, {MIN_NEIGHBOURS} to {MAX_NEIGHBOURS} neighbours; "
                f"banks: {rows}")

    def choice(self, step: int, item: int) -> Choice:
        """By seed, step and the item's number in the split, and by nothing else."""
        random = np.random.default_rng([self.seed & 0xFFFFFFFF, _STREAM, step, item])
        chosen, which = random.random() < self.share, random.random()
        return Choice(int(random.integers(MIN_NEIGHBOURS, MAX_NEIGHBOURS + 1)) if chosen else 0, which)

    def bank_of(self, gender: str, which: float) -> str:
        """The bank of a picture: its gender's or the shared one; any where the gender is not known."""
        names = list(self._owners)
        return gender if gender in names else names[int(which * len(names))]

    def apply(self, latents: Dict[str, "jt.Var"], batch, step: int) -> Dict[str, "jt.Var"]:
        """component -> (N, latent) of a step's samples, those chosen projected; without gradient."""
        choices = [self.choice(step, item) for item in batch.items]
        chosen = [n for n, choice in enumerate(choices) if choice.neighbours]
        if not chosen:
            return latents
        banks = {n: self.bank_of(batch.rows[n].gender, choices[n].which) for n in chosen}
        found: List = [latents[c] for c in COMPONENTS]
        for n in chosen:
            found += [projection.project(self._variables[banks[n]][c], latents[c][n:n + 1], self._reach).rows
                      for c in COMPONENTS]
        found = jt.fetch_sync(found)
        own = {c: found[i].copy() for i, c in enumerate(COMPONENTS)}
        for at, n in enumerate(chosen, 1):
            for i, c in enumerate(COMPONENTS):
                near = found[at * len(COMPONENTS) + i][0]
                own[c][n] = self.rebuilt(banks[n], c, own[c][n], near, batch.rows[n].file, choices[n].neighbours)
        return {c: jt.array(vectors).stop_grad() for c, vectors in own.items()}

    def rebuilt(self, gender: str, component: str, latent: np.ndarray, near: np.ndarray, file: str,
                neighbours: int) -> np.ndarray:
        """(latent,) float32 out of the first ``neighbours`` of the rows ``near``, nearest first, that are not of the
        picture ``file``."""
        bank = self._banks[gender][component]
        others = near[self._owners[gender][near] != file][:neighbours]
        weights = selection.rebuilding_weights(bank[others], latent)
        return (weights @ bank[others]).astype(np.float32)
