"""Options, schedules, and the files of a run.  No Jittor."""
import argparse
import json
import os

import numpy as np
import pytest

from jt_dfd.checkpoints import CheckpointError
from jt_dfd.errors import UserError
from jt_dfd.training import options as o
from jt_dfd.training.losses import falling
from jt_dfd.training.optimiser import learning_rate
from jt_dfd.training.run_folder import RunFolder


def parse(*words):
    parser = argparse.ArgumentParser()
    o.add_arguments(parser, o.SynthesisOptions)
    return vars(parser.parse_args(words))


def test_every_option_is_on_the_command_line_and_lands_in_its_field():
    given = parse("--l1", "50", "--gan-from", "7", "--tensorboard", "no", "--data", "d", "--out", "r")
    options = o.gather(o.SynthesisOptions, given)
    assert (options.l1, options.gan_from, options.tensorboard, options.data) == (50.0, 7, False, "d")
    assert options.feature_matching == 10.0


def test_a_resumed_run_keeps_what_it_was_started_with(tmp_path):
    o.write(o.SynthesisOptions(data="d", out=str(tmp_path), l1=33.0, seed=4), tmp_path)
    options = o.gather(o.SynthesisOptions, parse("--out", str(tmp_path), "--steps", "9"), resume=True)
    assert (options.l1, options.seed, options.steps) == (33.0, 4, 9)
    with pytest.raises(o.OptionsError, match="--seed 5"):
        o.gather(o.SynthesisOptions, parse("--out", str(tmp_path), "--seed", "5"), resume=True)


def test_an_options_former_name_works_on_the_command_line_and_in_old_runs(tmp_path):
    parser = argparse.ArgumentParser()
    o.add_arguments(parser, o.SynthesisOptions)
    assert (parser.parse_args(["--grid", "50"]).checkerboard
            == parser.parse_args(["--checkerboard", "50"]).checkerboard == 50)
    assert "--checkerboard" in parser.format_help() and "--grid" not in parser.format_help()
    (tmp_path / "options.json").write_text('{"grid": 7.0, "data": "set"}')
    assert o.read(o.SynthesisOptions, tmp_path / "options.json").checkerboard == 7


def test_scales_are_the_papers_by_default_bounded_and_kept_by_a_resumed_run(tmp_path):
    given = {"data": "d", "out": str(tmp_path)}
    assert o.gather(o.EmbeddingOptions, given).scales == 1
    o.write(o.gather(o.EmbeddingOptions, {**given, "scales": 5}), tmp_path)
    assert o.gather(o.EmbeddingOptions, given, resume=True).scales == 5
    with pytest.raises(o.OptionsError, match="--scales 1: the run in .* was started with 5"):
        o.gather(o.EmbeddingOptions, {**given, "scales": 1}, resume=True)
    for wrong in (0, 7):
        with pytest.raises(o.OptionsError, match=f"--scales must be from 1 to 6, not {wrong}"):
            o.gather(o.EmbeddingOptions, {**given, "scales": wrong})


@pytest.mark.parametrize("words, names", [
    (("--out", "r"), "--data"), (("--data", "d", "--out", "r", "--batch", "0"), "--batch"),
    (("--data", "d", "--out", "r", "--lr", "-1"), "--lr"), (("--data", "d", "--out", "r", "--beta1", "2"), "--beta1"),
    (("--data", "d", "--out", "r", "--mixed-precision", "6"), "--mixed-precision"),
    (("--data", "d", "--out", "r", "--projected", "1.1"), "--projected")])
def test_unusable_options_are_named(words, names):
    with pytest.raises(o.OptionsError, match=names):
        o.gather(o.SynthesisOptions, parse(*words))


def test_damaged_options_file_is_named(tmp_path):
    (tmp_path / o.OPTIONS_FILE).write_text("{")
    with pytest.raises(o.OptionsError, match="options.json"):
        o.gather(o.SynthesisOptions, parse("--out", str(tmp_path)), resume=True)


def test_learning_rate_is_constant_then_falls_to_zero():
    rates = [learning_rate(2.0, s, 100, 0.5) for s in range(101)]
    assert rates[:51] == [2.0] * 51
    assert rates[75] == pytest.approx(1.0) and rates[100] == 0
    assert all(a > b for a, b in zip(rates[50:], rates[51:]))
    assert learning_rate(2.0, 0, 100, warmup=4) == 0.5


def test_weight_of_l1_falls():
    assert [falling(100, 10, s, 10) for s in (0, 5, 10, 99)] == [100, 55, 10, 10]
    assert falling(100, 10, 0, 0) == 10


# checkpoints of a run

ARRAYS = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3)}


