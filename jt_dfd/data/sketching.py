"""Sketches out of aligned photographs, by style name.

lines      clean thin strokes as a person draws them: HED edges, ridges, strokes redrawn (hed.py, lines.py)
photocopy  the grey photocopy effect (photocopy.py)
drawn      few clean curves, as a person draws: not made here but from a set's faces (drawing.py, outlines.py, hand.py)
"""
from __future__ import annotations

import numpy as np

STYLES = ("lines", "photocopy", "drawn")
DEFAULT_STYLE = "lines"


class Sketcher:
    """``Sketcher(style)(photograph)``: an aligned (512, 512, 3) uint8 RGB face to a (512, 512) uint8 sketch.

    The edge network of ``lines`` is loaded on first use, and Jittor with it; ``photocopy`` never touches Jittor.
    """

    def __init__(self, style: str = DEFAULT_STYLE):
        if style not in ("lines", "photocopy"):
            raise ValueError(f"no sketch style {style!r} here; there are lines, photocopy")
        self.style = style
        self._detector = None

    def __call__(self, photograph: np.ndarray) -> np.ndarray:
        if photograph.shape[:2] != (512, 512) or photograph.dtype != np.uint8:
            raise ValueError(f"expected an aligned 512x512 uint8 face, found {photograph.dtype} {photograph.shape}")
        if self.style == "photocopy":
            from .photocopy import photocopy

            return photocopy(photograph)
        from .lines import edges_to_lines

        return edges_to_lines(self.edges(photograph))

    def edges(self, photograph: np.ndarray) -> np.ndarray:
        """The edge map behind ``lines``: (512, 512) float32 from 0 to 1."""
        if self._detector is None:
            from .hed import EdgeDetector

            self._detector = EdgeDetector()
        return self._detector(photograph)


