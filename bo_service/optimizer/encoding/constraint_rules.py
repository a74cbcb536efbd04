"""Constraints as arrays, checked for many rows at once.

m rows Z (m, p), as in `encoding.py`; k linear constraints, inequalities and equalities alike:

    lower (k,) <= C (k, p) x <= upper (k,)    x: the row's values in the user's units
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bo_service.domain.constraints import TOLERANCE, ForbiddenCombination, LinearConstraint
from bo_service.domain.parameter_types import Scale
from bo_service.optimizer.encoding.axes import SAME, FloatAxis
from bo_service.optimizer.encoding.encoding import Encoding, Mask
from bo_service.optimizer.numerics.array import Array

ROUNDING = 5e-12
"""Relative: by how much a number may differ from its place once it is written in twelve digits."""


@dataclass(frozen=True)
class Forbidden:
    """Places that must not occur together."""

    columns: NDArray[np.intp]
    places: Array

    def holds(self, Z: Array, active: Mask) -> Mask:
        """Return which rows avoid the combination, (m,)."""
        met = active[:, self.columns] & (np.abs(Z[:, self.columns] - self.places) < SAME)
        return np.asarray(~met.all(axis=1))


class Rules:
    """All constraints of a space."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        constraints = encoding.space.constraints
        linear = [c for c in constraints if not isinstance(c, ForbiddenCombination)]
        self.C: Array = np.zeros((len(linear), encoding.width))
        self.lower: Array = np.full(len(linear), -np.inf)
        self.upper: Array = np.zeros(len(linear))
        for i, constraint in enumerate(linear):
            for name, coefficient in constraint.coefficients.items():
                self.C[i, encoding.index(name)] = coefficient
            if isinstance(constraint, LinearConstraint):
                self.upper[i] = constraint.upper_bound
            else:
                self.lower[i] = self.upper[i] = constraint.value
        self.named: Mask = np.zeros_like(self.C, dtype=np.bool_)
        """(k, p): which parameters each constraint names; it applies only where all of them are active."""
        for i, constraint in enumerate(linear):
            self.named[i, [encoding.index(name) for name in constraint.coefficients]] = True
        self.forbidden: tuple[Forbidden, ...] = tuple(
            self._forbidden(c) for c in constraints if isinstance(c, ForbiddenCombination)
        )
        self.columns: NDArray[np.intp] = np.flatnonzero(self.named.any(axis=0))
        """The parameters of linear constraints."""
        self.conditional = self._found_conditional()

    def applies(self, active: Mask) -> Mask:
        """Return which linear constraints apply to rows in which these parameters are active, (m, k)."""
        found = np.ones((len(active), len(self.C)), dtype=np.bool_)
        for i in self.conditional:
            found[:, i] = active[:, self.named[i]].all(axis=1)
        return found

    def numbers(self, Z: Array) -> Array:
        """Return the rows' values in the user's units, (m, p), with zeros for parameters that no constraint sums."""
        X = np.zeros_like(Z)
        columns, low, high = self._straight
        z = Z[:, columns]
        values = np.where(z <= 0.0, low, np.where(z >= 1.0, high, low * (1.0 - z) + high * z))
        X[:, columns] = np.clip(values, low, high)  # as `ScaleTransform.read`, of all at once
        for j in np.setdiff1d(self.columns, columns):
            X[:, j] = self.encoding.axes[j].numbers(Z[:, j])
        return X

    @cached_property
    def _straight(self) -> tuple[NDArray[np.intp], Array, Array]:
        """The real numbers on linear scales, and their bounds."""
        found = [(j, a.ruler) for j in self.columns if isinstance(a := self.encoding.axes[j], FloatAxis)]
        found = [(j, ruler) for j, ruler in found if ruler.scale is Scale.LINEAR]
        ends = np.array([(ruler.low, ruler.high) for _, ruler in found]).reshape(-1, 2)
        return np.array([j for j, _ in found], dtype=np.intp), ends[:, 0], ends[:, 1]

    def holds(self, Z: Array) -> Mask:
        """Return which rows fulfill every constraint, also once they are written in twelve digits, (m,)."""
        active = self.encoding.active(Z)
        inside = np.ones(len(Z), dtype=np.bool_)
        if len(self.C):
            inside &= (self.holds_each(Z) | ~self.applies(active)).all(axis=1)
        for rule in self.forbidden:
            inside &= rule.holds(Z, active)
        return inside

    def holds_each(self, Z: Array) -> Mask:
        """Return which linear constraints each row fulfills, whether they apply or not, (m, k)."""
        X = self.numbers(Z)
        with np.errstate(over="ignore", invalid="ignore"):
            totals, sizes = X @ self.C.T, np.abs(X) @ np.abs(self.C).T
            bounds = np.where(np.isfinite(self.lower), np.maximum(abs(self.lower), abs(self.upper)), abs(self.upper))
            allowed = TOLERANCE * np.maximum(sizes, bounds) - ROUNDING * sizes
            allowed = np.where(np.isfinite(sizes), allowed, 0.0)
            return np.asarray((totals <= self.upper + allowed) & (totals >= self.lower - allowed))

    def _found_conditional(self) -> list[int]:
        conditional = [p.activation is not None for p in self.encoding.space.parameters]
        return [i for i in range(len(self.C)) if self.named[i, conditional].any()]

    def _forbidden(self, constraint: ForbiddenCombination) -> Forbidden:
        encoding = self.encoding
        columns = np.array([encoding.index(name) for name in constraint.parameters], dtype=np.intp)
        values = zip(columns, constraint.parameters.values(), strict=True)
        return Forbidden(columns, np.array([encoding.axes[j].positions([v])[0] for j, v in values]))
