"""Cholesky factors that exist."""

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from bo_service.optimizer.numerics.array import Array


def factor(K: Array, jitter: float) -> Array:
    """Return the lower Cholesky factor of K (n, n), with as little added to the diagonal as makes it exist."""
    added = 0.0
    while True:
        try:
            mended = K + added * np.eye(len(K)) if added else K
            return np.asfortranarray(cholesky(mended, lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            added = max(10.0 * added, jitter)


def extended(L: Array, cross: Array, own: Array, jitter: float) -> Array:
    """Extend the factor L (n, n) of K to the factor (n + b, n + b) of K bordered by cross (n, b) and own (b, b).

    It costs O(n² b) in place of O(n³).
    """
    n, b = cross.shape
    below = solve_triangular(L, cross, lower=True, check_finite=False)
    found = np.zeros((n + b, n + b), order="F")
    found[:n, :n], found[n:, :n] = L, below.T
    found[n:, n:] = factor(own - below.T @ below, jitter)
    return found
