"""A whole folder of weights in any of the formats: which networks and banks it holds, and its configuration.

The places are the release's; only the suffixes differ.  A discriminator, where there is one, is
``Combine/latest_net_D`` (ours, after pix2pixHD).
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .. import config as configuration
from ..checkpoints import GENDERS, SHARED_BANK, CheckpointError, bank_path, network_path
from ..components import COMPONENTS
from ..config import PRESETS, Config, ConfigError
from ..layout import KINDS
from . import formats
from .recognise import combined_config, sizes_of

CONFIG_FILE = "config.json"


class Member(NamedTuple):
    """One file of a folder.  kind: a network's, "discriminator" or "bank"; gender: of a bank, "all" where shared;
    stem: its place in the folder without the suffix; path: where it lies."""

    kind: str
    component: str
    gender: str
    stem: str
    path: Path


def stem(kind: str, component: str = "", gender: str = "") -> str:
    """A member's place in any folder, without the suffix."""
    if kind == "bank":
        return bank_path(component, gender)[:-len(".bin")]
    if kind == "discriminator":
        return "Combine/latest_net_D"
    return network_path(kind, component or "rest")[:-len(".pkl")]


def _find(folder: Path, place: str, bank: bool) -> Optional[Path]:
    # with_suffix would take the end of "latest_net_decoder_.x" for a suffix
    endings = ((".bin",) if bank else formats.JITTOR_SUFFIXES) + formats.TORCH_SUFFIXES
    found = [path for path in (folder / (place + ending) for ending in endings) if path.is_file()]
    if len(found) > 1:
        raise CheckpointError(f"{folder}: holds {' and '.join(path.name for path in found)}; remove all but one")
    return found[0] if found else None


def bank_of(path, latent: Optional[int] = None) -> Tuple[int, str]:
    """(numbers a row, element type) of a single ``.bin`` bank: what the config.json of the folder around it says, else
    the release's 512 and float32."""
    path = Path(path)
    file = path.resolve().parent.parent / CONFIG_FILE
    try:
        data = configuration.load(file) if file.is_file() else {}
    except ConfigError:
        data = {}
    banks, network = data.get("banks", {}), data.get("network", PRESETS["release"])
    half = isinstance(banks, dict) and banks.get("dtype") == "float16"
    return latent or network.latent, "float16" if half else "float32"


class SourceFolder:
    """path, members (in order), missing (stems of networks and banks that belong there and are not), config (sizes of
    the networks), meta (what else config.json says)."""

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise CheckpointError(f"{self.path}: no such folder of weights")
        self.members: List[Member] = []
        self.missing: List[str] = []
        for kind in (*KINDS, "discriminator"):
            for component in COMPONENTS if kind not in ("generator", "discriminator") else ("",):
                self._add(kind, component, "", kind != "discriminator")
        if not self.members:
            hint = " Did you mean the folder demo/ in it?" if (self.path / "demo").is_dir() else ""
            raise CheckpointError(f"{self.path}: holds no networks in the release's layout (AE_whole/, Combine/)."
                                  f"{hint}")
        for gender in (*GENDERS, SHARED_BANK):
            if any(_find(self.path, stem("bank", name, gender), True) for name in COMPONENTS):
                for component in COMPONENTS:
                    self._add("bank", component, gender, True)
        self.config, self.meta = self._configuration()

    def _add(self, kind: str, component: str, gender: str, needed: bool) -> None:
        place = stem(kind, component, gender)
        path = _find(self.path, place, kind == "bank")
        if path is not None:
            self.members.append(Member(kind, component, gender, place, path))
        elif needed:
            self.missing.append(place)

    def _configuration(self) -> Tuple[Config, Dict[str, Any]]:
        file = self.path / CONFIG_FILE
        if file.is_file():
            try:
                data = configuration.load(file)
            except ConfigError as error:
                raise CheckpointError(str(error)) from None
            network = data.pop("network")
            for name in ("files", "banks", "provenance"):
                if not isinstance(data.get(name, {}), dict):
                    raise CheckpointError(f"{file}: {name} must be an object")
            return network, data
        return self._sizes_from_files(), {}

    def _sizes_from_files(self) -> Config:
        """Without a config.json: the release, unless one small network says otherwise; then all are asked."""
        sizes: Dict[str, Any] = {}
        asked = [next((m for m in self.members if m.kind == kind), None) for kind in (*KINDS, "discriminator")]
        for member in asked:
            if member is None:
                continue
            found = sizes_of(formats.read_any(member.path), member.path)
            if not sizes and all(getattr(PRESETS["release"], k) == v for k, v in found.items()):
                return PRESETS["release"]
            sizes.update({k: v for k, v in found.items() if k not in sizes})
        return combined_config(sizes, self.path)

    @property
    def bank_dtype(self) -> str:
        """Element type of ``.bin`` banks, "float32" or "float16"."""
        dtype = self.meta.get("banks", {}).get("dtype", "float32")
        if dtype not in ("float32", "float16"):
            raise CheckpointError(f"{self.path / CONFIG_FILE}: banks must be float32 or float16, not {dtype!r}")
        return dtype

    def checksum(self, member: Member) -> Optional[str]:
        """The sha256 that config.json promises for the member's file, or None."""
        entry = self.meta.get("files", {}).get(member.path.relative_to(self.path).as_posix())
        return entry.get("sha256") if isinstance(entry, dict) else None
