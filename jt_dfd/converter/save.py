"""A pipeline, trained on in PyTorch, as a folder of weights that everything here reads."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

import numpy as np

from ..checkpoints import CheckpointError, check_arrays
from ..components import COMPONENTS
from ..layout import KINDS, specification
from . import formats
from .convert_folder import check_free_place, staged, write_torch_config
from .folders import stem
from .unwrap import BANK


def save_pretrained(pipeline, path, suffix: str = ".pth", force: bool = False,
                    provenance: Optional[Dict[str, Any]] = None) -> None:
    """Write a ``torch_modules.Pipeline`` as ``tools/convert_weights.py to-torch`` writes a folder: ``load_pretrained``
    reads it again, and ``to-jittor`` takes it back to Jittor.

    suffix        of the files: ".pth", ".pt" or ".safetensors"
    force         replace a folder of weights that is there
    provenance    noted in config.json: where the weights come from

    CheckpointError names what is missing or no longer finite; the folder is written whole or not at all.
    """
    path = Path(path)
    if suffix not in formats.TORCH_SUFFIXES:
        raise CheckpointError(f"format {suffix!r}: expected one of {', '.join(formats.TORCH_SUFFIXES)}")
    if not pipeline.image_decoders:
        raise CheckpointError(f"{path}: the pipeline was loaded without its image decoders, so this would be no whole "
                              "folder; load it with image_decoders=True")
    check_free_place(path, force)
    with staged(path) as staging:
        for place, shapes, network in _networks(pipeline):
            target = _target(staging, place, suffix)
            formats.write(target, _arrays(network, shapes, path / target.relative_to(staging)))
        for (component, gender), rows in pipeline.banks.items():
            formats.write(_target(staging, stem("bank", component, gender), suffix), {BANK: np.asarray(rows)})
        write_torch_config(staging, pipeline.config, suffix, provenance or {})


def _networks(pipeline) -> Iterator[Tuple[str, Dict[str, Tuple[int, ...]], Any]]:
    """(place, names and shapes, module) of each network."""
    groups = {"encoder": pipeline.encoders, "image_decoder": pipeline.image_decoders,
              "feature_decoder": pipeline.feature_decoders}
    for kind in KINDS:
        if kind in groups:
            for component in COMPONENTS:
                yield (stem(kind, component), specification(kind, pipeline.config, component), groups[kind][component])
    for kind, network in (("generator", pipeline.generator), ("discriminator", pipeline.discriminator)):
        if network is not None:
            yield stem(kind), specification(kind, pipeline.config), network


def _target(staging: Path, place: str, suffix: str) -> Path:
    target = staging / (place + suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _arrays(network, shapes: Dict[str, Tuple[int, ...]], source: Path) -> Dict[str, np.ndarray]:
    """The network's weights in storage order, on the CPU; NumPy has no bfloat16, which becomes float32."""
    state, out = network.state_dict(), {}
    for name in shapes:
        tensor = state[name].detach().cpu()
        out[name] = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    check_arrays(out, shapes, source)
    return out
