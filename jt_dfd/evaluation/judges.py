"""Networks that judge pictures: the perceptual distance of two, and the features that two sets are compared by.

Pictures are (H, W, 3) uint8, RGB.  Which network, from which file, stands in ``facts``, which json can write.

The network of Frechet distances (FID) is Inception v3 (Szegedy et al. 2016) as TensorFlow's frozen graph of December
2015 holds it, which published FID scores go back to (Heusel et al. 2017).  Its weights come with the user, as the file
that PyTorch's FID tools share; it is read strictly, and nothing in it is run.  Names and shapes are those of
torchvision's Inception v3 without its auxiliary classifier and with 1008 classes.  What is computed differs from
torchvision's in two places: the averages of the A and C blocks and of the first E block leave the padding out of the
count, and the last E block takes a maximum where the others average.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from ..backend import jt, nn
from ..checkpoints import CheckpointError, check_arrays
from ..checkpoints.folder import sha256
from ..checkpoints.formats import read_any
from ..checkpoints.recognise import LEFT_OUT, unwrap

_FEW = ("With few pictures Frechet distances are biased upwards: here are {count} a side for {size} numbers, published "
        "scores take 10,000 and more. Compare them only with scores on as many pictures; the kernel distance has no "
        "such bias, but a spread.")


class Perceptual:
    """Distance of two pictures of one size."""

    def __init__(self, distance, facts: Dict[str, Any]):
        self._distance, self.facts = distance, facts

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        with jt.no_grad():
            return float(self._distance(_input(a), _input(b)).numpy().reshape(-1)[0])


def perceptual(source: str = "auto") -> Tuple[Optional[Perceptual], str]:
    """(the distance or None, what it is or why there is none).

    source: "auto" (stlpips where installed), "stlpips", "off", or a torchvision VGG19 or VGG16 file, whose weights have
    no learned distance: then it is the perceptual loss of training.  CheckpointError where what is asked for is not
    usable.
    """
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
    network, what = perceptual.load_features(source)
    facts = {"network": what, "file": Path(source).name, "sha256": sha256(source)}
    note = (f"mean absolute difference of relu1_1 to relu5_1, weighted 1/32 to 1 (training's perceptual loss), of "
            f"{what}, sha256 {facts['sha256']}")
    return Perceptual(perceptual.PerceptualLoss(network), facts), note


class StlpipsFeatures:
    """relu5_3 of stlpips' VGG16, averaged over the picture: 512 numbers."""

    NAME = "relu5_3 of the VGG16 in stlpips-pytorch 0.0.2, averaged over the picture (512 numbers)"

    def __init__(self, network):
        self._network = network
        self.facts: Dict[str, Any] = {"network": self.NAME, "size": 512}

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(512,) float32."""

        with jt.no_grad():
            return self._network(_input(picture), ["relu5_3"])[0].mean(dims=(2, 3)).numpy()[0]

    def caveat(self, count: int, canvas: int) -> str:
        return (f"Frechet and kernel distance are on {self.NAME}, not on Inception pool3: compare them with scores of "
                f"this tool only, on the same pictures. With {count} pictures the Frechet distance is mostly sampling "
                "error.")


class FidFeatures:
    """The last average of FID's Inception: 2048 numbers.  path: the user's file."""

    def __init__(self, path):
        self._network, found = load_inception(path)
        self.facts: Dict[str, Any] = {
            "network": f"FID's Inception (TensorFlow's of December 2015), last average ({FEATURES} numbers)",
            "size": FEATURES, **found, "input": f"resized to {SIZE} pixels bilinearly without smoothing, [-1, 1]"}

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(2048,) float32."""
        import cv2


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
    return jt.array(np.ascontiguousarray((picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]))


def each(judge, pictures) -> List:
    """``judge`` of every picture, (N, D) float64; a picture that comes again (the mean face) is looked at once."""

    pictures = list(pictures)   # held, so that no number below comes again for another picture
    seen: Dict[int, np.ndarray] = {}
    for picture in pictures:
        if id(picture) not in seen:
            seen[id(picture)] = judge(picture)
            jt.gc()
    return np.array([seen[id(picture)] for picture in pictures], np.float64)


#: edge in pixels of the pictures that the network was trained on
SIZE = 299
#: numbers a picture becomes
FEATURES = 2048
CLASSES = 1008
#: added to the variance of each BatchNorm (TensorFlow's Inception; PyTorch's default is 1e-5)
EPSILON = 0.001


class Conv(NamedTuple):
    """A convolution without bias, BatchNorm and ReLU.  kernel, padding: (rows, columns)."""

    name: str
    out: int
    kernel: Tuple[int, int]
    stride: int = 1
    padding: Tuple[int, int] = (0, 0)


