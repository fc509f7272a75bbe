"""Every option of both stages: one dataclass a stage, which is also its command line and its record on disk.

Defaults marked "ours" follow the pix2pixHD lineage the release descends from; no public text gives the authors' own.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ..components import COMPONENTS
from ..config import PRESETS
from ..errors import UserError

TYPE_CHECKING = False   # importing typing would cost every --help 4 ms
if TYPE_CHECKING:
    from typing import Any

OPTIONS_FILE = "options.json"
#: most scales of stage I's loss, the full one among them: the last is blurred by 16 pixels
MAX_SCALES = 6


class OptionsError(UserError, ValueError):
    """Options that cannot be used; the message names the option."""


def _option(default, text: str, **extra):
    return field(default=default, metadata={"help": text, **extra})


@dataclass(eq=False, repr=False)   # nobody compares or prints them whole, and each --help would compile that
class Options:
    """What both stages share."""

    data: str = _option("", "folder with index.csv, as tools/prepare_data.py and tools/generate_faces.py write it; or "
                            "several", nargs="+", between=os.pathsep)
    out: str = _option("", "run folder: options, checkpoints, log, sheets, weights")
    preset: str = _option("compact", "network sizes", choices=sorted(PRESETS))
    init: str = _option("", "folder of weights to begin with (Params/demo, a run folder): every tensor that fits is "
                            "taken, the others start anew and are named; sets the sizes where nothing else does",
                        formerly="init_from")
    set: str = _option("", "sizes other than those of the preset or the weights: generator_width=48 "
                           "encoder_widths=16,32,64,64 (config.json has all names)", nargs="+", between=" ")
    steps: int = _option(40000, "optimiser steps in all")
    batch: int = _option(4, "pictures a step, over all ranks together")
    accumulate: int = _option(1, "pieces that a step's pictures are computed in, for less memory; equal to the whole "
                                 "batch but for BatchNorm's statistics (stage I), which are each piece's")
    lr: float = _option(2e-4, "Adam's learning rate (ours)")
    beta1: float = _option(0.5, "Adam's first beta (ours)")
    beta2: float = _option(0.999, "Adam's second beta (ours)")
    decay_from: float = _option(0.5, "share of the steps after which the rate falls to zero (ours)")
    schedule: str = _option("linear", "how it falls", choices=["linear", "cosine"])
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
    validate_every: int = _option(0, "steps between validations besides those of checkpoints; 0: none")
    minutes: float = _option(0.0, "save and stop after this long, to be resumed; 0: no limit")
    tensorboard: bool = _option(True, "write TensorBoard events where tensorboardX is installed")
    wandb: str = _option("", "project on Weights & Biases to log to as well (pip install wandb; WANDB_MODE=offline "
                             "keeps it here)")
    device: str = _option("auto", "where to compute", choices=["auto", "cpu", "cuda"])
    mixed_precision: int = _option(0, "1: convolutions in float16, all else in float32, on a GPU (on a CPU it changes "
                                       "nothing); 0: float32 throughout")

    #: options of a stage's own that are shares
    shares = ()

    def __post_init__(self):
        self.notes: list[str] = []   # what the user should know of how these came about

    def check(self) -> None:
        """OptionsError where a value cannot be used."""
        for name in ("data", "out"):
            if not getattr(self, name):
                raise OptionsError(f"--{name} is needed: {self.help(name)}")
        if self.preset not in PRESETS:
            raise OptionsError(f"--preset: no preset {self.preset!r}; there are {', '.join(PRESETS)}")
        for name in ("steps", "batch", "log_every", "save_every", "keep", "accumulate"):
            if getattr(self, name) < 1:
                raise OptionsError(f"--{_dashed(name)} must be 1 or more, not {getattr(self, name)}")
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, (int, float)) and not value >= 0:
                raise OptionsError(f"--{_dashed(f.name)} must be 0 or more, not {value}")
        if self.seed >= 1 << 32:
            raise OptionsError(f"--seed must be below {1 << 32}, not {self.seed}")
        if not 0 < self.lr < float("inf"):
            raise OptionsError(f"--lr must be above zero, not {self.lr}")
        if self.batch % self.accumulate:
            raise OptionsError(f"--accumulate {self.accumulate} does not divide --batch {self.batch}")
        for name in ("beta1", "beta2", "decay_from", *self.shares):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(f"--{_dashed(name)} must lie between 0 and 1, not {getattr(self, name)}")
        if self.mixed_precision not in (0, 1):
            raise OptionsError(f"--mixed-precision must be 0 or 1, not {self.mixed_precision}")

    @classmethod
    def help(cls, name: str) -> str:
        return next(f for f in fields(cls) if f.name == name).metadata["help"]


@dataclass(eq=False, repr=False)
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

    shares = ("norm_momentum",)

    def check(self) -> None:
        super().check()
        if not 1 <= self.scales <= MAX_SCALES:
            raise OptionsError(f"--scales must be from 1 to {MAX_SCALES}, not {self.scales}")


@dataclass(eq=False, repr=False)
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
    fine_colour: float = _option(0.0, "weight of the loss on colour that changes from pixel to pixel, which leaves "
                                      "coloured dots along edges and in irises (60 takes them out); 0: off")
    train: str = _option("all", "networks that learn, separated by commas: feature_decoder, generator, or one decoder "
                                "as feature_decoder_mouth; the others stay as --init has them (the discriminator "
                                "learns in any case)")
    frechet: bool = _option(False, "validations measure the Frechet distance too (stlpips-pytorch's VGG16)")
    lr_discriminator: float = _option(2e-4, "Adam's learning rate of the discriminator (ours)")
    ema: float = _option(0.999, "decay of the generator's moving average; 0: none")

    shares = ("projected", "l1_fall")

    def check(self) -> None:
        super().check()
        if not self.ema < 1:
            raise OptionsError(f"--ema must be below 1, not {self.ema}")
        if not 1 <= self.perceptual_layers <= 5:
            raise OptionsError(f"--perceptual-layers must be from 1 to 5, not {self.perceptual_layers}")
        parts = ["generator", *(f"feature_decoder_{c}" for c in COMPONENTS)]
        for word in self.train.split(","):
            if word not in ("all", "feature_decoder", *parts):
                raise OptionsError(f"--train: no network {word!r}; there are feature_decoder, {', '.join(parts)}")

    def trains(self, name: str) -> bool:
        """Whether a network, generator or feature_decoder_COMPONENT, learns."""
        return name != "discriminator" and any(word == "all" or name == word or name.startswith(f"{word}_")
                                               for word in self.train.split(","))


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def add_arguments(parser: argparse.ArgumentParser, kind: type[Options], prefix: str = "", without=()) -> None:
    """One ``--option`` a field; unset ones stay None, so that a resumed run keeps what it was started with.  An
    option's former name works too, without being shown, and so do all of them with a ``prefix``."""
    for f in fields(kind):
        if f.name in without:
            continue
        dest, default = prefix + f.name, f.default
        shown = f" (default: {'yes' if default else 'no'})" if isinstance(default, bool) else (
            "" if default == "" else f" (default: {default})")
        how: dict[str, Any] = {"type": type(default), "metavar": {int: "N", float: "X", str: "TEXT"}.get(type(default))}
        if isinstance(default, bool):
            how = {"type": _boolean, "metavar": "yes|no"}
        elif "choices" in f.metadata:
            how = {"choices": f.metadata["choices"]}
        elif "nargs" in f.metadata:
            how.update(nargs=f.metadata["nargs"], action=_Joined, const=f.metadata["between"])
        text = argparse.SUPPRESS if prefix else (f.metadata["help"] + shown).replace("%", "%%")
        parser.add_argument(f"--{_dashed(dest)}", dest=dest, default=None, help=text, **how)
        if "formerly" in f.metadata:
            parser.add_argument(f"--{_dashed(prefix + f.metadata['formerly'])}", dest=dest, default=None,
                                help=argparse.SUPPRESS, **how)


