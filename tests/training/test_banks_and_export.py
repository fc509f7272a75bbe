"""Banks, the folder for inference, and its figures."""
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import embedding_trainer, synthesis_trainer, write_set

from jt_dfd import checkpoints
from jt_dfd.cli import run
from jt_dfd.components import COMPONENTS
from jt_dfd.config import preset
from jt_dfd.data import index, outlines
from jt_dfd.errors import UserError
from jt_dfd.pictures import pictures_of, to_sketch
from jt_dfd.training import loop
from jt_dfd.training.bank import BankError, banks_of, build_banks
from jt_dfd.training.command import build_bank, export_weights, train_synthesis
from jt_dfd.training.export import export
from jt_dfd.training.weights import open_weights


def test_each_row_is_the_encoded_sketch_that_the_index_names(pairs, embedding):
    folder = open_weights(embedding)
    table = banks_of(folder)["rows"]
    assert {g: len(r) for g, r in table.items()} == {"male": 4, "female": 4}
    genders = {row.file: row for row in index.read(pairs)}
    from jt_dfd import networks
    from jt_dfd.backend import jt
    from jt_dfd.training.embedding import EmbeddingTrainer  # noqa: F401  starts Jittor

    for gender, entries in table.items():
        for component in ("eye1", "rest"):
            encoder = networks.build("encoder", folder.config, component)
            networks.into_network(encoder, folder.network("encoder", component), "")
            encoder.eval()
            bank = folder.bank(component, gender)
            for row, entry in zip(bank, entries):
                assert genders[entry["file"]].gender == gender
                sketch = to_sketch(pairs / genders[entry["file"]].sketch, 64)
                crop = folder.config.geometry.crop(sketch, component).astype(np.float32)
                latent = encoder(jt.array((crop[None, None] - 127.5) / 127.5)).numpy()[0]
                assert np.abs(latent - row).max() < 1e-4 * max(1, np.abs(latent).max())


def test_without_labels_there_is_one_bank_and_mirrored_rows_on_request(embedding, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(embedding, run)
    data = write_set(tmp_path / "set", train=3, test=0, gender=False)
    assert build_banks(run, data, mirrored=True, progress=False) == {"all": 6}
    folder = open_weights(run)
    assert folder.genders == () and folder.bank("nose", None).shape == (6, folder.config.latent)
    assert [e["mirrored"] for e in banks_of(folder)["rows"]["all"]] == [False] * 3 + [True] * 3
    with pytest.raises(BankError, match="test"):
        build_banks(run, data, split="test", progress=False)
    with pytest.raises(BankError, match="limit -3"):
        build_banks(run, data, limit=-3, progress=False)


@pytest.fixture(scope="module")
def exported(pairs, embedding, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported")
    trainer, options = synthesis_trainer(pairs, embedding, out / "run", steps=2, save_every=2, gan=0.0)
    assert loop.run(trainer, options, False, ["train"])
    export(embedding, out / "run", out / "params")
    return out


def test_the_exported_folder_makes_the_face_that_was_trained(pairs, embedding, exported):
    from jt_dfd import Synthesizer
    from jt_dfd.backend import jt

    folder = checkpoints.open_folder(exported / "params")
    path = exported / "params" / checkpoints.network_path("generator")
    assert next(iter(checkpoints.read_arrays(path).values())).dtype == np.float16
    assert folder.meta["provenance"]["synthesis"]["options"]["steps"] == 2
    assert set(folder.meta["files"]) == set(folder.files())
    sketch = to_sketch(pairs / "sketches/000.png", 64)
    result = Synthesizer(exported / "params", "cpu").synthesize(sketch, "female", refine=0)
    trainer, _ = synthesis_trainer(pairs, embedding, exported / "other", init=str(exported / "run"), gan=0.0)
    drawn = {c: trainer.geometry.crop(to_sketch(sketch, 64), c)[None, None] for c in COMPONENTS}
    crops = {c: jt.array((crop.astype(np.float32) - 127.5) / 127.5) for c, crop in drawn.items()}
    expected = pictures_of(trainer.generator(trainer.features(crops)))[0]
    import cv2

    enlarged = cv2.resize(expected, (512, 512), interpolation=cv2.INTER_CUBIC)
    assert np.abs(result.face.astype(int) - enlarged).mean() < 1  # half precision


def test_a_folder_says_how_it_was_trained(pairs, embedding, exported, tmp_path):
    """Every call, the run that another began from, and nothing about the machine's folders."""
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "finer", steps=1, gan=0.0,
                                         init=str(exported / "run"))
    assert loop.run(trainer, options, False, [str(tmp_path / "tools/train.py"), "--data", str(pairs), "--steps", "1"])
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "finer", steps=2, gan=0.0,
                                         init=str(exported / "run"))
    assert loop.run(trainer, options, True, ["tools/train.py", "--resume", "--steps", "2"])
    export(embedding, tmp_path / "finer", tmp_path / "params")
    record = checkpoints.open_folder(tmp_path / "params").meta["provenance"]["synthesis"]
    assert record["commands"] == [
        {"from_step": 0, "command": f"tools/train.py --data {pairs.name} --steps 1"},
        {"from_step": 1, "command": "tools/train.py --resume --steps 2"}]
    assert record["options"]["steps"] == 2 and record["began_from"]["commands"][0]["command"] == "train"
    assert str(tmp_path) not in (tmp_path / "params/config.json").read_text()


