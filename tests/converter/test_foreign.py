"""Checkpoints of other projects and of training scripts, brought into this project's layout."""
import os

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, formats, read_arrays, write_arrays
from jt_dfd.checkpoints.recognise import read_vgg, recognise
from jt_dfd.config import preset
from jt_dfd.converter.convert import convert_file
from jt_dfd.networks import specification


@pytest.fixture
def generator(weights_of):
    return weights_of("generator", preset("tiny"))


@pytest.fixture
def G():
    """A recognised state, arrays and notes of whatever value a file might hold."""
    return lambda value, key=None: recognise(value, "some.pth", key)


def test_prefixes_of_data_parallel_training(G, generator, identical):
    for prefix in ("module.", "module.module.", "_orig_mod.module."):
        layout, arrays, notes = G({prefix + name: array for name, array in generator.items()})
        assert layout.kind == "generator" and identical(arrays, generator) and "prefix" in notes[0]


def test_wrapped_with_optimiser_state_and_counters(G, generator, identical):
    moments = {name: np.zeros_like(array) for name, array in generator.items()}
    optimiser = {"state": {0: {"step": 3, "exp_avg": moments["model.1.weight"]}}, "param_groups": [{"lr": 2e-4}]}
    for value in ({"state_dict": generator, "epoch": 3, "optimizer": optimiser},
                  {"model": generator, "optimizer": optimiser, "meta": {"time": "now"}, "scheduler": {}},
                  {"meta": {"epoch": 1}, "model": {"state_dict": generator}},
                  {"netG": generator}, {"model": generator, "ema": moments}):
        layout, arrays, notes = G(value)
        assert layout.kind == "generator" and identical(arrays, generator), list(value)
        assert any("unwrapped" in note for note in notes)


def test_several_networks_need_a_choice(G, generator, identical, weights_of):
    other = weights_of("discriminator", preset("tiny"))
    with pytest.raises(CheckpointError, match="'G', 'D'.*--key"):
        G({"G": generator, "D": other})
    assert identical(G({"G": generator, "D": other}, "D")[1], other)
    for value, known in (({"G": generator, "D": other}, "'G', 'D'"), ({"G": generator, "epoch": 3}, "'G'"),
                         (generator, "no key is needed")):
        with pytest.raises(CheckpointError, match=f"'E'.*{known}"):
            G(value, "E")
    flat = {f"generator/{n}": a for n, a in generator.items()}
    flat.update({f"discriminator/{n}": a for n, a in other.items()}, **{"state.json": np.zeros(9, np.uint8)})
    assert identical(G(flat, "generator")[1], generator)


def test_networks_two_entries_deep(G, generator, identical, weights_of):
    other, moments = weights_of("discriminator", preset("tiny")), {"state": {0: {"exp_avg": np.zeros(3)}}}
    value = {"gen": {"state_dict": generator, "optimizer": moments}, "disc": {"state_dict": other}}
    with pytest.raises(CheckpointError, match="'gen/state_dict', 'disc/state_dict'.*--key"):
        G(value)
    for key in ("gen", "gen/state_dict"):
        assert identical(G(value, key)[1], generator)
    with pytest.raises(CheckpointError, match="'model/netG', 'model/netD'.*--key"):
        G({"model": {"netG": generator, "netD": other}, "epoch": 3})
    assert identical(G({"model": {"module": {"state_dict": generator}}, "epoch": 3})[1], generator)


def test_arrays_side_by_side_with_other_entries(G, generator, identical):
    """``{**net.state_dict(), "optimizer": ...}``"""
    value = {**generator, "optimizer": {"state": {}, "param_groups": [{"lr": 2e-4}]}, "losses": [0.5], "epoch": 3}
    _, arrays, notes = G(value)
    assert identical(arrays, generator) and "left out 'optimizer', 'losses', 'epoch'" in notes[0]


def test_networks_of_a_training_module_are_told_by_their_prefixes(G, generator, identical, weights_of):
    other = weights_of("discriminator", preset("tiny"))
    one = {f"netG.module.{n}": a for n, a in generator.items()}
    both = {**one, **{f"netD.{n}": a for n, a in other.items()}}
    for value in (one, {"state_dict": one, "epoch": 1}, {**one, "n_averaged": np.array(3)}):
        _, arrays, notes = G(value)
        assert identical(arrays, generator) and any("'netG.module.'" in note for note in notes)
    for value in (both, {"state_dict": both, "epoch": 1}):
        with pytest.raises(CheckpointError, match="'netG.module', 'netD'.*--key"):
            G(value)
        for key in ("netG", "netG.module"):
            assert identical(G(value, key)[1], generator)
        assert identical(G(value, "netD")[1], other)
        with pytest.raises(CheckpointError, match="'netE'.*'netG.module', 'netD'"):
            G(value, "netE")
    more = {**one, "perceptual.slice1.0.weight": np.zeros((4, 3, 3, 3), np.float32)}
    with pytest.raises(CheckpointError, match="'netG.module' and 1 array.*perceptual.slice1.0.weight.*--key"):
        G(more)
    assert identical(G(more, "netG")[1], generator)


