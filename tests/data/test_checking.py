"""check: everything wrong with a set is found, and the sheet can be looked at."""
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from jt_dfd.data import checking, index
from jt_dfd.pictures import read_picture, write_png

ROOT = Path(__file__).resolve().parents[2]


def test_a_good_set_has_nothing_wrong(samples):
    result = checking.check(samples)
    assert result.errors == [] and result.warnings == [] and result.pairs == 8
    assert result.genders == {"female": 4, "male": 4} and "nothing wrong" in result.text()


def test_each_kind_of_fault_is_found_and_named(a_set):
    rows = index.read(a_set)
    (a_set / rows[0].file).unlink()
    (a_set / rows[1].file).write_bytes(b"damaged")
    write_png(a_set / rows[2].sketch, np.full((256, 256), 255, np.uint8))
    write_png(a_set / rows[3].sketch, np.full((512, 512), 255, np.uint8))
    write_png(a_set / rows[4].sketch, np.zeros((512, 512), np.uint8))
    Image.new("RGB", (512, 512), (9, 9, 9)).save(a_set / rows[5].file)
    robot = rows[7].file
    index.write(a_set, rows[:7] + [index.Row(**{**rows[7].__dict__, "gender": "robot"})])
    found = dict(checking.check(a_set, workers=2).errors[::-1])
    assert found[rows[0].file] == "missing" and "unreadable" in found[rows[1].file]
    assert "wrong size: 256x256" in found[rows[2].sketch] and "empty sketch" in found[rows[3].sketch]
    assert "too much ink" in found[rows[4].sketch] and found[rows[5].file] == "blank photograph"
    assert any(f == robot and "unknown gender: 'robot'" in w for f, w in checking.check(a_set).errors)


def test_a_pale_photocopy_is_no_empty_sketch_and_a_few_specks_are(a_set):
    """Of light skin and fair hair the photocopy is light grey throughout."""
    rows = index.read(a_set)
    sketch = read_picture(a_set / rows[0].sketch)
    write_png(a_set / rows[0].sketch, (255 - (255 - sketch.astype(float)) * 0.3).astype(np.uint8))
    specks = np.full((512, 512), 255, np.uint8)
    specks[100:104, 100:150] = 0
    write_png(a_set / rows[1].sketch, specks)
    assert [(f, w.split(":")[0]) for f, w in checking.check(a_set).errors] == [(rows[1].sketch, "empty sketch")]


def test_mixed_up_eyes_and_doubles_are_errors(a_set):
    rows = index.read(a_set)
    swapped = dict(rows[0].landmarks, left_eye=rows[0].landmarks["right_eye"], right_eye=rows[0].landmarks["left_eye"])
    rows[0] = index.Row(**{**rows[0].__dict__, "landmarks": swapped})
    rows[2] = index.Row(**{**rows[2].__dict__, "sketch": rows[1].sketch})
    index.write(a_set, rows)
    text = checking.check(a_set).text()
    assert "left and right eye mixed up" in text and "named 2 times" in text


def test_one_photograph_under_several_names_is_told(a_set):
    """Copies, and a person trained on that is tested with, too."""
    rows = index.read(a_set)
    train, test = ([row for row in rows if row.split == split] for split in ("train", "test"))
    for row in (train[1], test[0]):
        (a_set / row.file).write_bytes((a_set / train[0].file).read_bytes())
    warnings = dict(checking.check(a_set).warnings)
    assert len(warnings) == 2 and all("the same picture as" in words for words in warnings.values())
    assert sum("trained on, or tested with" in words for words in warnings.values()) >= 1


def test_the_tool_draws_a_sheet_and_its_exit_status_tells(a_set):
    command = [sys.executable, str(ROOT / "tools/prepare_data.py"), "check", str(a_set), "--workers", "1"]
    good = subprocess.run(command, capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    picture = read_picture(a_set / "sheet.png")
    assert picture.shape[1] > 1500 and picture.shape[0] > 700
    for colour in checking.COLOURS.values():
        assert (picture == colour).all(axis=2).sum() > 500
    (a_set / index.read(a_set)[0].sketch).unlink()
    bad = subprocess.run(command, capture_output=True, text=True)
    assert bad.returncode == 1 and "missing" in bad.stdout
    none = subprocess.run([*command[:3], str(a_set / "faces")], capture_output=True, text=True)
    assert none.returncode == 2 and "index.csv" in none.stderr and "Traceback" not in none.stderr


def test_what_cannot_be_drawn_or_written_is_said_without_a_traceback(tmp_path, a_set):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/index.csv").write_text(",".join(index.COLUMNS) + "\n")
    for words, status, said in ((["bare"], 1, "no pairs in it"), ([a_set, "--pairs", "-1"], 2, "--pairs"),
                                ([a_set, "--sheet", a_set / "index.csv/sheet.png"], 2, "index.csv"),
                                ([a_set, "--workers", "-2"], 2, "--workers")):
        done = subprocess.run([sys.executable, str(ROOT / "tools/prepare_data.py"), "check", *map(str, words)],
                              capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status and said in done.stdout + done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
