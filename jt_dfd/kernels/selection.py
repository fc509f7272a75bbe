"""Which K rows are a query's neighbours, which of them is the anchor (two rules), the weights that rebuild the query,
and what a shadow shows of them: in NumPy, needing no Jittor.

``nearest``  the K rows of smallest squared distance, nearest first, ties by row number; the anchor is the nearest.
``release``  the same K rows in the order in which C++ ``std::nth_element`` leaves them at the front of
             (distance, row) pairs; the anchor is whichever comes first.  Arbitrary, but reproducible, and the
             release's pictures depend on it: another anchor leads to other weights.

This is the readable statement that the kernel in ``projection.py`` is tested against.

A shadow, the guidance under the strokes, is what the neighbours of a sketch look like, laid over one another: a hint
where to draw.  Parts lie under soft masks of their windows.
"""
from __future__ import annotations

import numpy as np

from ..components import PARTS, Geometry
from ..errors import InputError

ANCHORS = ("nearest", "release")
#: refinement that window and command line start with: our own drawings looked best there, with hair and expression as
#: drawn and lines that miss made good (Params/README.md); the release's program starts with 1
START_REFINEMENT = 0.5
#: most neighbours the projection kernel's small system has room for (ours; release 15, paper 10)
MAX_K = 64
#: what is left of a column's square, in parts of the largest diagonal entry, below which it counts as dependent on the
#: columns before it.  Between what rounding leaves of a dependent one (64 neighbours in 33 dimensions: 4e-13 in plain
#: float64, 1e-11 where g++ 16 reorders the sums for a Zen 3) and the smallest that counts there (3e-4)
DEPENDENT = 1e-9


def check_k(k) -> None:
    """ValueError unless k is a whole number of neighbours that projection has room for."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= MAX_K:
        raise InputError(f"k must be a whole number of neighbours from 1 to {MAX_K}, not {k!r}")


def check_anchor(anchor) -> None:
    """ValueError unless anchor names one of the rules."""
    if not isinstance(anchor, str) or anchor not in ANCHORS:
        raise InputError(f"no anchor rule {anchor!r}; there are {', '.join(ANCHORS)}")


def squared_distances(bank: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(rows, d), (d,) float32 -> (rows,) float32: differences in float32, squares summed in float64 (release)."""
    difference = (bank - query[None]).astype(np.float64)
    return np.einsum("ij,ij->i", difference, difference).astype(np.float32)


def neighbours(bank: np.ndarray, query: np.ndarray, k: int, anchor: str = "nearest") -> np.ndarray:
    """Row numbers (k,) int64 of the k neighbours, the anchor first."""
    check_anchor(anchor)
    distances = squared_distances(bank, query)
    if anchor == "nearest":
        return np.argsort(distances, kind="stable")[:k]
    return nth_element_order(distances, k)[:k]


def nth_element_order(values, nth: int) -> np.ndarray:
    """The permutation that GNU libstdc++'s ``std::nth_element(begin, begin + nth, end)`` applies to pairs
    (value, index): quickselect with a median-of-three pivot, a heap once 2 log2(n) rounds did not suffice, and an
    insertion sort of the last three."""
    items = [(float(v), i) for i, v in enumerate(values)]
    first, last = 0, len(items)
    if nth < last:
        rounds = 2 * (last.bit_length() - 1)
        while last - first > 3:
            if rounds == 0:
                _heap_select(items, first, nth + 1, last)
                items[first], items[nth] = items[nth], items[first]
                break
            rounds -= 1
            cut = _partition(items, first, last)
            if cut <= nth:
                first = cut
            else:
                last = cut
        else:
            items[first:last] = sorted(items[first:last])
    return np.array([i for _, i in items], np.int64)


def _partition(items, first, last):
    middle, end = first + (last - first) // 2, last - 1
    # the median of the second, middle and last item becomes the pivot, at the front
    pivot = sorted([first + 1, middle, end], key=items.__getitem__)[1]
    items[first], items[pivot] = items[pivot], items[first]
    pivot, low, high = items[first], first + 1, last
    while True:
        while items[low] < pivot:
            low += 1
        high -= 1
        while pivot < items[high]:
            high -= 1
        if low >= high:
            return low
        items[low], items[high] = items[high], items[low]
        low += 1


def _sift(items, base, hole, length, value):
    """Put ``value`` into a max-heap whose ``hole`` is free: sink the hole to a leaf, then let the value rise."""
    top, child = hole, hole
    while child < (length - 1) // 2:
        child = 2 * (child + 1)
        if items[base + child] < items[base + child - 1]:
            child -= 1
        items[base + hole] = items[base + child]
        hole = child
    if length % 2 == 0 and child == (length - 2) // 2:
        child = 2 * (child + 1)
        items[base + hole] = items[base + child - 1]
        hole = child - 1
    parent = (hole - 1) // 2
    while hole > top and items[base + parent] < value:
        items[base + hole] = items[base + parent]
        hole, parent = parent, (parent - 1) // 2
    items[base + hole] = value


