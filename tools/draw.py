#!/usr/bin/env python3
"""The drawing window: draw a face, see its photograph.  See --help."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.gui.app import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
