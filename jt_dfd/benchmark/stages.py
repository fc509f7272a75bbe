"""What can be measured: names, what each does, which sides can do it, and how many operations that is.

Operations are counted from the layers of each network: a multiplication and an addition are two.  Convolutions,
transposed convolutions and linear layers are counted; norms, activations and padding are not, as usual in the field
(they are bound by memory).  Nothing here imports a framework.
"""
from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .. import layout
from ..components import COMPONENTS
from ..config import Config
from ..errors import UserError

#: this project; its networks in plain layers, whatever is quicker; the release's way of working in Jittor's own layers;
#: the converter's modules; the same, channels last: each with the module and class that its worker process makes
SIDES = {"jittor": "jittor_side:Jittor", "plain": "jittor_side:Plain", "release": "release_side:Release",
         "torch": "torch_side:Torch", "torch-channels-last": "torch_side:ChannelsLast"}
TORCH = ("torch", "torch-channels-last")


class Stage(NamedTuple):
    """One row of the table.

    name     as in --stages; ``family`` is the word before the first dot, which selects all of a kind
    what     one line for people
    sides    who can do it
    options  what the worker has to know besides (JSON)
    new      a process of its own is started for every repeat
    """

    name: str
    what: str
    sides: Tuple[str, ...] = tuple(SIDES)
    options: Dict = {}
    new: bool = False

    @property
    def family(self) -> str:
        return self.name.split(".")[0]


def every(bank_rows: Sequence[int] = (), batches: Sequence[int] = (), ranks: Sequence[int] = (),
          chunks: Sequence[int] = (), cold: bool = False, batch: int = 1) -> List[Stage]:
    """All stages in the order of the table.

    bank_rows   sizes of seeded banks to project on besides the weights' own
    batches     batch sizes of further stage II steps
    ranks       numbers of processes of further stage II steps under mpirun
    chunks      bytes of one layer's output up to which neighbours are decoded together, tried besides the default
    batch       pictures of a training step
    """
    both = ("jittor", *TORCH)
    out = [Stage("encode", "sketch to latents, five encoders"),
           Stage("project", "five latents onto the bank of the weights, k = 15")]
    for rows in bank_rows:
        out.append(Stage(f"project.{rows}", f"one latent onto a seeded bank of {rows:,} rows, k = 15",
                         both, {"rows": rows}))
    for c in COMPONENTS:
        out.append(Stage(f"decode.{c}", f"15 neighbours of {c} to sketches", options={"component": c}))
        for chunk in chunks:
            out.append(Stage(f"decode.{c}@{chunk}", f"the same, at most {chunk / (1 << 20):g} MiB of a layer together",
                             both, {"component": c, "chunk": chunk}))
    out += [Stage("features", "five vectors to feature maps"),
            Stage("merge", "five feature maps onto one"),
            Stage("generator", "feature maps to a picture, merging included"),
            Stage("face", "sketch to face and shadow, nothing remembered")]
    for c in COMPONENTS:
        out.append(Stage(f"stroke.{c}", f"a stroke that only {c} sees, to face and shadow", options={"component": c}))
    out += [Stage("train1", f"stage I step, five autoencoders, batch {batch}", both, {"batch": batch}),
            Stage("train2", f"stage II step with GAN, batch {batch}", both, {"batch": batch}),
            Stage("train2-nogan", f"stage II step without GAN, batch {batch}", both, {"batch": batch, "gan": False})]
    out += [Stage(f"train2.batch{n}", f"stage II step with GAN, batch {n}", both, {"batch": n}) for n in batches]
    out += [Stage(f"train2.ranks{n}", f"stage II step with GAN, {n} processes under mpirun, batch {batch} each",
                  ("jittor",), {"ranks": n, "batch": batch}, new=True) for n in ranks]
    out += [Stage("data", "a batch of stage II out of a training set, augmented", ("jittor",), {"batch": 4}),
            Stage("load", "weights and banks into memory"),
            Stage("start", "a new process to its first face", ("jittor", "torch"), new=True)]
    if cold:
        out.append(Stage("cold", "the same with nothing compiled yet", ("jittor",), {"cold": True}, new=True))
    return out


def select(stages: Sequence[Stage], wanted: Optional[str]) -> List[Stage]:
    """The stages named in ``wanted`` ("encode,decode,stroke.mouth"), in the table's order; all of them for None.

    A family's name ("decode") takes all of it.  UserError names what there is not.
    """
    if wanted is None:
        return list(stages)
    words = [w.strip() for w in wanted.split(",") if w.strip()]
    known = {s.name for s in stages} | {s.family for s in stages}
    unknown = [w for w in words if w not in known]
    if unknown or not words:
        families = list(dict.fromkeys(s.family for s in stages))
        raise UserError((f"--stages: no stage {unknown[0]!r}" if unknown else "--stages: none is named")
                        + f"; there are {', '.join(families)} (--list says more)")
    return [s for s in stages if s.name in words or s.family in words
            or any(s.name.startswith(w + "@") for w in words)]


#: neighbours of a component that are decoded for the shadow (release)
NEIGHBOURS = 15
#: step of a face -> network that computes it
_KINDS = {"encode": "encoder", "decode": "image_decoder", "features": "feature_decoder", "generator": "generator"}


def network_operations(kind: str, config: Config, component: str = "rest") -> int:
    """One picture or latent through a network; of the discriminator, through all scales."""
    return sum(layout.operations(s.layers, s.size) for s in layout.network(kind, config, component))


def step_operations(config: Config) -> Dict[str, int]:
    """Step of a face with all neighbours decoded -> its operations."""
    each = {c: 1 for c in COMPONENTS}
    work = {"encode": each, "decode": {c: NEIGHBOURS for c in COMPONENTS}, "features": each, "generator": {"rest": 1}}
    return {step: work_operations(config, {step: counts}) for step, counts in work.items()}


def face_operations(config: Config) -> int:
    """A sketch to a face with its shadow, all neighbours decoded."""
    return sum(step_operations(config).values())


def work_operations(config: Config, work: Mapping[str, Mapping[str, int]]) -> int:
    """Operations of what a side says it did: {"encode" | "decode" | "features": {component: count}, "generator":
    {"rest": count}}."""
    return sum(network_operations(_KINDS[step], config, component) * count
               for step, counts in work.items() for component, count in counts.items())


def training_operations(config: Config, stage: str, batch: int, gan: bool = True) -> int:
    """One optimiser step, the backward pass counted as twice the forward one.

    stage  "embedding": the five autoencoders.  "synthesis": frozen encoders forward; feature decoders and generator
           forward and backward; with ``gan`` the discriminator over real and fake pictures, backward once for its own
           weights and once more, over the fake half, for the picture.
    """
    def of(kind):
        return sum(network_operations(kind, config, c) for c in COMPONENTS)

    if stage == "embedding":
        return batch * 3 * (of("encoder") + of("image_decoder"))
    total = of("encoder") + 3 * of("feature_decoder") + 3 * network_operations("generator", config)
    if gan:
        # forward 2, gradients of activations and weights for its own loss 2 * 2, of activations for the picture's 1
        total += 7 * network_operations("discriminator", config)
    return batch * total
