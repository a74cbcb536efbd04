"""What a point is worth trying for, all told: a sum of logarithms, so of factors.

m points X (m, f) in the features of `encoding.py`; one point x (f,). The terms are the improvement expected, of one
objective or of several, and the probabilities that constraints on what comes out are fulfilled (Gardner et al. 2014,
"Bayesian optimization with inequality constraints"), less the logarithm of what the trial will cost (Snoek et al. 2012,
arXiv 1206.2944, section 3.2).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import log_ndtr, logsumexp

from bo_service.core.acquisitions.acquisition import Criterion, Worth, log_ei
from bo_service.core.acquisitions.hypervolume_improvement import log_ehvi
from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.surrogate import Imagination, Slope, Surrogate

_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


class Appraisal(Protocol):
    """A function to be maximized."""

    def value(self, X: Array) -> Array:
        """(m,) at points X (m, f)."""

    def slope(self, x: Array) -> tuple[float, Array]:
        """At one point x (f,), with its gradient (f,)."""


@dataclass(frozen=True)
class Improvement:
    """Of one objective, by an acquisition function."""

    surrogate: Surrogate
    criterion: Criterion

    def value(self, X: Array) -> Array:
        posterior = self.surrogate.posterior(X)
        return self.criterion(posterior.mean, posterior.std).value

    def slope(self, x: Array) -> tuple[float, Array]:
        at = self.surrogate.slope(x)
        worth = self.criterion(np.array([at.mean]), np.array([at.std]))
        return float(worth.value[0]), worth.by_mean * at.by_mean + worth.by_std * at.by_std


@dataclass(frozen=True)
class NoisyImprovement:
    """Of one objective, where noise leaves open what the best so far is: log of EI averaged over draws of it."""

    surrogate: Surrogate
    imagined: Imagination
    best: Array
    """(S,): the best of each draw."""
    criterion: Criterion
    """Over the best on average."""

    def value(self, X: Array) -> Array:
        draws = self.imagined.posterior(X)
        return np.asarray(logsumexp(self._each(draws.means, draws.std[:, None]).value, axis=1) - np.log(len(self.best)))

    def slope(self, x: Array) -> tuple[float, Array]:
        at = self.imagined.slope(x)
        each = self._each(at.means, np.array([at.std]))
        total = float(logsumexp(each.value))
        share = np.exp(each.value - total)
        gradient = (share * each.by_mean) @ at.by_means + float(share @ each.by_std) * at.by_std
        return total - float(np.log(len(self.best))), gradient

    def _each(self, means: Array, std: Array) -> Worth:
        return log_ei(means, np.broadcast_to(std, means.shape), self.best, self.criterion.xi)


@dataclass(frozen=True)
class ParetoImprovement:
    """Of several objectives: log expected improvement of the volume that their Pareto front dominates."""

    surrogates: tuple[Surrogate, ...]
    low: Array
    high: Array
    """Boxes (b, k) of what is not dominated; see `pareto.py`."""

    def value(self, X: Array) -> Array:
        posteriors = [s.posterior(X) for s in self.surrogates]
        mean, std = np.column_stack([p.mean for p in posteriors]), np.column_stack([p.std for p in posteriors])
        return log_ehvi(mean, std, self.low, self.high).value

    def slope(self, x: Array) -> tuple[float, Array]:
        at = [s.slope(x) for s in self.surrogates]
        worth = log_ehvi(np.array([[a.mean for a in at]]), np.array([[a.std for a in at]]), self.low, self.high)
        gradient = worth.by_mean[0] @ np.stack([a.by_mean for a in at])
        return float(worth.value[0]), gradient + worth.by_std[0] @ np.stack([a.by_std for a in at])


@dataclass(frozen=True)
class Fulfillment:
    """log P(a metric comes out at or above the threshold), both in warped units."""

    surrogate: Surrogate
    threshold: float
    variance: float = 0.0
    """Of the metric beside the surrogate's own."""

    def value(self, X: Array) -> Array:
        posterior = self.surrogate.posterior(X)
        return np.asarray(log_ndtr((posterior.mean - self.threshold) / np.sqrt(posterior.std**2 + self.variance)))

    def slope(self, x: Array) -> tuple[float, Array]:
        at: Slope = self.surrogate.slope(x)
        spread = float(np.sqrt(at.std**2 + self.variance))
        z = (at.mean - self.threshold) / spread
        log = float(log_ndtr(z))
        by_z = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log)
        return log, by_z * (at.by_mean - z * at.std / spread * at.by_std) / spread


@dataclass(frozen=True)
class Thrift:
    """Less the logarithm of the cost that is expected: `scale` times the surrogate's mean."""

    surrogate: Surrogate
    scale: float

    def value(self, X: Array) -> Array:
        return -self.scale * self.surrogate.posterior(X).mean

    def slope(self, x: Array) -> tuple[float, Array]:
        at = self.surrogate.slope(x)
        return -self.scale * at.mean, -self.scale * at.by_mean


@dataclass(frozen=True)
class Total:
    """The sum of some terms."""

    terms: tuple[Appraisal, ...]

    def value(self, X: Array) -> Array:
        return np.asarray(sum(term.value(X) for term in self.terms))

    def slope(self, x: Array) -> tuple[float, Array]:
        parts = [term.slope(x) for term in self.terms]
        return sum(value for value, _ in parts), np.asarray(sum(gradient for _, gradient in parts))
