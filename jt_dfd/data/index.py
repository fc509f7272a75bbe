"""A training set on disk: a folder with ``index.csv``, the aligned faces and their sketches.

    index.csv     one row a pair: file, sketch, gender, split, landmarks, source, seed, drawn
    faces/        512x512 photographs        sketches/   512x512 sketches        drawn/   curves to draw sketches from

``file`` and ``sketch`` are relative to the folder, with forward slashes.  ``gender`` is female, male or blank,
``split`` train or test.  ``landmarks`` are ten numbers, x and y in pixels of the 512 frame, of left eye, right eye,
nose tip, left and right mouth corner (the viewer's left); blank where unknown.  ``source`` says where the photograph
came from (a file name, or ``generated``), ``seed`` is the generator's where there was one.  ``drawn`` is the path of
the face's curves (outlines.py), out of which sketches of the style ``drawn`` are made; blank where there are none.
Which style the sketches of the column ``sketch`` have stands in settings.json; without one it is ``lines``.
"""
from __future__ import annotations

import csv
import io
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from ..components import CANONICAL_POINTS
from ..errors import UserError
from ..pictures import write_atomically

COLUMNS = ("file", "sketch", "gender", "split", "landmarks", "source", "seed", "drawn")
GENDERS = ("female", "male")
SPLITS = ("train", "test")
#: names of the landmarks in the order they are written
POINTS: Tuple[str, ...] = tuple(CANONICAL_POINTS)
#: share of the pictures set aside for testing (842 of 17,703 in the paper)
TEST_SHARE = 0.05

Landmarks = Dict[str, Tuple[float, float]]


class SetError(UserError, ValueError):
    """An index.csv that cannot be read as one; the message names file, line and what was expected."""


@dataclass(frozen=True)
class Row:
    """One pair of the set."""

    file: str
    sketch: str
    gender: str = ""
    split: str = "train"
    landmarks: Optional[Landmarks] = None
    source: str = ""
    seed: Optional[int] = None
    drawn: str = ""

    @property
    def name(self) -> str:
        """The picture's name without folder and ending."""
        return Path(self.file).stem

    def as_strings(self) -> Dict[str, str]:
        return {"file": self.file, "sketch": self.sketch, "gender": self.gender, "split": self.split,
                "landmarks": format_landmarks(self.landmarks), "source": self.source,
                "seed": "" if self.seed is None else str(self.seed), "drawn": self.drawn}


def format_landmarks(landmarks: Optional[Landmarks]) -> str:
    if not landmarks:
        return ""
    return " ".join(f"{value:.2f}" for point in POINTS for value in landmarks[point])


def parse_landmarks(text: str) -> Optional[Landmarks]:
    """ValueError where it is neither blank nor ten numbers."""
    if not text.strip():
        return None
    numbers = [float(word) for word in text.replace(",", " ").split()]
    if len(numbers) != 2 * len(POINTS) or not all(abs(n) < 1e6 for n in numbers):
        raise ValueError(f"expected {2 * len(POINTS)} numbers, found {text!r}")
    return {point: (numbers[2 * i], numbers[2 * i + 1]) for i, point in enumerate(POINTS)}


def split_of(name: str, test_share: float = TEST_SHARE) -> str:
    """"test" or "train", from the name alone: the same whatever else is in the set and in whatever order it came."""
    return "test" if zlib.crc32(name.encode("utf-8")) % 10_000 < test_share * 10_000 else "train"


def index_path(folder: Union[str, os.PathLike]) -> Path:
    return Path(folder) / "index.csv"


def write(folder: Union[str, os.PathLike], rows: List[Row]) -> None:
    """Write ``folder/index.csv`` atomically, rows sorted by file name."""
    text = io.StringIO()
    writer: Any = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda r: r.file):
        writer.writerow(row.as_strings())
    write_atomically(index_path(folder), lambda path: path.write_text(text.getvalue(), encoding="utf-8"))


def read(folder: Union[str, os.PathLike], split: Optional[str] = None, gender: Optional[str] = None) -> List[Row]:
    """The rows of ``folder/index.csv`` in its order, only those of a split or gender where one is named.

    SetError names the file and line for what cannot be read; a path that leaves the folder is refused.
    """
    path = index_path(folder)
    if not path.is_file():
        raise SetError(f"{path}: no such file; tools/prepare_data.py and tools/generate_faces.py make a set with one")
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            reader = csv.DictReader(f)
            missing = [c for c in ("file", "sketch") if c not in (reader.fieldnames or ())]
            if missing:
                raise SetError(f"{path}: expected the columns {', '.join(COLUMNS)}; {' and '.join(missing)} "
                                  f"missing, found {', '.join(map(str, reader.fieldnames or ['nothing']))}")
            rows = [_row(path, reader.line_num, record) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SetError(f"{path}: not a readable table ({error})") from None
    return [r for r in rows if (split is None or r.split == split) and (gender is None or r.gender == gender)]


def _row(path: Path, line: int, record: Dict[str, Optional[str]]) -> Row:
    get = lambda column: (record.get(column) or "").strip()  # noqa: E731
    try:
        for column in ("file", "sketch", "drawn"):
            value = get(column)
            if not value and column == "drawn":
                continue
            if not value or os.path.isabs(value) or ".." in Path(value).parts:
                raise ValueError(f"{column} must be a path inside the set, not {value!r}")
        gender, split = get("gender").lower(), get("split").lower() or "train"
        if split not in SPLITS:
            raise ValueError(f"split must be train or test, not {split!r}")
        seed = get("seed")
        return Row(get("file"), get("sketch"), gender, split, parse_landmarks(get("landmarks")), get("source"),
                   int(seed) if seed else None, get("drawn"))
    except ValueError as error:
        raise SetError(f"{path}, line {line}: {error}") from None


# -- the styles of a set's sketches

#: the style that is drawn anew from curves
DRAWN = "drawn"


def sketch_style(folder: Union[str, os.PathLike]) -> str:
    """The style of the sketches in the column ``sketch``: lines, photocopy, own or drawn."""
    try:
        style = json.loads((Path(folder) / "settings.json").read_text(encoding="utf-8")).get("sketch")
    except (OSError, ValueError, AttributeError):
        style = None
    return style if isinstance(style, str) and style else "lines"


def styles_of(folder: Union[str, os.PathLike], rows: List[Row]) -> Tuple[str, ...]:
    """The styles that these rows of a set have sketches of, that of the column ``sketch`` first."""
    own = sketch_style(folder)
    return (own, DRAWN) if own != DRAWN and any(row.drawn for row in rows) else (own,)


def parse_styles(text: str) -> Optional[Tuple[str, ...]]:
    """"lines,drawn" as a tuple; "all" or nothing as None, which means every style that a set has."""
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    return None if not names or names == ("all",) else names
