"""A folder of weights in any of the formats: what it holds, read strictly and written whole.

    AE_whole/latest_net_encoder_<key>          CE encoders
    AE_whole/latest_net_decoder_<key>_image    CE image decoders
    AE_whole/man_<key>_feature, female_<key>_feature    feature banks
    Combine/latest_net_DE_<key>                FM feature decoders
    Combine/latest_net_G                       IS generator
    Combine/latest_net_D                       the discriminator that trained it, where there is one (ours)

The places are the release's.  <key> is the component's name, and the empty string for the remainder.  A bank that is
not split by gender is ``all_<key>_feature`` (ours).  The release's networks end in ``.pkl`` and its banks in ``.bin``;
folders for PyTorch have ``.pth``, ``.pt`` or ``.safetensors`` of both.  ``.ckpt``, ``.pth.tar``, ``.bin`` and none are
read, too: the content says what a file is.  Ours add a ``config.json``.
"""
from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from .. import config as configuration
from ..atomic import replacing_folder, write_text
from ..components import COMPONENTS
from ..config import PRESETS, Config
from ..layout import KINDS
from . import formats
from .arrays import CheckpointError
from .foreign import XU_JUSTIN
from .formats import read_bank, write_bank
from .recognise import BANK, Layout, combined_config, recognise, sizes_of

#: genders a bank may be split by, and the word for each in the release's file names
GENDERS: Dict[str, str] = {"male": "man", "female": "female"}
#: stands in for a gender where one bank serves everybody
SHARED_BANK = "all"
CONFIG_FILE = "config.json"
#: notices that go along with the weights they are about
NOTICES = ("LICENSE*", "NOTICE*", "README*")
_PLACES = {"encoder": "AE_whole/latest_net_encoder_{}", "image_decoder": "AE_whole/latest_net_decoder_{}_image",
           "feature_decoder": "Combine/latest_net_DE_{}", "generator": "Combine/latest_net_G",
           "discriminator": "Combine/latest_net_D"}


def place(kind: str, component: str = "", gender: str = "") -> str:
    """Where a network or a bank (kind "bank") lies in any folder, without the suffix."""
    if kind in ("generator", "discriminator"):
        return _PLACES[kind]
    component = component or "rest"
    if component not in COMPONENTS:
        raise ValueError(f"no component {component!r}; they are {', '.join(COMPONENTS)}")
    key = "" if component == "rest" else component
    if kind == "bank":
        if gender != SHARED_BANK and gender not in GENDERS:
            raise ValueError(f"no gender {gender!r}; there are {', '.join(GENDERS)}, {SHARED_BANK}")
        return f"AE_whole/{GENDERS.get(gender, SHARED_BANK)}_{key}_feature"
    if kind not in _PLACES:
        raise ValueError(f"no checkpoint holds a {kind!r}")
    return _PLACES[kind].format(key)


def network_path(kind: str, component: str = "rest") -> str:
    """Where a network's file lies in the release's layout, relative to the folder."""
    return place(kind, component) + ".pkl"


def bank_path(component: str, gender: str) -> str:
    """Where a bank lies in the release's layout, relative to the folder.  gender: "male", "female" or SHARED_BANK."""
    return place("bank", component, gender) + ".bin"


class Member(NamedTuple):
    """One file of a folder.  kind: a network's, "discriminator" or "bank"; component: "" of generator and
    discriminator; gender: of a bank, "all" where shared; place: as ``place`` says; path: where it lies."""

    kind: str
    component: str
    gender: str
    place: str
    path: Path


