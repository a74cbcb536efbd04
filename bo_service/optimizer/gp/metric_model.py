"""The surrogate of one metric, with the warp of its values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.base import Surrogate
from bo_service.optimizer.gp.fitting import conditioning_subset, fit_on
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.gp.heteroscedastic import extra_noise_variance
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.gp.output_transform import OutputTransform
from bo_service.optimizer.gp.refit_schedule import last_refit_size
from bo_service.optimizer.gp.transform_choice import WarpedData, choose_transform
from bo_service.optimizer.inputs import NormalPrediction
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.transfer.residual_gp import ResidualGP, SourcePriorMean

NO_SOURCES: Mapping[str, GaussianProcess] = MappingProxyType({})
LEAST_SCALE = 1e-3
"""Of what a trend leaves over: no source is trusted to be more exact."""


@dataclass(frozen=True)
class _Prepared:
    """Values as a Gaussian process is to see them."""

    output_transform: OutputTransform
    trend: SourcePriorMean
    scale: float
    rest: TrainingData
    """What the trend leaves over, in its scale."""

    @classmethod
    def of(
        cls,
        encoded: EncodedData,
        X: Array,
        values: Array,
        noise_std: Array,
        *purpose: int,
        sources: Mapping[str, GaussianProcess],
        about: float | None,
        is_robust: bool,
    ) -> "_Prepared":
        """Prepare what `MetricModel.of` is given."""
        output_transform = OutputTransform.fit(values, about, is_robust)
        y, spread = (
            output_transform.forward(values),
            (output_transform.forward(values + noise_std) - output_transform.forward(values - noise_std)) / 2,
        )
        trend = SourcePriorMean.of(list(sources.values()), X, y)
        known = (
            spread**2 + extra_noise_variance(encoded, X, y, *purpose, 1) + output_transform.extra_noise_variance(values)
        )
        if trend.is_empty:
            return cls(output_transform, trend, 1.0, TrainingData(X, y, known))
        rest = y - trend.at(X)
        scale = max(float(rest.std()), LEAST_SCALE)
        return cls(output_transform, trend, scale, TrainingData(X, rest / scale, known / scale**2))


@dataclass(frozen=True)
class _WithTrend(WarpedData):
    """Observations, less what sources lead to expect."""

    trend: SourcePriorMean


@dataclass(frozen=True)
class MetricModel:
    """Everything that is known of one metric; features X (m, f) as in `encoding.py`."""

    output_transform: OutputTransform
    surrogate: Surrogate
    rows: NDArray[np.intp]
    """Indices (k,) of the values that the surrogate rests on."""
    trust: Mapping[str, float]
    """How much each earlier study counts, in [0, 1], by its name."""

    @classmethod
    def of(
        cls,
        encoded: EncodedData,
        X: Array,
        values: Array,
        noise_std: Array,
        *purpose: int,
        sources: Mapping[str, GaussianProcess] = NO_SOURCES,
        about: float | None = None,
    ) -> "MetricModel":
        """Fit to values (n,) at X (n, f) in the user's units, which have standard deviations `noise_std` (n,), or 0.

        Args:
            encoded: what the values come from.
            X: features.
            values: of the metric, or of how far it is from its bound.
            noise_std: standard deviations.
            purpose: what the generator of random numbers is for.
            sources: what earlier studies make of the same metric, by name.
            about: the value near which differences count, if any; else those between the largest values do.
        """

        n, m = len(values), last_refit_size(len(values))

        def prepared(count: int, is_robust: bool) -> _Prepared:
            told = X[:count], values[:count], noise_std[:count]
            return _Prepared.of(encoded, *told, *purpose, sources=sources, about=about, is_robust=is_robust)

        def warp(is_robust: bool) -> _WithTrend:
            now = prepared(n, is_robust)
            then = now if m == n else prepared(m, is_robust)
            return _WithTrend(now.output_transform, values, now.rest, then.rest, now.scale, now.trend)

        made = choose_transform(encoded, values, about, warp, *purpose)
        process, rows = fit_on(encoded, made.data, made.early, *purpose), conditioning_subset(made.early.y, n)[0]
        trust = dict(zip(sources, made.trend.weights.tolist(), strict=True))
        if made.trend.is_empty:
            return cls(made.output_transform, process, rows, trust)
        return cls(made.output_transform, ResidualGP(made.trend, made.scale, process), rows, trust)

    def condition_on_mean(self, X: Array) -> "MetricModel":
        """Condition the model on its own expectation at X (b, f)."""
        return replace(self, surrogate=self.surrogate.condition_on_mean(X))

    def expect(self, X: Array) -> list[NormalPrediction]:
        """Predict the values at X (m, f), in the user's units."""
        posterior = self.surrogate.posterior(X)
        mean, std = self.output_transform.moments(posterior.mean, posterior.std)
        return [NormalPrediction(float(m), float(s)) for m, s in zip(mean, std, strict=True)]

    def threshold(self, value: float) -> float:
        """Warp a value of the metric."""
        return float(self.output_transform.forward(np.array([value]))[0])
