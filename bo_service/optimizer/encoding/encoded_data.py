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

from bo_service.domain.constraints import Configuration
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.evaluated_set import EvaluatedSet
from bo_service.optimizer.encoding.feasible_region import FeasibleRegion
from bo_service.optimizer.inputs import Observation, OptimizerInput, Source
from bo_service.optimizer.numerics.array import Array, Seed
from bo_service.optimizer.numerics.computation_cache import CholeskyCache, ComputationCache
from bo_service.optimizer.numerics.nearest import nearest
from bo_service.optimizer.numerics.pareto import pareto_mask


class EncodedData:
    """One request's view of its evidence. `evaluated` grows with what is suggested, `cache` with what is learned."""

    def __init__(self, inputs: OptimizerInput, factors: CholeskyCache | None = None) -> None:
        """Encode an optimizer's input; `factors` are the Cholesky factors that may be reused instead of computed."""
        self.inputs = inputs
        self.cache = ComputationCache(inputs.hyperparameters, CholeskyCache() if factors is None else factors)
        self.encoding = Encoding(inputs.space)
        self.region = FeasibleRegion(self.encoding)
        self.observations: tuple[Observation, ...] = _in_order(inputs.observations)
        self.pending: tuple[Configuration, ...] = tuple(sorted(inputs.pending, key=_name))
        spent = [*inputs.discarded, *inputs.failed]
        self.evaluated = EvaluatedSet(self.encoding, [t.configuration for t in self.observations], self.pending, spent)
        self.past_rows: Array = self.evaluated.Z[: len(self.observations)]
        """Z (n, p) of the past trials."""
        self.pending_rows: Array = self.evaluated.Z[len(self.observations) :]
        """Z (b, p) of the pending configurations."""

    @cached_property
    def failed_rows(self) -> Array:
        """Z (c, p) of the configurations that failed at every attempt."""
        return self.encoding.encode(sorted(self.inputs.failed, key=_name))

    @cached_property
    def discarded_rows(self) -> Array:
        """Z of the configurations that are not suggested again, though no result of theirs is known."""
        return self.encoding.encode([*self.inputs.discarded, *self.inputs.failed])

    @cached_property
    def values(self) -> Array:
        """The finite values observed, (at most n,)."""
        return np.array([t.value for t in self.observations if t.value is not None and math.isfinite(t.value)])

    @cached_property
    def is_measured(self) -> NDArray[np.bool_]:
        """Mask (n,) of the past trials that have values."""
        return np.array([t.value is not None and math.isfinite(t.value) for t in self.observations], dtype=bool)

    @cached_property
    def objectives(self) -> Array:
        """The objective values (n, k) of each past trial; the worst observed ones where it proved infeasible."""
        known = [
            (t.value, *t.secondary_values) for t, ok in zip(self.observations, self.is_measured, strict=True) if ok
        ]
        if not known:
            return np.zeros((len(self.observations), 1))
        measured = np.array(known, dtype=np.float64)
        found = np.tile(measured.min(axis=0), (len(self.observations), 1))
        found[self.is_measured] = measured
        return found

    @cached_property
    def targets(self) -> Array:
        """The first objective (n,) of each past trial; the worst observed value where it proved infeasible."""
        return self.objectives[:, 0]

    @cached_property
    def margins(self) -> Array:
        """The margins (measured, c) by which the measured trials fulfill each constraint on outcomes."""
        found = [t.margins for t, ok in zip(self.observations, self.is_measured, strict=True) if ok]
        return np.array(found, dtype=np.float64).reshape(len(found), len(found[0]) if found else 0)

    @cached_property
    def log_costs(self) -> Array:
        """The logarithm (n,) of what each past trial cost; NaN where that isn't known."""
        return np.array([math.log(t.seconds) if t.seconds else math.nan for t in self.observations])

    @cached_property
    def noise_std(self) -> Array:
        """The standard deviation (n,) of each target that was expected rather than measured, else 0."""
        return np.where(self.is_measured, [t.std for t in self.observations], 0.0)

    def best_rows(self) -> Array:
        """Return Z of the past trials, best first.

        Trials that violate constraints on outcomes come last, by how much they do; of several objectives the Pareto
        front comes first, in an arbitrary order.
        """
        if self.objectives.shape[1] == 1:
            return self.past_rows[np.lexsort((-self.targets, self._violations))]
        holds = np.flatnonzero(self._violations == 0.0)
        is_front = np.zeros(len(self.observations), dtype=bool)
        is_front[holds[pareto_mask(self.objectives[holds])]] = True
        shuffled = self.rng(6).random(len(self.observations))
        return self.past_rows[np.lexsort((np.where(is_front, shuffled, -self.targets), ~is_front, self._violations))]

    @cached_property
    def _violations(self) -> Array:
        """The amount (n,) by which each past trial violates the constraints on outcomes; inf where it has no values."""
        if not self.margins.size:
            return np.zeros(len(self.observations))
        found = np.full(len(self.observations), np.inf)
        with np.errstate(over="ignore"):
            sizes = np.abs(self.margins).max(axis=0)
            found[self.is_measured] = (np.maximum(-self.margins, 0.0) / np.where(sizes > 0.0, sizes, 1.0)).sum(axis=1)
        return found

    @cached_property
    def sources(self) -> list[tuple[Source, "EncodedData"]]:
        """Those of earlier studies, by name, each laid out for work in this study's space."""
        ordered = sorted(self.inputs.sources, key=lambda source: (source.name, source.objective))
        return [(source, self._of_source(source)) for source in ordered]

    def _of_source(self, source: Source) -> "EncodedData":
        measured = tuple(replace(trial, secondary_values=(), margins=()) for trial in source.observations)
        inputs = OptimizerInput(self.inputs.space, self.inputs.settings, self.inputs.seed, measured)
        return EncodedData(inputs)

    def nearest(self, row: Array) -> tuple[int | None, float | None]:
        """Return the number of the past trial nearest to a row (p,), and its distance over the unit cube's diagonal.

        Of equals it is the earliest.
        """
        if not self.observations:
            return None, None
        difference = self._past_features - self.encoding.features(row[None])
        distances = np.sqrt((difference**2).sum(axis=1) / max(len(self.encoding.blocks), 1))
        i = int(np.argmin(distances))
        return self.observations[i].number, min(float(distances[i]), 1.0)

    def nearest_to_each(self, rows: Array) -> list[tuple[int | None, float | None]]:
        """Return what `nearest` does, for several rows (m, p)."""
        if not self.observations:
            return [(None, None) for _ in rows]
        scale = max(len(self.encoding.blocks), 1)
        places, distances = nearest(self._past_features, self.encoding.features(rows), scale)
        return [
            (self.observations[i].number, min(float(distance), 1.0))
            for i, distance in zip(places, distances, strict=True)
        ]

    @cached_property
    def _past_features(self) -> Array:
        """X (n, f) of the past trials."""
        return self.encoding.features(self.past_rows)

    def rng(self, *purpose: int) -> np.random.Generator:
        """Make a random generator for one purpose from the seed and the number of observations."""
        return np.random.default_rng([self.inputs.seed % 2**64, len(self.observations), len(self.pending), *purpose])

    def seed(self, *purpose: int) -> Seed:
        """Make a seed for one purpose, whatever the number of observations."""
        return self.inputs.seed % 2**64, *purpose


def _in_order(past: Sequence[Observation]) -> tuple[Observation, ...]:
    """Sort by number; what else distinguishes trials is looked at only where they share one."""
    found = sorted(past, key=lambda trial: trial.number)
    if any(a.number == b.number for a, b in pairwise(found)):
        found.sort(key=_order)
    return tuple(found)


def _order(trial: Observation) -> tuple[int, str, str]:
    return trial.number, _name(trial.configuration), repr(trial.value)


def _name(configuration: Configuration) -> str:
    return repr(sorted(configuration.items()))
