#!/usr/bin/env python3
"""A training set with no photographs at all: faces of people who do not exist."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.data.command import generate_faces as main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
