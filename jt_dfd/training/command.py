"""The command lines of training: both stages, the feature banks, the export, and all of them in turn."""
from __future__ import annotations

import os
import sys
from pathlib import Path

from .. import cli

_EMBEDDING = """Stage I: train the component embedding, an autoencoder for each component's sketches.

    python tools/train_embedding.py --data SET --out runs/embedding
    python tools/train_embedding.py --data SET --out runs/embedding --component eye1 --resume
    mpirun -np 2 python tools/train_embedding.py --data SET --out runs/embedding --batch 32

The run folder gets options.json, log.jsonl, losses.png, samples/, COMPONENT/checkpoints/ and weights/, which
tools/build_bank.py and tools/train_synthesis.py read.
"""
_SYNTHESIS = """Stage II: train feature mapping and image synthesis with stage I's frozen encoders.

    python tools/train_synthesis.py --data SET --embedding runs/embedding --out runs/synthesis
    python tools/train_synthesis.py --data SET --init Params/demo --out runs/finer
    mpirun -np 4 python tools/train_synthesis.py --data SET --embedding runs/embedding --out runs/synthesis --batch 16

The run folder gets options.json, log.jsonl, losses.png, samples/ (sketch, what the image decoders make of it, face,
truth), checkpoints/ and weights/; tools/export_weights.py makes a folder for inference of it.
"""
_BANK = """Encode the training sketches into the feature banks that inference projects on.

    python tools/build_bank.py --params runs/embedding --data SET

Banks by gender where the index names it, else one shared bank; raw rows as the authors' release keeps them, and
AE_whole/rows.json, which says which training picture each row is.
"""
_EXPORT = """A folder of weights for inference out of stage I, the banks and stage II.

    python tools/export_weights.py --embedding runs/embedding --synthesis runs/synthesis --out Params/mine
"""
_ALL = """Both stages, the banks and the export, one after the other: a set of pairs in, a folder of weights out.

    python tools/train_all.py --data SET --out runs/mine --preset compact
    python tools/train_all.py --data tests/data/samples --out runs/tiny --preset tiny --steps 200

Run it again to go on where it was stopped.  The weights are in OUT/params.  An option that both stages have goes to
both; --embedding-NAME and --synthesis-NAME to one, as in --synthesis-lr 1e-4.
"""
#: steps of stage I that one of stage II takes as long as, at the same batch (measured for compact on two CPU cores)
_DEARER = 3


def train_embedding(arguments=None) -> int:
    """Exit status 0 where it is trained to the end, 3 where it was stopped on the way and saved."""
    return _stage("embedding", _EMBEDDING, arguments)


def train_synthesis(arguments=None) -> int:
    """As ``train_embedding``."""
    return _stage("synthesis", _SYNTHESIS, arguments)


def _stage(stage: str, description: str, arguments) -> int:
    from . import options as o

    kind = o.EmbeddingOptions if stage == "embedding" else o.SynthesisOptions
    parser = cli.parser(description)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out, with its "
                        "options except those given again; starts where there is none")
    parser.add_argument("--dry-run", action="store_true",
                        help="build everything, make a few steps, time them; writes nothing")
    o.add_arguments(parser, kind)
    given = vars(o.parse(parser, arguments))
    resume, dry = given.pop("resume"), given.pop("dry_run")
    with cli.when_stopped("stopped at once; nothing was saved since the last checkpoint"):
        return _train(stage, o.gather(kind, given, resume), resume, dry)


def _train(stage: str, options, resume: bool, dry: bool) -> int:
    from ..data import index
    from .weights import config_of

    # what cannot be read is told before anything is compiled
    config = config_of(options)
    index.remarks(options.data)
    from .. import runtime

    jt = runtime.start(options.device)
    from . import loop

    jt.set_global_seed(options.seed)
    if stage == "embedding":
        from .embedding import EmbeddingTrainer as Trainer
    else:
        from .synthesis import SynthesisTrainer as Trainer
    options.preset = config.preset
    trainer = Trainer(options, config)
    if dry:
        return loop.dry_run(trainer, options)
    return 0 if loop.run(trainer, options, resume) else 3


def build_bank(arguments=None) -> int:
    """Exit status 0: the banks are written."""
    parser = cli.parser(_BANK)
    parser.add_argument("--params", required=True, metavar="DIR", help="stage I's run folder, or a folder of weights")
    parser.add_argument("--data", required=True, metavar="SET", help="folder with index.csv")
    parser.add_argument("--split", default="train", choices=["train", "test"], help="default: train")
    parser.add_argument("--shared", action="store_true", help="one bank for everybody")
    parser.add_argument("--mirrored", action="store_true", help="a second row for each sketch, flipped left to right")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N pictures a bank (default: all)")
    parser.add_argument("--styles", metavar="NAMES", help="sketches that get rows, separated by commas: lines, "
                        "photocopy, own, drawn, or all that the set has; a row a style (default: those that the run "
                        "was trained on, else all)")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="sketches at a time (default: 16)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16"], help="default: float32")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: auto")
    args = parser.parse_args(arguments)
    from .. import runtime
    from ..data.index import parse_styles
    from . import options as o
    from .bank import build_banks

    trained = Path(args.params) / o.OPTIONS_FILE
    try:
        if args.styles is None:
            args.styles = o.read(o.EmbeddingOptions, trained).styles if trained.is_file() else "all"
    except o.OptionsError as error:
        raise o.OptionsError(f"{error} Name the sketches that get rows with --styles.") from None
    runtime.prepare(args.device)  # Jittor starts with the first network, once weights and set are found good
    rows = build_banks(args.params, args.data, split=args.split, mirrored=args.mirrored, limit=args.limit,
                       batch=args.batch, by_gender=not args.shared, dtype=args.dtype,
                       styles=parse_styles(args.styles))
    for gender, count in rows.items():
        print(f"{gender}: {count} rows")
    return 0


