"""Files as PyTorch and others leave them: read for what they are, or refused in one sentence; nothing runs or hangs."""
import argparse
import datetime
import enum
import json
import os
import pathlib
import resource
import shutil
import struct
import time
import warnings
import zipfile

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, formats, open_folder, read_arrays, write_arrays
from jt_dfd.checkpoints.recognise import read_vgg, recognise
from jt_dfd.checkpoints.tensors_file import write_tensors
from jt_dfd.config import preset
from jt_dfd.converter.convert import convert_file
from jt_dfd.converter.inspect import inspect_file, inspect_folder

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")
nn = torch.nn
warnings.filterwarnings("ignore", category=UserWarning)


class Mode(enum.Enum):
    TRAIN = 1


@pytest.fixture
def arrays(smallest, weights_of):
    return weights_of("generator", smallest)


@pytest.fixture
def state(arrays):
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def read(path):
    return recognise(formats.read_any(path), path)


def refused(path, *words, call=read):
    """The error's text: one sentence or a few, that names the file and holds the words."""
    with pytest.raises(CheckpointError) as caught:
        call(path)
    text = str(caught.value)
    assert pathlib.Path(path).name in text and len(text) < 1200, text
    for word in words:
        assert word in text, (word, text)
    return text


ODD = {
    "Namespace": lambda: argparse.Namespace(lr=2e-4, inner=argparse.Namespace(w=torch.ones(2))),
    "PosixPath": lambda: pathlib.PosixPath("/tmp/x"), "datetime": datetime.datetime.now, "Mode": lambda: Mode.TRAIN,
    "c8": lambda: np.complex64(1), "M8": lambda: np.datetime64("2020-01-01"), "U1": lambda: np.array(["x"]),
    "O8": lambda: np.array([Mode.TRAIN, None]), "__generator_ctor": lambda: np.random.default_rng(0),
    "ComplexFloat": lambda: torch.ones(3, dtype=torch.complex64).conj(),
    "uint16": lambda: torch.arange(3).to(torch.uint16),
    "float8": lambda: torch.ones(3).to(torch.float8_e4m3fn), "sparse": lambda: torch.eye(3).to_sparse(),
    "qtensor": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "meta": lambda: torch.ones(3, device="meta"), "nested": lambda: torch.nested.nested_tensor([torch.ones(2)]),
    "Linear": lambda: nn.Linear(2, 2), "Generator": torch.Generator, "torch.float16": lambda: torch.float16,
    "timedelta": lambda: datetime.timedelta(1), "int64": lambda: torch.arange(3), "float32": lambda: torch.tensor(0.5)}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("what", ODD)
def test_one_odd_entry_is_left_out_and_named(what, zipped, state, arrays, tmp_path, identical):
    for value in ({**state, "odd": ODD[what]()}, {"state_dict": state, "hyper": {"odd": ODD[what]()}}):
        torch.save(value, str(tmp_path / "a.pth"), _use_new_zipfile_serialization=zipped)
        layout, found, notes = read(tmp_path / "a.pth")
        assert layout.kind == "generator" and identical(found, arrays)
        if "odd" in value or what not in ("uint16", "int64", "float32"):  # arrays beside the network's dictionary
            note, = (note for note in notes if note.startswith("left out what is no"))
            assert "odd" in note and what in note


def test_a_numpy_scalar_and_plain_values_are_no_matter(state, arrays, tmp_path, identical):
    torch.save({**state, "best": np.float64(0.5), "epoch": 3, ("a", 1): {2}, "name": "x"}, str(tmp_path / "a.pth"))
    assert identical(read(tmp_path / "a.pth")[1], arrays)


@pytest.mark.parametrize("name", ["a.ckpt", "a.pth.tar", "a", "a.bin", "a.pkl", "a.safetensors", "a.PTH"])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_suffix_is_no_matter(name, zipped, state, arrays, tmp_path, identical):
    torch.save({"module." + n: t for n, t in state.items()}, str(tmp_path / name),
               _use_new_zipfile_serialization=zipped)
    convert_file(tmp_path / name, tmp_path / "out.pkl", "jittor", verify=False)
    assert identical(read_arrays(tmp_path / "out.pkl"), arrays)


