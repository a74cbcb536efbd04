"""The surrogates of a study at one moment, and what they make of any point."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bo_service.core.acquisition import Criterion
from bo_service.core.appraisal import Appraisal, Fulfillment, Improvement, ParetoImprovement, Thrift, Total
from bo_service.core.axes import Array
from bo_service.core.gaussian_process import fit
from bo_service.core.metric_model import MetricModel
from bo_service.core.pareto import boxes, reference_point
from bo_service.core.warm_start import fit_sources
from bo_service.core.workbench import Workbench

LEAST_SPREAD = 1e-3
"""Costs whose logarithms differ by less than this are one cost."""


@dataclass(frozen=True)
class Fitted:
    """Everything that judges a point."""

    objectives: tuple[MetricModel, ...]
    limits: tuple[MetricModel, ...]
    """Of the margins by which constraints on outcomes are fulfilled."""
    steady: tuple[Appraisal, ...]
    """Terms that don't change with what is pending."""
    gain: Improvement | ParetoImprovement

    @classmethod
    def of(cls, bench: Workbench) -> "Fitted":
        """Fitted to the past trials; pending ones are believed to give what is expected of them."""
        X, pending = bench.encoding.features(bench.past_rows), bench.encoding.features(bench.pending_rows)
        nothing = np.zeros(len(X))
        objectives = tuple(
            MetricModel.of(
                bench, X, values, nothing if k else bench.doubts, 1, k, sources=fit_sources(bench, k)
            ).believe(pending)
            for k, values in enumerate(bench.objectives.T)
        )
        limits = tuple(
            MetricModel.of(bench, X[bench.is_measured], margins, nothing[bench.is_measured], 4, k).believe(pending)
            for k, margins in enumerate(bench.margins.T)
        )
        return cls(objectives, limits, _thrift(bench, X), _gain(bench, objectives, limits))

    def believe(self, bench: Workbench, row: Array) -> "Fitted":
        """The same once the row (p,), which `bench` has seen, is pending as well."""
        X = bench.encoding.features(row[None])
        objectives = tuple(model.believe(X) for model in self.objectives)
        limits = tuple(model.believe(X) for model in self.limits)
        return replace(self, objectives=objectives, limits=limits, gain=_gain(bench, objectives, limits))

    @cached_property
    def chances(self) -> Total:
        """log P(every constraint on an outcome is fulfilled)."""
        return Total(tuple(Fulfillment(model.surrogate, model.threshold(0.0)) for model in self.limits))

    @cached_property
    def appraisal(self) -> Appraisal:
        """What is to be maximized."""
        terms = (self.gain, *self.chances.terms, *self.steady)
        return terms[0] if len(terms) == 1 else Total(terms)

    @property
    def acquisition(self) -> str:
        """The name of the acquisition function in use."""
        return self.gain.criterion.kind.value if isinstance(self.gain, Improvement) else "log_ehvi"


def _gain(
    bench: Workbench, objectives: tuple[MetricModel, ...], limits: tuple[MetricModel, ...]
) -> Improvement | ParetoImprovement:
    """Over the best that is known or believed and, as far as is known, fulfills the constraints."""
    settings = bench.evidence.settings
    if len(objectives) == 1 and not limits:
        surrogate = objectives[0].surrogate
        return Improvement(surrogate, Criterion.of(settings, surrogate.incumbent(), len(bench.seen)))
    X = bench.encoding.features(bench.seen.Z)
    F = np.column_stack([model.means(X) for model in objectives])
    holds = _hold(bench, limits, X)
    if len(objectives) == 1:
        # Where nothing fulfills the constraints yet, everything improves on the worst, and their chances decide.
        best = float(F[holds].max()) if holds.any() else float(F.min())
        return Improvement(objectives[0].surrogate, Criterion.of(settings, best, len(bench.seen)))
    reference = reference_point(F[holds] if holds.any() else F)
    return ParetoImprovement(tuple(model.surrogate for model in objectives), *boxes(F[holds], reference))


def _hold(bench: Workbench, limits: tuple[MetricModel, ...], X: Array) -> NDArray[np.bool_]:
    """Mask (n,) of the rows seen, with features X, that are expected to fulfill every constraint on outcomes."""
    holds = np.ones(len(X), dtype=bool)
    holds[: len(bench.past)] = bench.is_measured
    for model in limits:
        holds &= model.means(X) >= model.threshold(0.0)
    return holds


def _thrift(bench: Workbench, X: Array) -> tuple[Appraisal, ...]:
    """The term of the cost, where it is wanted and known of two trials that differ in it."""
    if not bench.evidence.settings.per_cost:
        return ()
    known = np.isfinite(bench.log_costs)
    costs = bench.log_costs[known]
    scale = float(costs.std()) if len(costs) else 0.0
    if scale < LEAST_SPREAD:
        return ()
    encoding = bench.encoding
    y, d = (costs - costs.mean()) / scale, max(len(encoding.blocks), 1)
    return (Thrift(fit(X[known], y, encoding.owner, d, bench.rng(5)), scale),)
