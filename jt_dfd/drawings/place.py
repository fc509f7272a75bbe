"""A drawn face to where a face belongs: the similarity under which its outline and parts meet the windows.

The drawing is compared with a plain face (brows, eyes, nose, mouth, jaw at the canonical points) at many sizes, turns
and places, both blurred; the best of them decides.  Sizes and thresholds are ours.
"""
from __future__ import annotations

from typing import List, Optional, Tuple

import cv2
import numpy as np

from ..components import CANONICAL_POINTS
from .frame import ink_box
from .words import Remark, remark

#: edge of the small page in which is searched, and of the border of white around it
_EDGE, _BORDER = 128, 48
#: part of the 512 frame that is compared: left, top, right, bottom; and the blur of both, in the small page's pixels
#: (of 58 drawings by hand.py and of lines these found the place within 16 pixels each, and the size mostly within 3 %)
_FACE, _BLUR = (128, 192, 384, 416), 2.5
#: sizes of the canonical frame against what is drawn, and turns in degrees, that are looked at
_SIZES, _TURNS = np.geomspace(0.6, 1.7, 18), (0.0, -7.0, 7.0, -14.0, 14.0)
#: correlation below which no face was found
_MIN_SCORE = 0.4
#: and from which it is clear
_SURE = 0.6
#: faces on a page that is read whole: sizes of several, and the correlation of the second best from which there are
#: several (of 15 drawings of one face it is 0.47 at most, of 26 pages of two or four it is above this on 22)
_SEVERAL_SIZES, _SEVERAL = (0.47, 0.58), 0.52
#: the same for a page on its side (of 15 drawings turned by quarters none has this and 0.1 more than upright)
_TURNED_SIZES, _TURNED = np.geomspace(0.65, 1.4, 6), 0.57


def plain_face() -> np.ndarray:
    """(512, 512) float32, up to 1 on the lines of a face that is nobody's; as dark as such lines are on average when
    many drawings are laid over one another, in which eyes and mouth stand out."""
    page = np.zeros((512, 512), np.float32)

    def arc(centre, axes, first, last, level, width):
        line = np.zeros_like(page)
        cv2.ellipse(line, centre, axes, 0, first, last, level, width)
        np.maximum(page, line, out=page)

    for point, outwards in (("left_eye", -1), ("right_eye", 1)):
        x, y = (int(v) for v in CANONICAL_POINTS[point])
        arc((x, y - 2), (28, 13), 0, 360, 1.0, cv2.FILLED)
        arc((x + 4 * outwards, y - 19), (44, 26), 200, 340, 0.6, 14)
    arc((256, 316), (46, 26), 15, 165, 0.5, 12)
    arc((256, 378), (62, 12), 0, 360, 0.75, cv2.FILLED)
    arc((256, 388), (44, 24), 0, 180, 0.45, 10)
    arc((256, 270), (146, 206), -10, 190, 0.45, 16)
    return page


