"""A photograph of a face as a drawing to start from: found, aligned, sketched."""
from __future__ import annotations

import os
from typing import Tuple

import numpy as np

from ..drawings import Reading, judge
from ..pictures import PictureError, write_png
from .portrait import Options, PortraitMaker, Rejected
from .sketching import DEFAULT_STYLE, Sketcher

#: a face to start from may be smaller and turned further than one to train on (ours)
_OPTIONS = Options(frame="detect", background="white", min_eyes=20, max_yaw=35, max_pitch=40)


class PhotographSketcher:
    """``PhotographSketcher(style)(path)``: a photograph to the drawings.Reading of its face's sketch.

    PictureError names a photograph without a usable face; ModelMissing says what to install.
    """

    def __init__(self, style: str = DEFAULT_STYLE):
        self.maker, self.sketcher = PortraitMaker(_OPTIONS), Sketcher(style)

    def __call__(self, path) -> Reading:
        _, sketch = self.face_and_sketch(path)
        return Reading(sketch, (), tuple(judge(sketch)))

    def face_and_sketch(self, path) -> Tuple[np.ndarray, np.ndarray]:
        """((512, 512, 3) uint8 RGB aligned face on white, (512, 512) uint8 sketch)."""
        try:
            face = self.maker.from_file(path).face
            return face, self.sketcher(face)
        except (Rejected, PictureError) as reason:
            name = os.fspath(path)
            raise PictureError(str(reason) if name in str(reason) else f"{name}: {reason}") from None


class Process:
    """What the drawing window asks a process of its own (``jt_dfd.child``)."""

    def sketch(self, photograph: str, target: str, style: str) -> None:
        """The sketch of a photograph's face as the PNG ``target``.  ``lines`` runs a network under Jittor, on the CPU;
        ``photocopy`` and ``drawn`` do not touch it."""
        if style == "lines":
            from .. import runtime

            runtime.start("cpu")
        write_png(target, PhotographSketcher(style).face_and_sketch(photograph)[1])
