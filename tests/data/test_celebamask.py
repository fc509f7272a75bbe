"""CelebAMask-HQ in its own layout; joined sets, and several at once."""
import os
import shutil

import numpy as np
import pytest
from conftest import SAMPLES
from hq import celebamask_hq

from jt_dfd.cli import run
from jt_dfd.data import index, sources
from jt_dfd.data.command import prepare_data
from jt_dfd.pictures import read_picture


def test_the_papers_recipe_in_one_command(tmp_path, capsys):
    source, out = celebamask_hq(tmp_path / "CelebAMask-HQ"), tmp_path / "set"
    words = ["--celebamask-hq", str(source), "--out", str(out), "--style", "photocopy", "--drawn", "no", "--workers",
             "1"]
    assert run(prepare_data, words) == 0
    said = capsys.readouterr().out
    assert "17,703 pictures, 16,860 to train on and 842 to test; here: 3" in said
    rows = {row.source: row for row in index.read(out)}
    assert {name: row.gender for name, row in rows.items()} == {"0.jpg": "female", "1.jpg": "male", "2001.jpg": "male"}
    assert all(row.split == index.split_of(name) for name, row in rows.items())
    face = read_picture(out / rows["0.jpg"].file)
    assert face[:40, :40].min() > 250 and face[300, 256].min() < 250   # by the masks, not by a network
    report = (out / "report.csv").read_text()
    for picture, reason in (("2.jpg", "glasses: Eyeglasses"), ("3.jpg", "hat: Wearing_Hat"),
                            ("4.jpg", "not frontal: yaw -32 degrees"), ("5.jpg", "glasses: the mask 00005_eye_g.png"),
                            ("6.jpg", "no masks")):
        assert f"{picture},no,{reason}" in report.replace('"', "")
    assert run(prepare_data, words) == 0   # again: nothing is done twice, and nothing is asked about other settings


def test_what_is_not_the_datasets_layout_is_named(tmp_path, capsys):
    source = celebamask_hq(tmp_path / "hq")
    poses = source / sources.POSES
    for text, wrong in (("8\nYaw Pitch Raw\n0.jpg 1.0\n", "line 3: expected a file name and 3 numbers"),
                        ("0.jpg 1 2 3\n", "Yaw among them"), (None, "missing; --celebamask-hq takes")):
        poses.write_text(text) if text else poses.unlink()
        assert run(prepare_data, ["--celebamask-hq", str(source), "--out", str(tmp_path / "set")]) == 2
        said = capsys.readouterr().err
        assert str(poses) in said and wrong in said
    assert not (tmp_path / "set").exists()


def test_ffhqs_metadata_has_a_split(tmp_path):
    file = tmp_path / "ffhq-dataset-v2.json"
    file.write_text('{"0": {"category": "training", "image": {"file_path": "images1024x1024/00000/00000.png"}},'
                    '"69": {"category": "validation", "image": {"file_path": "images1024x1024/00000/00069.png"}}}')
    labels = sources.read_labels(file)
    assert [sources.split_label(sources.labels_of(labels, f"00000/000{n}.png")) for n in ("00", "69")] == [
        "train", "test"]
    file.write_text('{"0": 3}')
    with pytest.raises(sources.SourceError, match="ffhq-dataset-v2.json"):
        sources.read_labels(file)


def test_sets_are_joined(tmp_path, a_set, capsys):
    other = tmp_path / "other"
    shutil.copytree(SAMPLES, other)
    rows = index.read(other)
    index.write(other, [index.Row(**{**row.__dict__, "split": "test", "gender": ""}) for row in rows[:3]])
    assert run(prepare_data, ["join", str(a_set), str(other), "--out", str(tmp_path / "both")]) == 0
    assert "11 pairs of 2 sets" in capsys.readouterr().out
    joined = index.read(tmp_path / "both")
    assert len({row.file for row in joined}) == len(joined) == 11
    again = [row for row in joined if row.name.startswith("2_")]
    assert len(again) == 3 and all(row.split == "test" and not row.gender for row in again)
    for row in again:
        mine = other / "sketches" / f"{row.name[2:]}.png"
        assert (tmp_path / "both" / row.sketch).read_bytes() == mine.read_bytes()
    (other / "settings.json").write_text('{"sketch": "photocopy"}')
    assert run(prepare_data, ["join", str(a_set), str(other), "--out", str(tmp_path / "mixed")]) == 2
    assert "different styles" in capsys.readouterr().err and not (tmp_path / "mixed").exists()



