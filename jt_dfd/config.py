"""Architecture of the networks: presets, and the record saved beside every checkpoint as ``config.json``.

release   the published architecture, 512 pixel canvas (562.8 M parameters)
compact   a 256 pixel canvas with narrow networks, for CPUs and small data (ours)
tiny      a 64 pixel canvas, for tests: seconds on a CPU (ours)
"""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from .components import COMPONENTS, Geometry
from .errors import UserError

TYPE_CHECKING = False   # importing typing would cost every --help 4 ms
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1  # of config.json


class ConfigError(UserError, ValueError):
    """A configuration that names no buildable network; the message names the file and field."""


@dataclass(frozen=True)
class Config:
    """Widths and depths of every network.  Defaults are the release's.

    preset              name this came from, for people
    canvas              edge of the working canvas in pixels
    latent              width of a component's latent vector
    encoder_widths      channels after each halving of a CE encoder, first to last; as many as the canvas has halvings
    image_widths        channels after each Up of a CE image decoder
    feature_widths      channels after each Up of an FM feature decoder
    feature_channels    channels of the merged feature map that the generator reads
    generator_width     ngf: channels at the generator's full resolution
    generator_downs     halvings inside the generator
    generator_blocks    residual blocks at its lowest resolution
    discriminator_width ndf (ours, pix2pixHD lineage)
    discriminator_layers, discriminator_scales   PatchGAN depth and number of scales (ours, pix2pixHD lineage)
    """

    preset: str = "release"
    canvas: int = 512
    latent: int = 512
    encoder_widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    image_widths: tuple[int, ...] = (256, 128, 64, 32, 32)
    feature_widths: tuple[int, ...] = (256, 256, 128, 64, 64)
    feature_channels: int = 32
    generator_width: int = 56
    generator_downs: int = 4
    generator_blocks: int = 9
    discriminator_width: int = 64
    discriminator_layers: int = 3
    discriminator_scales: int = 2

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "preset":
                if not isinstance(value, str):
                    raise ConfigError(f"config: preset must be a name, not {value!r}")
            elif f.name.endswith("_widths"):
                if not isinstance(value, (tuple, list)) or not all(_positive(v) for v in value):
                    raise ConfigError(f"config: {f.name} must be a list of positive whole numbers, not {value!r}")
                object.__setattr__(self, f.name, tuple(value))
            elif not _positive(value):
                raise ConfigError(f"config: {f.name} must be a positive whole number up to 65536, not {value!r}")
        try:
            geometry = self.geometry
        except ValueError as error:
            raise ConfigError(f"config: {error}") from None
        for name in ("encoder_widths", "image_widths", "feature_widths"):
            if len(getattr(self, name)) != geometry.downs:
                raise ConfigError(f"config: {name} needs {geometry.downs} numbers for a canvas of {self.canvas} "
                                  f"pixels, not {len(getattr(self, name))}")
        if self.canvas % (1 << self.generator_downs):
            raise ConfigError(f"config: {self.generator_downs} generator_downs do not divide a canvas of {self.canvas}")

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.canvas)

    def to_dict(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Any, source: str = "config") -> "Config":
        """Strict: an unknown field or a missing one is an error that names ``source``."""
        if not isinstance(data, dict):
            raise ConfigError(f"{source}: expected an object with the network sizes, found {type(data).__name__}")
        names = {f.name for f in fields(cls)}
        unknown, missing = sorted(set(data) - names), sorted(names - set(data))
        if unknown or missing:
            raise ConfigError(f"{source}: " + "; ".join(filter(None, [
                f"unknown fields {', '.join(map(str, unknown))}" if unknown else "",
                f"missing fields {', '.join(missing)}" if missing else ""])))
        try:
            return cls(**data)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None

    def same_encoders(self, other: "Config") -> bool:
        """Whether stage I's networks are of one size."""
        return all(getattr(self, name) == getattr(other, name)
                   for name in ("canvas", "latent", "encoder_widths", "image_widths"))

    def with_words(self, text: str) -> "Config":
        """The configuration changed by "generator_width=48 encoder_widths=8,12".  ConfigError names the field."""
        changes: dict[str, Any] = {}
        for word in text.split():
            name, _, value = word.partition("=")
            known = [f.name for f in fields(self) if f.name != "preset"]
            if name not in known:
                raise ConfigError(f"no size {name!r} in {word!r}; there are {', '.join(known)}")
            try:
                numbers = [int(number) for number in value.split(",")]
            except ValueError:
                raise ConfigError(f"{word}: expected whole numbers, as in generator_width=48 or "
                                  "encoder_widths=8,12") from None
            changes[name] = tuple(numbers) if name.endswith("_widths") or len(numbers) > 1 else numbers[0]
        return self.with_changes(**changes)

    def with_changes(self, **changes) -> "Config":
        return replace(self, **changes)


def _positive(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65536


PRESETS: dict[str, Config] = {
    "release": Config(),
    # 24.1 M inference parameters: 48 MB in float16, which leaves room for banks of 2,000 rows under 60 MB. Channels
    # are spent where the maps are small: a training step of the full-size ones costs a CPU the most
    "compact": Config(
        preset="compact", canvas=256, latent=192,
        encoder_widths=(16, 32, 64, 64), image_widths=(64, 32, 16, 16), feature_widths=(128, 64, 32, 16),
        feature_channels=16, generator_width=24, generator_downs=3, generator_blocks=6,
        discriminator_width=32),
    "tiny": Config(
        preset="tiny", canvas=64, latent=24,
        encoder_widths=(8, 12), image_widths=(8, 8), feature_widths=(8, 8),
        feature_channels=6, generator_width=8, generator_downs=2, generator_blocks=2,
        discriminator_width=8, discriminator_layers=2),
}


def preset(name: str) -> Config:
    """The preset's configuration.  ValueError for an unknown name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"no preset {name!r}; there are {', '.join(PRESETS)}") from None


def load(path) -> dict[str, Any]:
    """A ``config.json`` as a dict with the key ``"network"`` turned into a :class:`Config`.

    ConfigError names the file where it is unreadable, of another format or unbuildable.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a readable configuration ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigError(f"{path}: expected a jt_dfd configuration of format {FORMAT}"
                          + (f", found format {data.get('format')!r}" if isinstance(data, dict) else ""))
    data["network"] = Config.from_dict(data.get("network"), f"{path}: network")
    return data


def dump(config: Config, **extra) -> str:
    """The text of a ``config.json``: the network and any further entries (``files``, ``provenance``)."""
    return json.dumps({"format": FORMAT, "network": config.to_dict(), **extra}, indent=2) + "\n"


__all__ = ["COMPONENTS", "Config", "ConfigError", "PRESETS", "preset", "load", "dump"]
