"""What is in a file of weights: unwrapped, tidied of what training frameworks add, and recognised by names and shapes.

    layout, arrays, notes = recognise(formats.read_any(path), path)
    layout.kind, layout.component, layout.config

Of a network only its own sizes can be read off; the other fields of ``layout.config`` are a preset's.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..checkpoints.bfloat16 import Widened
from ..checkpoints.errors import CheckpointError
from ..checkpoints.strict import check_arrays
from ..components import COMPONENTS, GRID
from ..config import PRESETS, Config, ConfigError
from ..networks.specification import specification
from . import foreign
from .nearest import unknown_layout
from .unwrap import BANK, unwrap

Arrays = Dict[str, np.ndarray]

@dataclass(frozen=True)
class Layout:
    """What a file was recognised as.

    kind        "encoder", "image_decoder", "feature_decoder", "generator", "discriminator", "bank" or "vgg16", "vgg19"
    component   of the first three: "eye1" (which may as well be eye2: they have the same shapes), "nose", "mouth",
                "rest"; "" otherwise
    config      sizes of the network; None for banks and VGG
    preset      name of the preset it fits, or None
    sizes       the fields of ``config`` that the file itself told
    """

    kind: str
    component: str = ""
    config: Optional[Config] = None
    preset: Optional[str] = None
    sizes: Optional[Dict[str, Any]] = None

    def __str__(self):
        what = {"image_decoder": "image decoder", "feature_decoder": "feature decoder", "bank": "feature bank",
                "vgg16": "VGG16", "vgg19": "VGG19"}.get(self.kind, self.kind)
        part = "an eye" if self.component.startswith("eye") else "the " + self.component
        whose = f" of {part}" if self.component else ""
        sizes = "" if self.config is None else (f", preset {self.preset}" if self.preset else ", of no preset's sizes")
        return what + whose + sizes


def recognise(value: Any, source, key: Optional[str] = None, expected: Optional[Layout] = None,
              ) -> Tuple[Layout, Arrays, List[str]]:
    """(layout, arrays in storage order with their element types kept, notes on what was changed).

    source: the path, for messages and for telling the two eyes apart.  expected: what the file has to be.
    CheckpointError for anything else than one whole network of a known family, with the nearest matches name by name.
    """
    arrays, notes = unwrap(value, source, key)
    if any(isinstance(array, Widened) for array in arrays.values()):
        notes.append("widened bfloat16 to float32, which holds it exactly")
    for convert in (foreign.generator, foreign.discriminator):
        arrays, more = convert(arrays)
        notes += more
    vgg = foreign.vgg(arrays)
    if vgg is not None and expected is None:
        kind, arrays, more = vgg
        _finite_floats(arrays, source)
        return Layout(kind), arrays, notes + more
    if set(arrays) == {BANK} and expected is None:
        if arrays[BANK].ndim != 2 or not arrays[BANK].size:
            raise CheckpointError(f"{source}: a bank has two dimensions, rows and latent; found {arrays[BANK].shape}")
        _finite_floats(arrays, source)
        return Layout("bank"), arrays, notes
    layout = expected or _layout(arrays, source)
    if layout is None:
        raise unknown_layout({name: array.shape for name, array in arrays.items()}, source)
    shapes = specification(layout.kind, layout.config, layout.component or "rest")
    if expected is None and {n: tuple(a.shape) for n, a in arrays.items()} != shapes:
        raise unknown_layout({name: array.shape for name, array in arrays.items()}, source, (layout.kind, shapes))
    check_arrays(arrays, shapes, source)
    return layout, {name: arrays[name] for name in shapes}, notes


def _finite_floats(arrays: Arrays, source) -> None:
    check_arrays(arrays, {name: array.shape for name, array in arrays.items()}, source)


def _layout(arrays: Arrays, source) -> Optional[Layout]:
    """The family by telling names, the sizes by shapes; None where no family's names are there."""
    try:
        found = _sizes({name: tuple(array.shape) for name, array in arrays.items()}, source)
    except (KeyError, IndexError, ValueError):  # a telling name is there, others are not, or make no network
        return None
    if found is None:
        return None
    kind, component, sizes = found
    try:
        config = _config(sizes)
    except (ConfigError, ValueError):
        return None
    return Layout(kind, component, config, config.preset if config.preset in PRESETS else None, sizes)


