"""Training pairs out of nothing: faces of people who do not exist, each from a seed.

The generator is MobileStyleGAN, 1024 pixels, as two OpenVINO networks inside the wheel ``random-face`` 2021.7.21.1: a
mapping of 512 normal numbers to a style, and the synthesis of a picture from a style.  Styles are pulled towards the
mean one (truncation), which gives fewer broken faces.  The wheel is Apache-2.0; its network was distilled from
StyleGAN2-FFHQ, so treat the pictures, and what is trained on them, as for research and non-commercial use.
"""
from __future__ import annotations

import csv
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from ..errors import InputError
from . import index, models, prepare, sources
from .index import Journal
from .portrait import Options, PortraitJob, Rejected
from .prepare import INDEX_EVERY, Summary, finish
from .sketching import DEFAULT_STYLE, Sketcher
from .workers import Workers

#: pull towards the mean style: 0 always the mean face, 1 none (0.7: as the generator's own demo, and by eye)
TRUNCATION = 0.7
#: the mean style is the average over this many draws from a generator of this seed
MEAN_DRAWS, MEAN_SEED = 2000, 12345
#: degrees by which the style may tell yaw wrongly (ours: its standard error is 1.7)
YAW_DOUBT = 3.0
#: what makes a face bad to train on and can be told from its style, before a picture is made of it
UNWANTED = ("hat", "hand", "sunglasses", "second", "dark")


class FaceGenerator:
    """``FaceGenerator()(seed)``: (1024, 1024, 3) uint8 RGB; the same seed gives the same picture on the same machine.

    threads: CPU threads, 0 for as many as there are cores.  ModelMissing says what to install.
    """

    def __init__(self, truncation: float = TRUNCATION, threads: int = 0):
        mapping, synthesis = models.path("face_mapping"), models.path("face_synthesis")
        try:
            import openvino
        except ImportError:
            raise models.ModelMissing("the face generator runs on OpenVINO: pip install openvino") from None
        core = openvino.Core()
        # 32-bit floats whatever the processor offers: bfloat16 shifts the picture by about a grey level
        settings: Dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._mapping = core.compile_model(str(mapping), "CPU", settings)
        self._synthesis = core.compile_model(str(synthesis), "CPU", settings)
        self.truncation = truncation
        self._mean: Optional[np.ndarray] = None
        self._fits: Optional[Dict[str, np.ndarray]] = None

    @property
    def mean_style(self) -> np.ndarray:
        """(1, 512) float32."""
        if self._mean is None:
            rng = np.random.default_rng(MEAN_SEED)
            total = np.zeros((1, 512), np.float64)
            for _ in range(MEAN_DRAWS):
                total += self._map(rng.normal(size=(1, 512)).astype(np.float32))
            self._mean = (total / MEAN_DRAWS).astype(np.float32)
        return self._mean

    def labels(self, seed: int) -> Dict[str, float]:
        """What the style of a seed says of its face, without making the picture: ``yaw`` in degrees, ``female`` and
        ``glasses`` as probabilities, and how far each of UNWANTED lies above the limit from which it is left out.

        Linear in the style before truncation, fitted by ridge regression to 2,018 generated faces: yaw as the mesh
        measures it (R2 0.92), gender as a classifier sees it (where the probability is 0.9 or more, 78 % of the faces,
        they agree in 98.7 %), glasses (80 % of those named have some, 70 % of all are named), the rest labelled by eye
        (hat with cloth round the head: the limit finds 87 %; hand 100 %, second face 78 %, dark 55 %, sunglasses 36 %;
        4 to 12 % of all faces lie above each limit).  All cross-validated.
        """
        if self._fits is None:
            with np.load(Path(__file__).with_name("style_labels.npz")) as fits:
                self._fits = {name: fits[name] for name in fits.files}
        fits = self._fits
        scores = fits["weights"] @ self._own(seed)[0] + fits["bias"] - fits["limit"]
        out = dict(zip(fits["names"].tolist(), scores.tolist()))
        return {**out, **{name: float(1 / (1 + np.exp(-out[name]))) for name in ("female", "glasses")}}

    def _own(self, seed: int) -> np.ndarray:
        return self._map(np.random.default_rng(seed).normal(size=(1, 512)).astype(np.float32))

    def style(self, seed: int) -> np.ndarray:
        """The truncated style of a seed, (1, 512) float32."""
        return self.mean_style + np.float32(self.truncation) * (self._own(seed) - self.mean_style)

    def __call__(self, seed: int) -> np.ndarray:
        picture = self._synthesis({"style": self.style(seed)})[self._synthesis.output("img")][0]
        return np.clip((picture.transpose(1, 2, 0) + 1) / 2 * 255 + 0.5, 0, 255).astype(np.uint8)

    def _map(self, numbers: np.ndarray) -> np.ndarray:
        return self._mapping({"var": numbers})[self._mapping.output("style")]


