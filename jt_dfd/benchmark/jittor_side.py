"""This project as it is, in Jittor, through its public doors.  Runs in a worker process."""
from __future__ import annotations

import gc
import os
from itertools import count

import numpy as np

from .. import checkpoints
from ..components import COMPONENTS
from ..pictures import to_sketch
from . import flops, inputs, process
from .checks import check_room, check_training, merge_bytes
from .device_speed import copy_task, matmul_size
from .task import NotHere, Task, brief

K = flops.NEIGHBOURS


class JittorSide:
    """What both sides in Jittor share: start-up, waiting, memory, finding the method of a stage."""

    def open(self, request):
        try:
            import importlib.util

            if importlib.util.find_spec("jittor") is None:
                return {"missing": "Jittor is not installed (pip install jittor)"}
            from .. import runtime

            runtime.start(request["device"])
        except (Exception, SystemExit) as error:
            return {"missing": f"Jittor does not start: {brief(error)} (tools/doctor.py says more)"}
        from ..backend import jt

        self.jt, self.request, self.params = jt, request, request["params"]
        self.device = "cuda" if jt.flags.use_cuda else "cpu"
        self.folder = checkpoints.open_folder(self.params)
        self.config, self.geometry = self.folder.config, self.folder.config.geometry
        self.gender = self.folder.genders[-1] if self.folder.genders else "female"
        self._rows = {}
        return {"framework": "jittor", "version": jt.__version__, "device": self.device,
                "threads": int(os.environ.get("OMP_NUM_THREADS", 0)) or None,
                "tf32": "convolutions" if self.device == "cuda" and request["tf32"] else None,
                **self.vectors(), **self.more_facts()}

    def vectors(self):
        """The instruction sets that compiled kernels and oneDNN use, on a CPU."""
        if self.device == "cuda":
            return {}
        from ..kernels.source import vector_set
        from ..runtime import isa

        return {"compiler": vector_set().name, "onednn": isa.onednn_set()}

    def more_facts(self):
        return {}

    def stage(self, name, options):
        method = getattr(self, "_" + name.split(".")[0].replace("-", "_"), None)
        if method is None:
            raise NotHere(f"no stage {name} on this side")
        return method(name, options)

    def wait(self):
        self.jt.sync_all(True)

    def tidy(self):
        self.jt.sync_all(True)
        gc.collect()
        self.jt.gc()

    def reset_memory(self):
        pass

    def memory(self):
        if self.device == "cpu":
            return {}
        info = self.jt.get_mem_info()
        return {"gpu_bytes": process.gpu_bytes(os.getpid()) or int(info.total_cuda_used)}

    # inputs

    def sketches(self):
        """Canvas pictures without end, none twice."""
        numbers = count(1)
        return lambda: to_sketch(inputs.sketch(self.geometry, next(numbers)), self.config.canvas)

    def bank_rows(self, component):
        """(rows, latent) float32 of the weights' own bank."""
        if component not in self._rows:
            self._rows[component] = self.folder.bank(component, self.gender)
        return self._rows[component]

    def some_rows(self, component, number=K):
        rng, rows = np.random.default_rng(3), self.bank_rows(component)
        return lambda: np.ascontiguousarray(rows[rng.integers(len(rows), size=number)])

    def latents(self):
        """{component: (latent,) float32} without end, near the bank."""
        rng = np.random.default_rng(4)

        def make():
            out = {}
            for c in COMPONENTS:
                rows = self.bank_rows(c)
                out[c] = rows[int(rng.integers(len(rows)))] * np.float32(0.7) + \
                    np.float32(0.3) * rng.standard_normal(rows.shape[1], dtype=np.float32)
            return out
        return make

    # the device itself

    def _device(self, name, options):
        if name.endswith("copy") and self.device == "cpu":
            return copy_task(options["small"])
        jt, cuda = self.jt, self.device == "cuda"
        if name.endswith("copy"):
            x = jt.randn((1 << 28,))
            return Task(lambda _: (x + 1).sync(True), facts={"bytes": 2 * 4 << 28})
        size = matmul_size(cuda, options["small"])
        a, b = jt.randn((size, size)), jt.randn((size, size))
        jt.sync_all(True)
        return Task(lambda _: jt.matmul(a, b).sync(True), facts={"flops": 2 * size ** 3})


