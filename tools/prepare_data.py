#!/usr/bin/env python3
"""Photographs into a training set, and a check of a set."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.data.command import prepare_data as main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
