"""Sketch to face as an ONNX model."""
import os

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError
from jt_dfd.converter import command
from jt_dfd.pictures import to_pixels

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")
pytest.importorskip("onnx", reason="onnx is not installed (pip install 'jt_dfd[torch]')")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install 'jt_dfd[torch]')")
from jt_dfd.converter import convert, torch_modules  # noqa: E402

pytestmark = pytest.mark.torch


def run(model, sketch):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("sketch", list(sketch.shape))]
    return to_pixels(session.run(["face"], {"sketch": sketch})[0])


def test_it_gives_the_same_picture(tiny_params, parity, tmp_path, capsys):
    assert command.main(["to-onnx", str(tiny_params), str(tmp_path / "face.onnx")]) == 0
    assert "grey levels" in capsys.readouterr().out and os.listdir(tmp_path) == ["face.onnx"]
    pipeline = torch_modules.load_pretrained(tiny_params)
    sketch = torch_modules.sketch_tensor(parity / "sketch_b.png", 64)
    with torch.no_grad():
        expected = to_pixels(pipeline(sketch, refine=0).numpy())
    assert np.abs(run(tmp_path / "face.onnx", sketch.numpy()).astype(int) - expected).max() <= 1
    with pytest.raises(CheckpointError, match="--force"):
        convert.export_onnx(tiny_params, tmp_path / "face.onnx")


def test_a_model_that_differs_is_refused(tiny_params, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_difference", lambda *_: 2)
    with pytest.raises(CheckpointError, match="2 grey levels"):
        convert.export_onnx(tiny_params, tmp_path / "face.onnx")
    assert os.listdir(tmp_path) == []


@pytest.mark.full
def test_the_releases_face_comes_out_of_onnx_runtime(release_params, parity, tmp_path):
    from PIL import Image

    convert.export_onnx(release_params, tmp_path / "face.onnx", verify=False)
    sketch = torch_modules.sketch_tensor(parity / "sketch_a.png").numpy()
    face = run(tmp_path / "face.onnx", sketch)[0].transpose(1, 2, 0).astype(int)
    expected = np.asarray(Image.open(parity / "case_a_face.png").convert("RGB")).astype(int)
    assert np.abs(face - expected).max() <= 1