def test_layouts_of_tensors_as_pytorch_allows_them(tmp_path):
    base = torch.randn(6, 5)
    value = {"expanded": torch.ones(1, 4).expand(3, 4), "cut": base[1:4, 2:], "turned": base.t(), "same": base,
             "negative": torch.tensor([1 + 2j]).conj().imag, "none": base[:0], "one": base[2, 3], "half": base.half(),
             "brain": base.bfloat16()}
    torch.save(value, str(tmp_path / "a.pth"))
    torch.save(value, str(tmp_path / "old.pth"), _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "a.pth") as z, zipfile.ZipFile(tmp_path / "z.pth", "w",
                                                                   zipfile.ZIP_DEFLATED) as packed:
        for name in z.namelist():
            packed.writestr(name, z.read(name))
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(value, str(tmp_path / "unchecked.pth"))
    finally:
        torch.serialization.set_crc32_options(True)
    for name in ("a.pth", "old.pth", "z.pth", "unchecked.pth"):
        found = formats.read_any(tmp_path / name)
        for entry, tensor in value.items():
            assert np.array_equal(found[entry], tensor.resolve_neg().float().numpy()), (name, entry)
        assert formats.has_checksum(tmp_path / name) == (name in ("a.pth", "z.pth"))


# -- what cannot run here, in one sentence

def generator(norm, ngf=4, into=5):
    class Residual(nn.Module):
        def __init__(self, d):
            super().__init__()
            self.conv_block = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(d, d, 3), norm(d), nn.ReLU(),
                                            nn.ReflectionPad2d(1), nn.Conv2d(d, d, 3), norm(d))

        def forward(self, x):
            return x + self.conv_block(x)

    net = nn.Module()
    net.model = nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(into, ngf, 7), norm(ngf), nn.ReLU(),
        nn.Conv2d(ngf, 2 * ngf, 3, 2, 1), norm(2 * ngf), nn.ReLU(), Residual(2 * ngf),
        nn.ConvTranspose2d(2 * ngf, ngf, 3, 2, 1, 1), norm(ngf), nn.ReLU(), nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7),
        nn.Tanh())
    return net


def pictures(net, arrays, layout):
    from jt_dfd.converter.torch_layers import build_with

    x = torch.randn(1, 5, 32, 32)
    with torch.no_grad():
        return net.eval().model(x), build_with("generator", layout.config, "rest", arrays)(x)


def test_a_generator_that_normalises_by_running_statistics_is_refused_with_their_number(tmp_path):
    net = generator(lambda d: nn.InstanceNorm2d(d, track_running_stats=True))
    for _ in range(3):
        net.model(3 * torch.randn(1, 5, 32, 32) + 1)
    torch.save(net.state_dict(), str(tmp_path / "stats.pth"))
    refused(tmp_path / "stats.pth", "5 instance norms have running statistics (variances", "eval()",
            "track_running_stats")
    # what was done before, leaving them out, gives another picture
    plain = {n: t for n, t in net.state_dict().items() if "running" not in n and "tracked" not in n}
    torch.save(plain, str(tmp_path / "plain.pth"))
    layout, arrays, _ = read(tmp_path / "plain.pth")
    theirs, ours = pictures(net, arrays, layout)
    assert (theirs - ours).abs().mean() > 0.02
    # the way out that the message names: as PyTorch computes it without statistics
    again = generator(nn.InstanceNorm2d)
    again.load_state_dict(net.state_dict(), strict=False)
    theirs, ours = pictures(again, arrays, layout)
    assert torch.allclose(theirs, ours, atol=1e-5)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d,
                                  lambda d: nn.InstanceNorm2d(d, affine=True, track_running_stats=True)])
def test_a_batch_norm_generator_is_called_one(norm, tmp_path):
    torch.save(generator(norm).state_dict(), str(tmp_path / "bn.pth"))
    text = refused(tmp_path / "bn.pth", "a generator of 5 batch norms")
    assert "\n" not in text


