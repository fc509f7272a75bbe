"""Conversion of files and folders: round trips, types, atomicity, missing frameworks."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError, formats, open_folder, read_arrays, write_arrays, write_config
from jt_dfd.cli import run
from jt_dfd.config import preset
from jt_dfd.converter import command
from jt_dfd.converter.convert import convert_file, convert_folder

SUFFIXES = [".safetensors", pytest.param(".pth", marks=pytest.mark.torch), pytest.param(".pt", marks=pytest.mark.torch)]


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(Path(folder).rglob("*"))
            if path.is_file()}


def contents(folder):
    """Every array and bank of a folder in the release's layout."""
    folder, out = Path(folder), {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".pkl":
            out.update({(path.name, n): a for n, a in read_arrays(path).items()})
        elif path.suffix == ".bin":
            out[path.name] = np.fromfile(path, np.uint8)
    return out


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_network_of_the_small_presets_comes_back_bit_for_bit(suffix, tmp_path, members, weights_of, identical):
    for config in (preset("tiny"), preset("compact")):
        for kind, component in members:
            if config.preset == "compact" and component not in ("", "nose", "rest"):
                continue  # the same shapes as others but for the grid
            arrays = weights_of(kind, config, component or "rest")
            there, back = tmp_path / ("a" + suffix), tmp_path / "b.pkl"
            write_arrays(tmp_path / "a.pkl", arrays)
            done = convert_file(tmp_path / "a.pkl", there, "torch", verify=False, force=True)
            assert done.layout.kind == kind and done.layout.preset == config.preset
            convert_file(there, back, "jittor", verify=False, force=True)
            assert identical(read_arrays(back), arrays), (kind, component)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_folder_with_its_banks_comes_back_bit_for_bit(suffix, dtype, tiny_params, tmp_path, identical):
    source = tmp_path / "source"
    if dtype == "float32":
        shutil.copytree(tiny_params, source)
        (source / "NOTICE.md").write_text("of these weights")
    else:
        convert_folder(tiny_params, tmp_path / "half", "torch", ".safetensors", "float16", verify=False)
        convert_folder(tmp_path / "half", source, "jittor", verify=False)
        assert read_arrays(source / "Combine/latest_net_G.pkl")["model.1.weight"].dtype == np.float16
    convert_folder(source, tmp_path / "there", "torch", suffix, verify=False)
    convert_folder(tmp_path / "there", tmp_path / "back", "jittor", verify=False)
    assert identical(contents(tmp_path / "back"), contents(source))
    folder = open_folder(tmp_path / "back")
    assert folder.config == preset("tiny") and folder.genders == ("male", "female")
    for component in ("eye1", "rest"):
        folder.network("encoder", component)
        assert np.array_equal(folder.bank(component, "female"), open_folder(source).bank(component, "female"))
    if dtype == "float32":
        assert (tmp_path / "there" / "NOTICE.md").read_text() == "of these weights"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_float16_is_rounded_once(suffix, tmp_path, weights_of, identical):
    arrays = weights_of("generator", preset("tiny"))
    write_arrays(tmp_path / "a.pkl", arrays)
    convert_file(tmp_path / "a.pkl", tmp_path / ("h" + suffix), "torch", "float16", verify=False)
    convert_file(tmp_path / ("h" + suffix), tmp_path / "f.pkl", "jittor", "float32", verify=False)
    assert identical(read_arrays(tmp_path / "f.pkl"),
                     {n: a.astype(np.float16).astype(np.float32) for n, a in arrays.items()})


def test_numbers_too_large_for_float16_are_named(tmp_path, weights_of):
    arrays = weights_of("generator", preset("tiny"))
    arrays["model.4.bias"][3] = 1e6
    write_arrays(tmp_path / "a.pkl", arrays)
    with pytest.raises(CheckpointError, match=r"a\.pkl.*model\.4\.bias.*float16"):
        convert_file(tmp_path / "a.pkl", tmp_path / "h.safetensors", "torch", "float16", verify=False)
    assert os.listdir(tmp_path) == ["a.pkl"]


def test_nothing_is_overwritten_unasked(tiny_params, tmp_path):
    source = tiny_params / "Combine/latest_net_G.pkl"
    (tmp_path / "there.safetensors").write_text("mine")
    with pytest.raises(CheckpointError, match="there already.*--force"):
        convert_file(source, tmp_path / "there.safetensors", "torch", verify=False)
    assert (tmp_path / "there.safetensors").read_text() == "mine"
    convert_file(source, tmp_path / "there.safetensors", "torch", verify=False, force=True)
    assert formats.read_any(tmp_path / "there.safetensors")
    with pytest.raises(CheckpointError, match="the source itself"):
        convert_file(tmp_path / "there.safetensors", tmp_path / "there.safetensors", "torch", force=True)

    folder = tmp_path / "folder"
    convert_folder(tiny_params, folder, "torch", ".safetensors", verify=False)
    before = tree(folder)
    with pytest.raises(CheckpointError, match="there already.*--force"):
        convert_folder(tiny_params, folder, "torch", ".safetensors", verify=False)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="thesis.txt"):
        convert_folder(tiny_params, folder, "torch", ".safetensors", verify=False, force=True)
    (folder / "thesis.txt").unlink()
    convert_folder(tiny_params, folder, "torch", ".safetensors", verify=False, force=True)
    assert tree(folder) == before
    for inner in (tiny_params / "inner", tiny_params.parent):
        with pytest.raises(CheckpointError, match="within|there already|something else"):
            convert_folder(tiny_params, inner, "torch", ".safetensors", verify=False, force=True)


