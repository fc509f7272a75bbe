"""A real run of ``tiny`` by all sides: what the table and the JSON hold.  Never how many seconds."""
import subprocess
import sys

import pytest
from conftest import ROOT

from jt_dfd.benchmark.stages import face_operations, work_operations
from jt_dfd.components import COMPONENTS
from jt_dfd.config import preset

FACE = {"encode": {c: 1 for c in COMPONENTS}, "features": {c: 1 for c in COMPONENTS}, "generator": {"rest": 1}}


@pytest.fixture
def torch_there(measured):
    missing = measured.data["sides"]["torch"].get("missing")
    if missing:
        pytest.skip(missing)


def test_everything_was_measured_by_jittor_and_the_release_s_way(measured):
    for (stage, side), row in measured.rows.items():
        if not side.startswith("torch"):
            assert row["reason"] is None, (stage, side, row["reason"])
            assert len(row["rounds"]) == 2 and all(t > 0 for one in row["rounds"] for t in one)
            assert row["seconds"]["count"] == sum(map(len, row["rounds"]))
            assert row["memory"]["peak_bytes"] > 1 << 20
    stages = {stage for stage, side in measured.rows if side == "jittor"}
    assert stages == {"device.matmul", "device.copy", "project", "decode.mouth", "decode.mouth@102400", "merge", "face",
                      "stroke.mouth", "train2-nogan", "load"}
    assert {stage for stage, side in measured.rows if side == "release"} == {
        "project", "decode.mouth", "merge", "face", "stroke.mouth", "load"}


def test_the_work_that_is_timed_is_the_work_that_is_meant(measured):
    face, stroke = measured.rows["face", "jittor"], measured.rows["stroke.mouth", "jittor"]
    for call in face["calls"]:
        assert {k: v for k, v in call["work"].items() if k != "decode"} == FACE
        assert all(0 < n <= 15 for n in call["work"]["decode"].values()) and len(call["work"]["decode"]) == 5
        assert call["flops"] == work_operations(preset("tiny"), call["work"])
    for call in stroke["calls"]:  # the mouth alone, whatever was remembered of its neighbours
        assert call["work"]["encode"] == call["work"]["features"] == {"mouth": 1}
        assert call["work"]["generator"] == {"rest": 1} and set(call["work"].get("decode", {})) <= {"mouth"}
    for stage in ("face", "stroke.mouth"):
        for call in measured.rows[stage, "release"]["calls"]:  # all of it, whatever changed
            assert call["work"] == dict(FACE, decode={c: 15 for c in COMPONENTS})
    assert measured.rows["face", "release"]["flops"] == face_operations(preset("tiny"))


def test_ratios_and_speeds(measured):
    for stage in ("face", "stroke.mouth", "decode.mouth"):
        ratio = measured.rows[stage, "release"]["ratio"]
        assert ratio["median"] > 0 and len(ratio["pairs"]) == 2
        assert 0 < measured.rows[stage, "jittor"]["flops_share"]
        assert "ratio" not in measured.rows[stage, "jittor"]
    assert 0 < measured.rows["merge", "jittor"]["bytes_share"]
    step = measured.rows["train2-nogan", "jittor"]
    assert step["pictures_per_second"] > 0 and step["calls"][0]["losses"]["l1"] > 0


def test_plain_layers_make_the_same_picture_by_other_operators(measured):
    ours, plain = measured.rows["face", "jittor"], measured.rows["face", "plain"]
    for a, b in zip(ours["calls"], plain["calls"]):
        assert a["work"] == b["work"] and abs(a["mean"] - b["mean"]) < 0.5
    assert ours["counts"]["operators"] != plain["counts"]["operators"]


def test_pytorch_does_the_same_work(measured, torch_there):
    ours, theirs = measured.rows["face", "jittor"], measured.rows["face", "torch"]
    assert theirs["reason"] is None and len(theirs["ratio"]["pairs"]) == 2
    for a, b in zip(ours["calls"], theirs["calls"]):
        assert a["work"] == b["work"] and abs(a["mean"] - b["mean"]) < 0.5   # the same picture
    release = measured.rows["face", "release"]
    assert abs(ours["calls"][0]["mean"] - release["calls"][0]["mean"]) < 0.5
    step = [measured.rows["train2-nogan", side]["calls"][0]["losses"]["l1"] for side in ("jittor", "torch")]
    assert step[0] == pytest.approx(step[1], rel=0.5)
    assert measured.rows["project", "torch"]["reason"] is None
    assert measured.rows["load", "torch"]["reason"] is None


def test_pytorch_s_absence_is_told(measured):
    missing = measured.data["sides"]["torch"].get("missing")
    for (_stage, side), row in measured.rows.items():
        if side == "torch" and missing:
            assert row["reason"] == missing
    assert measured.done.returncode == (1 if missing else 0), measured.done.stderr[-2000:]


def test_the_header_names_machine_and_command(measured):
    m = measured.data["machine"]
    assert m["command"].startswith("benchmark.py --preset tiny") and m["cores"] >= 1 and m["threads"] == 1
    for word in ("machine", "load", "versions", "jittor", "release", "seeded, preset tiny", m["cpu"]):
        assert word in measured.done.stdout
    assert measured.data["state"] == "finished" and measured.data["sides"]["jittor"]["version"]
    assert measured.data["flops"]["face"] == face_operations(preset("tiny"))


def test_the_table_holds_every_row(measured):
    lines = measured.done.stdout.splitlines()
    table = [line for line in lines if line.startswith("| ")]
    assert len({line.count("|") for line in table}) == 1 and len({len(line) for line in table}) == 1
    told = [line for line in lines if line.startswith("not measured: ")]
    assert len(table) - 1 + len(told) == len(measured.rows)
    for (stage, side), _row in measured.rows.items():
        assert any(stage in line and side in line for line in table + told)
    assert "Traceback" not in measured.done.stdout + measured.done.stderr


def test_the_parent_imports_no_framework():
    words = ("import sys; sys.path.insert(0, %r); import jt_dfd.benchmark.command, jt_dfd.benchmark.side; "
             "print(sorted({'jittor', 'torch'} & set(sys.modules)))" % str(ROOT))
    done = subprocess.run([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True)
    assert done.stdout.strip() == "[]"
