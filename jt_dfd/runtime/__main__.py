"""``python -m jt_dfd.runtime``: fetch Jittor's package where it is not installed, and make this project's copy of it,
so that later starts need no network.  See ``jittor_copy``."""
import sys

from ..cli import run
from .jittor_copy import main

if __name__ == "__main__":
    sys.exit(run(main))
