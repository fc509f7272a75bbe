"""Optimiser steps of both stages in PyTorch: the trainers' losses, gradient lengths, Adam and moving average."""
from __future__ import annotations

from itertools import count

from ..components import COMPONENTS
from . import flops, inputs
from .task import Task, told


class _Step:
    def __init__(self, side, options):
        self.side, self.torch, self.size = side, side.torch, options["batch"]
        self.config, self.device = side.config, side.device
        self.half = side.request["precision"] == "half" and side.device == "cuda"
        self.scale = 2.0 ** 14 if self.half else 1.0  # of the losses: small gradients are zero in float16

    def network(self, kind, component="rest", train=True):
        from ..converter.torch_layers import build_with

        arrays = self.side.folder.network(kind, component)
        network = build_with(kind, self.config, component, arrays).to(self.device)
        if self.side.layout is not None:
            network = network.to(memory_format=self.side.layout)
        return network.train(train)

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

    def task(self):
        numbers, torch = count(), self.torch

        def make():
            arrays = inputs.batch(self.config, self.size, next(numbers))
            return {name: torch.from_numpy(a).to(self.device) for name, a in arrays.items()}

        def run(batch):
            with torch.autocast(self.device, torch.float16, enabled=self.half):
                losses, apply = self.step(batch)
            values = torch.stack([v.detach().reshape(()) for v in losses.values()]).cpu().tolist()
            apply()
            return dict(zip(losses, values))
        return Task(run, make, told,
                    {"flops": self.operations(), "pictures": self.size})


class EmbeddingStep(_Step):
    def __init__(self, side, options):
        super().__init__(side, options)
        self.parts = {}
        for c in COMPONENTS:
            pair = self.network("encoder", c), self.network("image_decoder", c)
            self.parts[c] = (pair, *self.adam(pair, 1e-3, (0.9, 0.999)))

    def operations(self):
        return flops.training_step(self.config, "embedding", self.size)

    def step(self, batch):
        losses = {}
        for c, ((encoder, decoder), parameters, _) in self.parts.items():
            losses[c] = ((decoder(encoder(batch[c])) - batch[c]) ** 2).mean()
            losses[f"gradient/{c}"] = self.backward(losses[c], parameters)

        def apply():
            for _, _, adam in self.parts.values():
                adam.step()
        return losses, apply


class SynthesisStep(_Step):
    """Frozen encoders; feature decoders and generator against the discriminator; both gradients at the same weights."""

    def __init__(self, side, options):
        super().__init__(side, options)
        from ..converter.torch_layers import build

        self.encoders = {c: self.network("encoder", c, False).requires_grad_(False) for c in COMPONENTS}
        self.decoders = {c: self.network("feature_decoder", c) for c in COMPONENTS}
        self.generator = self.network("generator")
        made_by = [*self.decoders.values(), self.generator]
        self.parameters, self.optimiser = self.adam(made_by, 2e-4, (0.5, 0.999))
        self.gan = options.get("gan", True)
        if self.gan:
            self.discriminator = build("discriminator", self.config).to(self.device)
            if side.layout is not None:
                self.discriminator = self.discriminator.to(memory_format=side.layout)
            self.own, self.opponent = self.adam([self.discriminator], 2e-4, (0.5, 0.999))
        self.live = [v for n in made_by for v in n.state_dict().values() if v.is_floating_point()]
        self.average = [v.detach().clone() for v in self.live]

    def operations(self):
        return flops.training_step(self.config, "synthesis", self.size, self.gan)

    def step(self, batch):
        from ..converter.torch_modules import merge

        torch, real = self.torch, batch["photo"]
        with torch.no_grad():
            latents = {c: self.encoders[c](batch[c]) for c in COMPONENTS}
        features = merge({c: self.decoders[c](latents[c]) for c in COMPONENTS}, self.config)
        made = self.generator(features)
        losses = {"l1": (made - real).abs().mean()}
        total = losses["l1"] * 100.0
        if self.gan:
            condition, n = features.detach(), self.size
            maps = self.discriminator(torch.cat([condition, condition]), torch.cat([real, made]))
            losses["gan"] = sum(((m[-1][n:] - 1) ** 2).mean() for m in maps)
            inner = [(a[:n].detach() - a[n:]).abs().mean() for m in maps for a in m[:-1]]
            losses["feature_matching"] = sum(inner) / len(inner)
            losses["discriminator"] = sum(0.5 * (((m[-1][:n] - 1) ** 2).mean() + (m[-1][n:] ** 2).mean()) for m in maps)
            total = total + losses["gan"] + losses["feature_matching"] * 10.0
        losses["gradient"] = self.backward(total, self.parameters, self.gan)
        if self.gan:
            losses["gradient/discriminator"] = self.backward(losses["discriminator"], self.own)

        def apply():
            self.optimiser.step()
            if self.gan:
                self.opponent.step()
            torch._foreach_mul_(self.average, 0.999)
            torch._foreach_add_(self.average, self.live, alpha=0.001)
        return losses, apply
