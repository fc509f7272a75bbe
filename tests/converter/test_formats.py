"""Files of every format: written and read back bit for bit, here and by the tools others use."""
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, formats, read_arrays
from jt_dfd.checkpoints.tensors_file import write_tensors
from jt_dfd.runtime import jittor_copy


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {"conv.0.weight": random.standard_normal((3, 4, 2, 2)).astype(np.float32),
            "half": random.standard_normal(7).astype(np.float16), "count": np.arange(5),
            "empty": np.zeros((0, 3), np.float32), "odd bits": np.array([-0.0, 1e-45, 3e38], np.float32)}


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors",
                                    pytest.param(".pth", marks=pytest.mark.torch),
                                    pytest.param(".pt", marks=pytest.mark.torch)])
def test_what_is_written_comes_back_bit_for_bit(suffix, arrays, tmp_path, identical):
    formats.write(tmp_path / ("a" + suffix), arrays)
    assert identical(formats.read_any(tmp_path / ("a" + suffix)), arrays)


def test_the_command_line_offers_every_format_for_pytorch():
    from jt_dfd.converter.command import FORMATS

    assert FORMATS == tuple(suffix[1:] for suffix in formats.TORCH_SUFFIXES)


def test_big_endian_arrays_keep_their_values(tmp_path):
    formats.write(tmp_path / "a.safetensors", {"x": np.arange(3, dtype=">f4")})
    assert formats.read_any(tmp_path / "a.safetensors")["x"].tolist() == [0, 1, 2]


def test_the_suffix_chooses_what_is_written_and_nothing_else(arrays, tmp_path, identical):
    with pytest.raises(CheckpointError, match=r"a\.npz.*\.safetensors"):
        formats.write(tmp_path / "a.npz", arrays)
    formats.write(tmp_path / "a.safetensors", arrays)
    for name in ("a.npz", "a.ckpt", "a.pth.tar", "a"):
        os.rename(tmp_path / "a.safetensors", tmp_path / name)
        assert identical(formats.read_any(tmp_path / name), arrays)
        os.rename(tmp_path / name, tmp_path / "a.safetensors")


@pytest.mark.parametrize("suffix", formats.SUFFIXES)
def test_missing_and_empty_files_are_named(suffix, tmp_path):
    with pytest.raises(CheckpointError, match="no_such.*missing"):
        formats.read_any(tmp_path / ("no_such" + suffix))
    (tmp_path / ("empty" + suffix)).write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty" + suffix):
        formats.read_any(tmp_path / ("empty" + suffix))


@pytest.mark.parametrize("protocol", range(6))
def test_a_file_under_the_wrong_suffix_is_read_for_what_it_is(protocol, arrays, tmp_path, identical):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(arrays, protocol=protocol))
    assert identical(formats.read_any(tmp_path / "a.pth"), arrays)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_release_style_pickles_of_any_protocol(protocol, arrays, tmp_path, identical):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays, protocol=protocol))
    assert identical(read_arrays(tmp_path / "a.pkl"), arrays)


def test_plain_pickle_reads_what_we_write(arrays, tmp_path, identical):
    formats.write(tmp_path / "a.pkl", arrays)
    with open(tmp_path / "a.pkl", "rb") as stream:
        assert identical(pickle.load(stream), arrays)


def test_writing_a_pickle_needs_memory_for_one_array_only(tmp_path, identical):
    import tracemalloc

    arrays = {f"{i}": np.zeros(1 << 18, np.float32) for i in range(16)}  # 1 MB each
    tracemalloc.start()
    try:
        formats.write(tmp_path / "a.pkl", arrays)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    assert identical(read_arrays(tmp_path / "a.pkl"), arrays)


class TestSafetensors:
    library = None

    @pytest.fixture(autouse=True)
    def _library(self):
        self.library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")

    def test_their_library_reads_ours(self, arrays, tmp_path, identical):
        write_tensors(tmp_path / "a.safetensors", arrays)
        theirs = self.library.load_file(str(tmp_path / "a.safetensors"))
        assert identical({name: theirs[name] for name in arrays}, arrays)

    def test_we_read_theirs(self, arrays, tmp_path, identical):
        self.library.save_file(arrays, str(tmp_path / "a.safetensors"), {"by": "someone"})
        ours = formats.read_any(tmp_path / "a.safetensors")
        assert identical({name: ours[name] for name in arrays}, arrays)


