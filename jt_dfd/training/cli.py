"""What the training scripts share: arguments, dry run, and what is said when something is wrong."""
from __future__ import annotations

import argparse
import sys


def main(stage: str, description: str, argv=None) -> int:
    """Exit status: 0 done, 1 something is wrong (said on stderr), 3 stopped on the way and saved."""
    from . import options as o

    kind = o.EmbeddingOptions if stage == "embedding" else o.SynthesisOptions
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out, with its "
                        "options except those given again; starts where there is none")
    parser.add_argument("--dry-run", action="store_true",
                        help="build everything, make a few steps, time them; writes nothing")
    o.add_arguments(parser, kind)
    arguments = vars(parser.parse_args(argv))
    resume, dry = arguments.pop("resume"), arguments.pop("dry_run")
    try:
        return _train(stage, o.gather(kind, arguments, resume), resume, dry)
    except KeyboardInterrupt:
        print("stopped at once; nothing was saved since the last checkpoint", file=sys.stderr)
        return 130
    except Exception as error:
        if not _is_ours(error):
            raise
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


def _is_ours(error: Exception) -> bool:
    """Errors whose message says all: no traceback."""
    module = type(error).__module__
    return module.startswith("jt_dfd.") or (isinstance(error, ValueError) and not module.startswith("jittor"))


def _train(stage: str, options, resume: bool, dry: bool) -> int:
    from .. import runtime

    runtime.start(options.device)
    from ..backend import jt
    from . import loop
    from .weights import config_of

    jt.set_global_seed(options.seed)
    if stage == "embedding":
        from .embedding import EmbeddingTrainer as Trainer
    else:
        from .synthesis import SynthesisTrainer as Trainer
    config = config_of(options)
    options.preset = config.preset
    trainer = Trainer(options, config)
    if dry:
        return loop.dry_run(trainer, options)
    return 0 if loop.run(trainer, options, resume) else 3
