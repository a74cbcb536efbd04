"""Polytopes: the numbers that fulfill linear constraints, however thin, and walks inside.

q numbers x (q,) of rows, each with an axis. In units u = (x - low) / width of a box that the constraints tighten:

    E u = e    equalities, given or implied
    G u <= h   inequalities, each row of absolute sum 1
    0 <= u <= 1

A polytope without an interior has implied equalities. They are the constraints with positive multipliers in the linear
program that maximizes the smallest slack ("facial reduction", Borwein and Wolkowicz 1981). Walks are hit-and-run
(Smith 1984): along a line inside E u = e to a random place between the walls. Half of the lines are dense, and half
move as few numbers as the equalities allow, so that whole numbers move as well and corners are left again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.axes import Axis, FiniteAxis, FloatAxis, IntAxis
from bo_service.optimizer.encoding.bound_tightening import InfeasibleRegion, tightened, without_rounding
from bo_service.optimizer.numerics.array import Array

THIN = 1e-6
"""A slack, of a constraint's span over the box, below which the constraint counts as an equality."""
NARROW = 0.05
"""Two opposite constraints that are closer than this, of their span, are walked between on lines parallel to both."""
MULTIPLIER = 1e-9
"""Multipliers above this are positive."""
RANK = 1e-9
"""Singular values below this, of the largest, are zero."""
MOST_SLACK = 0.25
LINES_PER_BASIS = 24
LEAST_STEPS, MOST_STEPS = 96, 640


class Unsolved(Exception):
    """The solver found no numbers, and did not prove that there are none."""