def test_photographs_and_sketches_in_folders_of_one_name_stay_apart(tmp_path):
    """photos/train/0.png beside sketches/train/0.png: a sketch must not be written over the user's photograph."""
    rows, content = [], {}
    for number in range(3):
        for place in (f"photos/train/{number}.png", f"sketches/train/{number}.png"):
            (tmp_path / "own" / place).parent.mkdir(parents=True, exist_ok=True)
            content[place] = place.encode()
            (tmp_path / "own" / place).write_bytes(content[place])
        rows.append(index.Row(f"photos/train/{number}.png", f"sketches/train/{number}.png"))
    os.rename(tmp_path / "own/photos/train/0.png", tmp_path / "own/elsewhere.png")
    os.symlink("../../elsewhere.png", tmp_path / "own/photos/train/0.png")
    index.write(tmp_path / "own", rows)
    assert index.join([str(tmp_path / "own")], tmp_path / "both") == 3
    assert all((tmp_path / "own" / place).read_bytes() == data for place, data in content.items())
    for before, row in zip(rows, index.read(tmp_path / "both")):
        assert (tmp_path / "both" / row.file).read_bytes() == content[before.file]
        assert (tmp_path / "both" / row.sketch).read_bytes() == content[before.sketch]


def test_several_sets_are_trained_on_at_once(tmp_path, a_set):
    from jt_dfd.components import Geometry
    from jt_dfd.data.dataset import FaceDataset

    shutil.copytree(SAMPLES, tmp_path / "other")
    data = FaceDataset(os.pathsep.join([str(a_set), str(tmp_path / "other")]), Geometry(64), "synthesis", 4,
                       shuffle=False)
    assert len(data.rows) == 2 * len(index.read(SAMPLES, "train")) and len({row.file for row in data.rows}) == len(
        data.rows)
    count = len(data.rows) // 2
    assert data.rows[0].file.startswith("set/faces/") and data.rows[count].file.startswith("other/faces/")
    assert np.array_equal(data[0].photo, data[count].photo) and np.array_equal(data[0].sketch, data[count].sketch)


@pytest.mark.parametrize("header, words, expected", [
    ("gender", ("female", "male"), ["female", "male"]), ("sex", ("woman", "M"), ["female", "male"]),
    ("Male", ("-1", "1"), ["female", "male"]), ("gender", ("female", "male", "unknown"), ["female", "male", ""])])
def test_other_words_for_the_gender_are_understood_and_told(tmp_path, header, words, expected):
    path = tmp_path / "index.csv"
    path.write_text(f"file,sketch,{header}\n" + "".join(f"f{n}.png,s{n}.png,{word}\n" for n, word in enumerate(words)))
    assert [row.gender for row in index.read(tmp_path)] == expected
    said = " ".join(index.remarks(tmp_path))
    assert ("gender taken from the column" in said) == (header != "gender" or "" in expected)
    path.write_text(f"file,sketch,{header}\nf.png,s.png,robot\n")
    with pytest.raises(index.SetError, match=f"{header} must be female, male or blank, not robot"):
        index.remarks(tmp_path)


def test_what_a_set_lacks_is_told(tmp_path):
    (tmp_path / "index.csv").write_text("file,sketch,geschlecht,split\na.png,s.png,f,train\na.png,s.png,m,test\n")
    no_genders, twice, few = index.remarks(tmp_path)
    assert "no column gender, only file, sketch, geschlecht, split: one feature bank" in no_genders
    assert "1 pictures are named more than once (a.png)" in twice and "only 1 held-out" in few


def test_pictures_without_a_gender_among_others_are_told(tmp_path):
    """They get no row in a feature bank: a set that is half labelled had half its banks."""
    index.write(tmp_path, [index.Row(f"{n}.png", f"s{n}.png", gender)
                           for n, gender in enumerate(("female", "male", "", ""))])
    assert any("2 of 4 pictures have no gender, and no row in either" in said for said in index.remarks(tmp_path))
