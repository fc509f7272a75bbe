"""What the device reaches at best: a large matrix product and a large copy."""
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .task import Task


def matmul_size(cuda: bool, small: bool) -> int:
    """Edge of the float32 matrices; ``small`` for tests."""
    return 8192 if cuda else 512 if small else 2048


def copy_task(small: bool) -> Task:
    """A copy in the computer's memory by as many threads as a framework has, outside of any framework."""
    size = (16 if small else 256) << 20
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    target[:] = 0  # its pages exist before the clock starts
    pool = ThreadPoolExecutor(threads)
    cuts = np.linspace(0, size, threads + 1).astype(np.int64)
    pieces = [slice(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:])]

    def run(_):
        list(pool.map(lambda piece: np.copyto(target[piece], source[piece]), pieces))
    return Task(run, facts={"bytes": 2 * size})  # read and written
