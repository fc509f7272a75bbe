"""torchvision's VGG19 and VGG16 in PyTorch: random weights into FOLDER/VGG19.pth and FOLDER/VGG16.pth, and into
FOLDER/VGG19.npz and FOLDER/VGG16.npz what every ReLU makes of random pictures, the perceptual loss of two and its
gradient.  Ends with status 77 where PyTorch is missing.
"""
import sys
from pathlib import Path

import numpy as np

try:
    import torch
except ImportError:
    sys.exit(77)
from torch import nn

#: torchvision's configurations E and D: widths of the convolutions, M a pooling
LAYERS = {"VGG19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
          "VGG16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"}
WEIGHTS = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}


class VGG(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.features, into = nn.Sequential(), 3
        for word in layers.split():
            if word == "M":
                parts = [nn.MaxPool2d(2, 2)]
            else:
                parts, into = [nn.Conv2d(into, int(word), 3, padding=1), nn.ReLU()], int(word)
            for part in parts:
                self.features.add_module(str(len(self.features)), part)
        # torchvision's names, not its sizes: 4096 wide they would be half a gigabyte that nobody reads
        self.classifier = nn.Sequential(nn.Linear(9, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(),
                                        nn.Dropout(), nn.Linear(8, 5))

    def maps(self, x):
        """Pictures in [-1, 1] -> {"relu1_1": (N, C, H, W), ...}."""
        x, statistics = (x + 1) / 2, ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
        x = torch.stack([(x[:, i] - mean) / deviation for i, (mean, deviation) in enumerate(statistics)], 1)
        out, stage, layer = {}, 1, 0
        for part in self.features:
            x = part(x)
            if isinstance(part, nn.ReLU):
                layer += 1
                out[f"relu{stage}_{layer}"] = x
            elif isinstance(part, nn.MaxPool2d):
                stage, layer = stage + 1, 0
        return out


def main(folder):
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    made, real = (torch.from_numpy(random.uniform(-1, 1, (2, 3, 48, 64)).astype(np.float32)) for _ in range(2))
    for name, layers in LAYERS.items():
        network = VGG(layers)
        for part in network.features:
            if isinstance(part, nn.Conv2d):
                deviation = (2 / (9 * part.in_channels)) ** 0.5
                weight = random.standard_normal(part.weight.shape, dtype=np.float32) * np.float32(deviation)
                part.weight.data = torch.from_numpy(weight)
                part.bias.data = torch.from_numpy(random.standard_normal(part.bias.shape, dtype=np.float32) * 0.1)
        torch.save(network.state_dict(), str(folder / f"{name}.pth"),
                   _use_new_zipfile_serialization=name == "VGG16")
        made.grad = None
        made.requires_grad_()
        maps = network.maps(made)
        with torch.no_grad():
            wanted = network.maps(real)
        loss = sum(weight * (maps[tap] - wanted[tap]).abs().mean() for tap, weight in WEIGHTS.items())
        loss.backward()
        np.savez(str(folder / f"{name}.npz"), made=made.detach().numpy(), real=real.numpy(), loss=loss.item(),
                 gradient=made.grad.numpy(), **{tap: x.detach().numpy() for tap, x in maps.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