class Folder:
    """An opened folder: knows its configuration, reads and writes networks and banks one at a time.

    path      the folder
    config    the networks' sizes
    meta      the rest of config.json (``files``, ``provenance``, ``banks``), or {} in the release's layout
    suffix    of the networks that are written: what config.json says, else ".pkl"
    genders   those with a bank for every component, e.g. ("male", "female"); () where one bank serves everybody
    """

    def __init__(self, path: Path, config: Config, meta: Dict[str, Any]):
        self.path, self.config, self.meta = Path(path), config, meta
        self.suffix: str = meta.get("suffix", ".pkl")
        self.genders: Tuple[str, ...] = tuple(g for g in GENDERS if self.find("bank", "rest", g))
        self.has_shared_bank = self.find("bank", "rest", SHARED_BANK) is not None
        self.own = bool(meta)  # has a config.json

    # what is there

    def find(self, kind: str, component: str = "", gender: str = "") -> Optional[Path]:
        """The file of a network or a bank, None where it is missing.  CheckpointError where it is there twice."""
        stem = place(kind, component, gender)
        endings = formats.SUFFIXES + formats.OTHER_SUFFIXES
        found = [path for path in (self.path / (stem + ending) for ending in endings) if path.is_file()]
        if len(found) > 1:
            raise CheckpointError(f"{self.path}: holds {' and '.join(path.name for path in found)}; remove all but one")
        return found[0] if found else None

    def has(self, kind: str, component: str = "rest") -> bool:
        return self.find(kind, component) is not None

    def _wanted(self) -> Iterator[Tuple[str, str, str, bool]]:
        """(kind, component, gender, whether it has to be there) of everything that belongs into the folder."""
        for kind in KINDS:
            for component in COMPONENTS if kind != "generator" else ("",):
                yield kind, component, "", True
        yield "discriminator", "", "", False
        for gender in (*GENDERS, SHARED_BANK):
            if any(self.find("bank", component, gender) for component in COMPONENTS):
                for component in COMPONENTS:
                    yield "bank", component, gender, True

    def members(self) -> List[Member]:
        """Every network and bank that is there, in a fixed order."""
        found = ((wanted[:3], self.find(*wanted[:3])) for wanted in self._wanted())
        return [Member(*which, place(*which), path) for which, path in found if path is not None]

    def missing(self) -> List[str]:
        """Places of networks and banks that belong there and are not."""
        return [place(*wanted[:3]) for wanted in self._wanted() if wanted[3] and self.find(*wanted[:3]) is None]

    def files(self) -> Iterator[str]:
        """Relative paths of all files that inference needs."""
        wanted = [(kind, component, "") for component in COMPONENTS for kind in KINDS if kind != "generator"]
        wanted += [("bank", c, gender) for c in COMPONENTS for gender in self.genders or (SHARED_BANK,)]
        for entry in (*wanted, ("generator", "", "")):
            yield (self.find(*entry) or self._target(*entry)).relative_to(self.path).as_posix()

    def checksum(self, path: Path) -> Optional[str]:
        """The sha256 that config.json promises for a file, or None."""
        entry = self.meta.get("files", {}).get(path.relative_to(self.path).as_posix())
        return entry.get("sha256") if entry is not None else None

    # reading

    def network(self, kind: str, component: str = "rest", as_stored: bool = False) -> Dict[str, np.ndarray]:
        """name -> float32 array of a network, checked against the configuration; as_stored keeps each array's own
        element type.  CheckpointError names the file."""
        path = self._checked(kind, component)
        wanted = Layout(kind, "" if kind in ("generator", "discriminator") else component, self.config)
        return recognise(formats.read_any(path), path, None, wanted, as_stored)[1]

    def bank(self, component: str, gender: Optional[str], as_stored: bool = False) -> np.ndarray:
        """(rows, latent) float32 of the gender's bank; None or a gender without a bank of its own takes the shared
        one.  as_stored keeps the file's element type.  CheckpointError names the file."""
        if gender not in self.genders and self.has_shared_bank:
            gender = SHARED_BANK
        if gender is None:
            gender = self.genders[0] if self.genders else SHARED_BANK
        path = self._checked("bank", component, gender)
        return read_rows(path, self.config.latent, self.bank_dtype, as_stored)

    def read(self, member: Member, as_stored: bool = False) -> Dict[str, np.ndarray]:
        """name -> array of any member; of a bank {"feature": (rows, latent)}."""
        if member.kind == "bank":
            return {BANK: self.bank(member.component, member.gender, as_stored)}
        return self.network(member.kind, member.component, as_stored)

    @property
    def bank_dtype(self) -> str:
        """Element type of ``.bin`` banks, "float32" (release) or "float16"."""
        return self.meta.get("banks", {}).get("dtype", "float32")

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

    def _checked(self, kind: str, component: str, gender: str = "") -> Path:
        path = self.find(kind, component, gender)
        if path is None:
            raise CheckpointError(f"{self._target(kind, component, gender)}: missing. {self.path} is taken for "
                                  + (f"a jt_dfd folder of preset {self.config.preset!r}" if self.own
                                     else "the authors' release (it has no config.json)")
                                  + "; see Params/README.md for the files that belong there.")
        self.check_sum(path)
        return path

    def check_sum(self, path: Path) -> None:
        """CheckpointError unless a file is what config.json promises, where it promises anything."""
        promised = self.checksum(path)
        found = sha256(path) if promised is not None else None
        if found != promised:
            other = next((name for name, entry in self.meta["files"].items() if entry.get("sha256") == found), None)
            what = (f"it is that of {other}: were the two files swapped?" if other
                    else "the file was changed or damaged.")
            raise CheckpointError(f"{path}: its sha256 is not the one in {self.path / CONFIG_FILE}: {what} Fetch it "
                                  "again, or write the folder anew.")

    # writing

    def _target(self, kind: str, component: str = "", gender: str = "") -> Path:
        return self.path / (place(kind, component, gender)
                            + (".bin" if kind == "bank" and self.suffix == ".pkl" else self.suffix))

    def target(self, kind: str, component: str = "", gender: str = "") -> Path:
        """Where a network or bank is to be written: over the one that is there, whatever its format, else in the
        folder's own.  The place's folder is made."""
        path = self.find(kind, component, gender) or self._target(kind, component, gender)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_network(self, kind: str, component: str, arrays: Dict[str, np.ndarray]) -> None:
        """Atomically.  ``write_config`` comes after the last file."""
        formats.write(self.target(kind, component), arrays)

    def write_bank(self, component: str, gender: str, rows: np.ndarray) -> None:
        """(rows, latent) of float32 or float16, atomically; all ``.bin`` banks of a folder have one element type."""
        path = self.target("bank", component, gender)
        if formats.is_rows(path):
            write_bank(path, rows, str(rows.dtype))
        else:
            formats.write(path, {BANK: rows})

    def keep_banks(self, genders) -> None:
        """Remove the banks of all others (SHARED_BANK is one): those of an earlier call would be taken for the new
        ones' own."""
        for gender in (*GENDERS, SHARED_BANK):
            for path in (self.find("bank", c, gender) for c in COMPONENTS if gender not in genders):
                if path is not None:
                    path.unlink()

    def write_config(self, provenance: Optional[Dict[str, Any]] = None, bank_dtype: str = "float32") -> None:
        """Write ``config.json`` beside files that are in place: preset, sizes, provenance, sha256 of each file.
        Written last and atomically, so that a folder with a config.json is a whole one."""
        files = {}
        for file in sorted(self.path.rglob("*")):
            known = file.suffix in (*formats.SUFFIXES, ".bin", ".ckpt", ".tar") and not file.name.startswith(".")
            if known and file.is_file():
                files[file.relative_to(self.path).as_posix()] = {"sha256": sha256(file), "bytes": file.stat().st_size}
        kind: Dict[str, Any] = {"framework": "torch", "suffix": self.suffix} if self.suffix != ".pkl" else {}
        write_text(self.path / CONFIG_FILE, configuration.dump(
            self.config, **kind, files=files, banks={"dtype": bank_dtype}, provenance=provenance or {}))


