"""Evaluation of a folder of weights on a split that training did not see."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from .. import checkpoints
from ..components import COMPONENTS
from ..data import index
from ..data.dataset import FaceDataset
from ..pictures import write_atomically, write_png
from ..training import sheets
from . import metrics

FEATURES = "relu5_3 of the VGG16 in stlpips-pytorch 0.0.2, averaged over the picture (512 numbers)"
CAVEAT = ("Frechet and kernel distance are on {features}, not on Inception pool3: compare them with figures of this "
          "tool only, on the same pictures. With {count} pictures the Frechet distance is mostly sampling error.")


def evaluate(params, data, *, split: str = "test", count: int = 0, refine=(0.0, 1.0), device: str = "auto",
             train_count: int = 200, progress: bool = True) -> Dict[str, Any]:
    """All figures as a dictionary that json can write, and under "sheet" a picture (H, W, 3) uint8.

    count         pictures of the split, evenly chosen; 0 takes all
    refine        amounts of projection at which faces are made
    train_count   training pictures behind the mean sketch and the mean face
    """
    from ..synthesizer import Synthesizer

    folder = checkpoints.open_folder(params)
    synthesizer = Synthesizer(params, device)
    from ..backend import jt

    canvas = synthesizer.config.canvas
    held_out = FaceDataset(data, synthesizer.geometry, "synthesis", 1, split=split, shuffle=False, drop_last=False,
                           cache_mb=0)
    numbers = _chosen(len(held_out.rows), count)
    out: Dict[str, Any] = {
        "weights": Path(params).name, "preset": synthesizer.config.preset, "data": Path(data).name, "split": split,
        "pictures": len(numbers), "canvas": canvas, "device": synthesizer.device,
        "compared": f"faces of the split's own sketches with the photographs behind them, at {canvas} pixels, RGB, "
                    "0 to 255; values are means, ± their standard error over pictures"}
    means = _means(data, synthesizer.geometry, train_count)
    out["embedding"] = _embedding(synthesizer, held_out, numbers, means, progress)
    distance = _distance()
    out["synthesis"], examples = {}, []
    real = [held_out[n].photo for n in numbers]
    if means:
        faces = [means["photo"]] * len(real)
        out["synthesis"]["mean face of the training split"] = _pictures(faces, real, distance, jt)
    for amount in refine:
        faces = []
        for n in _progress(numbers, f"refine {amount:g}", progress):
            row = held_out.rows[n]
            gender = row.gender or "female"
            face = synthesizer.synthesize(held_out[n].sketch, gender, refine=amount).face
            faces.append(_to_canvas(face, canvas))
        out["synthesis"][f"refine {amount:g}"] = _pictures(faces, real, distance, jt)
        examples.append(faces)
    out["perceptual distance"] = ("stlpips (VGG16, shift-tolerant), of stlpips-pytorch 0.0.2" if distance else
                                  "not computed: pip install --no-deps stlpips-pytorch==0.0.2")
    if distance:
        out["caveat"] = CAVEAT.format(features=FEATURES, count=len(numbers))
    out["bank_rows"] = {g: int(folder.bank("rest", g).shape[0]) for g in (folder.genders or (checkpoints.SHARED_BANK,))}
    out["sheet"] = _sheet([held_out[n].sketch for n in numbers], examples, real, canvas)
    return out


def _chosen(available: int, count: int) -> List[int]:
    if not count or count >= available:
        return list(range(available))
    return [int(i) for i in np.linspace(0, available - 1, count).round()]


def _progress(items, text, on):
    from tqdm import tqdm

    return tqdm(items, desc=text, unit="picture", disable=not on)


def _means(data, geometry, count) -> Optional[Dict[str, np.ndarray]]:
    """The mean crop of each component and the mean photograph of (some of) the training split, or None without one."""
    if not index.read(data, split="train"):
        return None
    train = FaceDataset(data, geometry, "synthesis", 1, split="train", shuffle=False, drop_last=False, cache_mb=0)
    items = [train[n] for n in _chosen(len(train.rows), count)]
    out = {c: np.mean([i.crops[c] for i in items], 0) for c in COMPONENTS}
    out["photo"] = np.mean([i.photo for i in items], 0).round().astype(np.uint8)
    return out


def _embedding(synthesizer, held_out, numbers, means, progress) -> Dict[str, Any]:
    """Stage I: squared error of reconstructions in the networks' units ([-1, 1]), beside the mean sketch's."""
    errors = {c: [] for c in COMPONENTS}
    plain = {c: [] for c in COMPONENTS}
    for n in _progress(numbers, "reconstruction", progress):
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


def _distance():
    from ..networks.perceptual_weights import load_distance

    return load_distance()


def _pictures(made, real, distance, jt) -> Dict[str, Any]:
    out = {}
    for name, function in (("l1", metrics.l1), ("psnr", metrics.psnr), ("ssim", metrics.ssim)):
        out[name], out[f"{name}_error"] = metrics.summary(function(a, b) for a, b in zip(made, real))
    if distance is not None:
        values, features = [], ([], [])
        with jt.no_grad():
            for a, b in zip(made, real):
                x, y = _input(a, jt), _input(b, jt)
                values.append(float(distance(x, y).numpy()[0]))
                for side, picture in zip(features, (x, y)):
                    side.append(distance.features(picture, ["relu5_3"])[0].mean(dims=(2, 3)).numpy()[0])
                jt.gc()
        out["perceptual"], out["perceptual_error"] = metrics.summary(values)
        if len(made) > 2:
            a, b = np.array(features[0], np.float64), np.array(features[1], np.float64)
            out["frechet"], out["kernel"] = metrics.frechet(a, b), metrics.kernel_distance(a, b)
    return out


def _input(picture, jt):
    return jt.array(np.ascontiguousarray((picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]))


def _to_canvas(face: np.ndarray, canvas: int) -> np.ndarray:
    if face.shape[0] == canvas:
        return face
    import cv2

    return cv2.resize(face, (canvas, canvas), interpolation=cv2.INTER_AREA)


def _sheet(sketches, examples, real, canvas, most: int = 12):
    """Sketch, a face for each amount of refinement, photograph; two sets a row."""
    chosen = _chosen(len(sketches), most)
    groups = [[np.repeat(sketches[i][:, :, None], 3, 2) for i in chosen]]
    groups += [[faces[i] for i in chosen] for faces in examples] + [[real[i] for i in chosen]]
    return sheets.stack([sheets.row([g[i:i + 2] for g in groups], canvas) for i in range(0, len(chosen), 2)])


def as_table(result: Dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [f"{result['pictures']} pictures of split {result['split']} of {result['data']}, weights "
             f"{result['weights']} ({result['preset']}, {result['canvas']} pixels).", "",
             f"Compared: {result['compared']}.", "",
             "| component | reconstruction MSE | MSE of the mean sketch |", "|---|---|---|"]
    for component, v in result["embedding"].items():
        plain = v["mse_of_the_mean_sketch"]
        lines.append(f"| {component} | {v['mse']:.4f} ± {v['mse_error']:.4f} | "
                     + (f"{plain:.4f} |" if plain is not None else "- |"))
    lines += ["", "| faces | L1 | PSNR dB | SSIM | perceptual | Frechet | kernel |", "|---|---|---|---|---|---|---|"]
    for name, v in result["synthesis"].items():
        cells = [f"{v[k]:.{d}f} ± {v[k + '_error']:.{d}f}" if k in v else "-"
                 for k, d in (("l1", 2), ("psnr", 2), ("ssim", 3), ("perceptual", 4))]
        cells += [f"{v[k]:.4g}" if k in v else "-" for k in ("frechet", "kernel")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", f"Perceptual distance: {result['perceptual distance']}."]
    if "caveat" in result:
        lines.append(result["caveat"])
    return "\n".join(lines) + "\n"


def write(result: Dict[str, Any], out) -> None:
    """figures.json, figures.md and sheet.png in ``out``."""
    import json

    out = Path(out)
    plain = {k: v for k, v in result.items() if k != "sheet"}
    text = json.dumps(plain, indent=2) + "\n"
    write_atomically(out / "figures.json", lambda t: t.write_text(text, encoding="utf-8"))
    write_atomically(out / "figures.md", lambda t: t.write_text(as_table(result), encoding="utf-8"))
    if result.get("sheet") is not None:
        write_png(out / "sheet.png", result["sheet"])