@pytest.mark.parametrize("damage", ["cut", "other sizes", "changed", "not finite", "missing"])
def test_a_folder_is_converted_whole_or_not_at_all(damage, tiny_params, tmp_path, weights_of):
    source = tmp_path / "source"
    shutil.copytree(tiny_params, source)
    victim = source / "Combine/latest_net_DE_mouth.pkl"
    (source / "config.json").unlink() if damage != "changed" else None
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:-100])
    elif damage == "other sizes":
        write_arrays(victim, weights_of("feature_decoder", preset("tiny"), "nose"))
    elif damage in ("changed", "not finite"):
        arrays = dict(read_arrays(victim))
        arrays["conv.6.bias"] = arrays["conv.6.bias"] + (1 if damage == "changed" else np.nan)
        write_arrays(victim, arrays)
    else:
        victim.unlink()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("old")
    with pytest.raises(CheckpointError, match="latest_net_DE_mouth"):
        convert_folder(source, tmp_path / "there", "torch", ".safetensors", verify=False, force=True)
    assert tree(tmp_path / "there") == {"config.json": b"old"}
    assert sorted(os.listdir(tmp_path)) == ["source", "there"]
    if damage == "missing":
        done = convert_folder(source, tmp_path / "part", "torch", ".safetensors", verify=False, partial=True)
        assert len(done) == 16 - 1 + 10


def test_interrupted_it_leaves_nothing(tiny_params, tmp_path):
    def progress(text, *_):
        if "decoder_nose" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_folder(tiny_params, tmp_path / "there", "torch", ".safetensors", verify=False, progress=progress)
    assert os.listdir(tmp_path) == []


def test_sizes_of_a_folder_without_config_are_read_off_its_networks(tiny_params, tmp_path):
    shutil.copytree(tiny_params, tmp_path / "bare")
    (tmp_path / "bare" / "config.json").unlink()
    convert_folder(tmp_path / "bare", tmp_path / "there", "torch", ".safetensors", verify=False)
    assert json.loads((tmp_path / "there" / "config.json").read_text())["network"] == preset("tiny").to_dict()


def test_a_discriminator_goes_along(tiny_params, tmp_path, weights_of, identical):
    shutil.copytree(tiny_params, tmp_path / "with")
    arrays = weights_of("discriminator", preset("tiny"))
    write_arrays(tmp_path / "with/Combine/latest_net_D.pkl", arrays)
    write_config(tmp_path / "with", preset("tiny"))
    convert_folder(tmp_path / "with", tmp_path / "there", "torch", ".safetensors", verify=False)
    found = formats.read_any(tmp_path / "there/Combine/latest_net_D.safetensors")
    assert identical({n: found[n] for n in arrays}, arrays)
    if pytest.importorskip("torch"):
        from jt_dfd.converter.torch_modules import load_pretrained

        scores = load_pretrained(tmp_path / "there").discriminator
        assert np.array_equal(scores.scale0_layer0[0].weight.detach().numpy(), arrays["scale0_layer0.0.weight"])


def test_a_single_bank(tiny_params, tmp_path):
    bank = tiny_params / "AE_whole/man_nose_feature.bin"
    convert_file(bank, tmp_path / "b.safetensors", "torch")  # the folder's config.json says how wide a row is
    assert formats.read_any(tmp_path / "b.safetensors")["feature"].shape == (40, 24)
    convert_file(tmp_path / "b.safetensors", tmp_path / "b.bin", "jittor")
    assert (tmp_path / "b.bin").read_bytes() == bank.read_bytes()
    with pytest.raises(CheckpointError, match="rows of 512"):
        convert_file(tmp_path / "b.bin", tmp_path / "c.safetensors", "torch")
    convert_file(tmp_path / "b.bin", tmp_path / "c.safetensors", "torch", latent=24)
    assert command.main(["verify", str(bank), str(tmp_path / "c.safetensors")]) == 0