def _heap_select(items, first, middle, last):
    length = middle - first
    for parent in range((length - 2) // 2, -1, -1):
        _sift(items, first, parent, length, items[first + parent])
    for i in range(middle, last):
        if items[i] < items[first]:
            value, items[i] = items[i], items[first]
            _sift(items, first, 0, length, value)


def rebuilding_weights(neighbour_rows: np.ndarray, query: np.ndarray, penalty: float = 10.0) -> np.ndarray:
    """Weights (k,) float64 that rebuild ``query`` (d,) from ``neighbour_rows`` (k, d), the anchor first; they sum to 1.

    Minimises || sum x_i (f_i - f_0) - (f - f_0) ||^2 + (penalty * sum x_i)^2 over the other rows by the normal
    equations in float64; w_i = x_i, w_0 = 1 - sum x.  penalty 10: release (the paper's formula has none).
    """
    rows = neighbour_rows.astype(np.float64)
    a = rows[1:] - rows[0]
    b = query.astype(np.float64) - rows[0]
    normal, right = a @ a.T + penalty ** 2, a @ b
    x = solve_semidefinite(normal, right)
    return np.concatenate([[1.0 - x.sum()], x])


def solve_semidefinite(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric positive semi-definite system by Cholesky factors.  A column that depends on those before it
    (two equal rows in a bank) gets the weight 0 instead of a division by nothing."""
    n = len(right)
    lower, used = np.zeros((n, n)), np.zeros(n, bool)
    tiny = DEPENDENT * max(matrix.diagonal().max(initial=0), 1e-300)
    y = np.zeros(n)
    for i in range(n):
        for j in range(i):
            if used[j]:
                lower[i, j] = (matrix[i, j] - lower[i, :j] @ lower[j, :j]) / lower[j, j]
        pivot = matrix[i, i] - lower[i, :i] @ lower[i, :i]
        if pivot > tiny:
            used[i], lower[i, i] = True, np.sqrt(pivot)
            y[i] = (right[i] - lower[i, :i] @ y[:i]) / lower[i, i]
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        if used[i]:
            x[i] = (y[i] - lower[i + 1:, i] @ x[i + 1:]) / lower[i, i]
    return x


#: how much of a decoded neighbour's weight may count (release)
WEIGHT_LIMIT = 0.5
#: share of the remainder's shadow that is taken away at the middle of a part's window (release)
REST_FADE = 0.2
#: share of a part's shadow that is added to the remainder's (release)
PART_SHARE = 0.5
#: how far a component's shadow may be from that of all its neighbours, in grey levels: a pixel of the page lies under
#: the remainder and two parts at most, which count half, so it is not half a level off (ours)
LEFT_OUT = 0.25
#: the most ink that a decoded pixel holds, 1 being black, where it would be 0.5 * (1 + 2): the decoders are not bounded
#: (ours, generous)
MAX_INK = 1.5
#: where a mask starts to fade and where it has faded, as a radius with the window's edge at 1 (ours: the release's
#: mask pictures are its own; these have their look, a dark centre and a light rim)
_INNER, _OUTER = 0.55, 1.0


def soft_mask(size: int) -> np.ndarray:
    """(size, size) float32: 0 in the middle of a window, 1 at its rim, smooth between, on rounded squares."""
    axis = np.abs((np.arange(size) + 0.5) / size * 2 - 1)
    radius = (axis[:, None] ** 4 + axis[None, :] ** 4) ** 0.25
    t = np.clip((radius - _INNER) / (_OUTER - _INNER), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def part_masks(geometry: Geometry) -> np.ndarray:
    """The four parts' masks flattened one after the other in the order of ``PARTS``, float32."""
    return np.concatenate([soft_mask(geometry.window(part).size).ravel() for part in PARTS])


def visible(weights: np.ndarray) -> np.ndarray:
    """(k,) weights of a component's neighbours -> (k,) bool: those that have to be decoded for its shadow.  The others
    have no positive weight, or so little, all together, that no grey level changes (LEFT_OUT)."""
    least_first = np.argsort(weights, kind="stable")
    ink = 255 * MAX_INK * np.cumsum(np.clip(weights[least_first].astype(np.float64), 0, WEIGHT_LIMIT))
    out = np.zeros(len(weights), bool)
    out[least_first] = ink >= LEFT_OUT
    return out & (weights > 0)
