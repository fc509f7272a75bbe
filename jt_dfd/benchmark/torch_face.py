"""A sketch to a face in PyTorch, with the converter's modules: what this project's Synthesizer does, as somebody who
would pick PyTorch writes it.

It remembers the same things: parts whose input did not change, and decoded neighbours by bank row.
"""
from __future__ import annotations

import numpy as np

from ..components import COMPONENTS, PARTS
from ..guidance import PART_SHARE, REST_FADE, WEIGHT_LIMIT, soft_mask
from ..memory import Recent, digest
from ..pictures import to_sketch

#: neighbours, and the weight of the condition that weights sum to one (release)
K, PENALTY = 15, 10.0
#: bytes of decoded neighbours kept: as many as the Synthesizer keeps
DECODED_BYTES = 48 << 20


class TorchSynthesizer:
    """request: "params", "device" (a PyTorch device's name), "chunk_bytes"; layout: a torch memory format or None."""

    def __init__(self, torch, request, layout=None):
        from ..converter.torch_modules import load_pretrained

        self.torch, self.device = torch, request["torch_device"]
        self.pipeline = load_pretrained(request["params"], self.device)
        if layout is not None:
            self.pipeline.to(memory_format=layout)
        self.config, self.geometry = self.pipeline.config, self.pipeline.config.geometry
        self.half = request.get("precision") == "half"
        self.chunk_bytes = request.get("chunk_bytes") or 40 << 20
        self.genders = tuple(g for g in ("male", "female") if ("rest", g) in self.pipeline.banks)
        self._banks, self.work = {}, {}
        self._masks = {p: self._to(soft_mask(self.geometry.window(p).size)) for p in PARTS}
        self.forget()

    def forget(self) -> None:
        self._latents, self._near, self._features = {}, {}, {}
        self._decoded = Recent(size_limit=DECODED_BYTES)

    def _to(self, array):
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _autocast(self):
        """Feature decoders and generator in float16 where half precision is asked for: what this project lowers."""
        return self.torch.autocast(self.device, self.torch.float16, enabled=self.half)

    def _count(self, kind, component, number=1):
        held = self.work.setdefault(kind, {})
        held[component] = held.get(component, 0) + number

    def take(self):
        """What was computed since the last call."""
        work, self.work = self.work, {}
        return work

    # the steps

    def encode(self, crops):
        """{component: (S, S) uint8} -> {component: (latent,) tensor}."""
        out = {}
        for c, crop in crops.items():
            x = self._to((crop.astype(np.float32) - 127.5) / 127.5)[None, None]
            out[c] = self.pipeline.encoders[c](x)[0]
            self._count("encode", c)
        return out

    def bank(self, component, gender):
        key = component, gender
        if key not in self._banks:
            self._banks[key] = self._to(self.pipeline._bank(component, gender))
        return self._banks[key]

    def project(self, bank, latent):
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

    def decode(self, component, vectors):
        """(k, latent) tensor -> (k, size, size) tensor, as many together as ``chunk_bytes`` of a layer take."""
        size = self.geometry.window(component).size
        chunk = max(1, self.chunk_bytes // (size * size * self.config.image_widths[-1] * 4))
        self._count("decode", component, len(vectors))
        return self.torch.cat([self.pipeline.image_decoders[component](part)[:, 0] for part in vectors.split(chunk)])

    def features(self, vectors):
        """{component: (latent,) tensor} -> {component: (1, channels, size, size) tensor}."""
        out = {}
        for c, vector in vectors.items():
            with self._autocast():
                out[c] = self.pipeline.feature_decoders[c](vector[None])
            self._count("features", c)
        return out

    def photograph(self, features):
        """(canvas, canvas, 3) uint8."""
        from ..converter.torch_modules import face_picture, merge

        self._count("generator", "rest")
        with self._autocast():
            face = self.pipeline.generator(merge(features, self.config))
        return face_picture(face)

    def shadow(self, decoded, weights):
        """The page's shadow, (canvas, canvas) uint8."""
        ink = {}
        for c in COMPONENTS:
            share = weights[c].clamp(0, WEIGHT_LIMIT)
            ink[c] = (self.torch.einsum("k,kij->ij", share, (1 - decoded[c]) / 2) * 255).clamp(0, 255)
        page = ink["rest"].clone()
        for part in PARTS:
            rows, columns = self.geometry.window(part).slices
            mask = self._masks[part]
            page[rows, columns] *= 1 - (1 - mask) * REST_FADE
            page[rows, columns] += ink[part] * (1 - mask) * PART_SHARE
        return (255 - page.clamp(0, 255)).to(self.torch.uint8).cpu().numpy()

    # all of it

    def synthesize(self, sketch, gender="female"):
        """(H, W) uint8 -> (face, shadow), uint8 arrays."""
        with self.torch.inference_mode():
            canvas = to_sketch(sketch, self.config.canvas)
            crops = {c: np.ascontiguousarray(self.geometry.crop(canvas, c)) for c in COMPONENTS}
            keys = {c: digest(crop) for c, crop in crops.items()}
            changed = [c for c in COMPONENTS if self._latents.get(c, (None,))[0] != keys[c]]
            for c, latent in self.encode({c: crops[c] for c in changed}).items():
                self._latents[c] = keys[c], latent
            for c in changed:
                bank = self.bank(c, gender)
                rows, weights, vector = self.project(bank, self._latents[c][1])
                self._near[c] = self._pictures(c, bank, rows, weights), weights[weights > 0], vector
            shadow = self.shadow({c: n[0] for c, n in self._near.items()}, {c: n[1] for c, n in self._near.items()})
            for c in changed:
                self._features.pop(c, None)
            self._features.update(self.features({c: self._near[c][2] for c in changed}))
            face = self.photograph(self._features)
        if face.shape[0] != 512:
            import cv2

            face = cv2.resize(face, (512, 512), interpolation=cv2.INTER_CUBIC)
        return face, shadow

    def _pictures(self, component, bank, rows, weights):
        """The decoded neighbours of positive weight; those decoded before are remembered."""
        numbers = rows[weights > 0].tolist()
        missing = [n for n in numbers if (component, n) not in self._decoded]
        fresh = dict(zip(missing, self.decode(component, bank[missing]))) if missing else {}
        out = [fresh[n] if n in fresh else self._decoded[component, n] for n in numbers]
        for n, picture in fresh.items():
            self._decoded[component, n] = picture.clone()  # not a view that keeps all of its batch
        return self.torch.stack(out)
