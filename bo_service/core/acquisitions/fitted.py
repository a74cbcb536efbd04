"""The surrogates of a study at one moment, and what they make of any point."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bo_service.core.acquisitions.appraisal import Appraisal, Fulfillment, ParetoImprovement, Thrift, Total
from bo_service.core.acquisitions.cost import thrift
from bo_service.core.acquisitions.feasibility import feasibility, with_failures
from bo_service.core.acquisitions.gain import Gain, gain_of
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.metric_model import MetricModel
from bo_service.core.surrogates.sources import fit_sources


@dataclass(frozen=True)
class Fitted:
    """Everything that judges a point."""

    objectives: tuple[MetricModel, ...]
    limits: tuple[MetricModel, ...]
    """Of the margins by which constraints on outcomes are fulfilled."""
    feasibility: Fulfillment | None
    """That a configuration runs at all; None while none has failed."""
    thrift: Thrift | None
    """Less what it costs, where that is wanted."""
    gain: Gain

    @classmethod
    def of(cls, bench: Workbench) -> "Fitted":
        """Fitted to the past trials; pending ones are believed to give what is expected of them."""
        X, pending = bench.encoding.features(bench.past_rows), bench.encoding.features(bench.pending_rows)
        nothing = np.zeros(len(X))
        runs = feasibility(bench, X)
        fitted = (
            MetricModel.of(bench, X, values, nothing if k else bench.doubts, 1, k, sources=fit_sources(bench, k))
            for k, values in enumerate(bench.objectives.T)
        )
        objectives = tuple(
            with_failures(bench, model, values, runs).believe(pending)
            for model, values in zip(fitted, bench.objectives.T, strict=True)
        )
        limits = tuple(
            MetricModel.of(bench, X[bench.is_measured], margins, nothing[bench.is_measured], 4, k, about=0.0).believe(
                pending
            )
            for k, margins in enumerate(bench.margins.T)
        )
        return cls(objectives, limits, runs, thrift(bench, X), gain_of(bench, objectives, limits))

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
        steady = [term for term in (self.feasibility, self.thrift) if term is not None]
        terms = (self.gain, *self.chances.terms, *steady)
        return terms[0] if len(terms) == 1 else Total(terms)

    @property
    def acquisition(self) -> str:
        """The name of the acquisition function in use."""
        return "log_ehvi" if isinstance(self.gain, ParetoImprovement) else self.gain.criterion.kind.value
