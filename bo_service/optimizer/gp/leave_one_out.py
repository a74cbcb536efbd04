"""Each observation of a Gaussian process predicted from all others, in closed form.

n observations y (n,); K = k(X, X) + v I + diag(w) as in `gaussian_process.py`.

    y_i - mean_-i = [K⁻¹ y]_i / [K⁻¹]_ii     var_-i = 1 / [K⁻¹]_ii         (Rasmussen and Williams 2006, equation 5.12)
"""

import numpy as np
from scipy.linalg import lapack

from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.numerics.array import Array

_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


def leave_one_out(process: GaussianProcess) -> tuple[Array, Array, Array]:
    """Return the observations y (n,), and mean (n,) and std (n,) of each, noise included, given all others.

    The process has no believed points.
    """
    inverse, _ = lapack.dpotri(process.L, lower=1)
    precision = np.diag(inverse)
    y = process.L @ (process.L.T @ process.a)  # K K⁻¹ y
    return y, y - process.a / precision, 1.0 / np.sqrt(precision)


def log_predictive_density(process: GaussianProcess) -> Array:
    """Return log p(y_i | all others) (n,) of each observation; their mean is Geisser and Eddy's (1979) score."""
    y, mean, std = leave_one_out(process)
    return np.asarray(-0.5 * ((y - mean) / std) ** 2 - np.log(std) - _HALF_LOG_2PI)
