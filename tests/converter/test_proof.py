"""The proof itself: Jittor in a process of its own, PyTorch here; and that it refuses what is wrong."""
import os
import shutil

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, read_arrays, write_arrays
from jt_dfd.checkpoints.recognise import Layout
from jt_dfd.cli import run
from jt_dfd.config import preset
from jt_dfd.converter import command, sides, verify
from jt_dfd.converter.convert import convert_file, convert_network
from jt_dfd.converter.sides import Jittor
from jt_dfd.runtime import jittor_copy

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")
pytestmark = [pytest.mark.torch, pytest.mark.skipif(jittor_copy.find_source() is None,
                                                    reason="Jittor is not installed")]


@pytest.fixture(scope="module")
def jittor():
    with Jittor() as process:
        process.start()
        yield process


def test_every_kind_of_network_agrees_at_full_and_at_small_size(jittor, tmp_path, weights_of):
    config = preset("tiny")
    for kind, component in (("encoder", "nose"), ("image_decoder", "rest"), ("feature_decoder", "rest"),
                            ("generator", ""), ("discriminator", "")):
        write_arrays(tmp_path / "a.pkl", weights_of(kind, config, component or "rest"))
        shutil.copy(tmp_path / "a.pkl", tmp_path / "b.pkl")
        for small in (True, False):
            found = verify.run_both(Layout(kind, component, config), tmp_path / "a.pkl", tmp_path / "b.pkl", jittor,
                                    small)
            assert found.layers and found.agree, (kind, found.worst)
            assert found.added is None and 0 < found.worst[1] < 2e-5, (kind, found.worst)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_conversion_there_and_back_is_proven(jittor, suffix, dtype, tmp_path, weights_of):
    write_arrays(tmp_path / "a.pkl", weights_of("feature_decoder", preset("tiny"), "nose"))
    there = convert_network(tmp_path / "a.pkl", tmp_path / ("b" + suffix), "torch", dtype, jittor)
    back = convert_network(tmp_path / ("b" + suffix), tmp_path / "c.pkl", "jittor", dtype, jittor)
    assert 0 < there.proof < verify.TOLERANCE and 0 < back.proof < verify.TOLERANCE


def test_a_network_that_computes_something_else_is_refused(jittor, tmp_path, weights_of, monkeypatch):
    """Running statistics instead of each picture's own: the trap the release sets."""
    from jt_dfd.converter import torch_layers

    write_arrays(tmp_path / "a.pkl", weights_of("feature_decoder", preset("tiny"), "nose"))
    monkeypatch.setattr(torch_layers.PictureNorm, "forward", lambda self, x: torch.nn.functional.batch_norm(
        x, self.running_mean, self.running_var, self.weight, self.bias))
    with pytest.raises(CheckpointError, match=r"a\.pkl: after cross-loading, layer conv\.\d+ differs"):
        convert_network(tmp_path / "a.pkl", tmp_path / "b.safetensors", "torch", None, jittor)
    assert os.listdir(tmp_path) == ["a.pkl"]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_does_not_hold_what_was_saved_is_refused(suffix, tmp_path, weights_of, monkeypatch):
    from jt_dfd.checkpoints import formats

    honest = formats.write

    def careless(path, arrays):
        honest(path, {n: a + np.float32(1e-6) if n == "model.1.bias" else a for n, a in arrays.items()})

    write_arrays(tmp_path / "a.pkl", weights_of("generator", preset("tiny")))
    monkeypatch.setattr(formats, "write", careless)
    with pytest.raises(CheckpointError, match=r"model\.1\.bias came back changed"):
        convert_file(tmp_path / "a.pkl", tmp_path / ("b" + suffix), "torch")
    assert os.listdir(tmp_path) == ["a.pkl"]


class TestRoundingThatAddsUp:
    """The limit is for a layer; what a deep network makes of rounding is told apart from a wrong layer."""

    def saved(self, tmp_path, outputs):
        return sides.Saved.keep(iter(outputs), tmp_path)

    def test_each_layer_right(self, tmp_path):
        one = np.ones(3, np.float32)
        reference = self.saved(tmp_path, [("a", one), ("b", one)])
        found = verify.agreement(reference, lambda given: iter(
            [("a", one), ("b", one * (1 + (1e-6 if given else 1e-4)))]))
        assert found.agree and found.added == pytest.approx(1e-4, rel=0.01)

    def test_one_layer_wrong(self, tmp_path):
        one = np.ones(3, np.float32)
        reference = self.saved(tmp_path, [("a", one), ("b", one)])
        found = verify.agreement(reference, lambda given: iter([("a", one), ("b", one * 1.0001)]))
        assert not found.agree and found.worst[0] == "b"

    @pytest.mark.parametrize("outputs", [[("a", np.full(3, np.nan, np.float32))], [("a", np.ones(2, np.float32))],
                                         [("b", np.ones(3, np.float32))], [],
                                         [("a", np.ones(3, np.float32))] * 2])
    def test_what_cannot_be_compared_never_passes(self, tmp_path, outputs):
        reference = self.saved(tmp_path, [("a", np.ones(3, np.float32))])
        assert not verify.agreement(reference, lambda given: iter(outputs)).agree


