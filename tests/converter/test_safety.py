"""Hostile and damaged files: an error that names the file and the cause, no code run, nothing written, no hang."""
import argparse
import datetime
import os
import pickle
import signal
import struct
import time
import zipfile

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, formats
from jt_dfd.checkpoints.tensors_file import write_tensors
from jt_dfd.converter.convert import convert_file

MUTATIONS = 500
MARK = "JT_DFD_TEST_CODE_WAS_RUN"


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    """Every attack below would write this file."""
    monkeypatch.setenv(MARK, str(tmp_path / "ran"))
    yield
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def deadline():
    """A read that takes longer than this hangs: ten seconds of the processor's time, or minutes of any other."""
    def stop(*_):
        raise TimeoutError("a read took more than ten seconds")

    def start():
        signal.setitimer(signal.ITIMER_PROF, 10)
        signal.alarm(300)

    old = [(number, signal.signal(number, stop)) for number in (signal.SIGALRM, signal.SIGPROF)]
    yield start
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    for number, handler in old:
        signal.signal(number, handler)


COMMAND = f'touch "${MARK}"'


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _global(module, name):
    return b"c" + module + b"\n" + name + b"\n"


def _text(text):
    return b"X" + struct.pack("<I", len(text)) + text


HEAD, CALL = b"\x80\x02", COMMAND.encode()
PYTHON = f"__import__('os').system('{COMMAND}')"
ATTACKS = {
    "os.system": pickle.dumps(Runs(os.system, COMMAND)),
    "os.system among weights": pickle.dumps({"w": np.ones(3, np.float32), "x": Runs(os.system, COMMAND)}),
    "posix by stack": pickle.dumps(Runs(os.system, COMMAND), protocol=4),
    "eval": pickle.dumps(Runs(eval, PYTHON)),
    "exec": pickle.dumps(Runs(exec, PYTHON), protocol=4),
    "INST": b"(S'" + CALL + b"'\nios\nsystem\n.",
    "OBJ": b"(" + _global(b"os", b"system") + b"S'" + CALL + b"'\no.",
    "NEWOBJ": HEAD + _global(b"subprocess", b"Popen") + _text(CALL) + b"\x85\x81.",
    "getattr": HEAD + _global(b"builtins", b"getattr") + _global(b"builtins", b"__import__") + _text(b"x") + b"\x86R.",
    "dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x18OrderedDict.fromkeys.__x\x93.",
    "numpy's loader": HEAD + _global(b"numpy", b"load") + _text(b"/etc/passwd") + b"\x85R.",
    "numpy's test runner": HEAD + _global(b"numpy.testing._private.utils", b"runstring") + _text(PYTHON.encode())
                           + b"}\x86R.",
    "torch's loader": HEAD + _global(b"torch", b"load") + _text(b"x.pth") + b"\x85R.",
    "torch.hub": HEAD + _global(b"torch.hub", b"load") + _text(b"x") + b"\x85R.",
    "state of a function": HEAD + _global(b"_codecs", b"encode") + b"}" + _text(b"__code__") + b"K\x01sb.",
    "state of a class": HEAD + _global(b"collections", b"OrderedDict") + b"}" + _text(b"__init__") + b"K\x01sb.",
    "call of a result": HEAD + _global(b"collections", b"OrderedDict") + b")R)R.",
    "copyreg extension": HEAD + b"\x82\x01.",
    "persistent id": HEAD + _text(b"module") + b"\x85Q.",
    "jittor variable of a command": HEAD + _global(b"jittor", b"Var") + _text(CALL) + b"\x85R.",
    "array of objects": pickle.dumps({"w": np.array([Runs(os.system, COMMAND)], object)}),
    "memo of gigabytes": HEAD + b"}r\xff\xff\xff\x7f.",
    "bytes of gigabytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
    "bytearray of gigabytes": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "frame of gigabytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.",
    "deep": HEAD + b"]" * 100_000 + b"a" * 99_999 + b".",
    "many times many": HEAD + b"".join(b"(" + (b"h%c" % (i - 1) if i else b"K\x01") * 100 + b"lq%c" % i
                                       for i in range(60)) + b".",
    "within itself": HEAD + b"]q\x00h\x00a.",
    "long number": b"\x80\x02\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20) + b".",
    "long decimal": b"I" + b"9" * 2_000_000 + b"\n.",
    "empty stack": b"\x80\x02.",
    "nothing but a number": pickle.dumps(42),
    "text": b"not a checkpoint at all\n",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_pickles(name, tmp_path, deadline):
    (tmp_path / "evil.pkl").write_bytes(ATTACKS[name])
    deadline()
    with pytest.raises(CheckpointError, match=r"evil\.pkl"):
        convert_file(tmp_path / "evil.pkl", tmp_path / "out.safetensors", "torch", verify=False)
    assert os.listdir(tmp_path) == ["evil.pkl"]


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_pickles_inside_pytorch_files(name, tmp_path, deadline):
    with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
        archive.writestr("evil/data.pkl", ATTACKS[name])
        archive.writestr("evil/version", "3\n")
        archive.writestr("evil/data/0", b"\0" * 16)
    # the older layout: magic number, protocol, machine, then the value
    start = b"".join(pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    (tmp_path / "old.pth").write_bytes(start + ATTACKS[name])
    for file in ("evil.pth", "old.pth"):
        deadline()
        with pytest.raises(CheckpointError, match=file.replace(".", r"\.")):
            convert_file(tmp_path / file, tmp_path / "out.pkl", "jittor", verify=False)
    assert sorted(os.listdir(tmp_path)) == ["evil.pth", "old.pth"]


def _tensor_pickle(storage=b"0", count=4, offset=0, size=(4,), stride=(1,), kind=b"FloatStorage"):
    def number(n):
        return b"\x8a" + bytes([8]) + struct.pack("<q", n)

    def numbers(values):
        return b"(" + b"".join(number(n) for n in values) + b"t"

    return (HEAD + b"}" + _text(b"w") + _global(b"torch._utils", b"_rebuild_tensor_v2") + b"(("
            + _text(b"storage") + _global(b"torch", kind) + _text(storage) + _text(b"cpu") + number(count) + b"tQ"
            + number(offset) + numbers(size) + numbers(stride) + b"\x89" + _global(b"collections", b"OrderedDict")
            + b")RtRs.")


def _zip(path, data=b"\0" * 16, compression=zipfile.ZIP_STORED, **tensor):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", _tensor_pickle(**tensor))
        archive.writestr("a/data/0", data)


def test_the_tensor_of_the_attacks_below_is_sound_by_itself(tmp_path):
    _zip(tmp_path / "a.pth", np.arange(4, dtype="<f4").tobytes())
    assert formats.read_any(tmp_path / "a.pth")["w"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("cause, tensor", [
    ("in a storage of 4", dict(offset=1)), ("in a storage of 4", dict(size=(5,))),
    ("in a storage of 4", dict(stride=(2,))), ("in a storage of 4", dict(size=(1 << 39,), stride=(0,))),
    ("damaged tensor", dict(size=(-1,))), ("damaged tensor", dict(stride=(-1,))), ("damaged tensor", dict(offset=-1)),
    ("damaged tensor", dict(size=(2, 2))), ("damaged storage", dict(count=-4)),
    ("16 bytes instead of", dict(count=1 << 30, size=(1 << 30,))), ("missing", dict(storage=b"../../etc/passwd")),
    ("compressed in a way", dict(compression=zipfile.ZIP_LZMA)),
])
def test_tensors_that_reach_outside_their_data(cause, tensor, tmp_path):
    _zip(tmp_path / "evil.pth", **tensor)
    with pytest.raises(CheckpointError, match=r"evil\.pth") as error:
        formats.read_any(tmp_path / "evil.pth")
    assert cause in str(error.value)


def test_a_small_archive_that_unpacks_to_gigabytes(tmp_path, deadline):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", _tensor_pickle())
        with archive.open("a/data/0", "w", force_zip64=True) as stream:
            for _ in range(128):
                stream.write(b"\0" * (1 << 20))
    deadline()
    with pytest.raises(CheckpointError, match="compressed records unpack to far more"):
        formats.read_any(tmp_path / "bomb.pth")


def _mutated(data, random):
    """A few bytes changed, a piece cut out, put in twice or cut off at the end."""
    data, kind = bytearray(data), random.integers(6)
    # half of the changes where structure is: at the two ends
    def place():
        if random.random() < 0.5:
            return int(random.integers(len(data)))
        near = int(random.integers(min(len(data), 2000)))
        return near if random.random() < 0.5 else len(data) - 1 - near

    if kind <= 2:
        for _ in range(int(random.integers(1, 5))):
            data[place()] = int(random.integers(256))
    elif kind == 3:
        del data[place():]
    else:
        start = place()
        piece = data[start:start + int(random.integers(1, 50))]
        data[start:start + (len(piece) if kind == 4 else 0)] = b"" if kind == 4 else piece
    return bytes(data)


def _files(folder, arrays, torch):
    """One good file of every kind, and whether it can notice a changed number."""
    formats.write(folder / "ours.pkl", arrays)
    write_tensors(folder / "ours.safetensors", arrays)
    (folder / "plain.pkl").write_bytes(pickle.dumps(arrays, protocol=4))
    good = {"ours.pkl": True, "ours.safetensors": True, "plain.pkl": False}
    if torch is not None:
        formats.write(folder / "ours.pth", arrays)
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, str(folder / "old.pth"),
                   _use_new_zipfile_serialization=False)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        torch.save({"state_dict": tensors, "args": argparse.Namespace(lr=1), "when": datetime.datetime(2020, 1, 1)},
                   str(folder / "whole.ckpt"))
        with zipfile.ZipFile(folder / "ours.pth") as z, zipfile.ZipFile(folder / "packed.pth", "w",
                                                                        zipfile.ZIP_DEFLATED) as p:
            for record in z.namelist():
                p.writestr(record, z.read(record))
        good.update({"ours.pth": True, "old.pth": False, "whole.ckpt": True, "packed.pth": True})
    return good


@pytest.mark.parametrize("name", ["ours.pkl", "ours.safetensors", "plain.pkl",
                                  pytest.param("ours.pth", marks=pytest.mark.torch),
                                  *(pytest.param(name, marks=pytest.mark.torch)
                                    for name in ("old.pth", "whole.ckpt", "packed.pth"))])
def test_damaged_files_give_an_error_or_the_right_answer(name, tmp_path, smallest, weights_of, deadline, identical):
    try:
        import torch
    except ImportError:
        torch = None
    arrays = weights_of("encoder", smallest, "nose")
    noticed = _files(tmp_path, arrays, torch)[name]
    good = (tmp_path / name).read_bytes()
    folder = tmp_path / "work"
    folder.mkdir()
    source, target = folder / ("bad" + os.path.splitext(name)[1]), folder / "out.safetensors"
    random, refused, slowest = np.random.default_rng(1), 0, 0.0
    for number in range(MUTATIONS):
        bad = _mutated(good, random)
        source.write_bytes(bad)
        deadline()
        began = time.process_time()
        try:
            convert_file(source, target, "torch", verify=False)
        except CheckpointError as error:
            refused += 1
            assert str(source) in str(error), (number, error)
            assert os.listdir(folder) == [source.name], number
        else:
            found = formats.read_any(target)
            assert {n: a.shape for n, a in found.items()} == {n: a.shape for n, a in arrays.items()}, number
            if noticed:
                assert identical({n: found[n] for n in arrays}, arrays), number
            assert all(np.isfinite(a).all() for a in found.values()), number
            target.unlink()
        slowest = max(slowest, time.process_time() - began)
    assert refused > MUTATIONS / 3 and slowest < 5
