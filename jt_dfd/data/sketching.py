"""Sketches out of aligned photographs, by style name.

lines      clean thin strokes as a person draws them: HED edges, ridges, strokes redrawn (hed.py, lines.py)
photocopy  the grey photocopy effect (photocopy.py)
drawn      few clean curves, as a person draws (outlines.py, hand.py); of a set's faces drawing.py makes them, each its
           own way
"""
from __future__ import annotations

import numpy as np

from ..pictures import PictureError

STYLES = ("lines", "photocopy", "drawn")
DEFAULT_STYLE = "lines"


class Sketcher:
    """``Sketcher(style)(photograph)``: an aligned (512, 512, 3) uint8 RGB face to a (512, 512) uint8 sketch.

    The networks of ``lines`` (with Jittor) and ``drawn`` are loaded on first use; the others never touch Jittor.
    PictureError where ``drawn`` finds no face.
    """

    def __init__(self, style: str = DEFAULT_STYLE):
        if style not in STYLES:
            raise ValueError(f"no sketch style {style!r}; there are {', '.join(STYLES)}")
        self.style = style
        self._detector = self._outlines = None

    def __call__(self, photograph: np.ndarray) -> np.ndarray:
        if photograph.shape[:2] != (512, 512) or photograph.dtype != np.uint8:
            raise ValueError(f"expected an aligned 512x512 uint8 face, found {photograph.dtype} {photograph.shape}")
        if self.style == "photocopy":
            from .photocopy import photocopy

            return photocopy(photograph)
        if self.style == "drawn":
            return self._drawn(photograph)
        from .lines import edges_to_lines

        return edges_to_lines(self.edges(photograph))

    def _drawn(self, photograph: np.ndarray) -> np.ndarray:
        from . import hand, outlines

        if self._outlines is None:
            self._outlines = outlines.OutlineFinder()
        curves = self._outlines(photograph)
        if curves is None:
            raise PictureError("no face mesh found to draw by; take another style")
        return hand.draw(curves, hand.generator(""))  # the same hand for every face

    def edges(self, photograph: np.ndarray) -> np.ndarray:
        """The edge map behind ``lines``: (512, 512) float32 from 0 to 1."""
        if self._detector is None:
            from .hed import EdgeDetector

            self._detector = EdgeDetector()
        return self._detector(photograph)


