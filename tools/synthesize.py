#!/usr/bin/env python3
"""Sketches to faces."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.inference.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
