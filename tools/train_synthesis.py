#!/usr/bin/env python3
"""Stage II: train feature mapping and image synthesis on stage I's frozen encoders."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.training.command import train_synthesis as main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
