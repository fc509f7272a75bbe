"""Optimiser steps of both stages in PyTorch: the trainers' losses, gradient lengths, Adam and moving average."""
from __future__ import annotations

from itertools import count

from ..components import COMPONENTS
from . import inputs


def trainer(side, stage: str, batch: int, gan: bool):
    """(function of a batch: one step, which returns {loss: value}; function that makes a batch)."""
    step, torch, numbers = (Embedding(side) if stage == "embedding" else Synthesis(side, gan)), side.torch, count()

    def make():
        arrays = inputs.batch(side.config, batch, next(numbers))
        return {name: torch.from_numpy(a).to(side.device) for name, a in arrays.items()}

    def run(given):
        with torch.autocast(side.device, torch.float16, enabled=step.half):
            losses, apply = step(given)
        values = torch.stack([v.detach().reshape(()) for v in losses.values()]).cpu().tolist()
        apply()
        return dict(zip(losses, values))
    return run, make


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
