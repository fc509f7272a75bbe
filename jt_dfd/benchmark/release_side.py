"""The release's way of working, in Jittor: the neighbours decoded one by one, everything again for every stroke.

Its networks are nothing but Jittor's own layers, as its program runs them: a yardstick that is to stay as slow as it
is, whatever becomes of ``jt_dfd/networks``.  So nothing is shared with those but the table of layers; normalisations
are not folded, feature decoders use BatchNorm in training mode (a batch of one: the picture's own statistics), and the
LeakyReLU of slope 1 after every Down and Up is computed.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import layout
from ..backend import jt, nn
from ..components import COMPONENTS, MERGE_ORDER
from ..config import Config
from ..kernels import merge
from ..kernels.selection import PART_SHARE, REST_FADE, WEIGHT_LIMIT, soft_mask
from ..pictures import to_input, to_pixels, to_sketch
from .jittor_side import JittorSide
from .side import K


class Release(JittorSide):
    remembers = False

    def facts(self):
        return {**super().facts(), "decodes": self.request["release_decodes"]}

    def load(self):
        from ..inference.manifold import FeatureBank

        self.banks = FeatureBank(self.folder)
        return Networks(self.folder)

    def close(self):
        self.banks: Any = None
        super().close()

    def read_bank(self, component, gender):
        self.banks.rows(component, gender).sync(True)

    def project(self, latents):
        """One after the other, its results fetched before the next begins."""
        return {c: self.banks.project({c: jt.array(v[None])}, self.gender, K, "nearest")[c] for c, v in latents.items()}

    def merge(self, features):
        merge.reference(features, self.geometry).sync(True)

    def synthesize(self, sketch):
        """The picture.  The anchor is this project's default, so that every side makes the same picture; which anchor
        it is costs nothing."""
        networks, canvas = self.networks, to_sketch(sketch, self.config.canvas)
        latents = networks.encode(self.geometry.crops(canvas))
        near = self.project(latents)
        decoded, weights = {}, {}
        for c in COMPONENTS:
            rows, weights[c] = near[c].rows, near[c].weights
            if self.request["release_decodes"] == "positive":
                rows, weights[c] = rows[weights[c] > 0], weights[c][weights[c] > 0]
            decoded[c] = networks.decode(c, self.rows(c)[rows])
        self._shadow(decoded, weights)
        return networks.photograph(networks.map_features({c: near[c].vector for c in COMPONENTS})), {}

    def _shadow(self, decoded, weights):
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


class Networks:
    """As ``pipeline.Networks``, the release's way.  Called under ``no_grad``."""

    def __init__(self, folder):
        from ..networks import load_arrays

        self.geometry, self._of = folder.config.geometry, {}
        for kind in ("encoder", "image_decoder", "feature_decoder"):
            for component in COMPONENTS:
                self._of[kind, component] = build(kind, folder.config, component)
        self._of["generator", "rest"] = build("generator", folder.config)
        for (kind, component), network in self._of.items():
            load_arrays(network, folder.network(kind, component))

    def encode(self, crops):
        out = {}
        for c, crop in crops.items():
            x = np.ascontiguousarray(to_input(crop))
            out[c] = self._of["encoder", c](jt.array(x[None, None])).numpy()[0]
        return out

    def decode(self, component, rows):
        network = self._of["image_decoder", component]
        return np.stack([network(jt.array(row[None])).numpy()[0, 0] for row in rows])

    def map_features(self, vectors):
        out = {c: self._of["feature_decoder", c](jt.array(vector[None])) for c, vector in vectors.items()}
        jt.sync(list(out.values()))
        return out

    def photograph(self, features):
        face = self._of["generator", "rest"](merge.reference(features, self.geometry)).numpy()[0]
        return to_pixels(face.transpose(1, 2, 0))


class _Block(nn.Module):
    """Its parts one after the other; kind "res": plus the input, else the release's LeakyReLU of slope 1."""

    def __init__(self, block: layout.Block):
        self.order, self.residual = [name for name, _ in block.parts], block.kind == "res"
        for name, part in block.parts:
            setattr(self, name, _make(part))
        self.slope: Any = None if self.residual else nn.LeakyReLU(1.0)

    def execute(self, x):
        y = x
        for name in self.order:
            y = getattr(self, name)(y)
        return x + y if self.residual else self.slope(y)


def _norm(record: layout.Norm):
    if record.kind == "instance":
        return nn.InstanceNorm2d(record.channels)
    return nn.BatchNorm(record.channels, momentum=record.momentum)


_make = layout.maker(nn, nn.Conv, nn.ConvTranspose, _norm, _Block)


class _Network(nn.Module):
    """A network's sequences in order.  Decoders reshape the first one's latent onto their grid, encoders flatten the
    last one's map."""

    def __init__(self, sequences: layout.Network):
        self.order = [(s.name, s.size, layout.channels(s.layers)) for s in sequences]
        for sequence in sequences:
            setattr(self, sequence.name, _make(sequence.layers))

    def execute(self, x):
        for name, size, channels in self.order:
            if size and x.ndim == 2:
                x = x.reshape((x.shape[0], channels, size, size))
            elif not size and x.ndim == 4:
                x = x.reshape((x.shape[0], -1))
            x = getattr(self, name)(x)
        return x


def build(kind: str, config: Config, component: str = "rest"):
    """As the release's program has it when it computes a face.  kind: one of layout.KINDS."""
    network = _Network(layout.network(kind, config, component))
    # its feature decoders lie in a dict, which Jittor's eval() does not enter
    (network.train if kind == "feature_decoder" else network.eval)()
    return network
