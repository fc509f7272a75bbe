"""A folder of photographs into a training set: aligned, sketched, indexed, resumable."""
from __future__ import annotations

import csv
import io
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from .. import drawings
from ..atomic import write_text
from ..pictures import PictureError, read_picture, write_png
from . import index, models, sources
from .index import Journal
from .portrait import Options
from .sketching import DEFAULT_STYLE, Sketcher
from .workers import Workers

#: the index is brought up to date after so many pictures, so that a set in the making can be looked at
INDEX_EVERY = 100


@dataclass
class Summary:
    """How a run went: pairs in the set, how many of them were made now, rejected pictures with their reasons."""

    pairs: int
    made: int
    rejected: Dict[str, str]
    left: int = 0  # not looked at yet: the run was interrupted
    drawn: int = 0  # pairs that have drawn sketches too


def prepare_folder(source, out, options: Options = Options(), *, style: str = DEFAULT_STYLE,
                   sketch_dir: Optional[str] = None, labels: Optional[str] = None, landmarks: Optional[str] = None,
                   min_confidence: float = 0.0, test_share: float = index.TEST_SHARE, limit: Optional[int] = None,
                   drawn: bool = True, workers: int = 1, progress: Optional[Callable] = None,
                   reason: Optional[Callable[[str], str]] = None) -> Summary:
    """Make or go on with the set ``out`` from the pictures under ``source``.

    style       sketching style; ignored where ``sketch_dir`` holds the user's own sketches, paired by name
    drawn       curves for sketches of the style ``drawn`` beside them, where the networks for that are installed; a set
                that was made without gets them by the same call
    labels      a table with gender and split (sources.read_labels); one that lies in ``source`` itself also says which
                of the pictures there are meant
    landmarks   CelebA's landmark file, for options.frame "landmarks"
    min_confidence   labels less sure than this leave the gender blank
    limit       look at no more than this many pictures
    progress    wraps an iterable and takes ``total``, as tqdm does
    reason      why a picture, by its path in ``source``, is left out without looking at it; "" where it is not
    The result does not depend on the number of workers, on the order of the files, or on interruptions.
    KeyboardInterrupt ends the run with everything so far in place: the index is written, and the same call goes on.
    SourceError, JournalError and ModelMissing say what is wrong before anything is made.
    """
    source, out = Path(source), Path(out)
    pictures, _ = sources.list_pictures(source, leave_out=out)
    if not pictures:
        raise sources.SourceError(f"{source}: no pictures in it")
    table = sources.read_labels(labels) if labels else {}
    if labels and Path(labels).resolve().parent == source.resolve() and Path(labels).suffix == ".csv":
        listed = set(sources.listed_files(labels))
        pictures = [p for p in pictures if p in listed] or pictures
    nameless = [p for p in pictures if sources.printable(p) != p]
    pictures = [p for p in pictures if sources.printable(p) == p]
    names = sources.output_names(pictures)
    points = sources.read_celeba_landmarks(landmarks) if landmarks else {}
    own = _OwnSketches(sketch_dir, pictures) if sketch_dir else None
    _check_models(options, None if own is not None else style)
    settings = {"made by": "prepare_data", **asdict(options), "sketch": "own" if own is not None else style}
    options = Options(**{**asdict(options), "sketch": "own" if own is not None else style})
    sketcher = Sketcher(style) if own is None and style != index.DRAWN else None
    alone = options.sketch == index.DRAWN
    with Journal(out, settings) as journal:
        def labels_of(entry):
            return sources.labels_of(table, entry["source"])

        def write_index():
            index.write(out, rows_of(journal, labels_of, min_confidence, test_share, alone))

        before = set(journal.entries)
        for path in (sources.printable(p) for p in nameless):
            if path not in journal.entries:
                journal.add(path, rejected="its name is no text (UTF-8): rename it")
        for path in pictures[:limit]:
            why = reason(path) if reason is not None and path not in journal.entries else ""
            if why:
                journal.add(path, rejected=why)
        todo = [p for p in pictures[:limit] if p not in journal.entries]
        try:
            if todo:
                _run(source, out, todo, names, points, own, options, sketcher, journal, workers, progress, write_index)
            if alone or drawn and can_find_curves():
                write_index()
                add_drawn(out, journal, lambda e: sources.glasses_of(labels_of(e)), workers, progress, alone)
        except KeyboardInterrupt:
            pass
        left = sum(p not in journal.entries for p in pictures[:limit])
        if drawn and can_find_curves():
            left = max(left, without_curves(out, journal))
        write_index()
        write_report(out, journal.entries)
    return summary(journal, before, left)


