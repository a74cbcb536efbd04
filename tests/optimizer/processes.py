"""Gaussian processes fitted to all that is observed, with nothing to be found."""

import numpy as np

from bo_service.optimizer.gp.fitting import fit
from bo_service.optimizer.gp.gaussian_process import GaussianProcess, condition
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.numerics.computation_cache import CholeskyCache, ComputationCache


def fitted(X: np.ndarray, y: np.ndarray, feature_group: np.ndarray, known: np.ndarray | None = None) -> GaussianProcess:
    """To values (n,) of mean 0 and variance 1, with noise variances that are known beforehand, or none."""
    data = TrainingData.exact(X, y) if known is None else TrainingData(X, y, known)
    return fit(data, data, feature_group, int(feature_group.max()) + 1, (0,), ComputationCache({}, CholeskyCache()))


def conditioned(theta: np.ndarray, X: np.ndarray, y: np.ndarray, feature_group: np.ndarray) -> GaussianProcess:
    """With given hyperparameters."""
    return condition(theta, TrainingData.exact(X, y), feature_group)
