"""The demo weights' training in pieces: what is carried, and that each piece goes on where the last one ended."""
import csv
import importlib.util
import io
import tarfile

import pytest
from PIL import Image


@pytest.fixture
def demo(root, monkeypatch):
    spec = importlib.util.spec_from_file_location("train_demo", root / "tests/gpu/train_demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(*words):
        monkeypatch.setattr("sys.argv", ["train_demo.py", *map(str, words)])
        return module.main()
    module.call = main
    return module


def test_a_set_is_packed_small_test_pictures_first_within_its_limit(demo, root, tmp_path):
    assert demo.call("pack", root / "tests/data/samples", tmp_path / "set.tar") == 0
    with tarfile.open(tmp_path / "set.tar") as tar:
        rows = list(csv.DictReader(io.StringIO(tar.extractfile("index.csv").read().decode())))
        assert [r["split"] for r in rows] == ["test"] * 2 + ["train"] * 6
        for row in rows:
            assert Image.open(tar.extractfile(row["file"])).size == (256, 256)
            assert tar.extractfile(row["sketch"]).read() == (root / "tests/data/samples" / row["sketch"]).read_bytes()
    whole = (tmp_path / "set.tar").stat().st_size
    assert demo.call("pack", root / "tests/data/samples", tmp_path / "part.tar", "--mib", 1.04) == 0
    with tarfile.open(tmp_path / "part.tar") as tar:
        assert 0 < len(tar.getnames()) < 17
    assert (tmp_path / "part.tar").stat().st_size < whole


def test_pieces_go_on_until_everything_is_done(demo, root, tmp_path, monkeypatch):
    demo.call("pack", root / "tests/data/samples", tmp_path / "set.tar")
    asked, answers = [], iter([3, 0, 0, 1, 0])

    def call(words, cwd):
        name = words[1].rsplit("/", 1)[-1]
        asked.append(name)
        if name == "export_weights.py":
            (tmp_path / "work/params").mkdir()
            (tmp_path / "work/params/config.json").write_text("{}")
        (tmp_path / "work/evaluation").mkdir(exist_ok=True)
        return next(answers)

    monkeypatch.setattr(demo.subprocess, "call", call)

    def piece():
        return demo.call("run", tmp_path / "set.tar", "--work", tmp_path / "work", "--out", tmp_path / "out")

    assert [piece() for _ in range(3)] == [3, 1, 0], "out of time, a failure, then finished"
    assert asked == ["train_synthesis.py"] * 2 + ["export_weights.py"] + ["evaluate.py"] * 2
    assert (tmp_path / "out/params/config.json").is_file()
    asked.clear()
    assert piece() == 0 and asked == [], "what is finished is not done again"
    assert demo.call("run", tmp_path / "set.tar", "--work", tmp_path / "other", "--out", tmp_path / "out",
                     "--minutes", 0) == 3
