"""A Gaussian process with zero mean over features X, of warped values y.

n observations and b believed points X (n + b, f); m queries; L the Cholesky factor of
K = k(X, X) + v I + diag(w), where w are noise variances that are known beforehand, beside the learned v.

    mean(x) = k(x, X) K⁻¹ y        var(x) = k(x, x) - |L⁻¹ k(X, x)|²      (Rasmussen and Williams 2006, algorithm 2.1)

A pending configuration is believed to give what is expected of it (the kriging believer of Ginsbourger et al. 2010).
Conditioning on the posterior mean leaves the mean as it is everywhere, so that only the variance hears of it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack, solve_triangular

from bo_service.optimizer.gp.base import Posterior, PosteriorWithGradient
from bo_service.optimizer.gp.fantasies import FantasyModel
from bo_service.optimizer.gp.kernels import MainEffectsMatern
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.cholesky import extended, factor
from bo_service.optimizer.numerics.computation_cache import ComputationCache

JITTER = 1e-8
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
    """w (n,), of the observations that it was fitted to."""
    means: Array
    """The posterior mean at X (n + b,)."""

    @property
    def theta(self) -> Array:
        """The hyperparameters (d + 4,); see `likelihood.py`."""
        kernel = self.kernel
        return np.log(
            [
                *kernel.length_scale,
                kernel.main_length_ratio,
                kernel.interaction_variance,
                kernel.main_effect_variance,
                self.noise,
            ]
        )

    @property
    def least_variance(self) -> float:
        """What rounding leaves of the posterior variance where it should be 0."""
        return float(LEAST_VARIANCE * self.kernel.variance)

    @property
    def noise_to_signal(self) -> float:
        """The variance of the noise, on average over the best quarter of the observations, over that of the values."""
        means = self.means[: len(self.known)]
        best = means >= np.quantile(means, 0.75)
        return float((self.noise + self.known[best].mean()) / self.kernel.variance)

    def solve(self, k: Array) -> Array:
        """Return K⁻¹ k (n + b,) for k (n + b,)."""
        return np.asarray(blas.dtrsv(self.L, blas.dtrsv(self.L, k, lower=1), lower=1, trans=1))

    def mean(self, Q: Array) -> Array:
        """Return the posterior mean (m,) at queries Q (m, f)."""
        return np.asarray(self.a @ self.kernel(self.X[: len(self.a)], Q))

    def mean_with_gradient(self, x: Array) -> tuple[float, Array]:
        """Return the posterior mean at one query x (f,), with its gradient (f,)."""
        k, by_x = self.kernel.with_gradient(x, self.X[: len(self.a)])
        return float(self.a @ k), self.a @ by_x

    def posterior(self, Q: Array) -> Posterior:
        """Return the posterior at queries Q (m, f)."""
        k = self.kernel(self.X, Q)
        explained = solve_triangular(self.L, k, lower=True, check_finite=False)
        variance = self.kernel.variance - np.einsum("ij,ij->j", explained, explained)
        return Posterior(self.a @ k[: len(self.a)], np.sqrt(np.maximum(variance, self.least_variance)))

    def posterior_with_gradient(self, x: Array) -> PosteriorWithGradient:
        """Return the posterior at one query x (f,), with gradients."""
        k, by_x = self.kernel.with_gradient(x, self.X)
        w = self.solve(k)
        variance = max(self.kernel.variance - float(k @ w), self.least_variance)
        std = float(np.sqrt(variance))
        count = len(self.a)
        return PosteriorWithGradient(float(self.a @ k[:count]), std, self.a @ by_x[:count], -(w @ by_x) / std)

    def observe(self, Q: Array, y: Array, variance: Array) -> "GaussianProcess":
        """Condition the process on further values y (c,) at Q (c, f), with noise variances (c,).

        The hyperparameters, and `known`, which tells how noisy the observations are, stay as they are. What is believed
        comes afterwards.
        """
        cross = self.kernel(self.X, Q)
        own = self.kernel(Q) + np.diag(self.noise + variance)
        L = extended(self.L, cross, own, JITTER * self.kernel.variance)
        a, _ = lapack.dpotrs(L, np.append(self.L @ (self.L.T @ self.a), y), lower=1)
        X = np.vstack([self.X, Q])
        return replace(self, X=X, L=L, a=a, means=self.kernel(X) @ a)

    def condition_on_mean(self, Q: Array) -> "GaussianProcess":
        """Condition the process on its own posterior mean at queries Q (b, f)."""
        if not len(Q):
            return self
        cross = self.kernel(self.X, Q)
        own = self.kernel(Q) + self.noise * np.eye(len(Q))
        means = np.append(self.means, self.a @ cross[: len(self.a)])
        L = extended(self.L, cross, own, JITTER * self.kernel.variance)
        return replace(self, X=np.vstack([self.X, Q]), L=L, means=means)

    def fantasize(self, points: Array, count: int, rng: np.random.Generator) -> FantasyModel:
        """Condition on `count` draws of the true values at points (b, f)."""
        return FantasyModel.of(self, points, count, rng)


def condition(
    theta: Array,
    data: TrainingData,
    feature_group: NDArray[np.intp],
    settled: int | None = None,
    cache: ComputationCache | None = None,
) -> GaussianProcess:
    """Return the process with given hyperparameters theta (d + 4,); see `likelihood.py`.

    The factor of the first `settled` observations, or of all, may be found; it is extended by the others.
    """
    kernel = MainEffectsMatern(np.exp(theta[:-4]), feature_group, *(float(v) for v in np.exp(theta[-4:-1])))
    noise, jitter = float(np.exp(theta[-1])), JITTER * kernel.variance
    diagonal = noise + data.noise_variance
    n = len(data) if settled is None else settled
    X, D = data.X[:n], diagonal[:n]

    def make() -> Array:
        return factor(kernel(X) + np.diag(D), jitter)

    L = make() if cache is None else cache.factor([theta, feature_group, X, D], make)
    if n < len(data):
        rest = data.X[n:]
        L = extended(L, kernel(X, rest), kernel(rest) + np.diag(diagonal[n:]), jitter)
    a, _ = lapack.dpotrs(L, data.y, lower=1)
    added = np.einsum("ij,ij->i", L, L) - kernel.variance
    return GaussianProcess(
        kernel, noise, data.X, L, a, data.noise_variance, means=data.y - added * a
    )  # (K - diag(added)) a
