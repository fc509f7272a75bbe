"""Stage II on what inference makes of a sketch: latents projected onto the feature banks (``--projected``; ours).

The paper's stage II sees the encoders' own latents alone, while inference feeds the generator what neighbours in a bank
rebuild.  Here a share of the samples is fed the same, with the photograph of the sketch still the truth.

Every component of such a sample is projected, and wholly: at inference ``refine`` mixes the two latents, and between
two points that are both trained on the networks need nothing more.  A bank holds the training pictures themselves, so
the rows of a sample's own picture, mirrored ones too, count as if they were not there.  The number of neighbours is
drawn from 5 to 15 (paper 10, release 15); the anchor is the nearest row.
"""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

import numpy as np

from ..backend import jt
from ..checkpoints import SHARED_BANK, Folder
from ..components import COMPONENTS
from ..kernels import projection, selection
from .bank import ROWS_FILE, banks_of, encoders_digest
from .options import OptionsError

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
