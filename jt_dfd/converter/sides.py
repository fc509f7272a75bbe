"""The two frameworks as callers see them: give a file or arrays, get every stage's output on a seeded input.

PyTorch runs in this process, Jittor in a child of its own: they never load in one process.
"""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from ..checkpoints import CheckpointError
from ..checkpoints.recognise import Layout
from ..checkpoints.torch_file import import_torch
from . import stages
from .stages import Saved

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
    """Runs the network in PyTorch, in ``eval()``; given as in stages.run.  Unavailable where PyTorch is not there."""
    check_torch()
    import torch

    from .torch_layers import build_with

    component = layout.component or "rest"
    with torch.no_grad():
        network = build_with(layout.kind, layout.config, component, arrays, share=True)
        for name, output in stages.run(layout.kind, network, layout.config, component, torch.from_numpy, small, given):
            yield name, output.numpy()


class Jittor:
    """The Jittor process, started when first needed.  A context manager: it ends with it.

    The first use on a machine compiles kernels for minutes; what Jittor says meanwhile goes to standard error.
    """

    def __init__(self):
        self._process: Optional[subprocess.Popen] = None
        self._scratch: Optional[tempfile.TemporaryDirectory] = None
        self._why: Optional[str] = None

    def __enter__(self) -> "Jittor":
        return self

    def __exit__(self, *_) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def start(self) -> None:
        """Unavailable where Jittor is not installed; CheckpointError where it is and does not start."""
        if self._why is not None:
            raise Unavailable(self._why)
        if self._process is not None:
            return
        self._scratch = self._scratch or tempfile.TemporaryDirectory(prefix="jt_dfd-verify-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jt_dfd.converter.jittor_side"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, encoding="utf-8", cwd=str(Path(__file__).resolve().parents[2]),
            start_new_session=True)  # Ctrl-C is for this process; the child ends when its input does
        answer = self._answer()
        if answer.get("missing"):
            self._why = "Jittor is not installed (pip install jittor)"
            raise Unavailable(self._why)
        if "ready" not in answer:
            raise CheckpointError(f"Jittor is installed but does not start: {answer.get('error')}. tools/doctor.py "
                                  "says what is missing; --no-verify converts without it.")

    def outputs(self, layout: Layout, path, small: bool, key: Optional[str] = None, dtype: Optional[str] = None,
                given: Optional[Saved] = None) -> Saved:
        """Runs the network in ``path`` (any format).  dtype: round the weights to it first; given as in stages.run."""
        self.start()
        folder = tempfile.mkdtemp(dir=self._scratch.name)
        job = {"path": str(Path(path).resolve()), "key": key, "kind": layout.kind, "component": layout.component,
               "config": layout.config.to_dict(), "dtype": dtype, "small": small, "out": folder,
               "given": str(given.folder) if given else None, "names": given.names if given else None}
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended; the missing answer tells
        answer = self._answer()
        if "stages" not in answer:
            raise CheckpointError(f"{path}: Jittor could not run it: {answer.get('error')}")
        return Saved(Path(folder), answer["stages"])

    def _answer(self) -> Dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            return {"error": f"the Jittor process ended (status {self._process.wait()})"}
        return json.loads(line)


def compare(reference, outputs) -> List[Tuple[str, float]]:
    """(stage, relative difference) for every stage of two runs; both must have the same stages."""
    out, theirs = [], iter(outputs)
    for name, ours in reference:
        other, output = next(theirs, (None, None))
        out.append((name, stages.difference(ours, output) if other == name else float("inf")))
    if next(theirs, None) is not None:
        out.append(("further stages", float("inf")))
    return out
