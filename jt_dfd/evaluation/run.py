"""Evaluation of a folder of weights on a split that training did not see."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from .. import checkpoints
from ..atomic import write_text
from ..components import COMPONENTS
from ..data import index
from ..errors import InputError
from ..pictures import resized, rgb, sheet_captions, sheet_of, sheet_row, write_png
from . import judges, metrics

#: pictures on which no distance of two sets is computed
FEW = 2
#: gender whose bank a picture is projected onto that has none
_GUESS = "female"


def evaluate(params, data, *, split: str = "test", count: int = 0, refine=(0.0, 1.0), device: str = "auto",
             train_count: int = 200, progress: bool = True, inception: Optional[str] = None,
             perceptual_network: str = "auto", styles: Optional[Tuple[str, ...]] = None,
             ready: Optional[Callable[[], None]] = None) -> Dict[str, Any]:
    """All scores as a dictionary that json can write, and under "sheet" a picture (H, W, 3) uint8.

    count               pictures of the split, evenly chosen; 0 takes all
    refine              amounts of projection at which faces are made
    train_count         training pictures in the mean sketch and the mean face
    inception           file of FID's Inception for Frechet and kernel distance; without one stlpips' VGG16
    perceptual_network  "auto", "stlpips", "off", or a torchvision VGG19 or VGG16 file (judges.perceptual)
    styles              styles of sketches, each judged by itself on the pictures that have it; None: all of the set's.
                        The first one's scores are the dictionary's own, those of all are under "styles"
    ready               called once every file was read, before anything is computed

    ValueError (CheckpointError) names a file that cannot be used, before anything is computed.
    """
    from ..synthesizer import Synthesizer, refine_amounts

    if count < 0:
        raise InputError(f"count {count}: expected a number of pictures, or 0 for all")
    for amount in refine:
        refine_amounts(amount)
    folder = checkpoints.open_folder(params)
    from ..data.dataset import FaceDataset

    distance, distance_note = judges.perceptual(perceptual_network)
    features = judges.features(inception)
    rows = index.read(data, split=split)
    styles = tuple(styles) if styles is not None else index.styles_of(data, rows)
    synthesizer = Synthesizer(params, device)
    canvas = synthesizer.config.canvas
    sets = {style: FaceDataset(data, synthesizer.geometry, "synthesis", 1, split=split, shuffle=False, drop_last=False,
                               cache_mb=0, styles=(style,)) for style in styles}
    found, sheets_ = {}, []
    if ready is not None:
        ready()
    for style, held_out in sets.items():
        found[style], sheet = _of_style(synthesizer, held_out, _chosen(len(held_out.rows), count), refine, distance,
                                        features, _means(data, synthesizer.geometry, train_count, style), progress)
        sheets_.append(sheet)
    first = found[styles[0]]
    out: Dict[str, Any] = {
        "weights": Path(params).name, "preset": synthesizer.config.preset, "data": Path(data).name, "split": split,
        "pictures": first["pictures"], "canvas": canvas, "device": synthesizer.device, "style": styles[0],
        "compared": "faces of the split's own sketches, at 512 pixels as every tool gives them, reduced to "
                    f"{canvas}, with the photographs they were drawn from, RGB, 0 to 255; values are means, ± their "
                    "standard error over pictures"}
    untold = sum(not sets[styles[0]].rows[n].gender for n in _chosen(len(sets[styles[0]].rows), count))
    if untold and folder.genders:
        out["genders"] = (f"{untold} picture{' without a gender is' if untold == 1 else 's without a gender are'} "
                          f"projected onto the {_GUESS} bank")
    out.update((name, first[name]) for name in ("embedding", "synthesis"))
    if len(styles) > 1:
        out["styles"] = found
    out["perceptual distance"] = distance_note
    if distance:
        out["perceptual network"] = distance.facts
    judged = [one["pictures"] for one in found.values() if one["pictures"] > FEW]
    if features and judged:
        out["features"] = {**features.facts, "pictures": min(judged)}
        out["caveat"] = features.caveat(min(judged), canvas)
    elif features:
        out["caveat"] = (f"Frechet and kernel distance need {FEW + 1} pictures or more: not computed on "
                         f"{first['pictures']}.")
    out["bank_rows"] = {g: int(folder.bank("rest", g).shape[0]) for g in (folder.genders or (checkpoints.SHARED_BANK,))}
    out["sheet"] = sheet_of(sheets_)
    return out


def _of_style(synthesizer, held_out, numbers, refine, distance, features, means, progress):
    """({"pictures", "embedding", "synthesis"}, sheet) of the sketches of one style."""
    canvas = synthesizer.config.canvas
    style = " ".join(held_out.styles)
    out = {"pictures": len(numbers), "embedding": _embedding(synthesizer, held_out, numbers, means, progress, style),
           "synthesis": {}}
    real = [held_out[n].photo for n in numbers]
    if len(real) <= FEW:
        features = None
    real_features = judges.each(features, real) if features else None

    def scores(faces):
        return _pictures(faces, real, distance, features, real_features)

    if means:
        faces = [means["photo"]] * len(real)
        out["synthesis"]["mean face of the training split"] = scores(faces)
    examples = []
    for amount in refine:
        faces = []
        for n in _progress(numbers, f"{style}, refine {amount:g}", progress):
            gender = held_out.rows[n].gender or _GUESS
            face = synthesizer.synthesize(held_out[n].sketch, gender, refine=amount, as_is=True).face
            faces.append(resized(face, canvas))
        out["synthesis"][f"refine {amount:g}"] = scores(faces)
        examples.append(faces)
    words = ["sketch", *(f"refine {amount:g}" for amount in refine), "photograph"]
    return out, _sheet([held_out[n].sketch for n in numbers], examples, real, canvas, words)


def _chosen(available: int, count: int) -> List[int]:
    if not count or count >= available:
        return list(range(available))
    return [int(i) for i in np.linspace(0, available - 1, count).round()]


def _progress(items, text, on):
    from tqdm import tqdm

    return tqdm(items, desc=text, unit="picture", disable=not on)


def _means(data, geometry, count, style) -> Optional[Dict[str, np.ndarray]]:
    """The mean crop of each component and the mean photograph of (some of) the training split's pictures that have a
    sketch of ``style``, or None without any."""
    rows = index.read(data, split="train")
    if style not in index.styles_of(data, rows) or not rows:
        return None
    from ..data.dataset import FaceDataset

    train = FaceDataset(data, geometry, "synthesis", 1, split="train", shuffle=False, drop_last=False, cache_mb=0,
                        styles=(style,))
    items = [train[n] for n in _chosen(len(train.rows), count)]
    out = {c: np.mean([i.crops[c] for i in items], 0) for c in COMPONENTS}
    out["photo"] = np.mean([i.photo for i in items], 0).round().astype(np.uint8)
    return out


def _embedding(synthesizer, held_out, numbers, means, progress, style) -> Dict[str, Any]:
    """Stage I: squared error of reconstructions in the networks' units ([-1, 1]), beside the mean sketch's."""
    errors = {c: [] for c in COMPONENTS}
    plain = {c: [] for c in COMPONENTS}
    for n in _progress(numbers, f"{style}, reconstruction", progress):
        item = held_out[n]
        latents = synthesizer.encode(item.sketch)
        for c in COMPONENTS:
            truth = (item.crops[c].astype(np.float64) - 127.5) / 127.5
            errors[c].append(float(((synthesizer.networks.decode(c, latents[c][None])[0] - truth) ** 2).mean()))
            if means:
                plain[c].append(float((((means[c] - 127.5) / 127.5 - truth) ** 2).mean()))
    out = {}
    for c in COMPONENTS:
        mean, error = metrics.summary(errors[c])
        out[c] = {"mse": mean, "mse_error": error,
                  "mse_of_the_mean_sketch": metrics.summary(plain[c])[0] if means else None}
    return out


def _pictures(fake, real, distance, features, real_features) -> Dict[str, Any]:
    from ..backend import jt

    out = {}
    for name, (function, *_) in metrics.OF_PICTURES.items():
        out[name], out[f"{name}_error"] = metrics.summary(function(a, b) for a, b in zip(fake, real))
    if distance is not None:
        values = []
        for a, b in zip(fake, real):
            values.append(distance(a, b))
            jt.gc()
        out["perceptual"], out["perceptual_error"] = metrics.summary(values)
    if features is not None:
        ours = judges.each(features, fake)
        out["frechet"] = metrics.frechet(ours, real_features)
        out["kernel"] = metrics.kernel_distance(ours, real_features)
    return out


def _sheet(sketches, examples, real, canvas, words, most: int = 12):
    """Sketch, a face for each amount of refinement, photograph; two sets a row."""
    chosen = _chosen(len(sketches), most)
    groups = [[rgb(sketches[i]) for i in chosen]]
    groups += [[faces[i] for i in chosen] for faces in examples] + [[real[i] for i in chosen]]
    return sheet_of([sheet_captions(words, canvas, min(2, len(chosen))),
                     *(sheet_row([g[i:i + 2] for g in groups], canvas) for i in range(0, len(chosen), 2))])


def as_table(result: Dict[str, Any]) -> str:
    """The scores as Markdown."""
    several = result.get("styles")
    lines = [f"{result['pictures']} pictures of split {result['split']} of {result['data']}, weights "
             f"{result['weights']} ({result['preset']}, {result['canvas']} pixels).", "",
             f"Compared: {result['compared']}.", "",
             "Reconstruction: what a component's image decoder draws of its sketch's latent, against that sketch; "
             "squared error in the networks' units, -1 to 1. The mean sketch is that of the training split, of the "
             "same style; share is the one over the other."]
    for style, one in (several or {result["style"]: result}).items():
        lines += ["", *([f"### Sketches of style {style}, {one['pictures']} pictures", ""] if several else [])]
        lines += ["| component | reconstruction MSE | MSE of the mean sketch | share |", "|---|---|---|---|"]
        for component, v in one["embedding"].items():
            plain = v["mse_of_the_mean_sketch"]
            lines.append(f"| {component} | {_cell(v, 'mse', 4)} | "
                         + (f"{plain:.4f} | {v['mse'] / plain:.2f} |" if plain else "- | - |"))
        compared = metrics.OF_PICTURES.items()
        headings = ["faces", *(heading for _, (_, heading, _) in compared), "perceptual", "Frechet", "kernel"]
        lines += ["", "| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
        digits = [(name, digits) for name, (_, _, digits) in compared] + [("perceptual", 4)]
        for name, v in one["synthesis"].items():
            cells = [_cell(v, k, d) if k in v else "-" for k, d in digits]
            cells += [f"{v[k]:.4g}" if k in v else "-" for k in ("frechet", "kernel")]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", f"Perceptual distance: {result['perceptual distance']}."]
    lines += [result["genders"] + "."] if "genders" in result else []
    lines += [result["caveat"]] if "caveat" in result else []
    return "\n".join(lines) + "\n"


def _cell(scores: Dict[str, float], name: str, digits: int) -> str:
    error = scores[f"{name}_error"]
    return f"{scores[name]:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")


def _json(value):
    """Without numbers that JSON does not have: null in their place."""
    if isinstance(value, dict):
        return {name: _json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write(result: Dict[str, Any], out) -> None:
    """figures.json, figures.md and sheet.png in ``out``."""
    import json

    out = Path(out)
    plain = _json({k: v for k, v in result.items() if k != "sheet"})
    text = json.dumps(plain, indent=2) + "\n"
    write_text(out / "figures.json", text)
    write_text(out / "figures.md", as_table(result))
    if result.get("sheet") is not None:
        write_png(out / "sheet.png", result["sheet"])
