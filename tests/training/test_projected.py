"""Stage II with --projected: what a share of the samples is made from."""
import json
import shutil

import numpy as np
import pytest
from conftest import embedding_trainer, synthesis_trainer

from jt_dfd import checkpoints
from jt_dfd.components import COMPONENTS
from jt_dfd.kernels import selection
from jt_dfd.training import feed, loop
from jt_dfd.training.bank import MAX_NEIGHBOURS, MIN_NEIGHBOURS, ROWS_FILE, banks_of, build_banks
from jt_dfd.training.log import read
from jt_dfd.training.options import OptionsError
from jt_dfd.training.weights import open_weights


@pytest.fixture(scope="module")
def with_banks(pairs, embedding, tmp_path_factory):
    """The embedding with banks of 40 rows a gender that nobody trained on, and of each training picture four: as it is,
    mirrored, and both in another style, all of them very near its own latents."""
    run = tmp_path_factory.mktemp("banks") / "run"
    shutil.copytree(embedding, run)
    folder = open_weights(run)
    table, random = banks_of(folder), np.random.default_rng(0)
    for gender, entries in table["rows"].items():
        for component in COMPONENTS:
            own = folder.bank(component, gender)
            near = [own + random.normal(0, 1e-3, own.shape) for _ in range(3)]
            others = own[random.integers(0, len(own), 40)] + random.normal(0, own.std(), (40, own.shape[1]))
            checkpoints.write_bank(folder.path / checkpoints.bank_path(component, gender),
                                   np.concatenate([own, *near, others]))
        styles = [(style, flip) for style in ("lines", "drawn") for flip in (False, True)]
        rows = [{**entry, "mirrored": flip, "style": style} for style, flip in styles for entry in entries]
        table["rows"][gender] = rows + [{"file": f"faces/other{n}.png", "mirrored": False} for n in range(40)]
    (folder.path / ROWS_FILE).write_text(json.dumps(table))
    checkpoints.write_config(folder.path, folder.config, folder.meta.get("provenance"))
    return run


def whole_set(trainer, options):
    options.batch = 8
    return next(feed.batches(feed.training_data(options, trainer.config, trainer.stage), 0))


def test_a_sample_is_rebuilt_from_the_rows_of_other_pictures(pairs, with_banks, tmp_path):
    """Against selection's plain NumPy, on the bank without the picture's own rows."""
    trainer, options = synthesis_trainer(pairs, with_banks, tmp_path / "run", projected=0.5)
    batch, folder, step = whole_set(trainer, options), open_weights(with_banks), 3
    table = banks_of(folder)["rows"]
    before = {c: v.numpy() for c, v in trainer.latents(batch.crops).items()}
    after = {c: v.numpy() for c, v in trainer.projected.apply(trainer.latents(batch.crops), batch, step).items()}
    chosen = [n for n, item in enumerate(batch.items) if trainer.projected.choice(step, item).neighbours]
    assert 0 < len(chosen) < 8
    for n in range(8):
        row = batch.rows[n]
        k = trainer.projected.choice(step, batch.items[n]).neighbours
        for c in COMPONENTS:
            if n not in chosen:
                assert np.array_equal(after[c][n], before[c][n])
                continue
            bank = folder.bank(c, row.gender)
            near = selection.neighbours(bank, before[c][n], 4)
            assert {table[row.gender][i]["file"] for i in near} == {row.file}, "its own rows are the nearest by far"
            others = bank[[entry["file"] != row.file for entry in table[row.gender]]]
            rows = others[selection.neighbours(others, before[c][n], k)]
            expected = selection.rebuilding_weights(rows, before[c][n]) @ rows
            assert np.abs(after[c][n] - expected).max() < 1e-5 * np.abs(expected).max()
            assert np.abs(after[c][n] - before[c][n]).max() > 1e-2 * np.abs(before[c][n]).max()


def test_the_photograph_stays_the_truth(pairs, with_banks, tmp_path):
    """The step's L1 is that of faces made from projected latents against the sketches' own photographs."""
    trainer, options = synthesis_trainer(pairs, with_banks, tmp_path / "run", projected=1.0, gan=0.0)
    batch = whole_set(trainer, options)
    names, numbers, _ = trainer.step(batch, 5, trainer.parts)
    made = trainer.generator(trainer.decoded(trainer.projected.apply(trainer.latents(batch.crops), batch, 5)))
    by_hand = np.abs(made.numpy() - batch.photo.numpy()).mean()
    assert dict(zip(names, numbers.numpy()))["l1"] == pytest.approx(by_hand, rel=1e-5)
    plain = np.abs(trainer.generator(trainer.features(batch.crops)).numpy() - batch.photo.numpy()).mean()
    assert abs(plain - by_hand) > 1e-5 * by_hand


