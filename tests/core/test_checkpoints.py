"""Reading and writing weights: what is right is read exactly, what is wrong is refused by name, nothing is run."""
import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

from jt_dfd import checkpoints
from jt_dfd.checkpoints import CheckpointError, open_folder, read_arrays, read_bank, write_arrays, write_bank
from jt_dfd.config import preset

ARRAYS = {"conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "conv.bias": np.float32([1, -2]),
          "half": np.float16([0.5, 2]), "double": np.linspace(0, 1, 7), "one": np.float32([3]),
          "columns": np.asfortranarray(np.random.default_rng(0).random((3, 5)))}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


# -- what is right

@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(ARRAYS, protocol))
    assert same(read_arrays(tmp_path / "a.pkl"), ARRAYS)


def test_jittor_s_own_files(tmp_path):
    """As jt.save writes them: its class around the arrays, a checksum behind."""
    from jt_dfd.backend import jt

    jt.save({n: jt.array(np.ascontiguousarray(a)) for n, a in ARRAYS.items()}, str(tmp_path / "vars.pkl"))
    got = read_arrays(tmp_path / "vars.pkl")
    assert got.keys() == ARRAYS.keys() and all(np.allclose(got[n], ARRAYS[n]) for n in ARRAYS)
    jt.save(ARRAYS, str(tmp_path / "arrays.pkl"))
    assert same(read_arrays(tmp_path / "arrays.pkl"), ARRAYS)