def test_verify_command(tiny_params, tmp_path, capsys):
    source = tiny_params / "Combine/latest_net_G.pkl"
    convert_file(source, tmp_path / "g.safetensors", "torch", verify=False)
    assert command.main(["verify", str(source), str(tmp_path / "g.safetensors")]) == 0
    text = capsys.readouterr().out
    assert "identical" in text and "layers run in Jittor and PyTorch" in text

    arrays = dict(read_arrays(source))
    arrays["model.4.bias"] = arrays["model.4.bias"] + np.float32(0.25)
    write_arrays(tmp_path / "other.pkl", arrays)
    assert command.main(["verify", str(source), str(tmp_path / "other.pkl")]) == 1
    text = capsys.readouterr().out
    assert "model.4.bias: differs by up to 0.25" in text and "more than 5e-05" in text

    convert_file(source, tmp_path / "half.safetensors", "torch", "float16", verify=False)
    for tolerance, status in (("1e-3", 0), ("1e-9", 1)):
        assert command.main(["verify", "--no-run", "--tolerance", tolerance, str(source),
                             str(tmp_path / "half.safetensors")]) == status
    assert command.main(["verify", str(source), str(tiny_params / "Combine/latest_net_DE_nose.pkl")]) == 1


def test_verify_runs_what_was_rounded_on_rounded_weights(tiny_params, tmp_path, capsys):
    source = tiny_params / "Combine/latest_net_G.pkl"
    convert_file(source, tmp_path / "half.safetensors", "torch", "float16", verify=False)
    for pair in ((source, tmp_path / "half.safetensors"), (tmp_path / "half.safetensors", source)):
        assert command.main(["verify", "--tolerance", "1e-3", *map(str, pair)]) == 0
        assert "both rounded to float16" in capsys.readouterr().out
    arrays = dict(read_arrays(source))
    arrays["model.4.weight"] = arrays["model.4.weight"] * np.float32(1.002)
    write_arrays(tmp_path / "other.pkl", arrays)
    assert command.main(["verify", "--tolerance", "1e-2", str(tmp_path / "other.pkl"),
                         str(tmp_path / "half.safetensors")]) == 1


def test_verify_takes_one_of_several_networks(tiny_params, tmp_path, capsys, weights_of):
    source = tiny_params / "Combine/latest_net_G.pkl"
    both = {f"netG.{n}": a for n, a in read_arrays(source).items()}
    both.update({f"netD.{n}": a for n, a in weights_of("discriminator", preset("tiny")).items()})
    write_arrays(tmp_path / "both.pkl", both)
    assert run(command.main, ["verify", str(source), str(tmp_path / "both.pkl")]) == 2
    assert "say which with --key" in capsys.readouterr().err
    assert command.main(["verify", str(source), str(tmp_path / "both.pkl"), "--key-b", "netG"]) == 0
    assert "identical" in capsys.readouterr().out
    assert command.main(["verify", str(tmp_path / "both.pkl"), str(source), "--key-a", "netG"]) == 0


def test_verify_folders(tiny_params, tmp_path, capsys):
    shutil.copytree(tiny_params, tmp_path / "same")
    assert command.main(["verify", "--no-run", str(tiny_params), str(tmp_path / "same")]) == 0
    (tmp_path / "same/Combine/latest_net_DE_nose.pkl").unlink()
    assert command.main(["verify", "--no-run", str(tiny_params), str(tmp_path / "same")]) == 1
    assert "only in A: Combine/latest_net_DE_nose" in capsys.readouterr().out


def test_pytorch_and_jittor_never_meet(tiny_params, tmp_path):
    import sys

    convert_file(tiny_params / "Combine/latest_net_G.pkl", tmp_path / "g.pth", "torch")
    assert "torch" in sys.modules and not any(name.split(".")[0] in ("jittor", "jittor_core") for name in sys.modules)
