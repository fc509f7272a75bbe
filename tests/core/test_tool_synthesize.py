"""tools/synthesize.py as a user runs it."""
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from jt_dfd.inference import command


@pytest.fixture
def run(root, tiny_params, tmp_path):
    def call(*words, params=tiny_params):
        return subprocess.run([sys.executable, str(root / "tools/synthesize.py"), *map(str, words),
                               "--params", str(params), "--device", "cpu"],
                              cwd=tmp_path, capture_output=True, text=True)

    return call


@pytest.fixture
def sketches(root, tmp_path):
    folder = tmp_path / "drawings"
    (folder / "deep").mkdir(parents=True)
    a = Image.open(root / "tests/sketches/a.png").convert("L")
    a.save(folder / "one.png")
    a.resize((300, 400)).convert("RGB").save(folder / "deep" / "two.jpg")
    a.convert("LA").save(folder / "three.webp", lossless=True)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_files_and_folders_in_faces_out(run, sketches, tmp_path):
    done = run(sketches, sketches / "one.png", "-o", "out", "--refine", "all=0.5", "eye1=1",
               "--gender", "male", "--shadow")
    assert done.returncode == 0, done.stderr
    names = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert names == ["deep/two.png", "deep/two_shadow.png", "one.png", "one_2.png", "one_2_shadow.png",
                     "one_shadow.png", "three.png", "three_shadow.png"]
    face = Image.open(tmp_path / "out" / "one.png")
    assert face.size == (512, 512) and face.mode == "RGB" and "4 of 4" in done.stdout
    assert np.array_equal(np.asarray(face), np.asarray(Image.open(tmp_path / "out" / "three.png"))), "the same drawing"


def test_a_bad_file_is_reported_and_the_rest_done(run, sketches, tmp_path):
    (sketches / "broken.png").write_bytes(b"\x89PNG nothing more")
    done = run(sketches, tmp_path / "missing.png", "-o", "out")
    assert done.returncode == 1
    assert "broken.png" in done.stderr and "missing.png" in done.stderr and "Traceback" not in done.stderr
    assert "3 of 5" in done.stdout and (tmp_path / "out" / "one.png").exists()


def test_one_sketch_to_one_named_file(run, sketches, tmp_path):
    assert run(sketches / "one.png", "-o", "my face.png").returncode == 0
    assert Image.open(tmp_path / "my face.png").size == (512, 512)


def test_a_sheet_shows_the_drawing_its_shadow_and_three_amounts(run, sketches, tmp_path):
    assert run(sketches / "one.png", "--sheet", "--shadow", "--refine", "0.5", "-o", "face.png").returncode == 0
    sheet = np.asarray(Image.open(tmp_path / "face_sheet.png"))
    cells = [sheet[8:520, 8 + n * 520:8 + n * 520 + 512] for n in range(5)]
    read = np.asarray(Image.open(sketches / "one.png"))
    assert np.array_equal(cells[0][:, :, 0], read)
    assert np.array_equal(cells[1], np.asarray(Image.open(tmp_path / "face_shadow.png").convert("RGB")))
    assert np.array_equal(cells[3], np.asarray(Image.open(tmp_path / "face.png"))), "refine 0.5 in the middle"
    assert (cells[2] != cells[4]).any() and (sheet[528:] == 0).any(), "three faces, and words under them"


@pytest.mark.parametrize("words, complaint", [
    (["drawings/one.png", "--refine", "ear=1"], "ear"), (["drawings/one.png", "--refine", "nose=lots"], "nose=lots"),
    (["drawings/one.png", "--k", "0"], "k must"), (["drawings", "-o", "out.png"], "one file"),
    (["empty"], "no pictures"), ([""], "without a name"), (["drawings/one.png", "-o", "face.jpg"], "written as PNG"),
])
def test_wrong_words_end_with_status_2_and_no_traceback(run, sketches, tmp_path, words, complaint):
    (tmp_path / "empty").mkdir()
    done = run(*words)
    assert done.returncode == 2 and complaint in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_bank_ends_with_status_2(run, sketches, tiny_params, tmp_path):
    shutil.copytree(tiny_params, tmp_path / "params")
    (tmp_path / "params/AE_whole/man_nose_feature.bin").write_bytes(b"12345")
    done = run("drawings", params=tmp_path / "params")
    assert done.returncode == 2 and "man_nose_feature.bin" in done.stderr and "Traceback" not in done.stderr


def test_the_faces_of_an_earlier_run_are_no_sketches(sketches):
    """Where they are written into the folder of the sketches, the same command must do the same again."""
    faces = sketches / "faces"
    first = command.plan([str(sketches)], str(faces))
    for job in first:
        job.face.parent.mkdir(parents=True, exist_ok=True)
        job.face.write_bytes(b"a face")
    assert len(first) == 3 and command.plan([str(sketches)], str(faces)) == first
    assert [j.sketch for j in command.plan([str(sketches)], str(sketches))][-1:] == [sketches / "three.webp"]


def test_a_folder_whose_name_looks_like_a_file(sketches, tmp_path):
    (tmp_path / "out.png").mkdir()
    assert command.plan([str(sketches / "one.png")], str(tmp_path / "out.png"))[0].face == tmp_path / "out.png/one.png"


def test_missing_weights_end_with_status_2(run, sketches, tmp_path):
    done = run("drawings", params=tmp_path / "nowhere")
    assert done.returncode == 2 and "nowhere" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "faces").exists()


def test_a_sketch_is_never_overwritten_by_its_face(sketches):
    jobs = command.plan([str(sketches / "one.png")], str(sketches))
    assert jobs[0].face != jobs[0].sketch and os.path.dirname(jobs[0].face) == str(sketches)


def test_ctrl_c_stops_with_a_word_and_keeps_whole_faces(root, tiny_params, sketches, tmp_path):
    for i in range(300):
        (sketches / f"copy{i:03}.png").write_bytes((sketches / "one.png").read_bytes() + bytes(i))
    process = subprocess.Popen([sys.executable, str(root / "tools/synthesize.py"), str(sketches),
                                "-o", str(tmp_path / "out"), "--params", str(tiny_params), "--device", "cpu"],
                               stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 1800  # operators may have to be compiled first
    while time.monotonic() < deadline and len(list((tmp_path / "out").glob("*.png"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=600)
    faces = list((tmp_path / "out").rglob("*.png"))
    assert process.returncode == 130 and "stopped" in words and "Traceback" not in words
    assert 2 <= len(faces) < 300 and not list((tmp_path / "out").rglob("*.part"))
    assert all(np.asarray(Image.open(f)).shape == (512, 512, 3) for f in faces)
