"""FID's Inception in PyTorch, written from its description by itself: random weights into FOLDER/inception.pth, and
what it makes of random pictures into FOLDER/features.npz.  Ends with status 77 where PyTorch is missing.

Beside the right features stand those of its usual mistakes, which a right implementation has to differ from.
"""
import sys
from pathlib import Path

import numpy as np

try:
    import torch
except ImportError:
    sys.exit(77)
from torch import nn
from torch.nn import functional as F

MISTAKES = ("padding counted", "average in the last block", "PyTorch's epsilon", "pictures in [0, 1]",
            "corners aligned")


class Unit(nn.Module):
    def __init__(self, into, out, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(into, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def mean(x, mistake):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=mistake == "padding counted")


class A(nn.Module):
    def __init__(self, n, pool):
        super().__init__()
        self.branch1x1 = Unit(n, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Unit(n, 48, 1), Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(n, 64, 1), Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3, self.branch_pool = Unit(96, 96, 3, padding=1), Unit(n, pool, 1)

    def forward(self, x, mistake):
        return torch.cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)),
                          self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                          self.branch_pool(mean(x, mistake))], 1)


class B(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.branch3x3 = Unit(n, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(n, 64, 1), Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2)

    def forward(self, x, mistake):
        return torch.cat([self.branch3x3(x), self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                          F.max_pool2d(x, 3, 2)], 1)


class C(nn.Module):
    def __init__(self, n, w):
        super().__init__()
        row, column = dict(kernel=(1, 7), padding=(0, 3)), dict(kernel=(7, 1), padding=(3, 0))
        self.branch1x1 = Unit(n, 192, 1)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = Unit(n, w, 1), Unit(w, w, **row), Unit(w, 192, **column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Unit(n, w, 1), Unit(w, w, **column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Unit(w, w, **row), Unit(w, w, **column)
        self.branch7x7dbl_5, self.branch_pool = Unit(w, 192, **row), Unit(n, 192, 1)

    def forward(self, x, mistake):
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return torch.cat([self.branch1x1(x), self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
                          self.branch7x7dbl_5(self.branch7x7dbl_4(double)), self.branch_pool(mean(x, mistake))], 1)


class D(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(n, 192, 1), Unit(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Unit(n, 192, 1), Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3, self.branch7x7x3_4 = Unit(192, 192, (7, 1), padding=(3, 0)), Unit(192, 192, 3, 2)

    def forward(self, x, mistake):
        y = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(y), F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, n, last):
        super().__init__()
        row, column = dict(kernel=(1, 3), padding=(0, 1)), dict(kernel=(3, 1), padding=(1, 0))
        self.last = last
        self.branch1x1, self.branch3x3_1 = Unit(n, 320, 1), Unit(n, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = Unit(384, 384, **row), Unit(384, 384, **column)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(n, 448, 1), Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Unit(384, 384, **row), Unit(384, 384, **column)
        self.branch_pool = Unit(n, 192, 1)

    def forward(self, x, mistake):
        y, z = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        largest = self.last and mistake != "average in the last block"
        pooled = F.max_pool2d(x, 3, 1, 1) if largest else mean(x, mistake)
        return torch.cat([self.branch1x1(x), self.branch3x3_2a(y), self.branch3x3_2b(y), self.branch3x3dbl_3a(z),
                          self.branch3x3dbl_3b(z), self.branch_pool(pooled)], 1)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Unit(3, 32, 3, 2), Unit(32, 32, 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = Unit(32, 64, 3, padding=1), Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a, self.Mixed_6b, self.Mixed_6c = B(288), C(768, 128), C(768, 160)
        self.Mixed_6d, self.Mixed_6e = C(768, 160), C(768, 192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = D(768), E(1280, False), E(2048, True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, pictures, mistake=None):
        """(N, H, W, 3) uint8 -> (N, 2048)."""
        x = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float() / 255
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=mistake == "corners aligned")
        x = x if mistake == "pictures in [0, 1]" else 2 * x - 1
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in "5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split():
            x = getattr(self, f"Mixed_{name}")(x, mistake)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def random_weights(network):
    """Seeded weights under which signals neither vanish nor explode and no channel is like another."""
    random = np.random.default_rng(0)
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        x = random.standard_normal(tuple(tensor.shape))
        if name.endswith("running_var"):
            # small ones too, so that the epsilon shows
            x = 0.05 * np.exp(0.5 * x)
        elif name.endswith("bn.weight"):
            x = 0.2 * (1 + 0.2 * x)
        elif tensor.ndim == 1:
            x = 0.1 * x
        else:
            x *= np.sqrt(2 / np.prod(tensor.shape[1:]))
        state[name] = torch.from_numpy(np.asarray(x, np.float32))
    return state


def main(folder):
    torch.set_num_threads(1)
    network = Inception().eval()
    state = random_weights(network)
    network.load_state_dict(state)
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    # the older layout, in which files of the published one's age are
    torch.save(kept, str(folder / "inception.pth"), _use_new_zipfile_serialization=False)
    random = np.random.default_rng(1)
    out = {}
    with torch.no_grad():
        for size in (96, 320):
            # blotches with sharp edges, each picture of other colours
            coarse = random.integers(0, 256, (2, 8, 8, 3), np.uint8)
            pictures = coarse.repeat(size // 8, 1).repeat(size // 8, 2)
            pictures[:, ::5] //= 2
            out[f"pictures {size}"], out[f"features {size}"] = pictures, network(pictures).numpy()
        for mistake in MISTAKES:
            for part in network.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eps = 1e-5 if mistake == "PyTorch's epsilon" else 0.001
            out[mistake] = network(out["pictures 96"][:1], mistake).numpy()
    np.savez(str(folder / "features.npz"), **out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
