"""What a Gaussian process says of several points together, and of its own observations.

n observations X (n, f), y (n,), noise variance v; m queries Q (m, f); K = s² k(X, X) + v I; S draws, F random features.
No believed points: the process is that of the observations alone.

    cov(Q) = s² k(Q, Q) - s⁴ k(Q, X) K⁻¹ k(X, Q)                           (Rasmussen and Williams 2006, equation 2.24)
    y_i - mean_-i = [K⁻¹ y]_i / [K⁻¹]_ii     var_-i = 1 / [K⁻¹]_ii         (the same, equation 5.12)
    f(x) = g(x) + s² k(x, X) K⁻¹ (y - g(X) - e),   e ~ N(0, v I)           (Wilson et al. 2020, arXiv 2002.09309)

g is a draw of the prior: a sum of waves whose frequencies follow the spectral density of Matérn 5/2, a multivariate t
distribution with 5 degrees of freedom (Rahimi and Recht 2007).
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular

from bo_service.core.axes import Array
from bo_service.core.gaussian_process import GaussianProcess

FEATURES = 256
CHUNK = 1 << 21
"""Entries of a matrix that is held at once."""


def joint(process: GaussianProcess, Q: Array) -> tuple[Array, Array]:
    """Mean (m,) and covariance (m, m) of the noise-free values at Q, in warped units."""
    k = process.scale * process.kernel(process.X, Q)
    explained = solve_triangular(process.L, k, lower=True, check_finite=False)
    return process.a @ k, process.scale * process.kernel(Q) - explained.T @ explained


def root(covariance: Array) -> Array:
    """A matrix C (m, m) with C Cᵀ = covariance, also where that is singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def leave_one_out(process: GaussianProcess) -> tuple[Array, Array, Array]:
    """Observations y (n,), and mean (n,) and std (n,) of each, noise included, given all others."""
    inverse, _ = lapack.dpotri(process.L, lower=1)
    precision = np.diag(inverse)
    y = _observed(process)
    return y, y - process.a / precision, 1.0 / np.sqrt(precision)


def paths(process: GaussianProcess, draws: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    """A function of Q (m, f): (m, 1 + S), the posterior mean and then S draws of the posterior, at any points."""
    width = process.X.shape[1]
    length = np.asarray(process.kernel.length_scale)[np.asarray(process.kernel.owner)]
    heavy = np.sqrt(5.0 / rng.chisquare(5.0, (1, FEATURES)))
    waves = (rng.standard_normal((width, FEATURES)) / length[:, None] * heavy).astype(np.float32)
    phases = rng.uniform(0.0, 2.0 * np.pi, FEATURES).astype(np.float32)
    amplitudes = np.sqrt(2.0 * process.scale / FEATURES) * rng.standard_normal((FEATURES, draws))

    def prior(Q: Array) -> Array:  # in single precision, which draws don't need more than, and which is much faster
        return np.asarray(np.cos(Q.astype(np.float32) @ waves + phases) @ amplitudes.astype(np.float32), np.float64)

    noise = np.sqrt(process.noise) * rng.standard_normal((len(process.X), draws))
    residual = _observed(process)[:, None] - prior(process.X) - noise
    weights = np.column_stack([process.a, cho_solve((process.L, True), residual, check_finite=False)])

    def evaluate(Q: Array) -> Array:
        found = process.scale * process.kernel(Q, process.X) @ weights
        found[:, 1:] += prior(Q)
        return np.asarray(found)

    step = max(1, CHUNK // max(len(process.X), FEATURES))
    return lambda Q: np.concatenate([evaluate(Q[i : i + step]) for i in range(0, max(len(Q), 1), step)])


def _observed(process: GaussianProcess) -> Array:
    """y = K K⁻¹ y."""
    return np.asarray(process.L @ (process.L.T @ process.a))
