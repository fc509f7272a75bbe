"""A run in this process: what it writes, what it refuses, and what stops it."""
import os
import signal
import subprocess
from contextlib import suppress

import numpy as np
import pytest
from conftest import embedding_trainer, synthesis_trainer

from jt_dfd import checkpoints
from jt_dfd.backend import jt
from jt_dfd.cli import run
from jt_dfd.errors import UserError
from jt_dfd.pictures import read_picture
from jt_dfd.training import command, loop, losses
from jt_dfd.training.log import read
from jt_dfd.training.run_folder import RunFolder


def numbers(folder):
    """The log without what depends on the clock."""
    return [{k: v for k, v in line.items() if k not in ("images_per_second", "memory_mb")}
            for line in read(folder / "log.jsonl")]


def test_a_run_leaves_log_curves_sheets_checkpoints_and_weights(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", steps=4, sample_every=2, save_every=2)
    assert loop.run(trainer, options, False, ["train"])
    out = tmp_path / "run"
    lines = numbers(out)
    assert [line["step"] for line in lines if "l1" in line] == [1, 2, 3, 4]
    assert {"l1", "gan", "feature_matching", "discriminator", "gradient"} <= set(lines[0])
    assert [line["step"] for line in lines if "held_out/l1" in line] == [2, 4]
    sheet = read_picture(out / "samples/step-00000004.png")
    assert sheet.shape[0] >= 64 and sheet.shape[1] >= 4 * 64 and sheet.std() > 20
    assert read_picture(out / "losses.png").ndim == 3
    folder = checkpoints.open_folder(out / "weights")
    best = trainer_weights_at(RunFolder(out), folder)
    assert best


def test_what_an_interrupt_saves_does_not_take_the_place_of_the_best(pairs, embedding, tmp_path):
    """Ctrl-C saves without validating.  What weights/ holds was the last step's then, and was exported as the best."""
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", steps=2, save_every=1, gan=0.0)
    assert loop.run(trainer, options, False, ["train"])
    place = tmp_path / "run/weights" / checkpoints.network_path("generator")
    before = place.read_bytes()
    run = loop.Run(trainer, options, ["train"])
    run.done = {part: 3 for part in run.done}
    for variable in trainer.generator.parameters() + trainer.average._average:
        variable.update(variable + 1)
    run._save(3, validated=False)
    assert RunFolder(tmp_path / "run").steps()[-1] == 3 and place.read_bytes() == before
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "early", steps=2, save_every=1, gan=0.0)
    run = loop.Run(trainer, options, ["train"])   # before any validation there is nothing better
    run.done = {part: 1 for part in run.done}
    run._save(1, validated=False)
    assert checkpoints.open_folder(tmp_path / "early/weights").has("generator")


def test_scores_of_another_kind_are_not_compared(pairs, embedding, tmp_path, capfd):
    """A run that began with L1 as its score, and went on with the perceptual loss installed, never found better
    weights again: those of before stayed in weights/ and were exported."""
    out, before = tmp_path / "run", None
    for steps, found in ((1, {"held_out/l1": 0.1}), (2, {"held_out/l1": 0.2, "held_out/perceptual": 0.9}),
                         (3, {"held_out/l1": 0.1, "held_out/perceptual": 0.95})):
        trainer, options = synthesis_trainer(pairs, embedding, out, steps=steps, save_every=1, gan=0.0)
        trainer.validate = lambda data, parts, found=found: found
        assert loop.run(trainer, options, steps > 1, ["train"])
        place = out / "weights" / checkpoints.network_path("generator")
        if steps == 2:
            assert place.read_bytes() != before and RunFolder(out).best() == (2, 0.9)
            assert "best checkpoint is judged by held_out/perceptual" in capfd.readouterr().err
        before = place.read_bytes() if steps < 3 else before
    assert place.read_bytes() == before and RunFolder(out).best() == (2, 0.9)


