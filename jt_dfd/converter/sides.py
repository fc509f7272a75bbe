"""The two frameworks as callers see them: give a file or arrays, get every layer's output on a seeded input.

PyTorch runs in this process, Jittor in a child of its own: they never load in one process.
"""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from .. import layout
from ..checkpoints import CheckpointError, formats
from ..checkpoints.recognise import Layout, recognise
from ..checkpoints.torch_file import import_torch
from ..child import Child, ChildError
from ..config import Config
from ..errors import UserError
from ..runtime import jittor_copy

SEED = 20200601


def run(kind: str, network, config: Config, component: str, tensor: Callable[[np.ndarray], Any], small: bool,
        given: Optional["Saved"] = None, seed: int = SEED) -> Iterator[Tuple[str, Any]]:
    """Yields (name of the layer, its output as the framework's tensor), on seeded input.

    A layer is one entry of a network's sequence (a Down, a Res, a convolution, ...).
    small: runs the convolutions on a corner of the picture: every weight takes part all the same, in a fraction of the
    time.
    tensor: numpy array -> framework's tensor.  given: another run's outputs; every layer then starts from what that
    run gave for the one before, so that rounding does not add up along the network.
    """
    random = np.random.default_rng(seed)

    def noise(*shape):
        return tensor(random.standard_normal(shape, dtype=np.float32))

    if kind == "discriminator":
        size = min(config.canvas, 64) if small else config.canvas
        maps = network(noise(1, config.feature_channels, size, size), noise(1, 3, size, size))
        for scale, outputs in enumerate(maps):
            for layer, output in enumerate(outputs):
                yield f"scale{scale}_layer{layer}", output
        return
    x, count = None, 0
    for sequence in layout.network(kind, config, component):
        width, size = layout.channels(sequence.layers), sequence.size
        if small and size:
            size = _smaller(sequence)
        if x is None or (small and not sequence.size):  # the linear layer wants the whole grid
            x = noise(1, width, size, size) if size else noise(1, width)
        elif size:
            x = x.reshape((1, width, sequence.size, sequence.size))[:, :, :size, :size]
        else:
            x = x.reshape((1, -1))
        for number, layer in enumerate(getattr(network, sequence.name)):
            x = layer(x)
            yield f"{sequence.name}.{number}", x
            if given is not None:
                x = tensor(given[count])
            count += 1


def _smaller(sequence: layout.Sequence) -> int:
    """Edge of a corner of the sequence's map, four cells of its lowest resolution (a generator's eight) or all there
    are."""
    lowest = size = sequence.size
    for layer in sequence.layers:
        size = layout.size_after(layer, size)
        lowest = min(lowest, size)
    cells = 8 if sequence.name == "model" else 4
    return sequence.size // lowest * min(cells, lowest)