def _run(source, out, todo, names, points, own, options, sketcher, journal, workers, progress, write_index) -> None:
    def jobs():
        for path in todo:
            yield str(source / path), names[path], points.get(Path(path).stem)

    # On a CPU every worker draws its own lines, one thread each: both cores stay busy to the last.  A GPU is fed here.
    draw_lines = options.sketch == "lines" and _jittor_device() == "cpu"
    with Workers(max(1, workers), "jt_dfd.data.portrait:PortraitJob", str(out), options, draw_lines) as pool:
        answers = zip(todo, pool.map(jobs()))
        for path, (_job, answer) in (progress(answers, total=len(todo)) if progress else answers):
            if isinstance(answer, models.ModelMissing):
                raise answer
            if isinstance(answer, Exception):
                journal.add(path, rejected=f"unexpected {type(answer).__name__}: {answer}")
                continue
            if "rejected" not in answer and own is not None:
                answer.update(own.of(path))
            if "rejected" in answer:
                (out / "faces" / f"{names[path]}.webp").unlink(missing_ok=True)
                journal.add(path, rejected=answer["rejected"])
                continue
            finish(out, names[path], answer, sketcher, journal, path, source=path)
            if len(journal.entries) % INDEX_EVERY == 0:
                write_index()


def _jittor_device() -> str:
    """Where Jittor computes; started here, so that compiling it shows how far it is and what it lacks is said once."""
    from ..backend import jt

    return "cuda" if jt.flags.use_cuda else "cpu"


def finish(out, name: str, answer: Dict, sketcher: Any, journal: Journal, key: str, **entry) -> None:
    """Write the sketch of a face that a PortraitJob has made, then record the pair."""
    if "sketch" in answer or sketcher is not None:  # else: drawn from the stored faces later
        sketch = answer["sketch"] if "sketch" in answer else sketcher(answer["face"])
        write_png(Path(out) / "sketches" / f"{name}.png", sketch)
    journal.add(key, name=name, landmarks=index.format_landmarks(answer["landmarks"]), notes=answer["notes"],
                measures=answer["measures"], **entry)


def summary(journal: Journal, before, left: int) -> Summary:
    """before: the keys that were in the journal when the run began."""
    rejected = {key: entry["rejected"] for key, entry in journal.entries.items() if "rejected" in entry}
    return Summary(len(journal.entries) - len(rejected), len(set(journal.entries) - set(rejected) - set(before)),
                   rejected, left, sum(bool(entry.get("drawn")) for entry in journal.entries.values()))


def rows_of(journal: Journal, labels_of: Callable[[Dict], Dict[str, str]], min_confidence: float, test_share: float,
            alone: bool) -> List[index.Row]:
    """The index's rows.  alone: only of faces with curves."""
    rows = []
    for entry in journal.entries.values():
        if "rejected" in entry or alone and not entry.get("drawn"):
            continue
        record, generated = labels_of(entry), "seed" in entry
        seed = str(entry["seed"] if generated else record.get("seed", "")).strip()
        split = sources.split_label(record) or index.split_of(entry["name" if generated else "source"], test_share)
        rows.append(index.Row(file=f"faces/{entry['name']}.webp", sketch=f"sketches/{entry['name']}.png",
                              gender=sources.gender_of(record, min_confidence), split=split,
                              landmarks=index.parse_landmarks(entry["landmarks"]), source=entry["source"],
                              seed=int(seed) if seed.isdigit() else None, drawn=entry.get("drawn", "")))
    return rows


def write_report(out, entries: Dict[str, Dict]) -> None:
    """``report.csv``: every picture that was looked at, whether it was kept, why not, and what was measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "kept", "reason", "notes", "yaw", "pitch", "eyes"])
    for key in sorted(entries):
        entry = entries[key]
        measures = entry.get("measures", {})
        writer.writerow([key, "no" if "rejected" in entry else "yes", entry.get("rejected", ""),
                         "; ".join(entry.get("notes", [])), *(measures.get(m, "") for m in ("yaw", "pitch", "eyes"))])
    write_text(Path(out) / "report.csv", text.getvalue())


class _OwnSketches:
    """The user's own sketches, paired with pictures by path without ending (a/1.jpg, a/1.png), else by name alone."""

    def __init__(self, folder, pictures: List[str]):
        sketches, _ = sources.list_pictures(folder)
        if not sketches:
            raise sources.SourceError(f"{folder}: no sketches in it")
        self._folder = str(folder)
        self._by_path = {os.path.splitext(p)[0]: p for p in sketches}
        self._by_name: Dict[str, List[str]] = {}
        for sketch in sketches:
            self._by_name.setdefault(Path(sketch).stem, []).append(sketch)
        self._pictures = Counter(Path(p).stem for p in pictures)

    def of(self, picture: str) -> Dict:
        """{"sketch": array} or {"rejected": reason}."""
        stem = Path(picture).stem
        found, named = self._by_path.get(os.path.splitext(picture)[0]), self._by_name.get(stem, [])
        if found is None and named:
            if len(named) > 1 or self._pictures[stem] > 1:
                return {"rejected":
                        "several pictures or sketches of that name: give the sketches the pictures' subfolders"}
            found = named[0]
        if found is None:
            return {"rejected": "no sketch of that name"}
        path = os.path.join(self._folder, found)
        try:
            reading = drawings.read(path)
        except PictureError as error:
            return {"rejected": f"its sketch is unusable: {error}"}
        wrong = [w for w in reading.warnings if w.code in drawings.UNFIT]
        if wrong:
            return {"rejected": f"its sketch is unusable: {path}: {wrong[0]}"}
        return {"sketch": reading.page}


