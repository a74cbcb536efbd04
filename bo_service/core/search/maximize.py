"""The search for the point most worth trying: candidates, gradient steps, exchanges; always on valid points.

m rows Z (m, p); X (m, f) their features. Steps of gradient move the smooth coordinates (real numbers, and whole numbers
with many levels) by scipy's L-BFGS-B; exchanges try other levels of the stepped ones. Every point is snapped and pulled
into the feasible region before it is scored, so that the winner is a point that can be evaluated as it stands. Where
equalities bind a row, the gradient is that along them: some numbers are climbed, and others make up for them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.core.acquisitions.appraisal import Appraisal
from bo_service.core.encoded.axes import SMOOTH_LEVELS, every_place
from bo_service.core.encoded.encoding import Encoding
from bo_service.core.encoded.plane import Plane
from bo_service.core.encoded.region import Region
from bo_service.core.encoded.seen import Seen
from bo_service.core.numerics.array import Array
from bo_service.core.numerics.climb import descend

CANDIDATES = 512
NEAR_EACH = 40
CENTERS = 5
STARTS = 4
STEPS = 40
ROUNDS = 3
MOST_EXCHANGES = 12


@dataclass(frozen=True)
class Search:
    """All that a search needs."""

    encoding: Encoding
    region: Region
    appraisal: Appraisal
    anchors: Array
    rng: np.random.Generator
    starts: int = STARTS
    """How many candidates are refined."""

    def score(self, Z: Array) -> Array:
        """(m,): what valid rows are worth."""
        return self.appraisal.value(self.encoding.features(Z))

    def settle(self, Z: Array, centers: Array) -> Array:
        """Valid feasible rows near the given ones, which are near feasible rows `centers` (m, p)."""
        return self.region.settle(self.encoding.snap(Z), centers, self.rng)


def best_new_row(search: Search, best: Array, seen: Seen, listed: Array | None) -> Array | None:
    """The row (p,) that has not been tried and is worth most, or None where there is none.

    Args:
        search: what to search, and where.
        best: rows (b, p) of the best trials, to look around.
        seen: what must not be suggested again.
        listed: all feasible rows of a small finite space, if it is one.
    """
    if listed is not None:
        return _first_new(listed, search.score(listed) if len(listed) else np.empty(0), seen)
    Z = _candidates(search, best)
    if not len(Z):
        return None
    values = search.score(Z)
    starts = _apart(Z, np.argsort(-values, kind="stable"), search.starts)
    climbed = _refine(search, Z[starts])
    return _first_new(np.vstack([climbed, Z]), np.concatenate([search.score(climbed), values]), seen)


def _first_new(Z: Array, values: Array, seen: Seen) -> Array | None:
    """The best, by values (m,), of rows Z (m, p) that is new and keeps its distance from what is pending.

    Where none does, the best that is new.
    """
    first = None
    for z in Z[np.argsort(-values, kind="stable")]:
        if seen.has(z):
            continue
        if not seen.crowds(z):
            return np.asarray(z)
        first = z if first is None else first
    return first


def _candidates(search: Search, best: Array) -> Array:
    """Uniform draws, and the best trials with some or all coordinates moved a little."""
    rng, encoding = search.rng, search.encoding
    drawn = encoding.spread(rng.random((CANDIDATES, encoding.width)))
    wide = search.region.pull(drawn, search.anchors, rng, inward=True)
    holds = search.region.holds(best)
    centers = np.repeat((best[holds] if holds.any() else best)[:CENTERS], NEAR_EACH, axis=0)
    moved = encoding.snap(_moved(encoding, centers, rng)) if len(centers) else centers
    near = search.settle(moved, centers) if holds.any() else moved[search.region.holds(moved)]
    return np.vstack([wide, near])


def _moved(encoding: Encoding, Z: Array, rng: np.random.Generator) -> Array:
    """Rows with a random subset of coordinates moved by normal steps of sizes from 0.001 to 0.3, or redrawn."""
    size = 10.0 ** rng.uniform(-3.0, -0.5, (len(Z), 1))
    steps = Z + size * rng.standard_normal(Z.shape)
    redrawn = encoding.spread(rng.random(Z.shape))
    stepped = np.array([axis.levels <= SMOOTH_LEVELS for axis in encoding.axes])
    chosen = rng.random(Z.shape) < rng.uniform(1.0 / encoding.width, 1.0, (len(Z), 1))
    return np.where(chosen, np.where(stepped & (rng.random(Z.shape) < 0.5), redrawn, np.clip(steps, 0.0, 1.0)), Z)


def _apart(Z: Array, order: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The first few of an order that don't crowd: each at least 0.05 from the others in some coordinate."""
    kept: list[int] = []
    for i in order:
        if all(np.abs(Z[i] - Z[k]).max() > 0.05 for k in kept):
            kept.append(int(i))
            if len(kept) == count:
                break
    return np.array(kept, dtype=np.intp)


