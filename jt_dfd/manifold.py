"""The manifold of plausible faces: feature banks, and the projection of a sketch's latents onto them."""
from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from .backend import jt
from .checkpoints import Folder
from .kernels import projection


class Neighbours(NamedTuple):
    """A latent's neighbours: rows (k,) int32, the anchor first; weights (k,) float32; vector (latent,) float32, the
    full projection; key names the bank the rows are of."""

    rows: np.ndarray
    weights: np.ndarray
    vector: np.ndarray
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

    def project(self, component: str, gender: Optional[str], latent: np.ndarray, k: int, anchor: str) -> Neighbours:
        """The latent's neighbours in the bank of ``component`` and ``gender``; see ``kernels.projection.project``."""
        found = projection.project(self.rows(component, gender), jt.array(latent[None]), k, anchor)
        vectors, rows, weights = jt.fetch_sync([found.vectors, found.rows, found.weights])
        return Neighbours(rows[0].copy(), weights[0].copy(), vectors[0].copy(), self.key(component, gender))


def refine(latent: np.ndarray, projected: np.ndarray, weight: float) -> np.ndarray:
    """``projected * weight + latent * (1 - weight)``: 1 is full projection (the release's default), 0 follows the
    drawing.  (The paper's symbol runs the other way round.)"""
    return (projected * np.float32(weight) + latent * np.float32(1 - weight)).astype(np.float32)
