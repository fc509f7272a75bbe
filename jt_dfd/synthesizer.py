"""A sketch becomes a face: crops, latents, projection, shadow guidance, feature maps, photograph.

    from jt_dfd import Synthesizer
    s = Synthesizer("Params/demo")
    r = s.synthesize("sketch.png", gender="female", refine={"eye1": 0.8, "rest": 1})
    r.face, r.shadow

A synthesizer remembers what did not change: of a drawing in progress only the components under the last stroke are
computed again.
"""
from __future__ import annotations

import hashlib
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from . import drawings
from .checkpoints import open_folder
from .components import COMPONENTS, MERGE_ORDER
from .errors import InputError
from .kernels.selection import check_anchor, check_k, visible
from .pictures import resized, to_sketch

#: neighbours projected on (release; the paper says 10)
DEFAULT_K = 15
#: decoded neighbours of a component that are kept (ours): two sketches' worth, 46 MB at the release's sizes
DECODED = 32
#: precisions of inference
PRECISIONS = ("single", "half")


@dataclass
class Result:
    """What became of one sketch.

    face      (512, 512, 3) uint8 RGB, enlarged where the preset's canvas is smaller
    shadow    (512, 512) uint8, the guidance under the strokes at full strength, white = none; None where it was not
              asked for
    latents   {component: (latent,) float32}, as the encoders see the sketch
    vectors   the same after projection and refinement: what the face was made of
    shadows   {component: (size, size) uint8}, each component's guidance before masks; {} without a shadow
    rows, weights   {component: (k,)}: the bank's rows that were projected on, the anchor first, and their weights
    milliseconds    {step: time spent}
    reading   what was done to the sketch before it became a face, and what is wrong with it (drawings.Reading)
    """

    face: np.ndarray
    shadow: Optional[np.ndarray]
    latents: Dict[str, np.ndarray]
    vectors: Dict[str, np.ndarray]
    shadows: Dict[str, np.ndarray]
    rows: Dict[str, np.ndarray]
    weights: Dict[str, np.ndarray]
    milliseconds: Dict[str, float] = field(default_factory=dict)
    reading: Optional[drawings.Reading] = None

    @property
    def notes(self) -> Tuple[drawings.Remark, ...]:
        """What was done to the sketch: remarks with ``code`` and ``text``; empty for black strokes on a white
        square."""
        return self.reading.notes if self.reading else ()

    @property
    def warnings(self) -> Tuple[drawings.Remark, ...]:
        """Why the sketch may not be what was meant: an empty page, a photograph, and so on."""
        return self.reading.warnings if self.reading else ()


