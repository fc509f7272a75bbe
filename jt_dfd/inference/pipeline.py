"""The networks and the feature banks (the manifold of plausible faces) of one folder in memory, and each step from
arrays to arrays.  Importing this starts Jittor."""
from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import networks
from ..backend import jt, nn
from ..checkpoints import Folder
from ..components import COMPONENTS, GRID
from ..kernels import linear, merge, projection, rows, shadow
from ..kernels.linear import Row
from ..networks import half, load_arrays, steps
from ..networks.modules import Res, Up, fold
from ..pictures import resized, to_input
from ..runtime import gpu, ways

#: bytes of one layer's output up to which pictures are decoded together (ours, measured: more in one batch falls out
#: of the processor's caches and gets slower)
BATCH_BYTES = 40 << 20
#: neighbours of a component that a face usually has at most (release).  The image decoders' ways are timed with so
#: many, and on a GPU so many are decoded at once, always: cuDNN looks for algorithms anew for every other number
NEIGHBOURS = 15
#: shapes of convolutions whose algorithm cuDNN keeps (ours; a face has about 200): beyond Jittor's own 100 they
#: would be guessed
CUDNN_SHAPES = 1000
#: size of a feature map from which scratch is given back at every step (ours)
STEP_BYTES = 24 << 20
#: networks that compute in float16 where half precision is asked for: most of the arithmetic, none of the choosing.
#: Encoders and projection stay float32, since which rows are neighbours hangs on the last bits of a distance; the image
#: decoders stay so too, since the shadow they draw is at most a few percent of a face's time once they are remembered.
HALF_NETWORKS = ("feature_decoder", "generator")


#: True: a CPU computes step by step what a GPU is asked for, to be counted and compared (tests)
AS_ON_GPU = False


def device() -> str:
    return "cuda" if jt.flags.use_cuda else "cpu"


def on_gpu() -> bool:
    """Whether the components' networks run side by side, a layer of all of them after the other: few operators, which
    a GPU wants, and not the order that keeps a CPU's caches warm."""
    return bool(jt.flags.use_cuda) or AS_ON_GPU


def release_memory() -> None:
    """Give memory that no step holds any more back to the system: Jittor and the C library would both keep it.

    Called between the steps of a full-size face, whose scratch is a few hundred megabytes each, in different sizes.
    """
    jt.gc()
    if _trim is not None:
        _trim(0)


def _find_trim():
    try:
        return ctypes.CDLL(None).malloc_trim  # glibc only
    except (OSError, AttributeError):
        return None


_trim = _find_trim()


def store(number: int, size: int) -> "jt.Var":
    """Room for pictures: (number, size, size) float32, with anything in it."""
    made = jt.empty((number, size, size))
    made.sync()
    return made


def together(vectors: Mapping[str, np.ndarray]) -> Dict[str, Row]:
    """{component: (latent,) float32} -> their places on the device, by one copy to it."""
    packed: Any = jt.array(np.stack(list(vectors.values()))) if vectors else None
    return {c: Row(packed, i * v.size) for i, (c, v) in enumerate(vectors.items())}