def open_folder(path, sizes_from_files: bool = False) -> Folder:
    """Open a folder of weights.  With a ``config.json`` it is one of ours, without one the authors' release.

    sizes_from_files   without a ``config.json`` the networks' sizes are read off the files: a folder of any sizes
    CheckpointError where it is no folder, holds no weights or an unusable config.json.
    """
    path = Path(path)
    if not _has_weights(path) and _has_weights(path / "demo"):
        path = path / "demo"  # "Params" of a fresh checkout, where only the demo weights are
    if path.is_file():
        raise CheckpointError(f"{path}: is a file; name the folder of weights that it lies in, whose AE_whole/ and "
                              "Combine/ hold networks and feature banks")
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
        raise _nothing(path)
    folder = Folder(path, PRESETS["release"], {})
    if sizes_from_files:
        if not folder.members():
            raise _nothing(path)
        folder.config = _sizes_from_files(folder)
    return folder


def _nothing(path: Path) -> CheckpointError:
    theirs = ("CE/left_eye", "FM/left_eye", "IS/generator.pth", "left_eye/encoder.pth", "left_eye/decoder.pth")
    if any((path / name).exists() for name in theirs):
        return CheckpointError(f"{path}: holds weights {XU_JUSTIN}.")
    near = [path.resolve().parent] if path.resolve().name in ("AE_whole", "Combine") else sorted(
        folder.parent for name in ("AE_whole", "Combine") for folder in (*path.glob(f"*/{name}"),
                                                                         *path.glob(f"*/*/{name}")))
    hint = f"Did you mean to name {near[0]}?" if near else "Name a folder that has them."
    return CheckpointError(f"{path}: holds no weights: no config.json, and no networks in the release's AE_whole/ and "
                           f"Combine/. {hint}")


@contextmanager
def new_folder(path, config: Config, suffix: str = ".pkl", force: bool = False) -> Iterator[Folder]:
    """A folder to be written; it takes the place of ``path`` at the end, or is removed on any error.

    suffix   of its networks: ".pkl" (banks then ``.bin``), ".pth", ".pt" or ".safetensors" (of banks, too)
    force    replace a folder of weights that is there
    CheckpointError where it may not or cannot be written.
    """
    path = Path(path)
    check_free_place(path, force)
    try:
        with replacing_folder(path) as staging:
            yield Folder(staging, config, {"suffix": suffix})
    except OSError as error:
        where = error.filename or path
        raise CheckpointError(f"{where}: cannot be written ({error.strerror or error})") from None