def oddities(page: np.ndarray) -> List[Remark]:
    """What is odd about the faces on a page (512, 512) uint8: that there are several, or that it lies on a side or
    upside down.  Silence means little: of drawings by many hands half are seen so."""
    ink = _ink(page)
    for scale in _SEVERAL_SIZES:
        template, _ = _template(plain_face(), scale, 0.0)
        match = _correlation(cv2.GaussianBlur(ink, (0, 0), _BLUR * scale), template)
        _, _, _, (x, y) = cv2.minMaxLoc(match)
        height, width = template.shape
        match[max(0, y - height // 2):y + height // 2, max(0, x - width // 2):x + width // 2] = -1
        if match.max() > _SEVERAL:
            return [remark("several")]
    upright, *turned = (_best(_ink(np.ascontiguousarray(np.rot90(page, quarters))), _TURNED_SIZES)[0]
                        for quarters in range(4))
    quarter = int(np.argmax(turned))
    if turned[quarter] > max(_TURNED, upright + 0.1):
        return [remark("turned", degrees=(270, 180, 90)[quarter])]
    return []


def place(page: np.ndarray) -> Tuple[np.ndarray, Remark]:
    """(page, what was done): a page (512, 512) uint8 with its face where one belongs, or as it is where none is
    found."""
    box = ink_box(page)
    found = box and find(page, _SIZES * max(box[2] - box[0], box[3] - box[1]) / 512, _TURNS)
    if not found:
        return page, remark("no-outline")
    scale, turn, to_page = found
    if scale > 1:
        page = cv2.GaussianBlur(page, (0, 0), 0.4 * scale)
    out = cv2.warpAffine(page, to_page, (512, 512), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderValue=255)
    moved = np.linalg.inv(to_page[:, :2]) @ (np.array([256.0, 256.0]) - to_page[:, 2]) - 256
    return out, remark("placed", turn=round(-turn, 1), scale=round(1 / scale, 2), x=round(float(moved[0])),
                       y=round(float(moved[1])))


def find(page: np.ndarray, scales=(1.0,), turns=(0.0,), sure: bool = False
         ) -> Optional[Tuple[float, float, np.ndarray]]:
    """(scale, turn in degrees, (2, 3) matrix) from where faces belong to where the face of a page (512, 512) uint8 is,
    of one of these scales and turns; None where no face is found, or with ``sure`` none that is clear."""
    score, scale, turn, (x, y) = _best(_ink(page), scales, turns)
    if score < (_SURE if sure else _MIN_SCORE):
        return None
    # the canonical frame lies in the page at (x, y), scaled and turned round its middle
    return scale, turn, _frame(scale, turn, x * 512 / _EDGE, y * 512 / _EDGE)


def _ink(page: np.ndarray) -> np.ndarray:
    """A page (512, 512) uint8 small, as ink, with a border of white."""
    ink = 1 - cv2.resize(page, (_EDGE, _EDGE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return np.minimum(cv2.copyMakeBorder(ink, *[_BORDER] * 4, cv2.BORDER_CONSTANT, value=0), 0.6)


def _best(ink: np.ndarray, scales, turns=(0.0,)):
    """(score, scale, turn, (x, y)) of the plain face that is the most like what is drawn."""
    model = plain_face()
    best = (-1.0, 1.0, 0.0, (0.0, 0.0))
    for scale in scales:
        blurred = cv2.GaussianBlur(ink, (0, 0), _BLUR * scale)
        for turn in turns:
            template, corner = _template(model, scale, turn)
            if max(template.shape) > min(ink.shape):
                continue
            match = _correlation(blurred, template)
            _, score, _, at = cv2.minMaxLoc(match)
            score -= 0.004 * abs(turn)
            if score > best[0]:
                best = (score, scale, turn, (at[0] - corner[0] - _BORDER, at[1] - corner[1] - _BORDER))
    return best


def _correlation(page: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Correlation coefficients of ``template`` with every place of ``page``, near 0 where the page is blank."""
    size = template.size
    shape = template.shape[::-1]
    covariance = cv2.matchTemplate(page, template, cv2.TM_CCOEFF) / size
    mean = cv2.boxFilter(page, -1, shape, anchor=(0, 0))
    variance = cv2.boxFilter(page * page, -1, shape, anchor=(0, 0)) - mean * mean
    variance = np.maximum(variance[:covariance.shape[0], :covariance.shape[1]], 0)
    return covariance / (template.std() * np.sqrt(variance + 0.02 ** 2))


def _frame(scale: float, turn: float, x: float, y: float) -> np.ndarray:
    """(2, 3): canonical pixels to page pixels, the frame's middle being turned about."""
    matrix = cv2.getRotationMatrix2D((256, 256), turn, scale)
    shift = np.array([x + 256 * scale - 256, y + 256 * scale - 256])
    matrix[:, 2] += shift
    return matrix


def _template(model: np.ndarray, scale: float, turn: float):
    """(the plain face's part of the frame at that size and turn, where its corner lies in the scaled frame)."""
    turned = cv2.warpAffine(model, cv2.getRotationMatrix2D((256, 256), turn, 1.0), (512, 512))
    edge = max(8, round(_EDGE * scale))
    small = cv2.GaussianBlur(cv2.resize(turned, (edge, edge), interpolation=cv2.INTER_AREA), (0, 0), _BLUR * scale)
    left, top, right, bottom = (round(v * edge / 512) for v in _FACE)
    return np.ascontiguousarray(small[top:bottom, left:right]), (left, top)
