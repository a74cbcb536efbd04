"""The search for the point most worth trying: candidates, gradient steps, exchanges; always on valid points.

m rows Z (m, p); X (m, f) their features. Steps of gradient move the smooth coordinates (real numbers, and whole numbers
with many levels) by scipy's L-BFGS-B; exchanges try other levels of the stepped ones. Every point is snapped and pulled
into the feasible region before it is scored, so that the winner is a point that can be evaluated as it stands. Where
equalities bind a row, the gradient is that along them: some numbers are climbed, and others make up for them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.acquisition.base import AcquisitionFunction
from bo_service.optimizer.encoding.axes import SMOOTH_LEVELS, all_positions
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.evaluated_set import EvaluatedSet
from bo_service.optimizer.encoding.feasible_region import FeasibleRegion
from bo_service.optimizer.encoding.hyperplane import Plane
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.lbfgsb import minimize_lbfgsb

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
    region: FeasibleRegion
    acquisition_function: AcquisitionFunction
    anchors: Array
    rng: np.random.Generator
    starts: int = STARTS
    """How many candidates are refined."""

    def score(self, Z: Array) -> Array:
        """Return the acquisition values (m,) of valid rows."""
        return self.acquisition_function.value(self.encoding.features(Z))

    def make_feasible(self, Z: Array, centers: Array) -> Array:
        """Return valid feasible rows near the given ones, which are near feasible rows `centers` (m, p)."""
        return self.region.make_feasible(self.encoding.round_to_valid(Z), centers, self.rng)


def maximize_acquisition(search: Search, best: Array, evaluated: EvaluatedSet, listed: Array | None) -> Array | None:
    """Return the row (p,) of largest acquisition value that has not been tried, or None where there is none.

    Args:
        search: what to search, and where.
        best: rows (b, p) of the best trials, to look around.
        evaluated: what must not be suggested again.
        listed: all feasible rows of a small finite space, if it is one.
    """
    if listed is not None:
        return _first_new(listed, search.score(listed) if len(listed) else np.empty(0), evaluated)
    Z = _candidates(search, best)
    if not len(Z):
        return None
    values = search.score(Z)
    starts = _diverse_starts(Z, np.argsort(-values, kind="stable"), search.starts)
    climbed = _refine(search, Z[starts])
    return _first_new(np.vstack([climbed, Z]), np.concatenate([search.score(climbed), values]), evaluated)


def _first_new(Z: Array, values: Array, evaluated: EvaluatedSet) -> Array | None:
    """Return the best, by values (m,), of rows Z (m, p) that is new and keeps its distance from what is pending.

    Where none does, the best that is new.
    """
    first = None
    for z in Z[np.argsort(-values, kind="stable")]:
        if evaluated.has(z):
            continue
        if not evaluated.is_near_pending(z):
            return np.asarray(z)
        first = z if first is None else first
    return first


def _candidates(search: Search, best: Array) -> Array:
    """Draw uniform rows, and copies of the best trials with some or all coordinates moved a little."""
    rng, encoding = search.rng, search.encoding
    drawn = encoding.from_uniform(rng.random((CANDIDATES, encoding.width)))
    wide = search.region.project(drawn, search.anchors, rng, inward=True)
    holds = search.region.holds(best)
    centers = np.repeat((best[holds] if holds.any() else best)[:CENTERS], NEAR_EACH, axis=0)
    moved = encoding.round_to_valid(_perturb(encoding, centers, rng)) if len(centers) else centers
    near = search.make_feasible(moved, centers) if holds.any() else moved[search.region.holds(moved)]
    return np.vstack([wide, near])


def _perturb(encoding: Encoding, Z: Array, rng: np.random.Generator) -> Array:
    """Move a random subset of each row's coordinates by normal steps of sizes from 0.001 to 0.3, or redraw it."""
    size = 10.0 ** rng.uniform(-3.0, -0.5, (len(Z), 1))
    steps = Z + size * rng.standard_normal(Z.shape)
    redrawn = encoding.from_uniform(rng.random(Z.shape))
    stepped = np.array([axis.levels <= SMOOTH_LEVELS for axis in encoding.axes])
    chosen = rng.random(Z.shape) < rng.uniform(1.0 / encoding.width, 1.0, (len(Z), 1))
    return np.where(chosen, np.where(stepped & (rng.random(Z.shape) < 0.5), redrawn, np.clip(steps, 0.0, 1.0)), Z)


