"""The surrogates of a study at one moment, and what acquisition functions are built from.

j candidates for the incumbent, the best so far, with features X (j, f): the past trials that the surrogates rest on,
which are all unless there are very many, and all that are pending. k objectives.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.acquisition.cost import CostPenalty, cost_penalty
from bo_service.optimizer.acquisition.feasibility import LogProbabilityOfFeasibility, feasibility, with_failures
from bo_service.optimizer.curves.model import CurveModel
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.base import Surrogate
from bo_service.optimizer.gp.metric_model import MetricModel
from bo_service.optimizer.inputs import LearningCurve
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.transfer.sources import fit_sources

NOTABLE_NOISE = 1e-2
"""From this part of the values' variance on, noise leaves open what the best so far is."""


@dataclass(frozen=True)
class FittedModels:
    """Everything that judges a point. An acquisition function takes of it what it needs."""

    encoded: EncodedData
    evaluated_rows: Array
    """Z (n + b, p): the past rows, and those that are pending."""
    objectives: tuple[MetricModel, ...]
    limits: tuple[MetricModel, ...]
    """Of the margins by which constraints on outcomes are fulfilled."""
    feasibility: LogProbabilityOfFeasibility | None
    """That a configuration runs at all; None while none has failed."""
    cost_penalty: CostPenalty | None
    """Less what it costs, where that is wanted."""
    curves: tuple[LearningCurve, ...] = ()
    """What the objective rests on, where trials are trained in parts and there are enough curves."""

    @classmethod
    def of(cls, encoded: EncodedData) -> "FittedModels":
        """Return models fitted to the past trials, conditioned on the posterior means of pending ones."""
        X, pending = encoded.encoding.features(encoded.past_rows), encoded.encoding.features(encoded.pending_rows)
        nothing = np.zeros(len(X))
        runs = feasibility(encoded, X)
        by_curves = CurveModel.of(encoded)
        fitted = [
            MetricModel.of(
                encoded, X, values, nothing if k else encoded.noise_std, 1, k, sources=fit_sources(encoded, k)
            )
            for k, values in enumerate(encoded.objectives.T)
            if by_curves is None
        ]
        if by_curves is not None:  # such a study has one objective
            fitted = [by_curves.model]
        objectives = tuple(
            with_failures(encoded, model, values, runs).condition_on_mean(pending)
            for model, values in zip(fitted, encoded.objectives.T, strict=True)
        )
        limits = tuple(
            MetricModel.of(
                encoded, X[encoded.is_measured], margins, nothing[encoded.is_measured], 4, k, about=0.0
            ).condition_on_mean(pending)
            for k, margins in enumerate(encoded.margins.T)
        )
        curves = () if by_curves is None else by_curves.curves
        return cls(encoded, encoded.evaluated.Z, objectives, limits, runs, cost_penalty(encoded, X), curves)

    def condition_on_mean(self, row: Array) -> "FittedModels":
        """Return the same once the row (p,), which `encoded` has taken in, is pending as well."""
        X = self.encoded.encoding.features(row[None])
        objectives = tuple(model.condition_on_mean(X) for model in self.objectives)
        limits = tuple(model.condition_on_mean(X) for model in self.limits)
        return replace(self, evaluated_rows=self.encoded.evaluated.Z, objectives=objectives, limits=limits)

    @property
    def forecasts(self) -> dict[int, float]:
        """The posterior means of the final values of the curves, by number, in warped units."""
        means = self.objectives[0].surrogate.means[: len(self.curves)].tolist()
        return {curve.number: mean for curve, mean in zip(self.curves, means, strict=True)}

    @cached_property
    def feasibility_terms(self) -> tuple[LogProbabilityOfFeasibility, ...]:
        """The terms log P(a constraint on an outcome is fulfilled), one for each constraint."""
        return tuple(LogProbabilityOfFeasibility(model.surrogate, model.threshold(0.0)) for model in self.limits)

    def log_chance(self, X: Array) -> Array:
        """Return log P(every constraint on an outcome is fulfilled) (m,) at X (m, f)."""
        return np.asarray(sum((term.value(X) for term in self.feasibility_terms), np.zeros(len(X))))

    @property
    def is_noisy(self) -> bool:
        """Whether noise leaves open what the best so far is of the first objective."""
        return self.objectives[0].surrogate.noise_to_signal > NOTABLE_NOISE

    @cached_property
    def candidate_features(self) -> Array:
        """X (j, f): the features of the candidates."""
        return self.encoded.encoding.features(self.evaluated_rows[self._judged])

    @cached_property
    def candidate_means(self) -> Array:
        """The posterior means (j, k) of the objectives at the candidates, without the noise of single measurements."""
        are_those = not len(self.encoded.failed_rows)
        X = self.candidate_features
        means = [_means(m.surrogate, X) if are_those else m.surrogate.mean(X) for m in self.objectives]
        return np.column_stack(means)

    @cached_property
    def fulfills(self) -> NDArray[np.bool_]:
        """Mask (j,) of the candidates that ran, and are expected to fulfill every constraint on outcomes."""
        holds = np.ones(len(self._judged), dtype=bool)
        if self.encoded.is_measured.any():
            past = self._judged[self._judged < len(self.encoded.observations)]
            holds[: len(past)] = self.encoded.is_measured[past]
        for model in self.limits:
            holds &= model.surrogate.mean(self.candidate_features) >= model.threshold(0.0)
        return holds

    @property
    def best(self) -> float:
        """The best posterior mean of the first objective so far, in warped units.

        The worst where nothing fulfills the constraints yet: then everything improves on it, and feasibility decides.
        """
        means, holds = self.candidate_means[:, 0], self.fulfills
        return float(means[holds].max()) if holds.any() else float(means.min())

    @cached_property
    def _judged(self) -> NDArray[np.intp]:
        """Indices (j,) of the candidates among the evaluated rows."""
        past = np.unique(np.concatenate([model.rows for model in self.objectives]))
        return np.concatenate([past, np.arange(len(self.encoded.observations), len(self.evaluated_rows))])


def _means(surrogate: Surrogate, X: Array) -> Array:
    """Return the posterior means (j,) at the candidates, which include the points that the surrogate rests on."""
    return surrogate.means if len(surrogate.means) == len(X) else surrogate.mean(X)