def test_a_discriminator_s_running_statistics_are_left_out_with_a_note(tmp_path):
    net, into = nn.Module(), 9
    for layer, width in enumerate((4, 8, 16, 32)):
        norm = [nn.InstanceNorm2d(width, track_running_stats=True)] if layer else []
        setattr(net, f"scale0_layer{layer}", nn.Sequential(nn.Conv2d(into, width, 4, 2 if layer < 3 else 1, 2), *norm))
        into = width
    net.scale0_layer4 = nn.Sequential(nn.Conv2d(into, 1, 4, 1, 2))
    torch.save(net.state_dict(), str(tmp_path / "d.pth"))
    layout, _, notes = read(tmp_path / "d.pth")
    assert layout.kind == "discriminator" and any("left out 6 running statistics" in note for note in notes)


def _enhancer():
    net = generator(nn.InstanceNorm2d)
    net.model1_1 = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(5, 2, 7), nn.InstanceNorm2d(2), nn.ReLU(),
                                 nn.Conv2d(2, 4, 3, 2, 1))
    return net.state_dict()


def _spectral():
    net = generator(nn.InstanceNorm2d)
    return net.apply(lambda m: nn.utils.spectral_norm(m) if isinstance(m, nn.Conv2d) else m).state_dict()


def _parametrised(how):
    net = generator(nn.InstanceNorm2d)
    return net.apply(lambda m: how(m) if type(m) is nn.Conv2d else m).state_dict()


def _vgg_bn(blocks):
    """As torchvision's state_dict(), its numbers all one and the same zero."""
    out, index, into = {}, 0, 3
    for depth, width in zip(blocks, (64, 128, 256, 512, 512)):
        for _ in range(depth):
            out[f"features.{index}.weight"] = torch.zeros(1).expand(width, into, 3, 3)
            out[f"features.{index}.bias"] = torch.zeros(1).expand(width)
            out.update({f"features.{index + 1}.{leaf}": torch.zeros(1).expand(width)
                        for leaf in ("weight", "bias", "running_mean", "running_var")})
            index, into = index + 3, width
        index += 1
    return out


@pytest.mark.parametrize("words, make", [
    (["pix2pixHD's local enhancer"], _enhancer),
    (["spectral normalisation", "remove_spectral_norm"], _spectral),
    (["spectral normalisation"], lambda: _parametrised(nn.utils.parametrizations.spectral_norm)),
    (["weight normalisation"], lambda: _parametrised(nn.utils.parametrizations.weight_norm)),
    (["VGG19 with batch normalisation (vgg19_bn)", "vgg19 or vgg16"], lambda: _vgg_bn((2, 2, 4, 4, 4))),
    (["VGG11 with batch normalisation"], lambda: _vgg_bn((1, 1, 2, 2, 2)))])
def test_networks_that_cannot_run_here_are_called_what_they_are(words, make, tmp_path):
    for value in (make(), {"state_dict": {"module." + n: t for n, t in make().items()}}):
        torch.save(value, str(tmp_path / "theirs.pth"))
        text = refused(tmp_path / "theirs.pth", *words)
        assert "\n" not in text and ": is " in text
    if "VGG" in words[0]:
        refused(tmp_path / "theirs.pth", *words, call=read_vgg)


def _theirs(*names):
    return {name: torch.ones(2, 2, 3, 3) for name in names}


def test_weights_of_another_reimplementation_are_named_in_file_and_folder(tmp_path):
    """Xu-Justin/DeepFaceDrawing: one .pth a component under CE, FM and IS."""
    files = {"CE/left_eye/encoder.pth": ("encoder_list.0.conv.weight", "encoder_list.1.conv1.weight", "latent.weight"),
             "CE/left_eye/decoder.pth": ("decoder_list.0.conv1.weight", "decoder_list.1.convT.weight"),
             "FM/nose/decoder.pth": ("decoder_list.0.conv1.weight", "output.2.weight"),
             "IS/generator.pth": ("encoder.0.conv.weight", "resnet.0.conv1.weight", "decoder.0.convT.weight"),
             "IS/discriminator_1.pth": ("dis.0.conv.weight", "dis.0.bn.weight")}
    for place, names in files.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        torch.save(_theirs(*names), str(tmp_path / place))
        assert "\n" not in refused(tmp_path / place, "Xu-Justin/DeepFaceDrawing", "another architecture",
                                   "cannot run here")
    for folder in (tmp_path, tmp_path / "CE"):
        with pytest.raises(CheckpointError, match="Xu-Justin/DeepFaceDrawing.*another architecture.*cannot run here"):
            open_folder(folder)
    with pytest.raises(CheckpointError, match="generator.pth: is a file; name the folder"):
        open_folder(tmp_path / "IS/generator.pth")


