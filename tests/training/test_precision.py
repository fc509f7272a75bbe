"""Mixed precision, as far as a CPU shows it: the same roundings around float32 convolutions, the loss scale, and that
nothing but the convolutions is lowered."""
import re
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import embedding_trainer, synthesis_trainer

from jt_dfd import runtime
from jt_dfd.backend import jt
from jt_dfd.errors import UserError
from jt_dfd.networks import half
from jt_dfd.training import feed, loop, losses, optimiser
from jt_dfd.training.interrupt import Interrupt
from jt_dfd.training.optimiser import Adam


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(optimiser, "ON_CPU", True)


def everything(trainer, options):
    options.batch = 8
    return next(feed.batches(feed.training_data(options, trainer.config, trainer.stage), 0))


def kinds(variables):
    return {str(v.dtype) for v in variables}


def overfit(trainer, batch, steps):
    """What the last step says; its l1 is the mean over the last quarter of the steps: a single one says little."""
    seen = []
    for step in range(steps):
        values, apply = optimiser.finite_step(trainer, batch, step, trainer.parts)
        apply()
        jt.sync_all()
        seen.append(values["l1"])
    return {**values, "l1": float(np.mean(seen[-max(1, steps // 4):]))}


def test_everything_but_the_convolutions_stays_float32(pairs, embedding, tmp_path, on_cpu):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", mixed_precision=1)
    assert all(half.used(n) for n in (*trainer.decoders.values(), trainer.generator, trainer.discriminator))
    assert not any(half.used(n) for n in trainer.encoders.values())
    batch = everything(trainer, options)
    names, numbers, apply = trainer.step(batch, 0, trainer.parts)
    assert kinds([numbers, trainer.adam._norm]) == {"float32"}
    assert kinds(trainer.adam.gradients() + trainer.adam_discriminator.gradients()) == {"float32"}
    apply()
    jt.sync_all()
    for adam in trainer.adams():
        group = adam._adam.param_groups[0]
        assert kinds(group["m"] + group["values"] + adam.parameters) == {"float32"}
    assert {a.dtype for a in trainer.arrays().values()} <= {np.dtype("float32"), np.dtype("float64")}


def test_the_scale_leaves_norms_and_steps_as_they_are(pairs, embedding, tmp_path, on_cpu):
    """Scaled or not, the gradients are the loss's own; only what float16 rounds on the way differs."""
    norms, moved = [], []
    for scale in (1.0, 1024.0):
        trainer, options = synthesis_trainer(pairs, embedding, tmp_path / f"run{scale:g}", gan=0.0, ema=0.0)
        trainer.adam.scale = scale
        batch = everything(trainer, options)
        values = overfit(trainer, batch, 2)
        norms.append(values["gradient"])
        moved.append(np.concatenate([p.numpy().ravel() for p in trainer.generator.parameters()]))
    assert norms[0] > 1e-3 and abs(norms[0] - norms[1]) < 1e-4 * norms[0]
    assert np.abs(moved[0] - moved[1]).max() < 1e-4


def test_an_overfit_reaches_the_same_loss(pairs, embedding, tmp_path, on_cpu):
    """The bound that the GPU's own run is held to (tests/gpu): at most a tenth more than float32 on the same 8
    pairs."""
    reached = []
    for mixed in (0, 1):
        trainer, options = synthesis_trainer(pairs, embedding, tmp_path / f"run{mixed}", steps=10000, lr=1e-3, gan=0.0,
                                             ema=0.0, mixed_precision=mixed)
        batch = everything(trainer, options)
        of_the_mean = losses.l1(batch.photo.mean(dims=(0,), keepdims=True), batch.photo).item()
        reached.append(overfit(trainer, batch, 40)["l1"])
    assert reached[0] < of_the_mean / 1.2, "it learns at all"
    assert reached[1] != reached[0] and reached[1] < 1.1 * reached[0]


def test_an_overflow_lowers_the_scale_and_takes_the_same_step(pairs, embedding, tmp_path, on_cpu, monkeypatch, capfd):
    monkeypatch.setattr(optimiser, "FIRST_SCALE", 2.0 ** 40)
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", mixed_precision=1, steps=2, save_every=2)
    assert loop.run(trainer, options, False, ["train"])
    assert 1 <= trainer.adam.scale < 2.0 ** 40 and trainer.adam.scale == trainer.adam_discriminator.scale
    assert trainer.adam._adam.n_step == 2, "a step that is taken back does not count"
    assert "overflowed; the loss scale is" in capfd.readouterr().err


def test_gradients_that_no_scale_mends_still_stop_the_run(pairs, embedding, tmp_path, on_cpu, monkeypatch):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", mixed_precision=1, gan=0.0)
    backward = Adam.backward
    monkeypatch.setattr(Adam, "backward", lambda self, loss: backward(self, loss) * float("nan"))
    with pytest.raises(UserError, match="no longer finite"):
        loop.run(trainer, options, False, ["train"])
    assert trainer.adam.scale == 1 and trainer.adam._adam.n_step == 1


def test_a_loss_that_is_not_finite_stops_the_run_at_any_scale(pairs, embedding, tmp_path, on_cpu):
    trainer, options = synthesis_trainer(pairs, embedding, tmp_path / "run", mixed_precision=1, gan=0.0)
    weight = trainer.generator.model[1].weight
    weight.update(weight * float("nan"))
    with pytest.raises(UserError, match="no longer finite"):
        loop.run(trainer, options, False, ["train"])
    assert trainer.adam.scale == optimiser.FIRST_SCALE


def test_a_checkpoint_written_with_it_goes_on_without_it(pairs, tmp_path, on_cpu):
    words = dict(component="nose", steps=4, save_every=2)
    trainer, options = embedding_trainer(pairs, tmp_path / "run", mixed_precision=1, **{**words, "steps": 2})
    assert half.used(trainer.networks["nose"]["encoder"])
    assert loop.run(trainer, options, False, ["train"])
    kept = trainer.arrays("nose")
    plain, options = embedding_trainer(pairs, tmp_path / "run", mixed_precision=0, **words)
    this = loop.Run(plain, options, ["train"])
    this.resume()
    assert not half.used(plain.networks["nose"]["encoder"]) and this.done == {"nose": 2}
    again = plain.arrays("nose")
    assert set(again) == set(kept) and all(np.array_equal(again[k], kept[k]) for k in kept)
    with Interrupt() as interrupt:
        assert this.train(interrupt)
    assert this.done == {"nose": 4}


def test_on_a_cpu_it_is_ignored_with_a_line(pairs, tmp_path, capfd):
    trainer, options = embedding_trainer(pairs, tmp_path / "run", component="nose", mixed_precision=1, steps=1)
    assert not half.used(trainer.networks["nose"]["encoder"]) and trainer.optimisers["nose"].scale == 1
    assert any("for GPUs" in line and "float32" in line for line in loop.Run(trainer, options).describe())


@pytest.mark.parametrize("gains, word", [(True, "loss scale"), (False, "no tensor cores.*float32")])
def test_it_goes_by_the_gpu(monkeypatch, gains, word):
    monkeypatch.setattr(optimiser, "jt", SimpleNamespace(flags=SimpleNamespace(use_cuda=1)))
    monkeypatch.setattr(runtime, "half_precision_gains", lambda: gains)
    options = SimpleNamespace(mixed_precision=1)
    assert optimiser.is_mixed(options) is gains and re.search(word, optimiser.mixed_words(options))
