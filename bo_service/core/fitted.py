"""The surrogates of a study at one moment, and what they make of any point."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bo_service.core.appraisal import Appraisal, Fulfillment, ParetoImprovement, Thrift, Total
from bo_service.core.axes import Array
from bo_service.core.gain import Gain, gain_of
from bo_service.core.gaussian_process import fit
from bo_service.core.metric_model import MetricModel
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
    gain: Gain

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
        return cls(objectives, limits, _thrift(bench, X), gain_of(bench, objectives, limits))

    def believe(self, bench: Workbench, row: Array) -> "Fitted":
        """The same once the row (p,), which `bench` has seen, is pending as well."""
        X = bench.encoding.features(row[None])
        objectives = tuple(model.believe(X) for model in self.objectives)
        limits = tuple(model.believe(X) for model in self.limits)
        return replace(self, objectives=objectives, limits=limits, gain=gain_of(bench, objectives, limits))

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
        return "log_ehvi" if isinstance(self.gain, ParetoImprovement) else self.gain.criterion.kind.value


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
