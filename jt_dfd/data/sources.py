"""What there is to prepare: the pictures of a folder, and tables of labels and landmarks that come with them.

CelebAMask-HQ in its own layout, as the paper used it: frontal faces without glasses and hats, background white.

    CelebA-HQ-img/0.jpg ...                              the photographs
    CelebAMask-HQ-mask-anno/0..14/00000_hair.png ...     up to 18 masks a photograph, 2,000 photographs a folder
    CelebAMask-HQ-attribute-anno.txt                     how many; the attributes' names; a line a photograph, 1 or -1
    CelebAMask-HQ-pose-anno.txt                          how many; Yaw Pitch Raw; a line a photograph, in degrees
"""
from __future__ import annotations

import csv
import json
import os
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..components import RELEASE_CANVAS
from ..errors import UserError
from ..pictures import SUFFIXES, PictureError, read_picture
from . import index

if TYPE_CHECKING:
    from .portrait import Options

Labels = Dict[str, Dict[str, str]]
#: columns that may name the picture, by preference
_FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "name", "path")


class SourceError(UserError, ValueError):
    """A source folder or table that cannot be used; the message names it and what was expected."""


class Rejected(Exception):
    """This photograph makes no training pair; the message is the reason, for the report."""


def list_pictures(folder, leave_out: Optional[Path] = None) -> Tuple[List[str], int]:
    """(paths relative to ``folder`` in a fixed order, how many other files there were) of a folder and its subfolders.

    Hidden files and everything under ``leave_out`` are passed over.
    """
    folder = Path(folder)
    if folder.is_file():
        raise SourceError(f"{folder}: a file; give the folder that holds the pictures")
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    found, other = [], 0
    skip = leave_out.resolve() if leave_out is not None else None
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(d for d in folders if not d.startswith(".")
                            and (skip is None or (Path(here) / d).resolve() != skip))
        for name in sorted(files):
            path = os.path.join(here, name)
            if name.startswith(".") or os.path.exists(path) and not os.path.isfile(path):   # a pipe would be waited for
                continue
            if name.lower().endswith(SUFFIXES):
                found.append(os.path.relpath(path, folder).replace(os.sep, "/"))
            else:
                other += 1
    return sorted(found), other


def printable(path: str) -> str:
    """A path as text that can be stored: bytes of a file name that are no UTF-8 written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def output_names(pictures: List[str]) -> Dict[str, str]:
    """A file name without ending for each picture's relative path: its stem where that is the only one, otherwise the
    path with a checksum, so that a/1.jpg and b/1.png stay apart."""
    stems: Dict[str, int] = {}
    for path in pictures:
        stem = Path(path).stem.lower()
        stems[stem] = stems.get(stem, 0) + 1
    names = {}
    for path in pictures:
        stem = Path(path).stem
        names[path] = stem if stems[stem.lower()] == 1 else f"{stem}_{zlib.crc32(path.encode('utf-8')):08x}"
    return names


def read_labels(path) -> Labels:
    """A table of labels as {picture's path without ending, and its stem: columns}: one row a picture, a column that
    names it.

    Comma separated with a header (``index.csv`` and ``faces.csv`` of this project among others), or CelebA's
    ``list_attr_celeba.txt``, or FFHQ's ``ffhq-dataset-v2.json``, which has a split.  A column ``gender``, ``sex`` or
    ``Male`` (1 and -1) gives the gender.  SourceError for words in it that mean neither gender nor split.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not a readable table ({error})") from None
    if text.lstrip().startswith("{"):
        return _ffhq_labels(path, text)
    lines = text.splitlines()
    out: Labels = {}
    if len(lines) > 2 and lines[0].strip().isdigit() and "Male" in lines[1].split():
        columns = lines[1].split()
        for line in lines[2:]:
            words = line.split()
            if len(words) == len(columns) + 1:
                out[Path(words[0]).stem] = dict(zip(columns, words[1:]))
        return out
    reader = csv.DictReader(lines)
    header = reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
    column = next((c for c in _FILE_COLUMNS if c in header), None)
    if column is None:
        raise SourceError(f"{path}: expected a header with one of the columns {', '.join(_FILE_COLUMNS)}, found "
                          f"{', '.join(map(str, header)) or 'nothing'}")
    several, wrong = set(), {}
    gender, split = index.gender_column(header), next((c for c in header if c.lower() == "split"), None)
    for record in reader:
        for known, name in ((index.gender_words(gender or ""), gender), (index.SPLIT_WORDS, split)):
            word = (name and record.get(name) or "").strip()
            if word.lower() not in known:
                wrong.setdefault(name, set()).add(word)
        if record.get(column):
            row = {k: v for k, v in record.items() if isinstance(k, str) and isinstance(v, str)}
            whole, stem = os.path.splitext(record[column].strip())[0], Path(record[column].strip()).stem
            several |= {stem} if stem in out and whole != stem else set()
            out.setdefault(stem, row)
            out[whole] = row
    for name, found in wrong.items():
        raise SourceError(f"{path}: " + (index.refused_genders(name, found) if name == gender else
                          f"{name} must be train, test or blank, not {', '.join(sorted(found)[:4])}"))
    # a name that several rows have, in different folders, says nothing by itself
    return {name: row for name, row in out.items() if name not in several or os.path.splitext(
        row[column].strip())[0] == name}


def _ffhq_labels(path: Path, text: str) -> Labels:
    try:
        return {Path(entry["image"]["file_path"]).stem: {"split": {"training": "train", "validation": "test"}[
            entry["category"]]} for entry in json.loads(text).values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path}: not FFHQ's ffhq-dataset-v2.json, which has an image and a category for each "
                          f"number ({error!r})") from None


