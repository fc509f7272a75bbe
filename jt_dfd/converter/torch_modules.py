"""The whole system in PyTorch: sketch -> latents -> projection -> feature maps -> face, as trainable modules.

    from jt_dfd.converter.torch_modules import face_picture, load_pretrained, sketch_tensor

    pipeline = load_pretrained("Params-torch")               # what tools/convert_weights.py to-torch wrote
    face = pipeline(sketch_tensor("sketch.png"), gender="female", refine={"eye1": 0.8, "rest": 1})
    face_picture(face)                                       # (512, 512, 3) uint8 RGB

The members are ordinary modules (``pipeline.encoders["eye1"]``, ``pipeline.generator``, ...): train them, script them,
export them, then ``save_pretrained(pipeline, "mine-torch")`` and ``tools/convert_weights.py to-jittor mine-torch mine``
brings them back to Jittor.  A single member's ``state_dict()``, saved, converts as well.
Needs PyTorch (2.0 or newer); Jittor is neither needed nor imported.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

try:
    import torch
except ImportError as _error:
    raise ImportError("the PyTorch side of the converter needs PyTorch 2.0 or newer; install it with the extra: "
                      "pip install 'jt_dfd[torch]'") from _error
import numpy as np
from torch import Tensor, nn

from ..checkpoints import SHARED_BANK, CheckpointError, check_arrays, formats, new_folder, open_folder
from ..checkpoints.recognise import tidy
from ..components import MERGE_ORDER, PARTS
from ..config import Config, preset
from ..kernels.selection import ANCHORS, check_k, neighbours, rebuilding_weights
from ..layout import specification
from ..pictures import to_input, to_sketch
from ..synthesizer import refine_amounts
from .torch_layers import (
    Decoder,
    Encoder,
    FeatureDecoder,
    Generator,
    ImageDecoder,
    MultiScaleDiscriminator,
    PictureNorm,
    Res,
    build,
    build_with,
)

__all__ = ["Decoder", "Encoder", "FaceFromLatents", "FaceFromSketch", "FeatureDecoder", "Generator", "ImageDecoder",
           "MultiScaleDiscriminator", "PictureNorm", "Pipeline", "Res", "build", "build_with", "crop", "face_picture",
           "load_pretrained", "merge", "preset", "save_pretrained", "sketch_tensor"]


def sketch_tensor(source, canvas: int = 512) -> Tensor:
    """(1, 1, canvas, canvas) float32 in [-1, 1], the networks' input, out of a picture file or a uint8 array
    (H, W) or (H, W, 3), black strokes on white.  PictureError where it is neither."""
    return torch.from_numpy(to_input(to_sketch(source, canvas)))[None, None]


def face_picture(face: Tensor) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a face (3, H, W) or (1, 3, H, W) in [-1, 1]; (N, H, W, 3) of more than one.
    Clipped and truncated as in the release."""
    pixels = ((face.detach().float() + 1) / 2 * 255).clamp(0, 255).to(torch.uint8).cpu()
    pixels = pixels.movedim(-3, -1).numpy()
    return pixels[0] if pixels.ndim == 4 and len(pixels) == 1 else pixels


def crop(sketch: Tensor, component: str, config: Config) -> Tensor:
    """The component's input (N, 1, S, S) out of a sketch (N, 1, canvas, canvas) in [-1, 1]: its window, or for
    ``rest`` the sketch with the four windows painted white."""
    return _crop(sketch, component, _windows(config))


def merge(features: Dict[str, Tensor], config: Config) -> Tensor:
    """Feature maps (N, C, S, S) by component -> one map (N, C, canvas, canvas): the parts overwrite the remainder's
    in the order of MERGE_ORDER, the nose without the rows at its foot."""
    return _merge(features, _merge_windows(config))


# The functions below and the two modules after them keep to what TorchScript understands: those can be scripted.

def _windows(config: Config) -> List[Tuple[str, int, int, int, int]]:
    windows = [(part, config.geometry.window(part)) for part in PARTS]
    return [(part, w.x, w.y, w.size, w.size) for part, w in windows]


def _merge_windows(config: Config) -> List[Tuple[str, int, int, int, int]]:
    return [(part, *config.geometry.merge_window(part)) for part in MERGE_ORDER]


