"""Folders of weights as training meets them: stage I's run folder, stage II's, Params/demo."""
from __future__ import annotations

from pathlib import Path

from .. import checkpoints
from ..config import Config, preset
from .options import Options, OptionsError


def open_weights(path) -> checkpoints.Folder:
    """A folder of weights, or the ``weights`` inside a run folder.  CheckpointError where it is neither."""
    inner = Path(path) / "weights"
    return checkpoints.open_folder(inner if inner.is_dir() else path)


def config_of(options: Options) -> Config:
    """The network sizes of a run: those of the weights it builds on, where there are any, else the preset's.

    OptionsError where the weights it builds on do not go together.
    """
    sources = [s for s in (options.init_from, getattr(options, "embedding", "")) if s]
    if not sources:
        return preset(options.preset)
    configs = [open_weights(s).config for s in sources]
    if len(configs) == 2 and configs[0].to_dict() != configs[1].to_dict():
        raise OptionsError(f"--init-from {sources[0]} and --embedding {sources[1]} hold networks of different sizes")
    return configs[0]
