"""A training set on disk: a folder with ``index.csv``, the aligned faces and their sketches.

    index.csv     one row a pair: file, sketch, gender, split, landmarks, source, seed, drawn
    faces/        512x512 photographs        sketches/   512x512 sketches        drawn/   curves to draw sketches from

``file`` and ``sketch`` are relative to the folder, with forward slashes.  ``gender`` is female, male or blank,
``split`` train or test.  ``landmarks`` are ten numbers, x and y in pixels of the 512 frame, of left eye, right eye,
nose tip, left and right mouth corner (the viewer's left); blank where unknown.  ``source`` says where the photograph
came from (a file name, or ``generated``), ``seed`` is the generator's where there was one.  ``drawn`` is the path of
the face's curves (outlines.py), out of which sketches of the style ``drawn`` are made; blank where there are none.
Which style the sketches of the column ``sketch`` have stands in settings.json; without one it is ``lines``.

The journal of a set in the making: what is done is done, whatever ends the process.

One JSON object a line, appended and synchronised after a pair's files are in place.  A line that a killed process left
half written is cut off when the journal is opened again, and its pair is made again.
"""
from __future__ import annotations

import csv
import io
import json
import os
import shutil
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from ..atomic import clear_leftovers, replacing_folder, write_text
from ..components import CANONICAL_POINTS
from ..errors import UserError

COLUMNS = ("file", "sketch", "gender", "split", "landmarks", "source", "seed", "drawn")
GENDERS = ("female", "male")
SPLITS = ("train", "test")
#: names of the landmarks in the order they are written
POINTS: Tuple[str, ...] = tuple(CANONICAL_POINTS)
#: share of the pictures set aside for testing (842 of 17,703 in the paper)
TEST_SHARE = 0.05

#: columns that may hold the gender, whatever their case, and the words for it
GENDER_COLUMNS = ("gender", "sex", "male")
#: words of tables for what is not known
_BLANK = dict.fromkeys(("", "-", "?", "unknown", "u", "n/a", "na", "nan", "none", "null", "other", "unsure"), "")
GENDER_WORDS = {"female": "female", "f": "female", "woman": "female", "w": "female", "girl": "female",
                "male": "male", "m": "male", "man": "male", "boy": "male", **_BLANK}
#: those of a column Male, numbers too, as CelebA has it; in a column gender 0 is female in some tables, male in UTKFace
_MALE = {**GENDER_WORDS, "-1": "female", "-1.0": "female", "0": "female", "0.0": "female", "false": "female",
         "1": "male", "1.0": "male", "true": "male"}
#: what other tables call the split
SPLIT_WORDS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "test", "dev": "test",
               "valid": "test", "validation": "test", "eval": "test", "evaluation": "test", **_BLANK}

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


def folders(data: Union[str, os.PathLike]) -> List[Path]:
    """The sets that ``data`` names: a folder, or several with ``os.pathsep`` between them."""
    text = os.fspath(data)
    return [Path(text)] if os.path.exists(text) else [Path(part) for part in text.split(os.pathsep) if part]


def root(data: Union[str, os.PathLike]) -> Path:
    """What the rows' paths are relative to: the set, or the folder that several sets lie in."""
    several = folders(data)
    return several[0] if len(several) == 1 else Path(os.path.commonpath([os.path.abspath(f) for f in several]))


def index_path(folder: Union[str, os.PathLike]) -> Path:
    return Path(folder) / "index.csv"


def write(folder: Union[str, os.PathLike], rows: List[Row]) -> None:
    """Write ``folder/index.csv`` atomically, rows sorted by file name."""
    text = io.StringIO()
    writer: Any = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda r: r.file):
        writer.writerow(row.as_strings())
    write_text(index_path(folder), text.getvalue())


