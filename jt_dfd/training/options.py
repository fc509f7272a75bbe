"""Every option of both stages: one dataclass a stage, which is also its command line and its record on disk.

Defaults marked "ours" follow the pix2pixHD lineage the release descends from; no public text gives the authors' own.
"""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, Type

from ..components import COMPONENTS
from ..config import PRESETS
from ..errors import UserError
from ..pictures import write_atomically

OPTIONS_FILE = "options.json"
#: most scales of stage I's loss, the full one among them: the last is blurred by 16 pixels
MAX_SCALES = 6


class OptionsError(UserError, ValueError):
    """Options that cannot be used; the message names the option."""


def _option(default, text: str, **extra):
    return field(default=default, metadata={"help": text, **extra})


@dataclass
class Options:
    """What both stages share."""

    data: str = _option("", "folder with index.csv, as tools/prepare_data.py and tools/generate_faces.py write it")
    out: str = _option("", "run folder: options, checkpoints, log, sheets, weights")
    preset: str = _option("compact", "network sizes", choices=sorted(PRESETS))
    init: str = _option("", "folder of weights to begin with (Params/demo, a run folder): every tensor that fits is "
                            "taken, the others start anew and are named; sets the sizes where nothing else does",
                        formerly="init_from")
    steps: int = _option(40000, "optimiser steps in all")
    batch: int = _option(4, "pictures a step, over all ranks together")
    lr: float = _option(2e-4, "Adam's learning rate (ours)")
    beta1: float = _option(0.5, "Adam's first beta (ours)")
    beta2: float = _option(0.999, "Adam's second beta (ours)")
    decay_from: float = _option(0.5, "share of the steps after which the rate falls linearly to zero (ours)")
    warmup: int = _option(0, "steps over which the rate rises from zero")
    seed: int = _option(0, "seed of initial weights, shuffling and augmentation")
    augment: float = _option(1.0, "strength of augmentation; 0 turns it off")
    styles: str = _option("all", "sketches to train on, separated by commas, in equal shares: lines, photocopy, own, "
                                 "drawn; all: every style that the set has")
    cache_mb: int = _option(2048, "memory for decoded pictures, in MiB")
    workers: int = _option(0, "processes that prepare samples ahead; 0: this one does (best for two cores)")
    max_gradient: float = _option(0.0, "gradients longer than this are scaled down to it; 0: never")
    stop_gradient: float = _option(1e6, "a gradient longer than this stops the run as diverged; 0: never")
    log_every: int = _option(10, "steps between lines of log.jsonl")
    sample_every: int = _option(1000, "steps between sample sheets; 0: none")
    save_every: int = _option(1000, "steps between checkpoints (validated first)")
    save_minutes: float = _option(10.0, "minutes after which a checkpoint is due in any case; 0: by steps only")
    keep: int = _option(3, "newest checkpoints kept; the best is kept besides")
    validate: int = _option(64, "held-out pictures a validation looks at; 0: none, the last checkpoint is the best")
    minutes: float = _option(0.0, "save and stop after this long, to be resumed; 0: no limit")
    tensorboard: bool = _option(True, "write TensorBoard events where tensorboardX is installed")
    device: str = _option("auto", "where to compute", choices=["auto", "cpu", "cuda"])
    mixed_precision: int = _option(0, "1: convolutions in float16, all else in float32, on a GPU (on a CPU it changes "
                                       "nothing); 0: float32 throughout")

    def check(self) -> None:
        """OptionsError where a value cannot be used."""
        for name in ("data", "out"):
            if not getattr(self, name):
                raise OptionsError(f"--{name} is needed: {self.help(name)}")
        if self.preset not in PRESETS:
            raise OptionsError(f"--preset: no preset {self.preset!r}; there are {', '.join(PRESETS)}")
        for name in ("steps", "batch", "log_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise OptionsError(f"--{_dashed(name)} must be 1 or more, not {getattr(self, name)}")
        for name in ("lr",):
            if not 0 < getattr(self, name) < float("inf"):
                raise OptionsError(f"--{_dashed(name)} must be above zero, not {getattr(self, name)}")
        for name in ("beta1", "beta2", "decay_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(f"--{_dashed(name)} must lie between 0 and 1, not {getattr(self, name)}")
        if self.mixed_precision not in (0, 1):
            raise OptionsError(f"--mixed-precision must be 0 or 1, not {self.mixed_precision}")

    @classmethod
    def help(cls, name: str) -> str:
        return next(f for f in fields(cls) if f.name == name).metadata["help"]


@dataclass
class EmbeddingOptions(Options):
    """Stage I: one autoencoder a component, MSE (paper) or MSE over several scales (ours), Adam (paper)."""

    component: str = _option("all", "component to train; parts: the four windows; all: the remainder too",
                             choices=["all", "parts", *COMPONENTS])
    batch: int = _option(16, "sketches a step, over all ranks together")
    lr: float = _option(1e-3, "Adam's learning rate (ours)")
    beta1: float = _option(0.9, "Adam's first beta (ours)")
    scales: int = _option(1, "scales of the loss: 1 is plain MSE (paper); each further one is blurred by twice as "
                             "much, so that a line beside its place is pulled to it (5: by up to 8 pixels)")
    norm_momentum: float = _option(0.1, "share of a batch in BatchNorm's running statistics while training (ours; the "
                                        "release's 0.9 keeps little but the last batch)")

    def check(self) -> None:
        super().check()
        if not 1 <= self.scales <= MAX_SCALES:
            raise OptionsError(f"--scales must be from 1 to {MAX_SCALES}, not {self.scales}")


@dataclass
class SynthesisOptions(Options):
    """Stage II: GAN + L1 + feature matching + perceptual, encoders frozen (paper); numbers ours."""

    embedding: str = _option("", "folder with stage I's encoders: its run folder, or a folder of weights")
    projected: float = _option(0.0, "share of the samples made from their latents' projection onto the embedding's "
                                    "banks, their own rows left out, as at inference (0: none, paper)")
    l1: float = _option(100.0, "weight of L1 at the start")
    l1_end: float = _option(10.0, "weight of L1 once it has fallen")
    l1_fall: float = _option(0.5, "share of the steps over which the weight of L1 falls")
    gan: float = _option(1.0, "weight of the least-squares GAN loss; 0: no discriminator at all")
    gan_from: int = _option(0, "step at which the discriminator and its losses set in")
    feature_matching: float = _option(10.0, "weight of feature matching")
    perceptual: float = _option(10.0, "weight of the perceptual loss")
    perceptual_network: str = _option("auto", "a torchvision VGG19 or VGG16 file; or stlpips (PyPI stlpips-pytorch), "
                                              "auto (stlpips where installed), off")
    perceptual_layers: int = _option(5, "how many of relu1_1..relu5_1 are compared")
    perceptual_size: int = _option(0, "edge in pixels at which they look: by turns the whole picture reduced and a "
                                      "window of it; 0: the canvas")
    checkerboard: float = _option(0.0, "weight of the loss on a pattern that repeats every few pixels, which "
                                  "transposed convolutions leave in short trainings (50 takes it out); 0: off",
                                  formerly="grid")
    lr_discriminator: float = _option(2e-4, "Adam's learning rate of the discriminator (ours)")
    ema: float = _option(0.999, "decay of the generator's moving average; 0: none")

    def check(self) -> None:
        super().check()
        if not 0 <= self.projected <= 1:
            raise OptionsError(f"--projected must lie between 0 and 1, not {self.projected}")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def add_arguments(parser: argparse.ArgumentParser, kind: Type[Options]) -> None:
    """One ``--option`` a field; unset ones stay None, so that a resumed run keeps what it was started with.  An
    option's former name works too, without being shown."""
    for f in fields(kind):
        name, default = f"--{_dashed(f.name)}", f.default
        shown = "" if default == "" else f" (default: {default})"
        if isinstance(default, bool):
            parser.add_argument(name, dest=f.name, default=None, type=_boolean, metavar="yes|no",
                                help=f.metadata["help"] + f" (default: {'yes' if default else 'no'})")
        else:
            parser.add_argument(name, dest=f.name, default=None, type=type(default), choices=f.metadata.get("choices"),
                                metavar=None if "choices" in f.metadata else _metavar(default),
                                help=(f.metadata["help"] + shown).replace("%", "%%"))
        if "formerly" in f.metadata:
            parser.add_argument(f"--{_dashed(f.metadata['formerly'])}", dest=f.name, default=None, type=type(default),
                                help=argparse.SUPPRESS)


def _metavar(default) -> str:
    return {int: "N", float: "X", str: "TEXT"}[type(default)]


def _boolean(text: str) -> bool:
    if text.lower() in ("yes", "true", "1", "on"):
        return True
    if text.lower() in ("no", "false", "0", "off"):
        return False
    raise argparse.ArgumentTypeError(f"yes or no, not {text!r}")


def gather(kind: Type[Options], given: Dict[str, Any], resume: bool = False) -> Options:
    """Options out of what the user gave (None: not given), on top of the run folder's own where it is resumed."""
    values: Dict[str, Any] = {f.name: f.default for f in fields(kind)}
    given = {k: v for k, v in given.items() if k in values and v is not None}
    out = given.get("out")
    if resume and out and (Path(out) / OPTIONS_FILE).is_file():
        kept = read(kind, Path(out) / OPTIONS_FILE)
        # scales too: checkpoints that were judged by different losses cannot be compared
        for name in ("preset", "seed", "batch", "scales"):
            if name in given and given[name] != getattr(kept, name):
                raise OptionsError(f"--{name} {given[name]}: the run in {out} was started with "
                                   f"{getattr(kept, name)}. Leave it out to resume, or start another run.")
        values.update(asdict(kept))
    values.update(given)
    options = kind(**values)
    options.check()
    return options


def read(kind: Type[Options], path) -> Options:
    """Options as a run folder keeps them.  OptionsError names the file."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        names = {name: f.name for f in fields(kind) for name in (f.metadata.get("formerly"), f.name)}
        return kind(**{names[k]: v for k, v in data.items() if k in names})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise OptionsError(f"{path}: not readable as options ({error}). Start the run anew in another "
                           "folder.") from None


def write(options: Options, folder) -> None:
    text = json.dumps(asdict(options), indent=2) + "\n"
    write_atomically(Path(folder) / OPTIONS_FILE, lambda temporary: temporary.write_text(text, encoding="utf-8"))
