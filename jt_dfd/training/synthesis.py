"""Stage II: feature decoders and generator, end to end, against the discriminator; the encoders are frozen (paper).

The encoders' own latents are decoded; projection onto the banks is for inference (paper), unless ``--projected`` asks
for a share of the samples that see it too (ours).
"""
from __future__ import annotations

from typing import Any, Dict

import numpy as np

from .. import checkpoints, networks
from ..backend import jt, nn
from ..components import COMPONENTS
from ..config import Config
from ..kernels.merge import merge
from ..networks.perceptual import NOT_INSTALLED, PerceptualLoss, load_features, stlpips_file
from ..pictures import greys_of, pictures_of, sheet_captions, sheet_of, sheet_row
from . import feed, losses, optimiser, parallel
from .bank import Projected, encoders_digest
from .optimiser import Adam, MovingAverage, learning_rate
from .options import OptionsError, SynthesisOptions
from .weights import begin_with, open_weights

PART = "synthesis"


def embedding_source(options: SynthesisOptions) -> str:
    """The folder with stage I's encoders.  OptionsError where none is networks."""
    source = options.embedding or options.init
    if not source:
        raise OptionsError("--embedding is needed: stage I's run folder, or a folder of weights")
    return source


class SynthesisTrainer:
    stage = "synthesis"
    parts = (PART,)

    def __init__(self, options: SynthesisOptions, config: Config, embedding=None):
        """embedding: where stage I's encoders come from, a ``checkpoints.Folder`` or what answers like one; the folder
        that ``options`` name where it is None."""
        self.options, self.config, self.geometry = options, config, config.geometry
        source = "the encoders given" if embedding is not None else embedding_source(options)
        self.embedding = embedding if embedding is not None else open_weights(source)
        if not self.embedding.config.same_encoders(config):
            raise OptionsError(f"--embedding {source}: its encoders are of preset {self.embedding.config.preset!r} "
                               f"with other sizes than --preset {config.preset!r}")
        self.encoders = {c: networks.build("encoder", config, c) for c in COMPONENTS}
        found = {c: self.embedding.network("encoder", c) for c in COMPONENTS}
        self.built_on = {"encoders": encoders_digest(found)}
        for component, encoder in self.encoders.items():
            networks.into_network(encoder, found[component], source)
            encoder.eval()
        self.projected = None
        if options.projected > 0:
            self.projected = Projected(self.embedding, options.projected, options.seed)
        self.decoders = {c: networks.build("feature_decoder", config, c) for c in COMPONENTS}
        self.generator = networks.build("generator", config)
        self.made_by = [*self.decoders.values(), self.generator]
        self.discriminator: Any = networks.build("discriminator", config) if options.gan > 0 else None
        self.begun_with = self._begin() if options.init else []
        parallel.same_weights(self.made_by + ([self.discriminator] if self.discriminator else []))
        # not the encoders, whose latents have to be those of inference, and not the perceptual loss
        scale = optimiser.begin_mixed(options, self.made_by + ([self.discriminator] if self.discriminator else []))
        chosen = [network for name, network in self._parts() if options.trains(name)]
        self.adam = Adam(chosen, options.beta1, options.beta2, scale, options.accumulate)
        self.adam_discriminator: Any = None
        if self.discriminator is not None:
            self.adam_discriminator = Adam([self.discriminator], options.beta1, options.beta2, scale,
                                           options.accumulate)
        self.average = MovingAverage(self.made_by, options.ema)
        if options.frechet and stlpips_file() is None:
            raise OptionsError(f"--frechet yes: {NOT_INSTALLED}")
        self.perceptual: Any = None
        self.perceptual_note = "off: its weight is 0"
        if options.perceptual > 0:
            features, self.perceptual_note = load_features(options.perceptual_network)
            self.perceptual = features and PerceptualLoss(features, options.perceptual_layers)

    def _begin(self):
        own, folder = self.options.init, open_weights(self.options.init)
        new = [*(("feature_decoder", c, n) for c, n in self.decoders.items()), ("generator", "", self.generator)]
        if self.discriminator is not None:
            new.append(("discriminator", "", self.discriminator))
        notes = begin_with(own, new)
        if folder.has("encoder") and encoders_digest(folder) != self.built_on["encoders"]:
            notes.append(f"{own} was trained with other encoders: its feature decoders have to learn the new latents")
        return notes

    def describe(self):
        count = networks.count_parameters
        yield (f"stage II: feature decoders {sum(map(count, self.decoders.values())) / 1e6:.2f} M, generator "
               f"{count(self.generator) / 1e6:.2f} M, discriminator "
               + (f"{count(self.discriminator) / 1e6:.2f} M" if self.discriminator else "none"))
        yield f"perceptual loss {self.perceptual_note}"
        if self.options.train != "all":
            yield f"trained are {self.options.train}, all else stays as it is"
        if self.projected is not None:
            yield self.projected.describe()

    # computing

    def latents(self, crops):
        """component -> (N, latent) of sketches, without gradient."""
        with jt.no_grad():
            return {c: self.encoders[c](crops[c]).detach() for c in COMPONENTS}

    def features(self, crops):
        """The merged feature map of sketches: encoders without gradient, feature decoders with."""
        return self.decoded(self.latents(crops))

    def decoded(self, latents):
        """The merged feature map of latents."""
        return merge({c: self.decoders[c](latents[c]) for c in COMPONENTS}, self.geometry)

    def prepare(self, batch, parts=parts) -> None:
        """Nothing is to be done before the first step."""

    def step(self, batch, step: int, parts=parts):
        """Losses of one step as (names, (K,) variable), and what applies it.

        The discriminator's condition is detached: the feature decoders learn from it only through the picture.
        Both gradients are taken at the same weights, then both sides move (pix2pixHD lineage).
        """
        o = self.options
        latents = self.latents(batch.crops)
        if self.projected is not None:
            latents = self.projected.apply(latents, batch, step)
        features = self.decoded(latents)
        fake, real = self.generator(features), batch.photo
        terms = {"l1": losses.l1(fake, real)}
        total = terms["l1"] * losses.falling(o.l1, o.l1_end, step, o.l1_fall * o.steps)
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(*self._view(fake, real, step))
            total = total + terms["perceptual"] * o.perceptual
        for name, loss in losses.WEIGHTED.items():
            if getattr(o, name) > 0:
                terms[name] = loss(fake, real)
                total = total + terms[name] * getattr(o, name)
        adversarial = o.gan > 0 and step >= o.gan_from
        if adversarial:
            condition, count = features.detach(), real.shape[0]
            maps = self.discriminator(jt.concat([condition, condition]), jt.concat([real, fake]))
            real_maps, fake_maps = losses.split(maps, count)
            terms["gan"] = losses.adversarial(fake_maps)
            terms["feature_matching"] = losses.feature_matching(real_maps, fake_maps)
            terms["discriminator"] = losses.discriminator(real_maps, fake_maps)
            total = total + terms["gan"] * o.gan + terms["feature_matching"] * o.feature_matching
        terms["gradient"] = self.adam.backward(total)
        if adversarial:
            terms["gradient/discriminator"] = self.adam_discriminator.backward(terms["discriminator"])

        def apply():
            schedule = (step, o.steps, o.decay_from, o.warmup, o.schedule)
            self.adam.step(learning_rate(o.lr, *schedule), o.max_gradient)
            if adversarial:
                self.adam_discriminator.step(learning_rate(o.lr_discriminator, *schedule), o.max_gradient)
            self.average.update()

        return list(terms), jt.concat([v.reshape((1,)) for v in terms.values()]), apply

    def adams(self, parts=parts):
        """The optimisers that a step uses."""
        return [self.adam] + ([self.adam_discriminator] if self.adam_discriminator is not None else [])

    def _view(self, fake, real, step: int):
        """What the perceptual loss looks at: the canvas, or by turns the whole picture reduced (shape of the face) and
        a window at full resolution (texture)."""
        size, canvas = self.options.perceptual_size, self.config.canvas
        if not 0 < size < canvas:
            return fake, real
        if step % 2 == 0 and canvas % size == 0:
            factor = canvas // size
            return nn.avg_pool2d(fake, factor, factor), nn.avg_pool2d(real, factor, factor)
        x, y = np.random.default_rng([self.options.seed, 3, step]).integers(0, canvas - size + 1, 2)
        # positions are data: slicing with numbers would compile a kernel for every position
        rows, columns = (jt.array(np.arange(at, at + size, dtype=np.int32)) for at in (y, x))
        return tuple(_window(p, rows, columns, size) for p in (fake, real))

    def validate(self, data, parts=parts) -> Dict[str, float]:
        """Held-out L1 and perceptual loss of the moving average, and the Frechet distance where that is asked for."""
        sums, count, faces, photos = {}, 0, [], []
        with jt.no_grad(), self.average.applied():
            for batch in feed.first(data, self.options.validate):
                fake = self.generator(self.features(batch.crops))
                values = {"l1": losses.l1(fake, batch.photo)}
                if self.perceptual is not None:
                    values["perceptual"] = self.perceptual(fake, batch.photo)
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + value.item() * len(batch)
                count += len(batch)
                if self.options.frechet:
                    faces, photos = faces + pictures_of(fake), photos + pictures_of(batch.photo)
        found = {f"held_out/{name}": value / count for name, value in sums.items()}
        return {**found, **({"held_out/frechet": self._frechet(faces, photos)} if len(faces) > 2 else {})}

    def _frechet(self, faces, photos) -> float:
        from ..evaluation import judges, metrics

        if not hasattr(self, "_judge"):
            self._judge = judges.features()
            self._photos = judges.each(self._judge, photos)
        return float(metrics.frechet(judges.each(self._judge, faces), self._photos))

    def score(self, part: str, values: Dict[str, float]):
        """(score or None, what of) that the best checkpoint is chosen by."""
        if "held_out/perceptual" in values:
            layers = f"{self.options.perceptual_layers} layers"
            return values["held_out/perceptual"], f"held_out/perceptual, {self.perceptual_note}, {layers}"
        return values.get("held_out/l1"), "held_out/l1" if "held_out/l1" in values else ""

    def sheet(self, data):
        """Sketch, the image decoders' drawing of it, face, truth; two sets of four a row."""
        rows = []
        with jt.no_grad(), self.average.applied():
            for batch in feed.first(data, 8):
                count, size = len(batch) // 2 * 2 or 1, self.config.canvas
                rows.append(sheet_captions(("sketch", "shadow", "face", "photograph"), size, min(2, count)))
                faces = self.generator(self.features(batch.crops))[:count]
                groups = [greys_of(batch.sketch[:count]), self._shadows(batch.crops, count), pictures_of(faces),
                          pictures_of(batch.photo[:count])]
                rows += [sheet_row([g[i:i + 2] for g in groups], size) for i in range(0, count, 2)]
                break
        return sheet_of(rows)

    def _shadows(self, crops, count: int):
        """The drawing as the image decoders understood it, merged like feature maps."""
        if not hasattr(self, "_image_decoders"):
            self._image_decoders = {}
            if all(self.embedding.has("image_decoder", c) for c in COMPONENTS):
                for c in COMPONENTS:
                    self._image_decoders[c] = networks.build("image_decoder", self.config, c)
                    networks.into_network(self._image_decoders[c], self.embedding.network("image_decoder", c), c)
                    self._image_decoders[c].eval()
        if not self._image_decoders:
            return [np.full((self.config.canvas, self.config.canvas, 3), 255, np.uint8)] * count
        drawn = {c: self._image_decoders[c](self.encoders[c](crops[c][:count])) for c in COMPONENTS}
        return greys_of(merge(drawn, self.geometry))

    # what a checkpoint holds

    def _parts(self):
        yield from ((f"feature_decoder_{c}", n) for c, n in self.decoders.items())
        yield "generator", self.generator
        if self.discriminator is not None:
            yield "discriminator", self.discriminator

    def arrays(self, part: str = PART) -> Dict[str, np.ndarray]:
        out = {}
        for name, network in self._parts():
            out.update(networks.prefixed(name, networks.to_arrays(network)))
        out.update(networks.prefixed("adam", self.adam.arrays()))
        if self.adam_discriminator is not None:
            out.update(networks.prefixed("adam_discriminator", self.adam_discriminator.arrays()))
        out.update(networks.prefixed("average", self.average.arrays()))
        return out

    def load(self, part: str, arrays, source) -> None:
        for name, network in self._parts():
            state = networks.under(name, arrays)
            if name == "discriminator" and not state:
                continue  # the run began without one; it starts fresh
            networks.into_network(network, state, source)
        self.adam.load(networks.under("adam", arrays), source)
        state = networks.under("adam_discriminator", arrays)
        if self.adam_discriminator is not None and state:
            self.adam_discriminator.load(state, source)
        self.average.load(networks.under("average", arrays))

    def weights(self, part: str = PART) -> Dict[str, Dict[str, np.ndarray]]:
        """File of a weight folder -> its arrays: the moving average, the encoders it was trained with, and the
        discriminator, with which training can go on."""
        path, out = checkpoints.network_path, {}
        with self.average.applied():
            for component, decoder in self.decoders.items():
                out[path("feature_decoder", component)] = networks.to_arrays(decoder)
            out[path("generator")] = networks.to_arrays(self.generator)
        for component, encoder in self.encoders.items():
            out[path("encoder", component)] = networks.to_arrays(encoder)
            if self.embedding.has("image_decoder", component):
                out[path("image_decoder", component)] = self.embedding.network("image_decoder", component)
        if self.discriminator is not None:
            out["discriminator.pkl"] = networks.to_arrays(self.discriminator)
        return out


def _window(picture, rows, columns, size: int):
    n, c = picture.shape[:2]
    return picture.reindex([n, c, size, size], ["i0", "i1", "@e0(i2)", "@e1(i3)"], extras=[rows, columns])
