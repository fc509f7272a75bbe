"""The sketch style drawn: curves out of a face, drawn by a hand, in a set and as training sees them."""
import csv
import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from heads import curves, head

from jt_dfd.data import checking, hair, hand, index, items, outlines
from jt_dfd.data.portrait import Options
from jt_dfd.data.prepare import prepare_folder
from jt_dfd.pictures import PictureError, read_picture, write_png

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("short", "long", "fringe", "bald")
KEEP = Options(frame="aligned", background="keep")


def distance_to(region, line):
    """Of each point of a line, how far from the edge of a region (512, 512) bool it lies, in pixels."""
    edge = region ^ (cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)) != 0)
    far = cv2.distanceTransform(1 - edge.astype(np.uint8), cv2.DIST_L2, 5)
    x, y = np.clip(np.round(line), 0, 511).astype(int).T
    return far[y, x]


# -- hair

@pytest.mark.parametrize("kind", KINDS)
def test_hair_skin_and_cloth_are_told_apart(kind):
    photo, labels, mask, mesh, _ = head(kind)
    found = cv2.resize(hair.regions(photo, mesh, mask), (512, 512), interpolation=cv2.INTER_NEAREST)
    for part in (hair.SKIN, hair.HAIR, hair.CLOTH):
        there, seen = labels == part, found == part
        if there.any():
            assert (there & seen).sum() > 0.9 * (there | seen).sum(), f"{kind}: {part}"
        else:
            assert seen.sum() < 0.01 * seen.size


@pytest.mark.parametrize("kind", ["short", "long", "fringe"])
def test_the_hairs_outline_is_that_of_the_hair(kind):
    _, labels, _, _, _ = head(kind)
    found = curves(kind)
    for name in ("hair_outer", "hair_inner"):
        line = np.concatenate(found[name])
        assert np.quantile(distance_to(labels == hair.HAIR, line), 0.9) < 8, f"{kind}: {name}"
    # as long as it is, and the forehead as high
    foot = max(line[:, 1].max() for line in found["hair_outer"])
    assert foot > 430 if kind == "long" else foot < 330
    middle = np.concatenate(found["hair_inner"])
    middle = middle[np.abs(middle[:, 0] - 256) < 40]
    assert abs(np.median(middle[:, 1]) - {"fringe": 208}.get(kind, 185)) < 8


def test_a_bald_head_is_drawn_bald():
    found = curves("bald")
    assert "hair_outer" not in found and "hair_inner" not in found and "strands" not in found
    _, labels, _, _, _ = head("bald")
    top = np.concatenate(found["head"])
    assert top[:, 1].min() < 110 and distance_to(labels != 0, top).max() < 10


def test_hair_of_the_skins_own_colour_gets_the_meshs_forehead(monkeypatch):
    """Where no edge between hair and skin can be seen, the mesh says where the forehead ends."""
    photo, labels, mask, mesh, eyes = head("short")
    small = cv2.resize(labels, (hair.SIZE, hair.SIZE), interpolation=cv2.INTER_NEAREST)
    small[small == hair.SKIN] = hair.HAIR
    monkeypatch.setattr(hair, "regions", lambda *_: small)
    found = outlines.face_curves(photo, mesh, mask, eyes)
    assert np.abs(found["hair_inner"][0][:, 1].min() - 150) < 6


# -- curves

@pytest.mark.parametrize("kind", KINDS)
def test_curves_lie_inside_the_frame_and_have_known_names(kind):
    found = curves(kind, glasses=True)
    assert set(found) <= set(outlines.NAMES) and "glasses" in found
    for name, lines in found.items():
        for line in lines:
            assert line.ndim == 2 and line.shape[1] == 2 and np.isfinite(line).all(), name
            assert line.min() > -2 and line.max() < 514, name


def test_curves_survive_the_disk(tmp_path):
    found = curves("long")
    outlines.write(tmp_path / "a.json", found)
    again = outlines.read(tmp_path / "a.json")
    assert list(again) == list(found)
    for name in found:
        for a, b in zip(found[name], again[name]):
            assert np.abs(a - b).max() <= 0.26
    assert (tmp_path / "a.json").stat().st_size < 16_000