def labels_of(labels: Labels, picture: str) -> Dict[str, str]:
    """The row of a picture by its relative path without ending, else by its name alone; {} where there is none."""
    return labels.get(os.path.splitext(picture)[0], labels.get(Path(picture).stem, {}))


def listed_files(path) -> List[str]:
    """The pictures that a CSV table names, as written there (relative to the folder it lies in)."""
    with open(path, newline="", encoding="utf-8-sig") as f:
        reader = csv.DictReader(f)
        column = next((c for c in _FILE_COLUMNS if c in (reader.fieldnames or [])), None)
        return [record[column].strip() for record in reader if column and record.get(column)]


def gender_of(record: Dict[str, str], min_confidence: float = 0.0) -> str:
    """female, male or blank from a row of labels; blank where its ``sex_confidence`` is below ``min_confidence``."""
    for column in sorted((c for c in record if c.lower() in index.GENDER_COLUMNS),
                         key=lambda c: index.GENDER_COLUMNS.index(c.lower())):
        value = record[column].strip().lower()
        if value:
            try:
                sure = float(record.get(f"{column}_confidence") or 1)
            except ValueError:
                sure = 1.0
            return index.gender_words(column).get(value, "") if sure >= min_confidence else ""
    return ""


def glasses_of(record: Dict[str, str]) -> bool:
    """Whether a row of labels says that the person wears glasses (``glasses`` 1, CelebA's ``Eyeglasses`` 1)."""
    return any(record.get(column, "").strip().lower() in ("1", "yes", "true") for column in ("glasses", "Eyeglasses"))


def split_label(record: Dict[str, str]) -> str:
    """train, test or blank from a row of labels."""
    word = next((value for name, value in record.items() if name.lower() == "split"), "")
    return index.SPLIT_WORDS.get(word.strip().lower(), "")


def read_numbers(path, wanted: Sequence[str]) -> Dict[str, Dict[str, float]]:
    """A table of CelebA's kind as {file name: {column: number}}: a line with the columns' names, ``wanted`` among them,
    then a line a picture, file name first.  SourceError names the file, the line and what was expected."""
    path = Path(path)
    try:
        lines = [line.replace(",", " ") for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: not readable ({error})") from None
    at = next((n for n, line in enumerate(lines[:3]) if set(wanted) <= set(line.split())), None)
    if at is None:
        raise SourceError(f"{path}: expected a line with the column names, {' '.join(wanted)} among them, in the first "
                          "three")
    columns, out = [word for word in lines[at].split() if word not in _FILE_COLUMNS], {}
    for number, line in enumerate(lines[at + 1:], at + 2):
        words = line.split()
        if not words:
            continue
        try:
            if len(words) != len(columns) + 1:
                raise ValueError
            out[words[0]] = dict(zip(columns, map(float, words[1:])))
        except ValueError:
            raise SourceError(f"{path}, line {number}: expected a file name and {len(columns)} numbers, found "
                              f"{line[:60]!r}") from None
    return out


def read_celeba_landmarks(path) -> Dict[str, index.Landmarks]:
    """CelebA's landmark file (``list_landmarks_align_celeba.txt``, or that of the uncropped pictures) as
    {picture's stem: the five points in pixels of that picture}."""
    # the file's left is the viewer's left
    points = {"left_eye": "lefteye", "right_eye": "righteye", "nose": "nose", "mouth_left": "leftmouth",
              "mouth_right": "rightmouth"}
    table = read_numbers(path, [f"{name}_{axis}" for name in points.values() for axis in "xy"])
    return {Path(picture).stem: {point: (row[f"{name}_x"], row[f"{name}_y"]) for point, name in points.items()}
            for picture, row in table.items()}


# -- CelebAMask-HQ in its own layout, as the paper used it: frontal faces without glasses and hats, background white
PICTURES, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
ATTRIBUTES, POSES = "CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ-pose-anno.txt"
#: pictures the paper trained on and tested with, of the 30,000; its split of them
PAPER, PAPER_TRAIN, PAPER_TEST = 17_703, 16_860, 842
_MASKS_A_FOLDER = 2000
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
    folder = picture.parent.parent / MASKS / str(number // _MASKS_A_FOLDER)
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
