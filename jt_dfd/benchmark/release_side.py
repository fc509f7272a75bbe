"""The release's way of working, in Jittor: the neighbours decoded one by one, encoders, feature decoders and generator
through Jittor's own layers, everything again for every stroke.  Runs in a worker process."""
from __future__ import annotations

from itertools import count

import numpy as np

from ..components import COMPONENTS, MERGE_ORDER
from ..guidance import PART_SHARE, REST_FADE, WEIGHT_LIMIT, soft_mask
from ..pictures import to_sketch
from . import flops, inputs
from .checks import merge_bytes
from .jittor_side import K, JittorSide
from .task import Task


class Release(JittorSide):
    def __init__(self):
        self._networks = self._bank = None

    def more_facts(self):
        return {"decodes": self.request["release_decodes"]}

    def _network(self, kind, component="rest"):
        if self._networks is None:
            self._load_all()
        return self._networks[kind, component]

    def _load_all(self):
        from ..manifold import FeatureBank
        from ..networks.loading import load_arrays
        from .release_layers import build

        self._networks, self._bank = {}, FeatureBank(self.folder)
        for kind in ("encoder", "image_decoder", "feature_decoder"):
            for component in COMPONENTS:
                self._networks[kind, component] = build(kind, self.config, component)
        self._networks["generator", "rest"] = build("generator", self.config)
        for (kind, component), network in self._networks.items():
            load_arrays(network, self.folder.network(kind, component))

    # its steps

    def encode(self, canvas):
        with self.jt.no_grad():
            out = {}
            for c in COMPONENTS:
                crop = self.geometry.crop(canvas, c).astype(np.float32)
                x = self.jt.array(np.ascontiguousarray((crop - 127.5) / 127.5)[None, None])
                out[c] = self._network("encoder", c)(x).numpy()[0]
        return out

    def project(self, latents):
        self._network("encoder", "rest")
        return {c: self._bank.project(c, self.gender, latents[c], K, "nearest") for c in COMPONENTS}

    def decode(self, component, rows):
        with self.jt.no_grad():
            network = self._network("image_decoder", component)
            return np.stack([network(self.jt.array(row[None])).numpy()[0, 0] for row in rows])

    def features(self, vectors):
        with self.jt.no_grad():
            out = {c: self._network("feature_decoder", c)(self.jt.array(vectors[c][None])) for c in COMPONENTS}
            self.jt.sync(list(out.values()))
        return out

    def merge(self, features):
        out = features["rest"].clone()
        for part in MERGE_ORDER:
            x, y, width, height = self.geometry.merge_window(part)
            out[:, :, y:y + height, x:x + width] = features[part][:, :, :height, :]
        return out

    def photograph(self, features):
        with self.jt.no_grad():
            face = self._network("generator")(self.merge(features)).numpy()[0]
        return np.clip((face.transpose(1, 2, 0) + 1) / 2 * 255, 0, 255).astype(np.uint8)

    def shadow(self, decoded, weights):
        ink = {}
        for c in COMPONENTS:
            share = np.clip(weights[c], 0, WEIGHT_LIMIT).astype(np.float32)
            ink[c] = np.clip(np.tensordot(share, (1 - decoded[c]) / 2, 1) * 255, 0, 255)
        page = ink["rest"]
        for part in MERGE_ORDER:
            w = self.geometry.window(part)
            mask = soft_mask(w.size)
            page[w.slices] *= 1 - (1 - mask) * REST_FADE
            page[w.slices] += ink[part] * (1 - mask) * PART_SHARE
        return (255 - np.clip(page, 0, 255)).astype(np.uint8)

    def synthesize(self, sketch):
        """(picture, shadow, {component: neighbours decoded}).  The anchor is this project's default, so that every side
        makes the same picture; which anchor it is costs nothing."""
        near = self.project(self.encode(to_sketch(sketch, self.config.canvas)))
        decoded, weights = {}, {}
        for c in COMPONENTS:
            rows, w = near[c].rows, near[c].weights
            if self.request["release_decodes"] == "positive":
                rows, w = rows[w > 0], w[w > 0]
            decoded[c], weights[c] = self.decode(c, self.bank_rows(c)[rows]), w
        shadow = self.shadow(decoded, weights)
        face = self.photograph(self.features({c: near[c].vector for c in COMPONENTS}))
        return face, shadow, {c: len(d) for c, d in decoded.items()}

    # stages

    def _encode(self, name, options):
        return Task(self.encode, self.sketches(),
                    facts={"flops": sum(flops.encoder(self.config, c) for c in COMPONENTS)})

    def _project(self, name, options):
        return Task(self.project, self.latents(), facts={"bytes": sum(self.bank_rows(c).nbytes for c in COMPONENTS)})

    def _decode(self, name, options):
        component = options["component"]
        return Task(lambda rows: self.decode(component, rows), self.some_rows(component),
                    facts={"flops": K * flops.image_decoder(self.config, component)})

    def _features(self, name, options):
        return Task(self.features, self.latents(),
                    facts={"flops": sum(flops.feature_decoder(self.config, c) for c in COMPONENTS)})

    def _merge(self, name, options):
        features = self.features(self.latents()())

        def run(_):
            with self.jt.no_grad():
                self.merge(features).sync(True)
        return Task(run, facts={"bytes": merge_bytes(self.config)})

    def _generator(self, name, options):
        features = self.features(self.latents()())
        return Task(lambda _: self.photograph(features), facts={"flops": flops.generator(self.config)})

    def _face(self, name, options):
        numbers = count(1)
        return Task(self.synthesize, lambda: inputs.sketch(self.geometry, next(numbers)), self._tell)

    def _stroke(self, name, options):
        strokes = inputs.strokes(self.geometry, options["component"])
        return Task(self.synthesize, lambda: next(strokes), self._tell)

    def _tell(self, result):
        work = {"encode": {c: 1 for c in COMPONENTS}, "decode": result[2], "features": {c: 1 for c in COMPONENTS},
                "generator": {"rest": 1}}
        return {"work": work, "flops": flops.of_work(self.config, work), "mean": round(float(result[0].mean()), 2)}

    def _load(self, name, options):
        def drop():
            self._networks = self._bank = None
            self.tidy()
        size = sum((self.folder.path / f).stat().st_size for f in self.folder.files())

        def run(_):
            self._load_all()
            for gender in self.folder.genders or ("female",):
                for c in COMPONENTS:
                    self._bank.rows(c, gender).sync(True)
        return Task(run, drop, facts={"bytes": size})
