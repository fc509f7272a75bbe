"""The user's torchvision file: every layer, the loss and its gradient against PyTorch; wrong files named."""
import hashlib

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, write_arrays
from jt_dfd.checkpoints.foreign import vgg_shapes
from jt_dfd.networks.perceptual import load_features

KINDS = ("VGG19", "VGG16")


@pytest.fixture(scope="module")
def reference(in_pytorch):
    folder = in_pytorch("vgg_in_pytorch")
    return {kind: (folder / f"{kind}.pth", np.load(str(folder / f"{kind}.npz"))) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_the_loss_and_its_gradient_are_pytorchs(reference, kind):
    from jt_dfd.backend import jt
    from jt_dfd.networks.perceptual import PerceptualLoss

    path, wanted = reference[kind]
    features, what = load_features(str(path))
    assert what == f"{kind} of {kind}.pth"
    made, real = jt.array(wanted["made"]), jt.array(wanted["real"])
    taps = sorted(tap for tap in wanted.files if tap.startswith("relu"))
    assert len(taps) == {"VGG19": 16, "VGG16": 13}[kind]
    for tap, got in zip(taps, features(made, taps)):
        assert np.abs(got.numpy() - wanted[tap]).max() <= 1e-4 * np.abs(wanted[tap]).max(), tap
    loss = PerceptualLoss(features)(made, real)
    assert loss.item() == pytest.approx(float(wanted["loss"]), rel=1e-4)
    gradient, none = (g.numpy() for g in jt.grad(loss, [made, real]))
    # by length: where two features are all but equal, rounding decides a sign
    assert np.linalg.norm(gradient - wanted["gradient"]) <= 1e-3 * np.linalg.norm(wanted["gradient"])
    assert not none.any()


def test_statistics_are_those_of_colour(reference):
    """A picture of ImageNet's mean colour is zero behind the normalisation: the first layer shows its biases only."""
    from jt_dfd.backend import jt

    features, _ = load_features(str(reference["VGG19"][0]))
    colour = np.array([0.485, 0.456, 0.406], np.float32).reshape((1, 3, 1, 1)) * 2 - 1
    got = features(jt.array(np.broadcast_to(colour, (1, 3, 48, 64)).copy()), ["relu1_1"])[0].numpy()
    bias = features.levels[0][0][1].numpy()
    assert np.allclose(got, np.maximum(bias, 0).reshape((1, -1, 1, 1)), atol=1e-5)


@pytest.fixture
def arrays():
    return {name: np.zeros(shape, np.float32) for name, shape in vgg_shapes("vgg19").items()}


@pytest.mark.parametrize("change, said", [
    (lambda a: a.pop("features.21.weight"), "missing parameters features.21.weight"),
    (lambda a: a.update({"features.28.bias": np.zeros(256, np.float32)}), r"features.28.bias has shape \(256,\)"),
    (lambda a: a.update({"features.0.weight": np.full((64, 3, 3, 3), np.nan, np.float32)}), "NaN"),
    (lambda a: a.update({"features.1.weight": np.zeros(64, np.float32)}), "unexpected parameters features.1.weight"),
])
def test_other_networks_are_told_apart(arrays, tmp_path, change, said):
    change(arrays)
    write_arrays(tmp_path / "vgg.pkl", arrays)
    with pytest.raises(CheckpointError, match=said) as error:
        load_features(str(tmp_path / "vgg.pkl"))
    assert "vgg.pkl" in str(error.value)


def test_evaluation_measures_with_it_and_says_so(reference):
    from jt_dfd.backend import jt
    from jt_dfd.evaluation import judges
    from jt_dfd.networks.perceptual import PerceptualLoss

    path, wanted = reference["VGG19"]
    distance, note = judges.perceptual(str(path))
    a, b = (np.round(wanted[side][0].transpose(1, 2, 0) * 127.5 + 127.5).astype(np.uint8) for side in ("made", "real"))
    x, y = (jt.array((p.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None].copy()) for p in (a, b))
    assert distance(a, b) == pytest.approx(PerceptualLoss(load_features(str(path))[0])(x, y).item(), rel=1e-6)
    assert distance(a, a) == 0
    total = hashlib.sha256(path.read_bytes()).hexdigest()
    assert distance.facts["sha256"] == total and total in note and "VGG19 of VGG19.pth" in note


def test_a_file_cut_off_is_named(reference, tmp_path):
    whole = reference["VGG19"][0].read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(CheckpointError, match="cut.pth.*cut off"):
        load_features(str(tmp_path / "cut.pth"))
