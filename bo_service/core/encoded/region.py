"""The feasible region: which rows fulfill the constraints, and how to get there from rows that don't.

m rows Z (m, p), as in `encoding.py`. A region too thin to be hit by chance is entered by mixed-integer linear
programs; from the anchors so found, rows outside are pulled inside along straight lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bo_service.core.constraints import TOLERANCE, Constraint, LinearConstraint
from bo_service.core.encoded.axes import SAME, FloatAxis, IntAxis
from bo_service.core.encoded.encoding import Encoding, Mask
from bo_service.core.numerics.array import Array

ROUNDING = 5e-12
"""Relative: by how much a number may differ from its place once it is written in twelve digits."""
HALVINGS = 20
PROGRAMS = 24
ENOUGH_ANCHORS = 32


class _Rule(Protocol):
    def holds(self, Z: Array, active: Mask) -> Mask: ...


@dataclass(frozen=True)
class _Linear:
    encoding: Encoding
    columns: NDArray[np.intp]
    coefficients: Array
    upper: float

    def holds(self, Z: Array, active: Mask) -> Mask:
        axes = self.encoding.axes
        with np.errstate(over="ignore", invalid="ignore"):
            terms = [c * axes[j].numbers(Z[:, j]) for c, j in zip(self.coefficients, self.columns, strict=True)]
            rounding = ROUNDING * sum(map(np.abs, terms))
            within = sum(terms) <= self.upper + np.maximum(TOLERANCE * max(1.0, abs(self.upper)) - rounding, 0.0)
        return np.asarray(within | ~active[:, self.columns].all(axis=1))


@dataclass(frozen=True)
class _Forbidden:
    columns: NDArray[np.intp]
    places: Array

    def holds(self, Z: Array, active: Mask) -> Mask:
        met = active[:, self.columns] & (np.abs(Z[:, self.columns] - self.places) < SAME)
        return np.asarray(~met.all(axis=1))


class Region:
    """The rows that fulfill the constraints of a space."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._rules: tuple[_Rule, ...] = tuple(self._rule(c) for c in encoding.space.constraints)

    @property
    def is_everything(self) -> bool:
        """Whether there is no constraint."""
        return not self._rules

    def holds(self, Z: Array) -> Mask:
        """(m,): which rows are inside."""
        inside = np.ones(len(Z), dtype=np.bool_)
        if self._rules:
            active = self.encoding.active(Z)
            for rule in self._rules:
                inside &= rule.holds(Z, active)
        return inside

    def anchors(self, known: Array, rng: np.random.Generator) -> Array:
        """Rows inside to pull others to, spread out where possible; none where none was found."""
        if self.is_everything:
            return known[:0]
        drawn = self.encoding.spread(rng.random((2048, self.encoding.width)))
        hit = drawn[self.holds(drawn)][:ENOUGH_ANCHORS]
        inside = np.vstack([known[self.holds(known)][:ENOUGH_ANCHORS], hit])
        if len(hit) >= 4:
            return inside
        corners = self._cornered(drawn[:PROGRAMS])
        return np.vstack([inside, self._solved(drawn[:PROGRAMS]), corners[self.holds(corners)]])

    def pull(self, Z: Array, anchors: Array, rng: np.random.Generator, inward: bool = False) -> Array:
        """Rows inside: those outside moved towards an anchor, to the border, or with `inward` some way past it."""
        outside = ~self.holds(Z)
        if self.is_everything or not outside.any():
            return Z
        if not len(anchors):
            return Z[~outside]
        far = Z[outside]
        near = anchors[rng.integers(len(anchors), size=len(far))]
        when = rng.random(far.shape)
        inner, outer = np.zeros(len(far)), np.ones(len(far))
        for _ in range(HALVINGS):
            middle = (inner + outer) / 2.0
            fits = self.holds(self._between(near, far, middle, when))
            inner, outer = np.where(fits, middle, inner), np.where(fits, outer, middle)
        if inward:
            inner = inner * rng.random(len(far)) ** (1.0 / self.encoding.width)
        moved = self._between(near, far, inner, when)
        result = Z.copy()
        result[outside] = np.where(self.holds(moved)[:, None], moved, near)
        return result

    def _between(self, near: Array, far: Array, share: Array, when: Array) -> Array:
        """Part of the way from near to far: numbers go gradually, each category changes at a moment of its own."""
        t = share[:, None]
        mixed = np.where(self.encoding.is_category, np.where(t > when, far, near), near + t * (far - near))
        return self.encoding.snap(mixed)

    def _cornered(self, drawn: Array) -> Array:
        """The draws with every number of a linear constraint at the end that lowers the sum."""
        cornered = drawn.copy()
        for rule in self._rules:
            if isinstance(rule, _Linear):
                cornered[:, rule.columns] = np.where(rule.coefficients > 0.0, 0.0, 1.0)
        return self.encoding.snap(cornered)

    def _solved(self, drawn: Array) -> Array:
        """Rows inside by linear programs: values of lists from the draws, the other numbers solved for."""
        solved = [self._solve(z) for z in drawn]
        rows = self.encoding.snap(np.array([z for z in solved if z is not None]).reshape(-1, self.encoding.width))
        return rows[self.holds(rows)]

    def _solve(self, z: Array) -> Array | None:
        axes = self.encoding.axes
        active = self.encoding.active(z[None])[0]
        free = [j for j, axis in enumerate(axes) if active[j] and isinstance(axis, FloatAxis | IntAxis)]
        rules = [r for r in self._rules if isinstance(r, _Linear) and active[r.columns].all()]
        if not free or not rules:
            return None
        values = self._optimum(z, free, rules)
        if values is None:
            return None
        found = z.copy()
        for j, value in zip(free, values, strict=True):
            axis = axes[j]
            assert isinstance(axis, FloatAxis | IntAxis)
            found[j] = axis.ruler.place(np.clip(np.array([value]), axis.ruler.low, axis.ruler.high))[0]
        return found

    def _optimum(self, z: Array, free: list[int], rules: Sequence[_Linear]) -> Array | None:
        """Values of the free parameters with the greatest common slack, at most a quarter of each constraint's span."""
        from scipy import optimize  # which few spaces need: the server's main process does without it

        axes = self.encoding.axes
        rulers = [axis.ruler for axis in (axes[j] for j in free) if isinstance(axis, FloatAxis | IntAxis)]
        low, high = np.array([r.low for r in rulers]), np.array([r.high for r in rulers])
        rows, uppers = [], []
        for rule in rules:
            terms = dict(zip(rule.columns.tolist(), rule.coefficients, strict=True))
            row = np.array([terms.get(j, 0.0) for j in free])
            with np.errstate(over="ignore", invalid="ignore"):
                fixed = sum(c * float(axes[j].numbers(z[j : j + 1])[0]) for j, c in terms.items() if j not in free)
                span = float(np.abs(row) @ (high - low)) or 1.0
            if not (np.isfinite(span) and np.isfinite(fixed)):
                return None
            rows.append(np.append(row / span, 1.0))
            uppers.append((rule.upper - fixed) / span)
        found = optimize.milp(
            c=np.append(np.zeros(len(free)), -1.0),
            constraints=optimize.LinearConstraint(np.array(rows), ub=np.array(uppers)),
            bounds=optimize.Bounds(np.append(low, 0.0), np.append(high, 0.25)),
            integrality=np.append([isinstance(axes[j], IntAxis) for j in free], False).astype(int),
            options={"time_limit": 1.0},
        )
        return None if found.x is None else np.asarray(found.x)[:-1]

    def _rule(self, constraint: Constraint) -> _Rule:
        encoding = self.encoding
        if isinstance(constraint, LinearConstraint):
            columns = np.array([encoding.index(name) for name in constraint.coefficients], dtype=np.intp)
            return _Linear(encoding, columns, np.array(list(constraint.coefficients.values())), constraint.upper_bound)
        columns = np.array([encoding.index(name) for name in constraint.parameters], dtype=np.intp)
        places = [
            encoding.axes[j].positions([v])[0] for j, v in zip(columns, constraint.parameters.values(), strict=True)
        ]
        return _Forbidden(columns, np.array(places))
