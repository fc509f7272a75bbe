"""The user's file of FID's Inception: its features against PyTorch, wrong files named, its name in the report."""
import hashlib
import importlib.util
import json
import pickle
import zipfile

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError
from jt_dfd.data import index
from jt_dfd.evaluation import judges
from jt_dfd.evaluation.judges import PUBLISHED_SHA256, check_inception, read_inception


@pytest.fixture(scope="module")
def reference(in_pytorch):
    folder = in_pytorch("inception_in_pytorch")
    return folder / "inception.pth", np.load(str(folder / "features.npz"))


@pytest.fixture(scope="module")
def judge(reference):
    return judges.FidFeatures(reference[0])


def far(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("size", [96, 320])   # enlarged, and reduced
def test_features_are_pytorchs(reference, judge, size):
    wanted = reference[1][f"features {size}"]
    got = judges.each(judge, reference[1][f"pictures {size}"])
    assert got.shape == wanted.shape == (2, 2048)
    assert far(got, wanted) < 1e-4
    assert far(wanted[0], wanted[1]) > 0.01   # or equal features would say nothing
    assert far(got[0] - got[1], wanted[0] - wanted[1]) < 1e-3


@pytest.mark.parametrize("mistake", ["padding counted", "average in the last block", "PyTorch's epsilon",
                                     "pictures in [0, 1]", "corners aligned"])
def test_the_comparison_sees_the_usual_mistakes(reference, mistake):
    assert far(reference[1][mistake], reference[1]["features 96"][:1]) > 1e-3


def test_averages_leave_the_padding_out():
    from jt_dfd.backend import jt
    from jt_dfd.networks.modules import mean_of_neighbours

    assert np.allclose(mean_of_neighbours(jt.ones((1, 2, 5, 6)), 1).numpy(), 1, atol=1e-6)
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 5)).astype(np.float32)
    got = mean_of_neighbours(jt.array(x), 1).numpy()[0, 0]
    assert got[0, 0] == pytest.approx(x[0, 0, :2, :2].mean(), abs=1e-6)
    assert got[3, 2] == pytest.approx(x[0, 0, 2:, 1:4].mean(), abs=1e-6)
    assert got[1, 1] == pytest.approx(x[0, 0, :3, :3].mean(), abs=1e-6)


@pytest.fixture(scope="module")
def zeros():
    from jt_dfd.evaluation.judges import inception_shapes

    return {name: np.zeros(shape, np.float32) for name, shape in inception_shapes().items()}


def test_the_layout_is_the_published_one(zeros):
    """94 convolutions with their norms, and the size of the published file: 95,628,359 bytes with its names."""
    assert len(zeros) == 94 * 5 + 2
    assert 0.998 < sum(a.nbytes for a in zeros.values()) / 95628359 < 1
    counted = {**zeros, "Mixed_7c.branch1x1.bn.num_batches_tracked": np.zeros((), np.int64)}
    assert len(check_inception(counted, "x")) == 472


@pytest.mark.parametrize("change, said", [
    ({"Mixed_6b.branch7x7_2.conv.weight": None}, "missing parameters Mixed_6b.branch7x7_2.conv.weight"),
    ({"Mixed_5b.branch_pool.conv.weight": np.zeros((32, 192, 3, 3), np.float32)},
     r"branch_pool.conv.weight has shape \(32, 192, 3, 3\), expected \(32, 192, 1, 1\)"),
    ({"Mixed_7c.branch1x1.bn.running_var": np.full(320, -1, np.float32)}, "negative variance"),
    ({"fc.bias": np.full(1008, np.nan, np.float32)}, "NaN"),
    ({"Mixed_8a.conv.weight": np.zeros(3, np.float32)}, "unexpected parameters Mixed_8a"),
    ({"fc.weight": np.zeros((1000, 2048), np.float32)}, "torchvision's Inception v3.*no FID"),
    ({"AuxLogits.fc.bias": np.zeros(1000, np.float32)}, "torchvision's Inception v3.*no FID"),
])
def test_other_networks_are_refused(zeros, change, said):
    arrays = {name: a for name, a in {**zeros, **change}.items() if a is not None}
    with pytest.raises(CheckpointError, match=said) as error:
        check_inception(arrays, "mine.pth")
    assert str(error.value).startswith("mine.pth: ") and "xpected FID's Inception" in str(error.value)


def test_damaged_files_are_named(reference, tmp_path):
    path = tmp_path / "cut.pth"
    with open(str(reference[0]), "rb") as stream:
        path.write_bytes(stream.read(1 << 20))
    with pytest.raises(CheckpointError, match="cut.pth.*cut off"):
        read_inception(path)
    with pytest.raises(CheckpointError, match="missing"):
        read_inception(tmp_path / "none.pth")


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"fc.weight": Evil()}, 2))
    with pytest.raises(CheckpointError, match="nothing was run"):
        read_inception(tmp_path / "evil.pth")
    assert "run" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """A set of 4 pictures, all in the test split."""
    import cv2

    folder = tmp_path_factory.mktemp("set")
    random, rows = np.random.default_rng(0), []
    for n in range(4):
        picture = cv2.resize(random.integers(0, 256, (6, 6, 3), np.uint8), (64, 64), interpolation=cv2.INTER_NEAREST)
        sketch = np.where(random.random((64, 64)) < 0.1, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"face{n}.png"), picture)
        cv2.imwrite(str(folder / f"sketch{n}.png"), sketch)
        rows.append(index.Row(f"face{n}.png", f"sketch{n}.png", "female", "test"))
    index.write(folder, rows)
    return folder


@pytest.fixture(scope="module")
def evaluate(root):
    spec = importlib.util.spec_from_file_location("evaluate", str(root / "tools/evaluate.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda arguments: module.run(module.main, arguments)


def test_the_report_says_whose_features_these_are(reference, judge, evaluate, tiny_params, held_out, tmp_path):
    path = reference[0]
    assert evaluate(["--params", str(tiny_params), "--data", str(held_out), "--out", str(tmp_path), "--inception",
                     str(path), "--refine", "0", "--device", "cpu", "--perceptual-network", "off"]) == 0
    result = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    total = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = result["features"]
    assert facts["file"] == "inception.pth" and facts["sha256"] == total and facts["published"] is False
    assert facts["size"] == 2048 and facts["pictures"] == 4
    text = (tmp_path / "figures.md").read_text(encoding="utf-8")
    for words in (total, "inception.pth", "NOT the published file", "biased upwards", "4 a side for 2048 numbers",
                  "FID's Inception"):
        assert words in text
    row = result["synthesis"]["refine 0"]
    assert row["frechet"] > 0 and np.isfinite(row["kernel"])
    assert "perceptual" not in row and result["perceptual distance"] == "not computed, as asked"


def test_the_published_file_is_known_by_its_sum(judge, monkeypatch):
    assert PUBLISHED_SHA256.startswith("6726825d")   # which its name carries
    monkeypatch.setitem(judge.facts, "published", True)
    assert "(the published file)" in judge.caveat(10, 256)


def test_a_wrong_file_ends_before_anything_is_computed(evaluate, tiny_params, held_out, tmp_path, capsys):
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"x" * 1000)
    for option in ("--inception", "--perceptual-network"):
        assert evaluate(["--params", str(tiny_params), "--data", str(held_out), "--out", str(tmp_path / "out"),
                         "--device", "cpu", option, str(wrong)]) == 2
        assert "wrong.pth" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
