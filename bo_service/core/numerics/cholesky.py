"""Cholesky factors that exist."""

import numpy as np
from scipy.linalg import cholesky

from bo_service.core.numerics.array import Array


def factor(K: Array, jitter: float) -> Array:
    """The lower Cholesky factor of K (n, n), with as little added to the diagonal as makes it exist."""
    added = 0.0
    while True:
        try:
            return np.asfortranarray(cholesky(K + added * np.eye(len(K)), lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            added = max(10.0 * added, jitter)