def test_an_unknown_file_is_told_its_own_names_and_number(state, tmp_path):
    state = {n: t for n, t in state.items() if ".4." not in n}
    torch.save({**state, "more.weight": torch.ones(2)}, str(tmp_path / "a.pth"))
    refused(tmp_path / "a.pth", f"an unknown layout of {len(state) + 1} arrays", "more.weight")


def test_a_whole_module_is_refused_by_its_class(tmp_path):
    torch.save({"model": nn.Linear(2, 2), "epoch": 3}, str(tmp_path / "m.pth"))
    refused(tmp_path / "m.pth", "holds no network", "Linear", "nothing was run")


# -- files of other kinds

OTHER_FILES = {
    "empty": (b"", "empty"), "text": (b"epoch 1 loss 0.5\n", "a text file"), "json": (b'{"a": 1}', "a text file"),
    "page": (b"<!DOCTYPE html><html>", "a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "HDF5"), "npy": (b"\x93NUMPY\x01\0", "without a name"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 50, "gzip"), "tar": (b"a" * 257 + b"ustar" + b"\0" * 300, "a tar archive"),
    "gguf": (b"GGUF\3\0\0\0", "GGUF"), "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x01" + b"\0" * 30, "ONNX"),
    "png": (b"\x89PNG\r\n", "a picture"), "noise": (bytes(range(128, 256)), "neither"),
    "html error": (b"\n <html><body>404</body></html>", "a web page"), "quota": (b"Not Found", "a text file"),
    "zeros": (bytes(4096), "were never written"),
    "cut zip": (b"PK\x03\x04" + b"\0" * 100, "cut off"), "empty zip": (b"PK\x05\x06" + b"\0" * 18, "without data.pkl")}


@pytest.mark.parametrize("name", OTHER_FILES)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", "", ".pkl", ".safetensors"])
def test_files_of_other_kinds_are_told_apart(name, suffix, tmp_path):
    content, words = OTHER_FILES[name]
    if (name, suffix) == ("noise", ".safetensors"):
        words = "header"
    (tmp_path / ("other" + suffix)).write_bytes(content)
    refused(tmp_path / ("other" + suffix), words)


def test_archives_of_arrays_and_of_files_are_told_apart(tmp_path):
    np.savez(str(tmp_path / "a.npz"), w=np.ones(3))
    refused(tmp_path / "a.npz", "NumPy archive")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as z:
        z.writestr("weights/latest_net_G.pth", b"x")
    refused(tmp_path / "b.zip", "unpack it", "latest_net_G.pth")


