"""The surrogate's kernel, as a scikit-learn kernel, with gradients by hyperparameter and by input.

n rows X (n, f), m rows Y (m, f); owner (f,) in 0..d-1; one length scale l for each of d owners.

    r² = Σ_k (x_k - y_k)² / l²_owner(k)        a = √5 r
    k(x, y) = (1 + a + a²/3) exp(-a)           Matérn 5/2 (Rasmussen and Williams 2006, equation 4.17)
    ∂k/∂r² = -5/6 (1 + a) exp(-a)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, NormalizedKernelMixin, StationaryKernelMixin

from bo_service.core.axes import Array

LENGTH_SCALE_BOUNDS = (0.01, 100.0)


def matern52(r2: Array) -> tuple[Array, Array]:
    """k and -∂k/∂r² at squared scaled distances, of the same shape."""
    a = np.sqrt(5.0 * r2)
    e = np.exp(-a)
    slope = (1.0 + a) * e
    return slope + (a * a / 3.0) * e, (5.0 / 6.0) * slope


class GroupedMatern(StationaryKernelMixin, NormalizedKernelMixin, Kernel):
    """Matérn 5/2 whose length scales are shared by the features of one parameter.

    Made for scikit-learn: it composes with its other kernels and works in its GaussianProcessRegressor.
    """

    def __init__(
        self,
        length_scale: Sequence[float] | Array,
        owner: Sequence[int] | NDArray[np.intp],
        length_scale_bounds: tuple[float, float] = LENGTH_SCALE_BOUNDS,
    ) -> None:
        self.length_scale = length_scale
        self.owner = owner
        self.length_scale_bounds = length_scale_bounds

    @property
    def hyperparameter_length_scale(self) -> Any:
        """scikit-learn's description of the length scales."""
        return Hyperparameter("length_scale", "numeric", self.length_scale_bounds, len(self.length_scale))

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False) -> Any:
        """(n, m), and with `eval_gradient` also its gradient (n, n, d) by the logarithms of the length scales."""
        if not eval_gradient:
            return matern52(self._squared(X, X if Y is None else Y))[0]
        if Y is not None:
            raise ValueError("a gradient by hyperparameter is defined for Y = None alone")
        k, slope = matern52(self._squared(X, X))
        length = np.asarray(self.length_scale)
        parts = squared_by_owner(X, np.asarray(self.owner), len(length))
        return k, np.moveaxis(2.0 * slope * parts / length[:, None, None] ** 2, 0, 2)

    def with_gradient(self, x: Array, Y: Array) -> tuple[Array, Array]:
        """k(x, Y) (m,) of one row x (f,), and its gradient (m, f) by x."""
        weights = self._weights()
        difference = x - Y
        k, slope = matern52((difference * difference) @ weights)
        return k, -2.0 * slope[:, None] * difference * weights

    def _squared(self, X: Array, Y: Array) -> Array:
        scale = np.sqrt(self._weights())
        return cdist(X * scale, Y * scale, "sqeuclidean")

    def _weights(self) -> Array:
        return 1.0 / np.asarray(self.length_scale)[np.asarray(self.owner)] ** 2


def squared_by_owner(X: Array, owner: NDArray[np.intp], count: int) -> Array:
    """(count, n, n): squared distances between the rows of X, by owner of the features."""
    found = np.zeros((count, len(X), len(X)))
    for k in range(count):
        columns = X[:, owner == k]
        if columns.shape[1]:
            found[k] = cdist(columns, columns, "sqeuclidean")
    return found