class GenerateJob(PortraitJob):
    """What a worker process runs: seed in, aligned face written."""

    def __init__(self, folder: str, options: Options, truncation: float, threads: int, leave_out: Tuple[str, ...] = ()):
        super().__init__(folder, options)
        self.generator, self.leave_out = FaceGenerator(truncation, threads), leave_out

    def __call__(self, seed: int, name: str) -> Dict:
        labels = self.generator.labels(seed)
        found = [what for what in self.leave_out if labels[what] > 0]
        # the mesh, which decides, differs by some degrees
        if self.leave_out and abs(labels["yaw"]) > self.maker.options.max_yaw + YAW_DOUBT:
            found.append("turned away")
        if found:
            return {"rejected": f"by its style: {', '.join(found)}"}
        try:
            answer = self.finish(self.maker.from_picture(self.generator(seed)), name)
        except Rejected as reason:
            return {"rejected": str(reason)}
        sure = max(labels["female"], 1 - labels["female"])
        return {**answer, "labels": {"gender": "female" if labels["female"] > 0.5 else "male",
                                     "gender_confidence": f"{sure:.3f}", "glasses": str(int(labels["glasses"] > 0.5))}}


def generate_set(out, count: int, options: Options = Options(max_yaw=12.0), *, style: str = DEFAULT_STYLE,
                 first_seed: int = 0, seeds: Optional[List[int]] = None, labels: Optional[str] = None,
                 truncation: float = TRUNCATION, min_confidence: float = 0.0, test_share: float = index.TEST_SHARE,
                 leave_out: Tuple[str, ...] = UNWANTED, drawn: bool = True, workers: int = 1, threads: int = 0,
                 progress: Optional[Callable] = None) -> Summary:
    """Make or go on with a set of ``count`` pairs from seeds: the first ones, from ``first_seed`` on or in the order of
    ``seeds``, that pass the filters of ``options``.

    drawn: curves for drawn sketches besides, where the networks for that are installed.
    leave_out: names out of UNWANTED; seeds whose style shows one of them, or a face turned away, are passed over.  ()
    takes all.
    labels: a table by picture name (a seed, zero-padded to five digits) or with a column ``seed``; without one gender
    and glasses are told from the style.  The rest as in prepare.prepare_folder.  A run that ends in whatever way is
    continued by the same call; a larger ``count`` adds pairs.
    """
    if count < 1:
        raise InputError(f"expected at least one face, not {count}")
    if not 0 <= truncation <= 1:
        raise InputError(f"truncation {truncation}: expected a number from 0 to 1")
    unknown = set(leave_out) - set(UNWANTED)
    if unknown:
        raise InputError(f"cannot leave out {', '.join(sorted(unknown))}: only {', '.join(UNWANTED)}")
    needed = ["face_mapping", "face_synthesis", "face_short", "face_full", "mesh"]
    lacking = models.missing(*needed, *(["person"] if options.background == "white" else []),
                             *(["hed"] if style == "lines" else prepare.CURVES_NEED if style == index.DRAWN else []))
    if lacking:
        raise models.ModelMissing("\n".join(lacking))
    out = Path(out)
    table = _labels_by_seed(labels) if labels else {}
    options = Options(**{**asdict(options), "sketch": style, "frame": "detect"})
    settings = {"made by": "generate_faces", **asdict(options), "truncation": truncation,
                **({"leave out": sorted(leave_out)} if leave_out else {})}
    with Journal(out, settings) as journal:
        def labels_of(entry):   # a row of the table, where there is one; else what the style says
            return table.get(entry["seed"], {}) if table else entry.get("labels", {})

        def write_index():
            index.write(out, prepare.rows_of(journal, labels_of, min_confidence, test_share, style == index.DRAWN))

        before = set(journal.entries)
        kept = sum("rejected" not in e for e in journal.entries.values())
        try:
            if kept < count:
                _run(out, count, _seeds(first_seed, seeds, journal), options, style, truncation, leave_out, workers,
                     threads, journal, progress, write_index)
            if style == index.DRAWN or drawn and prepare.can_find_curves():
                write_index()
                bar = None if progress is None else lambda items, total: progress(
                    total=total, initial=0, iterable=items)
                prepare.add_drawn(out, journal, lambda e: sources.glasses_of(labels_of(e)),
                                  max(workers, threads), bar, style == index.DRAWN)
        except KeyboardInterrupt:
            pass
        _remove_unrecorded(out, journal)
        write_index()
        prepare.write_report(out, journal.entries)
        left = max(0, count - sum("rejected" not in e for e in journal.entries.values()))
        if drawn and prepare.can_find_curves():
            left = max(left, prepare.without_curves(out, journal))
    return prepare.summary(journal, before, left)