class _Joined(argparse.Action):
    """Several words as one text, ``const`` between them."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, self.const.join(values))


def parse(parser: argparse.ArgumentParser, arguments=None):
    """The parsed arguments, below them those of ``--config FILE``: the options' names and values as JSON (a run's
    options.json) or as lines "name: value".  OptionsError names the file."""
    parser.add_argument("--config", metavar="FILE", help="options from a file: a run's options.json, or lines "
                        "\"name: value\" (YAML); what is given here besides counts more")
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config")
    file = early.parse_known_args(arguments)[0].config
    words: list[str] = []
    for name, value in (_read_config(file) if file else {}).items():
        option = f"--{_dashed(name)}"
        action = parser._option_string_actions.get(option)
        if action is None:
            raise OptionsError(f"{file}: no option {name!r} here; --help lists all")
        if isinstance(value, list):
            value = (action.const if isinstance(action, _Joined) else ",").join(map(str, value))
        if value not in ("", None):
            words.append(f"{option}={('no', 'yes')[value] if isinstance(value, bool) else value}")
    parsed = parser.parse_args([*words, *(sys.argv[1:] if arguments is None else arguments)])
    if parsed.config != file:   # shortened, as argparse allows, the file would go unread
        raise OptionsError("--config has to be written in full")
    return parsed


def _read_config(file) -> dict[str, Any]:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("{"):
            return dict(json.loads(text))
    except (OSError, ValueError, TypeError) as error:
        raise OptionsError(f"{file}: not readable as options, which are JSON or lines \"name: value\" "
                           f"({error})") from None
    # flat YAML: options are numbers, words and lists of words
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", "---")):
            continue
        match = re.fullmatch(r"(?:([\w-]+)\s*:|-\s)\s*(\"[^\"]*\"|'[^']*'|[^#]*?)\s*(?:#.*)?", line)
        key, value = match.groups() if match else (None, "")
        if key:
            name, inner = key, re.fullmatch(r"\[(.*)\]", value)
            found[name] = [word.strip().strip("\"'") for word in inner.group(1).split(",")] if inner \
                else value.strip("\"'")
        elif match and found and (found[name] == "" or isinstance(found[name], list)):
            found[name] = [*found[name], value.strip("\"'")]
        else:
            raise OptionsError(f"{file}, line {number}: expected \"name: value\", found {line[:60]!r}")
    return found


def _boolean(text: str) -> bool:
    if text.lower() in ("yes", "true", "1", "on"):
        return True
    if text.lower() in ("no", "false", "0", "off"):
        return False
    raise argparse.ArgumentTypeError(f"yes or no, not {text!r}")


def gather(kind: type[Options], given: dict[str, Any], resume: bool = False) -> Options:
    """Options out of what the user gave (None: not given), on top of the run folder's own where it is resumed."""
    values: dict[str, Any] = {f.name: f.default for f in fields(kind)}
    given = {k: v for k, v in given.items() if k in values and v is not None}
    out, notes, kept = given.get("out"), [], None
    file = Path(out or "") / OPTIONS_FILE
    if resume and out and file.is_file():
        try:
            kept = read(kind, file)
        except OptionsError as error:
            if "data" not in given:
                from .run_folder import commands

                before = [entry.get("command", "") for entry in commands(out)]
                raise OptionsError(f"{error} Repeat all options that the run was started with, and it is written anew"
                                   + (f": {before[0]} --resume" if before else ".")) from None
            notes.append(f"{file} was damaged: written anew of the options given, all others at their defaults")
    if kept is not None:
        # scales too: checkpoints that were judged by different losses cannot be compared
        for name in ("preset", "set", "seed", "batch", "scales", "train"):
            if name in given and given[name] != getattr(kept, name):
                raise OptionsError(f"--{name} {given[name]}: the run in {out} was started with "
                                   f"{getattr(kept, name)}. Leave it out to resume, or start another run.")
        if given.get("data", kept.data) != kept.data:
            notes.append(f"--data {given['data']}: the run began with {kept.data}; where the pictures are others, "
                         "held-out scores before and after cannot be compared")
        if given.get("steps", kept.steps) < kept.steps:
            notes.append(f"--steps {given['steps']}: fewer than the {kept.steps} that the run was to have; the "
                         "learning rate falls sooner")
        values.update(asdict(kept))
    values.update(given)
    options = kind(**values)
    options.notes = notes
    options.check()
    return options


def read(kind: type[Options], path) -> Options:
    """Options as a run folder keeps them.  OptionsError names the file."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        names = {name: f.name for f in fields(kind) for name in (f.metadata.get("formerly"), f.name)}
        return kind(**{names[k]: v for k, v in data.items() if k in names})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise OptionsError(f"{path}: not readable as options ({error}).") from None


def write(options: Options, folder) -> None:
    from ..atomic import write_text

    text = json.dumps(asdict(options), indent=2) + "\n"
    write_text(Path(folder) / OPTIONS_FILE, text)