def _crop(sketch: Tensor, component: str, windows: List[Tuple[str, int, int, int, int]]) -> Tensor:
    for part, x, y, width, height in windows:
        if part == component:
            return sketch[:, :, y:y + height, x:x + width]
    for _, x, y, width, height in windows:
        sketch = _paste(sketch, torch.ones_like(sketch[:, :, :height, :width]), x, y)
    return sketch


def _merge(features: Dict[str, Tensor], windows: List[Tuple[str, int, int, int, int]]) -> Tensor:
    merged = features["rest"]
    for part, x, y, _width, height in windows:
        merged = _paste(merged, features[part][:, :, :height], x, y)
    return merged


def _paste(canvas: Tensor, piece: Tensor, x: int, y: int) -> Tensor:
    """``canvas`` with ``piece`` over it, its corner at (x, y).  By concatenation: nothing is changed in place, so it
    can be differentiated, scripted and exported alike."""
    height, width = piece.size(2), piece.size(3)
    band = canvas[:, :, y:y + height]
    band = torch.cat([band[:, :, :, :x], piece, band[:, :, :, x + width:]], 3)
    return torch.cat([canvas[:, :, :y], band, canvas[:, :, y + height:]], 2)


class FaceFromLatents(nn.Module):
    """The generator path: feature decoders, merging, generator.

    latents: five tensors (N, latent) in the order of COMPONENTS (eye1, eye2, nose, mouth, rest)
    -> faces (N, 3, canvas, canvas) in [-1, 1].
    """

    def __init__(self, config: Config, feature_decoders: Mapping[str, nn.Module], generator: nn.Module):
        super().__init__()
        self.windows = _merge_windows(config)
        self.eye1, self.eye2 = feature_decoders["eye1"], feature_decoders["eye2"]
        self.nose, self.mouth = feature_decoders["nose"], feature_decoders["mouth"]
        self.rest, self.generator = feature_decoders["rest"], generator

    def forward(self, eye1: Tensor, eye2: Tensor, nose: Tensor, mouth: Tensor, rest: Tensor) -> Tensor:
        features = {"eye1": self.eye1(eye1), "eye2": self.eye2(eye2), "nose": self.nose(nose),
                    "mouth": self.mouth(mouth), "rest": self.rest(rest)}
        return self.generator(_merge(features, self.windows))


class FaceFromSketch(nn.Module):
    """Sketches (N, 1, canvas, canvas) in [-1, 1] -> faces (N, 3, canvas, canvas) in [-1, 1], following the drawing
    (no projection, refine 0): what an export holds."""

    def __init__(self, config: Config, encoders: Mapping[str, nn.Module], face: FaceFromLatents):
        super().__init__()
        self.windows = _windows(config)
        self.eye1, self.eye2 = encoders["eye1"], encoders["eye2"]
        self.nose, self.mouth, self.rest = encoders["nose"], encoders["mouth"], encoders["rest"]
        self.face = face

    def forward(self, sketch: Tensor) -> Tensor:
        return self.face(self.eye1(_crop(sketch, "eye1", self.windows)), self.eye2(_crop(sketch, "eye2", self.windows)),
                         self.nose(_crop(sketch, "nose", self.windows)),
                         self.mouth(_crop(sketch, "mouth", self.windows)),
                         self.rest(_crop(sketch, "rest", self.windows)))


