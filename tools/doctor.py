#!/usr/bin/env python3
"""What this machine has for jt_dfd, what is chosen, what is missing and the command that fixes it."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.doctor import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
