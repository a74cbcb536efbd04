"""A Gaussian process with zero mean over features X, of warped values y.

n observations and b believed points X (n + b, f); m queries; L the Cholesky factor of
K = k(X, X) + v I + diag(w), where w are noise variances that are known beforehand, beside the learned v.

    mean(x) = k(x, X) K⁻¹ y        var(x) = k(x, x) - |L⁻¹ k(X, x)|²      (Rasmussen and Williams 2006, algorithm 2.1)

A pending configuration is believed to give what is expected of it (the kriging believer of Ginsbourger et al. 2010).
Conditioning on the posterior mean leaves the mean as it is everywhere, so that only the variance hears of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular

from bo_service.core.axes import Array
from bo_service.core.cholesky import factor
from bo_service.core.imagined import Imagined
from bo_service.core.kernels import MainEffectsMatern
from bo_service.core.likelihood import Likelihood, fit_hyperparameters
from bo_service.core.priors import Prior
from bo_service.core.surrogate import Posterior, Slope

FIT_MOST = 200
"""The hyperparameters are learned from at most so many observations: by then they hardly change."""
ROUGH_MOST = 60
"""Their modes are told apart by at most so many."""
KEEP_MOST = 1500
"""The posterior rests on at most so many."""
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted Gaussian process."""

    kernel: MainEffectsMatern
    noise: float
    X: Array
    L: Array
    a: Array
    """K⁻¹ y (n,) of the n observations, the believed points apart."""
    known: Array
    """w (n,)."""

    @property
    def theta(self) -> Array:
        """(d + 4,); see `likelihood.py`."""
        kernel = self.kernel
        return np.log([*kernel.length_scale, kernel.stretch, kernel.joint, kernel.main, self.noise])

    @property
    def least_variance(self) -> float:
        """What rounding leaves of the posterior variance where it should be 0."""
        return float(LEAST_VARIANCE * self.kernel.variance)

    @property
    def noisiness(self) -> float:
        """The variance of the noise, on average over the observations, over that of the values."""
        return float((self.noise + self.known.mean()) / self.kernel.variance)

    def solve(self, k: Array) -> Array:
        """K⁻¹ k (n + b,) for k (n + b,)."""
        solved, _ = lapack.dpotrs(self.L, k, lower=1)
        return np.asarray(solved)

    def mean(self, Q: Array) -> Array:
        """(m,): the posterior mean at queries Q (m, f)."""
        return np.asarray(self.a @ self.kernel(self.X[: len(self.a)], Q))

    def mean_slope(self, x: Array) -> tuple[float, Array]:
        """The posterior mean at one query x (f,), with its gradient (f,)."""
        k, by_x = self.kernel.with_gradient(x, self.X[: len(self.a)])
        return float(self.a @ k), self.a @ by_x

    def posterior(self, Q: Array) -> Posterior:
        """At queries Q (m, f)."""
        k = self.kernel(self.X, Q)
        explained = solve_triangular(self.L, k, lower=True, check_finite=False)
        variance = self.kernel.variance - np.einsum("ij,ij->j", explained, explained)
        return Posterior(self.a @ k[: len(self.a)], np.sqrt(np.maximum(variance, self.least_variance)))

    def slope(self, x: Array) -> Slope:
        """At one query x (f,), with gradients."""
        k, by_x = self.kernel.with_gradient(x, self.X)
        w = self.solve(k)
        variance = max(self.kernel.variance - float(k @ w), self.least_variance)
        std = float(np.sqrt(variance))
        count = len(self.a)
        return Slope(float(self.a @ k[:count]), std, self.a @ by_x[:count], -(w @ by_x) / std)

    def believe(self, Q: Array) -> "GaussianProcess":
        """The process as if queries Q (b, f) had given what is expected of them."""
        if not len(Q):
            return self
        cross = solve_triangular(self.L, self.kernel(self.X, Q), lower=True, check_finite=False)
        own = self.kernel(Q) + self.noise * np.eye(len(Q)) - cross.T @ cross
        n, b = len(self.X), len(Q)
        L = np.zeros((n + b, n + b), order="F")
        L[:n, :n], L[n:, :n] = self.L, cross.T
        L[n:, n:] = factor(own, 1e-8 * self.kernel.variance)
        return GaussianProcess(self.kernel, self.noise, np.vstack([self.X, Q]), L, self.a, self.known)

    def imagine(self, points: Array, count: int, rng: np.random.Generator) -> Imagined:
        """As if so many draws of the true values at points (b, f) were known."""
        return Imagined.of(self, points, count, rng)

    def incumbent(self) -> float:
        """The highest posterior mean at the points observed or believed: no lucky draw of the noise."""
        return float(self.posterior(self.X).mean.max())


def fit(
    X: Array, y: Array, owner: NDArray[np.intp], d: int, rng: np.random.Generator, known: Array | None = None
) -> GaussianProcess:
    """The process fitted to observations X (n, f), y (n,) of mean 0 and variance 1, with w = known (n,), n >= 1."""
    w = np.zeros(len(y)) if known is None else known
    whole, rough = (
        Likelihood(X[few], y[few], owner, d, w[few]) for few in (telling(y, FIT_MOST), telling(y, ROUGH_MOST))
    )
    theta = fit_hyperparameters(whole, rough, Prior.over(d), rng)
    keep = telling(y, KEEP_MOST)
    return condition(theta, X[keep], y[keep], owner, w[keep])


def condition(theta: Array, X: Array, y: Array, owner: NDArray[np.intp], known: Array | None = None) -> GaussianProcess:
    """The process with given hyperparameters theta (d + 4,); see `likelihood.py`."""
    kernel = MainEffectsMatern(np.exp(theta[:-4]), owner, *(float(v) for v in np.exp(theta[-4:-1])))
    noise = float(np.exp(theta[-1]))
    w = np.zeros(len(X)) if known is None else known
    L = factor(kernel(X) + np.diag(noise + w), 1e-8 * kernel.variance)
    a, _ = lapack.dpotrs(L, y, lower=1)
    return GaussianProcess(kernel, noise, X, L, a, w)


def telling(y: Array, most: int) -> NDArray[np.intp]:
    """Indices of at most so many observations: the better half by value, the rest evenly over the others."""
    if len(y) <= most:
        return np.arange(len(y))
    order = np.argsort(-y, kind="stable")
    best, others = order[: most // 2], np.sort(order[most // 2 :])
    spaced = others[np.linspace(0, len(others) - 1, most - most // 2).round().astype(np.intp)]
    return np.sort(np.concatenate([best, spaced]))
