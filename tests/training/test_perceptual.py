"""VGG features: read safely, and equal to what PyTorch makes of the same file."""
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError
from jt_dfd.networks import perceptual


@pytest.fixture
def stlpips():
    if perceptual.stlpips_file() is None:
        pytest.skip("stlpips-pytorch is not installed (pip install --no-deps stlpips-pytorch==0.0.2)")


def pictures():
    rng = np.random.RandomState(0)
    a = rng.rand(2, 3, 64, 64).astype("f") * 2 - 1
    return a, np.clip(a + rng.randn(*a.shape).astype("f") * 0.2, -1, 1).astype("f")


def test_distance_is_the_packages_own(stlpips):
    """The numbers were computed with PyTorch 2.13 from the package's weights by its own layers' definitions."""
    from jt_dfd.backend import jt

    a, b = pictures()
    got = perceptual.load_distance()(jt.array(a), jt.array(b)).numpy()
    assert np.allclose(got, [0.00630118, 0.00697248], rtol=2e-4)
    assert np.allclose(perceptual.load_distance()(jt.array(a), jt.array(a)).numpy(), 0, atol=1e-9)


def test_the_loss_pulls_a_picture_towards_another(stlpips):
    from jt_dfd.backend import jt
    from jt_dfd.networks.perceptual import PerceptualLoss

    features, what = perceptual.load_features("auto")
    assert "stlpips" in what
    loss = PerceptualLoss(features, 2)
    a, b = (jt.array(p) for p in pictures())
    assert loss(b, b).item() < 1e-6
    first = loss(a, b)
    moved = a - 2.0 * jt.grad(first, [a])[0]
    assert loss(moved, b).item() < first.item()


def test_off_and_missing_are_said(monkeypatch, tmp_path):
    assert perceptual.load_features("off") == (None, "off, as asked")
    monkeypatch.setattr(perceptual, "stlpips_file", lambda: None)
    features, what = perceptual.load_features("auto")
    assert features is None and "pip install" in what
    with pytest.raises(CheckpointError, match="missing"):
        perceptual.load_features(str(tmp_path / "vgg19.pth"))


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Evil()}))
    with pytest.raises(CheckpointError, match="nothing was run"):
        perceptual.load_features(str(path))
    row = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"a": Evil()}, [])
    path.write_bytes(b"".join(pickle.dumps(value, 2) for value in row))
    with pytest.raises(CheckpointError, match="nothing was run"):
        perceptual.load_features(str(path))
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"PK\x05\x06" + bytes(18), struct.pack("<q", 5)])
def test_damaged_files_are_named(tmp_path, data):
    path = tmp_path / "vgg.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="vgg.pth"):
        perceptual.load_features(str(path))
