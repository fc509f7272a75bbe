"""The layers of every network, written once, without any framework.

    for sequence in network("encoder", config, "eye1"):
        sequence.name, sequence.layers, sequence.size

A network is a tuple of named sequences; a sequence is a tuple of layers, numbered from 0; a layer is one of the records
below or a ``Block`` of further layers.  The names that follow ("conv.0.conv.weight") are those of the release's
checkpoints.  Read from here are

    the Jittor modules          networks/modules.py
    the PyTorch modules         converter/torch_layers.py
    names and shapes            ``specification``, which every checkpoint is held against
    the sizes in a checkpoint   ``sizes``, the way back
    counts of operations        benchmark/stages.py
    the benchmark's yardstick   benchmark/release_side.py
    what a conversion runs      converter/sides.py

To widen or add a layer, change its network here (and its half of ``sizes``, where a number of ``Config`` is read off
it).  A preset is a record in config.py.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple, Union

from .components import COMPONENTS, GRID
from .config import Config

Shapes = Dict[str, Tuple[int, ...]]

#: networks a checkpoint folder holds; all but the generator once for each component
KINDS = ("encoder", "image_decoder", "feature_decoder", "generator")
#: BatchNorm momentum inside down and up blocks, and inside residual blocks (release)
SAMPLING_MOMENTUM = 0.9
RES_MOMENTUM = 0.1
#: standard deviation of initial convolution weights, and of norm weights around one (release)
INITIAL_DEVIATION = 0.02
#: negative slope of the discriminator's LeakyReLU (pix2pixHD lineage)
LEAK = 0.2
#: most channels of a discriminator layer (pix2pixHD lineage)
MAX_DISCRIMINATOR_WIDTH = 512


# The records.

class Linear(NamedTuple):
    """(N, into) -> (N, out), with bias."""

    into: int
    out: int


class Conv(NamedTuple):
    """A square convolution with bias.  ``padding`` is zeros."""

    into: int
    out: int
    kernel: int
    stride: int = 1
    padding: int = 0


class ConvTranspose(NamedTuple):
    """A square transposed convolution with bias."""

    into: int
    out: int
    kernel: int
    stride: int
    padding: int
    output_padding: int = 0


class Norm(NamedTuple):
    """kind  "batch": BatchNorm; running statistics at inference.
          "picture": BatchNorm in training mode over a batch of one, for every picture by itself, always.  Its running
          statistics are part of the checkpoint and never read (the release's feature decoders lie in a dict, which
          Jittor's ``eval()`` does not enter).
          "instance": InstanceNorm with weight and bias, without running statistics.
    momentum  of the running statistics
    """

    kind: str
    channels: int
    momentum: float = 0.1


class Reflect(NamedTuple):
    """Reflected border of ``padding`` pixels."""

    padding: int


class Activation(NamedTuple):
    """name: "relu", "tanh" or "leaky_relu" of ``slope``."""

    name: str
    slope: float = 0.0


class Pool(NamedTuple):
    """Square maximum."""

    kernel: int
    stride: int


class Block(NamedTuple):
    """Layers with names of their own, run in order.

    kind   "res": the input is added to the result.  "down", "up": the release computes a LeakyReLU of slope 1 after
           them, which is the identity and left out everywhere but in the benchmark's yardstick
    parts  (name, layer, or tuple of layers numbered from 0)
    """

    kind: str
    parts: Tuple[Tuple[str, Any], ...]


Layer = Union[Linear, Conv, ConvTranspose, Norm, Reflect, Activation, Pool, Block]


class Sequence(NamedTuple):
    """name; layers; size: edge in cells of the square map that enters, 0 where a vector does."""

    name: str
    layers: Tuple[Layer, ...]
    size: int


Network = Tuple[Sequence, ...]

_RELU = Activation("relu")


# The networks.

def network(kind: str, config: Config, component: str = "rest") -> Network:
    """kind: one of KINDS, or "discriminator".  component: without meaning for the generator and the discriminator.
    ValueError for an unknown kind or component."""
    if kind == "generator":
        return _generator(config)
    if kind == "discriminator":
        return _discriminator(config)
    if component not in COMPONENTS:
        raise ValueError(f"no component {component!r}; they are {', '.join(COMPONENTS)}")
    if kind == "encoder":
        return _encoder(config, component)
    if kind == "image_decoder":
        return _decoder(config, component, config.image_widths, 1, "batch")
    if kind == "feature_decoder":
        return _decoder(config, component, config.feature_widths, config.feature_channels, "picture")
    raise ValueError(f"no network {kind!r}; there are {', '.join(KINDS)}, discriminator")


def _res(width: int, norm: str) -> Block:
    half = (Reflect(1), Conv(width, width, 3), Norm(norm, width, RES_MOMENTUM))
    return Block("res", (("conv_block", half + (_RELU,) + half),))


def _down(into: int, out: int) -> Block:
    return Block("down", (("conv", Conv(into, out, 4, 2, 1)), ("bn", Norm("batch", out, SAMPLING_MOMENTUM))))


def _up(into: int, out: int, norm: str) -> Block:
    return Block("up", (("conv", (ConvTranspose(into, out, 4, 2, 1), Norm(norm, out, SAMPLING_MOMENTUM))),))


def _encoder(config: Config, component: str) -> Network:
    layers, into = [], 1
    for width in config.encoder_widths:
        layers += [_down(into, width), _res(width, "batch")]
        into = width
    return (Sequence("conv", tuple(layers), config.geometry.window(component).size),
            Sequence("fc_mu", (Linear(into * GRID[component] ** 2, config.latent),), 0))


def _decoder(config: Config, component: str, widths: Tuple[int, ...], channels: int, norm: str) -> Network:
    width, grid = config.encoder_widths[-1], GRID[component]
    start, layers = Linear(config.latent, width * grid ** 2), [_res(width, norm)]
    for up in widths:
        layers += [_up(width, up, norm), _res(up, norm)]
        width = up
    layers += [Reflect(2), Conv(width, channels, 5)]
    return Sequence("fc", (start,), 0), Sequence("conv", tuple(layers), grid)


def _generator(config: Config) -> Network:
    width = config.generator_width
    layers = [Reflect(3), Conv(config.feature_channels, width, 7), Norm("instance", width), _RELU]
    for _ in range(config.generator_downs):
        layers += [Conv(width, width * 2, 3, 2, 1), Norm("instance", width * 2), _RELU]
        width *= 2
    layers += [_res(width, "instance")] * config.generator_blocks
    for _ in range(config.generator_downs):
        layers += [ConvTranspose(width, width // 2, 3, 2, 1, 1), Norm("instance", width // 2), _RELU]
        width //= 2
    layers += [Reflect(3), Conv(width, 3, 7), Activation("tanh")]
    return (Sequence("model", tuple(layers), config.canvas),)


def _discriminator(config: Config) -> Network:
    """Scale 0 reads the feature map and a picture side by side at full size, every further scale one half of that."""
    out = []
    for scale in range(config.discriminator_scales):
        size, into, width = config.canvas >> scale, config.feature_channels + 3, config.discriminator_width
        for layer in range(config.discriminator_layers + 2):
            if layer == config.discriminator_layers + 1:
                layers: Tuple[Layer, ...] = (Conv(into, 1, 4, 1, 2),)
            else:
                # the last normalised layer keeps the resolution, as in PatchGAN
                stride = 2 if layer < config.discriminator_layers else 1
                norm = (Norm("instance", width),) if layer else ()
                layers = (Conv(into, width, 4, stride, 2), *norm, Activation("leaky_relu", LEAK))
            out.append(Sequence(f"scale{scale}_layer{layer}", layers, size))
            size = size_after(layers, size)
            into, width = width, min(width * 2, MAX_DISCRIMINATOR_WIDTH)
    return tuple(out)


#: convolutions in each of VGG's five levels, and their widths (Simonyan and Zisserman 2014)
_VGG_DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_VGG_WIDTHS = (64, 128, 256, 512, 512)


def vgg(kind: str) -> Tuple[Layer, ...]:
    """The convolutional part of "vgg16" or "vgg19"; torchvision calls layer N of it features.N."""
    layers, into = [], 3
    for depth, width in zip(_VGG_DEPTHS[kind], _VGG_WIDTHS):
        for _ in range(depth):
            layers += [Conv(into, width, 3, 1, 1), _RELU]
            into = width
        layers.append(Pool(2, 2))
    return tuple(layers)


# Their modules, in whichever framework.

def maker(nn, conv, conv_transpose, norm: Callable, block: Callable, sequential: Optional[Callable] = None,
          tanh: Optional[Callable] = None) -> Callable:
    """A function that makes the module of a record, and of a tuple of them the module that runs them in order.

    nn: Jittor's or PyTorch's; conv, conv_transpose: its classes in two dimensions; norm, block: make those records';
    sequential: a tuple's (default: ``nn.Sequential``); tanh: makes a tanh (default: ``nn.Tanh``).
    """
    activations = {"relu": lambda a: nn.ReLU(), "tanh": lambda a: (tanh or nn.Tanh)(),
                   "leaky_relu": lambda a: nn.LeakyReLU(a.slope)}
    makers: Dict[type, Callable] = {
        tuple: lambda layers: (sequential or nn.Sequential)(*map(make, layers)),
        Linear: lambda r: nn.Linear(r.into, r.out),
        Conv: lambda c: conv(c.into, c.out, c.kernel, stride=c.stride, padding=c.padding),
        ConvTranspose: lambda c: conv_transpose(c.into, c.out, c.kernel, stride=c.stride, padding=c.padding,
                                                output_padding=c.output_padding),
        Reflect: lambda r: nn.ReflectionPad2d(r.padding),
        Activation: lambda a: activations[a.name](a), Norm: norm, Block: block}

    def make(record):
        return makers[type(record)](record)
    return make


def discriminate(network, x, config: Config, halve: Callable) -> list:
    """What a module with the discriminator's sequences says of ``x``: the maps of every layer, by scale."""
    out = []
    for scale in range(config.discriminator_scales):
        maps, y = [], x if scale == 0 else halve(x)
        x = y
        for layer in range(config.discriminator_layers + 2):
            y = getattr(network, f"scale{scale}_layer{layer}")(y)
            maps.append(y)
        out.append(maps)
    return out


# What can be read off them.

def leaves(layers, prefix: str = "") -> Iterator[Tuple[str, Layer]]:
    """(dotted name, layer) of every layer that is no block, in the order in which they are run and stored.  ``layers``
    is a network, a tuple of layers, or one layer."""
    if isinstance(layers, Block):
        parts: Any = layers.parts
    elif type(layers) is not tuple:  # a record
        yield prefix, layers
        return
    elif layers and isinstance(layers[0], Sequence):
        parts = ((sequence.name, sequence.layers) for sequence in layers)
    else:
        parts = ((str(number), layer) for number, layer in enumerate(layers))
    for name, part in parts:
        yield from leaves(part, f"{prefix}.{name}" if prefix else name)


def shapes_of(layer: Layer) -> Shapes:
    """Parameter's name -> shape of one layer that is no block, in storage order."""
    if isinstance(layer, Linear):
        return {"weight": (layer.out, layer.into), "bias": (layer.out,)}
    if isinstance(layer, Conv):
        return {"weight": (layer.out, layer.into, layer.kernel, layer.kernel), "bias": (layer.out,)}
    if isinstance(layer, ConvTranspose):
        return {"weight": (layer.into, layer.out, layer.kernel, layer.kernel), "bias": (layer.out,)}
    if isinstance(layer, Norm):
        names = ("weight", "bias") + (("running_mean", "running_var") if layer.kind != "instance" else ())
        return {name: (layer.channels,) for name in names}
    return {}


def size_after(layers, size: int) -> int:
    """Edge of the map after ``layers`` (as for ``leaves``), of one whose edge is ``size``."""
    for _, layer in leaves(layers):
        if isinstance(layer, Conv):
            size = (size + 2 * layer.padding - layer.kernel) // layer.stride + 1
        elif isinstance(layer, ConvTranspose):
            size = (size - 1) * layer.stride - 2 * layer.padding + layer.kernel + layer.output_padding
        elif isinstance(layer, Reflect):
            size += 2 * layer.padding
        elif isinstance(layer, Pool):
            size = (size - layer.kernel) // layer.stride + 1
    return size


def operations(layers, size: int) -> int:
    """Multiplications and additions of ``layers`` (as for ``leaves``) on one map whose edge is ``size``, a
    multiplication and an addition being two.  Norms, activations and padding are not counted."""
    total = 0
    for _, layer in leaves(layers):
        after = size_after(layer, size)
        if isinstance(layer, Linear):
            total += 2 * layer.into * layer.out
        elif isinstance(layer, (Conv, ConvTranspose)):
            # a transposed convolution applies its whole kernel to every cell it reads
            cells = size if isinstance(layer, ConvTranspose) else after
            total += 2 * layer.out * layer.into * layer.kernel ** 2 * cells ** 2
        size = after
    return total


def channels(layers) -> int:
    """Channels of the map that ``layers`` read."""
    return next(layer.into for _, layer in leaves(layers) if isinstance(layer, (Linear, Conv, ConvTranspose)))


def specification(kind: str, config: Config, component: str = "rest") -> Shapes:
    """Every parameter's name -> shape, in storage order.  kind: one of KINDS, or "discriminator".

    The release's checkpoints, ours and the PyTorch modules all follow this list.
    """
    return {f"{name}.{leaf}": shape for name, layer in leaves(network(kind, config, component))
            for leaf, shape in shapes_of(layer).items()}


def specification_of(config: Config) -> Dict[Tuple[str, str], Shapes]:
    """(kind, component) -> names and shapes, for all inference networks; the generator's component is ""."""
    return {(kind, component): specification(kind, config, component)
            for kind in KINDS for component in (COMPONENTS if kind != "generator" else ("",))}


# The way back: what a file of weights says about the network in it.

#: two parameters by which each family is known, whatever its sizes
TELLING: Dict[str, Tuple[str, str]] = {
    "encoder": ("fc_mu.0.weight", "conv.0.conv.weight"),
    "decoder": ("fc.0.weight", "conv.0.conv_block.1.weight"),
    "generator": ("model.1.weight", "model.4.weight"),
    "discriminator": ("scale0_layer0.0.weight", "scale0_layer1.0.weight"),
    "vgg": ("features.0.weight", "features.2.weight"),
}


class Found(NamedTuple):
    """kind: as for ``network``; components: those whose latent grid this is, () where the network has none;
    sizes: {field of Config: value} as far as this network tells."""

    kind: str
    components: Tuple[str, ...]
    sizes: Dict[str, Any]


def sizes(shapes: Shapes, encoders: Tuple[Tuple[int, ...], ...] = ()) -> Optional[Found]:
    """What network has these names and shapes; None where no family's telling name is there.

    encoders: the presets' encoder_widths, since a decoder knows only the last of them.
    KeyError, IndexError or ValueError where a telling name is there and the others do not go with it.  Only the
    telling layers are looked at: the caller compares with ``specification``.
    """
    if TELLING["encoder"][0] in shapes:
        widths = _run(shapes, lambda i: f"conv.{2 * i}.conv.weight", 0)
        latent, into = shapes["fc_mu.0.weight"]
        return Found("encoder", _components(into, widths[-1]), {
            "canvas": 16 << len(widths), "encoder_widths": widths, "latent": latent})
    if TELLING["decoder"][0] in shapes:
        width = shapes["conv.0.conv_block.1.weight"][0]
        ups = _run(shapes, lambda i: f"conv.{2 * i + 1}.conv.0.weight", 1)
        out = shapes[f"conv.{2 * len(ups) + 2}.weight"][0]
        cells, latent = shapes["fc.0.weight"]
        encoder = next((widths for widths in encoders if len(widths) == len(ups) and widths[-1] == width),
                       (1,) * (len(ups) - 1) + (width,))
        found = {"canvas": 16 << len(ups), "latent": latent, "encoder_widths": encoder}
        if out == 1:
            return Found("image_decoder", _components(cells, width), {**found, "image_widths": ups})
        return Found("feature_decoder", _components(cells, width), {**found, "feature_widths": ups,
                                                                    "feature_channels": out})
    if TELLING["generator"][0] in shapes:
        width, into = shapes["model.1.weight"][:2]
        downs = len(_run(shapes, lambda i: f"model.{4 + 3 * i}.weight", 0))
        blocks = sum(f"model.{4 + 3 * downs + i}.conv_block.1.weight" in shapes for i in range(1000))
        return Found("generator", (), {"feature_channels": into, "generator_width": width, "generator_downs": downs,
                                       "generator_blocks": blocks})
    if TELLING["discriminator"][0] in shapes:
        width, into = shapes["scale0_layer0.0.weight"][:2]
        return Found("discriminator", (), {
            "feature_channels": into - 3, "discriminator_width": width,
            "discriminator_layers": sum(f"scale0_layer{i}.0.weight" in shapes for i in range(100)) - 2,
            "discriminator_scales": sum(f"scale{i}_layer0.0.weight" in shapes for i in range(100))})
    return None


def _run(shapes: Shapes, name, axis: int) -> Tuple[int, ...]:
    """The widths of the convolutions name(0), name(1), ... as far as there are any."""
    out = []
    while len(shapes.get(name(len(out)), ())) == 4 and len(out) < 30:
        out.append(shapes[name(len(out))][axis])
    return tuple(out)


def _components(cells: int, width: int) -> Tuple[str, ...]:
    """The components whose latent grid of ``width`` channels has so many numbers."""
    if not width or cells % width:
        raise ValueError("no whole latent grid")
    fits = tuple(name for name in COMPONENTS if GRID[name] ** 2 == cells // width)
    if not fits:
        raise ValueError("no component has this latent grid")
    return fits
