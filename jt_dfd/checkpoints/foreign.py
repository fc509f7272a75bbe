"""Checkpoints of other projects, brought into this one's layout.

pix2pixHD     its global generator has the names of ours; its InstanceNorm is not affine, which is the same as weight 1
              and bias 0.  Its multi-scale discriminator counts scales from the coarsest, ours from full size.
torchvision   VGG16 and VGG19, of which the perceptual loss needs the convolutions.
"""
from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

import numpy as np

from .. import layout

Arrays = Dict[str, np.ndarray]
_STATISTICS = ("running_mean", "running_var")


def generator(arrays: Arrays) -> Tuple[Arrays, List[str]]:
    """(arrays, notes): a generator whose norms have no weights gets them; anything else comes back as it is."""
    if "model.1.weight" not in arrays or "model.2.weight" in arrays:
        return arrays, []
    notes = []
    if arrays["model.1.weight"].ndim != 4:
        return arrays, []
    # PyTorch before 0.4 stored running statistics with every InstanceNorm and used them in none
    old = [name for name in arrays if name.rpartition(".")[2] in _STATISTICS]
    if old:
        arrays = {name: array for name, array in arrays.items() if name not in set(old)}
        notes.append(f"left out {len(old)} running statistics of the instance norms: every picture is normalised by its "
                     "own, as PyTorch before 0.4 did")
    out, added = {}, 0
    last = _last_convolution(arrays)
    for name, array in arrays.items():
        out[name] = array
        place, _, leaf = name.rpartition(".")
        if leaf != "bias" or place == last or array.ndim != 1:
            continue
        norm = re.sub(r"(\d+)$", lambda number: str(int(number.group()) + 1), place)
        if f"{norm}.weight" in arrays:
            continue
        added += 1
        out[f"{norm}.weight"] = np.ones(array.shape, array.dtype)
        out[f"{norm}.bias"] = np.zeros(array.shape, array.dtype)
    notes.append(f"pix2pixHD's instance norms without weights: wrote weight 1 and bias 0 for {added}")
    return out, notes


def _last_convolution(arrays: Arrays) -> Optional[str]:
    places = [int(name.split(".")[1]) for name in arrays if re.fullmatch(r"model\.\d+\.weight", name)]
    return f"model.{max(places)}" if places else None


def discriminator(arrays: Arrays) -> Tuple[Arrays, List[str]]:
    """(arrays, notes): pix2pixHD's multi-scale discriminator in this project's order of scales, norms with weights."""
    scales = sorted({int(m.group(1)) for m in (re.match(r"scale(\d+)_layer\d+\.", name) for name in arrays) if m})
    if scales != list(range(len(scales))) or not scales or "scale0_layer1.1.weight" in arrays \
            or "scale0_layer1.0.bias" not in arrays:
        return arrays, []
    out: Arrays = {}
    for scale in scales:
        own = {name: array for name, array in arrays.items() if name.startswith(f"scale{scale}_")
               and name.rpartition(".")[2] not in _STATISTICS}
        layers = max(int(re.match(r"scale\d+_layer(\d+)", name).group(1)) for name in own)
        for name, array in own.items():
            place = re.sub(r"^scale\d+", f"scale{len(scales) - 1 - scale}", name)
            out[place] = array
            match = re.fullmatch(r"(scale\d+_layer(\d+))\.0\.bias", place)
            if match and 0 < int(match.group(2)) < layers:
                out[f"{match.group(1)}.1.weight"] = np.ones(array.shape, array.dtype)
                out[f"{match.group(1)}.1.bias"] = np.zeros(array.shape, array.dtype)
    return out, ["pix2pixHD's discriminator: scales in the order of this project's, norms with weight 1 and bias 0"]


VGGS = ("vgg16", "vgg19")


def vgg_places(kind: str) -> Dict[str, Tuple[str, Tuple[int, ...]]]:
    """Name of each convolution ("conv1_1" ... "conv5_4") -> (torchvision's name "features.N", shape of its weight)."""
    out, stage, number = {}, 1, 0
    for index, layer in enumerate(layout.vgg(kind)):
        if isinstance(layer, layout.Pool):
            stage, number = stage + 1, 0
        elif isinstance(layer, layout.Conv):
            number += 1
            out[f"conv{stage}_{number}"] = (f"features.{index}", layout.shapes_of(layer)["weight"])
    return out


def vgg_shapes(kind: str) -> Dict[str, Tuple[int, ...]]:
    """torchvision's names of the convolutions' weights and biases, with their shapes."""
    out: Dict[str, Tuple[int, ...]] = {}
    for place, shape in vgg_places(kind).values():
        out[f"{place}.weight"], out[f"{place}.bias"] = shape, shape[:1]
    return out


def vgg(arrays: Arrays) -> Optional[Tuple[str, Arrays, List[str]]]:
    """("vgg16" or "vgg19", {"conv1_1.weight": ..., ...}, notes) where the arrays are torchvision's VGG or were written
    here, else None."""
    for kind in VGGS:
        places = vgg_places(kind)
        for theirs in (True, False):
            names = {name: place if theirs else name for name, (place, _) in places.items()}
            wanted = {f"{name}.{leaf}" for name in names.values() for leaf in ("weight", "bias")}
            rest = {name for name in arrays if name not in wanted}
            if not wanted <= set(arrays) or any(not name.startswith("classifier.") for name in rest):
                continue
            if any(tuple(arrays[f"{names[name]}.weight"].shape) != shape
                   or tuple(arrays[f"{names[name]}.bias"].shape) != shape[:1]
                   for name, (_, shape) in places.items()):
                continue
            out = {f"{name}.{leaf}": arrays[f"{names[name]}.{leaf}"] for name in places for leaf in ("weight", "bias")}
            return kind, out, ([f"left out {len(rest)} arrays of the classifier"] if rest else [])
    return None