def digest(array: np.ndarray) -> bytes:
    """16 bytes that stand for an array's contents."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()


class Recent:
    """A dictionary of at most ``limit`` entries, which forgets the least recently used."""

    def __init__(self, limit: int):
        self._entries: "OrderedDict" = OrderedDict()
        self.limit = limit

    def __contains__(self, key) -> bool:
        return key in self._entries

    def __getitem__(self, key):
        self._entries.move_to_end(key)
        return self._entries[key]

    def __setitem__(self, key, value) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self.limit:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)

    def missing(self, keys):
        """Those of ``keys`` that are not held.  The others count as used, so that what is put in for these does not
        push them out."""
        for key in keys:
            if key in self:
                self._entries.move_to_end(key)
        return [key for key in keys if key not in self]


class Places(Recent):
    """Key -> place, a number from 0 to ``limit`` - 1: where the thing lies that the key names."""

    def take(self, keys):
        """Give every key a place, at most ``limit`` of them at once; what was used least recently goes.  Returns the
        keys that had none before."""
        new = self.missing(keys)
        for key in new:
            self[key] = len(self) if len(self) < self.limit else self._entries.popitem(last=False)[1]
        return new


class Synthesizer:
    """Weights in memory and the way from a sketch to a face.

    params     a folder of weights in any format: ``Params/demo``, one in the release's layout, or a converted one
    device     "auto", "cpu" or "cuda"
    precision  "single": float32.  "half", on a GPU only: the feature decoders and the generator compute in float16,
               with float32 sums, statistics and activations; encoders, projection and shadow stay as they are, so the
               neighbours are the same.  The face differs by less than 2 grey levels on average (0.5, and 4 at most,
               with the release's sizes and the same roundings on a CPU).  On a GPU that gains nothing by it (no tensor
               cores) float32 is used, with a RuntimeWarning; ``precision`` says which

    CheckpointError names the file where weights are missing or unfit; RuntimeProblem says what Jittor lacks; ValueError
    where the device has no half precision.
    """

    def __init__(self, params: Union[str, Path] = "Params/demo", device: str = "auto",
                 precision: str = "single"):
        if precision not in PRECISIONS:
            raise InputError(f"precision must be 'single' or 'half', not {precision!r}")
        folder = open_folder(params)
        from . import runtime

        runtime.start(device)
        from .inference import pipeline
        from .inference.manifold import FeatureBank

        if precision == "half" and pipeline.device() != "cuda":
            raise InputError("half precision needs a GPU: Jittor's convolutions on a CPU are float32 only, and in "
                             "float16 they would fall back to plain loops, hundreds of times slower. Leave it out "
                             "here, or use device 'cuda' where there is a GPU (tools/doctor.py says what is found)")

        if precision == "half" and not runtime.half_precision_gains():
            warnings.warn("half precision gains nothing on this GPU, which has no tensor cores: computing in float32",
                          RuntimeWarning, stacklevel=2)
            precision = "single"
        self.folder, self.config, self.geometry = folder, folder.config, folder.config.geometry
        self.device, self.precision = pipeline.device(), precision
        folder.check_banks()  # before the large files: a damaged bank must not come to light in the middle of a drawing
        self.bank = FeatureBank(folder)
        self.networks = pipeline.Networks(folder, precision)
        self.forget()

    def forget(self) -> None:
        """Let go what is remembered of earlier drawings; weights and banks stay.  The next face is computed whole."""
        self._latents, self._neighbours = Recent(64), Recent(64)
        self._decoded: Dict[str, Tuple[Places, Any]] = {}
        self._shadow, self._features, self._face = Recent(2), {}, Recent(8)

    @property
    def genders(self) -> Tuple[str, ...]:
        """Genders with a bank of their own; () where one bank serves everybody."""
        return self.bank.genders

    def synthesize(self, sketch, gender: str = "female", refine: Union[float, Mapping[str, float]] = 1.0,
                   k: int = DEFAULT_K, anchor: str = "nearest",
                   on_shadow: Optional[Callable[[np.ndarray], None]] = None, as_is: bool = False,
                   place: bool = False, shadow: bool = True) -> Result:
        """One sketch to one face.

        sketch     a path, a Pillow image, an (H, W), (H, W, 3) or (H, W, 4) uint8 array, or a drawings.Reading: strokes
                   on any paper, read as drawings.read says; black on a white square as the release reads it
        gender     "male" or "female": the bank to project on; without meaning where the folder's bank is shared
        refine     0 follows the drawing, 1 is full projection; a number for all components or {component: number},
                   components left out at 1, "all" for the rest of them
        k          neighbours, 1 to 64
        anchor     "nearest", or "release" for the release's own choice among the neighbours
        on_shadow  called with the (512, 512) uint8 shadow as soon as it is there, before the face
        as_is      take the sketch's red channel, squeezed to a square, and correct nothing
        place      move and scale the drawn face to where a face belongs
        shadow     False: no neighbour is decoded, which is more than half of a face's time; without ``on_shadow`` only

        ValueError (PictureError for the sketch) says which argument is wrong.
        """
        amounts = refine_amounts(refine)
        self.check_gender(gender)
        check_k(k)
        check_anchor(anchor)
        clock = _Clock()
        reading = sketch if isinstance(sketch, drawings.Reading) else drawings.read(sketch, as_is=as_is, place=place)
        canvas = to_sketch(reading.page, self.config.canvas)
        latents = self._encoded(canvas)
        clock.lap("encode")
        near = self._nearest(latents, gender, int(k), anchor, amounts)
        vectors = {c: n.vector.copy() for c, n in near.items()}
        clock.lap("project")
        pending = self._guidance(near) if shadow or on_shadow is not None else None
        if on_shadow is not None:
            pending = self._shown(near, pending)
            on_shadow(pending[0].copy())
        clock.lap("shadow")
        face, pending = self._face_of(vectors, lambda changed: {c: near[c].variable for c in changed}, pending)
        page, shadows = (None, {}) if pending is None else self._shown(near, pending)
        clock.lap("face")
        return Result(face, page if page is None else page.copy(), {c: n.latent.copy() for c, n in near.items()},
                      vectors, {c: p.copy() for c, p in shadows.items()}, {c: n.rows.copy() for c, n in near.items()},
                      {c: n.weights.copy() for c, n in near.items()}, clock.milliseconds(), reading)

    def encode(self, canvas: np.ndarray) -> Dict[str, np.ndarray]:
        """{component: (latent,) float32} of a sketch that is already (canvas, canvas) uint8."""
        return {c: latent.numpy()[0] for c, (latent, _) in self._encoded(canvas).items()}

    def face_from_vectors(self, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
        """(512, 512, 3) uint8 RGB out of {component: (latent,) float32}, as found in ``Result.vectors``."""
        from .inference.pipeline import together

        vectors = {c: self._vector(vectors, c) for c in COMPONENTS}
        return self._face_of(vectors, lambda changed: together({c: vectors[c] for c in changed}))[0]

    def sample_vectors(self, gender: str = "female", seed: int = 0) -> Tuple[Dict[str, np.ndarray], np.ndarray]:
        """A plausible face that is nobody's: one row's surroundings in the bank, mixed at random.

        Returns ({component: (latent,) float32}, its sketch (512, 512) uint8).  The same seed gives the same face.
        """
        self.check_gender(gender)
        rng = np.random.default_rng(seed)
        rows = {c: self.bank.rows(c, gender) for c in COMPONENTS}
        person = int(rng.integers(min(r.shape[0] for r in rows.values())))
        vectors = {}
        for component in COMPONENTS:
            near = self.bank.project({component: rows[component][person:person + 1]}, gender, 6, "nearest")[component]
            shares = rng.dirichlet([3.0] + [1.0] * (len(near.rows) - 1)).astype(np.float32)
            vectors[component] = shares @ rows[component][near.rows].numpy()
        return vectors, self.sketch_from_vectors(vectors)

    def sketch_from_vectors(self, vectors: Mapping[str, np.ndarray]) -> np.ndarray:
        """(512, 512) uint8: the sketch that the image decoders see in {component: (latent,) float32}."""
        pictures = {c: self.networks.decode(c, self._vector(vectors, c)[None])[0] for c in COMPONENTS}
        page = pictures["rest"].copy()
        for part in MERGE_ORDER:
            rows, columns = self.geometry.window(part).slices
            page[rows, columns] = np.minimum(page[rows, columns], pictures[part])
        return resized(np.clip((page + 1) * 127.5, 0, 255).astype(np.uint8), 512)

    def warm(self, progress: Optional[Callable[[str, int, int], None]] = None) -> None:
        """Compile what a face needs, so that the first one does not wait; ``progress(step, done, total)``."""
        steps = ("encoders", "neighbours", "shadow", "feature maps", "photograph")
        report = progress or (lambda step, done, total: None)
        blank = np.full((self.config.canvas,) * 2, 255, np.uint8)
        gender = self.genders[0] if self.genders else "female"
        report(steps[0], 0, len(steps))
        latents = self._encoded(blank)
        report(steps[1], 1, len(steps))
        near = self._nearest(latents, gender, DEFAULT_K, "nearest", {c: 1.0 for c in COMPONENTS})
        report(steps[2], 2, len(steps))
        pending = self._guidance(near)
        report(steps[3], 3, len(steps))
        self._face_of({c: n.vector for c, n in near.items()}, lambda changed: {c: near[c].variable for c in changed},
                      pending)
        report(steps[4], len(steps), len(steps))

    # -- the steps, each with its memory.  What a step hands to the next stays on the device.

    def _encoded(self, canvas) -> Dict[str, Tuple[Any, Tuple]]:
        """{component: ((1, latent) Var, what it is remembered by)}."""
        crops = {c: np.ascontiguousarray(self.geometry.crop(canvas, c)) for c in COMPONENTS}
        keys = {c: (c, digest(crops[c])) for c in COMPONENTS}
        new = {c: crops[c] for c, _ in self._latents.missing(keys.values())}
        for component, latent in self.networks.encode(new).items():
            self._latents[keys[component]] = latent
        return {c: (self._latents[keys[c]], keys[c]) for c in COMPONENTS}

    def _nearest(self, latents, gender, k, anchor, amounts):
        """{component: manifold.Neighbours}."""
        keys = {c: (self.bank.key(c, gender), key, k, anchor, amounts[c]) for c, (_, key) in latents.items()}
        missing = self._neighbours.missing(keys.values())
        new = {c: latents[c][0] for c in COMPONENTS if keys[c] in missing}
        for component, near in self.bank.project(new, gender, k, anchor, amounts).items():
            self._neighbours[keys[component]] = near
        return {c: self._neighbours[keys[c]] for c in COMPONENTS}

    def _guidance(self, near):
        """The shadow as it is remembered, else a Var that holds it."""
        if _shadow_key(near) in self._shadow:
            return self._shadow[_shadow_key(near)]
        wanted = {c: visible(n.weights) for c, n in near.items()}
        places = self._decode({c: [(n.key, row) for row in n.rows[wanted[c]].tolist()] for c, n in near.items()})
        return self.networks.shadow({c: store for c, (_, store) in self._decoded.items()}, places,
                                    {c: n.weights[wanted[c]] for c, n in near.items()})

    def _shown(self, near, pending) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
        """(page (512, 512), {component: picture}) of what ``_guidance`` returned or what was copied of it."""
        if not isinstance(pending, tuple):
            from .kernels.shadow import pictures

            page, parts = pictures(pending if isinstance(pending, np.ndarray) else pending.numpy(), self.geometry)
            pending = self._shadow[_shadow_key(near)] = resized(page, 512), parts
        return pending

    def _decode(self, wanted):
        """Places of banks' rows, {component: (key of its bank, row) of each}, decoded, in the component's store; those
        that lie there already are not decoded again."""
        from .inference.pipeline import store

        taken, new, found = {}, {}, {}
        for component, keys in wanted.items():
            places, kept = self._decoded.get(component, (None, None))
            if places is None or len(keys) > places.limit:
                places = Places(max(DECODED, len(keys)))
                kept = store(places.limit, self.geometry.window(component).size)
            taken[component], fresh = (places, kept), places.take(keys)
            if fresh:
                # not remembered while it is written: an interrupted decoder leaves half of it
                self._decoded.pop(component, None)
                new[component] = (kept, [places[n] for n in fresh], self.bank.rows(*fresh[0][0]),
                                  [row for _, row in fresh])
            found[component] = [places[n] for n in keys]
        if new:
            self.networks.decode_into(new)
        self._decoded.update(taken)
        return found

    def _face_of(self, vectors, variables, pending=None):
        """(picture, ``pending``) of the vectors; ``variables`` gives those of some components as Vars, and a
        ``pending`` that is one is copied to the host together with the picture."""
        keys = {c: digest(v) for c, v in vectors.items()}
        whole = tuple(keys[c] for c in COMPONENTS)
        if whole not in self._face:
            changed = [c for c in COMPONENTS if self._features.get(c, (None,))[0] != keys[c]]
            for component in changed:  # the old map goes before the new one comes: they are large
                self._features.pop(component, None)
            for component, features in self.networks.map_features(variables(changed)).items():
                self._features[component] = keys[component], features
            maps = {c: f for c, (_, f) in self._features.items()}
            if pending is None or isinstance(pending, tuple):
                self._face[whole] = self.networks.photograph(maps)
            else:
                self._face[whole], pending = self.networks.photograph(maps, pending)
        return self._face[whole].copy(), pending

    # -- arguments

    def check_gender(self, gender) -> None:
        """ValueError where the folder has no bank for ``gender``."""
        if gender not in ("male", "female"):
            raise InputError(f"gender must be 'male' or 'female', not {gender!r}")
        if self.genders and gender not in self.genders and not self.folder.has_shared_bank:
            raise InputError(f"{self.folder.path} has no {gender} bank, only {', '.join(self.genders)}")

    def _vector(self, vectors, component) -> np.ndarray:
        try:
            vector = np.ascontiguousarray(vectors[component], np.float32)
        except KeyError:
            raise InputError(f"no vector for component {component}") from None
        if vector.shape != (self.config.latent,):
            raise InputError(f"vector of {component}: expected shape ({self.config.latent},), got {vector.shape}")
        return vector


def refine_amounts(refine: Union[float, Mapping[str, float]]) -> Dict[str, float]:
    """{component: amount from 0 to 1} of a number, or of {component or "all": number}.  ValueError says what is
    wrong."""
    given = dict(refine) if isinstance(refine, Mapping) else {"all": refine}
    unknown = sorted(set(given) - set(COMPONENTS) - {"all"}, key=str)
    if unknown:
        raise InputError(f"refine: no component {unknown[0]!r}; they are {', '.join(COMPONENTS)}, or all")
    for name, value in given.items():
        try:
            given[name] = float(value)
        except (TypeError, ValueError):
            raise InputError(f"refine {name}: expected a number from 0 to 1, not {value!r}") from None
        if not 0 <= given[name] <= 1:
            raise InputError(f"refine {name}: expected a number from 0 (follow the drawing) to 1 (full projection), "
                             f"not {value!r}")
    return {c: given.get(c, given.get("all", 1.0)) for c in COMPONENTS}


def _shadow_key(near):
    return tuple((n.key, n.rows.tobytes(), n.weights.tobytes()) for n in near.values())


class _Clock:
    def __init__(self):
        self._start, self._laps = time.perf_counter(), {}
        self._last = self._start

    def lap(self, name):
        now = time.perf_counter()
        self._laps[name], self._last = (now - self._last) * 1000, now

    def milliseconds(self):
        return dict(self._laps, total=(self._last - self._start) * 1000)