def _diverse_starts(Z: Array, order: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Select the first few of an order that don't crowd: each at least 0.05 from the others in some coordinate."""
    kept: list[int] = []
    for i in order:
        if all(np.abs(Z[i] - Z[k]).max() > 0.05 for k in kept):
            kept.append(int(i))
            if len(kept) == count:
                break
    return np.array(kept, dtype=np.intp)


def _refine(search: Search, Z: Array) -> Array:
    """Climb from each row: by gradient, then by the best exchange, as long as an exchange helps."""
    for _ in range(ROUNDS):
        Z = np.vstack([_ascend(search, z) for z in Z])
        exchanged = np.vstack([_coordinate_search(search, z) for z in Z])
        if np.array_equal(exchanged, Z):
            break
        Z = exchanged
    return Z


def _ascend(search: Search, z: Array) -> Array:
    """Return the row after L-BFGS-B over its smooth active coordinates, made feasible.

    It is the row itself where that is no better.
    """
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
            value, gradient = search.acquisition_function.value_and_gradient(x)
            return -value, -gradient[columns]

        moved[smooth] = minimize_lbfgsb(loss, z[smooth], np.zeros(len(smooth)), np.ones(len(smooth)), STEPS)[1]
    else:
        return z
    settled = moved[None] if search.region.holds(moved[None])[0] else search.make_feasible(moved[None], z[None])
    return _better(search, np.vstack([z[None], settled]))


def _climbed_on(search: Search, z: Array, smooth: NDArray[np.intp], plane: Plane) -> Array:
    """Return the row after L-BFGS-B over its smooth coordinates and those free on a plane, as far as that is inside.

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
        value, gradient = search.acquisition_function.value_and_gradient(x)
        pulled = gradient[basic_columns] * solid.slopes(plane.basic, u)
        along = pulled @ plane.T / np.maximum(solid.slopes(plane.free, u), 1e-300)
        slope = gradient[columns]
        slope[len(smooth) :] -= along
        return -value, -slope

    low, high = solid.places(np.zeros((1, solid.size)))[0], solid.places(np.ones((1, solid.size)))[0]
    low = np.concatenate([np.zeros(len(smooth)), low[plane.free]])
    high = np.concatenate([np.ones(len(smooth)), high[plane.free]])
    found = minimize_lbfgsb(loss, np.clip(z[rows], low, high), low, high, STEPS)[1]
    moved = z.copy()
    moved[smooth] = found[: len(smooth)]
    return search.region.on_plane(moved, plane, plane.moved(solid.units_at(plane.free, found[len(smooth) :])))


def _coordinate_search(search: Search, z: Array) -> Array:
    """Return the best row that differs in one stepped coordinate; the row itself where none is better."""
    rows = [z[None]]
    for j, axis in enumerate(search.encoding.axes):
        if not 1 < axis.levels < np.inf:
            continue
        tried = _levels_near(search, j, float(z[j]))
        rows.append(search.region.exchanged(z, j, tried, search.rng))
    if len(rows) == 1:
        return z
    Z = search.encoding.round_to_valid(np.vstack(rows))
    return _better(search, Z[search.region.holds(Z)])


def _levels_near(search: Search, j: int, z: float) -> Array:
    """Return other levels to try: all of them where they are few, else the neighbors and some at random."""
    axis = search.encoding.axes[j]
    if axis.levels <= MOST_EXCHANGES:
        return all_positions(axis)
    drawn = axis.from_uniform(search.rng.random(MOST_EXCHANGES - 4))
    return np.concatenate([drawn, axis.beside(z, 1), axis.beside(z, 2)])


def _better(search: Search, Z: Array) -> Array:
    return np.asarray(Z[int(np.argmax(search.score(Z)))])
