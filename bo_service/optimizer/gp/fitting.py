"""Gaussian processes fitted to observations: their hyperparameters learned, and conditioned on what tells most.

n observations; m <= n of them are from before the last milestone of `schedule.py`.
"""

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.gaussian_process import GaussianProcess, condition
from bo_service.optimizer.gp.likelihood import Likelihood, fit_hyperparameters
from bo_service.optimizer.gp.observations import TrainingData, select_subset
from bo_service.optimizer.gp.priors import Prior
from bo_service.optimizer.numerics.array import Array, Seed
from bo_service.optimizer.numerics.computation_cache import ComputationCache

MAX_FIT = 200
"""The hyperparameters are learned from at most so many observations: by then they hardly change."""
MAX_ROUGH_FIT = 60
"""Their modes are told apart by at most so many."""
MAX_CONDITIONED = 1500
"""The posterior rests on at most so many of those from before the milestone."""


def fit_on(encoded: EncodedData, data: TrainingData, early: TrainingData, *purpose: int) -> GaussianProcess:
    """Fit as `fit` does, for one purpose, over the parameters of a search space."""
    encoding = encoded.encoding
    d = max(len(encoding.blocks), 1)
    return fit(data, early, encoding.feature_group, d, encoded.seed(*purpose), encoded.cache)


def fit(
    data: TrainingData,
    early: TrainingData,
    feature_group: NDArray[np.intp],
    d: int,
    seed: Seed,
    cache: ComputationCache,
) -> GaussianProcess:
    """Return the process of `data`, n >= 1, with the hyperparameters of `early`.

    Args:
        data: what it rests on, in the order of trials.
        early: the first of them, up to the last milestone, as they were seen then.
        feature_group: (f,), the parameter of each feature.
        d: how many parameters vary.
        seed: for the places where the search for hyperparameters begins.
        cache: what may be reused instead of computed.
    """
    theta = _learned(early, feature_group, d, seed, cache)
    kept, settled = conditioning_subset(early.y, len(data))
    return condition(theta, data.rows(kept), feature_group, settled, cache)


def fit_part(encoded: EncodedData, few: TrainingData, early: TrainingData, *purpose: int) -> GaussianProcess:
    """Fit as `fit_on` does, and condition the process on `few` of the observations alone."""
    encoding = encoded.encoding
    owner, d = encoding.feature_group, max(len(encoding.blocks), 1)
    return condition(_learned(early, owner, d, encoded.seed(*purpose), encoded.cache), few, owner)


def _learned(early: TrainingData, owner: NDArray[np.intp], d: int, seed: Seed, cache: ComputationCache) -> Array:
    """Return theta (d + 4,), found or learned."""
    parts = early.X, early.y, early.noise_variance, owner, np.array(seed, dtype=np.uint64)
    return cache.theta(parts, lambda: _learn(early, owner, d, seed))


def _learn(data: TrainingData, feature_group: NDArray[np.intp], d: int, seed: Seed) -> Array:
    whole, rough = (
        Likelihood(few.X, few.y, feature_group, d, few.noise_variance)
        for few in (data.rows(select_subset(data.y, most)) for most in (MAX_FIT, MAX_ROUGH_FIT))
    )
    return fit_hyperparameters(whole, rough, Prior.over(d), np.random.default_rng([*seed, len(data)]))


def conditioning_subset(early: Array, count: int) -> tuple[NDArray[np.intp], int]:
    """Select which of so many observations a process rests on.

    Those up to the milestone have values `early` (m,). Returned are the indices, and how many of these are from before
    it.
    """
    kept = select_subset(early, MAX_CONDITIONED)
    return np.concatenate([kept, np.arange(len(early), count)]), len(kept)
