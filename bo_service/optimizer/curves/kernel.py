"""The kernel of the surrogate of curves, as a scikit-learn kernel, with gradients by hyperparameter.

N rows (x, u, i): features x (f,), the part u = t / T of a whole trial in (0, 1], and the number i of the trial.

    y_i(t) = f(x_i) + Σ_j φ_j(u) b_j(x_i) + c_i(u) + ε
    K = k_f(x, x') + Σ_j v_j φ_j(u) φ_j(u') k_b(x, x') + δ_ii' σ_c² w(u, u') + σ² δ

    φ_j(u) = g_j(u) - g_j(1)          the falls of a power, an exponential and a logarithm, as in `extrapolation.py`
    w(u, u') = min(-log u, -log u')   a Brownian motion over log u that ends at 0: a curve may turn at any time
    k_f                               the surrogate's kernel of whole trials (`gp/kernels.py`)
    k_b(x, x') = 1 + M(r² / ρ²)       Matérn 5/2, in ρ times the length scales of k_f; the 1 is what all curves share

φ_j(1) = w(1, ·) = 0, so that the value at the end is f(x) but for the noise. v_j, σ_c² and σ² are variances.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from bo_service.optimizer.gp.kernels import (
    LENGTH_SCALE_BOUNDS,
    STRETCH_BOUNDS,
    VARIANCE_BOUNDS,
    MainEffectsMatern,
    matern52,
    squared_by_group,
)
from bo_service.optimizer.numerics.array import Array

SHAPES = 3
NOISE_BOUNDS = (1e-8, 10.0)


def falls(u: Array) -> Array:
    """Return φ (…, 3) at parts u (…) of a whole trial, each in (0, 1]."""
    power, exponential = 1.0 / (1.0 + u / 0.1), np.exp(-u / 0.2)
    logarithm = 1.0 / (1.0 + np.log1p(u / 0.02))
    ends = 1.0 / 11.0, np.exp(-5.0), 1.0 / (1.0 + np.log(51.0))
    return np.stack([power, exponential, logarithm], axis=-1) - np.array(ends)


def wander(u: Array, v: Array) -> Array:
    """Return w of parts u and v of a whole trial, which broadcast."""
    return np.minimum(-np.log(u), -np.log(v))


class CurveKernel(Kernel):
    """The covariance of values on learning curves; the noise is that of rows with themselves alone.

    Args:
        length_scale: of k_f (d,).
        feature_group: (f,), the parameter of each feature.
        main_length_ratio: of k_f.
        interaction_variance: of k_f.
        main_effect_variance: of k_f.
        shape_length_ratio: ρ.
        shape_variance: v (3,).
        curve_variance: σ_c².
        noise_variance: σ².
    """

    def __init__(
        self,
        length_scale: Sequence[float] | Array,
        feature_group: Sequence[int] | NDArray[np.intp],
        main_length_ratio: float = 1.0,
        interaction_variance: float = 1.0,
        main_effect_variance: float = 1.0,
        shape_length_ratio: float = 1.0,
        shape_variance: Sequence[float] | Array = (1.0, 1.0, 1.0),
        curve_variance: float = 1.0,
        noise_variance: float = 1.0,
    ) -> None:
        self.length_scale = length_scale
        self.feature_group = feature_group
        self.main_length_ratio = main_length_ratio
        self.interaction_variance = interaction_variance
        self.main_effect_variance = main_effect_variance
        self.shape_length_ratio = shape_length_ratio
        self.shape_variance = shape_variance
        self.curve_variance = curve_variance
        self.noise_variance = noise_variance

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
    def hyperparameter_shape_length_ratio(self) -> Any:
        """The description of ρ for scikit-learn."""
        return Hyperparameter("shape_length_ratio", "numeric", STRETCH_BOUNDS)

    @property
    def hyperparameter_shape_variance(self) -> Any:
        """The description of v for scikit-learn."""
        return Hyperparameter("shape_variance", "numeric", VARIANCE_BOUNDS, SHAPES)

    @property
    def hyperparameter_curve_variance(self) -> Any:
        """The description of σ_c² for scikit-learn."""
        return Hyperparameter("curve_variance", "numeric", VARIANCE_BOUNDS)

    @property
    def hyperparameter_noise_variance(self) -> Any:
        """The description of σ² for scikit-learn."""
        return Hyperparameter("noise_variance", "numeric", NOISE_BOUNDS)

    @property
    def final(self) -> MainEffectsMatern:
        """The kernel k_f of the final values, over features alone."""
        return MainEffectsMatern(
            self.length_scale,
            self.feature_group,
            self.main_length_ratio,
            self.interaction_variance,
            self.main_effect_variance,
        )

    def shape(self, X: Array, Y: Array) -> Array:
        """Return k_b (n, m) between features X (n, f) and Y (m, f)."""
        scale = (self.shape_length_ratio * np.asarray(self.length_scale))[np.asarray(self.feature_group)]
        return 1.0 + matern52(cdist(X / scale, Y / scale, "sqeuclidean"))[0]

    def is_stationary(self) -> bool:
        """Return False: the covariance depends on the steps themselves."""
        return False

    def diag(self, X: Array) -> Array:
        """Return k(row, row) (N,) of the rows (N, f + 2), the noise included."""
        u = X[:, -2]
        shapes = 2.0 * (falls(u) ** 2) @ np.asarray(self.shape_variance)
        return self.final.variance + shapes + self.curve_variance * wander(u, u) + self.noise_variance

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:
        """Return k(X, Y) (N, M) between rows; the noise is on the diagonal where Y is None.

        With `eval_gradient` it returns its gradient (N, N, d + 9) by the logarithms of theta as well.
        """
        if eval_gradient:
            if Y is not None:
                raise ValueError("a gradient by hyperparameter is defined for Y = None alone")
            return self._with_gradient(X)
        own, other = X, X if Y is None else Y
        K = self.final(own[:, :-2], other[:, :-2])
        K += self._falls(own, other) * self.shape(own[:, :-2], other[:, :-2]) + self._curves(own, other)
        if Y is None:
            K[np.diag_indices(len(X))] += self.noise_variance
        return K

    def _falls(self, X: Array, Y: Array) -> Array:
        return (falls(X[:, -2]) * np.asarray(self.shape_variance)) @ falls(Y[:, -2]).T

    def _curves(self, X: Array, Y: Array) -> Array:
        is_same = X[:, -1][:, None] == Y[:, -1][None]
        return self.curve_variance * wander(X[:, -2][:, None], Y[:, -2][None]) * is_same

    def _with_gradient(self, X: Array) -> tuple[Array, Array]:
        features, phi = X[:, :-2], falls(X[:, -2])
        K, of_final = self.final(features, eval_gradient=True)  # by s², l (d,), t², γ
        squares = squared_by_group(features, np.asarray(self.feature_group), len(self.length_scale))
        weights = (self.shape_length_ratio * np.asarray(self.length_scale, dtype=np.float64)) ** -2
        whole, slope = matern52(np.tensordot(weights, squares, 1))
        outer = self._falls(X, X)
        by_length = 2.0 * outer * slope * squares * weights[:, None, None]
        by_shape = [
            v * np.outer(p, p) * (1.0 + whole)
            for v, p in zip(np.asarray(self.shape_variance, dtype=np.float64), phi.T, strict=True)
        ]
        curves, noise = self._curves(X, X), self.noise_variance * np.eye(len(X))
        lengths = of_final[:, :, 1:-2] + np.moveaxis(by_length, 0, 2)
        parts = [
            curves[:, :, None],
            of_final[:, :, :1],
            lengths,
            of_final[:, :, -2:],
            noise[:, :, None],
            by_length.sum(axis=0)[:, :, None],
            np.stack(by_shape, axis=2),
        ]  # in the alphabetical order of the hyperparameters, as scikit-learn has them
        return K + sum(by_shape) + curves + noise, np.concatenate(parts, axis=2)