def test_best_and_weights_are_of_one_step_after_the_best_checkpoint_was_damaged(pairs, embedding, tmp_path):
    """The next checkpoint was called the best, with a worse score, and weights/ still held the damaged one's."""
    out = tmp_path / "run"
    for steps, every, scores in ((2, 1, (0.3, 0.1)), (3, 3, (0.2,))):
        trainer, options = synthesis_trainer(pairs, embedding, out, steps=steps, save_every=every, gan=0.0)
        found = iter(scores)
        trainer.validate = lambda data, parts, found=found: {"held_out/l1": next(found)}
        assert loop.run(trainer, options, steps > 2, ["train"])
        assert RunFolder(out).best() == (steps, scores[-1])
        assert trainer_weights_at(RunFolder(out), checkpoints.open_folder(out / "weights"))
        RunFolder(out).file(steps).write_bytes(b"damaged")


def trainer_weights_at(run, folder):
    """Whether the exported generator is the averaged one of the best checkpoint."""
    _, arrays, _ = run.read(run.best()[0])
    shown = folder.network("generator")
    averages = [v for k, v in arrays.items() if k.startswith("average/a")]
    return all(any(a.shape == v.shape and np.allclose(a, v) for a in averages) for v in shown.values())


def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(pairs, embedding, tmp_path):
    """In one process, bit for bit; test_kill.py does the same with SIGKILL."""
    whole, options = synthesis_trainer(pairs, embedding, tmp_path / "whole", augment=1.0)
    loop.run(whole, options, False, ["train"])
    first, options = synthesis_trainer(pairs, embedding, tmp_path / "parts", augment=1.0, minutes=1e-9)
    assert not loop.run(first, options, False, ["train"])  # its time is up after the first step
    second, options = synthesis_trainer(pairs, embedding, tmp_path / "parts", augment=1.0)
    assert loop.run(second, options, True, ["train"])
    a, b = numbers(tmp_path / "whole"), numbers(tmp_path / "parts")
    assert [x for x in a if "l1" in x] == [x for x in b if "l1" in x]
    left, right = whole.arrays(), second.arrays()
    assert set(left) == set(right) and all(np.array_equal(left[k], right[k]) for k in left)


def test_components_are_resumed_each_on_its_own(pairs, tmp_path):
    out = tmp_path / "run"
    trainer, options = embedding_trainer(pairs, out, component="eye1", steps=2, save_every=1)
    loop.run(trainer, options, False, ["train"])
    alone = trainer.arrays("eye1")
    trainer, options = embedding_trainer(pairs, out, component="parts", steps=2, save_every=1)
    loop.run(trainer, options, True, ["train"])
    # the one that was done stayed as it was, the others were trained
    assert all(np.array_equal(v, trainer.arrays("eye1")[k]) for k, v in alone.items())
    assert RunFolder(out / "nose").steps() == [1, 2] and not (out / "rest").exists()


