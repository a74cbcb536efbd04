"""Warm start: what earlier studies lead to expect, as the mean that the surrogate begins from.

s sources with posterior means m_s; n observations y (n,) of this study at features X (n, f); all in warped units.

    y(x) = trend(x) + scale r(x),     trend(x) = Σ_s c_s (m_s(x) - center_s),     r a Gaussian process of zero mean

A stack of residuals (Golovin et al. 2017, "Google Vizier", section 3.3), each source weighted by how well it ranks this
study's own observations, as Feurer et al. 2018, arXiv 1802.02219, weight an ensemble: Kendall's τ turned into the
correlation of normals, sin(π τ / 2) (Greiner 1909), which is the slope of the regression of y on m_s where both have
variance 1; times 1 - p, p being how easily chance ranks as well. A source that ranks no better than chance has the
weight 0, and with no weight at all the surrogate is as it would be without sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import kendalltau

from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.gaussian_process import GaussianProcess
from bo_service.core.surrogates.imagined import Imagined
from bo_service.core.surrogates.surrogate import Draws, DrawsSlope, Posterior, Slope

LEAST_SPREAD = 1e-6
"""A source whose means differ by less than this over the observations ranks nothing."""


@dataclass(frozen=True)
class Trend:
    """What sources lead to expect; all zero where none has a weight."""

    sources: tuple[GaussianProcess, ...]
    weights: Array
    """(s,): how much each source counts, in [0, 1]."""
    coefficients: Array
    """c (s,)."""
    offset: float
    """Σ_s c_s center_s."""

    @classmethod
    def of(cls, sources: Sequence[GaussianProcess], X: Array, y: Array) -> "Trend":
        """Weighted by observations X (n, f), y (n,) of variance 1."""
        means = np.array([source.mean(X) for source in sources]).reshape(len(sources), len(X))
        trust = np.array([ranking_trust(mean, y) for mean in means])
        total = float(trust.sum())
        weights = trust * trust / total if total > 0.0 else trust
        spreads = means.std(axis=1)
        coefficients = np.divide(weights, spreads, out=np.zeros_like(weights), where=weights > 0.0)
        return cls(tuple(sources), weights, coefficients, float(coefficients @ means.mean(axis=1)))

    @property
    def is_empty(self) -> bool:
        return not self.weights.any()

    def at(self, Q: Array) -> Array:
        """(m,) at queries Q (m, f)."""
        found = np.full(len(Q), -self.offset)
        for c, source in zip(self.coefficients, self.sources, strict=True):
            if c:
                found += c * source.mean(Q)
        return found

    def slope(self, x: Array) -> tuple[float, Array]:
        """At one query x (f,), with its gradient (f,)."""
        value, gradient = -self.offset, np.zeros_like(x)
        for c, source in zip(self.coefficients, self.sources, strict=True):
            if c:
                mean, by_x = source.mean_slope(x)
                value, gradient = value + c * mean, gradient + c * by_x
        return value, gradient


@dataclass(frozen=True)
class TrendedProcess:
    """A surrogate: a trend, and a Gaussian process of what it leaves over."""

    trend: Trend
    scale: float
    rest: GaussianProcess

    def mean(self, Q: Array) -> Array:
        """(m,): the posterior mean at queries Q (m, f)."""
        return self.trend.at(Q) + self.scale * self.rest.mean(Q)

    def posterior(self, Q: Array) -> Posterior:
        """At queries Q (m, f)."""
        rest = self.rest.posterior(Q)
        return Posterior(self.trend.at(Q) + self.scale * rest.mean, self.scale * rest.std)

    def slope(self, x: Array) -> Slope:
        """At one query x (f,), with gradients."""
        (value, gradient), rest, scale = self.trend.slope(x), self.rest.slope(x), self.scale
        return Slope(value + scale * rest.mean, scale * rest.std, gradient + scale * rest.by_mean, scale * rest.by_std)

    def observe(self, Q: Array, y: Array, variance: Array) -> "TrendedProcess":
        """The same conditioned on further values y (c,) at Q (c, f), with noise variances (c,)."""
        rest = self.rest.observe(Q, (y - self.trend.at(Q)) / self.scale, variance / self.scale**2)
        return replace(self, rest=rest)

    def believe(self, Q: Array) -> "TrendedProcess":
        """The same as if queries Q (b, f) had given what is expected of them."""
        return replace(self, rest=self.rest.believe(Q))

    @property
    def noisiness(self) -> float:
        """The variance of the noise over that of what the trend leaves over."""
        return self.rest.noisiness

    def imagine(self, points: Array, count: int, rng: np.random.Generator) -> "TrendedImagination":
        """As if so many draws of the true values at points (b, f) were known."""
        return TrendedImagination(self.trend, self.scale, points, self.rest.imagine(points, count, rng))

    @property
    def means(self) -> Array:
        """(n + b,): the posterior mean at the points observed and believed."""
        return self.trend.at(self.rest.X) + self.scale * self.rest.means


@dataclass(frozen=True)
class TrendedImagination:
    """A trended process under draws of the true values at some points."""

    trend: Trend
    scale: float
    points: Array
    rest: Imagined

    @property
    def values(self) -> Array:
        """The draws (b, S)."""
        return self.trend.at(self.points)[:, None] + self.scale * self.rest.values

    def posterior(self, Q: Array) -> Draws:
        """At queries Q (m, f)."""
        rest = self.rest.posterior(Q)
        return Draws(self.trend.at(Q)[:, None] + self.scale * rest.means, self.scale * rest.std)

    def slope(self, x: Array) -> DrawsSlope:
        """At one query x (f,), with gradients."""
        (value, gradient), rest, scale = self.trend.slope(x), self.rest.slope(x), self.scale
        by_means = gradient + scale * rest.by_means
        return DrawsSlope(value + scale * rest.means, scale * rest.std, by_means, scale * rest.by_std)


def ranking_trust(mean: Array, y: Array) -> float:
    """How far means (n,) are to be trusted that rank observations y (n,): in [0, 1], and 0 for what chance may do."""
    if len(y) < 3 or float(mean.std()) < LEAST_SPREAD or float(y.std()) == 0.0:
        return 0.0
    found = kendalltau(mean, y)
    return max(0.0, float(np.sin(0.5 * np.pi * found.statistic)) * (1.0 - float(found.pvalue)))
