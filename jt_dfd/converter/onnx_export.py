"""Sketch to face as one ONNX model: follows the drawing (refine 0), runs wherever ONNX does.

    input  "sketch"  (1, 1, canvas, canvas) float32 in [-1, 1], black strokes on white: (x - 127.5) / 127.5
    output "face"    (1, 3, canvas, canvas) float32 in [-1, 1], RGB: clip((y + 1) / 2 * 255), truncated
"""
from __future__ import annotations

import warnings
from pathlib import Path
from typing import Optional

import numpy as np

from ..atomic import replace_file, scratch_beside
from ..checkpoints import CheckpointError
from ..checkpoints.torch_file import MissingPyTorch, import_torch
from ..pictures import to_pixels
from .convert import check_free

#: ONNX opset: the first with everything used here is 17; any runtime since 2022 reads it (ours)
OPSET = 17
#: largest difference of a grey level between PyTorch's face and ONNX Runtime's
GREY_LEVELS = 1


def export_onnx(source, destination, force: bool = False, verify: bool = True) -> Optional[int]:
    """Export a folder of weights (as ``load_pretrained`` reads it) to ``destination``, an ``.onnx`` file.

    Weights above 2 GB in all, ONNX's bound for one file, go to a ``.onnx.data`` file beside it.
    Returns the largest difference in grey levels between PyTorch's and ONNX Runtime's face on a seeded sketch, None
    without verification or where onnxruntime is not installed.  CheckpointError where it is above GREY_LEVELS, and for
    anything missing; nothing is written then.
    """
    destination = Path(destination)
    if destination.suffix.lower() != ".onnx":
        raise CheckpointError(f"{destination}: an ONNX model's name ends in .onnx")
    check_free(destination, force)
    torch = import_torch(destination)
    try:
        import onnx
    except ImportError:
        raise MissingPyTorch(f"{destination}: the export needs the package onnx. Install the extra: "
                             "pip install 'jt_dfd[torch]'") from None
    from .torch_modules import load_pretrained

    pipeline = load_pretrained(source, image_decoders=False)
    sketch = example_sketch(pipeline.config.canvas)
    with scratch_beside(destination) as folder:
        temporary = folder / destination.name
        model = pipeline.face_from_sketch
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own workings; the result is checked below
            torch.onnx.export(model, (torch.from_numpy(sketch),), str(temporary), input_names=["sketch"],
                              output_names=["face"], opset_version=OPSET, **_exporter(torch))
            expected = model(torch.from_numpy(sketch)).numpy()
        del model, pipeline
        onnx.checker.check_model(str(temporary))
        difference = _difference(temporary, sketch, expected) if verify else None
        if difference is not None and difference > GREY_LEVELS:
            raise CheckpointError(f"{destination}: ONNX Runtime's face differs by {difference} grey levels from "
                                  f"PyTorch's; at most {GREY_LEVELS} is accepted. Nothing was written.")
        for file in sorted(folder.iterdir(), key=lambda file: file.suffix == ".onnx"):  # the model itself last
            replace_file(file, destination.parent / file.name)
        return difference


def example_sketch(canvas: int) -> np.ndarray:
    """(1, 1, canvas, canvas) float32 in [-1, 1]: a few black strokes on white, the same every time."""
    random, page = np.random.default_rng(0), np.ones((1, 1, canvas, canvas), np.float32)
    for _ in range(40):
        x, y = random.integers(0, canvas - canvas // 8, 2)
        length = random.integers(canvas // 16, canvas // 8)
        if random.random() < 0.5:
            page[..., y:y + 2, x:x + length] = -1
        else:
            page[..., y:y + length, x:x + 2] = -1
    return page


def _exporter(torch) -> dict:
    """PyTorch's older exporter by name where it has to be asked for: it needs no further packages."""
    import inspect

    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


def _difference(path: Path, sketch: np.ndarray, expected: np.ndarray) -> Optional[int]:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    face, = session.run(None, {"sketch": sketch})
    return int(np.abs(to_pixels(face).astype(int) - to_pixels(expected)).max())
