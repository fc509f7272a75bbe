"""The five face components and all geometry: windows, crops, whitening, merge order.

Nothing else in the project knows a coordinate.  Coordinates are pixels, (x, y) from the top left, on a square
canvas; the release's canvas is 512 pixels, smaller presets scale its windows and round half up.

"Left" and "right" are the viewer's: ``eye1`` is the eye at the left of the picture.
"""
from __future__ import annotations

from dataclasses import dataclass
from math import floor

TYPE_CHECKING = False   # importing typing would cost every --help 4 ms
if TYPE_CHECKING:   # who only reads options waits for no numpy either
    import numpy as np

#: every component, in the order used for storage, sliders and reports
COMPONENTS: tuple[str, ...] = ("eye1", "eye2", "nose", "mouth", "rest")
#: the four components that are windows of the canvas
PARTS: tuple[str, ...] = COMPONENTS[:4]
#: parts overwrite the remainder in this order, the last one wins (release)
MERGE_ORDER: tuple[str, ...] = ("mouth", "nose", "eye1", "eye2")
#: what a component becomes when the picture is flipped left to right
MIRROR: dict[str, str] = {"eye1": "eye2", "eye2": "eye1", "nose": "nose", "mouth": "mouth", "rest": "rest"}

#: edge of the release's canvas in pixels
RELEASE_CANVAS = 512
#: (x, y, size) on the release's canvas (release)
_RELEASE_WINDOWS = {
    "eye1": (108, 156, 128),
    "eye2": (255, 156, 128),
    "nose": (182, 232, 160),
    "mouth": (169, 301, 192),
    "rest": (0, 0, 512),
}
#: rows at the foot of the nose window that the mouth keeps when feature maps are merged (release)
_RELEASE_NOSE_CUT = 36
#: latent grid (size / 2**downs) of each component; the same in every preset
GRID: dict[str, int] = {"eye1": 4, "eye2": 4, "nose": 5, "mouth": 6, "rest": 16}

#: where alignment puts the face on the 512 canvas, as in the authors' drawings and CelebA-HQ/FFHQ (ours)
CANONICAL_POINTS: dict[str, tuple[float, float]] = {
    "left_eye": (190.0, 241.0),
    "right_eye": (322.0, 241.0),
    "nose": (256.0, 327.0),
    "mouth_left": (195.0, 375.0),
    "mouth_right": (317.0, 375.0),
}


def _half_up(value: float) -> int:
    return floor(value + 0.5)


@dataclass(frozen=True)
class Window:
    """A square of the canvas: left ``x``, top ``y``, edge ``size``, in pixels."""

    x: int
    y: int
    size: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns) for indexing an (H, W) array."""
        return slice(self.y, self.y + self.size), slice(self.x, self.x + self.size)

    def contains(self, x: float, y: float) -> bool:
        return self.x <= x < self.x + self.size and self.y <= y < self.y + self.size


class Geometry:
    """The windows of one canvas size.

    canvas: edge in pixels, 512 divided by a power of two, from 64 up.
    """

    def __init__(self, canvas: int = RELEASE_CANVAS):
        if canvas not in (64, 128, 256, 512):
            raise ValueError(f"canvas must be 512, 256, 128 or 64 pixels, not {canvas!r}")
        self.canvas = canvas
        self.downs = (canvas // GRID["rest"]).bit_length() - 1  # 512 -> 5, 256 -> 4, 64 -> 2
        scale = canvas / RELEASE_CANVAS
        self.windows: dict[str, Window] = {}
        for name, (x, y, _size) in _RELEASE_WINDOWS.items():
            self.windows[name] = Window(_half_up(x * scale), _half_up(y * scale), GRID[name] << self.downs)
        self.nose_cut = _half_up(_RELEASE_NOSE_CUT * scale)

    def __eq__(self, other):
        return isinstance(other, Geometry) and other.canvas == self.canvas

    def __hash__(self):
        return hash(("Geometry", self.canvas))

    def window(self, component: str) -> Window:
        try:
            return self.windows[component]
        except KeyError:
            raise ValueError(f"no component {component!r}; they are {', '.join(COMPONENTS)}") from None

    def merge_window(self, component: str) -> tuple[int, int, int, int]:
        """(x, y, width, height) that a part's feature map covers when merged: the nose gives up its foot."""
        w = self.window(component)
        height = w.size - (self.nose_cut if component == "nose" else 0)
        return w.x, w.y, w.size, height

    def whiten(self, image: np.ndarray, white=255) -> np.ndarray:
        """A copy of ``image`` (H, W[, C]) with the four part windows painted ``white``: the remainder's input."""
        self._check(image)
        out = image.copy()
        for part in PARTS:
            rows, columns = self.windows[part].slices
            out[rows, columns] = white
        return out

    def crop(self, image: np.ndarray, component: str, white=255) -> np.ndarray:
        """The component's own input out of a canvas picture (H, W[, C]): a view of its window, or for ``rest``
        a whitened copy."""
        if component == "rest":
            return self.whiten(image, white)
        self._check(image)
        rows, columns = self.window(component).slices
        return image[rows, columns]

    def crops(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Every component's input, by name."""
        return {name: self.crop(image, name) for name in COMPONENTS}

    def touched(self, before: np.ndarray, after: np.ndarray) -> tuple[str, ...]:
        """The components whose input differs between two canvas pictures (H, W)."""
        import numpy as np

        return tuple(name for name in COMPONENTS
                     if not np.array_equal(self.crop(before, name), self.crop(after, name)))

    def _check(self, image: np.ndarray) -> None:
        if image.ndim < 2 or image.shape[:2] != (self.canvas, self.canvas):
            raise ValueError(f"expected a {self.canvas}x{self.canvas} picture, got shape {image.shape}")
