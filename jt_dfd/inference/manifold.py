"""The manifold of plausible faces: feature banks, and the projection of a sketch's latents onto them.
"""
from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from ..backend import jt
from ..checkpoints import Folder
from ..components import COMPONENTS
from ..kernels import linear, projection


class Neighbours(NamedTuple):
    """What projection made of a latent (latent,) float32: rows (k,) int32, the anchor first; weights (k,) float32;
    vector (latent,) float32, the projection refined; variable: the same on the device; key names the rows' bank."""

    latent: np.ndarray
    rows: np.ndarray
    weights: np.ndarray
    vector: np.ndarray
    variable: linear.Row
    key: Tuple[str, Optional[str]]


class FeatureBank:
    """The banks of one folder, read when first asked for and kept.

    Rows are latents of training sketches; where banks were written together, row i of every component is the same
    person.
    """

    def __init__(self, folder: Folder):
        self.folder = folder
        self._rows: Dict[Tuple[str, Optional[str]], "jt.Var"] = {}

    @property
    def genders(self) -> Tuple[str, ...]:
        return self.folder.genders

    def key(self, component: str, gender: Optional[str]) -> Tuple[str, Optional[str]]:
        """Two genders served by one shared bank have the same key."""
        return component, gender if gender in self.folder.genders else None

    def rows(self, component: str, gender: Optional[str]):
        """(rows, latent) float32 ``Var``.  CheckpointError where the bank is missing or damaged."""
        key = self.key(component, gender)
        if key not in self._rows:
            self._rows[key] = jt.array(self.folder.bank(component, gender)).stop_grad()
        return self._rows[key]

    def project(self, latents: Mapping[str, Any], gender: Optional[str], k: int, anchor: str,
                amounts: Optional[Mapping[str, float]] = None) -> Dict[str, Neighbours]:
        """Neighbours of {component: (1, latent) ``Var``} in their banks, by one operator and with one copy to the host;
        see ``kernels.projection``.

        amounts  {component: how much of the projection goes into the vector, the rest being the latent's own}: 1 is
                 full projection (the release's default), 0 follows the drawing.  (The paper's symbol runs the other way
                 round.)
        """
        if not latents:
            return {}
        # all components in every call, so that nothing is compiled anew for another set of them
        some = next(iter(latents))
        banks = [self.rows(c if c in latents else some, gender) for c in COMPONENTS]
        made = projection.refined(banks, [latents.get(c, latents[some]) for c in COMPONENTS],
                                  [k if c in latents else 0 for c in COMPONENTS], anchor,
                                  [(amounts or {}).get(c, 1.0) for c in COMPONENTS])
        out, found, d = {}, made.numpy(), latents[some].shape[1]
        for i, c in enumerate(COMPONENTS):
            if c in latents:
                latent, vector, weights, rows = np.split(found[i], (d, 2 * d, (made.shape[1] - 2 * d) // 2 + 2 * d))
                near = min(k, banks[i].shape[0])
                out[c] = Neighbours(latent, rows.view(np.int32)[:near], weights[:near], vector,
                                    linear.Row(made, i * made.shape[1] + d), self.key(c, gender))
        return out
