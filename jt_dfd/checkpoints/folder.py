"""A folder of weights, in the release's layout; ours add a ``config.json``.

    AE_whole/latest_net_encoder_<key>.pkl          CE encoders
    AE_whole/latest_net_decoder_<key>_image.pkl    CE image decoders
    AE_whole/man_<key>_feature.bin, female_<key>_feature.bin    feature banks
    Combine/latest_net_DE_<key>.pkl                FM feature decoders
    Combine/latest_net_G.pkl                       IS generator

<key> is the component's name, and the empty string for the remainder.  A bank that is not split by gender is
``all_<key>_feature.bin`` (ours).
"""
from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import numpy as np

from .. import config as configuration
from ..components import COMPONENTS
from ..config import Config
from ..layout import specification
from ..atomic import write_text
from .banks import read_bank
from .errors import CheckpointError
from .files import read_arrays
from .strict import check_arrays

#: genders a bank may be split by, and the word for each in the release's file names
GENDERS: Dict[str, str] = {"male": "man", "female": "female"}
#: stands in for a gender where one bank serves everybody
SHARED_BANK = "all"
CONFIG_FILE = "config.json"


def _key(component: str) -> str:
    if component not in COMPONENTS:
        raise ValueError(f"no component {component!r}; they are {', '.join(COMPONENTS)}")
    return "" if component == "rest" else component


def network_path(kind: str, component: str = "rest") -> str:
    """Where a network's file lies, relative to the folder."""
    if kind == "generator":
        return "Combine/latest_net_G.pkl"
    key = _key(component)
    try:
        return {"encoder": f"AE_whole/latest_net_encoder_{key}.pkl",
                "image_decoder": f"AE_whole/latest_net_decoder_{key}_image.pkl",
                "feature_decoder": f"Combine/latest_net_DE_{key}.pkl"}[kind]
    except KeyError:
        raise ValueError(f"no checkpoint holds a {kind!r}") from None


def bank_path(component: str, gender: str) -> str:
    """Where a bank lies, relative to the folder.  gender: "male", "female" or SHARED_BANK."""
    if gender != SHARED_BANK and gender not in GENDERS:
        raise ValueError(f"no gender {gender!r}; there are {', '.join(GENDERS)}, {SHARED_BANK}")
    return f"AE_whole/{GENDERS.get(gender, SHARED_BANK)}_{_key(component)}_feature.bin"


class Folder:
    """An opened folder: knows its configuration and reads networks and banks one at a time.

    path      the folder
    config    the networks' sizes
    meta      the rest of config.json (``files``, ``provenance``, ``banks``), or {} in the release's layout
    genders   those with a bank for every component, e.g. ("male", "female"); () where one bank serves everybody
    """

    def __init__(self, path: Path, config: Config, meta: Dict[str, Any]):
        self.path, self.config, self.meta = path, config, meta
        self.genders: Tuple[str, ...] = tuple(g for g in GENDERS if (path / bank_path("rest", g)).is_file())
        self.has_shared_bank = (path / bank_path("rest", SHARED_BANK)).is_file()
        self.own = bool(meta)  # has a config.json

    def network(self, kind: str, component: str = "rest") -> Dict[str, np.ndarray]:
        """name -> float32 array of a network, checked against the configuration.  CheckpointError names the file."""
        path = self._checked(network_path(kind, component))
        return check_arrays(read_arrays(path), specification(kind, self.config, component), path)

    def bank(self, component: str, gender: Optional[str]) -> np.ndarray:
        """(rows, latent) float32 of the gender's bank; None or a gender without a bank of its own takes the shared
        one.  CheckpointError names the file."""
        if gender not in self.genders and self.has_shared_bank:
            gender = SHARED_BANK
        if gender is None:
            gender = self.genders[0] if self.genders else SHARED_BANK
        path = self._checked(bank_path(component, gender))
        return read_bank(path, self.config.latent, self.meta.get("banks", {}).get("dtype", "float32"))

    def check_banks(self) -> None:
        """Read every bank once and keep none.  CheckpointError names the first that is missing or damaged."""
        genders = self.genders + ((SHARED_BANK,) if self.has_shared_bank else ())
        if not genders:
            raise CheckpointError(f"{self.path}: holds no feature bank for anybody, neither "
                                  f"{bank_path('rest', 'male')} nor {bank_path('rest', 'female')}; without one nothing "
                                  "can be projected. See Params/README.md for the files that belong there.")
        for gender in genders:
            for component in COMPONENTS:
                self.bank(component, gender)

    def has(self, kind: str, component: str = "rest") -> bool:
        return (self.path / network_path(kind, component)).is_file()

    def files(self):
        """Relative paths of all files that inference needs."""
        for component in COMPONENTS:
            for kind in ("encoder", "image_decoder", "feature_decoder"):
                yield network_path(kind, component)
            for gender in self.genders or (SHARED_BANK,):
                yield bank_path(component, gender)
        yield network_path("generator")

    def _checked(self, relative: str) -> Path:
        path = self.path / relative
        if not path.is_file():
            for other in (path.with_suffix(suffix) for suffix in (".pth", ".pt", ".safetensors")):
                if other.is_file():
                    raise CheckpointError(f"{path}: missing; {other.name} is there, so this is a folder for PyTorch. "
                                          f"tools/convert_weights.py to-jittor {self.path} FOLDER makes one of use here.")
            raise CheckpointError(f"{path}: missing. {self.path} is taken for "
                                  + (f"a jt_dfd folder of preset {self.config.preset!r}" if self.own
                                     else "the authors' release (it has no config.json)")
                                  + "; see Params/README.md for the files that belong there.")
        entry = self.meta.get("files", {}).get(relative)
        if entry is not None and sha256(path) != entry.get("sha256"):
            raise CheckpointError(f"{path}: its sha256 is not the one in {self.path / CONFIG_FILE}: the file was "
                                  "changed or damaged. Fetch it again, or write the folder anew.")
        return path