def check_free_place(destination: Path, force: bool) -> None:
    """CheckpointError unless a folder of weights may be written to ``destination``, and with ``force`` replaced: only
    a folder of weights is."""
    if not destination.parent.is_dir():
        raise CheckpointError(f"{destination.parent}: no such folder; make it first")
    if not os.path.lexists(destination):
        return
    if not destination.is_dir() or destination.is_symlink():
        raise CheckpointError(f"{destination}: is there already and is no folder")
    if not any(destination.iterdir()):
        return
    if not force:
        raise CheckpointError(f"{destination}: is there already; --force replaces the whole folder")
    foreign = [entry.name for entry in destination.iterdir()
               if entry.name not in ("AE_whole", "Combine", CONFIG_FILE)
               and not any(entry.match(pattern) for pattern in NOTICES)]
    if foreign:
        raise CheckpointError(f"{destination}: --force replaces a folder of weights, and this one holds something "
                              f"else: {', '.join(sorted(foreign)[:4])}")


def _has_weights(path: Path) -> bool:
    return (path / CONFIG_FILE).is_file() or (path / "AE_whole").is_dir() or (path / "Combine").is_dir()


def _check_meta(data: Dict[str, Any], source: Path) -> None:
    files, banks = data.get("files", {}), data.get("banks", {})
    if not isinstance(files, dict) or not all(isinstance(v, dict) for v in files.values()):
        raise CheckpointError(f"{source}: files must map each file to its sha256")
    if not isinstance(banks, dict) or banks.get("dtype", "float32") not in ("float32", "float16"):
        raise CheckpointError(f"{source}: banks must say a dtype of float32 or float16")
    if not isinstance(data.get("provenance", {}), dict):
        raise CheckpointError(f"{source}: provenance must be an object")
    if data.get("suffix", ".pkl") not in formats.SUFFIXES:
        raise CheckpointError(f"{source}: suffix must be one of {', '.join(formats.SUFFIXES)}")


def _sizes_from_files(folder: Folder) -> Config:
    """The release's, unless one small network says otherwise; then all kinds are asked."""
    known: Dict[str, Any] = {}
    members = folder.members()
    for kind in (*KINDS, "discriminator"):
        member = next((m for m in members if m.kind == kind), None)
        if member is None:
            continue
        found = sizes_of(formats.read_any(member.path), member.path)
        if not known and all(getattr(PRESETS["release"], k) == v for k, v in found.items()):
            return PRESETS["release"]
        known.update({k: v for k, v in found.items() if k not in known})
    return combined_config(known, folder.path)


def bank_format(path, latent: Optional[int] = None) -> Tuple[Optional[int], str]:
    """(numbers a row, element type) of a single bank: of a ``.bin`` what the config.json of the folder around it says,
    else the release's 512 and float32; None for the numbers of a row where the file tells them itself."""
    if not formats.is_rows(path):
        return None, "float32"
    file = Path(path).resolve().parent.parent / CONFIG_FILE
    try:
        data = configuration.load(file) if file.is_file() else {}
    except configuration.ConfigError:
        data = {}
    banks, network = data.get("banks", {}), data.get("network", PRESETS["release"])
    half = isinstance(banks, dict) and banks.get("dtype") == "float16"
    return latent or network.latent, "float16" if half else "float32"


def read_rows(path, latent: Optional[int], stored: str, as_stored: bool = False) -> np.ndarray:
    """(rows, latent) float32 of a bank in any format; latent may be None, for as many as there are, and ``stored`` is
    the element type, both but for a ``.bin``.  as_stored keeps the file's own element type."""
    path = Path(path)
    if formats.is_rows(path):
        assert latent is not None
        return read_bank(path, latent, stored).astype(stored if as_stored else np.float32, copy=False)
    layout, arrays, _ = recognise(formats.read_any(path), path)
    if layout.kind != "bank":
        raise CheckpointError(f"{path}: expected a feature bank, found a {layout}")
    if latent not in (None, arrays[BANK].shape[1]):
        raise CheckpointError(f"{path}: expected a feature bank of rows of {latent} numbers, found rows of "
                              f"{arrays[BANK].shape[1]}")
    return np.require(arrays[BANK], None if as_stored else np.float32, ["C"])


def write_config(path, config: Config, provenance: Optional[Dict[str, Any]] = None) -> None:
    """``Folder.write_config`` of a folder in the release's layout whose files are in place."""
    Folder(path, config, {}).write_config(provenance)


def sha256(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
