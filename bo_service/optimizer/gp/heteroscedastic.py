"""Noise that differs from place to place, where repeated trials show it.

n observations X (n, f), y (n,); places that were tried more than once with results that differ, place i of them r_i
times, with sample variance s_i² and ν_i = r_i - 1 degrees of freedom.

    log s_i² - ψ(ν_i/2) + log(ν_i/2)  =  log v(x_i) + e_i,    var e_i = ψ'(ν_i/2)

v, the variance of the noise, is a Gaussian process on its logarithm (stochastic kriging: Ankenman et al. 2010,
Operations Research 58:371). ψ and ψ' are the digamma and trigamma functions: they give the mean and the variance of the
logarithm of a χ² over its degrees of freedom. It is learned only where variances differ by more than chance allows
(Bartlett 1937); else all observations share the noise that the likelihood finds.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, digamma, polygamma

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.fitting import fit_on
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.numerics.array import Array

LEAST_PLACES = 4
SIGNIFICANCE = 0.01


def extra_noise_variance(encoded: EncodedData, X: Array, y: Array, *purpose: int) -> Array:
    """Return variances (n,) of the observations' noise beyond the least of them; zeros where they don't differ."""
    first, group = np.unique(X, axis=0, return_index=True, return_inverse=True)[1:]
    group = group.reshape(-1)
    counts: NDArray[np.intp] = np.bincount(group)
    sums = np.bincount(group, y)
    squares = np.bincount(group, (y - (sums / counts)[group]) ** 2)
    often = (counts >= 2) & (squares > 0.0)
    if often.sum() < LEAST_PLACES:
        return np.zeros(len(y))
    freedom = np.asarray(counts[often] - 1.0, dtype=np.float64)
    variances: Array = squares[often] / freedom
    if _chance_of_equal(variances, freedom) > SIGNIFICANCE:
        return np.zeros(len(y))
    logs = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    center, spread = float(logs.mean()), float(logs.std()) or 1.0
    known = polygamma(1, freedom / 2) / spread**2
    data = TrainingData(X[first[often]], (logs - center) / spread, known)
    process = fit_on(encoded, data, data, *purpose)
    smooth = np.exp(center + spread * process.mean(X))
    return np.asarray(smooth - smooth.min())


def _chance_of_equal(variances: Array, freedom: Array) -> float:
    """Return the p-value of Bartlett's test: how likely equal variances are to differ as much as these."""
    total, places = freedom.sum(), len(freedom)
    pooled = freedom @ variances / total
    statistic = total * np.log(pooled) - freedom @ np.log(variances)
    correction = 1.0 + ((1.0 / freedom).sum() - 1.0 / total) / (3.0 * (places - 1))
    return float(chdtrc(places - 1, statistic / correction))