def open_folder(path) -> Folder:
    """Open a folder of weights.  With a ``config.json`` it is one of ours, without one the authors' release.

    CheckpointError where it is no folder, holds no weights or an unusable config.json.
    """
    path = Path(path)
    if not _has_weights(path) and _has_weights(path / "demo"):
        path = path / "demo"  # "Params" of a fresh checkout, where only the demo weights are
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder of weights. Params/demo ships with the repository; the "
                              "authors' weights go into AE_whole/ and Combine/ of a folder (tools/fetch_release.py).")
    if (path / CONFIG_FILE).is_file():
        try:
            data = configuration.load(path / CONFIG_FILE)
        except configuration.ConfigError as error:
            raise CheckpointError(str(error)) from None
        network = data.pop("network")
        _check_meta(data, path / CONFIG_FILE)
        return Folder(path, network, data)
    if not _has_weights(path):
        raise CheckpointError(f"{path}: holds neither config.json nor the release's AE_whole/ and Combine/, so no "
                              "weights. Point --params at a folder that does.")
    return Folder(path, configuration.preset("release"), {})


def _has_weights(path: Path) -> bool:
    return (path / CONFIG_FILE).is_file() or (path / "AE_whole").is_dir() or (path / "Combine").is_dir()


def _check_meta(data: Dict[str, Any], source: Path) -> None:
    files, banks = data.get("files", {}), data.get("banks", {})
    if not isinstance(files, dict) or not all(isinstance(v, dict) for v in files.values()):
        raise CheckpointError(f"{source}: files must map each file to its sha256")
    if not isinstance(banks, dict) or banks.get("dtype", "float32") not in ("float32", "float16"):
        raise CheckpointError(f"{source}: banks must say a dtype of float32 or float16")


def sha256(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_config(path, config: Config, provenance: Optional[Dict[str, Any]] = None, bank_dtype: str = "float32") -> None:
    """Write ``config.json`` of a folder whose files are in place: preset, sizes, provenance, sha256 of each file.
    Written last and atomically, so that a folder with a config.json is a whole one."""
    path = Path(path)
    files = {}
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.suffix in (".pkl", ".bin"):
            files[file.relative_to(path).as_posix()] = {"sha256": sha256(file), "bytes": file.stat().st_size}
    text = configuration.dump(config, files=files, banks={"dtype": bank_dtype}, provenance=provenance or {})
    write_text(path / CONFIG_FILE, text)