class Jittor(JittorSide):
    def __init__(self):
        self._synthesizer = None

    def more_facts(self):
        from .. import pipeline

        return {"chunk_bytes": getattr(pipeline, "BATCH_BYTES", None)}

    @property
    def synthesizer(self):
        if self._synthesizer is None:
            from ..synthesizer import Synthesizer

            self._synthesizer = Synthesizer(self.params, self.request["device"], self.request["precision"])
            self._work = Work(self._synthesizer.networks)
        return self._synthesizer

    def _close(self):
        """Training and loading are to be measured without a second set of weights in memory."""
        self._synthesizer = self._work = None
        self.tidy()

    # stages

    def _encode(self, name, options):
        networks, sketch = self.synthesizer.networks, self.sketches()
        total = sum(flops.encoder(self.config, c) for c in COMPONENTS)
        return Task(networks.encode, lambda: {c: np.ascontiguousarray(p) for c, p in
                                              self.geometry.crops(sketch()).items()}, facts={"flops": total})

    def _project(self, name, options):
        if "rows" in options:
            return self._seeded_bank(options["rows"])
        bank = self.synthesizer.bank
        size = sum(self.bank_rows(c).nbytes for c in COMPONENTS)
        return Task(lambda latents: [bank.project(c, self.gender, latents[c], K, "nearest") for c in COMPONENTS],
                    self.latents(), facts={"bytes": size})

    def _seeded_bank(self, rows):
        from ..kernels import projection

        check_room(rows, self.config.latent)
        bank = self.jt.array(inputs.bank(rows, self.config.latent)).stop_grad()
        bank.sync(True)
        rng = np.random.default_rng(5)

        def run(latent):
            found = projection.project(bank, self.jt.array(latent), K, "nearest")
            return self.jt.fetch_sync([found.vectors, found.rows, found.weights])
        return Task(run, lambda: rng.standard_normal((1, self.config.latent), dtype=np.float32),
                    facts={"bytes": rows * self.config.latent * 4})

    def _decode(self, name, options):
        component, networks = options["component"], self.synthesizer.networks
        run = networks.decode
        if "chunk" in options:
            run = _with_chunk(run, options["chunk"])
        return Task(lambda rows: run(component, rows), self.some_rows(component),
                    facts={"flops": K * flops.image_decoder(self.config, component)})

    def _features(self, name, options):
        total = sum(flops.feature_decoder(self.config, c) for c in COMPONENTS)
        return Task(self.synthesizer.networks.map_features, self.latents(), facts={"flops": total})

    def _merge(self, name, options):
        from ..kernels.merge import merge

        features = self.synthesizer.networks.map_features(self.latents()())

        def run(_):
            with self.jt.no_grad():
                merge(features, self.geometry).sync(True)
        return Task(run, facts={"bytes": merge_bytes(self.config)})

    def _generator(self, name, options):
        features = self.synthesizer.networks.map_features(self.latents()())
        return Task(lambda _: self.synthesizer.networks.photograph(features),
                    facts={"flops": flops.generator(self.config)})

    def _face(self, name, options):
        numbers = count(1)

        def make():
            forget(self.synthesizer)
            return inputs.sketch(self.geometry, next(numbers))
        return Task(self._synthesize, make, self._tell)

    def _stroke(self, name, options):
        forget(self.synthesizer)
        self.synthesizer.synthesize(inputs.sketch(self.geometry, 0), self.gender, k=K, as_is=True)
        strokes = inputs.strokes(self.geometry, options["component"])
        self._work.take()
        return Task(self._synthesize, lambda: next(strokes), self._tell)

    def _synthesize(self, sketch):
        return self.synthesizer.synthesize(sketch, self.gender, k=K, as_is=True)

    def _tell(self, result):
        work = self._work.take()
        return {"work": work, "flops": flops.of_work(self.config, work),
                "mean": round(float(result.face.mean()), 2),
                "parts": {k: round(v, 3) for k, v in result.milliseconds.items()}}

    def _train1(self, name, options):
        from .jittor_training import embedding_task

        self._close()
        check_training(self.config, options["batch"], name)
        return embedding_task(self, options)

    def _train2(self, name, options):
        from .jittor_training import synthesis_task

        self._close()
        check_training(self.config, options["batch"], name)
        return synthesis_task(self, options)

    _train2_nogan = _train2

    def _data(self, name, options):
        from ..data.augment import Augmentation
        from ..data.dataset import FaceDataset

        data = FaceDataset(self.request["data"], self.geometry, "synthesis", options["batch"],
                           augmentation=Augmentation())

        def batches():
            while True:
                yield from data
        endless = batches()
        return Task(lambda _: next(endless), tell=lambda batch: {}, facts={"pictures": options["batch"]})

    def _load(self, name, options):
        size = sum((self.folder.path / f).stat().st_size for f in self.folder.files())

        def run(_):
            s = self.synthesizer
            for gender in s.genders or ("female",):
                for c in COMPONENTS:
                    s.bank.rows(c, gender).sync(True)
        return Task(run, self._close, facts={"bytes": size})


class Work:
    """Counts what a synthesizer's networks are asked to do, so that speed is told by what was computed."""

    def __init__(self, networks):
        self.counts = {}
        self._wrap(networks, "encode", lambda crops: {c: 1 for c in crops})
        self._wrap(networks, "decode", lambda component, vectors: {component: len(vectors)})
        self._wrap(networks, "map_features", lambda vectors: {c: 1 for c in vectors}, "features")
        self._wrap(networks, "photograph", lambda features: {"rest": 1}, "generator")

    def _wrap(self, networks, method, say, kind=None):
        plain = getattr(networks, method)

        def counting(*arguments, **named):
            held = self.counts.setdefault(kind or method, {})
            for component, number in say(*arguments, **named).items():
                held[component] = held.get(component, 0) + number
            return plain(*arguments, **named)
        setattr(networks, method, counting)

    def take(self):
        """The counts since the last call."""
        counts, self.counts = self.counts, {}
        return counts


def forget(synthesizer) -> None:
    """Let a synthesizer's memory of earlier drawings go; weights and banks stay."""
    from ..memory import Recent

    if hasattr(synthesizer, "forget"):
        synthesizer.forget()
        return
    for value in vars(synthesizer).values():
        if isinstance(value, Recent):
            value._entries.clear()
            value.bytes = 0
    synthesizer._features.clear()


def _with_chunk(decode, chunk):
    from .. import pipeline

    if not hasattr(pipeline, "BATCH_BYTES"):
        raise NotHere("jt_dfd/pipeline.py has no BATCH_BYTES any more")

    def run(component, rows):
        kept, pipeline.BATCH_BYTES = pipeline.BATCH_BYTES, chunk
        try:
            return decode(component, rows)
        finally:
            pipeline.BATCH_BYTES = kept
    return run
