"""A side: one framework's way of doing every stage, in a process of its own (``jt_dfd.child``).

The stages are written here, once; a side in jittor_side, release_side or torch_side has the framework's steps for them.
"""
from __future__ import annotations

import gc
import importlib.util
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Callable, Dict

import numpy as np

from .. import checkpoints
from ..child import brief
from ..components import COMPONENTS
from ..errors import UserError
from ..layout import specification
from ..pictures import to_sketch
from ..runtime import jittor_copy
from . import inputs, machine, stages

K = stages.NEIGHBOURS


class NotHere(UserError):
    """Something that this machine lacks for a stage; the message is the reason given in the table."""


class Task:
    """A stage ready to run.

    run     called with what ``make`` made before the clock started
    tell    called with what ``run`` returned: JSON facts of one call, e.g. the work that was done ({"work": ...})
    facts   JSON facts of the stage: "flops" and "bytes" of one call where they are the same for all
    """

    def __init__(self, run, make=lambda: None, tell=lambda result: {}, **facts):
        self.run, self.make, self.tell, self.facts = run, make, tell, facts


class Side:
    """What a worker is asked: ``open``, then ``prepare``, ``time`` and ``finish`` for every stage; or ``first_face``.

    The attributes that have no value here are what a framework's side defines.
    """

    package = ("", "", "")           #: the framework's module, its name, and what to install
    remembers = True                 #: whether a stroke may be quicker than a face
    task: Any = None
    request: Dict = {}               #: what ``open`` was asked with
    device: str                      #: "cpu" or "cuda", set by ``start``
    no_grad: Any                     #: the framework's own, set by ``start``
    start: Callable                  #: () -> None; start the framework as ``request`` says
    facts: Callable                  #: () -> JSON facts of it
    load: Callable                   #: () -> encode, decode, map_features and photograph as pipeline.Networks has them,
    #:                                  of the framework's tensors
    read_bank: Callable              #: (component, gender) -> anything; have that bank in memory
    wait: Callable                   #: () -> None; until the device has finished
    memory: Callable                 #: () -> {"gpu_bytes": n}, or {} on a CPU
    tensor: Callable                 #: (array) -> what the steps take
    project: Callable                #: ({component: latent}) -> their neighbours in the banks of the weights
    onto: Callable                   #: (rows (N, latent)) -> function from a latent to its neighbours among them
    merge: Callable                  #: (feature maps) -> None
    synthesize: Callable             #: (sketch) -> (picture, {part: milliseconds})
    matmul: Callable                 #: (edge) -> function of nothing: a float32 matrix product
    copy: Callable                   #: (bytes) -> function of nothing: a copy on the device
    trainer: Callable                #: ("embedding" or "synthesis", batch, gan) -> (function from a batch to its
    #:                                  losses, function that makes one)
    world: Callable                  #: () -> processes that train together

    def __init__(self):
        self.peak, self._rows = machine.Peak(), {}
        self.close()

    # what a worker is asked

    def open(self, **request) -> Dict:
        """Start the framework; JSON facts of it, or {"missing": why}."""
        module, name, install = self.package
        try:
            # Jittor may have been fetched beside the environment instead of installed into it
            there = jittor_copy.find_source() if module == "jittor" else importlib.util.find_spec(module)
            if there is None:
                return {"missing": f"{name} is not installed (pip install {install})"}
            self._begin(request)
        except (Exception, SystemExit) as error:
            more = " (tools/doctor.py says more)" if module == "jittor" else ""
            return {"missing": f"{name} does not start: {brief(error)}{more}"}
        return {"framework": module, **self.facts()}

    def prepare(self, stage: str, options: Dict, warmup: int) -> Dict:
        """Build a stage and run it ``warmup`` times, and as many as three times that while it still gets quicker, e.g.
        because another number of new neighbours compiled anew.  Facts of the stage, and the seconds of each run."""
        self.task = None
        self.tidy()
        self.task, took = self.stage(stage, options), []
        while len(took) < warmup or (len(took) < 3 * warmup and took[-1] > 2 * min(took)):
            took.append(self._call()[0])
        counts = None
        if stage.split(".")[0] in ("face", "stroke"):
            given = self.task.make()  # by every side, so that all go on with the same inputs
            result, counts = self.count(lambda: self.task.run(given))
            self.task.tell(result)    # whose work is not that of the next run
        self.reset_memory()
        self.peak.begin()
        return {**self.task.facts, "warmup": took, "counts": counts}

    def time(self, calls: int):
        """[(seconds, facts)] of so many runs."""
        return [self._call() for _ in range(calls)]

    def finish(self) -> Dict:
        """Memory that the stage took; its inputs are let go."""
        memory = {**self.peak.facts(), **self.memory()}
        self.task = None
        self.tidy()
        return memory

    def first_face(self, **request) -> Dict:
        """The seconds of each part of a face in a process that has just begun, and its memory."""
        times = [time.perf_counter()]
        self._begin(request)
        times.append(time.perf_counter())
        self.ready()
        times.append(time.perf_counter())
        self.synthesize(inputs.sketch(self.geometry, 0))
        times.append(time.perf_counter())
        parts = {name: round(b - a, 4) for name, a, b in zip(("framework", "weights", "face"), times, times[1:])}
        return {"parts": parts, "memory": {"peak_bytes": self.peak.facts()["peak_bytes"], "peak_is_own": True}}

    def ranks(self, request: Dict, batch: int, repeats: int, warmup: int) -> Dict:
        """Stage II steps of ``batch`` pictures a process, under mpirun, which calls this in each of them."""
        self._begin(request)
        self.task = self.stage("train2", {"batch": batch * self.world()})
        took = [self._call()[0] for _ in range(max(1, warmup))]
        self.peak.begin()
        return {"warmup": took, "rounds": [[self._call()[0]] for _ in range(repeats)], "memory": self.peak.facts(),
                **self.task.facts}

    def _begin(self, request: Dict) -> None:
        self.request = request
        self.start()
        self.folder = checkpoints.open_folder(request["params"])
        self.config, self.geometry = self.folder.config, self.folder.config.geometry
        self.gender = self.folder.genders[-1] if self.folder.genders else "female"

    def _call(self):
        """(seconds, facts) of one run, what it works on being made before the clock starts."""
        given = self.task.make()
        self.wait()
        clock = time.process_time if self.request.get("clock") == "processor" else time.perf_counter
        began = clock()
        result = self.task.run(given)
        self.wait()
        seconds = clock() - began
        return seconds, self.task.tell(result)

    # what a framework may have besides

    @property
    def networks(self):
        self.ready()
        return self._networks

    def ready(self) -> None:
        """Have the weights in memory."""
        if self._networks is None:
            self._networks = self.load()
            self.work = Work(self._networks)

    def close(self) -> None:
        """Let the weights go: training and loading are measured without a second set of them in memory."""
        self._networks: Any = None
        self.work: Any = None
        self.tidy()

    def tidy(self) -> None:
        gc.collect()

    def forget(self) -> None:
        """Let go what is remembered of earlier drawings; weights and banks stay."""

    def reset_memory(self) -> None:
        """Begin to count the framework's own memory anew."""

    def count(self, run):
        """(what ``run()`` returns, its operators, copies and waits; None where a framework does not say)."""
        return run(), None

    def fetch(self, result):
        """A step's result, on the CPU."""
        return result

    # inputs

    def rows(self, component):
        """(rows, latent) float32 of the weights' own bank."""
        if component not in self._rows:
            self._rows[component] = self.folder.bank(component, self.gender)
        return self._rows[component]

    def latents(self):
        """Makes {component: (latent,) float32} without end, near the bank."""
        rng = np.random.default_rng(4)

        def make():
            out = {}
            for c in COMPONENTS:
                row = self.rows(c)[int(rng.integers(len(self.rows(c))))]
                noise = rng.standard_normal(row.shape, dtype=np.float32)
                out[c] = self.tensor(row * np.float32(0.7) + np.float32(0.3) * noise)
            return out
        return make

    # stages

    def stage(self, name: str, options: Dict) -> Task:
        """The task of a stage; NotHere, or MemoryError and the like, where it cannot be done."""
        family = name.split(".")[0].split("-")[0]
        if family in ("train1", "train2"):
            return self._train(name, options)
        with self.no_grad():
            task = getattr(self, "_" + family)(name, options)
        run = task.run

        def without_gradients(given):
            with self.no_grad():
                return run(given)
        task.run = without_gradients
        return task

    def _device(self, name, options):
        """What the device reaches at best.  Small arrays are for tests."""
        small, cuda = options["small"], self.device == "cuda"
        if name == "device.matmul":
            size = 8192 if cuda else 512 if small else 2048
            return Task(self.matmul(size), flops=2 * size ** 3)
        size = 1 << 30 if cuda else (16 if small else 256) << 20
        return Task(self.copy(size), bytes=2 * size)  # read and written

    def _encode(self, name, options):
        networks, numbers = self.networks, count(1)

        def make():
            sketch = to_sketch(inputs.sketch(self.geometry, next(numbers)), self.config.canvas)
            return {c: np.ascontiguousarray(p) for c, p in self.geometry.crops(sketch).items()}
        return Task(lambda crops: self.fetch(networks.encode(crops)), make,
                    flops=stages.step_operations(self.config)["encode"])

    def _project(self, name, options):
        if "rows" in options:
            rows, width, rng = options["rows"], self.config.latent, np.random.default_rng(5)
            check_room(rows, width)
            run = self.onto(inputs.bank(rows, width))
            return Task(lambda latent: self.fetch(run(latent)),
                        lambda: self.tensor(rng.standard_normal(width, dtype=np.float32)), bytes=4 * rows * width)
        self.ready()
        return Task(lambda latents: self.fetch(self.project(latents)), self.latents(),
                    bytes=sum(self.rows(c).nbytes for c in COMPONENTS))

    def _decode(self, name, options):
        c, networks, rng = options["component"], self.networks, np.random.default_rng(3)
        run = networks.decode
        if "chunk" in options:
            def run(component, rows):
                own, networks.batch_bytes = networks.batch_bytes, options["chunk"]
                try:
                    return networks.decode(component, rows)
                finally:
                    networks.batch_bytes = own
        return Task(lambda rows: self.fetch(run(c, rows)),
                    lambda: self.tensor(self.rows(c)[rng.integers(len(self.rows(c)), size=K)]),
                    flops=K * stages.network_operations("image_decoder", self.config, c))

    def _features(self, name, options):
        return Task(self.networks.map_features, self.latents(), flops=stages.step_operations(self.config)["features"])

    def _merge(self, name, options):
        features = self.networks.map_features(self.latents()())
        # every cell of the merged map is read from one map and written
        cells = self.config.feature_channels * self.config.canvas ** 2
        return Task(lambda _: self.merge(features), bytes=2 * 4 * cells)

    def _generator(self, name, options):
        features = self.networks.map_features(self.latents()())
        return Task(lambda _: self.networks.photograph(features),
                    flops=stages.network_operations("generator", self.config))

    def _face(self, name, options):
        self.ready()
        numbers = count(1)

        def make():
            self.forget()
            self.work.take()
            return inputs.sketch(self.geometry, next(numbers))
        return Task(self.synthesize, make, self._tell)

    def _stroke(self, name, options):
        self.ready()
        self.forget()
        if self.remembers:
            self.synthesize(inputs.sketch(self.geometry, 0))
        self.work.take()
        strokes = inputs.strokes(self.geometry, options["component"])
        return Task(self.synthesize, lambda: next(strokes), self._tell)

    def _tell(self, result):
        face, parts = result
        work = self.work.take()
        facts = {"work": work, "flops": stages.work_operations(self.config, work), "mean": round(float(face.mean()), 2)}
        return {**facts, "parts": {k: round(v, 3) for k, v in parts.items()}} if parts else facts

    def _train(self, name, options):
        stage, gan, batch = "embedding" if name == "train1" else "synthesis", options.get("gan", True), options["batch"]
        self.close()
        check_training(self.config, batch, stage)
        run, make = self.trainer(stage, batch, gan)

        def tell(losses):  # what is not finite is None, which JSON knows
            return {"losses": {k: float(f"{v:.4g}") if math.isfinite(v) else None for k, v in losses.items()}}
        return Task(run, make, tell, flops=stages.training_operations(self.config, stage, batch, gan), pictures=batch)

    def _load(self, name, options):
        def run(_):
            self.ready()
            for gender in self.folder.genders or ("female",):
                for c in COMPONENTS:
                    self.read_bank(c, gender)
        return Task(run, self.close, bytes=sum((self.folder.path / f).stat().st_size for f in self.folder.files()))


