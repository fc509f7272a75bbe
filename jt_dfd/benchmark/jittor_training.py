"""Optimiser steps of both stages as the trainers make them."""
from __future__ import annotations

from itertools import count

import numpy as np

from ..components import COMPONENTS
from . import flops, inputs
from .task import Task, told


def embedding_task(side, options) -> Task:
    from ..training.embedding import EmbeddingTrainer
    from ..training.options import EmbeddingOptions

    trainer = EmbeddingTrainer(_options(EmbeddingOptions, side, options), side.config)
    return _task(side, trainer, options["batch"], flops.training_step(side.config, "embedding", options["batch"]))


def synthesis_task(side, options) -> Task:
    from ..training.options import SynthesisOptions
    from ..training.synthesis import SynthesisTrainer

    gan = options.get("gan", True)
    chosen = _options(SynthesisOptions, side, options, embedding=str(side.params), perceptual=0.0,
                      gan=1.0 if gan else 0.0)
    trainer = SynthesisTrainer(chosen, side.config)
    return _task(side, trainer, options["batch"],
                 flops.training_step(side.config, "synthesis", options["batch"], gan))


def _options(kind, side, options, **more):
    # a great many steps: no rate and no weight moves while it is measured
    return kind(batch=options["batch"], steps=10 ** 6, mixed_precision=int(side.request["precision"] == "half"), **more)


def _task(side, trainer, size, operations) -> Task:
    """The step of ``training/loop.py`` without its log: losses to the host, then everything moves."""
    from ..data.dataset import Batch
    from ..training import parallel, precision

    jt, numbers, steps = side.jt, count(), count()
    rank, mine = parallel.rank(), size // parallel.world()  # ``size`` is over all ranks, as in the options

    def make():
        arrays = inputs.batch(side.config, mine, next(numbers) * parallel.world() + rank)
        crops = {c: jt.array(np.ascontiguousarray(arrays[c])) for c in COMPONENTS}
        number = next(steps)
        return Batch(crops, jt.array(arrays["sketch"]), jt.array(arrays["photo"]), [], tuple(range(mine)), 0, number)

    def run(batch):
        values, apply = precision.step(trainer, batch, batch.step, trainer.parts)
        apply()
        jt.sync_all()
        return values
    return Task(run, make, told,
                {"flops": operations, "pictures": size})