def test_checkpoints_come_back_old_ones_go_the_best_stays(tmp_path):
    run = RunFolder(tmp_path, keep=2)
    for step, figure in ((10, 3.0), (20, 1.0), (30, 2.0), (40, 2.5), (50, None)):
        run.save(step, ARRAYS, {"world": 1}, figure)
    assert run.steps() == [20, 40, 50] and run.best() == (20, 1.0)
    step, arrays, state = run.newest()
    assert step == 50 and state["world"] == 1
    assert np.array_equal(arrays["a/b"], ARRAYS["a/b"]) and set(arrays) == set(ARRAYS)


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path):
    run = RunFolder(tmp_path)
    run.save(10, ARRAYS, {})
    run.save(20, ARRAYS, {})
    data = bytearray(run.file(20).read_bytes())
    data[60] ^= 1
    run.file(20).write_bytes(data)
    with pytest.warns(UserWarning, match="step-00000020"):
        assert run.newest()[0] == 10
    run.file(10).write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError):
        run.newest()


def test_files_that_are_no_checkpoints_are_left_alone(tmp_path):
    run = RunFolder(tmp_path, keep=1)
    run.save(10, ARRAYS, {})
    others = [run.checkpoints / n for n in ("notes.txt", ".step-00000020.pkl.x.part", "step-1.pkl")]
    for other in others:
        other.write_text("x")
    run.save(20, ARRAYS, {})
    assert run.steps() == [20] and all(other.exists() for other in others)


def test_log_drops_what_a_killed_run_wrote_after_its_checkpoint(tmp_path):
    from jt_dfd.training.log import Log, read

    log = Log(tmp_path, tensorboard=False)
    for step in range(1, 6):
        log.line(step, {"l1": float(step)})
    log.close()
    with open(tmp_path / "log.jsonl", "a") as f:
        f.write('{"step": 6, "l1"')  # cut off by the kill
    log = Log(tmp_path, step=3, tensorboard=False)
    log.line(4, {"l1": 40.0})
    log.curves()
    log.close()
    assert [(line["step"], line["l1"]) for line in read(tmp_path / "log.jsonl")] == [(1, 1), (2, 2), (3, 3), (4, 40)]
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["l1"] == 40
    from jt_dfd.pictures import read_picture

    assert read_picture(tmp_path / "losses.png").std() > 5


def test_a_checkpoint_with_nan_is_passed_over(tmp_path):
    run = RunFolder(tmp_path)
    run.save(10, ARRAYS, {})
    run.save(20, {"a/b": np.array([1, np.nan], np.float32)}, {})
    with pytest.warns(UserWarning, match="not finite"):
        assert run.newest()[0] == 10


def test_a_damaged_options_file_is_repaired_by_repeating_the_options(tmp_path):
    from jt_dfd.training.run_folder import note_command

    note_command(tmp_path, 0, "tools/train_synthesis.py --data d --l1 33")
    (tmp_path / o.OPTIONS_FILE).write_text("{")
    with pytest.raises(o.OptionsError, match="options.json.*--data d --l1 33 --resume"):
        o.gather(o.SynthesisOptions, parse("--out", str(tmp_path)), resume=True)
    options = o.gather(o.SynthesisOptions, parse("--out", str(tmp_path), "--data", "d", "--l1", "33"), resume=True)
    assert options.l1 == 33 and "was damaged" in options.notes[0]
    o.write(options, tmp_path)
    assert o.gather(o.SynthesisOptions, parse("--out", str(tmp_path)), resume=True).l1 == 33


def test_other_pictures_and_fewer_steps_are_told(tmp_path):
    o.write(o.SynthesisOptions(data="d", out=str(tmp_path), steps=100), tmp_path)
    notes = o.gather(o.SynthesisOptions, parse("--out", str(tmp_path), "--data", "e", "--steps", "50"), True).notes
    assert "began with d; where the pictures are others" in notes[0]   # it may be the same set, moved
    assert "--steps 50: fewer than the 100" in notes[1] and len(notes) == 2
    assert not o.gather(o.SynthesisOptions, parse("--out", str(tmp_path), "--data", "d"), True).notes


def test_options_from_a_file_below_those_of_the_command_line(tmp_path):
    def parsed(*words):
        parser = argparse.ArgumentParser()
        o.add_arguments(parser, o.SynthesisOptions)
        return o.parse(parser, list(words))

    o.write(o.SynthesisOptions(data=os.pathsep.join("ab"), out="r", set="latent=9 canvas=64", tensorboard=False,
                               l1=7.5), tmp_path)
    found = parsed("--config", str(tmp_path / "options.json"), "--l1", "8", "--out", "s")
    assert (found.data, found.set, found.tensorboard, found.l1, found.out) == (
        os.pathsep.join("ab"), "latent=9 canvas=64", False, 8, "s")
    file = tmp_path / "mine.yaml"
    file.write_text("# ours\ndata: 'my set'\nlr-discriminator: 1e-4  # slower\nfrechet: true\n")
    found = parsed("--config", str(file), "--data", "c", "d")
    assert (found.data, found.lr_discriminator, found.frechet) == (os.pathsep.join("cd"), 1e-4, True)
    file.write_text("learning: 3\n")
    with pytest.raises(o.OptionsError, match="mine.yaml: no option 'learning'"):
        parsed("--config", str(file))
    file.write_text("- a list\n")
    with pytest.raises(o.OptionsError, match="mine.yaml, line 1: expected"):
        parsed("--config", str(file))


