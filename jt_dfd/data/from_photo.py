"""A photograph of a face as a drawing to start from: found, aligned, sketched.

    python -m jt_dfd.data.from_photo portrait.jpg sketch.png --style lines [--face aligned.png]

The style ``lines`` runs a network under Jittor; ``photocopy`` and ``drawn`` do not touch it.  The drawing window runs \
this module as
a process of its own.
"""
from __future__ import annotations

import argparse
import os
import sys
from typing import Tuple

import numpy as np

from ..drawings import Reading, judge
from ..pictures import PictureError, write_png
from .portrait import Options, PortraitMaker, Rejected
from .sketching import DEFAULT_STYLE, STYLES, Sketcher

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


def main(arguments=None) -> int:
    """Exit status 0; errors that the user can fix are raised (jt_dfd.cli.run)."""
    parser = argparse.ArgumentParser(prog="from_photo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph")
    parser.add_argument("sketch")
    parser.add_argument("--style", choices=STYLES, default=DEFAULT_STYLE)
    parser.add_argument("--face", metavar="PNG", help="write the aligned face too")
    options = parser.parse_args(arguments)
    if options.style == "lines":
        from .. import runtime

        runtime.start("cpu")
    face, sketch = PhotographSketcher(options.style).face_and_sketch(options.photograph)
    if options.face:
        write_png(options.face, face)
    write_png(options.sketch, sketch)
    return 0


if __name__ == "__main__":
    from ..cli import run

    sys.exit(run(main))