def export_weights(arguments=None) -> int:
    """Exit status 0: the folder is written."""
    parser = cli.parser(_EXPORT)
    parser.add_argument("--embedding", required=True, metavar="DIR", help="stage I's run folder, with banks")
    parser.add_argument("--synthesis", required=True, metavar="DIR", help="stage II's run folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="default: float16")
    parser.add_argument("--step", type=int, metavar="N", help="stage II's checkpoint to take (default: the one with "
                        "the best held-out score; with a GAN the last may well look better)")
    parser.add_argument("--note", default="", help="a line for the provenance in config.json")
    args = parser.parse_args(arguments)
    from .export import export

    size = export(args.embedding, args.synthesis, args.out, args.dtype, {"note": args.note} if args.note else None,
                  args.step)
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0


def train_all(arguments=None) -> int:
    """Exit status 0 where everything is done, else that of the step that was not."""
    from dataclasses import fields

    from . import options as o

    kinds = {"embedding": o.EmbeddingOptions, "synthesis": o.SynthesisOptions}
    parser = cli.parser(_ALL)
    parser.allow_abbrev = False
    parser.add_argument("--steps", type=int, metavar="N", help="of either stage")
    parser.add_argument("--embedding-steps", type=int, metavar="N", help="default: 20000")
    parser.add_argument("--synthesis-steps", type=int, metavar="N", help="default: 40000")
    parser.add_argument("--mirrored", action="store_true", help="feature banks: a second row for each sketch, mirrored")
    without = {"component", "embedding", "steps"}   # what would not make whole weights, and what is asked for above
    for kind in kinds.values():
        o.add_arguments(parser, kind, without=without)
        without |= {f.name for f in fields(kind)}
    for stage, kind in kinds.items():
        o.add_arguments(parser, kind, f"{stage}_", without={"component", "embedding", "steps", "data", "out"})
    args = vars(o.parse(parser, arguments))
    import shlex
    import subprocess

    from ..networks.perceptual import NOT_INSTALLED, stlpips_file
    from . import export, loop

    for name in ("data", "out"):
        if not args[name]:
            raise o.OptionsError(f"--{name} is needed: {o.Options.help(name)}")
    args["batch"] = args["batch"] or 4
    for stage, steps in (("embedding", 20000), ("synthesis", 40000)):
        args[f"{stage}_steps"] = next(n for n in (args[f"{stage}_steps"], args["steps"], steps) if n is not None)
    out = {stage: str(Path(args["out"]) / stage) for stage in (*kinds, "params")}

    def given(stage, *more):
        """The options of a stage, those for it alone before those for both."""
        words = ["--out", out[stage], "--steps", str(args[f"{stage}_steps"]), *more, "--resume"]
        for f in fields(kinds[stage]):
            value = next((v for v in (args.get(f"{stage}_{f.name}"), args.get(f.name)) if v is not None), None)
            if value is not None and f.name not in ("out", "steps"):
                words += [f"--{f.name.replace('_', '-')}={('no', 'yes')[value] if isinstance(value, bool) else value}"]
        return words

    synthesis = given("synthesis", "--embedding", out["embedding"])
    o.gather(o.SynthesisOptions, {k: v for k, v in args.items() if k not in ("steps", "embedding")}).check()
    export.check_again(out["embedding"], out["synthesis"], args["embedding_steps"])
    if args["perceptual_network"] in (None, "auto") and stlpips_file() is None and args["perceptual"] != 0:
        print(f"Faces come out softer without the perceptual loss: {NOT_INSTALLED} (before stage II begins)",
              file=sys.stderr)
    bank = ["--params", out["embedding"], "--data", args["data"], *(["--mirrored"] if args["mirrored"] else [])]
    bank += [f"--{name}={args[name]}" for name in ("styles", "device") if args[name]]
    commands = [
        ("train_embedding", given("embedding"), _DEARER * args["synthesis_steps"]), ("build_bank", bank, 0),
        ("train_synthesis", synthesis, 0),
        ("export_weights", ["--embedding", out["embedding"], "--synthesis", out["synthesis"], "--out", out["params"]],
         0)]
    # wherever this package lies, a clone or an installation
    places = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    again = loop.pasted(sys.argv if arguments is None else ["jt-dfd train_all", *arguments])
    for number, (job, words, after) in enumerate(commands, 1):
        print(f"[{number}/{len(commands)}] {job}", flush=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), loop.GO_ON: again,
                       loop.STEPS_AFTER: str(after)}
        try:
            status = subprocess.call([sys.executable, "-m", "jt_dfd", job, *words], env=environment)
        except KeyboardInterrupt:
            status = 130
        if status:
            print(f"{job} ended with status {status}; once what it said is seen to, go on with: {again}",
                  file=sys.stderr)
            return status
    print(f"Weights: {out['params']}\nTry them: {shlex.join([sys.executable, '-m', 'jt_dfd', 'synthesize'])} "
          f"SKETCH.png --params {shlex.quote(out['params'])}")
    return 0