def read(folder: Union[str, os.PathLike], split: Optional[str] = None, gender: Optional[str] = None) -> List[Row]:
    """The rows of ``folder/index.csv`` in its order, only those of a split or gender where one is named.

    SetError names the file and line for what cannot be read; a path that leaves the folder is refused.  Of several
    folders (``folders``) the rows of all, one after the other, relative to their ``root``.
    """
    several = folders(folder)
    if len(several) > 1:
        return [replace(row, **{column: (Path(os.path.relpath(one, root(folder))) / getattr(row, column)).as_posix()
                                for column in ("file", "sketch", "drawn") if getattr(row, column)})
                for one in several for row in read(one, split, gender)]
    path = index_path(folder)
    if not path.is_file():
        raise SetError(f"{path}: no such file; tools/prepare_data.py and tools/generate_faces.py make a set with one")
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            reader = csv.DictReader(f)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
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
        column = gender_column(record) or "gender"
        word, split = get(column).lower(), get("split").lower() or "train"
        if split not in SPLITS:
            raise ValueError(f"split must be train or test, not {split!r}")
        seed = get("seed")
        return Row(get("file"), get("sketch"), gender_words(column).get(word, word), split,
                   parse_landmarks(get("landmarks")), get("source"), int(seed) if seed else None, get("drawn"))
    except ValueError as error:
        raise SetError(f"{path}, line {line}: {error}") from None


def gender_column(header) -> Optional[str]:
    """The column of a table that holds the gender, or None."""
    return next((name for wanted in GENDER_COLUMNS for name in header if name and name.strip().lower() == wanted), None)


def gender_words(column: str) -> Dict[str, str]:
    """What the words in a column mean: female, male or blank."""
    return _MALE if column.strip().lower() == "male" else GENDER_WORDS


def refused_genders(column: str, words) -> str:
    """What is said of words for the gender that mean nothing in this column, or both."""
    numbers = "; numbers are read in a column Male, where 1 is male" if set(words) & set(_MALE) else ""
    return f"{column} must be female, male or blank, not {', '.join(sorted(words)[:4])}{numbers}"


def remarks(data: Union[str, os.PathLike]) -> List[str]:
    """What training should say of a set before it begins.  SetError where a word for the gender means nothing here."""
    found = []
    for folder in folders(data):
        path, rows = index_path(folder), read(folder)
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or []
            column = gender_column(header)
            words = {(record[column] or "").strip().lower() for record in reader} if column else set()
        unknown = words - set(gender_words(column or ""))
        if unknown:
            raise SetError(f"{path}: {refused_genders(column or '', unknown)}")
        genders = Counter(row.gender for row in rows)
        if column != "gender" and column or words - {*GENDERS, ""}:
            found.append(f"{path}: gender taken from the column {column!r} ({', '.join(sorted(words))}): "
                         + ", ".join(f"{n} {g or 'blank'}" for g, n in sorted(genders.items())))
        elif not (genders["female"] and genders["male"]):
            found.append(f"{path}: "
                         + (f"only {max(genders)} faces" if any(genders) else "no genders in it" if column else
                            f"no column gender, only {', '.join(header)}") + ": one feature bank for everybody")
        elif genders[""]:
            found.append(f"{path}: {genders['']} of {len(rows)} pictures have no gender, and no row in either feature "
                         "bank")
        twice = [name for name, count in Counter(row.file for row in rows).items() if count > 1]
        if twice:
            found.append(f"{path}: {len(twice)} pictures are named more than once ({twice[0]}), and count as often")
    tests = len(read(data, "test"))
    if 0 < tests < 20:
        found.append(f"only {tests} held-out pictures: which checkpoint is best is much a matter of chance")
    return found


# -- the styles of a set's sketches

#: the style that is drawn anew from curves
DRAWN = "drawn"


def sketch_style(folder: Union[str, os.PathLike]) -> str:
    """The style of the sketches in the column ``sketch``: lines, photocopy, own or drawn."""
    several = folders(folder)
    if len(several) > 1:
        styles = sorted({sketch_style(one) for one in several})
        if len(styles) > 1:
            raise SetError(f"{', '.join(map(str, several))}: their sketches are of different styles "
                           f"({', '.join(styles)}) and cannot be trained on together")
        return styles[0]
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


