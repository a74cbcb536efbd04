"""How well curves foretell final values: each whole trial's, from the first third of its curve and from all others.

Curves of one study differ in how much they turn late, by more than a normal distribution has room for, so that the
likelihood of all values finds too little of it. Therefore σ_c² and σ² are scaled by the factor of a grid under which
the final values of whole trials are likeliest, with a prior, and so is what is left open of the trials that are paused.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack

from bo_service.optimizer.curves.data import CurveData
from bo_service.optimizer.curves.kernel import CurveKernel
from bo_service.optimizer.numerics.array import Array

FIRST_PART = 0.34
FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
PRIOR_MEAN, PRIOR_STD = float(np.log(8.0)), 0.3
"""Of the logarithm of the factor."""
_HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))


def widened(kernel: CurveKernel, factor: float) -> CurveKernel:
    """Return the kernel with σ_c² and σ² scaled."""
    changed = {name: factor * getattr(kernel, name) for name in ("curve_variance", "noise_variance")}
    return CurveKernel(**(kernel.get_params() | changed))


def calibration_factor(kernel: CurveKernel, data: CurveData) -> float:
    """Return the factor of σ_c² and σ² under which final values are likeliest; the prior's where none can be judged."""
    rows, y = data.rows()
    whole = np.flatnonzero(data.is_whole)
    judged = [i for i in whole if ((rows[:, -1] == i) & (rows[:, -2] <= FIRST_PART)).any()]

    def densities(factor: float) -> Array:
        K = widened(kernel, factor)(rows)
        found = []
        for i in judged:
            is_own = rows[:, -1] == i
            at = int(np.flatnonzero(is_own & (rows[:, -2] == 1.0))[0])
            found.append(_density(K, y, at, ~is_own | (rows[:, -2] <= FIRST_PART)))
        return np.array(found)

    prior = -0.5 * ((np.log(FACTORS) - PRIOR_MEAN) / PRIOR_STD) ** 2
    return FACTORS[int(np.argmax(np.array([densities(factor).sum() for factor in FACTORS]) + prior))]


def _density(K: Array, y: Array, at: int, given: NDArray[np.bool_]) -> float:
    """Return log p(y_at | y of the rows in the mask)."""
    mean, variance = 0.0, float(K[at, at])
    if given.any():
        L, _ = lapack.dpotrf(K[np.ix_(given, given)], lower=1)
        solved = cho_solve((L, True), K[given, at])
        mean, variance = float(solved @ y[given]), max(variance - float(solved @ K[given, at]), 1e-12)
    return -0.5 * (float(y[at]) - mean) ** 2 / variance - 0.5 * float(np.log(variance)) - _HALF_LOG_2PI