def _config(sizes: Dict[str, Any]) -> Config:
    """The preset with these sizes, or a configuration of its own whose other fields are fillers."""
    for config in PRESETS.values():
        if all(getattr(config, field) == value for field, value in sizes.items()):
            return config
    canvas = sizes.get("canvas", 512)
    stages = (1,) * (int(canvas).bit_length() - 5)
    filler = Config(canvas=canvas, encoder_widths=stages, image_widths=stages, feature_widths=stages,
                    generator_downs=1)
    return filler.with_changes(preset="unnamed", **sizes)


def sizes_of(value: Any, source) -> Dict[str, Any]:
    """{field of Config: value} as far as one file's network tells.  CheckpointError where it is of no known family."""
    layout, _, _ = recognise(value, source)
    return layout.sizes


def combined_config(sizes: Dict[str, Any], source) -> Config:
    """The configuration with these sizes; CheckpointError where they do not go together."""
    try:
        return _config(sizes)
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{source}: its networks make no configuration together: {error}") from None


def _sizes(shapes, source):
    """(kind, component, {field of Config: value}) or None."""
    if "fc_mu.0.weight" in shapes:
        widths = _run(shapes, lambda i: f"conv.{2 * i}.conv.weight", 0)
        latent, into = shapes["fc_mu.0.weight"]
        return "encoder", _component(into, widths[-1], source), {
            "canvas": 16 << len(widths), "encoder_widths": widths, "latent": latent}
    if "fc.0.weight" in shapes:
        width = shapes["conv.0.conv_block.1.weight"][0]
        ups = _run(shapes, lambda i: f"conv.{2 * i + 1}.conv.0.weight", 1)
        channels = shapes[f"conv.{2 * len(ups) + 2}.weight"][0]
        cells, latent = shapes["fc.0.weight"]
        # a decoder knows the encoder's last width only
        encoder = next((p.encoder_widths for p in PRESETS.values()
                        if len(p.encoder_widths) == len(ups) and p.encoder_widths[-1] == width),
                       (1,) * (len(ups) - 1) + (width,))
        image = channels == 1
        sizes = {"canvas": 16 << len(ups), "latent": latent, "encoder_widths": encoder,
                 "image_widths" if image else "feature_widths": ups}
        if not image:
            sizes["feature_channels"] = channels
        return "image_decoder" if image else "feature_decoder", _component(cells, width, source), sizes
    if "model.1.weight" in shapes:
        width, channels = shapes["model.1.weight"][:2]
        downs = len(_run(shapes, lambda i: f"model.{4 + 3 * i}.weight", 0))
        blocks = sum(f"model.{4 + 3 * downs + i}.conv_block.1.weight" in shapes for i in range(1000))
        return "generator", "", {"feature_channels": channels, "generator_width": width, "generator_downs": downs,
                                 "generator_blocks": blocks}
    if "scale0_layer0.0.weight" in shapes:
        width, into = shapes["scale0_layer0.0.weight"][:2]
        scales = sum(f"scale{i}_layer0.0.weight" in shapes for i in range(100))
        layers = sum(f"scale0_layer{i}.0.weight" in shapes for i in range(100)) - 2
        return "discriminator", "", {"feature_channels": into - 3, "discriminator_width": width,
                                     "discriminator_layers": layers, "discriminator_scales": scales}
    return None


def _run(shapes, name, axis: int) -> Tuple[int, ...]:
    out = []
    while name(len(out)) in shapes and len(shapes[name(len(out))]) == 4 and len(out) < 30:
        out.append(shapes[name(len(out))][axis])
    return tuple(out)


def _component(cells: int, width: int, source) -> str:
    """The component whose latent grid has that many numbers; the name of the file tells the eyes apart."""
    if not width or cells % width:
        raise ValueError("no whole latent grid")
    fits = [name for name in COMPONENTS if GRID[name] ** 2 == cells // width]
    if not fits:
        raise ValueError("no component has this latent grid")
    named = [name for name in fits if name in Path(str(source)).name]
    return (named or fits)[0]
