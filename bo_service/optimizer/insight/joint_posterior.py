"""What a Gaussian process says of several points together.

n observations X (n, f), y (n,), noise variance v and known ones w; m queries Q (m, f); K = k(X, X) + v I + diag(w);
S draws, F random features of the whole and as many of the main effects.
No believed points: the process is that of the observations alone.

    cov(Q) = k(Q, Q) - k(Q, X) K⁻¹ k(X, Q)                                 (Rasmussen and Williams 2006, equation 2.24)
    f(x) = g(x) + k(x, X) K⁻¹ (y - g(X) - e),   e ~ N(0, v I + diag(w))    (Wilson et al. 2020, arXiv 2002.09309)

g is a draw of the prior: a sum of waves whose frequencies follow the spectral density (Rahimi and Recht 2007): that of
Matérn 5/2 is a multivariate t distribution with 5 degrees of freedom; the rational quadratic R of one parameter's main
effect is a mixture of Gaussians, exp(-τ r²/2) with τ ~ Gamma(2, 2).
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.gp.kernels import MainEffectsMatern
from bo_service.optimizer.numerics.array import Array

FEATURES = 256
CHUNK = 1 << 21
"""Entries of a matrix that is held at once."""


def joint(process: GaussianProcess, Q: Array) -> tuple[Array, Array]:
    """Return mean (m,) and covariance (m, m) of the noise-free values at Q, in warped units."""
    k = process.kernel(process.X, Q)
    explained = solve_triangular(process.L, k, lower=True, check_finite=False)
    return process.a @ k, process.kernel(Q) - explained.T @ explained


def matrix_sqrt(covariance: Array) -> Array:
    """Return a matrix C (m, m) with C Cᵀ = covariance, also where that is singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def paths(process: GaussianProcess, draws: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    """Return a function of Q (m, f): (m, 1 + S), the posterior mean and then S draws of the posterior, anywhere."""
    prior = _prior_draws(process.kernel, draws, rng)
    noise = np.sqrt(process.noise + process.known)[:, None] * rng.standard_normal((len(process.X), draws))
    residual = _observed(process)[:, None] - prior(process.X) - noise
    weights = np.column_stack([process.a, cho_solve((process.L, True), residual, check_finite=False)])

    def evaluate(Q: Array) -> Array:
        found = process.kernel(Q, process.X) @ weights
        found[:, 1:] += prior(Q)
        return np.asarray(found)

    step = max(1, CHUNK // max(len(process.X), 2 * FEATURES))
    return lambda Q: np.concatenate([evaluate(Q[i : i + step]) for i in range(0, max(len(Q), 1), step)])


def _prior_draws(kernel: MainEffectsMatern, draws: int, rng: np.random.Generator) -> Callable[[Array], Array]:
    """Return a function of Q (m, f): (m, S) draws of the prior."""
    frequencies = np.hstack([_whole_frequencies(kernel, rng), _main_frequencies(kernel, rng)]).astype(np.float32)
    phases = rng.uniform(0.0, 2.0 * np.pi, 2 * FEATURES).astype(np.float32)
    power = np.repeat([kernel.interaction_variance, kernel.main_effect_variance], FEATURES)[:, None]
    amplitudes = np.sqrt(2.0 * power / FEATURES) * rng.standard_normal((len(power), draws))

    def evaluate(Q: Array) -> Array:  # in single precision, which draws don't need more than, and which is much faster
        waves = np.cos(np.asarray(Q, np.float32) @ frequencies + phases)
        return np.asarray(waves @ amplitudes.astype(np.float32), np.float64)

    return evaluate


def _whole_frequencies(kernel: MainEffectsMatern, rng: np.random.Generator) -> Array:
    """Draw frequencies (f, F) of the Matérn kernel of all parameters."""
    length = np.asarray(kernel.length_scale)[np.asarray(kernel.feature_group)]
    heavy = np.sqrt(5.0 / rng.chisquare(5.0, FEATURES))
    return np.asarray(rng.standard_normal((len(length), FEATURES)) / length[:, None] * heavy)


def _main_frequencies(kernel: MainEffectsMatern, rng: np.random.Generator) -> Array:
    """Draw frequencies (f, F), each of one parameter's main effect, in turn."""
    feature_group = np.asarray(kernel.feature_group)
    length = kernel.main_length_ratio * np.asarray(kernel.length_scale)[feature_group]
    turn = np.arange(FEATURES) % len(kernel.length_scale)
    spread = np.sqrt(rng.gamma(2.0, 0.5, FEATURES))
    drawn = rng.standard_normal((len(feature_group), FEATURES)) / length[:, None] * spread
    return np.where(feature_group[:, None] == turn, drawn, 0.0)


def _observed(process: GaussianProcess) -> Array:
    """Compute y = K K⁻¹ y."""
    return np.asarray(process.L @ (process.L.T @ process.a))
