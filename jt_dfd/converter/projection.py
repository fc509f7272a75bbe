"""Manifold projection in NumPy, for the PyTorch pipeline: the same mathematics as ``jt_dfd.manifold``, without Jittor.

Given a sketch's latent f and a bank of rows f_i, the K nearest rows span a patch of the manifold of plausible
latents, and f is replaced by the point of that patch nearest to it.
"""
from __future__ import annotations

from typing import List, Tuple

import numpy as np

#: weight of the term that pulls the sum of the free weights to nought (release)
SUM_PENALTY = 10.0
#: "nearest": the nearest row.  "release": whichever of the K the release's selection leaves in front
ANCHORS = ("nearest", "release")
_ROWS = 2048  # rows taken at a time


def squared_distances(latent: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """(rows,) float32: squared distance of every row of ``bank`` (rows, latent) to ``latent`` (latent,), added up in
    double and rounded once."""
    out = np.empty(len(bank), np.float32)
    for start in range(0, len(bank), _ROWS):
        difference = (bank[start:start + _ROWS] - latent).astype(np.float64)
        out[start:start + _ROWS] = np.einsum("ij,ij->i", difference, difference)
    return out


def neighbours(latent: np.ndarray, bank: np.ndarray, k: int, anchor: str = "nearest") -> np.ndarray:
    """Row numbers of the ``k`` nearest rows, the anchor first; of two rows equally far the smaller number is nearer."""
    if anchor not in ANCHORS:
        raise ValueError(f"anchor {anchor!r}: expected one of {', '.join(ANCHORS)}")
    if not 1 <= k <= len(bank):
        raise ValueError(f"k = {k}: a bank of {len(bank)} rows gives from 1 to {len(bank)} neighbours")
    distances = squared_distances(latent, bank)
    order = np.argsort(distances, kind="stable")[:k]
    if anchor == "release":
        first = first_after_selection(distances, k)
        order = np.concatenate([[first], order[order != first]])
    return order


def weights(latent: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(K,) float64 weights of ``rows`` (K, latent), anchor first, that sum to one and bring their mixture nearest to
    ``latent``, with a pull towards the anchor: the x_i minimise
    |sum x_i (f_i - f_0) - (f - f_0)|^2 + (10 sum x_i)^2, and w_0 = 1 - sum x_i (release)."""
    rows = rows.astype(np.float64)
    edges = rows[1:] - rows[0]
    normal = edges @ edges.T + SUM_PENALTY ** 2
    free = np.linalg.lstsq(normal, edges @ (latent.astype(np.float64) - rows[0]), rcond=None)[0] if len(edges) else edges
    return np.concatenate([[1.0 - free.sum()], free.ravel()])


def project(latent: np.ndarray, bank: np.ndarray, k: int = 15, anchor: str = "nearest") -> Tuple[np.ndarray, ...]:
    """(projection (latent,) float32, row numbers (k,), weights (k,) float64) of one latent."""
    rows = neighbours(latent, bank, k, anchor)
    mixture = weights(latent, bank[rows])
    return (mixture @ bank[rows].astype(np.float64)).astype(np.float32), rows, mixture


def first_after_selection(distances: np.ndarray, k: int) -> int:
    """The row that lies first after C++'s ``std::nth_element`` has brought the ``k`` smallest pairs (distance, row) to
    the front, as GNU's library does it: introspective selection, median of three, insertion sort for the last few.

    Which row that is looks arbitrary, but it is the release's anchor, and its results depend on it.
    """
    a: List[Tuple[float, int]] = list(zip(distances.tolist(), range(len(distances))))
    first, last = 0, len(a)
    if first == last or k >= last:
        return a[0][1]
    depth = 2 * (last.bit_length() - 1)
    while last - first > 3:
        if depth == 0:
            _heap_select(a, first, k + 1, last)
            a[first], a[k] = a[k], a[first]
            return a[0][1]
        depth -= 1
        cut = _partition(a, first, last)
        if cut <= k:
            first = cut
        else:
            last = cut
    a[first:last] = sorted(a[first:last])  # pairs are distinct, so any sort equals the insertion sort
    return a[0][1]


def _partition(a, first: int, last: int) -> int:
    """Hoare's partition around the median of second, middle and last element, which is moved to the front."""
    one, middle, end = first + 1, first + (last - first) // 2, last - 1
    median = sorted((one, middle, end), key=a.__getitem__)[1]
    a[first], a[median] = a[median], a[first]
    pivot, low, high = a[first], first + 1, last
    while True:
        while a[low] < pivot:
            low += 1
        high -= 1
        while pivot < a[high]:
            high -= 1
        if low >= high:
            return low
        a[low], a[high] = a[high], a[low]
        low += 1


def _heap_select(a, first: int, middle: int, last: int) -> None:
    """The smallest of [first, last) into [first, middle) as a heap with the largest in front."""
    def sift(hole, length, value):
        top, child = hole, hole
        while child < (length - 1) // 2:
            child = 2 * (child + 1)
            if a[first + child] < a[first + child - 1]:
                child -= 1
            a[first + hole] = a[first + child]
            hole = child
        if length % 2 == 0 and child == (length - 2) // 2:
            child = 2 * child + 1
            a[first + hole] = a[first + child]
            hole = child
        parent = (hole - 1) // 2
        while hole > top and a[first + parent] < value:
            a[first + hole] = a[first + parent]
            hole, parent = parent, (parent - 1) // 2
        a[first + hole] = value

    length = middle - first
    for parent in range((length - 2) // 2, -1, -1) if length > 1 else ():
        sift(parent, length, a[first + parent])
    for i in range(middle, last):
        if a[i] < a[first]:
            value, a[i] = a[i], a[first]
            sift(0, length, value)
