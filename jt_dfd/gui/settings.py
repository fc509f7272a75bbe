"""What decides a face besides the drawing: gender, refinement, neighbours, borrowed parts.

Stored as JSON in pictures and in the recovery file.  Those files come from anywhere, so reading is strict about
types and clamps every number.
"""
from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any, Dict, Optional

import numpy as np

from ..components import COMPONENTS
from ..kernels.selection import START_REFINEMENT

FORMAT = 1
GENDERS = ("female", "male")
START = round(100 * START_REFINEMENT)   # in %, as the sliders have it
K_RANGE = (1, 64)  # what the synthesizer takes; the paper's ablation went from 3 to 20, the release uses 15
#: longest borrowed vector that is read from a file, in numbers (the release's latents have 512)
MAX_LATENT = 4096


def _half() -> Dict[str, int]:
    return {name: START for name in COMPONENTS}


@dataclass
class FaceSettings:
    """gender    "female" or "male" (the release starts with female)
    refine    {component: 0..100 %}; 0 follows the drawing, 100 is full projection (where the release starts)
    k         neighbours on the manifold (release: 15)
    shadow    is the guidance shown under the strokes
    strength  of the guidance in % (release: 40)
    borrowed  {component: (latent,) float32} vectors taken from an earlier face
    """

    gender: str = "female"
    refine: Dict[str, int] = field(default_factory=_half)
    k: int = 15
    shadow: bool = True
    strength: int = 40
    borrowed: Dict[str, np.ndarray] = field(default_factory=dict)

    def copy(self) -> "FaceSettings":
        return FaceSettings(self.gender, dict(self.refine), self.k, self.shadow, self.strength, dict(self.borrowed))

    def face_key(self) -> tuple:
        """What decides the face, to compare; the shadow's look does not."""
        return (self.gender, self.k, tuple(sorted(self.refine.items())),
                tuple((name, v.tobytes()) for name, v in sorted(self.borrowed.items())))

    def fractions(self) -> Dict[str, float]:
        """{component: 0..1}, as the synthesizer takes refinement."""
        return {name: self.refine[name] / 100 for name in COMPONENTS}

    def to_json(self) -> str:
        return json.dumps({
            "format": FORMAT, "gender": self.gender, "refine": self.refine, "k": self.k, "shadow": self.shadow,
            "strength": self.strength,
            "borrowed": {name: base64.b64encode(np.asarray(v, "<f4").tobytes()).decode("ascii")
                         for name, v in self.borrowed.items()}})

    @classmethod
    def from_json(cls, text: str) -> Optional["FaceSettings"]:
        """Settings out of a stored text, or None where it is none of ours.  Unknown entries are ignored, numbers
        out of range are clamped, unusable ones keep their default."""
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            return None
        out = cls()
        if data.get("gender") in GENDERS:
            out.gender = data["gender"]
        refine = data.get("refine")
        if isinstance(refine, dict):
            for name in COMPONENTS:
                out.refine[name] = _clamped(refine.get(name), 0, 100, START)
        out.k = _clamped(data.get("k"), K_RANGE[0], K_RANGE[1], 15)
        out.strength = _clamped(data.get("strength"), 0, 100, 40)
        if isinstance(data.get("shadow"), bool):
            out.shadow = data["shadow"]
        borrowed = data.get("borrowed")
        if isinstance(borrowed, dict):
            for name in COMPONENTS:
                vector = _vector(borrowed.get(name))
                if vector is not None:
                    out.borrowed[name] = vector
        return out


def _clamped(value: Any, low: int, high: int, default: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return default
    return int(round(min(max(value, low), high)))


def _vector(text: Any) -> Optional[np.ndarray]:
    if not isinstance(text, str) or len(text) > MAX_LATENT * 4 * 4 // 3 + 8:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw or len(raw) % 4:
        return None
    vector = np.frombuffer(raw, "<f4").astype(np.float32)
    return vector if np.isfinite(vector).all() else None