def test_what_is_no_file(tmp_path):
    (tmp_path / "a.pth").mkdir()
    refused(tmp_path / "a.pth", "is a folder")
    os.mkfifo(str(tmp_path / "b.pth"))
    refused(tmp_path / "b.pth", "no regular file")
    os.symlink(str(tmp_path / "none"), str(tmp_path / "c.pth"))
    refused(tmp_path / "c.pth", "a link to nothing")
    os.symlink(str(tmp_path / "d.pth"), str(tmp_path / "d.pth"))
    refused(tmp_path / "d.pth", "cannot be read")
    with open(tmp_path / "e.pth", "wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(1 << 40)
    refused(tmp_path / "e.pth", "never written")


# -- counts and sizes before work

def _safetensors(path, header):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def _empty_entries(path):
    _safetensors(path, {f"e{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(500_000)})


def _records(path):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("a/data.pkl", b"}.")
        for i in range(100_000):
            z.writestr(f"a/data/{i}", b"")


def _set_of_text(path):
    text = b"X" + struct.pack("<I", 40_000_000) + b"a" * 40_000_000
    path.write_bytes(b"\x80\x02" + text + b"q\x00(" + b"c__builtin__\nset\nh\x00\x85R" * 50 + b"l.")


def _encoded_again_and_again(path):
    text = b"X" + struct.pack("<I", 20_000_000) + b"a" * 20_000_000
    path.write_bytes(b"\x80\x02" + text + b"q\x00("
                     + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 200 + b"l.")


def _many_times_many(path):
    line, out = b"", b"\x80\x02(K\x01lq\x00"
    for level in range(1, 6):
        line = b"".join(b"X\x03\x00\x00\x00%03dh%c" % (i, level - 1) for i in range(500))
        out += b"0(" + line + b"dq%c" % level
    path.write_bytes(out + b".")


@pytest.mark.parametrize("make", [
    _empty_entries, _records, _set_of_text, _encoded_again_and_again, _many_times_many,
    lambda path: path.write_bytes(b"(" + b"I12345\n" * 10_000_000 + b"l."),
    lambda path: _safetensors(path, {"x" * 7_000_000: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    lambda path: _safetensors(path, {"__metadata__": {f"k{i}": "x" for i in range(200_000)}}),
    lambda path: torch.save({"w" * 100_000: torch.ones(2), "\x1b[2J\n.weight": torch.ones(2)}, str(path)),
], ids=["entries", "records", "set", "encode", "shared", "numbers", "name", "metadata", "names"])
def test_a_file_of_too_much_ends_quickly_and_in_few_words(make, tmp_path):
    make(tmp_path / "much.pth")
    began = time.process_time()
    text = refused(tmp_path / "much.pth")
    assert time.process_time() - began < 5 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2e6
    assert "\x1b" not in text


# -- checksums, and files that were swapped

def test_a_damaged_name_of_the_checksum_does_not_switch_it_off(arrays, tmp_path):
    write_tensors(tmp_path / "a.safetensors", arrays)
    good = (tmp_path / "a.safetensors").read_bytes()
    at = good.index(b"jt_dfd.sha256")
    for place in range(at, at + 13):
        (tmp_path / "a.safetensors").write_bytes(good[:place] + b"x" + good[place + 1:])
        if (tmp_path / "a.safetensors").read_bytes() != good:
            refused(tmp_path / "a.safetensors", "checksum", "damaged")


def test_inspect_says_where_there_is_no_checksum(arrays, state, tmp_path):
    write_arrays(tmp_path / "ours.pkl", arrays)
    write_tensors(tmp_path / "ours.safetensors", arrays)
    torch.save(state, str(tmp_path / "zip.pth"))
    torch.save(state, str(tmp_path / "old.pth"), _use_new_zipfile_serialization=False)
    import safetensors.numpy

    safetensors.numpy.save_file(arrays, str(tmp_path / "theirs.safetensors"))
    said = {path.name for path in tmp_path.iterdir() if any("no checksum" in n for n in inspect_file(path)["notes"])}
    assert said == {"old.pth", "theirs.safetensors"}


def test_swapped_eyes_are_noticed_or_said_not_to_be(tiny_params, tmp_path):
    shutil.copytree(tiny_params, tmp_path / "p")
    one, two = (tmp_path / f"p/AE_whole/latest_net_encoder_eye{n}.pkl" for n in (1, 2))
    os.rename(one, tmp_path / "x")
    os.rename(two, one)
    os.rename(tmp_path / "x", two)
    with pytest.raises(CheckpointError, match="encoder_eye1.*that of AE_whole/latest_net_encoder_eye2.pkl.*swapped"):
        open_folder(tmp_path / "p").network("encoder", "eye1")
    assert not inspect_folder(tiny_params)["notes"]
    (tmp_path / "p/config.json").unlink()
    assert any("swapped" in note for note in inspect_folder(tmp_path / "p")["notes"])


def test_a_folder_of_any_format_is_a_folder_of_weights(tiny_params, tmp_path, identical):
    """As people rename and save them."""
    before = open_folder(tiny_params)
    shutil.copytree(tiny_params, tmp_path / "p")
    (tmp_path / "p/config.json").unlink()
    for number, path in enumerate(sorted((tmp_path / "p").rglob("*.pkl"))):
        value = {"state_dict": {"module." + n: torch.from_numpy(a.copy()) for n, a in read_arrays(path).items()},
                 "args": argparse.Namespace(lr=1)}
        path.unlink()
        torch.save(value, str(path.with_name(path.stem + (".ckpt", ".pth.tar", ".bin", "", ".pt")[number % 5])))
    folder = open_folder(tmp_path / "p", sizes_from_files=True)
    assert not folder.missing() and folder.config == preset("tiny")
    for member in folder.members():
        if member.kind != "bank":
            assert identical(folder.read(member), before.network(member.kind, member.component or "rest"))
