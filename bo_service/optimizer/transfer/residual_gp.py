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

from bo_service.optimizer.gp.base import Draws, DrawsWithGradient, Posterior, PosteriorWithGradient
from bo_service.optimizer.gp.fantasies import FantasyModel
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.numerics.array import Array

LEAST_SPREAD = 1e-6
"""A source whose means differ by less than this over the observations ranks nothing."""


@dataclass(frozen=True)
class SourcePriorMean:
    """What sources lead to expect; all zero where none has a weight."""

    sources: tuple[GaussianProcess, ...]
    weights: Array
    """(s,): how much each source counts, in [0, 1]."""
    coefficients: Array
    """c (s,)."""
    offset: float
    """Σ_s c_s center_s."""

    @classmethod
    def of(cls, sources: Sequence[GaussianProcess], X: Array, y: Array) -> "SourcePriorMean":
        """Weight the sources by observations X (n, f), y (n,) of variance 1."""
        means = np.array([source.mean(X) for source in sources]).reshape(len(sources), len(X))
        trust = np.array([rank_weight(mean, y) for mean in means])
        total = float(trust.sum())
        weights = trust * trust / total if total > 0.0 else trust
        spreads = means.std(axis=1)
        coefficients = np.divide(weights, spreads, out=np.zeros_like(weights), where=weights > 0.0)
        return cls(tuple(sources), weights, coefficients, float(coefficients @ means.mean(axis=1)))

    @property
    def is_empty(self) -> bool:
        return not self.weights.any()

    def at(self, Q: Array) -> Array:
        """Return the prior mean (m,) at queries Q (m, f)."""
        found = np.full(len(Q), -self.offset)
        for c, source in zip(self.coefficients, self.sources, strict=True):
            if c:
                found += c * source.mean(Q)
        return found

    def posterior_with_gradient(self, x: Array) -> tuple[float, Array]:
        """Return the prior mean at one query x (f,), with its gradient (f,)."""
        value, gradient = -self.offset, np.zeros_like(x)
        for c, source in zip(self.coefficients, self.sources, strict=True):
            if c:
                mean, by_x = source.mean_with_gradient(x)
                value, gradient = value + c * mean, gradient + c * by_x
        return value, gradient


@dataclass(frozen=True)
class ResidualGP:
    """A surrogate: a trend, and a Gaussian process of what it leaves over."""

    prior_mean: SourcePriorMean
    scale: float
    residual: GaussianProcess

    def mean(self, Q: Array) -> Array:
        """Return the posterior mean (m,) at queries Q (m, f)."""
        return self.prior_mean.at(Q) + self.scale * self.residual.mean(Q)

    def posterior(self, Q: Array) -> Posterior:
        """Return the posterior at queries Q (m, f)."""
        rest = self.residual.posterior(Q)
        return Posterior(self.prior_mean.at(Q) + self.scale * rest.mean, self.scale * rest.std)

    def posterior_with_gradient(self, x: Array) -> PosteriorWithGradient:
        """Return the posterior at one query x (f,), with gradients."""
        (value, gradient), rest, scale = (
            self.prior_mean.posterior_with_gradient(x),
            self.residual.posterior_with_gradient(x),
            self.scale,
        )
        return PosteriorWithGradient(
            value + scale * rest.mean, scale * rest.std, gradient + scale * rest.d_mean, scale * rest.d_std
        )

    def observe(self, Q: Array, y: Array, variance: Array) -> "ResidualGP":
        """Condition on further values y (c,) at Q (c, f), with noise variances (c,)."""
        rest = self.residual.observe(Q, (y - self.prior_mean.at(Q)) / self.scale, variance / self.scale**2)
        return replace(self, residual=rest)

    def condition_on_mean(self, Q: Array) -> "ResidualGP":
        """Condition on its own posterior mean at queries Q (b, f)."""
        return replace(self, residual=self.residual.condition_on_mean(Q))

    @property
    def noise_to_signal(self) -> float:
        """The variance of the noise over that of what the trend leaves over."""
        return self.residual.noise_to_signal

    def fantasize(self, points: Array, count: int, rng: np.random.Generator) -> "ResidualFantasies":
        """Condition on `count` draws of the true values at points (b, f)."""
        return ResidualFantasies(self.prior_mean, self.scale, points, self.residual.fantasize(points, count, rng))

    @property
    def means(self) -> Array:
        """The posterior mean (n + b,) at the observed and the assumed points."""
        return self.prior_mean.at(self.residual.X) + self.scale * self.residual.means


@dataclass(frozen=True)
class ResidualFantasies:
    """A trended process under draws of the true values at some points."""

    trend: SourcePriorMean
    scale: float
    points: Array
    rest: FantasyModel

    @property
    def values(self) -> Array:
        """The draws (b, S)."""
        return self.trend.at(self.points)[:, None] + self.scale * self.rest.values

    def posterior(self, Q: Array) -> Draws:
        """Return the posterior at queries Q (m, f)."""
        rest = self.rest.posterior(Q)
        return Draws(self.trend.at(Q)[:, None] + self.scale * rest.means, self.scale * rest.std)

    def posterior_with_gradient(self, x: Array) -> DrawsWithGradient:
        """Return the posterior at one query x (f,), with gradients."""
        (value, gradient), rest, scale = (
            self.trend.posterior_with_gradient(x),
            self.rest.posterior_with_gradient(x),
            self.scale,
        )
        d_means = gradient + scale * rest.d_means
        return DrawsWithGradient(value + scale * rest.means, scale * rest.std, d_means, scale * rest.d_std)


def rank_weight(mean: Array, y: Array) -> float:
    """Return how far means (n,) that rank observations y (n,) are to be trusted.

    It is in [0, 1], and 0 for what chance may do.
    """
    if len(y) < 3 or float(mean.std()) < LEAST_SPREAD or float(y.std()) == 0.0:
        return 0.0
    from scipy.stats import kendalltau  # which takes longer to load than all else, for the few studies with sources

    found = kendalltau(mean, y)
    return max(0.0, float(np.sin(0.5 * np.pi * found.statistic)) * (1.0 - float(found.pvalue)))
