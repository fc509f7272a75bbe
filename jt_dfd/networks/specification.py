"""Every parameter's name and shape, for any configuration, without Jittor or PyTorch.

The names are the release's; its checkpoints, ours and the PyTorch modules all follow this list.
"""
from __future__ import annotations

from typing import Dict, Tuple

from ..components import COMPONENTS
from ..config import Config

Shapes = Dict[str, Tuple[int, ...]]

#: networks a checkpoint folder holds; all but the generator once for each component
KINDS = ("encoder", "image_decoder", "feature_decoder", "generator")


def specification(kind: str, config: Config, component: str = "rest") -> Shapes:
    """name -> shape in storage order.  kind: one of KINDS, or "discriminator"."""
    if component not in COMPONENTS:
        raise ValueError(f"no component {component!r}; they are {', '.join(COMPONENTS)}")
    if kind == "encoder":
        return _encoder(config, component)
    if kind == "image_decoder":
        return _decoder(config, component, config.image_widths, 1)
    if kind == "feature_decoder":
        return _decoder(config, component, config.feature_widths, config.feature_channels)
    if kind == "generator":
        return _generator(config)
    if kind == "discriminator":
        return _discriminator(config)
    raise ValueError(f"no network {kind!r}; there are {', '.join(KINDS)}, discriminator")


def specification_of(config: Config) -> Dict[Tuple[str, str], Shapes]:
    """(kind, component) -> names and shapes, for all inference networks; the generator's component is ""."""
    out = {}
    for kind in KINDS:
        for component in COMPONENTS if kind != "generator" else ("",):
            out[kind, component] = specification(kind, config, component or "rest")
    return out


def _conv(name: str, out: int, into: int, size: int) -> Shapes:
    return {f"{name}.weight": (out, into, size, size), f"{name}.bias": (out,)}


def _conv_transpose(name: str, into: int, out: int, size: int) -> Shapes:
    return {f"{name}.weight": (into, out, size, size), f"{name}.bias": (out,)}


def _batch_norm(name: str, width: int) -> Shapes:
    return {f"{name}.{leaf}": (width,) for leaf in ("weight", "bias", "running_mean", "running_var")}


def _instance_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _res(name: str, width: int, norm=_batch_norm) -> Shapes:
    out = {}
    for conv, norm_index in ((1, 2), (5, 6)):
        out.update(_conv(f"{name}.conv_block.{conv}", width, width, 3))
        out.update(norm(f"{name}.conv_block.{norm_index}", width))
    return out


def _encoder(config: Config, component: str) -> Shapes:
    out, into = {}, 1
    for stage, width in enumerate(config.encoder_widths):
        out.update(_conv(f"conv.{2 * stage}.conv", width, into, 4))
        out.update(_batch_norm(f"conv.{2 * stage}.bn", width))
        out.update(_res(f"conv.{2 * stage + 1}", width))
        into = width
    cells = config.grid(component) ** 2
    out.update({"fc_mu.0.weight": (config.latent, into * cells), "fc_mu.0.bias": (config.latent,)})
    return out


def _decoder(config: Config, component: str, widths, channels: int) -> Shapes:
    width = config.encoder_widths[-1]
    cells = config.grid(component) ** 2
    out = {"fc.0.weight": (width * cells, config.latent), "fc.0.bias": (width * cells,)}
    out.update(_res("conv.0", width))
    for stage, up in enumerate(widths):
        out.update(_conv_transpose(f"conv.{2 * stage + 1}.conv.0", width, up, 4))
        out.update(_batch_norm(f"conv.{2 * stage + 1}.conv.1", up))
        out.update(_res(f"conv.{2 * stage + 2}", up))
        width = up
    out.update(_conv(f"conv.{2 * len(widths) + 2}", channels, width, 5))
    return out


def _generator(config: Config) -> Shapes:
    width, out = config.generator_width, {}
    out.update(_conv("model.1", width, config.feature_channels, 7))
    out.update(_instance_norm("model.2", width))
    index = 4
    for _ in range(config.generator_downs):
        out.update(_conv(f"model.{index}", width * 2, width, 3))
        out.update(_instance_norm(f"model.{index + 1}", width * 2))
        width, index = width * 2, index + 3
    for _ in range(config.generator_blocks):
        out.update(_res(f"model.{index}", width, _instance_norm))
        index += 1
    for _ in range(config.generator_downs):
        out.update(_conv_transpose(f"model.{index}", width, width // 2, 3))
        out.update(_instance_norm(f"model.{index + 1}", width // 2))
        width, index = width // 2, index + 3
    out.update(_conv(f"model.{index + 1}", 3, width, 7))
    return out


def _discriminator(config: Config) -> Shapes:
    out = {}
    for scale in range(config.discriminator_scales):
        into, width = config.feature_channels + 3, config.discriminator_width
        for layer in range(config.discriminator_layers + 1):
            name = f"scale{scale}_layer{layer}"
            out.update(_conv(f"{name}.0", width, into, 4))
            if layer:
                out.update(_instance_norm(f"{name}.1", width))
            into, width = width, min(width * 2, 512)
        out.update(_conv(f"scale{scale}_layer{config.discriminator_layers + 1}.0", 1, into, 4))
    return out
