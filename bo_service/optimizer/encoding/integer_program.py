"""The mixed-integer linear program of a space: a row near a wish that fulfills all constraints, or none at all.

Variables: u in [0, 1] for each real number of a linear constraint, its place between the bounds; an integer for each
whole number; for each list (a category, a discrete number, or a whole number whose value matters) one of 0 and 1 for
each value; and the distance of each number from its wish. Where parameters of a constraint may be inactive, it is
loosened by its whole span. What the program leaves out makes it easier: that it has no solution proves that there is
no feasible row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.axes import SAME, Axis, FiniteAxis, FloatAxis, IntAxis, all_positions
from bo_service.optimizer.encoding.bound_tightening import InfeasibleRegion, tightened
from bo_service.optimizer.encoding.constraint_rules import Rules
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.polytope import Unsolved, between
from bo_service.optimizer.numerics.array import Array

MOST_BINARIES = 2000
MOST_LEVELS = 64
"""Of a whole number that a forbidden combination or a condition names; with more, the rule is left out."""
MOST_NODES = 40
GAP = 0.2
"""A solution this close to the nearest, in relation, is near enough."""

Row = dict[int, float]
"""Coefficients by variable."""


@dataclass(frozen=True)
class _Number:
    """A number: its variable and its distance's. Its value is base + step * variable."""

    variable: int
    distance: int
    base: float
    step: float


