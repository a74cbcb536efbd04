"""The surrogate's hyperparameters: maximum a posteriori, by scipy's L-BFGS-B from several starts.

n observations X (n, f), y (n,) with known noise variances w (n,); d varying parameters; N = n (n - 1) / 2 pairs i < j.
theta (d + 4,) = log length scales, log γ, log s², log t², log noise variance v; see `kernels.py`.

    K = k(X, X) + v I + diag(w)           log p(y | theta) = -1/2 yᵀ K⁻¹ y - 1/2 log |K| - n/2 log 2π
    ∂/∂theta_k = 1/2 tr((a aᵀ - K⁻¹) ∂K/∂theta_k),   a = K⁻¹ y      (Rasmussen and Williams 2006, equation 5.9)

Squared distances are kept by parameter and for each pair once: (d, N). A step costs O(n³ + d N), in a few calls.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from bo_service.optimizer.gp.kernels import matern52, squared_by_group
from bo_service.optimizer.gp.priors import Prior
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.lbfgsb import minimize_lbfgsb

STARTS = 6
FIRST_STEPS, LAST_STEPS = 12, 60
FINISHERS = 2


class Likelihood:
    """The log marginal likelihood of some observations as a function of theta."""

    def __init__(
        self, X: Array, y: Array, feature_group: NDArray[np.intp], d: int, noise_variance: Array | None = None
    ) -> None:
        self.y, self.d, self.n = y, d, len(y)
        self.known = np.zeros(self.n) if noise_variance is None else noise_variance
        self.rows, self.columns = np.tril_indices(self.n, -1)
        self.parts = squared_by_group(X, feature_group, d)[:, self.rows, self.columns]

    def value(self, theta: Array) -> float:
        """Return log p(y | theta); -inf where K can't be factored."""
        solved = self._solve(theta, _Pairs.of(theta, self.parts))
        return -np.inf if solved is None else solved[0]

    def with_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return log p(y | theta) and its gradient (d + 4,); -inf and zeros where K can't be factored."""
        d, pairs = self.d, _Pairs.of(theta, self.parts)
        solved = self._solve(theta, pairs)
        if solved is None:
            return -np.inf, np.zeros_like(theta)
        value, L, a = solved
        joint, main, noise = np.exp(theta[d + 1 :])
        inverse, _ = lapack.dpotri(L, lower=1)
        by_k = a[self.rows] * a[self.columns] - inverse[self.rows, self.columns]
        own = 0.5 * float((a * a - np.diag(inverse)).sum())
        stretched = main / d * pairs.narrow * ((self.parts * pairs.cubes) @ by_k)
        gradient = np.empty_like(theta)
        gradient[:d] = 2.0 * joint * pairs.weights * (self.parts @ (by_k * pairs.slope)) + stretched
        gradient[d] = stretched.sum()
        gradient[d + 1] = joint * (float(by_k @ pairs.whole) + own)
        gradient[d + 2] = main * (float(by_k @ pairs.effects) + own)
        gradient[d + 3] = noise * own
        return value, gradient

    def _solve(self, theta: Array, pairs: "_Pairs") -> tuple[float, Array, Array] | None:
        """Return log p(y | theta), the factor L of K and a = K⁻¹ y; None where K can't be factored."""
        joint, main, noise = np.exp(theta[self.d + 1 :])
        K = np.zeros((self.n, self.n), order="F")
        K[self.rows, self.columns] = joint * pairs.whole + main * pairs.effects
        np.fill_diagonal(K, joint + main + noise + self.known)
        L, info = lapack.dpotrf(K, lower=1, overwrite_a=1)
        if info:
            return None
        a, _ = lapack.dpotrs(L, self.y, lower=1)
        value = -0.5 * float(self.y @ a) - float(np.log(np.diag(L)).sum()) - 0.5 * self.n * np.log(2.0 * np.pi)
        return value, L, a


@dataclass(frozen=True)
class _Pairs:
    """The kernel's terms for every pair, without their variances; see `kernels.py`."""

    weights: Array
    """1/l² (d,)."""
    narrow: Array
    """1/(γ l)² (d,)."""
    whole: Array
    slope: Array
    """M and its slope (N,)."""
    effects: Array
    """The mean of R (N,) over the parameters."""
    cubes: Array
    """Twice the slopes of R (d, N), by parameter."""

    @classmethod
    def of(cls, theta: Array, parts: Array) -> "_Pairs":
        d = len(parts)
        weights = np.exp(-2.0 * theta[:d])
        narrow = weights * np.exp(-2.0 * theta[d])
        whole, slope = matern52(weights @ parts)
        # In place, as most of a fit's time is spent here: R is the square of 1/(1 + r²/4), twice its slope the cube.
        each = parts * (0.25 * narrow)[:, None]
        each += 1.0
        np.reciprocal(each, out=each)
        squares = each * each
        each *= squares
        return cls(weights, narrow, whole, slope, squares.sum(axis=0) / d, each)


def fit_hyperparameters(likelihood: Likelihood, rough: Likelihood, prior: Prior, rng: np.random.Generator) -> Array:
    """Return theta (d + 4,) of the highest posterior density found.

    The density has several modes, so that climbing begins at several places; the most promising are climbed to the end.
    The first steps go by `rough`, which may be of fewer observations: where there are many, few tell the modes apart.
    """
    starts = prior.starts(STARTS, rng)
    first = sorted((_ascend(rough, prior, start, FIRST_STEPS) for start in starts), key=lambda pair: pair[0])
    finishers = FINISHERS if rough.n == likelihood.n else 1
    last = (_ascend(likelihood, prior, theta, LAST_STEPS) for _, theta in first[:finishers])
    return min(last, key=lambda pair: pair[0])[1]


def _ascend(likelihood: Likelihood, prior: Prior, theta: Array, steps: int) -> tuple[float, Array]:
    """Return the negative posterior density after so many steps, and where."""

    def loss(theta: Array) -> tuple[float, Array]:
        value, gradient = likelihood.with_gradient(theta)
        log_prior, slope = prior.log_density(theta)
        if not np.isfinite(value):
            return 1e25, np.zeros_like(theta)
        return -(value + log_prior), -(gradient + slope)

    return minimize_lbfgsb(loss, theta, prior.low, prior.high, steps)
