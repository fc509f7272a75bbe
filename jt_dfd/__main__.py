"""``jt-dfd JOB ...`` and ``python -m jt_dfd JOB ...``: the scripts of tools/, wherever the package is installed."""
from __future__ import annotations

import importlib
import sys

from .cli import run

#: job -> module and function, the same that tools/JOB.py runs
JOBS = {
    "synthesize": "inference.command:main", "draw": "gui.app:main", "doctor": "doctor:main",
    "prepare_data": "data.command:prepare_data", "generate_faces": "data.command:generate_faces",
    "train_all": "training.command:train_all", "train_embedding": "training.command:train_embedding",
    "build_bank": "training.command:build_bank", "train_synthesis": "training.command:train_synthesis",
    "export_weights": "training.command:export_weights", "evaluate": "evaluation.command:main",
    "convert_weights": "converter.command:main", "benchmark": "benchmark.command:main",
    "fetch_release": "release_command:main",
}


def main() -> int:
    """Exit status of the job; 2 where there is none of that name."""
    words = sys.argv[1:]
    job = words[0].replace("-", "_") if words else ""
    if job not in JOBS:
        asked = words[:1] in (["-h"], ["--help"])
        print(f"usage: jt-dfd JOB ...   (jt-dfd JOB --help tells more)\njobs: {', '.join(JOBS)}",
              file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    module, function = JOBS[job].split(":")
    sys.argv = [f"jt-dfd {job}", *words[1:]]
    return run(getattr(importlib.import_module(f"jt_dfd.{module}"), function))


if __name__ == "__main__":
    sys.exit(main())
