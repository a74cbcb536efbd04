"""The surrogate of one metric, with the warp of its values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.evidence import Expected
from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.fitting import fit_on, resting
from bo_service.core.surrogates.gaussian_process import GaussianProcess
from bo_service.core.surrogates.observations import Observations
from bo_service.core.surrogates.repeats import further_noise
from bo_service.core.surrogates.schedule import milestone
from bo_service.core.surrogates.surrogate import Surrogate
from bo_service.core.surrogates.transfer import Trend, TrendedProcess
from bo_service.core.surrogates.warping import Warp

NO_SOURCES: Mapping[str, GaussianProcess] = MappingProxyType({})
LEAST_SCALE = 1e-3
"""Of what a trend leaves over: no source is trusted to be more exact."""


@dataclass(frozen=True)
class _Prepared:
    """Values as a Gaussian process is to see them."""

    warp: Warp
    trend: Trend
    scale: float
    rest: Observations
    """What the trend leaves over, in its scale."""

    @classmethod
    def of(
        cls,
        bench: Workbench,
        X: Array,
        values: Array,
        doubts: Array,
        *purpose: int,
        sources: Mapping[str, GaussianProcess],
        about: float | None,
    ) -> "_Prepared":
        """As of `MetricModel.of`."""
        warp = Warp.fit(values, about)
        y, spread = warp.forward(values), (warp.forward(values + doubts) - warp.forward(values - doubts)) / 2
        trend = Trend.of(list(sources.values()), X, y)
        known = spread**2 + further_noise(bench, X, y, *purpose, 1) + warp.further_noise(values)
        if trend.is_empty:
            return cls(warp, trend, 1.0, Observations(X, y, known))
        rest = y - trend.at(X)
        scale = max(float(rest.std()), LEAST_SCALE)
        return cls(warp, trend, scale, Observations(X, rest / scale, known / scale**2))


@dataclass(frozen=True)
class MetricModel:
    """Everything that is known of one metric; features X (m, f) as in `encoding.py`."""

    warp: Warp
    surrogate: Surrogate
    rows: NDArray[np.intp]
    """Indices (k,) of the values that the surrogate rests on."""
    trust: Mapping[str, float]
    """How much each earlier study counts, in [0, 1], by its name."""

    @classmethod
    def of(
        cls,
        bench: Workbench,
        X: Array,
        values: Array,
        doubts: Array,
        *purpose: int,
        sources: Mapping[str, GaussianProcess] = NO_SOURCES,
        about: float | None = None,
    ) -> "MetricModel":
        """Fitted to values (n,) at X (n, f) in the user's units, which have standard deviations `doubts` (n,), or 0.

        Args:
            bench: what the values come from.
            X: features.
            values: of the metric, or of how far it is from its bound.
            doubts: standard deviations.
            purpose: what the generator of random numbers is for.
            sources: what earlier studies make of the same metric, by name.
            about: the value near which differences count, if any; else those between the largest values do.
        """

        def prepared(count: int) -> _Prepared:
            return _Prepared.of(
                bench, X[:count], values[:count], doubts[:count], *purpose, sources=sources, about=about
            )

        n, m = len(values), milestone(len(values))
        now = prepared(n)
        then = now if m == n else prepared(m)
        process, rows = fit_on(bench, now.rest, then.rest, *purpose), resting(then.rest.y, n)[0]
        trust = dict(zip(sources, now.trend.weights.tolist(), strict=True))
        if now.trend.is_empty:
            return cls(now.warp, process, rows, trust)
        return cls(now.warp, TrendedProcess(now.trend, now.scale, process), rows, trust)

    def believe(self, X: Array) -> "MetricModel":
        """As if X (b, f) had given what is expected of them."""
        return replace(self, surrogate=self.surrogate.believe(X))

    def expect(self, X: Array) -> list[Expected]:
        """What is expected at X (m, f), in the user's units."""
        posterior = self.surrogate.posterior(X)
        mean, std = self.warp.moments(posterior.mean, posterior.std)
        return [Expected(float(m), float(s)) for m, s in zip(mean, std, strict=True)]

    def threshold(self, value: float) -> float:
        """A value of the metric in warped units."""
        return float(self.warp.forward(np.array([value]))[0])
