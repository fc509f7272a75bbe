"""The converter's PyTorch modules doing the same work, in a process that never imports Jittor: what this project's
Synthesizer does, as somebody who would pick PyTorch writes it.

It remembers the same things: parts whose input did not change, and decoded neighbours by bank row.
Training steps are the trainers' in PyTorch: their losses, gradient lengths, Adam and moving average.
"""
from __future__ import annotations

from itertools import count
from typing import Dict

import numpy as np

from ..components import COMPONENTS, PARTS
from ..kernels.selection import PART_SHARE, REST_FADE, WEIGHT_LIMIT, soft_mask, visible
from ..pictures import resized, to_input, to_sketch
from ..synthesizer import Recent, digest
from . import inputs
from .side import K, Side, copy_on_cpu

#: the weight of the condition that reconstruction weights sum to one (release)
PENALTY = 10.0
#: decoded neighbours kept: as many as the Synthesizer keeps
DECODED = 160


class Torch(Side):
    package = ("torch", "PyTorch", "'jt_dfd[torch]'")
    layout_name = "default"  #: or the name of a torch memory format

    def start(self):
        import torch

        request, self.torch, there = self.request, torch, torch.cuda.is_available()
        if request.get("threads"):
            torch.set_num_threads(request["threads"])
        if request["device"] == "cuda" and not there:
            raise ValueError("PyTorch sees no GPU here")
        self.device = "cuda" if there and request["device"] != "cpu" else "cpu"
        # as on this project's side, and PyTorch's own defaults: convolutions with TF32, matrix products without
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, bool(request["tf32"])
        torch.backends.cudnn.benchmark = True  # shapes do not change: its users switch this on
        self.no_grad = torch.inference_mode
        self.layout = None if self.layout_name == "default" else getattr(torch, self.layout_name)

    def facts(self):
        return {"version": self.torch.__version__, "device": self.device, "threads": self.torch.get_num_threads(),
                "tf32": "convolutions" if self.device == "cuda" and self.request["tf32"] else None,
                "layout": self.layout_name, "chunk_bytes": self.request.get("chunk_bytes")}

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def tidy(self):
        super().tidy()
        if getattr(self, "device", None) == "cuda":
            self.torch.cuda.empty_cache()

    def reset_memory(self):
        if self.device == "cuda":
            self.torch.cuda.reset_peak_memory_stats()

    def memory(self):
        return {"gpu_bytes": self.torch.cuda.max_memory_reserved()} if self.device == "cuda" else {}

    def tensor(self, array):
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def fetch(self, result):
        if isinstance(result, dict):
            return {name: self.fetch(value) for name, value in result.items()}
        return [value.cpu() for value in result] if isinstance(result, tuple) else result.cpu()

    def placed(self, network):
        """On the device, in the side's memory format."""
        network = network.to(self.device)
        return network if self.layout is None else network.to(memory_format=self.layout)

    def matmul(self, size):
        a, b = (self.torch.randn(size, size, device=self.device) for _ in range(2))
        return lambda _: a @ b

    def copy(self, size):
        if self.device == "cpu":
            return copy_on_cpu(size)
        x = self.torch.zeros(size // 4, device=self.device)
        y = self.torch.empty_like(x)
        return lambda _: y.copy_(x)

    def load(self):
        networks = Networks(self)
        self.masks = {p: self.tensor(soft_mask(self.geometry.window(p).size)) for p in PARTS}
        self.forget()
        return networks

    def close(self):
        self._banks: Dict = {}
        super().close()

    def forget(self):
        self._latents, self._near, self._maps = {}, {}, {}
        self._decoded = Recent(DECODED)

    def bank(self, component, gender):
        if (component, gender) not in self._banks:
            self._banks[component, gender] = self.tensor(self.networks.bank(component, gender))
        return self._banks[component, gender]

    read_bank = bank

    def rows(self, component):
        return self.networks.bank(component, self.gender)

    def project(self, latents):
        return {c: self._project_onto(self.bank(c, self.gender), v) for c, v in latents.items()}

    def onto(self, rows):
        bank = self.tensor(rows)
        return lambda latent: self._project_onto(bank, latent)

    def _project_onto(self, bank, latent):
        """(rows (k,), weights (k,) float32, vector (latent,)), the nearest row first."""
        torch = self.torch
        # the direct form: the other goes by a matrix product, and its rounding turns close neighbours about
        distances = torch.cdist(latent[None], bank, compute_mode="donot_use_mm_for_euclid_dist")[0]
        rows = torch.topk(distances, min(K, len(bank)), largest=False).indices
        near = bank[rows].double()
        a, b = near[1:] - near[0], latent.double() - near[0]
        x = torch.linalg.solve(a @ a.T + PENALTY ** 2, a @ b)
        weights = torch.cat([1 - x.sum()[None], x])
        return rows, weights.float(), (weights @ near).float()

    def merge(self, features):
        from ..converter.torch_modules import merge

        merge(features, self.config)

    def synthesize(self, sketch):
        """(H, W) uint8 -> the face (512, 512, 3) uint8."""
        networks, canvas = self.networks, to_sketch(sketch, self.config.canvas)
        with self.torch.inference_mode():
            crops = {c: np.ascontiguousarray(p) for c, p in self.geometry.crops(canvas).items()}
            keys = {c: digest(crop) for c, crop in crops.items()}
            changed = [c for c in COMPONENTS if self._latents.get(c) != keys[c]]
            for c, (rows, weights, vector) in self.project(networks.encode({c: crops[c] for c in changed})).items():
                seen = self.torch.from_numpy(visible(weights.cpu().numpy())).to(weights.device)
                self._near[c] = self._pictures(c, rows[seen]), weights[seen], vector
                self._latents[c] = keys[c]
            self._shadow()
            for c in changed:
                self._maps.pop(c, None)
            self._maps.update(networks.map_features({c: self._near[c][2] for c in changed}))
            face = networks.photograph(self._maps)
        return resized(face, 512), {}

    def _pictures(self, component, rows):
        """The decoded rows of a bank; those decoded before are remembered."""
        numbers = rows.tolist()
        missing = [n for n in numbers if (component, n) not in self._decoded]
        bank = self.bank(component, self.gender)
        fresh = dict(zip(missing, self.networks.decode(component, bank[missing]))) if missing else {}
        out = [fresh[n] if n in fresh else self._decoded[component, n] for n in numbers]
        for n, picture in fresh.items():
            self._decoded[component, n] = picture.clone()  # not a view that keeps all of its batch
        return self.torch.stack(out)

    def _shadow(self):
        """The page's shadow, (canvas, canvas) uint8."""
        ink = {}
        for c in COMPONENTS:
            share = self._near[c][1].clamp(0, WEIGHT_LIMIT)
            ink[c] = (self.torch.einsum("k,kij->ij", share, (1 - self._near[c][0]) / 2) * 255).clamp(0, 255)
        page = ink["rest"].clone()
        for part in PARTS:
            rows, columns = self.geometry.window(part).slices
            page[rows, columns] *= 1 - (1 - self.masks[part]) * REST_FADE
            page[rows, columns] += ink[part] * (1 - self.masks[part]) * PART_SHARE
        return (255 - page.clamp(0, 255)).to(self.torch.uint8).cpu().numpy()

    def trainer(self, stage, batch, gan):
        """(function of a batch: one step, which returns {loss: value}; function that makes a batch)."""
        step, torch, numbers = (Embedding(self) if stage == "embedding" else Synthesis(self, gan)), self.torch, count()

        def make():
            arrays = inputs.batch(self.config, batch, next(numbers))
            return {name: self.tensor(a) for name, a in arrays.items()}

        def run(given):
            with torch.autocast(self.device, torch.float16, enabled=step.half):
                losses, apply = step(given)
            values = torch.stack([v.detach().reshape(()) for v in losses.values()]).cpu().tolist()
            apply()
            return dict(zip(losses, values))
        return run, make


class ChannelsLast(Torch):
    layout_name = "channels_last"


class Networks:
    """As ``pipeline.Networks``, of tensors on the device."""

    def __init__(self, side: Torch):
        from ..converter.torch_modules import load_pretrained

        self._torch, self.tensor, self.config = side.torch, side.tensor, side.config
        self.batch_bytes = side.request.get("chunk_bytes") or 40 << 20
        self._pipeline = load_pretrained(side.request["params"], side.device)
        side.placed(self._pipeline)
        half = side.request["precision"] == "half"
        # feature decoders and generator in float16 where half precision is asked for: what this project lowers
        self._autocast = lambda: side.torch.autocast(side.device, side.torch.float16, enabled=half)

    def bank(self, component, gender):
        """(rows, latent) float32 array."""
        return self._pipeline.bank(component, gender)

    def encode(self, crops):
        """{component: (S, S) uint8} -> {component: (latent,) tensor}."""
        encoders = self._pipeline.encoders
        return {c: encoders[c](self.tensor(to_input(crop))[None, None])[0]
                for c, crop in crops.items()}

    def decode(self, component, vectors):
        """(k, latent) tensor -> (k, size, size) tensor, as many together as ``batch_bytes`` of a layer take."""
        size = self.config.geometry.window(component).size
        chunk = max(1, self.batch_bytes // (size * size * self.config.image_widths[-1] * 4))
        decoder = self._pipeline.image_decoders[component]
        return self._torch.cat([decoder(part)[:, 0] for part in vectors.split(chunk)])

    def map_features(self, vectors):
        """{component: (latent,) tensor} -> {component: (1, channels, size, size) tensor}."""
        with self._autocast():
            return {c: self._pipeline.feature_decoders[c](vector[None]) for c, vector in vectors.items()}

    def photograph(self, features):
        """(canvas, canvas, 3) uint8."""
        from ..converter.torch_modules import face_picture, merge

        with self._autocast():
            face = self._pipeline.generator(merge(features, self.config))
        return face_picture(face)


class _Step:
    def __init__(self, side):
        self.side, self.torch, self.config = side, side.torch, side.config
        self.half = side.request["precision"] == "half" and side.device == "cuda"
        self.scale = 2.0 ** 14 if self.half else 1.0  # of the losses: small gradients are zero in float16

    def network(self, kind, component="rest", train=True):
        from ..converter.torch_layers import build_with

        network = build_with(kind, self.config, component, self.side.folder.network(kind, component))
        return self.side.placed(network).train(train)

    def adam(self, networks, rate, betas):
        parameters = [p for n in networks for p in n.parameters()]
        return parameters, self.torch.optim.Adam(parameters, rate, betas=betas)

    def backward(self, loss, parameters, more=False):
        """Gradients of these parameters and no others; their length."""
        gradients = self.torch.autograd.grad(loss * self.scale, parameters, retain_graph=more)
        if self.half:
            self.torch._foreach_div_(list(gradients), self.scale)
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient
        return self.torch.stack([(g * g).sum() for g in gradients]).sum().sqrt()


class Embedding(_Step):
    def __init__(self, side):
        super().__init__(side)
        self.parts = {}
        for c in COMPONENTS:
            pair = self.network("encoder", c), self.network("image_decoder", c)
            self.parts[c] = (pair, *self.adam(pair, 1e-3, (0.9, 0.999)))

    def __call__(self, batch):
        losses = {}
        for c, ((encoder, decoder), parameters, _) in self.parts.items():
            losses[c] = ((decoder(encoder(batch[c])) - batch[c]) ** 2).mean()
            losses[f"gradient/{c}"] = self.backward(losses[c], parameters)

        def apply():
            for _, _, adam in self.parts.values():
                adam.step()
        return losses, apply


class Synthesis(_Step):
    """Frozen encoders; feature decoders and generator against the discriminator; both gradients at the same weights."""

    def __init__(self, side, gan):
        super().__init__(side)
        from ..converter.torch_layers import build

        self.encoders = {c: self.network("encoder", c, False).requires_grad_(False) for c in COMPONENTS}
        self.decoders = {c: self.network("feature_decoder", c) for c in COMPONENTS}
        self.generator, self.discriminator = self.network("generator"), None
        trained = [*self.decoders.values(), self.generator]
        self.parameters, self.optimiser = self.adam(trained, 2e-4, (0.5, 0.999))
        if gan:
            self.discriminator = side.placed(build("discriminator", self.config)).train()
            self.own, self.opponent = self.adam([self.discriminator], 2e-4, (0.5, 0.999))
        self.live = [v for n in trained for v in n.state_dict().values() if v.is_floating_point()]
        self.average = [v.detach().clone() for v in self.live]

    def __call__(self, batch):
        from ..converter.torch_modules import merge

        torch, real = self.torch, batch["photo"]
        with torch.no_grad():
            latents = {c: self.encoders[c](batch[c]) for c in COMPONENTS}
        features = merge({c: self.decoders[c](latents[c]) for c in COMPONENTS}, self.config)
        fake = self.generator(features)
        losses = {"l1": (fake - real).abs().mean()}
        total = losses["l1"] * 100.0
        if self.discriminator is not None:
            condition, n = features.detach(), len(real)
            maps = self.discriminator(torch.cat([condition, condition]), torch.cat([real, fake]))
            losses["gan"] = sum(((m[-1][n:] - 1) ** 2).mean() for m in maps)
            inner = [(a[:n].detach() - a[n:]).abs().mean() for m in maps for a in m[:-1]]
            losses["feature_matching"] = sum(inner) / len(inner)
            losses["discriminator"] = sum(0.5 * (((m[-1][:n] - 1) ** 2).mean() + (m[-1][n:] ** 2).mean()) for m in maps)
            total = total + losses["gan"] + losses["feature_matching"] * 10.0
        losses["gradient"] = self.backward(total, self.parameters, self.discriminator is not None)
        if self.discriminator is not None:
            losses["gradient/discriminator"] = self.backward(losses["discriminator"], self.own)

        def apply():
            self.optimiser.step()
            if self.discriminator is not None:
                self.opponent.step()
            torch._foreach_mul_(self.average, 0.999)
            torch._foreach_add_(self.average, self.live, alpha=0.001)
        return losses, apply