def test_who_is_projected_and_onto_how_many_is_drawn_by_seed_step_and_item(pairs, with_banks, tmp_path):
    choice = synthesis_trainer(pairs, with_banks, tmp_path / "run", projected=0.3)[0].projected.choice
    again = synthesis_trainer(pairs, with_banks, tmp_path / "run", projected=0.3)[0].projected.choice
    other = synthesis_trainer(pairs, with_banks, tmp_path / "run", projected=0.3, seed=1)[0].projected.choice
    places = [(step, item) for step in range(100) for item in range(40)]
    found = [choice(*place).neighbours for place in places]
    assert found == [again(*place).neighbours for place in places] != [other(*place).neighbours for place in places]
    drawn = [k for k in found if k]
    assert abs(len(drawn) / len(found) - 0.3) < 0.03
    assert set(drawn) == set(range(MIN_NEIGHBOURS, MAX_NEIGHBOURS + 1)) == set(range(5, 16))
    assert all(abs(drawn.count(k) - len(drawn) / 11) < 50 for k in range(5, 16))


def test_a_picture_of_unknown_gender_goes_to_either_bank(pairs, with_banks, tmp_path):
    found = synthesis_trainer(pairs, with_banks, tmp_path / "run", projected=1.0)[0].projected
    assert {found.bank_of("male", which) for which in (0.0, 0.999)} == {"male"}
    assert {found.bank_of("", which) for which in (0.0, 0.999)} == {"male", "female"}


def test_one_bank_for_everybody_does_too(pairs, embedding, tmp_path):
    run = tmp_path / "embedding"
    shutil.copytree(embedding, run)
    build_banks(run, pairs, by_gender=False, mirrored=True, progress=False)
    trainer, options = synthesis_trainer(pairs, run, tmp_path / "run", projected=1.0)
    batch = whole_set(trainer, options)
    folder, latents = open_weights(run), trainer.latents(batch.crops)
    after = trainer.projected.apply(latents, batch, 0)["nose"].numpy()
    bank = folder.bank("nose", None)
    others = bank[[entry["file"] != batch.rows[0].file for entry in banks_of(folder)["rows"]["all"]]]
    latent, k = latents["nose"].numpy()[0], trainer.projected.choice(0, batch.items[0]).neighbours
    rows = others[selection.neighbours(others, latent, k)]   # 14 rows: all of them where 15 are asked for
    assert np.abs(after[0] - selection.rebuilding_weights(rows, latent) @ rows).max() < 1e-5 * np.abs(after).max()


def numbers(folder):
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "memory_mb")}
            for line in read(folder / "log.jsonl") if "l1" in line]


def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(pairs, with_banks, tmp_path):
    whole, options = synthesis_trainer(pairs, with_banks, tmp_path / "whole", augment=1.0, projected=0.5)
    loop.run(whole, options, False, ["train"])
    first, options = synthesis_trainer(pairs, with_banks, tmp_path / "parts", augment=1.0, projected=0.5, minutes=1e-9)
    assert not loop.run(first, options, False, ["train"])
    second, options = synthesis_trainer(pairs, with_banks, tmp_path / "parts", augment=1.0, projected=0.5)
    assert loop.run(second, options, True, ["train"])
    assert numbers(tmp_path / "whole") == numbers(tmp_path / "parts")
    left, right = whole.arrays(), second.arrays()
    assert set(left) == set(right) and all(np.array_equal(left[k], right[k]) for k in left)
    plain, options = synthesis_trainer(pairs, with_banks, tmp_path / "plain", augment=1.0)
    loop.run(plain, options, False, ["train"])
    assert numbers(tmp_path / "plain") != numbers(tmp_path / "whole")


def test_off_needs_no_banks_and_on_says_what_is_missing(pairs, embedding, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(embedding, bare)
    (bare / "weights" / ROWS_FILE).unlink()
    assert synthesis_trainer(pairs, bare, tmp_path / "run")[0].projected is None
    with pytest.raises(OptionsError, match=r"--projected: .*bare.*build_bank\.py"):
        synthesis_trainer(pairs, bare, tmp_path / "run", projected=0.2)
    later = tmp_path / "later"
    trainer, options = embedding_trainer(pairs, later, steps=1, save_every=1,
                                         init=str(open_weights(embedding).path))
    assert loop.run(trainer, options, False, ["train"])
    for file in (open_weights(embedding).path / "AE_whole").iterdir():
        if "latest_net" not in file.name:
            shutil.copy(file, later / "weights" / "AE_whole" / file.name)
    with pytest.raises(OptionsError, match=r"other encoders.*build_bank\.py"):
        synthesis_trainer(pairs, later, tmp_path / "run", projected=0.2)


def test_banks_that_do_not_fit_their_table_are_refused(pairs, with_banks, tmp_path):
    run = tmp_path / "damaged"
    shutil.copytree(with_banks, run)
    file = open_weights(run).path / ROWS_FILE
    table = json.loads(file.read_text())
    for rows, says in ((table["rows"]["male"][:-1], "as many rows"),
                       ([{"file": "faces/001.png"} for _ in table["rows"]["male"]], "one picture only")):
        file.write_text(json.dumps({**table, "rows": {**table["rows"], "male": rows}}))
        with pytest.raises(OptionsError, match=says):
            synthesis_trainer(pairs, run, tmp_path / "run", projected=0.2)
    file.write_text("[]")
    with pytest.raises(OptionsError, match="rows.json"):
        synthesis_trainer(pairs, run, tmp_path / "run", projected=0.2)
