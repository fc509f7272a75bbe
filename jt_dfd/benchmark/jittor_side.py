"""This project as it is, in Jittor, through its public doors."""
from __future__ import annotations

import os
from collections import Counter
from itertools import count
from typing import Any, Callable, Dict, Tuple

import numpy as np

from ..backend import jt
from ..components import COMPONENTS
from . import inputs, machine
from .side import K, Side, Task, copy_on_cpu


class JittorSide(Side):
    """What both sides in Jittor share."""

    package = ("jittor", "Jittor", "jittor")

    def start(self):
        from .. import runtime

        runtime.start(self.request["device"])
        self.device, self.no_grad = "cuda" if jt.flags.use_cuda else "cpu", jt.no_grad

    def facts(self):
        cuda = self.device == "cuda"
        return {"version": jt.__version__, "device": self.device,
                "threads": int(os.environ.get("OMP_NUM_THREADS", 0)) or None,
                "tf32": "convolutions" if cuda and self.request["tf32"] else None, **({} if cuda else _vectors())}

    def wait(self):
        jt.sync_all(True)

    def tidy(self):
        if getattr(self, "device", None):
            from ..inference.pipeline import release_memory

            jt.sync_all(True)
            super().tidy()
            release_memory()

    def memory(self):
        if self.device == "cpu":
            return {}
        return {"gpu_bytes": machine.gpu_bytes(os.getpid()) or int(jt.get_mem_info().total_cuda_used)}

    def count(self, run):
        return counted(run)

    def tensor(self, array):
        return np.ascontiguousarray(array)

    def matmul(self, size):
        a, b = jt.randn((size, size)), jt.randn((size, size))
        jt.sync_all(True)
        return lambda _: jt.matmul(a, b).sync(True)

    def copy(self, size):
        if self.device == "cpu":
            return copy_on_cpu(size)
        x = jt.randn((size // 4,))
        return lambda _: (x + 1).sync(True)


def _vectors():
    """The instruction sets that compiled kernels and oneDNN use, on a CPU."""
    from ..kernels.source import vector_set
    from ..runtime import isa

    return {"compiler": vector_set().name, "onednn": isa.onednn_set()}


class Jittor(JittorSide):
    def facts(self):
        from ..inference.pipeline import BATCH_BYTES

        return {**super().facts(), "chunk_bytes": BATCH_BYTES}

    def load(self):
        from ..synthesizer import Synthesizer

        self.synthesizer = Synthesizer(self.request["params"], self.request["device"], self.request["precision"])
        return self.synthesizer.networks

    def close(self):
        self.synthesizer: Any = None
        super().close()

    def forget(self):
        self.synthesizer.forget()

    def read_bank(self, component, gender):
        self.synthesizer.bank.rows(component, gender).sync(True)

    def project(self, latents):
        return self.synthesizer.bank.project({c: jt.array(v[None]) for c, v in latents.items()}, self.gender, K,
                                             "nearest")

    def onto(self, rows):
        from ..kernels import projection

        bank = jt.array(rows).stop_grad()
        bank.sync(True)

        def run(latent):
            found = projection.project(bank, jt.array(latent[None]), K, "nearest")
            return jt.fetch_sync([found.vectors, found.rows, found.weights])
        return run

    def merge(self, features):
        from ..kernels.merge import merge

        merge(features, self.geometry).sync(True)

    def synthesize(self, sketch):
        result = self.synthesizer.synthesize(sketch, self.gender, k=K, as_is=True)
        return result.face, result.milliseconds

    # training, as the trainers do it

    def world(self):
        from ..training import parallel

        return parallel.world()

    def trainer(self, stage, batch, gan):
        """(function of a batch: the step of ``training/loop.py`` without its log; function that makes one).  ``batch``
        is over all ranks, as in the options."""
        from ..data.dataset import Batch
        from ..training import optimiser, parallel
        from ..training.embedding import EmbeddingTrainer
        from ..training.options import EmbeddingOptions, SynthesisOptions
        from ..training.synthesis import SynthesisTrainer

        # a great many steps: no rate and no weight moves while it is measured
        named = {"batch": batch, "steps": 10 ** 6, "mixed_precision": int(self.request["precision"] == "half")}
        if stage == "embedding":
            trainer = EmbeddingTrainer(EmbeddingOptions(**named), self.config)
        else:
            options = SynthesisOptions(**named, embedding=self.request["params"], perceptual=0.0, gan=float(gan))
            trainer = SynthesisTrainer(options, self.config)
        numbers, rank, mine = count(), parallel.rank(), batch // parallel.world()

        def make():
            number = next(numbers)
            arrays = inputs.batch(self.config, mine, number * parallel.world() + rank)
            crops = {c: jt.array(np.ascontiguousarray(arrays[c])) for c in COMPONENTS}
            sketch, photo = (jt.array(arrays[name]) for name in ("sketch", "photo"))
            return Batch(crops, sketch, photo, [], tuple(range(mine)), 0, number)

        def run(given):
            losses, apply = optimiser.finite_step(trainer, given, given.step, trainer.parts)
            apply()
            jt.sync_all()
            return losses
        return run, make

    def _data(self, name, options):
        from ..data.dataset import FaceDataset
        from ..data.items import Augmentation

        data = FaceDataset(self.request["data"], self.geometry, "synthesis", options["batch"],
                           augmentation=Augmentation())

        def batches():
            while True:
                yield from data
        endless = batches()
        return Task(lambda _: next(endless), pictures=options["batch"])


class Plain(Jittor):
    """What the kernels bring: a face without those of ``networks.steps.channels_last``."""

    def load(self):
        from ..runtime import ways

        ways.taken = lambda name: ways.PLAIN
        return super().load()


#: what ``counted`` counts: each costs a GPU microseconds that do not depend on its speed
NAMES = ("operators", "uploads", "downloads", "waits")


def counted(work: Callable[[], Any]) -> Tuple[Any, Dict[str, int]]:
    """(what ``work`` returns, {name of ``NAMES``: how many}).  Slow: for counting only.

    operators   run by Jittor; fused ones count once, and a convolution once with what it was recognised in
    uploads     arrays copied to the device; single numbers go along with an operator and are not counted
    downloads   variables copied back
    waits       times that the program stood still until the device had finished
    """
    counts: Counter = Counter()

    def array(kept):
        def upload(data, *more):
            made = kept(data, *more)
            counts["uploads"] += made.numel() > 1
            return made
        return upload

    def fetch(kept):
        def download(variables):
            counts["downloads"] += len(variables) if isinstance(variables, (list, tuple)) else 1
            counts["waits"] += 1
            return kept(variables)
        return download

    def sync(kept):
        def wait(*arguments, **named):
            counts["waits"] += any(a is True for a in (*arguments, *named.values()))
            return kept(*arguments, **named)
        return wait

    wrapped = [(jt, "array", array), (jt, "fetch_sync", fetch), (jt.Var, "numpy", fetch), (jt.Var, "item", fetch),
               (jt, "sync", sync), (jt, "sync_all", sync), (jt.Var, "sync", sync)]
    jt.sync_all(True)
    kept = [(place, name, getattr(place, name)) for place, name, _ in wrapped]
    jt.profiler.start(0, 0)
    try:
        for place, name, wrap in wrapped:
            setattr(place, name, wrap(getattr(place, name)))
        result = work()
        jt.sync_all()
    finally:
        for place, name, function in kept:
            setattr(place, name, function)
        jt.profiler.stop()
    with jt.flag_scope(log_silent=1):
        report = jt.profiler.report()
    head = report[0]
    rows = [dict(zip(head, row)) for row in report[1:] if len(row) == len(head)]
    counts["operators"] = sum(int(float(r["Count"])) for r in rows if "relay" not in r["Name"])
    return result, {name: counts[name] for name in NAMES}
