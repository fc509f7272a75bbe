"""The PyTorch modules: names, semantics, the release's own pictures, training, export."""
import numpy as np
import pytest

from jt_dfd.components import COMPONENTS
from jt_dfd.config import PRESETS, preset
from jt_dfd.networks import specification

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")
from jt_dfd.converter import torch_modules as modules  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", PRESETS)
def test_names_and_shapes_are_the_releases(name, members):
    config = preset(name)
    for kind, component in members:
        with torch.device("meta"):
            state = modules.build(kind, config, component or "rest").state_dict()
        found = {n: tuple(t.shape) for n, t in state.items() if not n.endswith("num_batches_tracked")}
        assert found == specification(kind, config, component or "rest"), (kind, component)


def test_feature_decoders_take_each_pictures_own_statistics_in_either_mode(weights_of):
    config = preset("tiny")
    net = modules.build_with("feature_decoder", config, "nose", weights_of("feature_decoder", config, "nose"))
    latents = torch.randn(3, config.latent, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = net(latents)
        alone = torch.cat([net(latent[None]) for latent in latents])
        trained = net.train()(latents)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.equal(together, trained)
    # and they are not the running statistics: changing those changes nothing
    with torch.no_grad():
        for _name, buffer in net.named_buffers():
            buffer.mul_(3)
    assert torch.equal(net.eval()(latents).detach(), together)


def test_encoders_use_running_statistics_in_eval_and_update_them_in_training(weights_of):
    config = preset("tiny")
    net = modules.build_with("encoder", config, "eye1", weights_of("encoder", config, "eye1"))
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(net(x)[:1], net(x[:1]), atol=1e-6)
    before = net.conv[0].bn.running_mean.clone()
    net.train()(x)
    batch = net.conv[0].conv(x).mean((0, 2, 3))
    assert torch.allclose(net.conv[0].bn.running_mean, before + 0.9 * (batch - before), atol=1e-5)


def test_merging_leaves_the_nose_without_its_foot_and_follows_the_order():
    config = preset("release")
    geometry = config.geometry
    maps = {name: torch.full((1, 2, geometry.window(name).size, geometry.window(name).size), float(i))
            for i, name in enumerate(COMPONENTS)}
    merged = modules.merge(maps, config)[0, 0].numpy()
    expected = np.full((512, 512), 4.0)
    expected[301:493, 169:361] = 3  # mouth
    expected[232:232 + 124, 182:342] = 2  # nose, 160 rows less 36
    expected[156:284, 108:236] = 0
    expected[156:284, 255:383] = 1
    assert np.array_equal(merged, expected)


def test_the_remainders_input_has_the_windows_painted_white():
    config = preset("tiny")
    sketch = -torch.ones(1, 1, 64, 64)
    rest = modules.crop(sketch, "rest", config)[0, 0].numpy()
    expected = config.geometry.whiten(np.full((64, 64), -1.0), 1.0)
    assert np.array_equal(rest, expected)


def test_pipeline_from_a_folder_of_either_framework(tiny_params, parity):
    pipeline = modules.load_pretrained(tiny_params)
    sketch = modules.sketch_tensor(parity / "sketch_a.png", 64)
    with torch.no_grad():
        drawn = pipeline(sketch, "male", refine=0)
        projected = pipeline(sketch, "male", refine=1, k=5)
        half = pipeline.project(pipeline.encode(sketch), "male", {"eye1": 0.5, "all": 0}, 5)
        full = pipeline.project(pipeline.encode(sketch), "male", 1, 5)
    assert drawn.shape == (1, 3, 64, 64) and float(drawn.abs().max()) <= 1
    assert not torch.allclose(drawn, projected)
    latents = pipeline.encode(sketch)
    assert torch.equal(half["nose"], latents["nose"])
    assert torch.allclose(half["eye1"], (full["eye1"] + latents["eye1"]) / 2, atol=1e-5)
    picture = modules.face_picture(drawn)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8


def test_wrong_arguments_are_named(tiny_params):
    pipeline = modules.load_pretrained(tiny_params)
    sketch = torch.ones(1, 1, 64, 64)
    with pytest.raises(ValueError, match="512|64"):
        pipeline(torch.ones(1, 3, 64, 64))
    with pytest.raises(ValueError, match="chin"):
        pipeline(sketch, refine={"chin": 1})
    with pytest.raises(ValueError, match="child.*banks for"):
        pipeline(sketch, gender="child")
    with pytest.raises(ValueError, match="anchor"):
        pipeline(sketch, anchor="farthest")


def test_it_can_be_trained_end_to_end(tiny_params):
    pipeline = modules.load_pretrained(tiny_params).train()
    weights = [p for p in pipeline.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=1e-3)
    face = pipeline(torch.rand(2, 1, 64, 64) * 2 - 1, refine=0)
    face.square().mean().backward()
    used = [n for n, p in pipeline.named_parameters() if p.grad is not None and float(p.grad.abs().sum()) > 0]
    assert any(n.startswith("encoders.rest") for n in used) and any(n.startswith("generator") for n in used)
    before = pipeline.generator.model[1].weight.clone()
    optimiser.step()
    assert not torch.equal(before, pipeline.generator.model[1].weight)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_was_trained_comes_back_to_jittor(suffix, tiny_params, tmp_path, weights_of):
    from jt_dfd.checkpoints import CheckpointError, open_folder
    from jt_dfd.converter.convert import convert_folder

    pipeline = modules.load_pretrained(tiny_params)
    pipeline.discriminator = modules.build("discriminator", pipeline.config)
    with torch.no_grad():
        for parameter in pipeline.parameters():
            parameter.add_(0.01)
    pipeline.encoders["nose"].conv[0].bn.running_mean.add_(1)
    modules.save_pretrained(pipeline.train(), tmp_path / "mine", suffix)
    again = modules.load_pretrained(tmp_path / "mine")
    expected, found = pipeline.state_dict(), again.state_dict()
    assert list(expected) == list(found) and all(torch.equal(expected[n], found[n]) for n in expected)
    assert all(np.array_equal(again.banks[place], rows) for place, rows in pipeline.banks.items())
    convert_folder(tmp_path / "mine", tmp_path / "back", "jittor", verify=False)
    folder = open_folder(tmp_path / "back")
    assert np.array_equal(folder.network("encoder", "nose")["conv.0.bn.running_mean"],
                          pipeline.encoders["nose"].conv[0].bn.running_mean.numpy())
    assert np.array_equal(folder.bank("rest", "male"), pipeline.banks["rest", "male"])

    with pytest.raises(CheckpointError, match="mine.*--force|force"):
        modules.save_pretrained(pipeline, tmp_path / "mine", suffix)
    modules.save_pretrained(pipeline.half(), tmp_path / "mine", suffix, force=True)
    assert modules.load_pretrained(tmp_path / "mine").generator.model[1].weight.dtype == torch.float32


def test_a_pipeline_that_diverged_or_is_not_whole_is_not_saved(tiny_params, tmp_path):
    import os

    from jt_dfd.checkpoints import CheckpointError

    with pytest.raises(CheckpointError, match="image_decoders=True"):
        modules.save_pretrained(modules.load_pretrained(tiny_params, image_decoders=False), tmp_path / "mine")
    pipeline = modules.load_pretrained(tiny_params)
    with torch.no_grad():
        pipeline.generator.model[4].bias[2] = float("nan")
    with pytest.raises(CheckpointError, match=r"mine/Combine/latest_net_G\.pth: parameter model\.4\.bias"):
        modules.save_pretrained(pipeline, tmp_path / "mine")
    assert os.listdir(tmp_path) == []


def test_a_pipeline_in_a_wrapper_is_saved_as_it_is(tiny_params, tmp_path, weights_of):
    from torch.nn.utils import prune

    from jt_dfd.checkpoints import CheckpointError, open_folder

    pipeline = modules.load_pretrained(tiny_params)
    modules.save_pretrained(torch.nn.DataParallel(pipeline), tmp_path / "one")
    plain = open_folder(tmp_path / "one").network("generator")
    pipeline.generator = torch.nn.DataParallel(pipeline.generator)
    modules.save_pretrained(pipeline, tmp_path / "two")
    assert all(np.array_equal(plain[n], a) for n, a in open_folder(tmp_path / "two").network("generator").items())
    prune.l1_unstructured(pipeline.generator.module.model[1], "weight", 0.5)
    with pytest.raises(CheckpointError, match=r"latest_net_G\.pth: has no model\.1\.weight; what is pruned"):
        modules.save_pretrained(pipeline, tmp_path / "three")
    with pytest.raises(CheckpointError, match="expected a Pipeline, found a Generator"):
        modules.save_pretrained(pipeline.generator, tmp_path / "three")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_fresh_networks_have_the_releases_initial_weights():
    net = modules.build("generator", preset("compact"))
    assert abs(float(net.model[4].weight.detach().std()) - 0.02) < 1e-3
    assert abs(float(net.model[2].weight.detach().mean()) - 1) < 0.02
    assert float(net.model[2].bias.detach().abs().max()) == 0


@pytest.mark.parametrize("part", ["face_from_latents", "face_from_sketch"])
def test_torchscript_and_export_give_the_same_picture(tiny_params, part):
    pipeline = modules.load_pretrained(tiny_params)
    module = getattr(pipeline, part)
    random = torch.Generator().manual_seed(1)

    def example():
        if part == "face_from_sketch":
            return (torch.rand(1, 1, 64, 64, generator=random) * 2 - 1,)
        return tuple(torch.randn(1, pipeline.config.latent, generator=random) for _ in COMPONENTS)

    with torch.no_grad():
        scripted = torch.jit.script(module)
        exported = torch.export.export(module, example()).module() if hasattr(torch, "export") else module
        other = example()  # not the input it was exported with
        assert torch.allclose(scripted(*other), module(*other), atol=1e-6)
        assert torch.allclose(exported(*other), module(*other), atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("case", "ab")
def test_the_releases_own_face_comes_out(release_pipeline, parity, case):
    from PIL import Image

    fixture = np.load(parity / f"case_{case}.npz")
    sketch = modules.sketch_tensor(parity / f"sketch_{case}.png")
    gender = ("male", "female")[int(fixture["sex"])]
    refine = dict(zip(COMPONENTS, fixture["refine"].tolist()))
    with torch.no_grad():
        latents = release_pipeline.encode(sketch)
        vectors = release_pipeline.project(latents, gender, refine, 15, "release")
        face = modules.face_picture(release_pipeline(sketch, gender, refine, 15, "release"))
    for name in COMPONENTS:
        for found, expected in ((latents, fixture[f"latent_{name}"]), (vectors, fixture[f"vector_{name}"])):
            error = np.abs(found[name][0].numpy() - expected).max() / np.abs(expected).max()
            assert error < 1e-5, (name, error)
    expected = np.asarray(Image.open(parity / f"case_{case}_face.png").convert("RGB")).astype(int)
    assert np.abs(face - expected).max() <= 1


@pytest.fixture(scope="module")
def release_pipeline(release_params):
    return modules.load_pretrained(release_params, image_decoders=False)