@pytest.mark.parametrize("content", ["", "[]", '{"unit": 0.5}', '{"unit": 0.5, "curves": {"jaw": [[1, 2, 3, 4, 5]]}}',
                                     '{"unit": 0.5, "curves": {"jaw": [["a", 1, 2, 3]]}}'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(PictureError, match="a.json.*prepare_data"):
        outlines.read(tmp_path / "a.json")


# -- the hand

def test_a_seed_gives_one_drawing_and_seeds_give_different_ones():
    found = curves("long", glasses=True)
    pictures = [hand.draw(found, np.random.default_rng(seed)) for seed in range(12)]
    again = [hand.draw(found, np.random.default_rng(seed)) for seed in range(12)]
    assert all(np.array_equal(a, b) for a, b in zip(pictures, again))
    assert len({p.tobytes() for p in pictures}) == 12
    ink = [float((p < 128).mean()) for p in pictures]
    assert min(ink) > 0.01 and max(ink) < 0.15 and max(ink) > 1.5 * min(ink)


def test_hands_differ_in_what_they_leave_out_fill_and_press():
    found = curves("short")
    drawn = []
    for seed in range(60):
        one = hand._Hand(found, np.random.default_rng(seed))
        one.face()
        drawn.append(one)
    assert {True, False} == {any(s.filled for s in one.strokes) for one in drawn}
    widths = {s.width for one in drawn for s in one.strokes}
    assert {1, 2, 3, 4} <= widths
    assert len({len(one.strokes) for one in drawn}) > 10


def test_in_training_many_hands_make_the_skull_too_small_and_leave_the_face_where_it_is():
    found, still = curves("short"), {**{f.name: 0.0 for f in dataclasses.fields(items.Augmentation)}, "crown": 0.4}
    tops, plain = [], hand.draw(found, np.random.default_rng(5))
    for seed in range(30):
        picture = hand.draw(found, np.random.default_rng(5), items.bend_of_drawn(items.Augmentation(**still),
                                                                                    np.random.default_rng(seed)))
        tops.append(int(np.argwhere(picture < 128)[:, 0].min()))
        assert np.array_equal(picture[225:], plain[225:]), "what lies below the brows' ends"
    first = int(np.argwhere(plain < 128)[:, 0].min())
    assert min(tops) == first and first + 20 < max(tops) <= first + 0.4 * (200 - first)


@pytest.mark.parametrize("kind", ["short", "long", "fringe"])
def test_every_drawing_keeps_the_hairs_outline(kind):
    """Whatever is left out: most of the hair's outline is ink within a few pixels."""
    found = curves(kind)
    line = np.concatenate(found["hair_outer"])
    for seed in range(12):
        picture = hand.draw(found, np.random.default_rng(seed))
        far = cv2.distanceTransform((picture >= 128).astype(np.uint8), cv2.DIST_L2, 5)
        x, y = np.clip(np.round(line), 0, 511).astype(int).T
        assert (far[y, x] < 12).mean() > 0.85, seed


def test_glasses_and_beards_are_drawn():
    plain, with_glasses = curves("short"), curves("short", glasses=True)
    assert "glasses" not in plain
    more = [(hand.draw(c, np.random.default_rng(4)) < 128).sum() for c in (plain, with_glasses)]
    assert more[1] > more[0] + 300
    photo, _, mask, mesh, eyes = head("short")
    beard = np.zeros((512, 512), np.uint8)
    cv2.ellipse(beard, (256, 300), (116, 148), 0, 0, 360, 1, -1)
    beard[:345] = 0
    bearded = np.where((beard != 0)[:, :, None], np.uint8([80, 55, 40]), photo)
    assert "beard" not in plain
    found = outlines.face_curves(bearded, mesh, mask, eyes)
    assert np.quantile(np.abs(found["beard"][0][:, 1] - 345), 0.9) < 15 and "hair_outer" in found


# -- in a set

@pytest.fixture
def mixed(a_set):
    """The sample set with curves for all pairs but the first."""
    rows = []
    for number, row in enumerate(index.read(a_set)):
        if number:
            outlines.write(a_set / f"drawn/{row.name}.json", curves(KINDS[number % 4]))
            row = index.Row(**{**row.__dict__, "drawn": f"drawn/{row.name}.json"})
        rows.append(row)
    index.write(a_set, rows)
    return a_set


def spec_of(folder, styles=None, strength=items.Augmentation(), seed=5):
    rows = index.read(folder)
    files, drawn = items.files_of(rows, folder, styles)
    return items.Spec(str(folder), 256, "embedding", seed, strength, files, style=index.sketch_style(folder),
                      drawn=drawn)


def test_the_index_keeps_drawn_and_old_ones_read_as_before(mixed):
    rows = index.read(mixed)
    assert [bool(r.drawn) for r in rows] == [False] + [True] * 7
    index.write(mixed, rows)
    assert index.read(mixed) == rows and index.styles_of(mixed, rows) == ("lines", "drawn")
    with open(mixed / "index.csv", newline="") as f:
        table = list(csv.DictReader(f))
    with open(mixed / "index.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, [c for c in table[0] if c != "drawn"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    old = index.read(mixed)
    assert [r.file for r in old] == [r.file for r in rows] and not any(r.drawn for r in old)
    assert index.styles_of(mixed, old) == ("lines",)


def test_a_drawn_path_outside_the_set_is_refused(mixed):
    text = (mixed / "index.csv").read_text().replace("drawn/", "../drawn/", 1)
    (mixed / "index.csv").write_text(text)
    with pytest.raises(index.SetError, match="drawn must be a path inside"):
        index.read(mixed)


def test_styles_take_turns_by_seed_epoch_and_item(mixed):
    loader = items.ItemLoader(spec_of(mixed))
    seen = {(epoch, n): loader.load(epoch, n).style for epoch in range(40) for n in range(8)}
    assert {seen[epoch, 0] for epoch in range(40)} == {"lines"}, "a pair without curves has its lines alone"
    count = Counter(style for (_, n), style in seen.items() if n)
    assert abs(count["drawn"] / (40 * 7) - 0.5) < 0.1
    again = items.ItemLoader(spec_of(mixed))
    assert all(again.style(*key) == style for key, style in seen.items())
    other = items.ItemLoader(spec_of(mixed, seed=6))
    assert any(other.style(*key) != style for key, style in seen.items())


def test_each_epoch_is_drawn_by_another_hand_and_without_augmentation_always_by_one(mixed):
    loader = items.ItemLoader(spec_of(mixed, ("drawn",)))
    assert not np.array_equal(loader.load(0, 3).sketch, loader.load(1, 3).sketch)
    assert np.array_equal(loader.load(1, 3).sketch, items.ItemLoader(spec_of(mixed, ("drawn",))).load(1, 3).sketch)
    still = items.ItemLoader(spec_of(mixed, ("drawn",), None))
    assert np.array_equal(still.load(0, 3).sketch, still.load(7, 3).sketch)


def test_sets_without_curves_are_augmented_as_before(a_set):
    """The same random numbers whether or not there could be other styles."""
    one = items.ItemLoader(spec_of(a_set)).load(2, 1)
    two = items.ItemLoader(spec_of(a_set, ("lines",))).load(2, 1)
    assert one.style == "lines" and np.array_equal(one.sketch, two.sketch)


def test_the_dataset_takes_styles(mixed):
    dataset = pytest.importorskip("jt_dfd.data.dataset", reason="Jittor does not start here")
    from jt_dfd.components import Geometry

    def make(**options):
        return dataset.FaceDataset(mixed, Geometry(256), "embedding", 2, split="train", **options)

    everything, only = make(), make(styles=("drawn",))
    assert everything.styles == ("lines", "drawn") and only.styles == ("drawn",)
    train = index.read(mixed, split="train")
    assert [r.file for r in only.rows] == [r.file for r in train if r.drawn] and len(everything.rows) == len(train)
    assert {s for batch in only for s in batch.styles} == {"drawn"}
    assert {s for batch in make(styles=("lines",)) for s in batch.styles} == {"lines"}
    with pytest.raises(index.SetError, match="no sketches of style photocopy; the set has lines, drawn"):
        make(styles=("photocopy",))
    workers = make(workers=2, augmentation=items.Augmentation(), seed=3)
    alone = make(augmentation=items.Augmentation(), seed=3)
    for a, b in zip(workers, alone):
        assert a.styles == b.styles and np.array_equal(a.sketch.numpy(), b.sketch.numpy())
    workers.close()
    (mixed / only.rows[0].drawn).unlink()
    with pytest.raises(PictureError, match="no such file"):
        make()


def test_check_and_sheet_know_drawn_sketches(mixed):
    result = checking.check(mixed)
    assert result.errors == [] and result.drawn == 7 and "drawn   7" in result.text()
    rows = index.read(mixed)
    assert (checking.pair_tile(mixed, rows[0]).shape == (274, 512, 3)
            and checking.pair_tile(mixed, rows[1]).shape == (274, 768, 3))
    assert checking.write_sheet(mixed, mixed / "sheet.png") == 8
    (mixed / rows[1].drawn).write_text("no curves")
    (mixed / rows[2].drawn).unlink()
    found = dict(checking.check(mixed).errors)
    assert "unreadable" in found[rows[1].drawn] and "unreadable" in found[rows[2].drawn]


# -- made by the tools, with mediapipe's networks

@pytest.fixture
def album(tmp_path, samples):
    """Two aligned faces, one labelled as wearing glasses, and a picture of nobody."""
    folder = tmp_path / "album"
    faces = sorted((samples / "faces").iterdir())[:2]
    for path in faces:
        write_png(folder / f"{path.stem}.png", read_picture(path))
    write_png(folder / "nobody.png", np.tile(np.linspace(40, 220, 512).astype(np.uint8)[None, :, None], (512, 1, 3)))
    (folder / "faces.csv").write_text("file,glasses\n" + "".join(
        f"{name}.png,{n}\n" for n, name in enumerate([*(p.stem for p in faces), "nobody"])))
    return folder


def test_a_finished_set_gets_drawn_sketches_by_the_same_call(tmp_path, album, face_models):
    out, labels = tmp_path / "out", str(album / "faces.csv")
    first = prepare_folder(album, out, KEEP, style="photocopy", labels=labels, drawn=False)
    assert first.pairs == 3 and first.drawn == 0 and not (out / "drawn").exists()
    before = {p.name: p.read_bytes() for p in (out / "sketches").iterdir()}
    second = prepare_folder(album, out, KEEP, style="photocopy", labels=labels)
    assert (second.pairs, second.made, second.drawn) == (3, 0, 2)
    assert {p.name: p.read_bytes() for p in (out / "sketches").iterdir()} == before
    rows = {row.name: row for row in index.read(out)}
    assert rows["nobody"].drawn == "" and "nothing drawn" in (out / "report.csv").read_text()
    plain, glasses = (outlines.read(out / row.drawn) for name, row in sorted(rows.items()) if row.drawn)
    assert "glasses" not in plain and "glasses" in glasses
    assert index.styles_of(out, list(rows.values())) == ("photocopy", "drawn")
    # nothing left to do; a file that is gone comes back as it was
    journal = (out / "journal.jsonl").read_bytes()
    assert prepare_folder(album, out, KEEP, style="photocopy", labels=labels).drawn == 2
    assert (out / "journal.jsonl").read_bytes() == journal
    kept = {p.name: p.read_bytes() for p in (out / "drawn").iterdir()}
    next((out / "drawn").iterdir()).unlink()
    prepare_folder(album, out, KEEP, style="photocopy", labels=labels)
    assert {p.name: p.read_bytes() for p in (out / "drawn").iterdir()} == kept


def test_a_set_of_drawn_sketches_alone(tmp_path, album, face_models):
    """--style drawn: a picture of each drawing to look at; a face without a mesh makes no pair."""
    out = tmp_path / "out"
    ran = subprocess.run([sys.executable, str(ROOT / "tools/prepare_data.py"), str(album), "--out", str(out),
                          "--aligned", "--keep-background", "--style", "drawn", "--workers", "1"],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    rows = index.read(out)
    assert len(rows) == 2 and "no face mesh found" in ran.stdout
    assert json.loads((out / "settings.json").read_text())["sketch"] == "drawn"
    assert index.styles_of(out, rows) == ("drawn",) and checking.check(out).errors == []
    item = items.ItemLoader(spec_of(out, None, None)).load(0, 0)
    assert item.style == "drawn"
    full = read_picture(out / rows[0].sketch)
    assert np.array_equal(hand.draw(outlines.read(out / rows[0].drawn), hand.generator(rows[0].name)), full)