def _tensors_file(header, data=b"\0" * 8):
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("content, cause", [
    (b"\xff" * 8, "header"),
    (struct.pack("<Q", 10 ** 9) + b"{}", "header"),
    (_tensors_file("[1]"), "no table"),
    (_tensors_file("[" * 5000), "safetensors"),
    (_tensors_file(b"\xff\xfe"), "not text"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],'
                   '"data_offsets":[0,8]}}'), "twice"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'), "8 bytes"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'), "begin at 4"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'), "8 bytes of data instead of 4"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}'), "damaged"),
    (_tensors_file('{"x":{"dtype":"OBJECT","shape":[1],"data_offsets":[0,8]}}'), "OBJECT"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,8]}}'), "too large"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[4000000000],"data_offsets":[0,16000000000]}}'), "instead of"),
    (_tensors_file('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"a":1}}'), "metadata"),
])
def test_damaged_safetensors_are_refused_with_the_cause(content, cause, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.safetensors") as error:
        formats.read_any(tmp_path / "a.safetensors")
    assert cause in str(error.value)


def test_a_changed_number_in_our_safetensors_is_noticed(arrays, tmp_path):
    write_tensors(tmp_path / "a.safetensors", arrays)
    data = bytearray((tmp_path / "a.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum"):
        formats.read_any(tmp_path / "a.safetensors")


@pytest.mark.torch
class TestTorch:
    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")

    def test_torch_loads_ours(self, arrays, tmp_path, identical):
        formats.write(tmp_path / "a.pth", arrays)
        loaded = self.torch.load(str(tmp_path / "a.pth"), weights_only=True)
        assert identical({name: tensor.numpy() for name, tensor in loaded.items()}, arrays)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_we_read_all_that_training_leaves_in_a_file(self, zipped, tmp_path):
        torch = self.torch
        net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
        optimiser = torch.optim.Adam(net.parameters())
        net(torch.randn(2, 2, 5, 5)).sum().backward()
        optimiser.step()
        matrix = torch.randn(6, 5)
        value = {"state_dict": net.state_dict(), "optimizer": optimiser.state_dict(), "epoch": 3, "best": None,
                 "turned": matrix.t()[1:4], "same": matrix, "parameter": net[0].weight, "loss": np.float64(0.5),
                 "bf16": torch.randn(4).bfloat16(), "size": matrix.shape, "device": torch.device("cpu"),
                 "type": torch.float16, "lists": [1, (2.5, "x")]}
        torch.save(value, str(tmp_path / "a.pth"), _use_new_zipfile_serialization=zipped)
        found = formats.read_any(tmp_path / "a.pth")
        assert np.array_equal(found["turned"], matrix.t()[1:4].numpy())
        assert np.array_equal(found["parameter"], net[0].weight.detach().numpy())
        assert np.array_equal(found["bf16"], value["bf16"].float().numpy())
        assert np.array_equal(found["state_dict"]["1.running_var"], net[1].running_var.numpy())
        assert np.array_equal(found["optimizer"]["state"][0]["exp_avg"],
                              optimiser.state_dict()["state"][0]["exp_avg"].numpy())
        assert (found["epoch"], found["size"], float(found["loss"])) == (3, [6, 5], 0.5)
        assert found["lists"] == [1, [2.5, "x"]]

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("protocol", [3, 4, 5])
    def test_newer_pickles_inside(self, zipped, protocol, tmp_path):
        torch = self.torch
        value = {"w": torch.arange(6.).reshape(2, 3), "seen": {1, 2}, "none": {}}
        torch.save(value, str(tmp_path / "a.pth"), pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        found = formats.read_any(tmp_path / "a.pth")
        assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["seen"] == [1, 2]

    @pytest.mark.parametrize("zipped", [True, False])
    def test_what_schedulers_and_marked_tensors_leave_beside_the_weights(self, zipped, tmp_path):
        import collections

        torch = self.torch
        marked, parameter = torch.ones(3), torch.nn.Parameter(torch.zeros(2))
        marked.why = parameter.why = "noted by a training script"
        value = {"w": marked, "p": parameter, "milestones": collections.Counter([3, 5, 5]),
                 "log": collections.defaultdict(list, {"loss": [0.5]}), "state": collections.defaultdict(dict)}
        torch.save(value, str(tmp_path / "a.pth"), _use_new_zipfile_serialization=zipped)
        found = formats.read_any(tmp_path / "a.pth")
        assert found["w"].tolist() == [1, 1, 1] and found["p"].tolist() == [0, 0]
        assert (found["milestones"], found["log"], found["state"]) == ({3: 1, 5: 2}, {"loss": [0.5]}, {})

    def test_parameters_as_the_first_pytorch_stored_them(self, tmp_path):
        """Called with their tensor and then given a state, which torchvision's oldest files hold."""
        torch = self.torch
        torch.save({"w": torch.arange(4.)}, str(tmp_path / "new.pth"), _use_new_zipfile_serialization=False)
        data = (tmp_path / "new.pth").read_bytes()
        parameter = b"ctorch.nn.parameter\nParameter\nh\r\x85R(\x88\x89ccollections\nOrderedDict\n)Rtb"
        assert data.count(b"Rq\rs.") == 1
        data = data.replace(b"Rq\rs.", b"Rq\r0" + parameter + b"s.")
        (tmp_path / "old.pth").write_bytes(data)
        assert formats.read_any(tmp_path / "old.pth")["w"].tolist() == [0, 1, 2, 3]

    def test_storages_numbered_instead_of_named(self, tmp_path):
        """As Jittor's own writer of .pth does."""
        torch = self.torch
        torch.save({"w": torch.arange(4.)}, str(tmp_path / "named.pth"))
        with zipfile.ZipFile(tmp_path / "named.pth") as theirs, zipfile.ZipFile(tmp_path / "a.pth", "w") as ours:
            for name in theirs.namelist():
                data = theirs.read(name)
                if name.endswith("data.pkl"):
                    assert data.count(b"X\x01\x00\x00\x000") == 1
                    data = data.replace(b"X\x01\x00\x00\x000", b"K\x00")
                ours.writestr(name, data)
        assert formats.read_any(tmp_path / "a.pth")["w"].tolist() == [0, 1, 2, 3]

    def test_programs_and_whole_modules_are_refused(self, tmp_path):
        torch = self.torch
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program.pt"))
        torch.save(torch.nn.Linear(2, 2), str(tmp_path / "module.pth"))
        torch.save(torch.nn.Linear(2, 2), str(tmp_path / "old.pth"), _use_new_zipfile_serialization=False)
        with pytest.raises(CheckpointError, match="program.pt.*TorchScript.*state_dict"):
            formats.read_any(tmp_path / "program.pt")
        with pytest.raises(CheckpointError, match="module.pth.*Linear.*nothing was run.*state_dict"):
            formats.read_any(tmp_path / "module.pth")
        with pytest.raises(CheckpointError, match="old.pth"):
            formats.read_any(tmp_path / "old.pth")


def test_jittors_own_files_in_both_directions(arrays, tmp_path, identical, root):
    """In a process of its own: jt.save and jt.load."""
    if jittor_copy.find_source() is None:
        pytest.skip("Jittor is not installed")
    formats.write(tmp_path / "ours.pkl", {"w": arrays["conv.0.weight"]})
    program = (
        "import sys, numpy as np\n"
        "from jt_dfd.backend import jt\n"
        "w = jt.load(sys.argv[1] + '/ours.pkl')['w']\n"
        "jt.save({'w': jt.array(np.array(w))}, sys.argv[1] + '/variables.pkl')\n"
        "jt.save({'w': np.array(w)}, sys.argv[1] + '/arrays.pkl')\n")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, text=True,
                          timeout=600, cwd=str(root))
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("variables.pkl", "arrays.pkl"):
        assert identical(formats.read_any(tmp_path / name), {"w": arrays["conv.0.weight"]})
