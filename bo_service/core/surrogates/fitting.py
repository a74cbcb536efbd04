"""Gaussian processes fitted to observations: their hyperparameters learned, and conditioned on what tells most.

n observations; m <= n of them are from before the last milestone of `schedule.py`.
"""

import numpy as np
from numpy.typing import NDArray

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array, Seed
from bo_service.core.numerics.lookups import Lookups
from bo_service.core.surrogates.gaussian_process import GaussianProcess, condition
from bo_service.core.surrogates.likelihood import Likelihood, fit_hyperparameters
from bo_service.core.surrogates.observations import Observations, telling
from bo_service.core.surrogates.priors import Prior

FIT_MOST = 200
"""The hyperparameters are learned from at most so many observations: by then they hardly change."""
ROUGH_MOST = 60
"""Their modes are told apart by at most so many."""
KEEP_MOST = 1500
"""The posterior rests on at most so many of those from before the milestone."""


def fit_on(bench: Workbench, data: Observations, early: Observations, *purpose: int) -> GaussianProcess:
    """As `fit`, for one purpose, over the parameters of a workbench."""
    encoding = bench.encoding
    d = max(len(encoding.blocks), 1)
    return fit(data, early, encoding.owner, d, bench.seed(*purpose), bench.lookups)


def fit(
    data: Observations, early: Observations, owner: NDArray[np.intp], d: int, seed: Seed, lookups: Lookups
) -> GaussianProcess:
    """The process of `data`, n >= 1, with the hyperparameters of `early`.

    Args:
        data: what it rests on, in the order of trials.
        early: the first of them, up to the last milestone, as they were seen then.
        owner: (f,), the parameter of each feature.
        d: how many parameters vary.
        seed: for the places where the search for hyperparameters begins.
        lookups: what may be found instead of computed.
    """
    learned_from = early.X, early.y, early.known, owner, np.array(seed, dtype=np.uint64)
    theta = lookups.theta(learned_from, lambda: _learn(early, owner, d, seed))
    kept, settled = resting(early.y, len(data))
    return condition(theta, data.rows(kept), owner, settled, lookups)


def _learn(data: Observations, owner: NDArray[np.intp], d: int, seed: Seed) -> Array:
    whole, rough = (
        Likelihood(few.X, few.y, owner, d, few.known)
        for few in (data.rows(telling(data.y, most)) for most in (FIT_MOST, ROUGH_MOST))
    )
    return fit_hyperparameters(whole, rough, Prior.over(d), np.random.default_rng([*seed, len(data)]))


def resting(early: Array, count: int) -> tuple[NDArray[np.intp], int]:
    """Which of so many observations a process rests on, those up to the milestone having values `early` (m,): their
    indices, and how many of these are from before it."""
    kept = telling(early, KEEP_MOST)
    return np.concatenate([kept, np.arange(len(early), count)]), len(kept)