def test_an_old_run_is_not_overwritten(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", steps=1)
    loop.run(trainer, options, False, ["train"])
    with pytest.raises(UserError, match="--resume"):
        loop.run(trainer, options, False, ["train"])


def poison(trainer, at):
    """Make the batch of step ``at`` hold a NaN."""
    step = trainer.step

    def poisoned(batch, number, parts):
        if number == at:
            batch.photo[0, 0, 3, 3] = float("nan")
        return step(batch, number, parts)

    trainer.step = poisoned


def test_a_nan_stops_the_run_before_anything_moves(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", save_every=3)
    poison(trainer, 3)
    with pytest.raises(UserError, match=r"step 4: .*l1.*step-00000003\.pkl.*--resume"):
        loop.run(trainer, options, False, ["train"])
    _, kept, _ = RunFolder(tmp_path / "run").newest()
    now = trainer.arrays()
    assert all(np.array_equal(kept[k], now[k]) for k in now if not k.endswith("n_step"))
    again, options = synthesis_trainer(pairs, embedding, tmp_path / "run", save_every=3)
    assert loop.run(again, options, True, ["train"])


def test_an_exploding_gradient_stops_the_run(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", stop_gradient=1e-3)
    with pytest.raises(UserError, match="--stop-gradient"):
        loop.run(trainer, options, False, ["train"])


def test_a_file_that_vanishes_in_an_epoch_stops_the_run_with_its_name(own_pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(own_pairs, embedding, tmp_path / "run", save_every=1, cache_mb=0, steps=8)
    step = trainer.step

    def vanish(batch, number, parts):
        if number == 1:
            (own_pairs / "faces/005.png").unlink(missing_ok=True)
        return step(batch, number, parts)

    trainer.step = vanish
    with pytest.raises(UserError, match=r"005\.png.*step-\d+\.pkl.*--resume"):
        loop.run(trainer, options, False, ["train"])


def test_ctrl_c_saves_and_the_run_goes_on_later(pairs, embedding, tmp_path, capfd):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run")
    step = trainer.step

    def interrupted(batch, number, parts):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(batch, number, parts)

    trainer.step = interrupted
    assert not loop.run(trainer, options, False, ["train"])
    assert RunFolder(tmp_path / "run").steps() == [3]
    assert "Stopped at step 3 of 6" in capfd.readouterr().err


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.call(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)],
                                       stderr=subprocess.DEVNULL):
        pytest.skip("a small tmpfs can only be mounted by root")
    yield disk
    subprocess.call(["umount", str(disk)])


def test_a_full_disk_keeps_the_last_checkpoint_whole(pairs, embedding, small_disk):
    trainer, options = synthesis_trainer(pairs, embedding, small_disk / "run", save_every=2, keep=1)
    step = trainer.step

    def fill(batch, number, parts):
        if number == 2:
            with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as f:
                while True:
                    f.write(bytes(1 << 12))
        return step(batch, number, parts)

    trainer.step = fill
    with pytest.raises(UserError, match=r"No space left.*step-00000002\.pkl"):
        loop.run(trainer, options, False, ["train"])
    run = RunFolder(small_disk / "run")
    assert run.steps() == [2] and run.newest()[0] == 2
    assert not list(run.checkpoints.glob("*.part"))
    (small_disk / "ballast").unlink()
    again, options = synthesis_trainer(pairs, embedding, small_disk / "run", save_every=2, keep=1)
    assert loop.run(again, options, True, ["train"])


def test_a_dry_run_writes_nothing(pairs, embedding, tmp_path, capsys):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run")
    assert loop.dry_run(trainer, options, 1) == 0
    assert not (tmp_path / "run").exists()
    said = capsys.readouterr().out
    assert "images/s" in said and "perceptual loss off" in said


def test_a_window_is_cut_where_it_is_said(pairs, embedding, tmp_path):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", perceptual_size=32)
    picture = jt.array(np.arange(3 * 64 * 64, dtype=np.float32).reshape(1, 3, 64, 64))
    whole, same = trainer._view(picture, picture, 0)
    assert whole.shape == [1, 3, 32, 32] and np.array_equal(whole.numpy(), same.numpy())
    cut = trainer._view(picture, picture, 1)[0].numpy()
    first = int(cut[0, 0, 0, 0])
    y, x = divmod(first, 64)
    assert np.array_equal(cut, picture.numpy()[:, :, y:y + 32, x:x + 32])


def test_a_set_without_held_out_pairs_trains_and_shows_training_pairs(embedding, tmp_path):
    from conftest import write_set

    data = write_set(tmp_path / "set", train=4, test=0)
    trainer, options = synthesis_trainer(data, embedding, tmp_path / "run", steps=3, sample_every=2, save_every=3,
                                         workers=1, gan=0.0)
    assert loop.run(trainer, options, False, ["train"])
    assert RunFolder(tmp_path / "run").steps() == [3] and (tmp_path / "run/samples/step-00000002.png").exists()
    assert checkpoints.open_folder(tmp_path / "run/weights").has("generator")


def test_a_bug_in_a_loss_keeps_its_traceback(pairs, tmp_path, monkeypatch, capsys):
    """It is no fault of the user's, whatever class of exception it is."""
    def broken(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(losses, "mse", broken)
    with pytest.raises(ValueError, match="broadcast") as caught:
        run(command.train_embedding, ["--data", str(pairs), "--out", str(tmp_path / "run"),
                                      "--preset", "tiny",
                                      "--steps", "1", "--batch", "2", "--component", "eye1", "--tensorboard", "no",
                                      "--device", "cpu"])
    assert "broken" in [entry.name for entry in caught.traceback]
