"""Several processes under ``mpirun``: rank, and numbers averaged over ranks.  One process alone: rank 0 of 1."""
from __future__ import annotations

import zlib
from typing import Tuple

import numpy as np

from ..backend import jt


def rank() -> int:
    return int(jt.rank) if jt.in_mpi else 0


def world() -> int:
    return int(jt.world_size) if jt.in_mpi else 1


def is_writer() -> bool:
    """Whether this process writes files.  No Jittor call may depend on this alone: the ranks would fall out of
    step."""
    return rank() == 0


def mean(numbers):
    """A (K,) variable averaged over ranks; NaN on one rank is NaN on all."""
    return numbers.mpi_all_reduce("mean") if world() > 1 else numbers


def any_rank(*flags) -> Tuple[bool, ...]:
    """Whether each flag is set on any rank; every rank has to ask."""
    if world() == 1:
        return tuple(map(bool, flags))
    return tuple(bool(n > 0) for n in jt.array(np.float32(list(map(bool, flags)))).mpi_all_reduce("add").numpy())


def agreed(text: str) -> bool:
    """Whether every rank says the same; every rank has to ask."""
    value = zlib.crc32(text.encode())
    halves = np.float32([value >> 16, value & 0xFFFF])   # whole numbers whose mean is exact where they are equal
    return world() == 1 or not any(any_rank(*(mean(jt.array(halves)).numpy() != halves)))


def same_weights(networks) -> None:
    """Every rank takes rank 0's weights.  One process alone draws them in the same order as rank 0 of several does:
    Jittor draws random numbers when they are needed, and a seed would mean other weights."""
    for value in (v for network in networks for v in network.state_dict().values()):
        if world() == 1:
            value.sync()
            continue
        stopped = value.is_stop_grad()
        value.assign(value.mpi_broadcast(0))
        value.sync()
        (value.stop_grad if stopped else value.start_grad)()
