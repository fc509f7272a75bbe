#!/usr/bin/env python3
"""Encode the training sketches into the feature banks that inference projects on."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.training.command import build_bank as main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
