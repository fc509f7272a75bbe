"""The converter's PyTorch modules doing the same work.  Runs in a worker process, which never imports Jittor."""
from __future__ import annotations

import gc
import os
from itertools import count

import numpy as np

from .. import checkpoints
from ..components import COMPONENTS
from ..pictures import to_sketch
from . import flops, inputs
from .checks import check_room, check_training, merge_bytes
from .device_speed import matmul_size
from .task import Task, brief

K = flops.NEIGHBOURS


def start(request):
    """torch, set up as the request says; request["torch_device"] is filled in.  ImportError where it is missing."""
    import torch

    if request.get("threads"):
        torch.set_num_threads(request["threads"])
    there = torch.cuda.is_available()
    if request["device"] == "cuda" and not there:
        raise ValueError("PyTorch sees no GPU here")
    request["torch_device"] = "cuda" if there and request["device"] != "cpu" else "cpu"
    # as on this project's side, and PyTorch's own defaults: convolutions with TF32, matrix products without
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, bool(request["tf32"])
    torch.backends.cudnn.benchmark = True  # shapes do not change: its users switch this on
    return torch


class Torch:
    layout_name = "default"

    def open(self, request):
        try:
            self.torch = start(request)
        except ImportError as error:
            return {"missing": "PyTorch is not installed (pip install 'jt_dfd[torch]')"
                    if getattr(error, "name", "") == "torch" else f"PyTorch does not start: {brief(error)}"}
        except (OSError, ValueError) as error:
            return {"missing": f"PyTorch does not start: {brief(error)}"}
        self.request, self.device = request, request["torch_device"]
        self.folder = checkpoints.open_folder(request["params"])
        self.config, self.geometry = self.folder.config, self.folder.config.geometry
        self.gender = self.folder.genders[-1] if self.folder.genders else "female"
        self._synthesizer = None
        return {"framework": "torch", "version": self.torch.__version__, "device": self.device,
                "threads": self.torch.get_num_threads(),
                "tf32": "convolutions" if self.device == "cuda" and request["tf32"] else None,
                "layout": self.layout_name, "chunk_bytes": request.get("chunk_bytes")}

    @property
    def layout(self):
        return None

    @property
    def synthesizer(self):
        if self._synthesizer is None:
            from .torch_face import TorchSynthesizer

            self._synthesizer = TorchSynthesizer(self.torch, self.request, self.layout)
        return self._synthesizer

    def stage(self, name, options):
        return getattr(self, "_" + name.split(".")[0].replace("-", "_"))(name, options)

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def tidy(self):
        gc.collect()
        if self.device == "cuda":
            self.torch.cuda.empty_cache()

    def reset_memory(self):
        if self.device == "cuda":
            self.torch.cuda.reset_peak_memory_stats()

    def memory(self):
        return {"gpu_bytes": self.torch.cuda.max_memory_reserved()} if self.device == "cuda" else {}

    def close(self):
        self._synthesizer = None
        self.tidy()

    # inputs

    def _rows(self, component, number=K):
        bank, rng = self.synthesizer.bank(component, self.gender), np.random.default_rng(3)
        return lambda: bank[self.torch.from_numpy(rng.integers(len(bank), size=number)).to(self.device)].clone()

    def _vectors(self):
        rng, banks = np.random.default_rng(4), {c: self.synthesizer.bank(c, self.gender) for c in COMPONENTS}
        return lambda: {c: bank[int(rng.integers(len(bank)))] * 0.7 + 0.3 * self.torch.from_numpy(
            rng.standard_normal(bank.shape[1], dtype=np.float32)).to(self.device) for c, bank in banks.items()}

    def _task(self, run, make=None, tell=None, facts=None):
        def inferring(given):
            with self.torch.inference_mode():
                return run(given)
        return Task(inferring, make, tell, facts)

    # stages

    def _device(self, name, options):
        torch, cuda = self.torch, self.device == "cuda"
        if name.endswith("copy"):
            x = torch.zeros(1 << 28 if cuda else (4 if options["small"] else 64) << 20, device=self.device)
            y = torch.empty_like(x)
            return self._task(lambda _: y.copy_(x), facts={"bytes": 2 * 4 * x.numel()})
        size = matmul_size(cuda, options["small"])
        a, b = (torch.randn(size, size, device=self.device) for _ in range(2))
        return self._task(lambda _: a @ b, facts={"flops": 2 * size ** 3})

    def _encode(self, name, options):
        numbers = count(1)

        def make():
            canvas = to_sketch(inputs.sketch(self.geometry, next(numbers)), self.config.canvas)
            return {c: np.ascontiguousarray(p) for c, p in self.geometry.crops(canvas).items()}
        return self._task(lambda crops: {c: v.cpu() for c, v in self.synthesizer.encode(crops).items()}, make,
                          facts={"flops": sum(flops.encoder(self.config, c) for c in COMPONENTS)})

    def _project(self, name, options):
        s = self.synthesizer
        if "rows" in options:
            check_room(options["rows"], self.config.latent)
            bank, rng = s._to(inputs.bank(options["rows"], self.config.latent)), np.random.default_rng(5)
            return self._task(lambda latent: [v.cpu() for v in s.project(bank, latent)],
                              lambda: s._to(rng.standard_normal(self.config.latent, dtype=np.float32)),
                              facts={"bytes": 4 * bank.numel()})
        banks = {c: s.bank(c, self.gender) for c in COMPONENTS}
        return self._task(lambda latents: [[v.cpu() for v in s.project(banks[c], latents[c])] for c in COMPONENTS],
                          self._vectors(), facts={"bytes": sum(4 * b.numel() for b in banks.values())})

    def _decode(self, name, options):
        s, component = self.synthesizer, options["component"]
        own = self.request.get("chunk_bytes") or s.chunk_bytes

        def run(rows):
            s.chunk_bytes = options.get("chunk", own)
            try:
                return s.decode(component, rows).cpu()
            finally:
                s.chunk_bytes = own
        return self._task(run, self._rows(component),
                          facts={"flops": K * flops.image_decoder(self.config, component)})

    def _features(self, name, options):
        return self._task(self.synthesizer.features, self._vectors(),
                          facts={"flops": sum(flops.feature_decoder(self.config, c) for c in COMPONENTS)})

    def _ready_features(self):
        with self.torch.inference_mode():
            return self.synthesizer.features(self._vectors()())

    def _merge(self, name, options):
        from ..converter.torch_modules import merge

        features = self._ready_features()
        return self._task(lambda _: merge(features, self.config), facts={"bytes": merge_bytes(self.config)})

    def _generator(self, name, options):
        features = self._ready_features()
        return self._task(lambda _: self.synthesizer.photograph(features),
                          facts={"flops": flops.generator(self.config)})

    def _face(self, name, options):
        numbers = count(1)

        def make():
            self.synthesizer.forget()
            self.synthesizer.take()
            return inputs.sketch(self.geometry, next(numbers))
        return Task(self._synthesize, make, self._tell)

    def _stroke(self, name, options):
        self.synthesizer.forget()
        self._synthesize(inputs.sketch(self.geometry, 0))
        self.synthesizer.take()
        strokes = inputs.strokes(self.geometry, options["component"])
        return Task(self._synthesize, lambda: next(strokes), self._tell)

    def _synthesize(self, sketch):
        return self.synthesizer.synthesize(sketch, self.gender)

    def _tell(self, result):
        work = self.synthesizer.take()
        return {"work": work, "flops": flops.of_work(self.config, work), "mean": round(float(result[0].mean()), 2)}

    def _train1(self, name, options):
        from .torch_training import EmbeddingStep

        self.close()
        check_training(self.config, options["batch"], name)
        return EmbeddingStep(self, options).task()

    def _train2(self, name, options):
        from .torch_training import SynthesisStep

        self.close()
        check_training(self.config, options["batch"], name)
        return SynthesisStep(self, options).task()

    _train2_nogan = _train2

    def _load(self, name, options):
        def run(_):
            s = self.synthesizer
            for gender in s.genders or ("female",):
                for c in COMPONENTS:
                    s.bank(c, gender)
        return Task(run, self.close, facts={"bytes": sum(os.path.getsize(str(self.folder.path / f))
                                                         for f in self.folder.files())})


class ChannelsLast(Torch):
    layout_name = "channels_last"

    @property
    def layout(self):
        return self.torch.channels_last
