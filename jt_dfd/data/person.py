"""The person in a portrait: mediapipe's selfie segmentation, run by LiteRT, and backgrounds painted white with it."""
from __future__ import annotations

import contextlib
import os
import sys

import cv2
import numpy as np

from . import models


def interpreter(name: str):
    """A LiteRT interpreter of the network ``name`` (models.FILES), one thread, tensors allocated."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise models.ModelMissing("face detection and person masks need ai-edge-litert, which is not installed: "
                                  "tools/install_data_extras.sh") from None
    path = str(models.path(name))
    with _native_stderr_closed():
        out = Interpreter(path, num_threads=1)
        out.allocate_tensors()
    return out


@contextlib.contextmanager
def _native_stderr_closed():
    """LiteRT greets on the process's error stream each time, from C++, in the middle of progress bars."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def run(network, x: np.ndarray):
    """The outputs, in the network's own order, for one input array."""
    network.set_tensor(network.get_input_details()[0]["index"], x)
    network.invoke()
    return [network.get_tensor(detail["index"]).copy() for detail in network.get_output_details()]


class PersonMask:
    """``PersonMask()(picture)``: (H, W, 3) uint8 RGB to how much each pixel is person, (H, W) float32 from 0 to 1."""

    size = 256

    def __init__(self):
        self.network = interpreter("person")

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        mask = run(self.network, small[None])[0][0, :, :, 0]
        mask = _fill_holes(mask)
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        # a firmer edge than the network's own: a half transparent rim is neither hair nor paper
        return np.clip((mask - 0.25) / 0.5, 0, 1)


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    """Background that does not reach the border of the picture is no background; person parts far from the main one
    and small are no person."""
    outside = (mask < 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=4)
    height, width = mask.shape
    for label in range(1, len(stats)):
        x, y, w, h, _ = stats[label]
        if x > 0 and y > 0 and x + w < width and y + h < height:
            mask = np.where(labels == label, np.float32(1), mask)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask >= 0.25).astype(np.uint8), connectivity=8)
    if len(stats) > 2:
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        mask = np.where((labels == largest) | (labels == 0), mask, np.float32(0))
    return mask.astype(np.float32)


def whiten_background(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A uint8 picture (H, W, 3) laid over white paper through a mask (H, W) from 0 (paper) to 1 (picture)."""
    alpha = mask[:, :, None]
    return np.round(picture * alpha + 255 * (1 - alpha)).astype(np.uint8)