def test_lists_and_mistakes_in_a_file_of_options(tmp_path):
    def parsed(text, *words):
        (tmp_path / "options").write_text(text)
        parser = argparse.ArgumentParser()
        o.add_arguments(parser, o.SynthesisOptions)
        return o.parse(parser, ["--config", str(tmp_path / "options"), *words])

    both = os.pathsep.join(("a set", "b"))
    assert parsed('{"data": ["a set", "b"], "styles": ["lines", "drawn"]}').data == both
    found = parsed("data:\n  - a set\n  - 'b'  # mine\nstyles: [lines, drawn]\nset: [latent=8, generator_width=4]\n")
    assert (found.data, found.styles, found.set) == (both, "lines,drawn", "latent=8 generator_width=4")
    assert parsed("\ufeffdata: a\n").data == parsed('\ufeff{"data": "a"}').data == "a"   # a Windows editor's mark
    for text in ("data: a\nsteps 2\n", "- a\n", "data: a\n- b\n"):
        with pytest.raises(o.OptionsError, match=r"options, line \d: expected \"name: value\""):
            parsed(text)
    with pytest.raises(o.OptionsError, match="in full"):   # it was never read
        parser = argparse.ArgumentParser()
        o.add_arguments(parser, o.SynthesisOptions)
        o.parse(parser, ["--conf", str(tmp_path / "options")])


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--seed", "4294967296"), ("--ema", "2"), ("--ema", "nan"),
                                   ("--perceptual-layers", "9"), ("--gan", "-1"), ("--workers", "-1"),
                                   ("--minutes", "nan"), ("--l1-fall", "3"), ("--warmup", "-5")])
def test_numbers_that_make_no_sense_are_refused(words):
    """A seed below 0 ended in a traceback; an average that keeps twice its past was trained with."""
    with pytest.raises(o.OptionsError, match=words[0]):
        o.gather(o.SynthesisOptions, parse("--data", "d", "--out", "r", f"{words[0]}={words[1]}"))


def test_sizes_from_the_command_line_are_checked():
    from jt_dfd.config import ConfigError
    from jt_dfd.training.weights import config_of

    config = config_of(o.SynthesisOptions(preset="tiny", set="latent=16 feature_widths=10,8"))
    assert (config.latent, config.feature_widths, config.generator_width) == (16, (10, 8), 8)
    for words, wrong in (("width=3", "no size 'width'"), ("latent=big", "latent=big: expected whole numbers"),
                         ("feature_widths=8", "feature_widths needs 2 numbers"), ("latent=0", "latent must be")):
        with pytest.raises(ConfigError, match=wrong):
            config_of(o.SynthesisOptions(preset="tiny", set=words))


def test_half_a_wave_falls_from_the_rate_to_zero():
    rates = [learning_rate(2.0, s, 100, 0.5, shape="cosine") for s in range(101)]
    assert rates[:51] == [2.0] * 51 and rates[75] == pytest.approx(1.0) and rates[100] == 0
    assert rates[55] > learning_rate(2.0, 55, 100, 0.5) and rates[95] < learning_rate(2.0, 95, 100, 0.5)


def test_weights_and_biases_get_losses_sheets_and_options_under_one_id(tmp_path, monkeypatch):
    import sys
    from types import SimpleNamespace

    from jt_dfd.training.log import Log

    begun, logged = [], []
    run = SimpleNamespace(log=logged.append, finish=lambda: logged.append("end"), define_metric=lambda *a, **k: None)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(
        init=lambda **how: begun.append(how) or run, Image=lambda path: f"picture {path}"))
    for step in (0, 1):
        log = Log(tmp_path, step=step, tensorboard=False, wandb="faces", options={"lr": 1.0})
        log.line(step + 1, {"l1": 0.5})
        log.sheet(step + 1, np.zeros((4, 4, 3), np.uint8))
        log.close()
    assert [(how["project"], how["config"]) for how in begun] == [("faces", {"lr": 1.0})] * 2
    assert begun[0]["id"] == begun[1]["id"] != ""
    assert logged[0] == {"step": 1, "l1": 0.5} and "step-00000001.png" in logged[1]["samples"] and logged[2] == "end"
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install wandb"):
        Log(tmp_path, tensorboard=False, wandb="faces")
