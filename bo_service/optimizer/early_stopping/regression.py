"""Bayesian linear regression in closed form, for many designs at once.

k designs X (k, n, p), values y (n,), coefficients c (p,), noise variance v. With the conjugate prior
v ~ InverseGamma(A0, b0), c | v ~ N(c0, v·diag(spread²)), the prediction is a Student-t, and the evidence p(y) is known
(Murphy, Machine Learning: A Probabilistic Perspective, 2012, section 7.6.3).
"""

import numpy as np

from bo_service.optimizer.early_stopping.forecast import Forecast
from bo_service.optimizer.numerics.array import Array

A0 = 1.5
"""Half the degrees of freedom of the noise's prior: weak, and its predictive variance is finite."""


def regress(X: Array, y: Array, center: Array, spread: Array, noise: float) -> Forecast:
    """Predict the next observation where the design is (1, 0, …, 0), averaged over the designs by their evidence.

    Args:
        X: (k, n, p).
        y: (n,).
        center: c0 (p,).
        spread: (p,), the coefficients' standard deviations over that of the noise.
        noise: its standard deviation as expected beforehand, above 0.
    """
    n, prior = len(y), np.diag(spread**-2)
    precision = prior + np.swapaxes(X, 1, 2) @ X
    cov = np.linalg.inv(precision)
    residual = y - X @ center  # (k, n): c is told from its prior mean
    moment = np.einsum("kni,kn->ki", X, residual)
    shift = np.einsum("kij,kj->ki", cov, moment)
    a = A0 + n / 2
    b = A0 * noise**2 + 0.5 * np.maximum((residual**2).sum(axis=1) - (moment * shift).sum(axis=1), 0.0)
    inputs = -0.5 * np.linalg.slogdet(precision)[1] - a * np.log(b)
    weights = np.exp(inputs - inputs.max())
    scale = np.sqrt(b / a * (1.0 + cov[:, 0, 0]))
    return Forecast(weights / weights.sum(), center[0] + shift[:, 0], scale, np.full(len(X), 2 * a))
