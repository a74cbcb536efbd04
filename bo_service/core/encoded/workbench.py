"""Evidence laid out for work: in a fixed order, encoded, with everything that is derived from it.

n informative trials, p parameters.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bo_service.core.constraints import Configuration
from bo_service.core.encoded.encoding import Encoding
from bo_service.core.encoded.region import Region
from bo_service.core.encoded.seen import Seen
from bo_service.core.evidence import Evidence, PastTrial, Source
from bo_service.core.numerics.array import Array, Seed
from bo_service.core.numerics.lookups import Factors, Lookups
from bo_service.core.numerics.nearest import nearest
from bo_service.core.numerics.pareto import front


class Workbench:
    """One request's view of its evidence. `seen` grows with what is suggested, `lookups` with what is learned."""

    def __init__(self, evidence: Evidence, factors: Factors | None = None) -> None:
        """`factors` are those that may be found instead of computed."""
        self.evidence = evidence
        self.lookups = Lookups(evidence.learned, Factors() if factors is None else factors)
        self.encoding = Encoding(evidence.space)
        self.region = Region(self.encoding)
        self.past: tuple[PastTrial, ...] = _in_order(evidence.past)
        self.pending: tuple[Configuration, ...] = tuple(sorted(evidence.pending, key=_name))
        spent = [*evidence.spent, *evidence.failed]
        self.seen = Seen(self.encoding, [t.configuration for t in self.past], self.pending, spent)
        self.past_rows: Array = self.seen.Z[: len(self.past)]
        """Z (n, p) of the past trials."""
        self.pending_rows: Array = self.seen.Z[len(self.past) :]
        """Z (b, p) of the pending configurations."""

    @cached_property
    def failed_rows(self) -> Array:
        """Z (c, p) of the configurations that failed at every attempt."""
        return self.encoding.encode(sorted(self.evidence.failed, key=_name))

    @cached_property
    def spent_rows(self) -> Array:
        """Z of the configurations that are not suggested again, though no result of theirs is known."""
        return self.encoding.encode([*self.evidence.spent, *self.evidence.failed])

    @cached_property
    def values(self) -> Array:
        """The finite values observed, (at most n,)."""
        return np.array([t.value for t in self.past if t.value is not None and math.isfinite(t.value)])

    @cached_property
    def is_measured(self) -> NDArray[np.bool_]:
        """Mask (n,) of the past trials that have values."""
        return np.array([t.value is not None and math.isfinite(t.value) for t in self.past], dtype=bool)

    @cached_property
    def objectives(self) -> Array:
        """(n, k): the values of each past trial; the worst observed ones where it proved infeasible."""
        known = [(t.value, *t.further) for t, ok in zip(self.past, self.is_measured, strict=True) if ok]
        if not known:
            return np.zeros((len(self.past), 1))
        measured = np.array(known, dtype=np.float64)
        found = np.tile(measured.min(axis=0), (len(self.past), 1))
        found[self.is_measured] = measured
        return found

    @cached_property
    def targets(self) -> Array:
        """(n,): the first objective of each past trial; the worst observed value where it proved infeasible."""
        return self.objectives[:, 0]

    @cached_property
    def margins(self) -> Array:
        """(measured, c): by how much the measured trials fulfill each constraint on outcomes."""
        found = [t.margins for t, ok in zip(self.past, self.is_measured, strict=True) if ok]
        return np.array(found, dtype=np.float64).reshape(len(found), len(found[0]) if found else 0)

    @cached_property
    def log_costs(self) -> Array:
        """(n,): the logarithm of what each past trial cost; NaN where that isn't known."""
        return np.array([math.log(t.seconds) if t.seconds else math.nan for t in self.past])

    @cached_property
    def doubts(self) -> Array:
        """(n,): the standard deviation of each target that was expected rather than measured, else 0."""
        return np.where(self.is_measured, [t.std for t in self.past], 0.0)

    def best_rows(self) -> Array:
        """Z of the past trials, best first: what violates constraints on outcomes last, by how much it does; of several
        objectives the Pareto front first, in an arbitrary order."""
        if self.objectives.shape[1] == 1:
            return self.past_rows[np.lexsort((-self.targets, self._violations))]
        holds = np.flatnonzero(self._violations == 0.0)
        is_front = np.zeros(len(self.past), dtype=bool)
        is_front[holds[front(self.objectives[holds])]] = True
        shuffled = self.rng(6).random(len(self.past))
        return self.past_rows[np.lexsort((np.where(is_front, shuffled, -self.targets), ~is_front, self._violations))]

    @cached_property
    def _violations(self) -> Array:
        """(n,): by how much each past trial violates the constraints on outcomes; inf where it has no values."""
        if not self.margins.size:
            return np.zeros(len(self.past))
        found = np.full(len(self.past), np.inf)
        with np.errstate(over="ignore"):
            sizes = np.abs(self.margins).max(axis=0)
            found[self.is_measured] = (np.maximum(-self.margins, 0.0) / np.where(sizes > 0.0, sizes, 1.0)).sum(axis=1)
        return found

    @cached_property
    def sources(self) -> list[tuple[Source, "Workbench"]]:
        """Those of earlier studies, by name, each laid out for work in this study's space."""
        ordered = sorted(self.evidence.sources, key=lambda source: (source.name, source.objective))
        return [(source, self._of_source(source)) for source in ordered]

    def _of_source(self, source: Source) -> "Workbench":
        measured = tuple(replace(trial, further=(), margins=()) for trial in source.past)
        evidence = Evidence(self.evidence.space, self.evidence.settings, self.evidence.seed, measured)
        return Workbench(evidence)

    def nearest(self, row: Array) -> tuple[int | None, float | None]:
        """Number of the past trial nearest to a row (p,), the earliest of equals, and its distance over the unit cube's
        diagonal."""
        if not self.past:
            return None, None
        difference = self._past_features - self.encoding.features(row[None])
        distances = np.sqrt((difference**2).sum(axis=1) / max(len(self.encoding.blocks), 1))
        i = int(np.argmin(distances))
        return self.past[i].number, min(float(distances[i]), 1.0)

    def nearest_to_each(self, rows: Array) -> list[tuple[int | None, float | None]]:
        """As `nearest`, of several rows (m, p)."""
        if not self.past:
            return [(None, None) for _ in rows]
        scale = max(len(self.encoding.blocks), 1)
        places, distances = nearest(self._past_features, self.encoding.features(rows), scale)
        return [(self.past[i].number, min(float(distance), 1.0)) for i, distance in zip(places, distances, strict=True)]

    @cached_property
    def _past_features(self) -> Array:
        """X (n, f) of the past trials."""
        return self.encoding.features(self.past_rows)

    def rng(self, *purpose: int) -> np.random.Generator:
        """A generator for one purpose, made from the seed and the amount of evidence."""
        return np.random.default_rng([self.evidence.seed % 2**64, len(self.past), len(self.pending), *purpose])

    def seed(self, *purpose: int) -> Seed:
        """For one purpose, whatever the amount of evidence."""
        return self.evidence.seed % 2**64, *purpose


def _in_order(past: Sequence[PastTrial]) -> tuple[PastTrial, ...]:
    """By number; what else tells trials apart is looked at only where they share one."""
    found = sorted(past, key=lambda trial: trial.number)
    if any(a.number == b.number for a, b in pairwise(found)):
        found.sort(key=_order)
    return tuple(found)


def _order(trial: PastTrial) -> tuple[int, str, str]:
    return trial.number, _name(trial.configuration), repr(trial.value)


def _name(configuration: Configuration) -> str:
    return repr(sorted(configuration.items()))