class Pipeline(nn.Module):
    """The networks and feature banks of one folder of weights.

    config             sizes of all networks
    encoders, image_decoders, feature_decoders    ModuleDicts by component; image_decoders may be empty
    generator          the generator
    discriminator      the multi-scale discriminator of training, or None
    banks              {(component, gender): (rows, latent) float32 array}; gender "all" serves everybody

    ``train()`` and ``eval()`` mean what they always do, save that feature decoders normalise every picture by its own
    statistics in either (see PictureNorm).
    """

    def __init__(self, config: Config, encoders, image_decoders, feature_decoders, generator: nn.Module,
                 discriminator: Optional[nn.Module] = None, banks: Optional[Dict] = None):
        super().__init__()
        self.config = config
        self.encoders, self.image_decoders = nn.ModuleDict(encoders), nn.ModuleDict(image_decoders)
        self.feature_decoders, self.generator = nn.ModuleDict(feature_decoders), generator
        self.discriminator = discriminator
        self.banks = dict(banks or {})

    def encode(self, sketch: Tensor) -> Dict[str, Tensor]:
        """{component: latents (N, latent)} of sketches (N, 1, canvas, canvas) in [-1, 1]."""
        canvas = self.config.canvas
        if sketch.ndim != 4 or tuple(sketch.shape[1:]) != (1, canvas, canvas) or not sketch.is_floating_point():
            raise ValueError(f"expected sketches of shape (N, 1, {canvas}, {canvas}), floating point in [-1, 1]; found "
                             f"shape {tuple(sketch.shape)} of {sketch.dtype}. sketch_tensor() makes them of pictures.")
        return {name: _linear(net.fc_mu[0], net.conv(crop(sketch, name, self.config)).flatten(1))
                for name, net in self.encoders.items()}

    def project(self, latents: Mapping[str, Tensor], gender: str = "female",
                refine: Union[float, Mapping[str, float]] = 1.0, k: int = 15,
                anchor: str = "nearest") -> Dict[str, Tensor]:
        """Latents (N, latent) by component, drawn towards the bank: ``projection * w + latent * (1 - w)``.

        refine: w of each component from 0 (follow the drawing) to 1 (full projection); a number sets all, components
        that are left out stay at 1.  gender: "male" or "female"; without meaning where one bank serves everybody.
        k: neighbours, 15 in the release.  anchor: "nearest", or "release" for the release's own choice.  The choice of
        neighbours and weights has no gradient.
        """
        amounts = refine_amounts(refine)
        check_k(k)
        if anchor not in ANCHORS:
            raise ValueError(f"no anchor {anchor!r}; there are {', '.join(ANCHORS)}")
        out = {}
        for name, latent in latents.items():
            w = amounts[name]
            if w > 0:
                bank = self.bank(name, gender)
                points = [_project(row, bank, k, anchor) for row in latent.detach().float().cpu().numpy()]
                latent = torch.from_numpy(np.stack(points)).to(latent) * w + latent * (1 - w)
            out[name] = latent
        return out

    def forward(self, sketch: Tensor, gender: str = "female", refine: Union[float, Mapping[str, float]] = 1.0,
                k: int = 15, anchor: str = "nearest") -> Tensor:
        """Sketches (N, 1, canvas, canvas) in [-1, 1] -> faces (N, 3, canvas, canvas) in [-1, 1]; see ``project``."""
        vectors = self.project(self.encode(sketch), gender, refine, k, anchor)
        return self.generator(merge({name: net(vectors[name]) for name, net in self.feature_decoders.items()},
                                    self.config))

    @property
    def face_from_latents(self) -> FaceFromLatents:
        """The generator path with this pipeline's own networks, for scripting and export."""
        return FaceFromLatents(self.config, self.feature_decoders, self.generator).train(self.training)

    @property
    def face_from_sketch(self) -> FaceFromSketch:
        """Sketch to face without projection, with this pipeline's own networks, for scripting and export."""
        return FaceFromSketch(self.config, self.encoders, self.face_from_latents).train(self.training)

    def bank(self, component: str, gender: str) -> np.ndarray:
        """(rows, latent) of the gender's bank, or of the one that serves everybody; ValueError where there is none."""
        bank = self.banks.get((component, gender), self.banks.get((component, SHARED_BANK)))
        if bank is None:
            held = sorted({held for _, held in self.banks})
            raise ValueError(f"gender {gender!r}: these weights hold banks for {', '.join(held)}" if held else
                             "these weights came without feature banks: only refine=0 is possible")
        return bank


def _project(latent: np.ndarray, bank: np.ndarray, k: int, anchor: str) -> np.ndarray:
    rows = bank[neighbours(bank, latent, k, anchor)]
    return (rebuilding_weights(rows, latent) @ rows.astype(np.float64)).astype(np.float32)


def _linear(layer: nn.Linear, x: Tensor, block: int = 4096) -> Tensor:
    """``layer(x)`` with the sums of its blocks added up in double.  The remainder's latents are sums of 131,072
    products; added up in single precision they are five times further from the true ones, which is enough to turn
    the choice of the release's anchor (measured on the parity sketches)."""
    total = layer.bias.double() if layer.bias is not None else torch.zeros((), dtype=torch.float64, device=x.device)
    for piece, weight in zip(x.split(block, 1), layer.weight.split(block, 1)):
        total = total + nn.functional.linear(piece, weight).double()
    return total.to(x.dtype)