@pytest.mark.parametrize("to, name, hint", [("torch", "x.pkl", "to-jittor"), ("jittor", "x.safetensors", "to-torch"),
                                            ("torch", "x.h5", ".safetensors"), ("torch", "x", "without suffix"),
                                            ("torch", "no/such/x.safetensors", "no such folder")])
def test_a_destination_that_makes_no_sense(to, name, hint, tiny_params, tmp_path):
    with pytest.raises(CheckpointError) as error:
        convert_file(tiny_params / "Combine/latest_net_G.pkl", tmp_path / name, to, verify=False)
    assert hint in str(error.value) and os.listdir(tmp_path) == []


def test_a_folder_does_not_become_a_folder_named_like_a_file(tiny_params, tmp_path):
    for name in ("all.pth", "all.safetensors", "all.PKL"):
        with pytest.raises(CheckpointError, match=f"{name}.*is named like a file.*a folder"):
            convert_folder(tiny_params, tmp_path / name, "torch", ".safetensors", verify=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("source, hint", [("no/such", "no such file or folder"),
                                          ("nothing.pth", "no such file or folder"), ("empty", "no networks")])
def test_a_source_that_is_not_there(source, hint, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for command_line in (["to-torch", source, "x.safetensors"], ["to-torch", source, "x"], ["inspect", source],
                         ["verify", source, source]):
        if source == "empty" and command_line[-1] == "x.safetensors":
            continue
        line = [str(tmp_path / word) if i else word for i, word in enumerate(command_line)]
        assert run(command.main, line) == 2
        assert hint in capsys.readouterr().err, command_line
    assert os.listdir(tmp_path) == ["empty"]


def test_an_empty_name_is_no_folder(tiny_params, tmp_path, capsys, monkeypatch):
    """A shell's variable that was never set."""
    monkeypatch.chdir(tiny_params)
    for line in (["to-torch", "", str(tmp_path / "x")], ["to-torch", str(tiny_params), ""], ["inspect", ""],
                 ["verify", str(tiny_params), ""], ["verify", "", str(tiny_params)]):
        assert run(command.main, line) == 2, line
        assert "an empty name" in capsys.readouterr().err, line
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("deep", ["sub/Params", "AE_whole", "flat"])
def test_a_folder_beside_the_right_one_is_told_where_the_weights_are(deep, tiny_params, tmp_path, capsys):
    """Archives are unpacked into one folder too many, or the folder inside is named instead of the one around it."""
    shutil.copytree(str(tiny_params / "AE_whole"), str(tmp_path / "sub/Params/AE_whole"))
    if deep == "flat":
        shutil.copytree(str(tiny_params / "Combine"), str(tmp_path / "flat"))
    given, right = {"sub/Params": (tmp_path / "sub", f"to name {tmp_path / 'sub/Params'}"),
                    "AE_whole": (tmp_path / "sub/Params/AE_whole", f"to name {tmp_path / 'sub/Params'}"),
                    "flat": (tmp_path / "flat", "AE_whole/ and Combine/")}[deep]
    assert run(command.main, ["to-torch", str(given), str(tmp_path / "x"), "--partial"]) == 2
    assert right in capsys.readouterr().err


def test_options_that_would_do_nothing_are_refused(tiny_params, tmp_path, capsys):
    source = tiny_params / "Combine/latest_net_G.pkl"
    for arguments, option in ((("to-torch", source, tmp_path / "a.safetensors", "--format", "pt"), "--format"),
                              (("to-torch", tiny_params, tmp_path / "a", "--key", "G"), "--key"),
                              (("to-jittor", tiny_params, tmp_path / "a", "--latent", "24"), "--latent"),
                              (("inspect", tiny_params, "--key", "G"), "--key"),
                              (("verify", tiny_params, tiny_params, "--key-a", "G"), "--key-a")):
        with pytest.raises(SystemExit) as status:
            command.main([str(argument) for argument in arguments])
        assert status.value.code == 2 and f"{option} is for " in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_folder_for_pytorch_is_read_by_everything_here(tiny_params, tmp_path, identical):
    convert_folder(tiny_params, tmp_path / "there", "torch", ".safetensors", verify=False)
    assert identical(open_folder(tmp_path / "there").network("generator"),
                     open_folder(tiny_params).network("generator"))
    (tmp_path / "there/Combine/latest_net_G.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"latest_net_G\.safetensors: missing"):
        open_folder(tmp_path / "there").network("generator")


def test_a_row_has_at_least_one_number(tmp_path, capsys):
    for latent in ("0", "-3", "many"):
        with pytest.raises(SystemExit) as status:
            command.main(["to-torch", str(tmp_path / "b.bin"), str(tmp_path / "b.safetensors"), "--latent", latent])
        assert status.value.code == 2 and "--latent" in capsys.readouterr().err


def test_an_error_of_the_system_is_told_without_a_traceback(tiny_params, tmp_path, monkeypatch, capsys):
    from jt_dfd.converter import inspect

    def broken(*_):
        raise OSError(5, "Input/output error", "G.pkl")

    monkeypatch.setattr(inspect, "sha256", broken)
    assert run(command.main, ["inspect", str(tiny_params / "Combine/latest_net_G.pkl")]) == 2
    assert capsys.readouterr().err.endswith(": G.pkl: Input/output error\n")


def test_a_full_disk_is_an_error_and_leaves_nothing(tiny_params, tmp_path, monkeypatch):
    from jt_dfd.checkpoints import tensors_file

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors_file, "_raw", full)
    with pytest.raises(CheckpointError, match="No space left"):
        convert_folder(tiny_params, tmp_path / "there", "torch", ".safetensors", verify=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.torch
def test_pytorch_s_words_for_a_full_disk_are_ours(tmp_path, monkeypatch):
    """It says "enforce fail at inline_container.cc:672 . unexpected pos 25088 vs 24976"."""
    import torch

    def fail(*_):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 25088 vs 24976")

    monkeypatch.setattr(torch, "save", fail)
    arrays = {"a": np.zeros(1 << 20, np.float32)}
    with pytest.raises(CheckpointError, match="unexpected pos"):
        formats.write(tmp_path / "a.pth", arrays)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    with pytest.raises(CheckpointError, match=r"a\.pth: .*the disk is full: 4096 KiB are needed, 1024 are free"):
        formats.write(tmp_path / "a.pth", arrays)


def test_inspect(tiny_params, capsys):
    assert command.main(["inspect", str(tiny_params / "Combine/latest_net_G.pkl")]) == 0
    text = capsys.readouterr().out
    import hashlib

    digest = hashlib.sha256((tiny_params / "Combine/latest_net_G.pkl").read_bytes()).hexdigest()
    assert "generator, preset tiny" in text and digest in text and "model.19.weight" in text
    assert command.main(["inspect", "--json", str(tiny_params)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["preset"] == "tiny" and len(report["files"]) == 26 and report["missing"] == []
    assert all(entry["checksum"] for entry in report["files"])


#: the tool, staying at its third network until it is ended: how quick it is must not decide what a test finds
HELD = """
import runpy, sys, time
sys.path.insert(0, {root!r})
from jt_dfd.checkpoints import formats
write, written = formats.write, []
def held(path, *more, **words):
    write(path, *more, **words)
    written.append(path)
    if len(written) == 3:
        print("held", flush=True)
        time.sleep(600)
formats.write = held
runpy.run_path({tool!r}, run_name="__main__")
"""


def test_inspect_knows_types_that_numpy_does_not_have(tiny_params, tmp_path, capsys):
    import struct

    names = {name: array.shape for name, array in read_arrays(tiny_params / "Combine/latest_net_G.pkl").items()}
    header, position = {}, 0
    for name, shape in names.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    (tmp_path / "b.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\x80\x3f" * (position // 2))
    assert command.main(["inspect", "--json", str(tmp_path / "b.safetensors")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {array["dtype"] for array in report["arrays"]} == {"bfloat16"}
    done = convert_file(tmp_path / "b.safetensors", tmp_path / "b.pkl", "jittor", verify=False)
    assert any("bfloat16 to float32" in note for note in done.notes)
    assert {(a.dtype.name, a.max()) for a in read_arrays(tmp_path / "b.pkl").values()} == {("float32", 1.0)}


def test_inspect_knows_the_type_of_banks_in_any_format(tiny_params, tmp_path, capsys):
    convert_folder(tiny_params, tmp_path / "half", "torch", ".safetensors", "float16", verify=False)
    assert command.main(["inspect", "--json", str(tmp_path / "half")]) == 0
    assert {tuple(entry["dtypes"]) for entry in json.loads(capsys.readouterr().out)["files"]} == {("float16",)}


def test_a_request_to_end_leaves_nothing(tiny_params, tmp_path, root):
    import signal

    tool = str(root / "tools/convert_weights.py")
    process = subprocess.Popen([sys.executable, "-c", HELD.format(root=str(root), tool=tool), "to-torch",
                                str(tiny_params), str(tmp_path / "there"), "--format", "safetensors"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n", process.communicate()[1]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130 and os.listdir(tmp_path) == [], said


def test_errors_end_with_status_two_and_without_a_traceback(tmp_path, capsys):
    assert run(command.main, ["to-torch", str(tmp_path / "none.pkl"), str(tmp_path / "x.safetensors")]) == 2
    assert "none.pkl" in capsys.readouterr().err
    with pytest.raises(SystemExit) as status:
        command.main(["to-torch"])
    assert status.value.code == 2


def test_without_pytorch(without, tiny_params, tmp_path):
    source = tiny_params / "Combine/latest_net_G.pkl"
    done = without("torch", "to-torch", source, tmp_path / "g.safetensors")
    assert done.returncode == 0 and "PyTorch is not installed" in done.stdout, done.stderr
    done = without("torch", "to-jittor", tmp_path / "g.safetensors", tmp_path / "g.pkl")
    assert done.returncode == 0 and contents(tmp_path).keys() == {("g.pkl", n) for n in read_arrays(source)}
    for arguments in (("to-torch", source, tmp_path / "g.pth"), ("to-torch", tiny_params, tmp_path / "folder"),
                      ("to-onnx", tiny_params, tmp_path / "g.onnx")):
        done = without("torch", *arguments)
        assert done.returncode == 2 and "jt_dfd[torch]" in done.stderr and "Traceback" not in done.stderr, done
    assert sorted(os.listdir(tmp_path)) == ["g.pkl", "g.safetensors"]
    done = without("torch", "verify", source, tmp_path / "g.safetensors")
    assert done.returncode == 0 and "PyTorch is not installed" in done.stdout


@pytest.mark.torch
def test_without_jittor(without, tiny_params, tmp_path):
    source = tiny_params / "Combine/latest_net_G.pkl"
    done = without("jittor", "to-torch", source, tmp_path / "g.pth")
    assert done.returncode == 0 and "Jittor is not installed" in done.stdout, done.stderr
    done = without("jittor", "verify", source, tmp_path / "g.pth")
    assert done.returncode == 0 and "identical" in done.stdout and "Jittor is not installed" in done.stdout


@pytest.mark.full
@pytest.mark.torch
def test_the_release_comes_back_bit_for_bit_in_a_minute(release_params, tmp_path, root, convert_weights, identical):
    if shutil.disk_usage(tmp_path).free < 6 << 30:
        pytest.skip("needs 6 GB of disk besides the weights of the release's size")
    try:
        _there_and_back(release_params, tmp_path, root, convert_weights, identical)
    finally:
        for name in ("there", "back"):  # pytest keeps the folders of three runs
            shutil.rmtree(tmp_path / name, ignore_errors=True)


def _there_and_back(release_params, tmp_path, root, convert_weights, identical):
    words = [sys.executable, str(root / "tools/convert_weights.py"), "to-torch", str(release_params),
             str(tmp_path / "there"), "--no-verify", "--force"]
    times = []
    while not times or times[-1] >= 60 and len(times) < 3:  # the best of three: other people's work slows caches, too
        with open(tmp_path / "said", "w") as said:
            # this one process's own account: those before it, compilers and all, are no concern
            _, status, used = os.wait4(subprocess.Popen(words, stdout=said, stderr=said).pid, 0)
        # the processor's time, so that what else runs on the machine does not count
        times.append(used.ru_utime + used.ru_stime)
        assert status == 0, (tmp_path / "said").read_text()
        assert used.ru_maxrss < 1.5e6, f"{used.ru_maxrss} kB"
    done = convert_weights("to-jittor", tmp_path / "there", tmp_path / "back", "--no-verify")
    assert done.returncode == 0, done.stderr
    for path in sorted(Path(release_params).rglob("*_net_*.pkl")):
        place = path.relative_to(release_params)
        assert identical(read_arrays(tmp_path / "back" / place), read_arrays(path)), place
    for path in sorted(Path(release_params).rglob("*.bin")):
        assert (tmp_path / "back" / path.relative_to(release_params)).read_bytes() == path.read_bytes()
    assert min(times) < 60, times