def _check_models(options: Options, style: Optional[str]) -> None:
    needed: List[str] = []
    if options.frame == "detect":
        needed += ["face_short", "face_full", "mesh"]
    if options.background == "white":
        needed.append("person")
    if style == "lines":
        needed.append("hed")
    if style == "drawn":
        needed += CURVES_NEED
    lacking = models.missing(*needed)
    if lacking:
        raise models.ModelMissing("\n".join(lacking))


# -- curves, so that sketches of the style ``drawn`` can be made of the faces: drawn/NAME.json.  They come from the
# faces as stored, after everything else is in place: the same pass serves a new set and one made before there were any

#: what the curves are found with
CURVES_NEED = ("face_short", "face_full", "mesh", "iris", "person")


def can_find_curves() -> bool:
    """Whether the networks that find the curves are installed."""
    try:
        import ai_edge_litert  # noqa: F401
    except ImportError:
        return False
    return not models.missing(*CURVES_NEED)


class DrawingJob:
    """What a worker process runs: a face of the set in, its curves written; "" or why there are none.

    pictures: a drawing of them too, ``sketches/NAME.png``
    """

    def __init__(self, folder: str, pictures: bool = False):
        import cv2

        from .outlines import OutlineFinder

        cv2.setNumThreads(1)
        self.folder, self.pictures, self.finder = folder, pictures, OutlineFinder()

    def __call__(self, name: str, glasses: bool) -> str:
        from . import hand, outlines

        curves = self.finder(read_picture(os.path.join(self.folder, "faces", f"{name}.webp")), glasses)
        if curves is None:
            return "no face mesh found, so nothing drawn"
        path = os.path.join(self.folder, "drawn", f"{name}.json")
        outlines.write(path, curves)
        if self.pictures:
            picture = hand.draw(outlines.read(path), hand.generator(name))
            write_png(os.path.join(self.folder, "sketches", f"{name}.png"), picture)
        return ""


def _lacks(out: Path, entry: Dict) -> bool:
    """Whether a pair was not tried yet, or its curves are gone."""
    if "rejected" in entry:
        return False
    return "drawn" not in entry or bool(entry["drawn"]) and not (out / entry["drawn"]).is_file()


def without_curves(out, journal: Journal) -> int:
    """How many pairs ``add_drawn`` would look at."""
    return sum(_lacks(Path(out), e) for e in journal.entries.values())


def add_drawn(out, journal: Journal, glasses: Callable[[Dict], bool], workers: int,
              progress: Optional[Callable] = None, alone: bool = False) -> int:
    """Find the curves of every pair of ``journal`` that was not tried yet or whose file is gone; how many were found.

    glasses     a journal's entry -> whether the person is labelled as wearing some
    progress    wraps an iterable and takes ``total``
    alone       the set has no other sketches: pictures are drawn too, and a face without curves is rejected
    Entries get ``drawn``: the path, or "" where no face mesh was found, which is noted.  KeyboardInterrupt leaves
    everything so far in place.
    """
    out = Path(out)
    todo = [e for e in journal.entries.values() if _lacks(out, e)]
    if not todo:
        return 0
    found = 0
    with Workers(max(1, min(workers, len(todo))), f"{__name__}:DrawingJob", str(out), alone) as pool:
        answers = zip(todo, pool.map((e["name"], glasses(e)) for e in todo))
        for entry, (_, why) in (progress(answers, total=len(todo)) if progress else answers):
            if isinstance(why, Exception):
                raise why
            if why and alone:
                journal.add(entry["key"], rejected=why)
                (out / "faces" / f"{entry['name']}.webp").unlink(missing_ok=True)
                continue
            notes = [n for n in entry.get("notes", []) if "nothing drawn" not in n] + ([why] if why else [])
            rest = {k: v for k, v in entry.items() if k not in ("key", "notes", "drawn")}
            journal.add(entry["key"], **rest, notes=notes, drawn="" if why else f"drawn/{entry['name']}.json")
            found += not why
    return found
