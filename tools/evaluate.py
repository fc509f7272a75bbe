#!/usr/bin/env python3
"""Scores and a sheet of pictures on a held-out split."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.evaluation.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