def test_what_is_written_is_read_by_everyone(tmp_path):
    from jt_dfd.backend import jt

    path = tmp_path / "a.pkl"
    write_arrays(path, ARRAYS)
    assert same(read_arrays(path), ARRAYS)
    with open(path, "rb") as f:
        assert same(pickle.load(f), ARRAYS), "plain pickle"
    assert same(jt.load(str(path)), ARRAYS), "Jittor"
    assert os.listdir(tmp_path) == ["a.pkl"], "no temporary file may stay"


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    write_arrays(path, ARRAYS)
    before = path.read_bytes()

    class Full:
        def __array__(self, *a, **k):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        write_arrays(path, {"a": np.ones(3), "b": Full()})
    monkeypatch.setattr(pickle, "Pickler",
                        lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        write_arrays(path, ARRAYS)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.pkl"]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_banks(tmp_path, dtype):
    rows = np.random.default_rng(0).standard_normal((7, 24)).astype(dtype)
    write_bank(tmp_path / "b.bin", rows, dtype)
    assert np.array_equal(read_bank(tmp_path / "b.bin", 24, dtype), rows.astype(np.float32))
    assert (tmp_path / "b.bin").stat().st_size == rows.nbytes, "raw rows, as in the release"


# -- what is wrong

def refused(call, *words):
    with pytest.raises(CheckpointError) as caught:
        call()
    for word in words:
        assert str(word) in str(caught.value), (word, str(caught.value))


class Evil:
    def __init__(self, how):
        self.how = how

    def __reduce__(self):
        return self.how


def hostile():
    mark = "touch {}"
    return {
        "os.system": lambda p: pickle.dumps({"a": Evil((os.system, (mark.format(p),)))}),
        "subprocess": lambda p: pickle.dumps({"a": Evil((__import__("subprocess").check_call, (["touch", p],)))}),
        "eval": lambda p: pickle.dumps({"a": Evil((eval, (f"open({p!r}, 'w')",)))}),
        "old protocol": lambda p: f"cos\nsystem\n(S'{mark.format(p)}'\ntR.".encode(),
        "dotted name": lambda p: b"\x80\x04\x8c\x15numpy.core.multiarray\x8c\x1b_reconstruct.__globals__.get\x93.",
        "getattr": lambda p: b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'__class__'\ntR.",
        "persistent id": lambda p: b"Pevil\n.",
        "extension": lambda p: b"\x82\x01.",
        "numpy load": lambda p: pickle.dumps({"a": Evil((np.load, (p,)))}),
        "state for a class": lambda p: b"\x80\x02cnumpy\nndarray\n}U\x01aK\x01sb.",
    }


@pytest.mark.parametrize("name", list(hostile()))
def test_hostile_pickles_run_nothing(tmp_path, name):
    (tmp_path / "evil.pkl").write_bytes(hostile()[name](str(tmp_path / "pwned")))
    refused(lambda: read_arrays(tmp_path / "evil.pkl"), "evil.pkl")
    assert not (tmp_path / "pwned").exists()


def endless():
    """Small files whose values double with every level: taking their hash or writing them out would never end, or, a
    million levels deep, overflow the stack."""
    doubled, deep = b")\x85" + b"2\x86" * 60, b")" + b"\x85" * 2_000_000
    return {
        "key": b"\x80\x02}" + doubled + b"K\x01s.",
        "keys": b"\x80\x02}(" + doubled + b"K\x01u.",
        "dictionary": b"(" + doubled + b"K\x01d.",
        "deep key": b"\x80\x02}" + deep + b"K\x01s.",
        "ordered": b"\x80\x02ccollections\nOrderedDict\n]" + doubled + b"K\x01\x86a\x85R.",
        "type": b"\x80\x02cnumpy\ndtype\n" + doubled + b"\x85R.",
        "shape": b"cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\n(X\x02\x00\x00\x00f4tR" + doubled
                 + b"X\x01\x00\x00\x00CtR.",
        "order": b"cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\n(X\x02\x00\x00\x00f4tR)" + doubled + b"tR.",
    }


@pytest.mark.parametrize("name", list(endless()))
def test_values_without_end_are_refused_at_once(tmp_path, root, name):
    (tmp_path / "endless.pkl").write_bytes(endless()[name])
    code = ("import sys; sys.path.insert(0, sys.argv[1]); from jt_dfd.checkpoints import *\n"
            "try: read_arrays(sys.argv[2])\nexcept CheckpointError as error: print(error)")
    done = subprocess.run([sys.executable, "-c", code, str(root), str(tmp_path / "endless.pkl")], capture_output=True,
                          text=True, timeout=60)
    assert (done.returncode == 0 and "endless.pkl" in done.stdout
            and "not a usable checkpoint" in done.stdout), done.stderr


def test_the_hostile_pickle_would_have_worked(tmp_path):
    """Else the test above would show nothing."""
    data = hostile()["os.system"](str(tmp_path / "pwned"))
    pickle.loads(data)
    assert (tmp_path / "pwned").exists()


def test_arrays_that_lie_about_their_size(tmp_path):
    good = pickle.dumps({"a": np.zeros(1000, np.float32)}, 2)
    for was, lie in ((struct.pack("<H", 1000), struct.pack("<H", 60000)), (b"f4", b"f8"), (b"f4", b"O8")):
        assert was in good
        (tmp_path / "a.pkl").write_bytes(good.replace(was, lie, 1))
        refused(lambda: read_arrays(tmp_path / "a.pkl"), "a.pkl")


@pytest.mark.parametrize("value", [[1, 2], {}, {"a": 3}, {3: np.ones(2)}, np.ones(3), None, {"a": np.array(["x"])},
                                   {"a": np.array([object()])}, {"a": {"b": np.ones(2)}}])
def test_what_is_no_dictionary_of_arrays_is_refused(tmp_path, value):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    refused(lambda: read_arrays(tmp_path / "a.pkl"), "a.pkl")


def test_missing_files_and_folders(tmp_path):
    refused(lambda: read_arrays(tmp_path / "none.pkl"), "none.pkl", "missing")
    refused(lambda: read_arrays(tmp_path), tmp_path)
    refused(lambda: open_folder(tmp_path / "none"), "none", "no such folder")
    refused(lambda: open_folder(tmp_path), tmp_path, "no weights")
    refused(lambda: read_bank(tmp_path / "none.bin", 24), "none.bin", "missing")


@pytest.mark.parametrize("size", [0, 1, 95, 24 * 4 * 3 + 4])
def test_banks_that_are_no_whole_number_of_rows(tmp_path, size):
    (tmp_path / "b.bin").write_bytes(bytes(size))
    refused(lambda: read_bank(tmp_path / "b.bin", 24), "b.bin", f"{size} bytes")


def test_a_bank_with_a_nan_names_the_row(tmp_path):
    rows = np.ones((9, 24), np.float32)
    rows[6, 3] = np.nan
    write_bank(tmp_path / "b.bin", rows)
    refused(lambda: read_bank(tmp_path / "b.bin", 24), "b.bin", "row 6")


# -- whole folders

@pytest.fixture
def folder(tiny_params, tmp_path):
    shutil.copytree(tiny_params, tmp_path / "params")
    return tmp_path / "params"


def rewrite(path, change):
    with open(path, "rb") as f:
        arrays = pickle.load(f)
    change(arrays)
    path.write_bytes(pickle.dumps(arrays))


NOSE = "AE_whole/latest_net_encoder_nose.pkl"


@pytest.mark.parametrize("change, words", [
    (lambda a: a.pop("fc_mu.0.bias"), ["missing parameters fc_mu.0.bias"]),
    (lambda a: a.update(surplus=np.ones(2, np.float32)), ["unexpected parameters surplus"]),
    (lambda a: a.update({"fc.bias": a.pop("fc_mu.0.bias")}), ["fc.bias", "fc_mu.0.bias"]),
    (lambda a: a.update({"fc_mu.0.bias": np.ones(3, np.float32)}), ["fc_mu.0.bias", "(3,)", "(24,)"]),
    (lambda a: a.update({"fc_mu.0.bias": np.ones(24, np.int64)}), ["fc_mu.0.bias", "int64"]),
    (lambda a: a["fc_mu.0.weight"].__setitem__((3, 4), np.nan), ["fc_mu.0.weight", "1 NaN"]),
    (lambda a: a["fc_mu.0.weight"].__setitem__((3, 4), -np.inf), ["fc_mu.0.weight", "1 infinite"]),
    (lambda a: a["conv.0.bn.running_var"].__setitem__(0, -1), ["conv.0.bn.running_var", "negative"]),
])
def test_a_wrong_parameter_is_named(folder, change, words):
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, "files": {}}))
    rewrite(folder / NOSE, change)
    refused(lambda: open_folder(folder).network("encoder", "nose"), "latest_net_encoder_nose.pkl", *words)
    assert open_folder(folder).network("encoder", "eye1"), "the other files are as good as before"


