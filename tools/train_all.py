#!/usr/bin/env python3
"""Both stages, the banks and the export, one after the other."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.training.command import train_all as main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
