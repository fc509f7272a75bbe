"""Checkpoints of other projects, brought into this one's layout.

pix2pixHD     its global generator has the names of ours; its InstanceNorm is not affine, which is the same as weight 1
              and bias 0.  Its multi-scale discriminator counts scales from the coarsest, ours from full size.
torchvision   VGG16 and VGG19, of which the perceptual loss needs the convolutions.

Networks that cannot run here are told by their names, too, and called what they are.
"""
from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

import numpy as np

from .. import layout
from .arrays import CheckpointError

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
        notes.append(f"left out {len(old)} running statistics of the instance norms: every picture is normalised by "
                     "its own, as PyTorch before 0.4 did")
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
    notes = ["pix2pixHD's discriminator: scales in the order of this project's, norms with weight 1 and bias 0"]
    old = sum(name.rpartition(".")[2] in _STATISTICS for name in arrays)
    if old:
        notes.append(f"left out {old} running statistics of the discriminator's instance norms: it is of use in "
                     "training alone, where PyTorch normalises every picture by its own")
    for scale in scales:
        own = {name: array for name, array in arrays.items() if name.startswith(f"scale{scale}_")
               and name.rpartition(".")[2] not in _STATISTICS}
        layers = max(int(re.findall(r"scale\d+_layer(\d+)", name)[0]) for name in own)
        for name, array in own.items():
            place = re.sub(r"^scale\d+", f"scale{len(scales) - 1 - scale}", name)
            out[place] = array
            match = re.fullmatch(r"(scale\d+_layer(\d+))\.0\.bias", place)
            if match and 0 < int(match.group(2)) < layers:
                out[f"{match.group(1)}.1.weight"] = np.ones(array.shape, array.dtype)
                out[f"{match.group(1)}.1.bias"] = np.zeros(array.shape, array.dtype)
    return out, notes


XU_JUSTIN = ("of Xu-Justin/DeepFaceDrawing, a PyTorch reimplementation of another architecture (one BatchNorm shared "
       "by both convolutions of a residual block, LeakyReLU of slope 0.1, feature maps that are multiplied, a sigmoid "
       "at the end, eye windows 30 pixels higher), so its weights cannot run here; train anew, or use the authors' "
       "release")
#: what names tell, and what such a file is; the first that fits is said
_ELSEWHERE = (
    (r"(^|\.)encoder_list\.\d+\.conv\.weight$", "a component encoder " + XU_JUSTIN),
    (r"(^|\.)decoder_list\.\d+\.conv1\.weight$", "a component decoder " + XU_JUSTIN),
    (r"(^|\.)resnet\.\d+\.conv1\.weight$", "the generator " + XU_JUSTIN),
    (r"(^|\.)dis\.\d+\.conv\.weight$", "a discriminator " + XU_JUSTIN),
    (r"(^|\.)model1_1\.1\.weight$", "pix2pixHD's local enhancer (--netG local), a second generator of finer resolution "
                                    "around a global one; only global generators (--netG global) have a place here"),
    (r"weight_orig$|parametrizations\.weight\.original$",
     "a network with spectral normalisation; fold it in (torch.nn.utils.remove_spectral_norm, or "
     "parametrize.remove_parametrizations) and save the state_dict() again"),
    (r"weight_g$|parametrizations\.weight\.original0$",
     "a network with weight normalisation; fold it in (torch.nn.utils.remove_weight_norm, or "
     "parametrize.remove_parametrizations) and save the state_dict() again"),
    (r"lora_(up|down|A|B)\b", "a LoRA, a small change to another network's weights, not a network"),
    (r"_packed_params", "a quantised network; save the one of floating point numbers that it was made of"),
    (r"^model\.model\.1\.model\.", "pix2pix's U-Net generator, another architecture than the generator here"),
    (r"^layer0\.0\.weight$", "a pix2pixHD discriminator without intermediate features, which training here needs"),
    (r"^(AuxLogits|Mixed_5b)\.", "an Inception v3, which only tools/evaluate.py --inception takes"),
    (r"^layer1\.0\.conv1\.weight$", "a ResNet; the perceptual loss takes torchvision's VGG19 or VGG16"),
    (r"^(head_0|G_middle_0)\.", "a SPADE generator, another architecture than the generator here"),
    (r"(^|\.)(synthesis\.|mapping\.fc0|convs\.0\.conv\.modulation)", "a StyleGAN, another architecture than the "
                                                                      "generator here"),
    (r"^model\.diffusion_model\.|(^|\.)down_blocks\.0\.", "a diffusion model, another architecture than any here"),
    (r"(^|\.)(visual|vision_model|text_model|bert|transformer)\.", "a transformer, another architecture than any here"))
_VGG_BY_CONVOLUTIONS = {8: 11, 10: 13, 13: 16, 16: 19}


def refuse_others(arrays: Arrays, source, counted: bool = False) -> None:
    """CheckpointError, in one sentence, where the arrays are of a network that is known and cannot run here.

    counted: whether PyTorch's num_batches_tracked were there, which it stores with statistics that it uses.
    """
    what = _elsewhere(arrays, counted)
    if what is not None:
        raise CheckpointError(f"{source}: is {what}.")


def _elsewhere(arrays: Arrays, counted: bool) -> Optional[str]:
    names = "\n".join(name for name in arrays if "\n" not in name)
    for pattern, what in _ELSEWHERE:
        if re.search(pattern, names, re.M):
            return what
    first = arrays.get("features.0.weight")
    if first is not None and first.shape == (64, 3, 3, 3):
        batch = "features.1.running_mean" in arrays
        depth = _VGG_BY_CONVOLUTIONS.get(sum(re.fullmatch(r"features\.\d+\.weight", name) is not None and a.ndim == 4
                                             for name, a in arrays.items()))
        if depth and (batch or depth < 16):
            return (f"torchvision's VGG{depth}" + (f" with batch normalisation (vgg{depth}_bn)" if batch else "")
                    + "; the perceptual loss takes vgg19 or vgg16 without it")
    variances = {name: a for name, a in arrays.items() if name.endswith(".running_var")}
    ours = "model.1.weight" in arrays or "scale0_layer0.0.weight" in arrays
    if not ours or not variances:
        return None
    network = "generator" if "model.1.weight" in arrays else "discriminator"
    if any(name[:-len("running_var")] + "weight" in arrays for name in variances):
        return (f"a {network} of {len(variances)} batch norms (or instance norms with running statistics, which look "
                "the same); here every picture is normalised by its own statistics, so it would give other pictures")
    if network == "generator" and counted:
        every = np.concatenate([np.ravel(a) for a in variances.values()] or [np.zeros(1)])
        low, high = every.min(initial=np.inf), every.max(initial=0)
        return (f"a generator whose {len(variances)} instance norms have running statistics (variances {low:.3g} to "
                f"{high:.3g}), by which PyTorch normalises in eval(); here every picture is normalised by its own, so "
                "it would give other pictures. If it is meant to be run in train(), load it with "
                "track_running_stats=False and strict=False and save that")
    return None


VGGS = ("vgg16", "vgg19")


def vgg_places(kind: str) -> Dict[str, Tuple[str, Tuple[int, ...]]]:
    """Name of each convolution ("conv1_1" ... "conv5_4") -> (torchvision's name "features.N", shape of its weight)."""
    out, level, number = {}, 1, 0
    for index, layer in enumerate(layout.vgg(kind)):
        if isinstance(layer, layout.Pool):
            level, number = level + 1, 0
        elif isinstance(layer, layout.Conv):
            number += 1
            out[f"conv{level}_{number}"] = (f"features.{index}", layout.shapes_of(layer)["weight"])
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