def test_a_changed_file_is_noticed(folder):
    rewrite(folder / NOSE, lambda a: a["fc_mu.0.bias"].__setitem__(0, 0.123))
    refused(lambda: open_folder(folder).network("encoder", "nose"), "latest_net_encoder_nose.pkl", "sha256")


def test_a_cut_off_file_is_noticed(folder):
    data = (folder / NOSE).read_bytes()
    (folder / "config.json").unlink()
    for length in (0, 1, 100, len(data) // 2, len(data) - 1):
        (folder / NOSE).write_bytes(data[:length])
        refused(lambda: open_folder(folder).network("encoder", "nose"), "latest_net_encoder_nose.pkl")


def test_a_bad_checksum_is_noticed(tmp_path):
    write_arrays(tmp_path / "a.pkl", {"a": np.zeros(100, np.float32)})
    data = bytearray((tmp_path / "a.pkl").read_bytes())
    assert hashlib.sha1(data[:-28]).digest() == data[-28:-8] and data.endswith(b"HCAJSLHD")
    data[-60] ^= 1
    (tmp_path / "a.pkl").write_bytes(data)
    refused(lambda: read_arrays(tmp_path / "a.pkl"), "a.pkl", "checksum")


def test_without_config_a_folder_is_taken_for_the_release(folder):
    (folder / "config.json").unlink()
    opened = open_folder(folder)
    assert opened.config == preset("release") and opened.genders == ("male", "female")
    refused(lambda: opened.network("encoder", "eye1"), "latest_net_encoder_eye1.pkl", "missing parameters")


def test_missing_members_of_a_folder_are_named(folder):
    (folder / "Combine/latest_net_DE_.pkl").unlink()
    refused(lambda: open_folder(folder).network("feature_decoder", "rest"), "latest_net_DE_.pkl", "missing")
    (folder / "AE_whole/man_mouth_feature.bin").unlink()
    refused(lambda: open_folder(folder).bank("mouth", "male"), "man_mouth_feature.bin", "missing")


def test_a_checkout_s_params_folder_leads_to_the_demo(folder):
    folder.rename(folder.parent / "demo")
    assert open_folder(folder.parent).path == folder.parent / "demo"


# -- a thousand damaged files

def mutations(data, rng):
    data = bytearray(data)
    kind = rng.integers(5)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data)))
        if kind == 0:
            data[at] = int(rng.integers(256))
        elif kind == 1:
            del data[at:at + int(rng.integers(1, 60))]
        elif kind == 2:
            data[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 60)), dtype=np.uint8))
        elif kind == 3:
            other = int(rng.integers(len(data)))
            data[at:at + 20] = data[other:other + 20]
        else:
            data = data[:max(1, at)]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def test_a_thousand_damaged_checkpoints(tmp_path):
    """An error or the right numbers, each time; damage to the numbers themselves is what checksums are for, so files
    with one must never be read wrongly, and plain ones only ever differ in values."""
    rng, path = np.random.default_rng(0), tmp_path / "a.pkl"
    write_arrays(path, ARRAYS)
    summed, plain = path.read_bytes(), [pickle.dumps(ARRAYS, p) for p in (0, 2, 4, 5)]
    read = 0
    for i in range(1000):
        original = summed if i % 2 else plain[i // 2 % 4]
        data = mutations(original, rng)
        path.write_bytes(data)
        try:
            got = read_arrays(path)
        except CheckpointError as error:
            assert "a.pkl" in str(error)
            continue
        read += 1
        if data.endswith(summed[-8:]):
            assert same(got, ARRAYS)
        for array in got.values():
            assert isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
    assert 0 < read < 700, "most damage must be noticed, and some must leave a readable file"


def test_reading_needs_no_jittor(root):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import jt_dfd, jt_dfd.checkpoints, jt_dfd.networks, "
            "jt_dfd.inference.command, jt_dfd.synthesizer, jt_dfd.kernels.selection; "
            "assert jt_dfd.Synthesizer and 'jittor' not in sys.modules")
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)
    assert checkpoints.GENDERS == {"male": "man", "female": "female"}
