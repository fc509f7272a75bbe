#!/usr/bin/env python3
"""Weights between Jittor and PyTorch, with proof."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.converter.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