class Networks:
    """All sixteen inference networks of a folder, each file read once.

    precision  "single" or "half": whether HALF_NETWORKS compute in float16 (on a CPU that is the same arithmetic at no
               gain in speed; see ``networks.half``)
    batch_bytes  bytes of one layer's output up to which ``decode`` computes neighbours together; may be changed
    """

    batch_bytes = BATCH_BYTES

    def __init__(self, folder: Folder, precision: str = "single"):
        self.config, self.geometry, self.precision = folder.config, folder.config.geometry, precision
        self._of: Dict[Tuple[str, str], Any] = {}
        self._folder, self._runs = folder, {}
        if jt.flags.use_cuda:
            jt.cudnn.set_algorithm_cache_size(CUDNN_SHAPES)
        # the large ones first: while a file is read its contents are in memory twice
        self.generator = self._read(folder, "generator", "rest")
        for component in reversed(COMPONENTS):
            for kind in ("feature_decoder", "image_decoder", "encoder"):
                self._of[kind, component] = self._read(folder, kind, component)

    def _read(self, folder: Folder, kind: str, component: str):
        arrays = folder.network(kind, component)
        network = networks.build(kind, self.config, component)
        if kind == "image_decoder":
            # not the encoders: the release's anchor hangs on the last bits of a distance, so latents have to come out
            # of the same operations as the release's (on a GPU, whose convolutions have other last bits, of few)
            arrays = fold(network, arrays)
        load_arrays(network, arrays)
        network.eval()
        if self.precision == "half" and kind in HALF_NETWORKS:
            half.use(network, keep_weights=False)
        return network

    def _layers(self, kind: str, component: str = "rest"):
        """The convolutional part of a decoder or the generator: [(layer, function from picture to picture)]."""
        if (kind, component) not in self._runs:
            plain = on_gpu() or self.precision == "half" \
                or (ways.taken(self._way_name(kind, component)) or ways.default()) == ways.PLAIN
            network = self.generator if kind == "generator" else self._of[kind, component]
            self._runs[kind, component] = self._steps(kind, network, plain)
        return self._runs[kind, component]

    @staticmethod
    def _steps(kind: str, network, plain: bool):
        """Those steps one way or the other; after the channels-last way the layers cannot be used plainly any more."""
        layers = list(network.model if kind == "generator" else network.conv)
        if plain:
            return [(layer, lambda x, step=step: step([x])[0]) for layer, step in zip(layers, steps.fused([layers]))]
        return [(None, steps.enter), *zip(layers, steps.channels_last(layers)), (None, steps.leave)]

    def _side_by_side(self, kind: str, pictures: Mapping[str, Any]) -> Dict[str, Any]:
        """{component: what enters the convolutional part of its network} -> {component: what leaves it}."""
        if (kind, "") not in self._runs:
            self._runs[kind, ""] = steps.fused([list(self._of[kind, c].conv) for c in COMPONENTS])
        every: List = [pictures.get(c) for c in COMPONENTS]
        for step in self._runs[kind, ""]:
            every = step(every)
        return {c: picture for c, picture in zip(COMPONENTS, every) if picture is not None}

    def _linear(self, kind: str, inputs: Mapping[str, Sequence[Row]]) -> Dict[str, Any]:
        """The linear layer of encoders or decoders: {component: vectors} -> {component: (vectors, out) Var}."""
        layers = [(self._of[kind, c].fc_mu if kind == "encoder" else self._of[kind, c].fc)[0] for c in COMPONENTS]
        made = linear.linear([inputs.get(c) for c in COMPONENTS], [fc.weight for fc in layers],
                             [fc.bias for fc in layers])
        return {c: y for c, y in zip(COMPONENTS, made) if y is not None}

    def _started(self, kind: str, inputs: Mapping[str, Sequence[Row]]) -> Dict[str, Any]:
        """What the convolutions of decoders begin with."""
        return {c: y.reshape((y.shape[0], self._of[kind, c].width, *[GRID[c]] * 2))
                for c, y in self._linear(kind, inputs).items()}

    def choose_ways(self, progress: Callable[[str, int, int], None] = lambda step, done, total: None
                    ) -> Dict[str, Dict]:
        """Time both ways of every network on this CPU that was not timed before, and take the quicker; see
        ``runtime.ways``.  Returns what is kept for these networks, nothing on a GPU, where there is one way.

        progress  called with (network, done, total)
        """
        if jt.flags.use_cuda or self.precision == "half":
            return {}
        every = [("generator", "rest")] + [(kind, c) for c in COMPONENTS
                                           for kind in ("image_decoder", "feature_decoder")]
        for done, (kind, component) in enumerate(every):
            name = self._way_name(kind, component)
            progress(name, done, len(every))
            if ways.taken(name) is None:
                self._choose_way(kind, component, name)
        progress("", len(every), len(every))
        kept = ways.read().get(ways.machine(), {})
        return {name: kept[name] for name in (self._way_name(*which) for which in every) if name in kept}

    def _choose_way(self, kind: str, component: str, name: str) -> None:
        pictures = self._most(component) if kind == "image_decoder" else 1
        if kind == "generator":
            shape = (1, self.config.feature_channels, self.config.canvas, self.config.canvas)
        else:
            shape = (pictures, self.config.encoder_widths[-1], *[GRID[component]] * 2)
        self._runs.pop((kind, component), None)
        # two copies, run in turn: channels last brings the weights into another order
        copies = [self._read(self._folder, kind, component) for _ in range(2)]
        runs = [self._steps(kind, network, plain) for network, plain in zip(copies, (False, True))]
        with jt.no_grad():
            x = jt.array(np.random.default_rng(0).standard_normal(shape, np.float32))
            x.sync()
            ours, plain = ways.pairs(*((lambda run=run: self._run_steps(run, x).sync(True)) for run in runs))
        taken = int(ways.keep(name, ours, plain) == ways.PLAIN)
        self._runs[kind, component] = runs[taken]
        if kind == "generator":
            self.generator = copies[taken]
        else:
            self._of[kind, component] = copies[taken]
        self._tidy()

    def _way_name(self, kind: str, component: str) -> str:
        return ways.network(kind, component, self.config, self._most(component) if kind == "image_decoder" else 1)

    def _most(self, component: str) -> int:
        """Neighbours that an image decoder decodes together at most."""
        size = self.geometry.window(component).size
        return min(NEIGHBOURS, max(1, BATCH_BYTES // (size * size * self.config.image_widths[-1] * 4)))

    def encode(self, crops: Mapping[str, np.ndarray]) -> Dict[str, "jt.Var"]:
        """{component: (S, S) uint8} -> {component: (1, latent) Var}, by one copy to the device."""
        if not crops:
            return {}
        # without TF32: a latent that is off by a thousandth has other neighbours
        with jt.no_grad(), gpu.exact(jt):
            packed, at, entering = jt.array(np.concatenate([to_input(c).ravel() for c in crops.values()])), 0, {}
            for component, crop in crops.items():
                entering[component] = packed[at:at + crop.size].reshape((1, 1, *crop.shape))
                at += crop.size
            if on_gpu():
                latents = self._linear("encoder", {c: [Row(x, 0)] for c, x in
                                                   self._side_by_side("encoder", entering).items()})
            else:
                latents = {c: self._of["encoder", c](x) for c, x in entering.items()}
            jt.sync(list(latents.values()))  # at once, so that what must be compiled is compiled in parallel
        self._tidy()
        return latents

    def decode(self, component: str, vectors: np.ndarray) -> np.ndarray:
        """(k, latent) float32 -> (k, size, size) float32: sketches as the image decoder sees them."""
        return np.concatenate([made.numpy()[:, 0] for made in self._decoded(component, jt.array(vectors))])

    def decode_into(self, wanted: Mapping[str, Tuple[Any, Sequence[int], Any, Sequence[int]]]) -> None:
        """{component: (store, places, bank, which)}: decode the rows ``which`` of each bank (N, latent) Var into the
        ``places`` of its store (n, size, size) Var."""
        if on_gpu():
            self._decode_side_by_side(wanted)
            return
        for component, (store, places, bank, which) in wanted.items():
            done = 0
            for made in self._decoded(component, rows.take(bank, which)):
                rows.keep([made], [store], [places[done:done + made.shape[0]]])
                done += made.shape[0]  # tidied by what comes after the last component

    def _decode_side_by_side(self, wanted) -> None:
        for first in range(0, max((len(which) for *_, which in wanted.values()), default=0), NEIGHBOURS):
            some = {c: (store, places[first:first + NEIGHBOURS], bank, which[first:first + NEIGHBOURS])
                    for c, (store, places, bank, which) in wanted.items() if len(which) > first}
            with jt.no_grad():
                made = self._side_by_side("image_decoder", self._started("image_decoder", {
                    c: [Row(bank, row * self.config.latent) for row in (*which, *[which[-1]] * NEIGHBOURS)[:NEIGHBOURS]]
                    for c, (_, _, bank, which) in some.items()}))
            rows.keep([made.get(c) for c in COMPONENTS], *([some[c][i] if c in some else None for c in COMPONENTS]
                                                           for i in (0, 1)))

    def _decoded(self, component: str, vectors) -> List["jt.Var"]:
        """(n, latent) -> pictures (b, 1, size, size), those of the first b vectors, then of the next; not computed
        yet."""
        network, count, size = self._of["image_decoder", component], len(vectors), self.geometry.window(component).size
        most = max(1, self.batch_bytes // (size * size * self.config.image_widths[-1] * 4))
        step = NEIGHBOURS if on_gpu() else -(-count // -(-count // most))
        with jt.no_grad():
            # the linear layer in one batch: its weights are larger than its pictures
            grids = network.start(vectors)
            parts = [grids[first:first + step] for first in range(0, count, step)]
            if on_gpu():
                return [self._side_by_side("image_decoder", {component: part})[component] for part in parts]
            # scratch is kept from one batch to the next: its pages would have to be cleared for each again
            return [self._in_steps("image_decoder", component, part, tidy=False) for part in parts]

    def map_features(self, vectors: Mapping[str, Any]) -> Dict[str, "jt.Var"]:
        """{component: (latent,) vector as a Row of a Var, or all of them as arrays} -> {component: (1, channels, size,
        size) Var}."""
        if isinstance(next(iter(vectors.values()), None), np.ndarray):
            vectors = together(vectors)
        with jt.no_grad():
            if on_gpu():
                features = self._side_by_side("feature_decoder", self._started(
                    "feature_decoder", {c: [vector] for c, vector in vectors.items()}))
            else:
                features = {c: self._in_steps("feature_decoder", c, self._of["feature_decoder", c].start(
                    vector.vector(self.config.latent))) for c, vector in vectors.items()}
            jt.sync(list(features.values()))
        self._tidy()
        return features

    def photograph(self, features: Dict[str, "jt.Var"], beside=None):
        """All five feature maps -> (512, 512, 3) uint8 RGB; with ``beside``, a (n,) uint8 Var that is copied to the
        host along with it, (picture, (n,) uint8)."""
        with jt.no_grad():
            made = self._in_steps("generator", "rest", merge.merge(features, self.geometry))[0]
            # clipped and truncated (release)
            made = ((made + 1) / 2 * 255).maximum(0.0).minimum(255.0).uint8().transpose((1, 2, 0)).reshape((-1,))
            size = made.shape[0]
            got = (made if beside is None else jt.concat([made, beside])).numpy().view(np.uint8)
        self._tidy()
        face = resized(got[:size].reshape(self.config.canvas, self.config.canvas, 3), 512)
        return face if beside is None else (face, got[size:])

    def _frugal(self) -> bool:
        # smaller canvases have no scratch worth the milliseconds
        return self.config.canvas == 512 and not jt.flags.use_cuda

    def _tidy(self) -> None:
        if self._frugal():
            release_memory()

    def _in_steps(self, kind: str, component: str, x, tidy: bool = True):
        """The layers one after the other; where maps are large, what a step leaves is given back before the next."""
        return self._run_steps(self._layers(kind, component), x, tidy)

    def _run_steps(self, run, x, tidy: bool = True):
        tidy = tidy and self._frugal()
        for layer, step in run:
            if tidy and isinstance(layer, (Res, Up, nn.Conv, nn.ConvTranspose, nn.ReflectionPad2d)):
                x.sync()
                if x.numel() * 4 > STEP_BYTES:
                    release_memory()
            x = step(x)
        return x

    def shadow(self, stores: Dict[str, "jt.Var"], places: Mapping[str, Sequence[int]], weights: Dict[str, np.ndarray]):
        """The neighbours in those places of each component's store, and their weights -> all pictures in one Var; see
        ``kernels.shadow``."""
        made = shadow.shadow(stores, weights, self.geometry, places)
        made.sync()
        self._tidy()
        return made


class Neighbours(NamedTuple):
    """What projection made of a latent (latent,) float32: rows (k,) int32, the anchor first; weights (k,) float32;
    vector (latent,) float32, the projection refined; variable: the same on the device; key names the rows' bank."""

    latent: np.ndarray
    rows: np.ndarray
    weights: np.ndarray
    vector: np.ndarray
    variable: linear.Row
    key: Tuple[str, Optional[str]]


class FeatureBank:
    """The banks of one folder, read when first asked for and kept.

    Rows are latents of training sketches; where banks were written together, row i of every component is the same
    person.
    """

    def __init__(self, folder: Folder):
        self.folder = folder
        self._rows: Dict[Tuple[str, Optional[str]], "jt.Var"] = {}

    @property
    def genders(self) -> Tuple[str, ...]:
        return self.folder.genders

    def key(self, component: str, gender: Optional[str]) -> Tuple[str, Optional[str]]:
        """Two genders served by one shared bank have the same key."""
        return component, gender if gender in self.folder.genders else None

    def rows(self, component: str, gender: Optional[str]):
        """(rows, latent) float32 ``Var``.  CheckpointError where the bank is missing or damaged."""
        key = self.key(component, gender)
        if key not in self._rows:
            self._rows[key] = jt.array(self.folder.bank(component, gender)).stop_grad()
        return self._rows[key]

    def project(self, latents: Mapping[str, Any], gender: Optional[str], k: int, anchor: str,
                amounts: Optional[Mapping[str, float]] = None) -> Dict[str, Neighbours]:
        """Neighbours of {component: (1, latent) ``Var``} in their banks, by one operator and with one copy to the host;
        see ``kernels.projection``.

        amounts  {component: how much of the projection goes into the vector, the rest being the latent's own}: 1 is
                 full projection (the release's default), 0 follows the drawing.  (The paper's symbol runs the other way
                 round.)
        """
        if not latents:
            return {}
        # all components in every call, so that nothing is compiled anew for another set of them
        some = next(iter(latents))
        banks = [self.rows(c if c in latents else some, gender) for c in COMPONENTS]
        made = projection.refined(banks, [latents.get(c, latents[some]) for c in COMPONENTS],
                                  [k if c in latents else 0 for c in COMPONENTS], anchor,
                                  [(amounts or {}).get(c, 1.0) for c in COMPONENTS])
        out, found, d = {}, made.numpy(), latents[some].shape[1]
        for i, c in enumerate(COMPONENTS):
            if c in latents:
                latent, vector, weights, rows = np.split(found[i], (d, 2 * d, (made.shape[1] - 2 * d) // 2 + 2 * d))
                near = min(k, banks[i].shape[0])
                out[c] = Neighbours(latent, rows.view(np.int32)[:near], weights[:near], vector,
                                    linear.Row(made, i * made.shape[1] + d), self.key(c, gender))
        return out