class Program:
    """All constraints of a space, laid out once; wishes change the costs and the distances alone."""

    def __init__(self, rules: Rules) -> None:
        """Build the program. Raises InfeasibleRegion where bounds on the sums prove that no row is feasible."""
        self.rules, self.encoding = rules, rules.encoding
        self._count = 0
        self._rows: list[tuple[Row, float, float]] = []
        self._low: list[float] = []
        self._high: list[float] = []
        self._whole: list[bool] = []
        self._lists: dict[int, tuple[int, Array]] = {}
        """First variable and places of each list."""
        self._numbers: dict[int, _Number] = {}
        self.is_complete = True
        """Whether nothing was left out."""
        self._box()
        self._declare()
        for i in range(len(rules.C)):
            self._add_linear(i)
        for rule in rules.forbidden:
            self._add_forbidden(rule.columns, rule.places)

    def near(self, wish: Array, weights: Array) -> Array:
        """Return a row (p,) that fulfills what the program holds, near a wish (p,) by weights (p,).

        Raises:
            InfeasibleRegion: proven to have no solution.
            Unsolved: none was found in the number of steps that are allowed.
        """
        from scipy import optimize, sparse  # which few spaces need: the server's main process does without it

        if not self._count:
            return wish
        costs = np.zeros(self._count)
        for j, (first, places) in self._lists.items():
            distance = np.abs(places - wish[j]) > SAME if self.encoding.is_category[j] else np.abs(places - wish[j])
            costs[first : first + len(places)] = weights[j] * distance
        rows = list(self._rows)
        for j, number in self._numbers.items():
            costs[number.distance] = weights[j]
            rows.extend(self._distances(j, number, float(wish[j])))
        entries = [(i, v, c) for i, (row, _, _) in enumerate(rows) for v, c in row.items()]
        at, variables, coefficients = (np.array(part) for part in zip(*entries, strict=True))
        matrix = sparse.csr_array((coefficients, (at, variables)), shape=(len(rows), self._count))
        sizes = np.maximum(abs(matrix).max(axis=1).toarray().ravel(), np.finfo(float).tiny)
        matrix = sparse.csr_array(sparse.diags_array(1.0 / sizes) @ matrix)  # the solver's tolerance is absolute
        limits = [np.array([row[k] for row in rows]) / sizes for k in (1, 2)]
        found = optimize.milp(
            c=costs,
            constraints=optimize.LinearConstraint(matrix, *limits),
            bounds=optimize.Bounds(np.array(self._low), np.array(self._high)),
            integrality=np.array(self._whole).astype(int),
            options={"node_limit": MOST_NODES, "mip_rel_gap": GAP},
        )
        if found.status == 2:
            raise InfeasibleRegion
        if found.x is None:
            raise Unsolved
        return self._row_of(np.asarray(found.x), wish)

    def _row_of(self, x: Array, wish: Array) -> Array:
        z = wish.copy()
        for j, (first, places) in self._lists.items():
            z[j] = places[int(np.argmax(x[first : first + len(places)]))]
        for j, number in self._numbers.items():
            value = number.base + number.step * x[number.variable]
            z[j] = between(self.encoding.axes[j], np.array([value]))[0]
        return np.asarray(self.encoding.round_to_valid(z[None])[0])

    def _box(self) -> None:
        """Derive bounds (p,) on numbers from the constraints that always apply."""
        self.low, self.high = bounds(self.encoding)
        always = np.array([not self._conditions(self.rules.named[i]) for i in range(len(self.rules.C))], dtype=np.bool_)
        columns = self.rules.columns
        if always.any():
            C, lower, upper = self.rules.C[always], self.rules.lower[always], self.rules.upper[always]
            ends = tightened(C[:, columns], lower, upper, self.low[columns], self.high[columns])
            self.low[columns], self.high[columns] = ends

    def _conditions(self, named: NDArray[np.bool_]) -> dict[int, Array]:
        """Return the conditions under which the named parameters are active: places by deciding column."""
        found: dict[int, Array] = {}
        for j in np.flatnonzero(named).tolist():
            while (rule := self.encoding.condition(j)) is not None:
                j, places = rule
                found[j] = np.intersect1d(found[j], places) if j in found else places
        return found

    def _declare(self) -> None:
        """Declare the variables of everything that a constraint names, and of what decides on it."""
        linear = set(self.rules.columns.tolist())
        valued = {int(j) for rule in self.rules.forbidden for j in rule.columns}
        for named in [*self.rules.named, *(self._mask(rule.columns) for rule in self.rules.forbidden)]:
            valued |= set(self._conditions(named))
        binaries = 0
        for j in sorted(linear | valued):
            axis = self.encoding.axes[j]
            is_list = not isinstance(axis, FloatAxis | IntAxis) or (
                j in valued and isinstance(axis, IntAxis) and axis.levels <= MOST_LEVELS
            )
            if j not in valued and (even := _even(axis)) is not None:
                variables = self._variable(0.0, axis.levels - 1.0, True), self._variable(0.0, np.inf, False)
                self._numbers[j] = _Number(*variables, *even)
            elif is_list and binaries + axis.levels <= MOST_BINARIES:
                places = all_positions(axis)
                binaries += len(places)
                self._lists[j] = self._count, places
                for _ in places:
                    self._variable(0.0, 1.0, True)
                first = self._lists[j][0]
                self._rows.append(({first + v: 1.0 for v in range(len(places))}, 1.0, 1.0))
            elif isinstance(axis, FloatAxis):
                variables = self._variable(0.0, 1.0, False), self._variable(0.0, np.inf, False)
                self._numbers[j] = _Number(*variables, float(self.low[j]), float(self.high[j] - self.low[j]))
            elif isinstance(axis, IntAxis):
                low, high = np.ceil(self.low[j] - 1e-6), np.floor(self.high[j] + 1e-6)
                if low > high:
                    raise InfeasibleRegion
                variables = self._variable(low, high, True), self._variable(0.0, np.inf, False)
                self._numbers[j] = _Number(*variables, 0.0, 1.0)

    def _mask(self, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        mask = np.zeros(self.encoding.width, dtype=np.bool_)
        mask[columns] = True
        return mask

    def _variable(self, low: float, high: float, is_whole: bool) -> int:
        self._low.append(float(low))
        self._high.append(float(high))
        self._whole.append(is_whole)
        self._count += 1
        return self._count - 1

    def _add_linear(self, i: int) -> None:
        named = np.flatnonzero(self.rules.named[i]).tolist()
        C = self.rules.C[i]
        lists = {j: self.encoding.axes[j].numbers(self._lists[j][1]) for j in named if j in self._lists}
        row, constant, least, most = {}, 0.0, 0.0, 0.0
        for j in named:
            c = float(C[j])
            if j in lists:
                row.update({self._lists[j][0] + v: c * float(x) for v, x in enumerate(lists[j])})
                ends = c * lists[j].min(), c * lists[j].max()
            elif j not in self._numbers:
                self.is_complete = False
                return
            else:
                number = self._numbers[j]
                row[number.variable] = c * number.step
                constant += c * number.base
                ends = c * float(self.low[j]), c * float(self.high[j])
            least, most = least + min(ends), most + max(ends)
        span = (most - least) or 1.0
        if not np.isfinite([span, constant]).all():
            self.is_complete = False
            return
        if not lists and all(self._whole[variable] for variable in row):  # no real number makes up for a miss
            span = min((abs(c) for c in row.values() if c), default=1.0)
        lower, upper = float(self.rules.lower[i]), float(self.rules.upper[i])
        loose = self._loosened(self._conditions(self.rules.named[i]))
        if loose is None:
            return
        scaled = {v: c / span for v, c in row.items()}
        if not loose:
            self._rows.append((scaled, (lower - constant) / span, (upper - constant) / span))
            return
        if np.isfinite(upper):
            slack = max((most - upper) / span, 0.0)
            self._rows.append((_plus(scaled, loose, -slack), -np.inf, (upper - constant) / span))
        if np.isfinite(lower):
            slack = max((lower - least) / span, 0.0)
            self._rows.append((_plus(scaled, loose, slack), (lower - constant) / span, np.inf))

    def _add_forbidden(self, columns: NDArray[np.intp], places: Array) -> None:
        row: Row = {}
        for j, place in zip(map(int, columns), places, strict=True):
            variable = self._at(j, float(place))
            if variable is None:
                self.is_complete = False
                return
            row[variable] = 1.0
        loose = self._loosened(self._conditions(self._mask(columns)))
        if loose is not None:
            self._rows.append((_plus(row, loose, -1.0), -np.inf, len(row) - 1.0))

    def _at(self, j: int, place: float) -> int | None:
        """Return the variable that is 1 where a list has this place."""
        if j not in self._lists:
            return None
        first, places = self._lists[j]
        return first + int(np.argmin(np.abs(places - place)))

    def _loosened(self, conditions: dict[int, Array]) -> Row | None:
        """Return variables whose sum is the number of unfulfilled conditions; None where that can't be expressed."""
        row: Row = {}
        for j, places in conditions.items():
            if j not in self._lists:
                self.is_complete = False
                return None
            first, all_places = self._lists[j]
            met = (np.abs(all_places[:, None] - places) < SAME).any(axis=1)
            row.update({first + int(v): 1.0 for v in np.flatnonzero(~met)})
        return row

    def _distances(self, j: int, number: _Number, wish: float) -> Iterator[tuple[Row, float, float]]:
        target = float(self.encoding.axes[j].numbers(np.array([wish]))[0])
        at = (target - number.base) / (number.step or 1.0)
        scale = float(self._high[number.variable] - self._low[number.variable]) or 1.0
        at = min(max(at, self._low[number.variable]), self._high[number.variable])
        yield {number.variable: 1.0 / scale, number.distance: -1.0}, -np.inf, at / scale
        yield {number.variable: 1.0 / scale, number.distance: 1.0}, at / scale, np.inf


def _even(axis: Axis) -> tuple[float, float] | None:
    """Return the first number of a list and the step between them, where all steps are the same."""
    if not isinstance(axis, FiniteAxis) or len(axis.numeric) < 3 or axis.places[-1] > 1.0:
        return None
    steps = np.diff(axis.numeric)
    return (axis.numeric[0], float(steps[0])) if bool((np.abs(steps - steps[0]) <= 1e-9 * steps[0]).all()) else None


def bounds(encoding: Encoding) -> tuple[Array, Array]:
    """Return the least and the largest number of each axis, (p,)."""
    low, high = np.zeros(encoding.width), np.zeros(encoding.width)
    for j, axis in enumerate(encoding.axes):
        low[j], high[j] = axis.numbers(np.array([0.0, 1.0] if not encoding.is_category[j] else [0.0, axis.levels - 1]))
    return low, high


def _plus(row: Row, other: Row, factor: float) -> Row:
    found = dict(row)
    for variable, c in other.items():
        found[variable] = found.get(variable, 0.0) + factor * c
    return found