def test_weights_averaged_by_pytorch(G, weights_of, identical):
    """torch.optim.swa_utils counts what it averaged beside the prefixed names."""
    arrays = weights_of("encoder", preset("tiny"), "nose")
    averaged = {"n_averaged": np.array(7), **{f"module.{n}": a for n, a in arrays.items()}}
    layout, found, _ = G(averaged)
    assert (layout.kind, layout.component) == ("encoder", "nose") and identical(found, arrays)


def test_counts_of_batches_stay_behind(G, weights_of, identical):
    arrays = weights_of("encoder", preset("tiny"), "nose")
    counted = dict(arrays, **{"conv.0.bn.num_batches_tracked": np.array(5)})
    layout, found, notes = G(counted)
    assert (layout.kind, layout.component) == ("encoder", "nose") and identical(found, arrays)
    assert any("num_batches_tracked" in note for note in notes)


@pytest.mark.parametrize("ngf, downs, blocks, into", [(4, 2, 1, 6), (6, 3, 4, 5), (64, 4, 9, 3), (8, 1, 2, 36)])
def test_sizes_are_read_off_the_shapes(ngf, downs, blocks, into, G):
    config = preset("release").with_changes(generator_width=ngf, generator_downs=downs, generator_blocks=blocks,
                                            feature_channels=into)
    layout, _, _ = G({n: np.broadcast_to(np.float32(0), s) for n, s in specification("generator", config).items()})
    assert layout.sizes == dict(generator_width=ngf, generator_downs=downs, generator_blocks=blocks,
                                feature_channels=into)
    assert layout.preset is None


def test_an_unknown_layout_is_refused_with_the_nearest_names(tmp_path, generator):
    renamed = {name.replace("conv_block", "resblk").replace("model.1.", "layers.first."): a
               for name, a in generator.items()}
    write_arrays(tmp_path / "a.pkl", renamed)
    with pytest.raises(CheckpointError) as error:
        convert_file(tmp_path / "a.pkl", tmp_path / "b.safetensors", "torch", verify=False)
    text = str(error.value)
    assert "a.pkl" in text and "nearest to a generator" in text
    assert ("model.10.conv_block.1.weight (32, 32, 3, 3): missing; nearest is model.10.resblk.1.weight (32, 32, 3, 3)"
            in text)
    assert os.listdir(tmp_path) == ["a.pkl"]


def test_likeness_of_one_name_makes_no_network(G):
    """Squeeze-and-excitation blocks have an fc.0, too."""
    value = {f"layer{i}.se.fc.{j}.weight": np.zeros((4, 4), np.float32) for i in range(3) for j in (0, 2)}
    with pytest.raises(CheckpointError, match="an unknown layout of 6 arrays; nearest to"):
        G(value)


def test_one_wrong_shape_is_named(G, generator):
    generator["model.4.bias"] = np.zeros(17, np.float32)
    with pytest.raises(CheckpointError, match=r"model\.4\.bias \(17,\): expected \(16,\)"):
        G(generator)
    del generator["model.4.bias"]
    with pytest.raises(CheckpointError, match=r"model\.4\.bias \(16,\): missing"):
        G(generator)


def test_classifiers_and_empty_files_are_refused(G):
    for value in ({}, [1, 2], np.ones(3), np.float32(0), {"a": {"b": {}}}, {"fc.weight": np.zeros((3, 3), np.float32)},
                  None, {"feature": np.zeros((0, 4), np.float32)}):
        with pytest.raises(CheckpointError, match="some.pth"):
            G(value)


def _vgg(blocks, theirs=True):
    random, out, index, into = np.random.default_rng(0), {}, 0, 3
    for _block, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512, 512)), 1):
        for _ in range(count):
            name = f"features.{index}"
            out[f"{name}.weight"] = np.zeros((width, into, 3, 3), np.float32)
            out[f"{name}.weight"][0, 0] = random.standard_normal((3, 3))
            out[f"{name}.bias"] = random.standard_normal(width).astype(np.float32)
            index, into = index + 2, width
        index += 1
    for i, shape in ((0, (8, 7)), (3, (8, 8)), (6, (5, 8))):
        out[f"classifier.{i}.weight"] = np.zeros(shape, np.float32)
        out[f"classifier.{i}.bias"] = np.zeros(shape[0], np.float32)
    return out


@pytest.mark.torch
@pytest.mark.parametrize("kind, blocks, third", [("vgg16", (2, 2, 3, 3, 3), "features.14"),
                                                 ("vgg19", (2, 2, 4, 4, 4), "features.14")])
