"""CelebAMask-HQ in its own layout, as the paper used it: frontal faces without glasses and hats, background white.

    CelebA-HQ-img/0.jpg ...                              the photographs
    CelebAMask-HQ-mask-anno/0..14/00000_hair.png ...     up to 18 masks a photograph, 2,000 photographs a folder
    CelebAMask-HQ-attribute-anno.txt                     how many; the attributes' names; a line a photograph, 1 or -1
    CelebAMask-HQ-pose-anno.txt                          how many; Yaw Pitch Raw; a line a photograph, in degrees
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import List, Tuple

import numpy as np

from ..components import RELEASE_CANVAS
from ..pictures import PictureError, read_picture
from .portrait import Options, Rejected
from .sources import SourceError, read_numbers

PICTURES, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
ATTRIBUTES, POSES = "CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ-pose-anno.txt"
#: pictures the paper trained on and tested with, of the 30,000; its split of them
PAPER, PAPER_TRAIN, PAPER_TEST = 17_703, 16_860, 842
_A_FOLDER = 2000
#: attribute -> what is said of it
_UNWANTED = {"Eyeglasses": "glasses", "Wearing_Hat": "hat"}
_UNWANTED_MASKS = {"eye_g": "glasses", "hat": "hat"}


class Catalogue:
    """What the tables say.  SourceError where the folder is not the dataset's own layout."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in (PICTURES, MASKS, ATTRIBUTES, POSES):
            if not (self.folder / name).exists():
                raise SourceError(f"{self.folder / name}: missing; --celebamask-hq takes the unpacked folder of the "
                                  f"dataset, with {PICTURES}/, {MASKS}/, {ATTRIBUTES} and {POSES}")
        self.attributes = read_numbers(self.folder / ATTRIBUTES, ["Male"])
        self.poses = read_numbers(self.folder / POSES, ["Yaw"])

    def reason(self, picture: str, options: Options) -> str:
        """Why the tables leave a picture out, "" where they do not."""
        name = Path(picture).name
        facts, pose = self.attributes.get(name), self.poses.get(name)
        if facts is None or pose is None:
            return f"not in {POSES if facts else ATTRIBUTES}"
        for attribute, what in _UNWANTED.items():
            if facts.get(attribute, -1) > 0:
                return f"{what}: {attribute} in the attributes"
        for axis, most in (("Yaw", options.max_yaw), ("Pitch", options.max_pitch)):
            if abs(pose[axis]) > most:
                return f"not frontal: {axis.lower()} {pose[axis]:.0f} degrees, at most {most:g}"
        return ""


def masks_of(picture) -> List[Tuple[str, Path]]:
    """(part, file) of the masks of a photograph in CelebA-HQ-img."""
    picture = Path(picture)
    if not picture.stem.isdigit():
        return []
    number = int(picture.stem)
    folder = picture.parent.parent / MASKS / str(number // _A_FOLDER)
    return [(re.sub(r"^\d+_", "", path.stem), path) for path in sorted(folder.glob(f"{number:05d}_*.png"))]


def person_mask(picture) -> np.ndarray:
    """(512, 512) float32, 1 where a mask of the photograph says that there is something of the person, with a soft
    edge.  Rejected where there are no masks, or one of glasses or a hat."""
    import cv2

    total = np.zeros((RELEASE_CANVAS,) * 2, np.uint8)
    found = masks_of(picture)
    if not found:
        raise Rejected("no masks for it")
    for part, path in found:
        try:
            mask = read_picture(path)
        except PictureError as error:
            raise Rejected(f"unreadable mask {path.name}: {str(error).split(': ', 1)[-1]}") from None
        mask = mask if mask.ndim == 2 else mask.max(2)
        if part in _UNWANTED_MASKS and mask.max() > 127:
            raise Rejected(f"{_UNWANTED_MASKS[part]}: the mask {path.name}")
        total = np.maximum(total, cv2.resize(mask, total.shape, interpolation=cv2.INTER_NEAREST))
    return cv2.GaussianBlur((total > 127).astype(np.float32), (0, 0), 1.0)
