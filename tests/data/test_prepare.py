"""Preparing folders: reports, resuming after a kill, order and workers that do not matter."""
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from held import held

from jt_dfd.data import checking, index, sources
from jt_dfd.data.index import Journal, JournalError
from jt_dfd.data.portrait import Options
from jt_dfd.data.prepare import prepare_folder
from jt_dfd.pictures import read_picture, write_png

ROOT = Path(__file__).resolve().parents[2]
KEEP = Options(frame="aligned", background="keep")


@pytest.fixture
def album(tmp_path, samples):
    """Ten pictures: eight aligned faces, one damaged, one that is not square."""
    folder = tmp_path / "album"
    for path in sorted((samples / "faces").iterdir()):
        write_png(folder / f"{path.stem}.png", read_picture(path))
    (folder / "broken.png").write_bytes(b"no picture")
    write_png(folder / "wide.png", np.zeros((100, 200, 3), np.uint8))
    return folder


def contents(folder):
    """Every file of a set that must not depend on how it was made, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file() and p.name not in ("journal.jsonl", "settings.json")}


def wait_for(journal, lines, process, pause):
    """Until so many lines are in the journal; where operators have to be compiled first, that takes minutes."""
    give_up = time.monotonic() + 3600
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
        assert process.poll() is None and time.monotonic() < give_up, "nothing was made"
        time.sleep(pause)


def test_a_folder_becomes_a_set_with_a_report(tmp_path, album):
    summary = prepare_folder(album, tmp_path / "out", KEEP, style="photocopy")
    assert summary.pairs == summary.made == 8 and set(summary.rejected) == {"broken.png", "wide.png"}
    rows = index.read(tmp_path / "out")
    assert len(rows) == 8 and all(r.source == f"{r.name}.png" for r in rows)
    for row in rows:
        assert read_picture(tmp_path / "out" / row.sketch).shape == (512, 512)
        face, original = read_picture(tmp_path / "out" / row.file), read_picture(album / row.source)
        assert np.abs(face.astype(int) - original).mean() < 3
    with open(tmp_path / "out/report.csv") as f:
        report = {r["picture"]: r for r in csv.DictReader(f)}
    assert report["wide.png"]["kept"] == "no" and "square" in report["wide.png"]["reason"]
    assert "unreadable" in report["broken.png"]["reason"] and report["00013.png"]["kept"] == "yes"


def test_workers_and_order_do_not_matter(tmp_path, album):
    prepare_folder(album, tmp_path / "one", KEEP, style="photocopy", workers=1)
    prepare_folder(album, tmp_path / "three", KEEP, style="photocopy", workers=3)
    prepare_folder(album, tmp_path / "steps", KEEP, style="photocopy", limit=3)
    prepare_folder(album, tmp_path / "steps", KEEP, style="photocopy", limit=7)
    prepare_folder(album, tmp_path / "steps", KEEP, style="photocopy")
    assert contents(tmp_path / "one") == contents(tmp_path / "three") == contents(tmp_path / "steps")


def test_nothing_is_done_twice(tmp_path, album):
    prepare_folder(album, tmp_path / "out", KEEP, style="photocopy")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.webp")}
    again = prepare_folder(album, tmp_path / "out", KEEP, style="photocopy")
    assert again.made == 0 and again.pairs == 8
    assert times == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.webp")}


def test_a_killed_run_goes_on_without_losing_or_redoing(tmp_path, album):
    command = [sys.executable, str(ROOT / "tools/prepare_data.py"), str(album), "--out", str(tmp_path / "out"),
               "--aligned", "--keep-background", "--style", "photocopy", "--workers", "1"]
    process = subprocess.Popen(held(command, 6), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "out/journal.jsonl"
    wait_for(journal, 3, process, 0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = [json.loads(line)["key"] for line in journal.read_bytes().splitlines(True) if line.endswith(b"\n")]
    assert 3 <= len(done)
    with open(journal, "ab") as f:  # and a line that the kill left half written
        f.write(b'{"key": "0301')
    times = {k: (tmp_path / f"out/faces/{Path(k).stem}.webp").stat().st_mtime_ns for k in done if k[0] == "0"}
    out = subprocess.run(command, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert times == {k: (tmp_path / f"out/faces/{Path(k).stem}.webp").stat().st_mtime_ns for k in times}
    prepare_folder(album, tmp_path / "whole", KEEP, style="photocopy")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob("*.part"))


def test_ctrl_c_leaves_an_index_and_says_how_to_go_on(tmp_path, album):
    command = [sys.executable, str(ROOT / "tools/prepare_data.py"), str(album), "--out", str(tmp_path / "out"),
               "--aligned", "--keep-background", "--style", "photocopy", "--workers", "1"]
    process = subprocess.Popen(held(command, 6), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    wait_for(tmp_path / "out/journal.jsonl", 2, process, 0.005)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "the same command goes on" in out
    assert len(index.read(tmp_path / "out")) >= 2
    assert "Traceback" not in err


def test_other_settings_do_not_mix_into_a_set(tmp_path, album):
    prepare_folder(album, tmp_path / "out", KEEP, style="photocopy", limit=2)
    with pytest.raises(JournalError, match="quality 95, now 50"):
        prepare_folder(album, tmp_path / "out", Options(frame="aligned", background="keep", quality=50),
                       style="photocopy")


def test_a_strange_folder_is_not_written_into(tmp_path, album):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    with pytest.raises(JournalError, match="thesis.txt"):
        prepare_folder(album, tmp_path / "mine", KEEP, style="photocopy")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_journal_damaged_in_the_middle_is_refused(tmp_path):
    with Journal(tmp_path / "set", {}) as journal:
        journal.add("a", x=1)
        journal.add("b", x=2)
    path = tmp_path / "set/journal.jsonl"
    path.write_bytes(b"garbage\n" + path.read_bytes())
    with pytest.raises(JournalError, match="damaged"):
        Journal(tmp_path / "set", {})


def test_own_sketches_are_paired_by_name(tmp_path, album, samples):
    mine = tmp_path / "mine"
    for path in sorted((samples / "sketches").iterdir())[:3]:
        write_png(mine / path.name, cv2.resize(read_picture(path), (300, 300), interpolation=cv2.INTER_AREA))
    (mine / "00904.png").write_bytes(b"broken")
    summary = prepare_folder(album, tmp_path / "out", KEEP, sketch_dir=str(mine))
    assert summary.pairs == 3
    assert summary.rejected["02019.png"] == "no sketch of that name"
    assert "unusable" in summary.rejected["00904.png"]
    for row in index.read(tmp_path / "out"):
        own, original = (read_picture(tmp_path / "out" / row.sketch),
                         read_picture(samples / "sketches" / f"{row.name}.png"))
        assert own.shape == (512, 512)
        assert np.corrcoef((own < 128).ravel(), (original < 128).ravel())[0, 1] > 0.5


def test_own_sketches_are_read_as_every_drawing_is(tmp_path, album, meant):
    path, page = meant
    (tmp_path / "mine").mkdir()
    shutil.copy(path, tmp_path / "mine" / "00013.png")
    prepare_folder(album, tmp_path / "out", KEEP, sketch_dir=str(tmp_path / "mine"))
    row, = index.read(tmp_path / "out")
    assert np.array_equal(read_picture(tmp_path / "out" / row.sketch), page)
    assert checking.check(tmp_path / "out").errors == []


def test_labels_reach_the_index(tmp_path, album):
    (tmp_path / "labels.csv").write_text("file,sex,sex_confidence,split,seed\n00013.webp,male,0.99,test,13\n"
                                         "00014.webp,female,0.6,train,14\n")
    prepare_folder(album, tmp_path / "out", KEEP, style="photocopy", labels=str(tmp_path / "labels.csv"),
                   min_confidence=0.9, test_share=0)
    rows = {r.name: r for r in index.read(tmp_path / "out")}
    assert (rows["00013"].gender, rows["00013"].split, rows["00013"].seed) == ("male", "test", 13)
    assert (rows["00014"].gender, rows["00014"].split) == ("", "train")
    assert (rows["00904"].gender, rows["00904"].split, rows["00904"].seed) == ("", "train", None)


def test_a_set_can_be_prepared_again_from_its_own_index(tmp_path, a_set):
    """Its faces only, not its sketches too, with gender and split kept."""
    summary = prepare_folder(a_set, tmp_path / "out", KEEP, style="photocopy", labels=str(a_set / "index.csv"))
    assert summary.pairs == 8 and not summary.rejected
    before, after = ({r.name: (r.gender, r.split, r.seed) for r in index.read(f)} for f in (a_set, tmp_path / "out"))
    assert before == after


def test_an_empty_source_is_an_error(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(sources.SourceError, match="no pictures"):
        prepare_folder(tmp_path / "nothing", tmp_path / "out", KEEP, style="photocopy")
    assert not (tmp_path / "out").exists()


def test_photographs_are_found_aligned_and_cut_out(tmp_path, samples, face_models):
    """The whole way with detection and person mask, lines left out."""
    folder = tmp_path / "photos"
    face = read_picture(samples / "faces/00013.webp")
    photo = np.full((800, 1000, 3), 90, np.uint8)
    photo[150:662, 300:812] = face
    write_png(folder / "portrait.png", photo)
    write_png(folder / "wall.png", np.full((600, 600, 3), 120, np.uint8))
    summary = prepare_folder(folder, tmp_path / "out", Options(), style="photocopy", workers=2)
    assert summary.pairs == 1 and summary.rejected == {"wall.png": "no face found"}
    row = index.read(tmp_path / "out")[0]
    assert abs(row.landmarks["left_eye"][0] - 190) < 6 and abs(row.landmarks["left_eye"][1] - 241) < 6


def test_ctrl_c_while_jittor_draws_ends_the_run_at_once(tmp_path, album, edge_model):
    """With Jittor loaded, which takes signals over and leaves processes behind that keep pipes open."""
    command = [sys.executable, str(ROOT / "tools/prepare_data.py"), str(album), "--out", str(tmp_path / "out"),
               "--aligned", "--keep-background", "--workers", "1"]
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(held(command, 5), stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
    wait_for(tmp_path / "out/journal.jsonl", 2, process, 0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=600) == 130, (tmp_path / "said").read_text()
    assert "the same command goes on" in (tmp_path / "said").read_text()
    assert 2 <= len(index.read(tmp_path / "out")) < 8


def test_celebas_landmark_file_takes_the_place_of_detection(tmp_path, samples, face_models):
    folder = tmp_path / "celeba"
    lines = ["3", ("lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x "
                   "rightmouth_y")]
    for row in index.read(samples)[:2]:
        face = read_picture(samples / row.file)
        write_png(folder / f"{row.name}.png", cv2.resize(face, (256, 256), interpolation=cv2.INTER_AREA))
        points = [row.landmarks[p] for p in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")]
        lines.append(f"{row.name}.jpg " + " ".join(f"{v / 2:.0f}" for p in points for v in p))
    write_png(folder / "unlisted.png", np.zeros((200, 200, 3), np.uint8))
    (tmp_path / "list_landmarks_align_celeba.txt").write_text("\n".join(lines) + "\n")
    summary = prepare_folder(folder, tmp_path / "out", Options(frame="landmarks"), style="photocopy",
                             landmarks=str(tmp_path / "list_landmarks_align_celeba.txt"))
    assert summary.pairs == 2 and summary.rejected == {"unlisted.png": "no landmarks given for it"}
    for row in index.read(tmp_path / "out"):
        assert abs(row.landmarks["left_eye"][0] - 190) < 5 and abs(row.landmarks["right_eye"][0] - 322) < 5