# -- several sets as one

#: where a joined set has the files that a column names
_FOLDERS = {"file": "faces", "sketch": "sketches", "drawn": "drawn"}


def join(sets: List[str], out) -> int:
    """Make the set ``out`` of the pairs of ``sets``, splits and genders too; returns how many.  Files are linked where
    the disk is the same, else copied; a name that two sets have gets the second one's number.  SetError where they do
    not go together or ``out`` is there; then nothing is written."""
    if Path(out).exists():
        raise SetError(f"{out}: is there already; name a new folder")
    style = sketch_style(os.pathsep.join(sets))
    rows: List[Row] = []
    taken = set()
    with replacing_folder(out) as staging:
        for number, folder in enumerate(map(Path, sets), 1):
            for row in read(folder):
                name = row.name if row.name not in taken else f"{number}_{row.name}"
                while name in taken:
                    name = f"{number}_{name}"
                taken.add(name)
                placed = {}
                for column in _FOLDERS:
                    there = getattr(row, column)
                    if there:
                        placed[column] = f"{_FOLDERS[column]}/{name}{Path(there).suffix}"
                        _link(folder / there, staging / placed[column])
                rows.append(replace(row, **placed))
        write_text(staging / "settings.json", json.dumps({"made by": "join", "sketch": style}) + "\n")
        write(staging, rows)
    return len(rows)


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    try:
        os.link(os.path.realpath(source), place)
    except FileNotFoundError:
        raise SetError(f"{source}: in the index, but no such file") from None
    except FileExistsError:   # a disk that takes A.png and a.png for one name; a copy would go into the linked original
        raise SetError(f"{place.name}: two pictures of that name") from None
    except OSError:   # another disk
        shutil.copyfile(source, place)


class JournalError(UserError, ValueError):
    """A journal or settings file that does not fit; the message says what to do."""


class Journal:
    """Entries by key; ``add`` appends.  settings: what decides how pairs look; a folder made with others is refused."""

    def __init__(self, folder, settings: Dict):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "journal.jsonl"
        self._check_settings(settings)
        # what a killed run had half written would stay where nothing is written any more
        for place in (self.folder, self.folder / "faces", self.folder / "sketches", self.folder / "drawn"):
            clear_leftovers(place)
        self.entries: Dict[str, Dict] = {}
        good = 0
        if self.path.exists():
            data = self.path.read_bytes()
            for line in data.splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                    if not line.endswith(b"\n"):
                        raise ValueError
                    self.entries[entry["key"]] = entry
                except (ValueError, KeyError, TypeError):
                    if good + len(line) < len(data):
                        raise JournalError(f"{self.path}: damaged after byte {good}; move the folder away and start "
                                           "again") from None
                    break
                good += len(line)
        self._file = open(self.path, "ab")
        self._file.truncate(good)

    def _check_settings(self, settings: Dict) -> None:
        path = self.folder / "settings.json"
        settings = json.loads(json.dumps(settings))
        if path.exists():
            try:
                before = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise JournalError(f"{path}: not readable ({error}); choose another folder") from None
            changed = sorted(k for k in {**before, **settings} if before.get(k) != settings.get(k))
            if changed:
                raise JournalError(f"{self.folder} was begun with other settings ("
                                   + ", ".join(f"{k} {before.get(k)!r}, now {settings.get(k)!r}" for k in changed)
                                   + "); go on with those, or choose another folder")
        else:
            others = [p.name for p in self.folder.iterdir() if not p.name.startswith(".")]
            if others:
                raise JournalError(f"{self.folder}: not empty ({', '.join(sorted(others)[:3])}...) and not begun by "
                                   "this tool; choose another folder")
            write_text(path, json.dumps(settings, indent=2) + "\n")

    def add(self, key: str, **entry) -> None:
        """Record ``key`` as done."""
        entry = {"key": key, **entry}
        # before the line: Ctrl-C between the two must not lose a finished pair from the index
        self.entries[key] = entry
        self._file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
