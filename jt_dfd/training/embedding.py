"""Stage I: the autoencoders of the component embedding, each alone, on component sketches (paper: MSE, Adam; over
several scales: ours)."""
from __future__ import annotations

from typing import Dict, Tuple

import numpy as np

from .. import checkpoints, networks
from ..backend import jt, nn
from ..components import COMPONENTS, PARTS
from ..config import Config
from ..pictures import greys_of, sheet_of, sheet_row
from . import feed, losses, optimiser, parallel
from .optimiser import Adam, learning_rate
from .options import EmbeddingOptions
from .weights import begin_with

KINDS = ("encoder", "image_decoder")


class EmbeddingTrainer:
    """The autoencoders of ``parts``.  They share nothing but the pictures of a step."""

    stage = "embedding"
    built_on: Dict[str, str] = {}   # what checkpoints belong to besides themselves

    def __init__(self, options: EmbeddingOptions, config: Config):
        self.options, self.config = options, config
        several = {"all": COMPONENTS, "parts": PARTS}
        self.parts: Tuple[str, ...] = several.get(options.component, (options.component,))
        self.networks = {part: {kind: networks.build(kind, config, part) for kind in KINDS} for part in self.parts}
        for pair in self.networks.values():
            for network in pair.values():
                _set_norm_momentum(network, options.norm_momentum)
        self.begun_with = begin_with(options.init, [(kind, part, pair[kind]) for part, pair in self.networks.items()
                                                    for kind in KINDS]) if options.init else []
        for pair in self.networks.values():
            parallel.same_weights(pair.values())
        scale = optimiser.begin_mixed(options, [n for pair in self.networks.values() for n in pair.values()])
        self.optimisers = {part: Adam(list(pair.values()), options.beta1, options.beta2, scale, options.accumulate)
                           for part, pair in self.networks.items()}

    def describe(self):
        yield f"stage I, components {', '.join(self.parts)}"
        for part in self.parts:
            e, d = (networks.count_parameters(self.networks[part][kind]) / 1e6 for kind in KINDS)
            yield f"{part}: window {self.config.geometry.window(part).size}, encoder {e:.2f} M, image decoder {d:.2f} M"

    def prepare(self, batch, parts) -> None:
        """Before a run's first step: the last layer of each new encoder is scaled so that this batch's latents have
        mean 0 and deviation 1 (ours).  Untouched, all sketches of a component have nearly the same latent at first, and
        hundreds of steps go by on the mean sketch alone."""
        if self.options.init:
            return
        for part in parts:
            encoder = self.networks[part]["encoder"]
            with jt.no_grad():
                latents = encoder(batch.crops[part])
                mean = parallel.mean(latents.mean(dims=(0,)))
                # in two passes: the spread of new latents is small beside their mean
                square = parallel.mean(((latents - mean) ** 2).mean(dims=(0,)))
                mean, deviation = mean.numpy().astype(np.float64), np.sqrt(square.numpy().astype(np.float64))
            if not np.isfinite(deviation).all() or deviation.max() == 0:
                continue  # a batch of one, or of equal sketches, says nothing
            # dimensions that hardly vary in a small batch would be blown up
            deviation = np.maximum(deviation, np.median(deviation) / 2)
            weight, bias = encoder.fc_mu[0].weight, encoder.fc_mu[0].bias
            networks.assign(weight, (weight.numpy() / deviation[:, None]).astype(np.float32))
            networks.assign(bias, ((bias.numpy() - mean) / deviation).astype(np.float32))

    def step(self, batch, step: int, parts):
        """Losses of one step as (names, (K,) variable), and what applies it."""
        o, names, values = self.options, [], []
        for part in parts:
            sketch = batch.crops[part]
            pair = self.networks[part]
            loss = losses.multiscale(pair["image_decoder"](pair["encoder"](sketch)), sketch, o.scales)
            norm = self.optimisers[part].backward(loss)
            names += [part, f"gradient/{part}"]
            values += [loss, norm]

        def apply():
            for part in parts:
                self.optimisers[part].step(learning_rate(o.lr, step, o.steps, o.decay_from, o.warmup, o.schedule),
                                           o.max_gradient)

        return names, jt.concat([v.reshape((1,)) for v in values]), apply

    def adams(self, parts):
        """The optimisers that a step of ``parts`` uses."""
        return [self.optimisers[part] for part in parts]

    def validate(self, data, parts) -> Dict[str, float]:
        """Held-out reconstruction MSE a component, with running statistics; under ``scales/`` the loss over several
        scales where that is what is trained."""
        total = {}
        count = 0
        self._train(False)
        with jt.no_grad():
            for batch in feed.first(data, self.options.validate):
                count += len(batch)
                for part in parts:
                    sketch = batch.crops[part]
                    made = self.reconstruct(part, sketch)
                    found = {f"held_out/{part}": losses.mse(made, sketch)}
                    if self.options.scales > 1:
                        found[f"held_out/scales/{part}"] = losses.multiscale(made, sketch, self.options.scales)
                    for name, value in found.items():
                        total[name] = total.get(name, 0.0) + value.item() * len(batch)
        self._train(True)
        return {name: value / count for name, value in total.items()}

    def score(self, part: str, values: Dict[str, float]):
        """(score or None, what of) that the best checkpoint is chosen by: the loss that is trained.  By the plain MSE
        a blur would be better than a line a little beside its place."""
        name = f"held_out/scales/{part}" if self.options.scales > 1 else f"held_out/{part}"
        return values.get(name), name if name in values else ""

    def reconstruct(self, part: str, sketch):
        pair = self.networks[part]
        return pair["image_decoder"](pair["encoder"](sketch))

    def _train(self, on: bool) -> None:
        for pair in self.networks.values():
            for network in pair.values():
                network.train() if on else network.eval()

    def sheet(self, data):
        """Sketch above its reconstruction, a row of pairs a component."""
        rows = []
        self._train(False)
        with jt.no_grad():
            for batch in feed.first(data, 6):
                for part in self.parts:
                    made = self.reconstruct(part, batch.crops[part][:6])
                    rows.append(sheet_row([greys_of(batch.crops[part][:6]), greys_of(made)], 128))
                break
        self._train(True)
        return sheet_of(rows)

    # what a checkpoint holds

    def arrays(self, part: str) -> Dict[str, np.ndarray]:
        out = {}
        for kind in KINDS:
            out.update(networks.prefixed(kind, networks.to_arrays(self.networks[part][kind])))
        out.update(networks.prefixed("adam", self.optimisers[part].arrays()))
        return out

    def load(self, part: str, arrays, source) -> None:
        for kind in KINDS:
            networks.into_network(self.networks[part][kind], networks.under(kind, arrays), source)
        self.optimisers[part].load(networks.under("adam", arrays), source)

    def weights(self, part: str) -> Dict[str, Dict[str, np.ndarray]]:
        """File of a weight folder -> its arrays."""
        return {checkpoints.network_path(kind, part): networks.to_arrays(self.networks[part][kind]) for kind in KINDS}


def _set_norm_momentum(network, momentum: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm):
            module.momentum = momentum
