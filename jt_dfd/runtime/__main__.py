"""``python -m jt_dfd.runtime``: fetch Jittor's package where it is not installed, and make this project's copy of it,
so that later starts need no network.  See ``jittor_copy``."""
import sys

from ..cli import run
from .jittor_copy import main

if __name__ == "__main__":
    sys.argv[0] = "jt_dfd"   # whom its errors name
    sys.exit(run(main))
