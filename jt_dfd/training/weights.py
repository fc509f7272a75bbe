"""Folders of weights as training meets them: stage I's run folder, stage II's, Params/demo."""
from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, Tuple

from .. import checkpoints
from ..config import Config, preset
from ..networks import into_network, to_arrays
from .options import Options, OptionsError


def open_weights(path) -> checkpoints.Folder:
    """A folder of weights, in the release's layout of any sizes too, or the ``weights`` inside a run folder.
    CheckpointError where it is none of them."""
    inner = Path(path) / "weights"
    return checkpoints.open_folder(inner if inner.is_dir() else path, sizes_from_files=True)


def config_of(options: Options) -> Config:
    """The network sizes of a run: those of its encoders, else those of the weights it begins with, else the
    preset's, changed by ``--set``."""
    source = getattr(options, "embedding", "") or options.init
    config = open_weights(source).config if source else preset(options.preset)
    return config.with_words(options.set)


def begin_with(path, networks: Iterable[Tuple[str, str, object]]) -> List[str]:
    """Load what fits by name and shape of a folder of weights into (kind, component, network); lines on what starts
    anew.  OptionsError where nothing fits at all, CheckpointError where a file is damaged."""
    folder, notes, taken = open_weights(path), [], 0
    for kind, component, network in networks:
        own, what = to_arrays(network), f"{kind} {component}".strip()
        there, source = {}, folder.path / "discriminator.pkl"   # which a run of stage II keeps beside its weights
        if kind == "discriminator" and source.is_file():
            there = checkpoints.read_arrays(source)
        elif folder.has(kind, component or "rest"):
            there, source = folder.network(kind, component or "rest"), folder.find(kind, component)
        fitting = {name: a for name, a in there.items() if name in own and own[name].shape == a.shape}
        anew = [f"{name} {own[name].shape}" + (f", {there[name].shape} there" if name in there else "")
                for name in own if name not in fitting]
        if anew:
            notes.append(f"{path}: {what} starts anew" if not fitting else f"{path}: {what} is taken, but for "
                         + "; ".join(anew[:2]) + (f" and {len(anew) - 2} more" if len(anew) > 2 else ""))
        taken += len(fitting)
        if fitting:
            into_network(network, {**own, **fitting}, source)
    if not taken:
        raise OptionsError(f"--init {path}: nothing in it fits these networks")
    return notes
