"""The hyperparameters of the surrogate of curves: maximum a posteriori, from few curves and seldom.

theta (d + 9,) = the logarithms of the hyperparameters of `CurveKernel`, in its order; d parameters vary. The values at
the ends have variance 1, about.

    log p(y | theta) = -1/2 yᵀ K⁻¹ y - 1/2 log |K| + …        ∂/∂theta_k = 1/2 tr((a aᵀ - K⁻¹) ∂K/∂theta_k), a = K⁻¹ y

They are learned from whole curves, and from the first value of the others: these stay as they are while trials go on,
so that the same hyperparameters serve until another trial ends or eight more have begun.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from bo_service.optimizer.curves.data import CurveData
from bo_service.optimizer.curves.kernel import SHAPES, CurveKernel
from bo_service.optimizer.gp.priors import Prior
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.lbfgsb import minimize_lbfgsb

MOST_WHOLE, MOST_OTHERS = 24, 60
"""Curves that hyperparameters are learned from, the last ones of each kind."""
APART = 8
"""Trials from one milestone to the next."""
STARTS, FIRST_STEPS, LAST_STEPS = 2, 8, 40


def teaching_part(data: CurveData) -> CurveData:
    """Return the part of curves, in the order of their trials, that hyperparameters are learned from."""
    whole, count = np.flatnonzero(data.is_whole), len(data) - len(data) % APART
    others = np.flatnonzero(~data.is_whole[:count])
    mask = np.zeros_like(data.mask)
    mask[whole[-MOST_WHOLE:]] = True
    mask[others[-MOST_OTHERS:], 0] = True
    return data.only(mask)


def prior_of(d: int) -> Prior:
    """Return the prior of theta for d varying parameters; that of k_f is that of the surrogate of whole trials."""
    whole = Prior.over(d)

    def vector(part: Array, curve: float, noise: float, ratio: float, shape: float) -> Array:
        joint, main = part[d + 1], part[d + 2]
        return np.array([curve, joint, *part[:d], main, part[d], noise, ratio, *[shape] * SHAPES])

    log = np.log
    return Prior(
        mean=vector(whole.mean, log(0.05), log(1e-3), log(1.5), log(1.0)),
        std=vector(whole.std, 1.0, 1.5, 0.7, 1.5),
        low=vector(whole.low, log(1e-4), log(1e-6), log(0.1), log(1e-3)),
        high=vector(whole.high, log(2.0), log(1.0), log(20.0), log(50.0)),
    )


def kernel_with(theta: Array, d: int, feature_group: NDArray[np.intp]) -> CurveKernel:
    """Return the kernel with hyperparameters theta."""
    curve, joint, *rest = np.exp(theta).tolist()
    lengths, (main, ratio, noise, shape_ratio, *shapes) = np.array(rest[:d]), rest[d:]
    return CurveKernel(lengths, feature_group, ratio, joint, main, shape_ratio, np.array(shapes), curve, noise)


def learn(data: CurveData, d: int, feature_group: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Return theta (d + 9,) of the highest posterior density found."""
    likelihood, prior = _Likelihood(*data.rows(), d, feature_group), prior_of(d)

    def loss(theta: Array) -> tuple[float, Array]:
        value, gradient = likelihood.with_gradient(theta)
        log_prior, slope = prior.log_density(theta)
        if not np.isfinite(value):
            return 1e25, np.zeros_like(theta)
        return -(value + log_prior), -(gradient + slope)

    starts = prior.starts(STARTS, rng)
    found = [minimize_lbfgsb(loss, start, prior.low, prior.high, FIRST_STEPS) for start in starts]
    best = min(found, key=lambda pair: pair[0])[1]
    return minimize_lbfgsb(loss, best, prior.low, prior.high, LAST_STEPS)[1]


@dataclass(frozen=True)
class _Likelihood:
    """The log marginal likelihood of rows (N, f + 2) with values (N,), up to a constant."""

    rows: Array
    y: Array
    d: int
    feature_group: NDArray[np.intp]

    def with_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return it and its gradient (d + 9,); -inf and zeros where K can't be factored."""
        K, by_theta = kernel_with(theta, self.d, self.feature_group)(self.rows, eval_gradient=True)
        L, info = lapack.dpotrf(K, lower=1)
        if info:
            return -np.inf, np.zeros_like(theta)
        a, _ = lapack.dpotrs(L, self.y, lower=1)
        inverse, _ = lapack.dpotri(L, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        value = -0.5 * float(self.y @ a) - float(np.log(np.diag(L)).sum())
        return value, 0.5 * np.tensordot(np.outer(a, a) - inverse, by_theta, 2)
