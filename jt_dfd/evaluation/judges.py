"""Networks that judge pictures: the perceptual distance of two, and the features that two sets are compared by.

Pictures are (H, W, 3) uint8, RGB.  Which network, from which file, stands in ``facts``, which json can write.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

_FEW = ("With few pictures Frechet distances are biased upwards: here are {count} a side for {size} numbers, published "
        "scores take 10,000 and more. Compare them only with scores on as many pictures; the kernel distance has no "
        "such bias, but a spread.")


class Perceptual:
    """Distance of two pictures of one size."""

    def __init__(self, distance, facts: Dict[str, Any]):
        self._distance, self.facts = distance, facts

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        from ..backend import jt

        with jt.no_grad():
            return float(self._distance(_input(a), _input(b)).numpy().reshape(-1)[0])


def perceptual(source: str = "auto") -> Tuple[Optional[Perceptual], str]:
    """(the distance or None, what it is or why there is none).

    source: "auto" (stlpips where installed), "stlpips", "off", or a torchvision VGG19 or VGG16 file, whose weights have
    no learned distance: then it is the perceptual loss of training.  CheckpointError where what is asked for is not
    usable.
    """
    from ..checkpoints import CheckpointError
    from ..checkpoints.folder import sha256
    from ..networks import perceptual

    if source == "off":
        return None, "not computed, as asked"
    if source in ("auto", "stlpips"):
        distance = perceptual.load_distance()
        if distance is not None:
            note = "stlpips (VGG16, shift-tolerant), of stlpips-pytorch 0.0.2"
            return Perceptual(distance, {"network": note}), note
        if source == "stlpips":
            raise CheckpointError(perceptual.NOT_INSTALLED)
        return None, "not computed: pip install --no-deps stlpips-pytorch==0.0.2"
    from ..networks.perceptual import PerceptualLoss

    network, what = perceptual.load_features(source)
    facts = {"network": what, "file": Path(source).name, "sha256": sha256(source)}
    note = (f"mean absolute difference of relu1_1 to relu5_1, weighted 1/32 to 1 (training's perceptual loss), of "
            f"{what}, sha256 {facts['sha256']}")
    return Perceptual(PerceptualLoss(network), facts), note


class StlpipsFeatures:
    """relu5_3 of stlpips' VGG16, averaged over the picture: 512 numbers."""

    NAME = "relu5_3 of the VGG16 in stlpips-pytorch 0.0.2, averaged over the picture (512 numbers)"

    def __init__(self, network):
        self._network = network
        self.facts: Dict[str, Any] = {"network": self.NAME, "size": 512}

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(512,) float32."""
        from ..backend import jt

        with jt.no_grad():
            return self._network(_input(picture), ["relu5_3"])[0].mean(dims=(2, 3)).numpy()[0]

    def caveat(self, count: int, canvas: int) -> str:
        return (f"Frechet and kernel distance are on {self.NAME}, not on Inception pool3: compare them with scores of "
                f"this tool only, on the same pictures. With {count} pictures the Frechet distance is mostly sampling "
                "error.")


class FidFeatures:
    """The last average of FID's Inception: 2048 numbers.  path: the user's file."""

    def __init__(self, path):
        from ..networks.inception import FEATURES, SIZE, load_inception

        self._network, found = load_inception(path)
        self.facts: Dict[str, Any] = {
            "network": f"FID's Inception (TensorFlow's of December 2015), last average ({FEATURES} numbers)",
            "size": FEATURES, **found, "input": f"resized to {SIZE} pixels bilinearly without smoothing, [-1, 1]"}

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(2048,) float32."""
        import cv2

        from ..backend import jt
        from ..networks.inception import SIZE

        # floating point numbers, half-pixel centres: the same as PyTorch's FID tools do
        x = cv2.resize(picture.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        with jt.no_grad():
            return self._network(_input(x)).numpy()[0]

    def caveat(self, count: int, canvas: int) -> str:
        facts = self.facts
        which = "the published file" if facts["published"] else "NOT the published file's: no FID in the usual sense"
        return (f"Frechet and kernel distance are on {facts['network']}, weights {facts['file']}, sha256 "
                f"{facts['sha256']} ({which}); pictures of {canvas} pixels {facts['input']}. "
                + _FEW.format(count=count, size=facts["size"]))


def features(inception: Optional[str] = None):
    """FidFeatures of the file ``inception``; without one StlpipsFeatures; None where that is not installed."""
    from ..networks.perceptual import load_distance

    if inception:
        return FidFeatures(inception)
    distance = load_distance()
    return StlpipsFeatures(distance.features) if distance else None


def _input(picture: np.ndarray):
    from ..backend import jt

    return jt.array(np.ascontiguousarray((picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]))


def each(judge, pictures) -> List:
    """``judge`` of every picture, (N, D) float64; a picture that comes again (the mean face) is looked at once."""
    from ..backend import jt

    pictures = list(pictures)   # held, so that no number below comes again for another picture
    seen: Dict[int, np.ndarray] = {}
    for picture in pictures:
        if id(picture) not in seen:
            seen[id(picture)] = judge(picture)
            jt.gc()
    return np.array([seen[id(picture)] for picture in pictures], np.float64)
