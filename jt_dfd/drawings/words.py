"""What a reading says: codes, and the words for them in one place.

A note says what was done to the drawing, a warning that it may not be what was meant.  ``synthesize --strict`` leaves
out drawings with any warning; ``--sketch-dir``, training and ``prepare_data.py check`` refuse those of UNFIT.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict

#: code: sentence with {values}
NOTES: Dict[str, str] = {
    "inverted": "light strokes on a dark ground: read as dark on white",
    "transparent": "light strokes on transparency: read as dark on white",
    "colour": "coloured ink: read by how far it is from the paper, whatever its hue",
    "paper": "grey, coloured or shaded paper: brought to white",
    "faint": "faint ink, as of a pencil: brought to full contrast",
    "construction": "light coloured lines under dark ink: left out as construction lines",
    "pencil-under": "faint lines under dark ink: left out as construction lines",
    "ruling": "ruled or squared paper: its lines left out",
    "frame": "a frame around the drawing: left out",
    "screen": "tones made of dots, as in a newspaper or a dithered file: read as grey",
    "sheet": "a page inside something else, as a sheet on a desk or a program's window: what lies around it left out",
    "edge": "what lies along the picture's edge: left out",
    "beside": "small things beside the drawing, as a page number: left out",
    "square": "the drawing's own square of the page: nothing is squeezed",
    "guessed": "a page larger than the drawing: size and place of the face are guessed; crop the picture to be sure",
    "thin": "lines thinner than a pixel of the canvas: kept by thickening them before the page was shrunk",
    "frames": "an animation or a file of {count} pages: the first that is not empty is read",
    "area": "shrunk by area, because sampling would have lost thin lines",
    "placed": "placed: turned by {turn:.1f} degrees, scaled by {scale:.2f}, moved by {x:.0f}, {y:.0f} pixels",
}
WARNINGS: Dict[str, str] = {
    "empty": "an empty page: there is nothing to make a face from",
    "black": "a page that is black all over: there is nothing to make a face from",
    "ink": "{share:.0%} of the page is ink; expected strokes on white",
    "little": "hardly anything is drawn ({share:.2%} of the page is ink)",
    "photograph": "a photograph or painting, not a line drawing",
    "small": "the drawing takes up {share:.0%} of the page only",
    "coarse": "a picture of {width}x{height} pixels only: too few for the lines of a face",
    "blurred": "blurred strokes: the face may not follow them",
    "several": "several faces on the page: crop the picture to one of them",
    "largest": "{count} faces in the photograph: the largest is drawn; crop it to another",
    "turned": "the drawing seems to lie on its side or upside down: turn the picture by {degrees} degrees clockwise",
    "crowded": "much on the page that is not the drawing: crop the picture to it",
    "no-outline": "no outline of a face was found to place the drawing by",
}
#: what helps on the command line, by code
HINTS: Dict[str, str] = {
    "photograph": "--from-photo makes a sketch of the face in it; a drawing on paper is read when the picture is "
                  "cropped to the paper",
    "small": "--place scales the drawn face to where a face belongs",
}
#: with these nothing usable came out
ERRORS = ("empty", "black", "ink")
#: with these a drawing is unfit for training: those, and what is hardly a drawing
UNFIT = (*ERRORS, "little", "photograph")


@dataclass(frozen=True)
class Remark:
    """A note or warning: its code, and the values its words take."""

    code: str
    values: Any = ()  # ((name, value), ...): hashable, so that remarks can be compared and pickled

    @property
    def source(self) -> str:
        """The English sentence with {values}: what a translation goes by."""
        return {**NOTES, **WARNINGS}[self.code]

    @property
    def text(self) -> str:
        return self.source.format(**dict(self.values))

    @property
    def is_warning(self) -> bool:
        return self.code in WARNINGS

    @property
    def is_error(self) -> bool:
        return self.code in ERRORS

    def __str__(self) -> str:
        return self.text


def remark(code: str, **values) -> Remark:
    return Remark(code, tuple(sorted(values.items())))
