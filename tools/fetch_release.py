#!/usr/bin/env python3
"""The authors' weights, from where they host them, into Params/AE_whole and Params/Combine."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.release_command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run(main))