class Block(NamedTuple):
    """Branches side by side over one input, joined by their channels, the pooled one last.

    branches   each a sequence of convolutions.  A tuple of two at its end runs side by side again
    pool       "mean" (3x3, as many pixels as there are), "max" (3x3), both before ``pooled``; or "halve" (3x3 maximum
               of stride 2, no convolution after it)
    """

    name: str
    branches: Tuple
    pool: str
    pooled: Tuple = ()


def _same(name: str, out: int, rows: int, columns: int) -> Conv:
    return Conv(name, out, (rows, columns), 1, (rows // 2, columns // 2))


def _halving(name: str, out: int) -> Conv:
    return Conv(name, out, (3, 3), 2)


def _a(name: str, pooled: int) -> Block:
    return Block(name, (
        (_same("branch1x1", 64, 1, 1),),
        (_same("branch5x5_1", 48, 1, 1), _same("branch5x5_2", 64, 5, 5)),
        (_same("branch3x3dbl_1", 64, 1, 1), _same("branch3x3dbl_2", 96, 3, 3), _same("branch3x3dbl_3", 96, 3, 3)),
    ), "mean", (_same("branch_pool", pooled, 1, 1),))


def _b(name: str) -> Block:
    return Block(name, (
        (_halving("branch3x3", 384),),
        (_same("branch3x3dbl_1", 64, 1, 1), _same("branch3x3dbl_2", 96, 3, 3), _halving("branch3x3dbl_3", 96)),
    ), "halve")


def _c(name: str, width: int) -> Block:
    return Block(name, (
        (_same("branch1x1", 192, 1, 1),),
        (_same("branch7x7_1", width, 1, 1), _same("branch7x7_2", width, 1, 7), _same("branch7x7_3", 192, 7, 1)),
        (_same("branch7x7dbl_1", width, 1, 1), _same("branch7x7dbl_2", width, 7, 1),
         _same("branch7x7dbl_3", width, 1, 7), _same("branch7x7dbl_4", width, 7, 1),
         _same("branch7x7dbl_5", 192, 1, 7)),
    ), "mean", (_same("branch_pool", 192, 1, 1),))


def _d(name: str) -> Block:
    return Block(name, (
        (_same("branch3x3_1", 192, 1, 1), _halving("branch3x3_2", 320)),
        (_same("branch7x7x3_1", 192, 1, 1), _same("branch7x7x3_2", 192, 1, 7), _same("branch7x7x3_3", 192, 7, 1),
         _halving("branch7x7x3_4", 192)),
    ), "halve")


def _e(name: str, pool: str) -> Block:
    return Block(name, (
        (_same("branch1x1", 320, 1, 1),),
        (_same("branch3x3_1", 384, 1, 1), (_same("branch3x3_2a", 384, 1, 3), _same("branch3x3_2b", 384, 3, 1))),
        (_same("branch3x3dbl_1", 448, 1, 1), _same("branch3x3dbl_2", 384, 3, 3),
         (_same("branch3x3dbl_3a", 384, 1, 3), _same("branch3x3dbl_3b", 384, 3, 1))),
    ), pool, (_same("branch_pool", 192, 1, 1),))


#: convolutions before the blocks; None: a 3x3 maximum of stride 2
STEM = (Conv("Conv2d_1a_3x3", 32, (3, 3), 2), Conv("Conv2d_2a_3x3", 32, (3, 3)), _same("Conv2d_2b_3x3", 64, 3, 3), None,
        Conv("Conv2d_3b_1x1", 80, (1, 1)), Conv("Conv2d_4a_3x3", 192, (3, 3)), None)
BLOCKS = (_a("Mixed_5b", 32), _a("Mixed_5c", 64), _a("Mixed_5d", 64), _b("Mixed_6a"),
          _c("Mixed_6b", 128), _c("Mixed_6c", 160), _c("Mixed_6d", 160), _c("Mixed_6e", 192),
          _d("Mixed_7a"), _e("Mixed_7b", "mean"), _e("Mixed_7c", "max"))


def inception_convolutions() -> Iterator[Tuple[str, Tuple[int, int, int, int]]]:
    """(name, shape of its weight) of each convolution, in the order of the file."""
    into = 3
    for conv in STEM:
        if conv is not None:
            yield conv.name, (conv.out, into) + conv.kernel
            into = conv.out
    for block in BLOCKS:
        joined = into if block.pool == "halve" else 0
        for branch in block.branches + ((block.pooled,) if block.pooled else ()):
            width = into
            for step in branch:
                parts = (step,) if isinstance(step, Conv) else step
                for conv in parts:
                    yield f"{block.name}.{conv.name}", (conv.out, width) + conv.kernel
                width = sum(conv.out for conv in parts)
            joined += width
        into = joined


def inception_shapes() -> Dict[str, Tuple[int, ...]]:
    """name -> shape of everything in the file."""
    out: Dict[str, Tuple[int, ...]] = {}
    for name, shape in inception_convolutions():
        out[f"{name}.conv.weight"] = shape
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            out[f"{name}.bn.{leaf}"] = shape[:1]
    out["fc.weight"], out["fc.bias"] = (CLASSES, FEATURES), (CLASSES,)
    return out


class InceptionFeatures:
    """(N, 3, 299, 299) float32 in [-1, 1], RGB -> (N, 2048), the means of the last block's feature maps.

    arrays: name -> float32 array with the names and shapes of ``specification``.  The classifier is not used.
    The BatchNorms' fixed statistics are folded into the convolutions, which changes results by rounding only.
    """

    def __init__(self, arrays: Dict[str, np.ndarray]):
        self._weights = {name: _folded(arrays, name) for name, _ in inception_convolutions()}

    def __call__(self, x):
        for conv in STEM:
            x = nn.max_pool2d(x, 3, 2) if conv is None else self._conv(x, conv.name, conv)
        for block in BLOCKS:
            x = self._block(x, block)
        return x.mean(dims=(2, 3))

    def _block(self, x, block: Block):
        from ..networks.modules import mean_of_neighbours  # which starts Jittor; the layout above does not

        out: List = []
        for branch in block.branches:
            out += self._branch([x], block.name, branch)
        if block.pool == "halve":
            out.append(nn.max_pool2d(x, 3, 2))
        else:
            pooled = mean_of_neighbours(x, 1) if block.pool == "mean" else nn.max_pool2d(x, 3, 1, 1)
            out += self._branch([pooled], block.name, block.pooled)
        return jt.concat(out, 1)

    def _branch(self, x: List, block: str, branch) -> List:
        for step in branch:
            parts = (step,) if isinstance(step, Conv) else step
            x = [self._conv(x[0], f"{block}.{conv.name}", conv) for conv in parts]
        return x

    def _conv(self, x, name: str, conv: Conv):
        weight, bias = self._weights[name]
        return nn.relu(nn.conv2d(x, weight, bias, stride=conv.stride, padding=conv.padding))


def _folded(arrays: Dict[str, np.ndarray], name: str):
    """(weight, bias) that do what the convolution and its BatchNorm do."""
    scale, bias, mean, variance = (arrays[f"{name}.bn.{leaf}"].astype(np.float64)
                                   for leaf in ("weight", "bias", "running_mean", "running_var"))
    scale = scale / np.sqrt(variance + EPSILON)
    weight = arrays[f"{name}.conv.weight"] * scale[:, None, None, None]
    return (jt.array(weight.astype(np.float32)).stop_grad(),
            jt.array((bias - mean * scale).astype(np.float32)).stop_grad())


#: sum of the published ``pt_inception-2015-12-05-6726825d.pth``, 95,628,359 bytes (pytorch-fid and torch-fidelity)
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_WANTED = "expected FID's Inception, pt_inception-2015-12-05-6726825d.pth as PyTorch's FID tools use it"


def read_inception(path) -> Dict[str, np.ndarray]:
    """name -> float32 array of everything that ``specification`` lists.

    CheckpointError names the file and what is missing, too much, misshapen or damaged, and what was expected.
    """
    return check_inception(read_any(path), path)


def check_inception(value, source) -> Dict[str, np.ndarray]:
    """The arrays of what a file held, as ``read_inception`` returns them."""
    arrays, notes = unwrap(value, source)
    classes = arrays["fc.weight"].shape[0] if "fc.weight" in arrays and arrays["fc.weight"].ndim else None
    if classes == 1000 or any(str(name).startswith("AuxLogits.") for name in arrays):
        raise CheckpointError(
            f"{source}: {_WANTED}; found torchvision's Inception v3 (1000 classes, AuxLogits). It has the same layers "
            "with other weights: distances on its features are no FID and compare with no published score")
    try:
        return check_arrays(arrays, inception_shapes(), source)
    except CheckpointError as error:
        left = "".join(f" ({note})" for note in notes if note.startswith(LEFT_OUT))
        raise CheckpointError(f"{error}{left} ({_WANTED[0].upper()}{_WANTED[1:]}.)") from None


def load_inception(path) -> Tuple[Any, Dict[str, object]]:
    """(InceptionFeatures, {"file": its name, "sha256": its sum, "published": whether that is the published file's})."""
    network = InceptionFeatures(read_inception(path))
    found = sha256(path)
    return network, {"file": Path(path).name, "sha256": found, "published": found == PUBLISHED_SHA256}
