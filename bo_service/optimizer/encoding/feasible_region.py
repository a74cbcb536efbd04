"""The feasible region: which rows fulfill the constraints, and how to get there from rows that don't.

m rows Z (m, p), as in `encoding.py`. Where feasible rows are hit by chance, rows outside are pulled inside along
straight lines to anchors. Where they are not (equalities, narrow bands, many forbidden combinations), the region is
thin: programs find rows inside, and rows are moved by walks that stay inside (see `program.py` and `polytope.py`).
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.axes import FloatAxis
from bo_service.optimizer.encoding.bound_tightening import InfeasibleRegion
from bo_service.optimizer.encoding.constraint_rules import Rules
from bo_service.optimizer.encoding.encoding import Encoding, Mask
from bo_service.optimizer.encoding.enumeration import feasible_rows, skeletons
from bo_service.optimizer.encoding.hyperplane import Plane
from bo_service.optimizer.encoding.integer_program import Program, bounds
from bo_service.optimizer.encoding.narrow_bands import walked
from bo_service.optimizer.encoding.polytope import Polytope, Unsolved, polytope
from bo_service.optimizer.numerics.array import Array

HALVINGS = 20
DRAWS = 2048
ENOUGH_HITS = 4
ENOUGH_DRAWS = 4
"""Of one pattern of constraints that apply, from which on it counts that none is feasible."""
ENOUGH_ANCHORS = 32
WISHES = 12
"""Draws whose nearest feasible rows are looked for."""
MOST_FAILURES = 4
"""Wishes that lead nowhere, after which no more are tried if none has led anywhere."""
MOST_TURNS = 12
"""Parameters outside linear constraints that are changed one by one in a walk."""
MOST_SKELETONS = 256
"""Combinations of levels that may be feasible, up to which it is proven that they leave no real number free."""
LINES = 4
"""Along which the change of a level is made up for."""


class FeasibleRegion:
    """The rows that fulfill the constraints of a space."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.rules = Rules(encoding)
        self._of_patterns: dict[bytes, Polytope | None] = {}
        self._of_levels: dict[bytes, Polytope | None] = {}

    @property
    def is_everything(self) -> bool:
        """Whether there is no constraint."""
        return not self.encoding.space.constraints

    @cached_property
    def listed(self) -> Array | None:
        """All feasible rows of a finite space that has few, else None."""
        return feasible_rows(self.rules)

    @cached_property
    def is_thin(self) -> bool:
        """Whether feasible rows are hardly hit by chance, be it where some of the constraints apply."""
        if self.is_everything:
            return False
        if (self.rules.lower == self.rules.upper).any():
            return True
        rows, inside = self._sample
        if inside.sum() < ENOUGH_HITS:
            return True
        _, pattern, counts = np.unique(
            self.rules.applies(self.encoding.active(rows)), axis=0, return_inverse=True, return_counts=True
        )
        hits = np.bincount(pattern.ravel()[inside], minlength=len(counts))
        return bool((hits[counts >= ENOUGH_DRAWS] == 0).any())

    @cached_property
    def _sample(self) -> tuple[Array, Mask]:
        """Uniform draws, and which are inside."""
        rows = self._drawn(DRAWS, np.random.default_rng(0))
        return rows, self.holds(rows)

    def _drawn(self, count: int, rng: np.random.Generator) -> Array:
        return self.encoding.from_uniform(rng.random((count, self.encoding.width)))

    @cached_property
    def is_proven_empty(self) -> bool:
        """Whether bounds on the sums or the solver prove that no row is feasible."""
        if not self.is_thin:
            return False
        if self.listed is not None:
            return not len(self.listed)
        try:
            self._nearest(self.encoding.centers[None], np.random.default_rng(0))
        except InfeasibleRegion:
            return True
        return False

    def holds(self, Z: Array) -> Mask:
        """Return a mask (m,) of the rows that are inside."""
        return np.ones(len(Z), dtype=np.bool_) if self.is_everything else self.rules.holds(Z)

    def is_exhausted(self, has: Callable[[Array], bool]) -> bool:
        """Return whether it is proven that all feasible rows are among those that `has` tells."""
        if self.listed is not None:
            return all(has(z) for z in self.listed)
        if not self.is_thin:
            return False
        if self.is_proven_empty:
            return True
        points = self._points
        return points is not None and all(has(z) for z in points)

    def feasible_seeds(self, known: Array, rng: np.random.Generator) -> Array:
        """Return rows inside to start from, spread out where possible; none where none was found."""
        if self.is_everything:
            return known[:0]
        inside = known[self.holds(known)][:ENOUGH_ANCHORS]
        if not self.is_thin:
            drawn = self.encoding.from_uniform(rng.random((DRAWS, self.encoding.width)))
            return np.vstack([inside, drawn[self.holds(drawn)][:ENOUGH_ANCHORS]])
        if self.listed is not None:
            some = rng.permutation(len(self.listed))[:ENOUGH_ANCHORS]
            return np.vstack([inside, self.listed[some]])
        rows, is_hit = self._sample
        hit = rng.permutation(rows[is_hit])[:ENOUGH_ANCHORS]
        wishes = rng.permutation(rows[~is_hit])[:WISHES]  # what is hit by chance needs no program
        try:
            found = self._nearest(wishes, rng)
        except InfeasibleRegion:
            return np.vstack([inside, hit])
        return np.vstack([inside, hit, self.walk(found, self._drawn(len(found), rng), rng)])

    def project(self, Z: Array, anchors: Array, rng: np.random.Generator, inward: bool = False) -> Array:
        """Return rows inside.

        Those outside are moved towards an anchor, to the border, or with `inward` some way past it.

        In a thin region those outside are replaced by the ends of walks from anchors.
        """
        outside = ~self.holds(Z)
        if self.is_everything or not outside.any():
            return Z
        if not len(anchors):
            return Z[~outside]
        far = Z[outside]
        near = self._alike(far, anchors, rng)
        result = Z.copy()
        result[outside] = self.walk(near, far, rng) if self.is_thin else self._drawn_in(near, far, rng, inward)
        return result

    def _alike(self, Z: Array, anchors: Array, rng: np.random.Generator) -> Array:
        """Choose for each row (m, p) a random anchor, one to which the same constraints apply where there is one."""
        chosen = anchors[rng.integers(len(anchors), size=len(Z))]
        if len(self.rules.conditional) and self.is_thin:
            ours, theirs = (self.rules.applies(self.encoding.active(rows)) for rows in (Z, anchors))
            for pattern in np.unique(ours, axis=0):
                rows, alike = (np.flatnonzero((found == pattern).all(axis=1)) for found in (ours, theirs))
                if len(alike):
                    chosen[rows] = anchors[rng.choice(alike, size=len(rows))]
        return chosen

    def make_feasible(self, Z: Array, centers: Array, rng: np.random.Generator) -> Array:
        """Return rows inside near the given ones, which are near feasible rows `centers` (m, p)."""
        if self.is_everything:
            return Z
        if not self.is_thin:
            outside = ~self.holds(Z)
            result = Z.copy()
            result[outside] = self._drawn_in(centers[outside], Z[outside], rng, inward=False)
            return result
        reach = np.abs(Z - centers)[:, self.rules.columns].max(axis=1, initial=0.0)
        return self.walk(centers, Z, rng, np.minimum(reach, 1.0))

    def walk(self, Z: Array, wishes: Array, rng: np.random.Generator, reach: Array | None = None) -> Array:
        """Return the ends of walks from rows inside. Columns that no linear constraint names are taken from the wishes.

        `reach` (m,) is how far a step may go on an axis; without it, a walk crosses the region.
        """
        Z = self._with_wishes(Z, wishes, rng)
        columns, active = self.rules.columns, self.encoding.active(Z)
        if not len(columns):
            return Z
        moved = Z.copy()
        applies = self.rules.applies(active)
        for pattern in np.unique(applies, axis=0):
            rows = np.flatnonzero((applies == pattern).all(axis=1))
            found = self._polytope(pattern)
            if found is None:
                continue
            U = found.units(self.rules.numbers(Z[rows])[:, found.columns])
            steps = found.steps if reach is None else 2 + min(found.dimension, 30) // 2
            U = found.walk(U, steps, rng, None if reach is None else reach[rows])
            moved[rows[:, None], found.columns] = found.places(U)
            idle = np.setdiff1d(columns, found.columns)  # of constraints that don't apply
            moved[rows[:, None], idle] = wishes[rows[:, None], idle]
        moved = self.encoding.round_to_valid(moved)
        return np.where(self.holds(moved)[:, None], moved, Z)

    def plane(self, z: Array) -> Plane | None:
        """Return the equalities that a row (p,) inside is bound to; None where there is none."""
        if not self.is_thin or not len(self.rules.columns):
            return None
        found = self._polytope(self.rules.applies(self.encoding.active(z[None]))[0])
        if found is None or not len(found.E):
            return None
        u = found.units(self.rules.numbers(z[None])[:, found.columns])[0]
        room = np.minimum(u, 1.0 - u) + 1e-6
        basic, others, T = found.basis(np.where(found.is_stepped, 1e-9, room))
        bound = np.abs(T[found.is_stepped[basic]]).sum(axis=0) > 0.0
        keep = ~found.is_stepped[others] & ~bound
        return Plane(found, u, basic, others[keep], T[:, keep])

    def on_plane(self, z: Array, plane: Plane, u: Array) -> Array:
        """Move the row (p,) as far towards u (q,) as the polytope reaches."""
        moved = z.copy()
        moved[plane.polytope.columns] = plane.polytope.places(plane.polytope.up_to(plane.u, u)[None])[0]
        return np.asarray(self.encoding.round_to_valid(moved[None])[0])

    def exchanged(self, z: Array, j: int, places: Array, rng: np.random.Generator) -> Array:
        """Return rows with other places of stepped parameter j, and with what an equality needs to make up for it."""
        block = np.repeat(z[None], len(places), axis=0)
        block[:, j] = places
        plane = self.plane(z)
        if plane is None or j not in plane.polytope.columns:
            return block
        found, rows = plane.polytope, [block]
        at = found.columns.tolist().index(j)
        changes = found.units(self.rules.numbers(block)[:, found.columns])[:, at] - plane.u[at]
        for line in found.lines_with(at, LINES, rng):
            moved = block.copy()
            moved[:, found.columns] = found.places(plane.u + changes[:, None] * line)
            moved[:, j] = places
            rows.append(moved)
        return np.vstack(rows)

    def _with_wishes(self, Z: Array, wishes: Array, rng: np.random.Generator) -> Array:
        """Take the columns that no linear constraint names from the wishes, as far as rows stay inside."""
        others = np.setdiff1d(np.arange(self.encoding.width), self.rules.columns)
        Z, ruled = self._taken(Z, wishes, others), self._loose()
        for j in rng.permutation(ruled)[:MOST_TURNS]:
            Z = self._taken(Z, wishes, np.array([j]))
        return self._taken(Z, wishes, np.setdiff1d(others, ruled))

    def _loose(self) -> NDArray[np.intp]:
        """Return columns that a forbidden combination names or that decide on others, outside linear constraints."""
        named = [rule.columns for rule in self.rules.forbidden]
        deciding = [rule[0] for j in range(self.encoding.width) if (rule := self.encoding.condition(j)) is not None]
        return np.setdiff1d(np.concatenate([*named, np.array(deciding, dtype=np.intp)]), self.rules.columns)

    def _taken(self, Z: Array, wishes: Array, columns: NDArray[np.intp]) -> Array:
        """Take these columns, and what becomes active by them, from the wishes, where that is inside."""
        if not len(columns):
            return Z
        changed = Z.copy()
        changed[:, columns] = wishes[:, columns]
        is_new = self.encoding.active(changed) & ~self.encoding.active(Z)
        changed = self.encoding.round_to_valid(np.where(is_new, wishes, changed))
        return np.where(self.holds(changed)[:, None], changed, Z)

    def _drawn_in(self, near: Array, far: Array, rng: np.random.Generator, inward: bool) -> Array:
        """Return rows on the way from inside to outside: at the border, or with `inward` some way before it."""
        when = rng.random(far.shape)
        inner, outer = np.zeros(len(far)), np.ones(len(far))
        for _ in range(HALVINGS):
            middle = (inner + outer) / 2.0
            fits = self.holds(self._between(near, far, middle, when))
            inner, outer = np.where(fits, middle, inner), np.where(fits, outer, middle)
        if inward:
            inner = inner * rng.random(len(far)) ** (1.0 / self.encoding.width)
        moved = self._between(near, far, inner, when)
        return np.where(self.holds(moved)[:, None], moved, near)

    def _between(self, near: Array, far: Array, share: Array, when: Array) -> Array:
        """Return rows part of the way: numbers move gradually, each category changes at its own moment."""
        t = share[:, None]
        mixed = np.where(self.encoding.is_category, np.where(t > when, far, near), near + t * (far - near))
        return self.encoding.round_to_valid(mixed)

    def _nearest(self, wishes: Array, rng: np.random.Generator) -> Array:
        """Return feasible rows near wishes, as far as some are found.

        Raises InfeasibleRegion where it is proven that there is none.
        """
        program = Program(self.rules) if self._is_mixed else None
        found: list[Array] = []
        failures = 0
        for wish in wishes:
            if failures == MOST_FAILURES and not found:
                break
            failures += 1
            try:
                z = wish if program is None else program.near(wish, rng.uniform(0.5, 1.5, self.encoding.width))
            except Unsolved:
                continue
            centered = self._centered(z)
            if centered is None and program is None:
                raise InfeasibleRegion
            if centered is not None and self.holds(centered[None])[0]:
                found.append(centered)
        return self._spread(np.array(found), rng) if found else np.empty((0, self.encoding.width))

    @cached_property
    def _is_mixed(self) -> bool:
        """Whether anything but real numbers decides on what is feasible."""
        stepped = any(not isinstance(self.encoding.axes[j], FloatAxis) for j in self.rules.columns)
        return stepped or bool(self.rules.forbidden) or bool(self.rules.conditional)

    def _centered(self, z: Array) -> Array | None:
        """Move the row's real numbers to the middle of what the constraints leave; None where that is nothing.

        Raises:
            Unsolved: none was found, which proves nothing.
        """
        try:
            found = self._of_reals(z)
        except InfeasibleRegion:
            return None
        moved = z.copy()
        if found is not None:
            moved[found.columns] = found.places(found.polished(found.center[None]))[0]
        return np.asarray(self.encoding.round_to_valid(moved[None])[0])

    def _spread(self, Z: Array, rng: np.random.Generator) -> Array:
        """Return feasible rows (m, p), moved to anywhere in bands so narrow that walks go along them only."""
        wholes = [self._polytope(self.rules.applies(self.encoding.active(z[None]))[0]) for z in Z]
        is_narrow = [whole is not None and len(whole.E) > whole.given for whole in wholes]
        found = [self._of_reals(z) if narrow else None for z, narrow in zip(Z, is_narrow, strict=True)]
        moved = self.encoding.round_to_valid(walked(Z, self.rules.numbers(Z), found, rng))
        return np.where(self.holds(moved)[:, None], moved, Z)

    def _of_reals(self, z: Array) -> Polytope | None:
        """Return what real numbers the levels of a row leave; None where no constraint names any.

        Raises InfeasibleRegion, Unsolved.
        """
        rules = self.rules
        pattern = rules.applies(self.encoding.active(z[None]))[0]
        columns = np.flatnonzero(rules.named[pattern].any(axis=0))
        is_real = np.array([isinstance(self.encoding.axes[j], FloatAxis) for j in columns], dtype=np.bool_)
        stepped = columns[~is_real]
        fixed = rules.C[pattern][:, stepped] @ rules.numbers(z[None])[0, stepped]
        key = pattern.tobytes() + fixed.tobytes()
        if key not in self._of_levels:
            self._of_levels[key] = self._made(columns[is_real], pattern, fixed)
        return self._of_levels[key]

    def _polytope(self, pattern: Mask) -> Polytope | None:
        """Return the polytope of all numbers of the constraints that apply.

        It is None where there is none, or none was found.
        """
        key = pattern.tobytes()
        if key not in self._of_patterns:
            columns = np.flatnonzero(self.rules.named[pattern].any(axis=0))
            try:
                made = self._made(columns, pattern, np.zeros(int(pattern.sum())))
            except (InfeasibleRegion, Unsolved):
                made = None
            self._of_patterns[key] = made
        return self._of_patterns[key]

    def _made(self, columns: NDArray[np.intp], pattern: Mask, fixed: Array) -> Polytope | None:
        """Make the polytope of these columns, where others sum up to `fixed` in each constraint.

        Raises InfeasibleRegion, Unsolved.
        """
        if not len(columns):
            return None
        rules, (low, high) = self.rules, bounds(self.encoding)
        C, lower, upper = rules.C[pattern][:, columns], rules.lower[pattern] - fixed, rules.upper[pattern] - fixed
        axes = [self.encoding.axes[j] for j in columns]
        return polytope(columns, axes, C, lower, upper, (low[columns], high[columns]))

    @cached_property
    def _points(self) -> Array | None:
        """All feasible rows, where no real number is free; None where that isn't so, or isn't proven."""
        try:
            rows = skeletons(self.rules, MOST_SKELETONS)
        except InfeasibleRegion:
            return np.empty((0, self.encoding.width))
        if rows is None:
            return None
        is_real = [isinstance(axis, FloatAxis) for axis in self.encoding.axes]
        active, found = self.encoding.active(rows), []
        for z, mask in zip(rows, active, strict=True):
            try:
                reals = self._of_reals(z)
            except Unsolved:
                return None
            except InfeasibleRegion:
                continue
            decided = set() if reals is None or reals.dimension else set(reals.columns.tolist())
            if not set(np.flatnonzero(mask & is_real).tolist()) <= decided:
                return None
            centered = self._centered(z)
            found += [] if centered is None else [centered]
        points = np.array(found).reshape(-1, self.encoding.width)
        return points[self.holds(points)]
