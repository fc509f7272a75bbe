#!/usr/bin/env python3
"""A folder of weights for inference out of stage I, the banks and stage II."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.training.command import export_weights as main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
