"""The surrogate's kernel, as a scikit-learn kernel, with gradients by hyperparameter and by input.

n rows X (n, f), m rows Y (m, f); feature_group (f,) in 0..d-1, the parameter of each feature; one length scale l for
each of d parameters; γ the ratio of the main effects' length scales to these.

    r²_i = Σ_{k of parameter i} (x_k - y_k)² / l_i²                r² = Σ_i r²_i
    k(x, y) = s² M(r²) + t²/d Σ_i R(r²_i / γ²)                     all parameters together, and each for itself
    M(r²) = (1 + a + a²/3) exp(-a),  a = √5 r                      Matérn 5/2 (Rasmussen and Williams 2006, 4.17)
    R(r²) = (1 + r²/4)⁻²                                           rational quadratic, α = 2 (the same, 4.19)

The second part is a Gaussian process of main effects (Duvenaud et al. 2011, arXiv 1112.4394): mostly, what a parameter
does for itself is most of what it does, and that is learned from far fewer trials than what parameters do together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, StationaryKernelMixin

from bo_service.optimizer.numerics.array import Array

LENGTH_SCALE_BOUNDS = (0.01, 100.0)
STRETCH_BOUNDS = (0.01, 100.0)
VARIANCE_BOUNDS = (1e-5, 1e5)
IN_CACHE = 2**16
"""Numbers that are worked on at once: a processor's cache holds a few times as many."""


def matern52(r2: Array) -> tuple[Array, Array]:
    """Return M and -∂M/∂r² at squared scaled distances, of the same shape."""
    a = np.sqrt(5.0 * r2)
    e = np.exp(-a)
    slope = (1.0 + a) * e
    return slope + (a * a / 3.0) * e, (5.0 / 6.0) * slope


def rational(r2: Array) -> tuple[Array, Array]:
    """Return R and -∂R/∂r² at squared scaled distances, of the same shape."""
    inverse = 1.0 / (1.0 + 0.25 * r2)
    square = inverse * inverse
    return square, 0.5 * square * inverse


class MainEffectsMatern(StationaryKernelMixin, Kernel):
    """Matérn 5/2 of all parameters and main effects of each; features of one parameter share a length scale.

    Made for scikit-learn: it composes with its other kernels and works in its GaussianProcessRegressor.

    Args:
        length_scale: l (d,).
        feature_group: (f,), the parameter of each feature.
        main_length_ratio: γ, the length scales of the main effects in those of the whole.
        interaction_variance: s², the variance of the whole.
        main_effect_variance: t², the variance of the main effects together.
    """

    def __init__(
        self,
        length_scale: Sequence[float] | Array,
        feature_group: Sequence[int] | NDArray[np.intp],
        main_length_ratio: float = 1.0,
        interaction_variance: float = 1.0,
        main_effect_variance: float = 1.0,
    ) -> None:
        self.length_scale = length_scale
        self.feature_group = feature_group
        self.main_length_ratio = main_length_ratio
        self.interaction_variance = interaction_variance
        self.main_effect_variance = main_effect_variance

    @property
    def hyperparameter_length_scale(self) -> Any:
        """The description of the length scales for scikit-learn."""
        return Hyperparameter("length_scale", "numeric", LENGTH_SCALE_BOUNDS, len(self.length_scale))

    @property
    def hyperparameter_main_length_ratio(self) -> Any:
        """The description of γ for scikit-learn."""
        return Hyperparameter("main_length_ratio", "numeric", STRETCH_BOUNDS)

    @property
    def hyperparameter_interaction_variance(self) -> Any:
        """The description of s² for scikit-learn."""
        return Hyperparameter("interaction_variance", "numeric", VARIANCE_BOUNDS)

    @property
    def hyperparameter_main_effect_variance(self) -> Any:
        """The description of t² for scikit-learn."""
        return Hyperparameter("main_effect_variance", "numeric", VARIANCE_BOUNDS)

    @property
    def variance(self) -> float:
        """The variance k(x, x), the same everywhere."""
        return float(self.interaction_variance + self.main_effect_variance)

    def diag(self, X: Array) -> Array:
        """Return k(x, x) (n,) of the rows of X."""
        return np.full(len(X), self.variance)

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:
        """Return k(X, Y) (n, m).

        With `eval_gradient` it returns its gradient (n, n, d + 3) by the logarithms of theta as well.
        """
        if not eval_gradient:
            return self._covariance(X, X if Y is None else Y)
        if Y is not None:
            raise ValueError("a gradient by hyperparameter is defined for Y = None alone")
        weights = self._weights()
        parts = squared_by_group(X, np.asarray(self.feature_group), len(weights)) * weights[:, None, None]
        whole, slope = matern52(parts.sum(axis=0))
        each, each_slope = rational(parts / self.main_length_ratio**2)
        share = self.main_effect_variance / len(weights)
        effects = share * each.sum(axis=0)
        stretched = 2.0 * share * each_slope * parts / self.main_length_ratio**2
        by_length = 2.0 * self.interaction_variance * slope * parts + stretched
        by_theta = [self.interaction_variance * whole, *by_length, effects, stretched.sum(axis=0)]
        return self.interaction_variance * whole + effects, np.stack(by_theta, axis=2)

    def _covariance(self, X: Array, Y: Array) -> Array:
        found = np.empty((len(X), len(Y)))
        rows = max(1, IN_CACHE // max(1, len(Y)))
        for i in range(0, len(X), rows):
            found[i : i + rows] = self._block(X[i : i + rows], Y)
        return found

    def _block(self, X: Array, Y: Array) -> Array:
        weights, feature_group = self._weights(), np.asarray(self.feature_group)
        r2 = np.zeros((len(X), len(Y)))
        effects = np.zeros_like(r2)
        for k, weight in enumerate(weights):  # in place, as most of the time goes to memory: R = (1 + part/4)⁻²
            part = cdist(X[:, feature_group == k], Y[:, feature_group == k], "sqeuclidean")
            part *= weight
            r2 += part
            part *= 0.25 / self.main_length_ratio**2
            part += 1.0
            part *= part
            effects += np.reciprocal(part, out=part)
        return self.interaction_variance * matern52(r2)[0] + (self.main_effect_variance / len(weights)) * effects

    def with_gradient(self, x: Array, Y: Array) -> tuple[Array, Array]:
        """Return k(x, Y) (m,) of one row x (f,), and its gradient (m, f) by x."""
        weights, feature_group = self._weights(), np.asarray(self.feature_group)
        difference = x - Y
        parts = (difference * difference) @ (np.eye(len(weights))[feature_group] * weights)
        whole, slope = matern52(parts.sum(axis=1))
        each, each_slope = rational(parts / self.main_length_ratio**2)
        share = self.main_effect_variance / len(weights)
        by_part = self.interaction_variance * slope[:, None] + (share / self.main_length_ratio**2) * each_slope
        k = self.interaction_variance * whole + share * each.sum(axis=1)
        return k, -2.0 * by_part[:, feature_group] * difference * weights[feature_group]

    def _weights(self) -> Array:
        return 1.0 / np.asarray(self.length_scale, dtype=np.float64) ** 2


def squared_by_group(X: Array, feature_group: NDArray[np.intp], count: int) -> Array:
    """Return squared distances (count, n, n) between the rows of X, by feature_group of the features."""
    return np.stack([cdist(X[:, feature_group == k], X[:, feature_group == k], "sqeuclidean") for k in range(count)])
