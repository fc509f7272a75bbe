"""The self-test's training steps: one of each stage in ``tiny``, on drawn numbers, without any file.

On a GPU the step is compared with the same one on the CPU, both in float32 throughout (TF32 would hide faults of its
own size).  On every device the gradient is compared with the loss itself, a little way along it on either side.
"""
from __future__ import annotations

from types import SimpleNamespace
from typing import Dict, List, Tuple

import numpy as np

from .. import networks
from ..backend import jt
from ..components import COMPONENTS
from ..config import preset
from ..runtime import gpu

Result = Tuple[str, float, float]
BATCH = 2
#: share of the loss by which it should change from one side to the other (ours: far above float32's rounding of a sum
#: over the picture, far below where the loss stops being straight)
CHANGE = 0.02


def self_test() -> List[Result]:
    """[(check, largest error, tolerance)] on the device in use."""
    results = []
    for stage, make in (("stage I", _embedding), ("stage II", _synthesis)):
        with gpu.exact(jt):
            here = _step(make)
            results += [(f"{stage}, {name}", here[name], room) for name, room in
                        (("gradient against differences", 0.05), ("fall of the loss in one small step", 0.0))]
            if jt.flags.use_cuda:
                with jt.flag_scope(use_cuda=0):
                    there = _step(make)
                # float32 sums in another order; gradients through a few normalisations lose another digit or two
                for name, room in (("losses", 1e-3), ("gradient", 1e-2), ("losses after the step", 1e-2)):
                    results.append((f"{stage}, {name} against the CPU", _distance(here[name], there[name]), room))
    return results


def _distance(found: np.ndarray, right: np.ndarray) -> float:
    """Relative, Euclidean."""
    if not np.isfinite(found).all():
        return float("inf")
    return float(np.linalg.norm(found - right) / np.linalg.norm(right))


def _step(make) -> Dict:
    """One optimiser step of the trainer that ``make`` builds, on the device in use."""
    trainer, batch = make()
    names, numbers, apply = trainer.step(batch, 0, trainer.parts)
    losses = numbers.numpy().astype(np.float64)
    adam = trainer.adams(trainer.parts)[0]
    gradients = [g.numpy() for g in adam.gradients()]
    gradient = np.concatenate([g.ravel() for g in gradients]).astype(np.float64)
    found = {"losses": losses, "gradient": gradient,
             "gradient against differences": _differences(trainer, batch, adam, gradients)}
    apply()
    jt.sync_all()
    after = trainer.step(batch, 1, trainer.parts)[1].numpy().astype(np.float64)
    for other in trainer.adams(trainer.parts):
        other.discard()
    found["losses after the step"] = after
    # what the first loss did not fall by: 0 where it fell
    found["fall of the loss in one small step"] = max(0.0, after[0] - losses[0]) if np.isfinite(after).all() else np.inf
    return found


def _differences(trainer, batch, adam, gradients) -> float:
    """| (L(w + d) - L(w - d)) / (2 d . gradient) - 1 | with d along the gradient."""
    own = [p.numpy().copy() for p in adam.parameters]
    square = sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients)
    value = _objective(trainer, batch)
    stride = CHANGE * value / square / 2
    sides = []
    for sign in (1, -1):
        for p, w, g in zip(adam.parameters, own, gradients):
            networks.assign(p, w + np.float32(sign * stride) * g)
        sides.append(_objective(trainer, batch))
    for p, w in zip(adam.parameters, own):
        networks.assign(p, w)
    return abs((sides[0] - sides[1]) / (2 * stride * square) - 1)


def _objective(trainer, batch) -> float:
    """The loss that the first optimiser follows, without moving or remembering anything."""
    with jt.no_grad():
        return float(trainer.objective(batch))


# -- trainers on drawn numbers

def _embedding():
    from .embedding import EmbeddingTrainer
    from .options import EmbeddingOptions

    class Trainer(EmbeddingTrainer):
        def objective(self, batch):
            return ((self.reconstruct("nose", batch.crops["nose"]) - batch.crops["nose"]) ** 2).mean().item()

    trainer = Trainer(EmbeddingOptions(preset="tiny", component="nose", steps=1000, lr=1e-4), preset("tiny"))
    for kind, network in trainer.networks["nose"].items():
        networks.into_network(network, _drawn(network, kind), "self-test")
    return trainer, _batch(trainer.config)


def _synthesis():
    from .options import SynthesisOptions
    from .synthesis import SynthesisTrainer

    class Trainer(SynthesisTrainer):
        def objective(self, batch):
            o, features = self.options, self.features(batch.crops)
            fake = self.generator(features)
            total = o.l1 * losses.l1(fake, batch.photo)
            maps = self.discriminator(jt.concat([features_at, features_at]), jt.concat([batch.photo, fake]))
            real, fake_maps = losses.split(maps, BATCH)
            return (total + o.gan * losses.adversarial(fake_maps)
                    + o.feature_matching * losses.feature_matching(real, fake_maps)).item()

    from . import losses

    config = preset("tiny")
    options = SynthesisOptions(preset="tiny", steps=1000, lr=1e-4, perceptual=0.0, ema=0.0, l1=10.0, l1_fall=0.0,
                               l1_end=10.0)
    encoders = SimpleNamespace(config=config, has=lambda kind, component: False, network=lambda kind, component: _drawn(
        networks.build(kind, config, component), f"{kind} {component}"))
    trainer = Trainer(options, config, encoders)
    for name, network in trainer._parts():
        networks.into_network(network, _drawn(network, name), "self-test")
    batch = _batch(config)
    with jt.no_grad():   # the discriminator's condition is detached in the trainer: it stays where it was
        features_at = trainer.features(batch.crops)
        features_at.sync()
    return trainer, batch


def _batch(config):
    random, geometry = np.random.default_rng(7), config.geometry
    crops = {c: random.uniform(-1, 1, (BATCH, 1) + (geometry.window(c).size,) * 2).astype(np.float32)
             for c in COMPONENTS}
    photo = random.uniform(-1, 1, (BATCH, 3, config.canvas, config.canvas)).astype(np.float32)
    return SimpleNamespace(crops={c: jt.array(a) for c, a in crops.items()}, photo=jt.array(photo))


def _drawn(network, salt: str) -> Dict[str, np.ndarray]:
    """Weights that keep activations near one, the same on every device: Jittor draws its own on the device in use."""
    random = np.random.default_rng([ord(letter) for letter in salt])
    out = {}
    for name, value in network.state_dict().items():
        shape, leaf = tuple(value.shape), name.split(".")[-1]
        numbers = random.standard_normal(shape).astype(np.float32)
        if leaf == "running_var":
            out[name] = np.ones(shape, np.float32)
        elif len(shape) == 1:
            out[name] = 0.1 * numbers + (1 if leaf == "weight" else 0)
        else:
            out[name] = numbers / np.sqrt(np.prod(shape[1:]), dtype=np.float32)
    return {name: array.astype(np.float32) for name, array in out.items()}