class Work:
    """Counts what a side's networks are asked to do, so that speed is told by what was computed."""

    def __init__(self, networks):
        self.counts: Dict[str, Dict[str, int]] = {}
        self._wrap(networks, "encode", "encode", lambda crops: {c: 1 for c in crops})
        self._wrap(networks, "decode", "decode", lambda component, vectors: {component: len(vectors)})
        if hasattr(networks, "decode_into"):
            self._wrap(networks, "decode_into", "decode",
                       lambda wanted: {c: len(rows) for c, (*_, rows) in wanted.items()})
        self._wrap(networks, "map_features", "features", lambda vectors: {c: 1 for c in vectors})
        self._wrap(networks, "photograph", "generator", lambda features, *more: {"rest": 1})

    def _wrap(self, networks, method, step, say):
        plain = getattr(networks, method)

        def counting(*arguments):
            held = self.counts.setdefault(step, {})
            for component, number in say(*arguments).items():
                held[component] = held.get(component, 0) + number
            return plain(*arguments)
        setattr(networks, method, counting)

    def take(self):
        """The counts since the last call."""
        counts, self.counts = self.counts, {}
        return counts


def copy_on_cpu(size: int):
    """A copy of ``size`` bytes by as many threads as a framework has, outside of any framework."""
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    target[:] = 0  # its pages exist before the clock starts
    pool = ThreadPoolExecutor(threads)
    cuts = np.linspace(0, size, threads + 1).astype(np.int64)
    pieces = [slice(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:])]
    return lambda _: list(pool.map(lambda piece: np.copyto(target[piece], source[piece]), pieces))


def check_room(rows: int, width: int) -> None:
    """NotHere where memory does not take a bank twice (as it is made, and where it is used)."""
    free, need = machine.available(), 2.2 * 4 * rows * width
    if free is not None and need > free:
        raise NotHere(f"a bank of {rows:,} x {width} needs {need / 1e9:.1f} GB while it is made, "
                      f"{free / 1e9:.1f} GB are free")


def check_training(config, batch: int, stage: str) -> None:
    """NotHere where memory hardly takes a training step: rather no row than a machine without memory.

    Weights five times over (gradient, two moments, average), and activations as they were seen on a CPU: about 70
    maps of the generator's full width at the canvas's size a picture (ours, rough).
    """
    kinds = ("encoder", "image_decoder") if stage == "embedding" else ("feature_decoder", "generator", "discriminator")
    shapes = [shape for kind in kinds for c in (COMPONENTS if kind.endswith("coder") else ("rest",))
              for shape in specification(kind, config, c).values()]
    need = 20 * sum(map(math.prod, shapes)) + batch * 4 * config.canvas ** 2 * 70 * config.generator_width
    free = machine.available()
    if free is not None and need > free:
        raise NotHere(f"a step needs about {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free (fewer sides in one run, "
                      "or a smaller batch, take less)")