class Saved:
    """A run's outputs in a folder, one file a layer: gone through as often as needed, one in memory at a time."""

    def __init__(self, folder: Path, names: List[str]):
        self.folder, self.names = folder, names

    @classmethod
    def keep(cls, outputs: Iterable[Tuple[str, np.ndarray]], folder: Path) -> "Saved":
        names = []
        for name, output in outputs:
            np.save(str(folder / f"{len(names):03d}.npy"), output)
            names.append(name)
        return cls(folder, names)

    def __getitem__(self, number: int) -> np.ndarray:
        return np.load(str(self.folder / f"{number:03d}.npy"))

    def __iter__(self) -> Iterator[Tuple[str, np.ndarray]]:
        for number, name in enumerate(self.names):
            yield name, self[number]

    def discard(self) -> None:
        """Remove the files."""
        shutil.rmtree(str(self.folder), ignore_errors=True)


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference relative to the output's scale, its largest magnitude; infinite where shapes differ or a
    number is not finite."""
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    scale = float(np.abs(ours).max(initial=0))
    largest = float(np.abs(ours - theirs).max(initial=0))
    if largest == 0:
        return 0.0
    return largest / scale if scale else float("inf")


Outputs = Iterator[Tuple[str, np.ndarray]]


class Unavailable(Exception):
    """A framework that is not installed; the message says how to get it."""


def check_torch() -> None:
    """Unavailable where PyTorch is not installed."""
    try:
        import_torch()
    except CheckpointError:
        raise Unavailable("PyTorch is not installed (pip install 'jt_dfd[torch]')") from None


def torch_outputs(layout: Layout, arrays: Dict[str, np.ndarray], small: bool, given: Optional[Saved] = None) -> Outputs:
    """Runs the network in PyTorch, in ``eval()``; given as in ``run``.  Unavailable where PyTorch is not there."""
    check_torch()
    import torch

    from .torch_layers import build_with

    component = layout.component or "rest"
    with torch.no_grad():
        network = build_with(layout.kind, layout.config, component, arrays, share=True)
        for name, output in run(layout.kind, network, layout.config, component, torch.from_numpy, small, given):
            yield name, output.numpy()


class Jittor:
    """The Jittor process, started when first needed.  A context manager: it ends with it.

    The first use on a machine compiles kernels for minutes; what Jittor says meanwhile goes to standard error.
    """

    def __init__(self):
        self._child: Any = None  # a Child
        self._scratch: Any = None  # a TemporaryDirectory

    def __enter__(self) -> "Jittor":
        return self

    def __exit__(self, *_) -> None:
        if self._child is not None:
            self._child.close(20)
        if self._scratch is not None:
            self._scratch.cleanup()

    def start(self) -> None:
        """Unavailable where Jittor is not installed; CheckpointError where it is and does not start."""
        if self._child is not None:
            return
        if jittor_copy.find_source() is None:
            raise Unavailable("Jittor is not installed (python -m jt_dfd.runtime fetches it)")
        self._scratch = self._scratch or tempfile.TemporaryDirectory(prefix="jt_dfd-verify-")
        child = Child(__name__ + ":JittorSide")
        try:
            child.ask("start")
        except (ChildError, UserError) as error:
            child.close()
            raise CheckpointError(f"Jittor is installed but does not start: {error}. tools/doctor.py says what is "
                                  "missing; --no-verify converts without it.") from error
        self._child = child

    def outputs(self, layout: Layout, path, small: bool, key: Optional[str] = None, dtype: Optional[str] = None
                ) -> Saved:
        """Runs the network in ``path`` (any format).  dtype: round the weights to it first."""
        self.start()
        folder = tempfile.mkdtemp(dir=self._scratch.name)
        try:
            names = self._child.ask(
                "outputs", path=str(Path(path).resolve()), key=key, kind=layout.kind, component=layout.component,
                config=layout.config.to_dict(), dtype=dtype, small=small, out=folder)
        except (ChildError, UserError) as error:
            raise CheckpointError(f"{path}: Jittor could not run it: {error}") from error
        return Saved(Path(folder), names)


class JittorSide:
    """What runs in the Jittor process (``jt_dfd.child``)."""

    def start(self) -> str:
        """Jittor's version.  What it lacks is said now, before the first network."""
        from .. import runtime

        return runtime.jt().__version__

    def outputs(self, **job) -> List[str]:
        """The names of the layers; memory is given back before PyTorch's turn.  See ``_run``."""
        from ..backend import jt

        try:
            return self._run(**job)
        finally:
            jt.clean_graph()
            jt.gc()

    def _run(self, path, key, kind, component, config, dtype, small, out) -> List[str]:
        """Writes every layer's output into the folder ``out``, as Saved does."""
        from ..backend import jt
        from ..networks import build, load_arrays

        config = Config.from_dict(config)
        _, arrays, _ = recognise(formats.read_any(path), path, key, Layout(kind, component, config))
        network = build(kind, config, component or "rest")
        if dtype:
            arrays = {name: array.astype(dtype) for name, array in arrays.items()}
        load_arrays(network, arrays, consume=True)
        network.eval()
        with jt.no_grad():
            outputs = run(kind, network, config, component or "rest", jt.array, small)
            return Saved.keep(((name, output.numpy()) for name, output in outputs), Path(out)).names


def compare(reference, outputs) -> List[Tuple[str, float]]:
    """(layer, relative difference) for every layer of two runs; both must have the same layers."""
    out, theirs = [], iter(outputs)
    for name, ours in reference:
        other, output = next(theirs, (None, None))
        out.append((name, difference(ours, output) if other == name else float("inf")))
    if next(theirs, None) is not None:
        out.append(("further layers", float("inf")))
    return out