def _run(out, count, seeds, options, style, truncation, leave_out, workers, threads, journal, progress,
         write_index) -> None:
    sketcher = None if style == index.DRAWN else Sketcher(style)
    kept = sum("rejected" not in e for e in journal.entries.values())
    bar = progress(total=count, initial=kept) if progress else None
    with Workers(max(1, workers), f"{__name__}:GenerateJob", str(out), options, truncation, threads,
                 leave_out) as pool:
        # workers look ahead, but their answers are taken in the order of the seeds: the set is always the same
        for (seed, name), answer in pool.map(((s, f"{s:05d}") for s in seeds), ahead=2):
            if isinstance(answer, Exception):
                raise answer
            if "rejected" in answer:
                journal.add(str(seed), rejected=answer["rejected"])
                continue
            finish(out, name, answer, sketcher, journal, str(seed), source="generated", seed=seed,
                   labels=answer["labels"])
            kept += 1
            if bar is not None:
                bar.update(1)
            if kept % INDEX_EVERY == 0:
                write_index()
            if kept >= count:
                break
    if bar is not None:
        bar.close()


def _remove_unrecorded(out: Path, journal: Journal) -> None:
    """Faces that a worker made ahead and nobody needed."""
    names = {e["name"] for e in journal.entries.values() if "name" in e}
    for path in (out / "faces").glob("*.webp"):
        if path.stem not in names:
            path.unlink()


def _seeds(first: int, given: Optional[Iterable[int]], journal: Journal) -> Iterator[int]:
    if given is not None:
        yield from (s for s in given if str(s) not in journal.entries)
        return
    seed = first
    while True:
        if str(seed) not in journal.entries:
            yield seed
        seed += 1


def read_seeds(path) -> List[int]:
    """Seeds from a CSV with a column ``seed``, or a text with one a line.  SourceError names the file."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        if lines and "," in lines[0]:
            values = [record.get("seed") or "" for record in csv.DictReader(lines)]
        else:
            values = [line for line in lines if re.fullmatch(r"\s*\d+\s*", line)]
        out = list(dict.fromkeys(int(v) for v in values))
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise sources.SourceError(f"{path}: expected seeds, one a line or as the column seed of a CSV "
                                  f"({error})") from None
    if not out:
        raise sources.SourceError(f"{path}: no seeds in it")
    return out


def _labels_by_seed(path) -> Dict[int, Dict[str, str]]:
    out = {}
    for stem, record in sources.read_labels(path).items():
        seed = record.get("seed", "") or stem
        if seed.strip().isdigit():
            out[int(seed)] = record
    return out

