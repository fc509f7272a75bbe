"""What is measured on, made from seeds: weights, sketches, strokes, banks, pictures.  Needs no framework."""
from __future__ import annotations

import pickle
import zlib
from pathlib import Path
from typing import Dict, Iterator

import numpy as np

from ..checkpoints import GENDERS, bank_path, network_path, write_config
from ..components import COMPONENTS, MERGE_ORDER, PARTS, Geometry
from ..config import Config
from ..layout import specification_of
from ..pictures import to_input, to_sketch

SEED = 20200601
#: rows of a seeded bank by preset: the release's own numbers, and fewer where the networks are small
ROWS = {"release": {"male": 6247, "female": 11456}, "compact": {"male": 2000, "female": 2000},
        "tiny": {"male": 40, "female": 40}}
#: pairs of a generated training set
PAIRS = 16


def _array(text: str, shape) -> np.ndarray:
    """float32, scaled so that activations stay near one through a network."""
    values = np.random.default_rng([zlib.crc32(text.encode()), SEED]).standard_normal(shape, dtype=np.float32)
    leaf = text.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return np.exp(np.float32(0.2) * values)
    if len(shape) == 1:
        return np.float32(0.1) * values + np.float32(leaf == "weight")
    values *= np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return values


def write_weights(folder: Path, config: Config) -> Path:
    """A whole folder of weights that were never trained, in the release's layout; 2.5 GB for ``release``."""
    for kind, component in specification_of(config):
        path = folder / network_path(kind, component or "rest")
        path.parent.mkdir(parents=True, exist_ok=True)
        shapes = specification_of(config)[kind, component]
        arrays = {name: _array(f"{path.name}/{name}", shape) for name, shape in shapes.items()}
        with open(str(path), "wb") as stream:
            pickle.dump(arrays, stream, protocol=4)
    rows = ROWS.get(config.preset, ROWS["compact"])
    for component in COMPONENTS:
        for gender in GENDERS:
            values = bank(rows[gender], config.latent, f"{component}/{gender}")
            values.tofile(str(folder / bank_path(component, gender)))
    if config.preset != "release":  # a folder without one is taken for the release's, and is not hashed when read
        write_config(folder, config)
    return folder


def bank(rows: int, width: int, name: str = "bank") -> np.ndarray:
    """(rows, width) float32."""
    return np.random.default_rng([zlib.crc32(name.encode()), SEED]).standard_normal((rows, width), dtype=np.float32)


def weights_bytes(config: Config) -> int:
    """Bytes of such a folder."""
    numbers = sum(int(np.prod(shape)) for shapes in specification_of(config).values() for shape in shapes.values())
    rows = sum(ROWS.get(config.preset, ROWS["compact"]).values())
    return 4 * (numbers + rows * config.latent * len(COMPONENTS))


def sketch(geometry: Geometry, number: int) -> np.ndarray:
    """(512, 512) uint8, black strokes on white; another drawing for every number.  Its pixels are the canvas's own, so
    that reducing it blurs no stroke over the edge of a window."""
    import cv2

    canvas, rng = geometry.canvas, np.random.default_rng([SEED, number])
    page = np.full((canvas, canvas), 255, np.uint8)
    thick = max(1, canvas // 256)
    axes = (canvas * rng.uniform(0.3, 0.36), canvas * rng.uniform(0.38, 0.45))
    cv2.ellipse(page, (canvas // 2, canvas // 2), tuple(map(int, axes)), 0, 0, 360, 0, thick)
    for part in PARTS:
        w = geometry.window(part)
        centre = tuple(int(v + w.size * rng.uniform(0.42, 0.58)) for v in (w.x, w.y))
        cv2.ellipse(page, centre, tuple(int(w.size * rng.uniform(*r)) + 1 for r in ((0.2, 0.35), (0.08, 0.2))),
                    float(rng.uniform(-8, 8)), 0, 360, 0, thick)
    for _ in range(3):  # hair and the like
        points = rng.uniform(0.02, 0.98, (4, 2)) * (canvas, canvas * 0.25)
        cv2.polylines(page, [points.astype(np.int32)], False, 0, thick)
    return _enlarged(page)


def _enlarged(page: np.ndarray) -> np.ndarray:
    factor = 512 // page.shape[0]
    return np.repeat(np.repeat(page, factor, 0), factor, 1)


def strokes(geometry: Geometry, component: str, number: int = 0) -> Iterator[np.ndarray]:
    """Sketches without end, each the same drawing with another single stroke that only ``component`` sees.

    For a part: ink inside its window and no other; for ``rest``: ink outside the four windows.
    """
    import cv2

    base = to_sketch(sketch(geometry, number), geometry.canvas)
    allowed = _only(geometry, component)
    ys, xs = np.nonzero(allowed)
    rng = np.random.default_rng([SEED, number, COMPONENTS.index(component)])
    reach = geometry.window(component).size / (8 if component == "rest" else 4)
    seen = set()
    while True:
        at = int(rng.integers(len(xs)))
        points = np.cumsum([[xs[at], ys[at]]] + [rng.uniform(-reach, reach, 2) for _ in range(3)], 0)
        ink = np.zeros(base.shape, np.uint8)
        cv2.polylines(ink, [points.astype(np.int32)], False, 255, max(1, geometry.canvas // 256))
        page = base.copy()
        # turned over where it lies, so that every stroke changes something, on ink as on paper
        changed = (ink > 0) & allowed
        page[changed] = 255 - page[changed]
        key = changed.tobytes()
        if changed.any() and key not in seen and geometry.touched(base, page) == (component,):
            seen.add(key)
            yield _enlarged(page)


def _only(geometry: Geometry, component: str) -> np.ndarray:
    """(canvas, canvas) bool: the pixels that only this component's input holds."""
    count = np.zeros((geometry.canvas,) * 2, np.int32)
    for part in MERGE_ORDER:
        count[geometry.window(part).slices] += 1
    if component == "rest":
        return count == 0
    own = np.zeros(count.shape, bool)
    own[geometry.window(component).slices] = True
    return own & (count == 1)


def batch(config: Config, size: int, number: int) -> Dict[str, np.ndarray]:
    """A training step's arrays, float32 in [-1, 1]: {component: (N, 1, S, S)}, "sketch" and "photo" (N, 3, C, C)."""
    rng, geometry = np.random.default_rng([SEED, 7, number]), config.geometry
    pages = [to_sketch(sketch(geometry, 1000 + number * size + i), config.canvas) for i in range(size)]
    out = {c: np.stack([to_input(geometry.crop(page, c)) for page in pages])[:, None] for c in COMPONENTS}
    out["sketch"] = np.stack([to_input(page) for page in pages])[:, None]
    rough = rng.integers(0, 256, (size, 3, config.canvas // 8, config.canvas // 8)).astype(np.uint8)
    out["photo"] = to_input(np.repeat(np.repeat(rough, 8, 2), 8, 3))
    return out


def write_set(folder: Path, pairs: int = PAIRS) -> Path:
    """A small training set of random pictures: 512 px pairs with an index."""
    from ..data import index
    from ..pictures import write_png

    rng, geometry, rows = np.random.default_rng(SEED), Geometry(512), []
    for number in range(pairs):
        names = f"faces/{number:03d}.png", f"sketches/{number:03d}.png"
        rough = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
        write_png(folder / names[0], np.repeat(np.repeat(rough, 8, 0), 8, 1))
        write_png(folder / names[1], sketch(geometry, number))
        rows.append(index.Row(*names, gender="female" if number % 2 else "male"))
    index.write(folder, rows)
    return folder