def test_a_later_checkpoint_than_the_best_can_be_taken(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", steps=3, save_every=1, gan=0.0, ema=0.9)
    assert loop.run(trainer, options, False, ["train"])
    wanted = trainer.weights()  # after the last step
    export(embedding, tmp_path / "run", tmp_path / "last", "float32", step=3)
    export(embedding, tmp_path / "run", tmp_path / "first", "float32", step=1)
    last, first = checkpoints.open_folder(tmp_path / "last"), checkpoints.open_folder(tmp_path / "first")
    for kind, component in [("generator", "rest")] + [("feature_decoder", c) for c in COMPONENTS]:
        arrays = wanted[checkpoints.network_path(kind, component)]
        stored, before = last.network(kind, component), first.network(kind, component)
        assert all(np.array_equal(stored[name], arrays[name]) for name in stored)
        assert any(not np.array_equal(stored[name], before[name]) for name in stored)
    assert last.meta["provenance"]["synthesis"]["step"] == 3
    with pytest.raises(UserError, match="step 9; kept are: 1, 2, 3"):
        export(embedding, tmp_path / "run", tmp_path / "none", step=9)
    assert not (tmp_path / "none").exists()


def test_banks_of_an_earlier_export_do_not_stay(pairs, embedding, exported, tmp_path):
    """Male and female rows of a first export, among other banks in another type, would have been used by the second."""
    export(embedding, exported / "run", tmp_path / "params")
    shutil.copytree(embedding, tmp_path / "shared")
    build_banks(tmp_path / "shared", write_set(tmp_path / "set", train=3, test=0, gender=False), progress=False)
    export(tmp_path / "shared", exported / "run", tmp_path / "params", "float32")
    folder = checkpoints.open_folder(tmp_path / "params")
    assert folder.genders == () and folder.bank("nose", "male").shape == (3, folder.config.latent)
    assert set(folder.meta["files"]) == set(folder.files())


def test_parts_that_do_not_belong_together_are_refused(pairs, embedding, exported, tmp_path):
    trainer, options = embedding_trainer(pairs, tmp_path / "later", steps=1, save_every=1,
                                         init=str(open_weights(embedding).path))
    loop.run(trainer, options, False, ["train"])
    with pytest.raises(UserError, match="other encoders"):
        export(tmp_path / "later", exported / "run", tmp_path / "out")
    shutil.copytree(embedding, tmp_path / "bare")
    (tmp_path / "bare/weights/AE_whole/rows.json").unlink()
    with pytest.raises(UserError, match="build_bank"):
        export(tmp_path / "bare", exported / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_in_the_releases_layout_are_trained_on_and_exported(root, pairs, tmp_path, monkeypatch):
    """Plain pickles and raw banks, of a small size, without config.json and rows.json."""
    monkeypatch.syspath_prepend(str(root / "tests/parity"))
    from weights import write_release

    from jt_dfd import Synthesizer

    theirs = write_release(tmp_path / "Params", preset("tiny"), rows=20)
    words = ["--data", str(pairs), "--init", str(theirs), "--out", str(tmp_path / "finer"), "--batch", "1", "--lr",
             "5e-5", "--steps", "2", "--device", "cpu", "--train", "generator"]
    assert run(train_synthesis, words) == 0
    assert run(export_weights, ["--embedding", str(theirs), "--synthesis", str(tmp_path / "finer"), "--out",
                                str(tmp_path / "mine"), "--dtype", "float32"]) == 0
    before, after = checkpoints.open_folder(theirs, sizes_from_files=True), checkpoints.open_folder(tmp_path / "mine")
    assert all(np.array_equal(before.bank(c, g), after.bank(c, g)) for c in COMPONENTS for g in checkpoints.GENDERS)
    for kind, component, same in (("feature_decoder", "nose", True), ("generator", "rest", False)):
        old, new = before.network(kind, component), after.network(kind, component)
        assert all(np.array_equal(old[n], new[n]) for n in new) == same
    assert Synthesizer(tmp_path / "mine", "cpu").synthesize(pairs / "sketches/000.png", "male").face.std() > 1


def test_figures_of_a_folder_are_what_they_say(pairs, exported, tmp_path):
    from jt_dfd.evaluation import metrics
    from jt_dfd.evaluation.run import evaluate, write

    write(evaluate(exported / "params", pairs, device="cpu", refine=(0.0,), progress=False), tmp_path)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["pictures"] == 2 and figures["bank_rows"] == {"male": 4, "female": 4}
    assert set(figures["embedding"]) == set(COMPONENTS)
    # by hand: the mean face against the held-out photographs
    import cv2

    from jt_dfd.pictures import read_picture

    def photo(n):
        return cv2.resize(read_picture(pairs / f"faces/{n:03d}.png"), (64, 64), interpolation=cv2.INTER_AREA)

    mean = np.mean([photo(n) for n in range(8)], 0).round()
    by_hand = np.mean([np.abs(mean - photo(n)).mean() for n in (8, 9)])
    assert figures["synthesis"]["mean face of the training split"]["l1"] == pytest.approx(by_hand, abs=1e-6)
    assert "refine 0" in (tmp_path / "figures.md").read_text()
    assert metrics.psnr(photo(8), photo(8)) == float("inf") and metrics.ssim(photo(8), photo(8)) == pytest.approx(1)


def test_figures_of_one_picture_are_json_that_everybody_reads(own_pairs, exported, tmp_path):
    """The error of one number is not known; as "NaN" in figures.json it was no JSON to a browser.  A picture whose
    gender nobody told is put beside a bank by guess, which is said."""
    from jt_dfd.evaluation.run import evaluate, write

    index.write(own_pairs, [replace(row, gender="") for row in index.read(own_pairs)])
    write(evaluate(exported / "params", own_pairs, device="cpu", refine=(1.0,), count=1, progress=False), tmp_path)

    def refuse(word):
        raise ValueError(word)

    data = json.loads((tmp_path / "figures.json").read_text(), parse_constant=refuse)
    assert data["synthesis"]["refine 1"]["l1_error"] is None and data["synthesis"]["refine 1"]["l1"] > 0
    text = (tmp_path / "figures.md").read_text()
    assert "nan" not in text and "1 picture without a gender is projected onto the female bank" in text
    for wrong, word in ({"count": -5}, "count"), ({"refine": (2,)}, "refine"), ({"refine": (np.nan,)}, "refine"):
        with pytest.raises(UserError, match=word):
            evaluate(tmp_path / "nowhere", own_pairs, **wrong)


def test_each_style_of_sketch_has_rows_of_its_own(embedding, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(embedding, run)
    data = write_set(tmp_path / "set", train=3, test=0, gender=False)
    rows = index.read(data)
    for number, row in enumerate(rows[1:], 1):  # the first one's landmarks were not found
        jaw = [[200 + 10 * number, 600, 500, 900, 800, 600], [300, 200, 700, 220]]
        (data / f"{number}.json").write_text(json.dumps({"unit": 0.5, "curves": {"jaw": jaw, "hair_outer": jaw}}))
        rows[number] = index.Row(**{**row.__dict__, "drawn": f"{number}.json"})
    index.write(data, rows)
    assert build_banks(run, data, mirrored=True, progress=False) == {"all": 10}
    entries = banks_of(open_weights(run))["rows"]["all"]
    assert [(e["file"], e["style"], e["mirrored"]) for e in entries] == [
        (row.file, style, mirrored) for mirrored in (False, True) for style in ("lines", "drawn") for row in rows
        if style == "lines" or row.drawn]
    everything = open_weights(run).bank("rest", None)
    assert np.abs(everything[1] - everything[3]).max() > 1e-4, "a drawing has a latent of its own"
    assert build_banks(run, data, styles=("drawn",), progress=False) == {"all": 2}
    assert np.array_equal(open_weights(run).bank("rest", None), everything[3:5])
    assert build_banks(run, data, styles=("lines",), limit=2, progress=False) == {"all": 2}


@pytest.fixture
def two_styles(own_pairs):
    """The set with curves to draw from for four of the eight pictures to train on, and the two held out."""
    rows = index.read(own_pairs)
    for n, row in enumerate(rows):
        if n in (1, 3, 4, 6, 8, 9):
            turn = np.linspace(0, 2 * np.pi, 30)
            oval = np.stack([256 + (120 + 5 * n) * np.cos(turn), 270 + 190 * np.sin(turn)], 1)
            lips = np.array([[200, 370 + 3 * n], [256, 390], [312, 370]])
            outlines.write(own_pairs / f"drawn/{row.name}.json", {"jaw": [oval], "lips_lower": [lips]})
            rows[n] = replace(row, drawn=f"drawn/{row.name}.json")
    index.write(own_pairs, rows)
    return own_pairs


def test_a_run_of_one_style_has_banks_of_that_style(embedding, two_styles, tmp_path, capsys):
    """README's commands in turn after --styles drawn made rows of sketches that the encoders had never seen."""
    shutil.copytree(embedding, tmp_path / "run")
    options = json.loads((tmp_path / "run/options.json").read_text())
    for styles, more, expected in (("drawn", [], {"drawn"}), ("all", [], {"lines", "drawn"}),
                                   ("drawn", ["--styles", "lines"], {"lines"})):
        (tmp_path / "run/options.json").write_text(json.dumps({**options, "styles": styles}))
        assert run(build_bank, ["--params", str(tmp_path / "run"), "--data", str(two_styles), *more]) == 0
        rows = banks_of(open_weights(tmp_path / "run"))["rows"]
        assert {entry["style"] for entries in rows.values() for entry in entries} == expected
    assert run(build_bank, ["--params", str(tmp_path / "run"), "--data", str(two_styles), "--batch", "0"]) == 2
    rows = index.read(two_styles)   # no man is drawn
    index.write(two_styles, [replace(row, drawn="" if row.gender == "male" else row.drawn) for row in rows])
    before = banks_of(open_weights(tmp_path / "run"))
    capsys.readouterr()
    call = ["--params", str(tmp_path / "run"), "--data", str(two_styles)]
    assert run(build_bank, [*call, "--styles", "drawn"]) == 2
    assert "no sketches of male faces in the style drawn" in capsys.readouterr().err
    assert banks_of(open_weights(tmp_path / "run")) == before
    (tmp_path / "run/options.json").write_text("damaged")
    assert run(build_bank, call) == 2 and "--styles" in capsys.readouterr().err
    assert run(build_bank, [*call, "--styles", "all"]) == 0


def test_figures_of_each_style_of_sketches(pairs, two_styles, exported, tmp_path):
    from jt_dfd import Synthesizer
    from jt_dfd.data.dataset import FaceDataset
    from jt_dfd.evaluation import run

    def evaluate(data, **more):
        return run.evaluate(exported / "params", data, device="cpu", refine=(0.0,), progress=False, **more)

    both, alone, drawn = evaluate(two_styles), evaluate(pairs), evaluate(two_styles, styles=("drawn",))
    assert list(both["styles"]) == ["lines", "drawn"] and "styles" not in alone and "styles" not in drawn
    # a second style changes nothing in the figures of the first, which stay where they were
    assert both["embedding"] == both["styles"]["lines"]["embedding"] == alone["embedding"]
    assert both["synthesis"] == both["styles"]["lines"]["synthesis"] == alone["synthesis"]
    assert (both["style"], drawn["style"], both["pictures"], drawn["pictures"]) == ("lines", "drawn", 2, 2)
    other = both["styles"]["drawn"]
    assert {k: other[k] for k in ("pictures", "embedding", "synthesis")} == {k: drawn[k] for k in other}
    # by hand: the drawn sketches that are held out, and the mean of the four to train on
    synthesizer = Synthesizer(exported / "params", "cpu")
    held_out, train = (FaceDataset(two_styles, synthesizer.geometry, "embedding", 1, split=split, shuffle=False,
                                   styles=("drawn",)) for split in ("test", "train"))
    assert len(held_out.rows) == 2 and len(train.rows) == 4
    for component in ("mouth", "rest"):
        made = [synthesizer.networks.decode(component, synthesizer.encode(held_out[n].sketch)[component][None])[0]
                for n in (0, 1)]
        truth = np.stack([held_out[n].crops[component] for n in (0, 1)]) / 127.5 - 1
        mean = np.mean([train[n].crops[component] for n in range(4)], 0) / 127.5 - 1
        found = other["embedding"][component]
        assert found["mse"] == pytest.approx(((np.stack(made) - truth) ** 2).mean(), rel=1e-4)
        assert found["mse_of_the_mean_sketch"] == pytest.approx(((mean - truth) ** 2).mean(), rel=1e-6)
    run.write(both, tmp_path)
    text = (tmp_path / "figures.md").read_text()
    assert text.index("style lines, 2 pictures") < text.index("style drawn, 2 pictures") and "share" in text
    assert json.loads((tmp_path / "figures.json").read_text())["styles"]["drawn"]["pictures"] == 2
