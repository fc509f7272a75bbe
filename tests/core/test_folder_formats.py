"""A folder of weights is the same in whatever format it lies: read, written, drawn with, trained on."""
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, new_folder, open_folder
from jt_dfd.components import COMPONENTS

TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None,
                           reason="PyTorch is not installed (pip install 'jt_dfd[torch]')")
FORMATS = [".pkl", ".safetensors", pytest.param(".pth", marks=TORCH), pytest.param(".pt", marks=TORCH)]


def converted(root, source, destination, suffix):
    """In a process of its own: PyTorch, which writes .pth, and Jittor do not share one."""
    words = ["to-jittor"] if suffix == ".pkl" else ["to-torch", "--format", suffix[1:]]
    subprocess.run([sys.executable, str(root / "tools/convert_weights.py"), *words, "--no-verify", str(source),
                    str(destination)], check=True, stdout=subprocess.DEVNULL)
    return destination


@pytest.mark.parametrize("suffix", FORMATS)
def test_networks_and_banks_are_the_same_bits(root, tiny_params, tmp_path, suffix):
    before, after = open_folder(tiny_params), open_folder(converted(root, tiny_params, tmp_path / "c", suffix))
    assert after.config == before.config and after.genders == before.genders and not after.missing()
    for member in before.members():
        ours, theirs = before.read(member), after.read(after.members()[before.members().index(member)])
        assert list(ours) == list(theirs)
        assert all(ours[n].tobytes() == theirs[n].tobytes() and theirs[n].dtype == np.float32 for n in ours)
    assert all((after.path / file).is_file() and file.endswith((suffix, ".bin")) for file in after.files())


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".pth", marks=TORCH)])
def test_the_demo_s_face_is_the_same_bit_for_bit(root, demo, parity, tmp_path, suffix):
    from jt_dfd import Synthesizer

    folder = converted(root, demo, tmp_path / "demo-torch", suffix)
    ours, theirs = (Synthesizer(path, device="cpu").synthesize(parity / "sketch_a.png", gender="male")
                    for path in (demo, folder))
    assert np.array_equal(ours.face, theirs.face) and np.array_equal(ours.shadow, theirs.shadow)
    assert all(np.array_equal(ours.vectors[c], theirs.vectors[c]) for c in COMPONENTS)


def written(source, path, suffix):
    one = open_folder(source)
    with new_folder(path, one.config, suffix, force=True) as folder:
        for member in one.members():
            if member.kind == "bank":
                folder.write_bank(member.component, member.gender, one.bank(member.component, member.gender))
            else:
                folder.write_network(member.kind, member.component, one.network(member.kind, member.component))
        folder.write_config({"from": "a test"})
    return open_folder(path)


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_a_folder_is_written_whole_or_not_at_all(tiny_params, tmp_path, suffix, monkeypatch):
    folder = written(tiny_params, tmp_path / "mine", suffix)
    assert folder.meta["provenance"] == {"from": "a test"} and len(folder.meta["files"]) == 26
    folder.check_banks()
    before = (folder.path / "config.json").read_bytes()
    monkeypatch.setattr(type(folder), "write_bank", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(CheckpointError, match="mine: cannot be written"):
        written(tiny_params, tmp_path / "mine", suffix)
    assert os.listdir(tmp_path) == ["mine"] and (folder.path / "config.json").read_bytes() == before


def test_a_bank_is_written_in_the_folder_s_own_format(tiny_params, tmp_path):
    folder = written(tiny_params, tmp_path / "mine", ".safetensors")
    rows = np.float16(np.random.default_rng(0).standard_normal((7, folder.config.latent)))
    folder.write_bank("nose", "male", rows)
    folder.write_config()
    again = open_folder(tmp_path / "mine")
    assert np.array_equal(again.bank("nose", "male"), np.float32(rows)) and again.suffix == ".safetensors"
    assert again.bank("nose", "male", as_stored=True).dtype == np.float16


def test_a_changed_file_of_any_format_is_noticed(tiny_params, tmp_path):
    folder = written(tiny_params, tmp_path / "mine", ".safetensors")
    path = folder.find("encoder", "nose")
    os.replace(folder.find("encoder", "mouth"), path)
    with pytest.raises(CheckpointError, match="latest_net_encoder_nose.safetensors: its sha256"):
        open_folder(folder.path).network("encoder", "nose")


def test_two_files_of_one_network_are_refused(tiny_params, tmp_path):
    folder = written(tiny_params, tmp_path / "mine", ".safetensors")
    (folder.path / "Combine/latest_net_G.pkl").write_bytes((tiny_params / "Combine/latest_net_G.pkl").read_bytes())
    with pytest.raises(CheckpointError, match="latest_net_G.pkl and latest_net_G.safetensors; remove all but one"):
        open_folder(folder.path).network("generator")