def _refine(search: Search, Z: Array) -> Array:
    """Each row climbed: by gradient, then by the best exchange, as long as an exchange helps."""
    for _ in range(ROUNDS):
        Z = np.vstack([_climb(search, z) for z in Z])
        exchanged = np.vstack([_exchange(search, z) for z in Z])
        if np.array_equal(exchanged, Z):
            break
        Z = exchanged
    return Z


def _climb(search: Search, z: Array) -> Array:
    """The row after L-BFGS-B over its smooth active coordinates, settled; itself where that is no better."""
    encoding = search.encoding
    plane = search.region.plane(z)
    active = encoding.active(z[None])[0]
    bound = np.empty(0, dtype=np.intp) if plane is None else plane.polytope.columns
    smooth = np.array(
        [j for j, a in enumerate(encoding.axes) if a.levels > SMOOTH_LEVELS and active[j] and j not in bound],
        dtype=np.intp,
    )
    smooth = smooth[encoding.column[smooth] >= 0]
    moved = z.copy()
    if plane is not None and len(plane.free):
        moved = _climbed_on(search, z, smooth, plane)
    elif len(smooth):
        columns = encoding.column[smooth]
        x = encoding.features(z[None])[0]

        def loss(part: Array) -> tuple[float, Array]:
            x[columns] = part
            value, gradient = search.appraisal.slope(x)
            return -value, -gradient[columns]

        moved[smooth] = descend(loss, z[smooth], np.zeros(len(smooth)), np.ones(len(smooth)), STEPS)[1]
    else:
        return z
    settled = moved[None] if search.region.holds(moved[None])[0] else search.settle(moved[None], z[None])
    return _better(search, np.vstack([z[None], settled]))


def _climbed_on(search: Search, z: Array, smooth: NDArray[np.intp], plane: Plane) -> Array:
    """The row after L-BFGS-B over its smooth coordinates and those that are free on a plane, as far as that is inside.

    The gradient of a free number is its own, and that of each basic one times how much it makes up for.
    """
    encoding, solid = search.encoding, plane.polytope
    free, basic = solid.columns[plane.free], solid.columns[plane.basic]
    rows = np.concatenate([smooth, free])
    columns, basic_columns = encoding.column[rows], encoding.column[basic]
    x = encoding.features(z[None])[0]

    def loss(part: Array) -> tuple[float, Array]:
        u = plane.moved(solid.units_at(plane.free, part[len(smooth) :]))
        x[columns] = part
        x[basic_columns] = solid.places(np.clip(u, 0.0, 1.0)[None])[0, plane.basic]
        value, gradient = search.appraisal.slope(x)
        pulled = gradient[basic_columns] * solid.slopes(plane.basic, u)
        along = pulled @ plane.T / np.maximum(solid.slopes(plane.free, u), 1e-300)
        slope = gradient[columns]
        slope[len(smooth) :] -= along
        return -value, -slope

    low, high = solid.places(np.zeros((1, solid.size)))[0], solid.places(np.ones((1, solid.size)))[0]
    low = np.concatenate([np.zeros(len(smooth)), low[plane.free]])
    high = np.concatenate([np.ones(len(smooth)), high[plane.free]])
    found = descend(loss, np.clip(z[rows], low, high), low, high, STEPS)[1]
    moved = z.copy()
    moved[smooth] = found[: len(smooth)]
    return search.region.on_plane(moved, plane, plane.moved(solid.units_at(plane.free, found[len(smooth) :])))


def _exchange(search: Search, z: Array) -> Array:
    """The best row that differs in one stepped coordinate; itself where none is better."""
    rows = [z[None]]
    for j, axis in enumerate(search.encoding.axes):
        if not 1 < axis.levels < np.inf:
            continue
        tried = _levels_near(search, j, float(z[j]))
        rows.append(search.region.exchanged(z, j, tried, search.rng))
    if len(rows) == 1:
        return z
    Z = search.encoding.snap(np.vstack(rows))
    return _better(search, Z[search.region.holds(Z)])


def _levels_near(search: Search, j: int, z: float) -> Array:
    """Other levels to try: all of them where they are few, else the neighbors and some at random."""
    axis = search.encoding.axes[j]
    if axis.levels <= MOST_EXCHANGES:
        return every_place(axis)
    drawn = axis.spread(search.rng.random(MOST_EXCHANGES - 4))
    return np.concatenate([drawn, axis.beside(z, 1), axis.beside(z, 2)])


def _better(search: Search, Z: Array) -> Array:
    return np.asarray(Z[int(np.argmax(search.score(Z)))])
