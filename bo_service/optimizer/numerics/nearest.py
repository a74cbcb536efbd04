"""The nearest of many points to each of some others.

n points P (n, f), m points X (m, f); a distance is √(|x - p|² / scale). All |x - p|² are a matrix product,
|x|² + |p|² - 2 x·p, but for rounding; those that it leaves in doubt are measured again, as sums of squared differences.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array

Places = NDArray[np.intp]

AT_ONCE = 1 << 18
"""How many numbers are looked at together, about: they fit a processor's cache."""
SMALL = 1 << 18
"""Multiplications of a product that BLAS makes without threads, which would wait for each other on a busy machine."""
FEW = 8
"""With fewer rows of X than this, not even so many are small."""
FAR = 1e300
ULP = float(np.finfo(np.float64).eps)


def nearest(P: Array, X: Array, scale: float) -> tuple[Places, Array]:
    """Find for each row of X (m,) which row of P is nearest, the earliest of equals, and its distance."""
    many, terms = max(1, min(AT_ONCE // len(P), len(X))), P.shape[1] + 1
    sizes = (P**2).sum(axis=1)
    blocks = _blocks(P, sizes, max(1, min(SMALL // (terms * max(FEW, many)), len(P))))
    room = np.empty(blocks.shape[0] * blocks.shape[2] * many)  # once: new memory costs more than the product
    found, distances = np.empty(len(X), dtype=np.intp), np.empty(len(X))
    for some in (slice(i, i + many) for i in range(0, len(X), many)):
        # More than twice what the product and the distance together may be wrong by.
        rounding = 12.0 * (terms + 3) * ULP * (sizes.max() + (X[some] ** 2).sum(axis=1))
        rows, places = _candidates(blocks, X[some], rounding, room)
        measured = np.concatenate(list(_squares(P, X[some], rows, places)))
        found[some], distances[some] = _earliest(rows, places, np.sqrt(measured / scale))
    return found, distances


def _blocks(P: Array, sizes: Array, length: int) -> Array:
    """Return P and its rows' squares as (blocks, f + 1, length).

    The last block is filled up with points that are far away.
    """
    n, f = P.shape
    found = np.zeros((-(-n // length) * length, f + 1))
    found[:n, :-1], found[:n, -1], found[n:, -1] = P, sizes, FAR
    return found.reshape(-1, length, f + 1).transpose(0, 2, 1)


def _candidates(blocks: Array, X: Array, rounding: Array, room: Array) -> tuple[Places, Places]:
    """Return pairs of a row of X and a place in P that may be its nearest, in the order of both."""
    (count, _, length), m = blocks.shape, len(X)
    out = room[: count * m * length].reshape(count, m, length)
    apart = np.matmul(np.column_stack([-2.0 * X, np.ones(m)]), blocks, out=out)  # less |x|²
    least = apart.min(axis=2)  # of each block, (count, m)
    most = least.min(axis=0) + rounding
    rows, near = np.nonzero((least <= most).T)
    which, places = np.nonzero(apart[near, rows] <= most[rows, None])
    return rows[which], near[which] * length + places


def _earliest(rows: Places, places: Places, distances: Array) -> tuple[Places, Array]:
    """Return for each row of X the first of its places that are nearest, and their distance."""
    least = np.minimum.reduceat(distances, np.flatnonzero(np.diff(rows, prepend=-1)))
    is_least = distances == least[rows]
    _, firsts = np.unique(rows[is_least], return_index=True)
    return places[is_least][firsts], least


def _squares(P: Array, X: Array, rows: Places, places: Places) -> Iterator[Array]:
    """Yield |x - p|² of pairs."""
    pairs = max(1, AT_ONCE // P.shape[1])
    for i in range(0, len(rows), pairs):
        yield ((P[places[i : i + pairs]] - X[rows[i : i + pairs]]) ** 2).sum(axis=1)
