#!/usr/bin/env python3
"""The drawing window on a virtual screen, drawn on with real mouse events, as a picture."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.gui.screenshot import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