def test_torchvisions_vgg(kind, blocks, third, tmp_path):
    torch = pytest.importorskip("torch")
    arrays = _vgg(blocks)
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(state, str(tmp_path / "vgg.pth"), _use_new_zipfile_serialization=False)  # as it was published
    found, layers = read_vgg(tmp_path / "vgg.pth")
    assert found == kind and len(layers) == sum(blocks)
    assert np.array_equal(layers["conv3_3"][0], arrays[third + ".weight"])
    last = {"vgg16": ("conv5_3", "features.28"), "vgg19": ("conv5_4", "features.34")}[kind]
    assert np.array_equal(layers[last[0]][1], arrays[last[1] + ".bias"])
    convert_file(tmp_path / "vgg.pth", tmp_path / "vgg.pkl", "jittor")
    again, converted = read_vgg(tmp_path / "vgg.pkl")
    assert again == kind and all(np.array_equal(layers[n][0], converted[n][0]) for n in layers)
    with pytest.raises(CheckpointError, match="expected torchvision's VGG"):
        write_arrays(tmp_path / "x.pkl", {"feature": np.zeros((3, 4), np.float32)})
        read_vgg(tmp_path / "x.pkl")


@pytest.mark.torch
class TestPix2pixHD:
    """The layout of its published files, rebuilt here: instance norms without weights, ReLU in place, tanh."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")

    def generator(self, into, ngf, downs, blocks):
        nn = self.torch.nn

        class Residual(nn.Module):
            def __init__(self, d):
                super().__init__()
                self.conv_block = nn.Sequential(
                    nn.ReflectionPad2d(1), nn.Conv2d(d, d, 3), nn.InstanceNorm2d(d), nn.ReLU(True),
                    nn.ReflectionPad2d(1), nn.Conv2d(d, d, 3), nn.InstanceNorm2d(d))

            def forward(self, x):
                return x + self.conv_block(x)

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(into, ngf, 7), nn.InstanceNorm2d(ngf), nn.ReLU(True)]
        for i in range(downs):
            d = ngf << i
            layers += [nn.Conv2d(d, 2 * d, 3, 2, 1), nn.InstanceNorm2d(2 * d), nn.ReLU(True)]
        layers += [Residual(ngf << downs) for _ in range(blocks)]
        for i in reversed(range(downs)):
            d = ngf << i
            layers += [nn.ConvTranspose2d(2 * d, d, 3, 2, 1, 1), nn.InstanceNorm2d(d), nn.ReLU(True)]
        net = nn.Module()
        net.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh())
        return net

    @pytest.mark.parametrize("sizes", [(6, 8, 2, 2), (5, 4, 3, 1), (4, 4, 1, 3)])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_its_generator_computes_the_same_here(self, sizes, zipped, tmp_path):
        from jt_dfd.converter.torch_layers import build_with

        torch, net = self.torch, self.generator(*sizes)
        state = {"module." + n: t for n, t in net.state_dict().items()}
        if not zipped:  # PyTorch before 0.4 kept statistics that it never used
            state["module.model.2.running_mean"] = torch.full((sizes[1],), 7.0)
            state["module.model.2.running_var"] = torch.full((sizes[1],), 9.0)
        torch.save(state, str(tmp_path / "latest_net_G.pth"), _use_new_zipfile_serialization=zipped)
        done = convert_file(tmp_path / "latest_net_G.pth", tmp_path / "latest_net_G.pkl", "jittor", verify=False)
        assert any("weight 1 and bias 0" in note for note in done.notes)
        arrays = read_arrays(tmp_path / "latest_net_G.pkl")
        assert (arrays["model.2.weight"] == 1).all() and (arrays["model.2.bias"] == 0).all()
        ours = build_with("generator", done.layout.config, "rest", arrays)
        x = torch.randn(1, sizes[0], 32, 32)
        with torch.no_grad():
            assert torch.allclose(ours(x), net.model(x), atol=1e-5)

    def test_its_discriminator_has_its_scales_turned_round(self, tmp_path):
        from jt_dfd.converter.torch_layers import build_with

        torch, nn = self.torch, self.torch.nn
        net, widths = nn.Module(), (4, 8, 16, 32)
        for scale in range(2):
            into = 9
            for layer, width in enumerate(widths):
                parts = [nn.Conv2d(into, width, 4, 2 if layer < 3 else 1, 2)]
                parts += [nn.InstanceNorm2d(width)] if layer else []
                setattr(net, f"scale{scale}_layer{layer}", nn.Sequential(*parts, nn.LeakyReLU(0.2, True)))
                into = width
            setattr(net, f"scale{scale}_layer4", nn.Sequential(nn.Conv2d(into, 1, 4, 1, 2)))
        torch.save(net.state_dict(), str(tmp_path / "latest_net_D.pth"))
        layout, arrays, _ = recognise(formats.read_any(tmp_path / "latest_net_D.pth"), "latest_net_D.pth")
        ours = build_with("discriminator", layout.config, "rest", arrays)
        x = torch.randn(1, 9, 64, 64)
        with torch.no_grad():
            full = x  # theirs reads the full size with its last scale
            for layer in range(5):
                full = getattr(net, f"scale1_layer{layer}")(full)
            assert torch.allclose(ours(x[:, :6], x[:, 6:])[0][-1], full, atol=1e-5)