@dataclass(frozen=True)
class Polytope:
    """The numbers of some columns, in a box, with equalities and inequalities. Made by `polytope`."""

    columns: NDArray[np.intp]
    axes: Sequence[Axis]
    low: Array
    width: Array
    E: Array
    e: Array
    given: int
    """How many of the equalities were given; the others are implied, some of them by bands that are nearly lines."""
    G: Array
    h: Array
    center: Array
    """u (q,): the place with the largest slack."""

    @property
    def size(self) -> int:
        """The number q of numbers."""
        return len(self.columns)

    @cached_property
    def is_stepped(self) -> NDArray[np.bool_]:
        """A mask (q,) of the axes that have levels."""
        return np.array([not isinstance(axis, FloatAxis) for axis in self.axes])

    @cached_property
    def dimension(self) -> int:
        """How many numbers may be chosen before the equalities decide on the others."""
        return self.size - _rank(self.E)

    @cached_property
    def steps(self) -> int:
        """How many steps make a walk forget where it began."""
        return int(np.clip(8 * self.dimension, LEAST_STEPS, MOST_STEPS))

    def units(self, X: Array) -> Array:
        """Return u (m, q) of numbers (m, q)."""
        return (X - self.low) / np.where(self.width > 0.0, self.width, 1.0)

    def numbers(self, U: Array) -> Array:
        """Return the numbers (m, q) of u (m, q)."""
        return np.clip(self.low + self.width * U, self.low, self.low + self.width)

    def places(self, U: Array) -> Array:
        """Return the places (m, q) on the axes of u (m, q)."""
        X = self.numbers(U)
        return np.column_stack([between(axis, X[:, i]) for i, axis in enumerate(self.axes)])

    def units_at(self, positions: NDArray[np.intp], places: Array) -> Array:
        """Return u (k,) of places (k,) on the axes at some positions, which are of real numbers."""
        values = [self.axes[i].numbers(np.array([z]))[0] for i, z in zip(positions, places, strict=True)]
        return np.asarray((np.array(values) - self.low[positions]) / self.width[positions])

    def slopes(self, positions: NDArray[np.intp], u: Array) -> Array:
        """Return by how much places at some positions (k,) rise with u (q,); 0 beyond the box."""
        found = np.zeros(len(positions))
        for at, i in enumerate(positions):
            axis = self.axes[i]
            if isinstance(axis, FloatAxis) and 0.0 <= u[i] <= 1.0:
                found[at] = self.width[i] * axis.ruler.slope(float(self.low[i] + self.width[i] * u[i]))
        return found

    def up_to(self, u: Array, to: Array) -> Array:
        """Return u (q,) as far on the line from one inside to another as the walls allow."""
        line = to - u
        _, last = _chord(u[None], line, (self.h - self.G @ u)[None], self.G @ line)
        return u + min(float(last[0]), 1.0) * line

    def lines_with(self, j: int, count: int, rng: np.random.Generator) -> list[Array]:
        """Return lines (q,) inside the equalities that move number j by 1, and few others."""
        found = []
        for _ in range(count):
            weights = self._weights(rng)
            weights[j] = 1e-9
            basic, others, T = _basis(self.E, weights)
            which = np.flatnonzero(others == j)
            if len(which):
                found.append(_circuit(self.size, basic, others, T, int(which[0])))
        return found

    def polished(self, U: Array, sums: Array | None = None) -> Array:
        """Return u (m, q) with its real numbers moved as little as it takes for E u = e, or = `sums` (m, r)."""
        U = np.clip(U, 0.0, 1.0)
        if len(self.E):
            for _ in range(3):
                U[:, ~self.is_stepped] += ((self.e if sums is None else sums) - U @ self.E.T) @ self._back.T
                U = np.clip(U, 0.0, 1.0)
        return U

    def walk(self, U: Array, steps: int, rng: np.random.Generator, reach: Array | None = None) -> Array:
        """Return where walks of so many steps from u (m, q) end; steps are at most `reach` (m,) of an axis.

        In a band that is nearly a line, each goes on parallel to it where it begins.
        """
        sums = U @ self.E.T
        sums[:, : self.given] = self.e[: self.given]
        U = self.polished(U, sums)
        if not self.dimension:
            return U
        slack = self.h - U @ self.G.T
        for line, j in self._lines(steps, rng):
            along = self.G @ line
            first, last = _chord(U, line, slack, along)
            moved = self._drawn(U, j, first, last, rng.random(len(U)), reach)
            change = moved - U[:, j]
            ok = (change >= first - 1e-12) & (change <= last + 1e-12)
            after = U + change[:, None] * line
            if np.any(self.is_stepped & (line != 0.0)):
                after, fits = self._snapped(after, line)
                ok &= fits
            change = np.where(ok, change, 0.0)
            U = np.where(ok[:, None], after, U)
            slack = slack - change[:, None] * along
        return self.polished(U, sums)

    def basis(self, room: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
        """Return basic columns (r,), the others (q - r,), and T (r, q - r): basic = const - T others along E u = e.

        Columns with much `room` (q,) become basic.
        """
        return _basis(self.E, room)

    @cached_property
    def _back(self) -> Array:
        """The matrix (reals, r) from misses of equalities to changes of real numbers."""
        return np.asarray(np.linalg.pinv(self.E[:, ~self.is_stepped], rcond=RANK), dtype=np.float64)

    @cached_property
    def _narrow(self) -> Array:
        """E, and the constraints beside which there is little space."""
        opposite = self.G @ self.G.T / np.maximum((self.G**2).sum(axis=1), 1e-300)
        found = [
            self.G[i]
            for i, j in zip(*np.nonzero(opposite < 0.0), strict=True)
            if i < j and np.abs(self.G[i] + self.G[j]).max() < 1e-12 and self.h[i] + self.h[j] < NARROW
        ]
        return np.vstack([self.E, *found])

    @cached_property
    def _planes(self) -> list[tuple[Array, Array | None]]:
        """Equalities (r, q), and a basis (q, k) of the real directions inside, where there are several."""
        found = []
        for E in (self.E, self._narrow)[: 1 + (len(self._narrow) > len(self.E))]:
            if _rank(E) < self.size:
                N = _null(E[:, ~self.is_stepped])
                found.append((E, N if N.shape[1] > 1 else None))
        return found

    def _lines(self, steps: int, rng: np.random.Generator) -> list[tuple[Array, int]]:
        """Return lines (q,) inside the equalities, and the number of each that is drawn, by which it moves by 1."""
        reals = np.flatnonzero(~self.is_stepped)
        found: list[tuple[Array, int]] = []
        while len(found) < steps:
            E, N = self._planes[int(rng.integers(len(self._planes)))]
            basic, others, T = _basis(E, self._weights(rng))
            for _ in range(min(LINES_PER_BASIS, steps - len(found))):
                if N is not None and rng.random() < 0.5:
                    line = np.zeros(self.size)
                    line[reals] = N @ rng.standard_normal(N.shape[1])
                else:
                    line = _circuit(self.size, basic, others, T, int(rng.integers(len(others))))
                moving = np.flatnonzero(line)
                stepped = moving[self.is_stepped[moving]]
                choice = stepped if len(stepped) else moving
                share = np.abs(line[choice])
                j = int(choice[np.searchsorted(np.cumsum(share), rng.random() * share.sum())])
                found.append((line / line[j], j))
        return found

    def _weights(self, rng: np.random.Generator) -> Array:
        """Draw weights (q,); half of the times real numbers are heavier, so that they make up for whole ones."""
        weights = rng.random(self.size) + 1e-3
        return np.where(self.is_stepped & (rng.random() < 0.5), 1e-3 * weights, weights)

    def _drawn(self, U: Array, j: int, first: Array, last: Array, share: Array, reach: Array | None) -> Array:
        """Return u (m,) of number j at a share of the way between both ends, on its axis."""
        axis, low, width = self.axes[j], self.low[j], self.width[j]
        begin, end = (between(axis, low + width * np.clip(U[:, j] + t, 0.0, 1.0)) for t in (first, last))
        if reach is not None:
            here = between(axis, low + width * U[:, j])
            begin, end = np.maximum(begin, here - reach), np.minimum(end, here + reach)
        place = begin + share * (end - begin)
        values = axis.numbers(axis.round_to_valid(place)) if self.is_stepped[j] else axis.numbers(place)
        return np.asarray((values - low) / width)

    def _snapped(self, U: Array, line: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Round the moved stepped numbers of u to their levels, and return where they were so already (m,)."""
        fits = np.ones(len(U), dtype=np.bool_)
        U = U.copy()
        for j in np.flatnonzero(self.is_stepped & (line != 0.0)).tolist():
            axis, x = self.axes[j], self.low[j] + self.width[j] * U[:, j]
            level = axis.numbers(axis.round_to_valid(between(axis, x)))
            fits &= np.abs(level - x) <= 1e-9 * np.maximum(np.abs(level), self.width[j])
            U[:, j] = (level - self.low[j]) / self.width[j]
        return U, fits


def polytope(
    columns: NDArray[np.intp], axes: Sequence[Axis], C: Array, lower: Array, upper: Array, ends: tuple[Array, Array]
) -> Polytope:
    """Return the numbers x (q,) of some columns, within `ends`, with lower <= C x <= upper.

    Raises:
        InfeasibleRegion: there are none.
        Unsolved: none were found.
    """
    low, high = without_rounding(C, lower, upper, *tightened(C, lower, upper, *ends))
    width = high - low
    is_open = (C[:, width > 0.0] != 0.0).any(axis=1)  # the others were judged as the bounds were tightened
    C, lower, upper = C[is_open], lower[is_open], upper[is_open]
    with np.errstate(over="ignore", invalid="ignore"):
        span = np.abs(C) @ width
        at_low = C @ low
    if not (np.isfinite(span).all() and np.isfinite(at_low).all()):
        raise Unsolved
    span = np.where(span > 0.0, span, 1.0)
    A = C * width / span[:, None]
    above, below = (upper - at_low) / span, (lower - at_low) / span
    is_equal = lower == upper
    is_above, is_below = ~is_equal & np.isfinite(upper), ~is_equal & np.isfinite(lower)
    flat = np.eye(len(columns))[width <= 0.0]
    E, e = np.vstack([A[is_equal], flat]), np.concatenate([above[is_equal], np.zeros(len(flat))])
    G, h = np.vstack([A[is_above], -A[is_below]]), np.concatenate([above[is_above], -below[is_below]])
    given = len(E)
    E, e, G, h, center = _reduced(E, e, G, h, width > 0.0)
    return Polytope(columns, axes, low, width, E, e, given, G, h, center)


def _reduced(
    E: Array, e: Array, G: Array, h: Array, is_free: NDArray[np.bool_]
) -> tuple[Array, Array, Array, Array, Array]:
    """Return the same polytope with its implied equalities among E, and the u (q,) with the largest slack."""
    unit = np.eye(len(is_free))
    free = np.flatnonzero(is_free)
    while True:
        walls, limits = np.vstack([G, -unit[free], unit[free]]), np.repeat([0.0, 1.0], len(free))
        limits = np.concatenate([h, limits])
        u, slack, multipliers = _center(E, e, walls, limits)
        tight = multipliers > MULTIPLIER
        if slack > THIN or not tight.any():
            return E, e, G, h, u
        rows = np.vstack([E, walls[tight]])
        E, e = rows, np.concatenate([e, walls[tight] @ u])
        G, h = G[~tight[: len(G)]], h[~tight[: len(h)]]
        ends = tight[-2 * len(free) :].reshape(2, -1).any(axis=0) if len(free) else np.empty(0, dtype=np.bool_)
        free = free[~ends]


def _center(E: Array, e: Array, walls: Array, limits: Array) -> tuple[Array, float, Array]:
    """Return the u (q,) with the largest common slack, that slack, and the walls' multipliers."""
    from scipy import optimize  # which few spaces need: the server's main process does without it

    q = E.shape[1]
    found = optimize.linprog(
        c=np.append(np.zeros(q), -1.0),
        A_ub=np.column_stack([walls, np.ones(len(walls))]) if len(walls) else None,
        b_ub=limits if len(walls) else None,
        A_eq=np.column_stack([E, np.zeros(len(E))]) if len(E) else None,
        b_eq=e if len(E) else None,
        bounds=[(0.0, 1.0)] * q + [(0.0, MOST_SLACK)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-9},
    )
    if found.status == 2:
        raise InfeasibleRegion
    if found.x is None or found.status != 0:
        raise Unsolved
    multipliers = -np.asarray(found.ineqlin.marginals) if len(walls) else np.empty(0)
    return np.clip(found.x[:-1], 0.0, 1.0), float(found.x[-1]), multipliers


def _chord(U: Array, line: Array, slack: Array, along: Array) -> tuple[Array, Array]:
    """Return how far a line goes from each u (m, q) to the walls, back and forth (m,)."""
    moving = line != 0.0
    U, line = U[:, moving], line[moving]
    with np.errstate(divide="ignore", invalid="ignore"):
        walls = np.maximum(slack, 0.0) / along
        up, down = (1.0 - U) / line, -U / line
    nearer, farther = np.minimum(up, down), np.maximum(up, down)
    last = np.minimum(
        farther.min(axis=1, initial=np.inf), np.where(along > 0.0, walls, np.inf).min(axis=1, initial=np.inf)
    )
    first = np.maximum(
        nearer.max(axis=1, initial=-np.inf), np.where(along < 0.0, walls, -np.inf).max(axis=1, initial=-np.inf)
    )
    return np.minimum(first, 0.0), np.maximum(last, 0.0)


def _null(E: Array) -> Array:
    """Return an orthonormal basis (q, q - r) of the directions inside the equalities."""
    if not E.size:
        return np.eye(E.shape[1])
    _, sizes, V = np.linalg.svd(E, full_matrices=True)
    return np.asarray(V[_positive(sizes) :].T)


def _rank(E: Array) -> int:
    return _positive(np.asarray(np.linalg.svd(E, compute_uv=False), dtype=np.float64)) if E.size else 0


def _positive(sizes: Array) -> int:
    """Count the decreasing sizes that are not zero."""
    return int((sizes > RANK * max(float(sizes.max(initial=0.0)), 1e-300)).sum())


def _basis(E: Array, weights: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Return what `Polytope.basis` does: heavier columns become basic."""
    from scipy import linalg

    q = E.shape[1]
    if not len(E):
        return np.empty(0, dtype=np.intp), np.arange(q, dtype=np.intp), np.empty((0, q))
    _, R, order = linalg.qr(E * weights, mode="economic", pivoting=True)
    rank = _positive(np.abs(np.diag(R)))
    basic, others = order[:rank].astype(np.intp), order[rank:].astype(np.intp)
    T = linalg.solve_triangular(R[:rank, :rank], R[:rank, rank:]) * weights[basic][:, None] / weights[others]
    T[np.abs(T) < RANK] = 0.0
    return basic, others, T


def _circuit(size: int, basic: NDArray[np.intp], others: NDArray[np.intp], T: Array, which: int) -> Array:
    """Return the line (q,) that moves one of the others, and those that are basic with it."""
    line = np.zeros(size)
    line[others[which]] = 1.0
    line[basic] = -T[:, which]
    return line


def between(axis: Axis, values: Array) -> Array:
    """Return places (m,) of numbers, which may be between the levels."""
    if isinstance(axis, FloatAxis | IntAxis):
        return axis.ruler.to_unit(np.clip(values, axis.ruler.low, axis.ruler.high))
    assert isinstance(axis, FiniteAxis)
    return np.interp(values, axis.numeric, axis.places)