def load_pretrained(path, device="cpu", image_decoders: bool = True) -> Pipeline:
    """The pipeline of a folder of weights, in ``eval()``: one that ``tools/convert_weights.py to-torch`` wrote, or one
    in the release's own layout and formats.

    device            where to put the networks
    image_decoders    False leaves them out; only sketches are decoded with them, not faces

    CheckpointError names the file where one is missing, damaged or of other sizes than config.json says.
    """
    folder = open_folder(path, sizes_from_files=True)
    needed = [place for place in folder.missing() if image_decoders or "_image" not in place]
    if needed:
        raise CheckpointError(f"{folder.path}: missing {', '.join(needed[:4])}{' and more' if len(needed) > 4 else ''}")
    networks: Dict[str, Dict[str, nn.Module]] = {}
    banks = {}
    for member in folder.members():
        if member.kind == "image_decoder" and not image_decoders:
            continue
        arrays = folder.read(member)
        if member.kind == "bank":
            banks[member.component, member.gender] = arrays["feature"]
            continue
        network = build_with(member.kind, folder.config, member.component, arrays)
        networks.setdefault(member.kind, {})[member.component] = network.to(device)
    return Pipeline(folder.config, networks["encoder"], networks.get("image_decoder", {}), networks["feature_decoder"],
                    networks["generator"][""], networks.get("discriminator", {}).get(""), banks).eval()


def save_pretrained(pipeline: Pipeline, path, suffix: str = ".pth", force: bool = False,
                    provenance: Optional[Dict[str, Any]] = None) -> None:
    """Write a pipeline as ``tools/convert_weights.py to-torch`` writes a folder: ``load_pretrained`` and everything
    else here reads it, and ``to-jittor`` takes it back to Jittor.

    suffix        of the files: ".pth", ".pt" or ".safetensors"
    force         replace a folder of weights that is there
    provenance    noted in config.json: where the weights come from

    CheckpointError names what is missing or no longer finite; the folder is written whole or not at all.
    """
    if suffix not in formats.TORCH_SUFFIXES:
        raise CheckpointError(f"format {suffix!r}: expected one of {', '.join(formats.TORCH_SUFFIXES)}")
    while not isinstance(pipeline, Pipeline):   # wrapped by DataParallel, DistributedDataParallel or torch.compile
        inner = getattr(pipeline, "module", None) or getattr(pipeline, "_orig_mod", None)
        if inner is None:
            raise CheckpointError(f"{path}: expected a Pipeline, found a {type(pipeline).__name__}")
        pipeline = inner
    if not pipeline.image_decoders:
        raise CheckpointError(f"{path}: the pipeline was loaded without its image decoders, so this would be no whole "
                              "folder; load it with image_decoders=True")
    networks = [(kind, component, network) for kind, group in (
        ("encoder", pipeline.encoders), ("image_decoder", pipeline.image_decoders),
        ("feature_decoder", pipeline.feature_decoders)) for component, network in group.items()]
    networks += [("generator", "", pipeline.generator), ("discriminator", "", pipeline.discriminator)]
    with new_folder(path, pipeline.config, suffix, force) as folder:
        for kind, component, network in networks:
            if network is not None:
                source = Path(path) / folder.target(kind, component).relative_to(folder.path)
                folder.write_network(kind, component, _arrays(network, specification(kind, pipeline.config, component),
                                                              source))
        for (component, gender), rows in pipeline.banks.items():
            folder.write_bank(component, gender, np.asarray(rows))
        folder.write_config(provenance)


def _arrays(network: nn.Module, shapes, source) -> Dict[str, np.ndarray]:
    """The network's weights in storage order, on the CPU; NumPy has no bfloat16, which becomes float32."""
    state, _ = tidy(network.state_dict())
    lacking = [name for name in shapes if name not in state]
    if lacking:
        raise CheckpointError(f"{source}: has no {lacking[0]}"
                              + (f" and {len(lacking) - 1} more" if lacking[1:] else "")
                              + "; what is pruned or parametrised has to be made plain first "
                              "(torch.nn.utils.prune.remove, parametrize.remove_parametrizations)")
    tensors = {name: state[name].detach().cpu() for name in shapes}
    out = {name: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for name, t in tensors.items()}
    return check_arrays(out, shapes, source, as_stored=True)
