"""Surrogates whose hyperparameters are drawn from their posterior, where one best guess would be too sure of itself.

n observations; theta (d + 4,) as in `likelihood.py`. The prior of theta is normal, so that it is drawn by elliptical
slice sampling (Murray, Adams and MacKay 2010, arXiv 1001.0175), which has nothing to tune, from the best guess on.

The prior of the noise expects more of it than the one that suggestions are made with: where the observations lie too
far apart to tell, a search does best to believe them, and a judge to doubt them.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.gp.fitting import MAX_FIT
from bo_service.optimizer.gp.gaussian_process import GaussianProcess, condition
from bo_service.optimizer.gp.likelihood import Likelihood
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.gp.priors import Prior
from bo_service.optimizer.numerics.array import Array

BURN_IN, APART = 24, 8
"""Steps before the first draw, and between two."""
MOST = 500
"""Observations that each surrogate rests on, at most."""
NOISE_MEDIAN, NOISE_LOG_STD = 1e-2, 2.5
"""Of the variance of the noise, where the observations have variance 1."""


def draw_surrogates(process: GaussianProcess, count: int, rng: np.random.Generator) -> list[GaussianProcess]:
    """Draw so many surrogates of the observations of `process`, of at most MOST; it has no assumed points."""
    feature_group, d = np.asarray(process.kernel.feature_group), len(process.kernel.length_scale)
    observed = TrainingData(process.X, process.L @ (process.L.T @ process.a), process.known)
    data = observed.rows(_telling(observed.y))
    few = data.rows(rng.permutation(len(data))[:MAX_FIT])
    likelihood = Likelihood(few.X, few.y, feature_group, d, few.noise_variance)
    drawn = _draws(likelihood, _prior(d), process.theta, count, rng)
    return [condition(theta, data, feature_group) for theta in drawn]


def _telling(y: Array) -> NDArray[np.intp]:
    """Return indices of at most MOST observations: the best, and the others evenly by rank."""
    if len(y) <= MOST:
        return np.arange(len(y))
    order = np.argsort(-y, kind="stable")
    spaced = np.linspace(MOST // 2, len(y) - 1, MOST - MOST // 2).round().astype(np.intp)
    return np.sort(np.concatenate([order[: MOST // 2], order[spaced]]))


def _prior(d: int) -> Prior:
    prior = Prior.over(d)
    mean, std = np.append(prior.mean[:-1], np.log(NOISE_MEDIAN)), np.append(prior.std[:-1], NOISE_LOG_STD)
    return replace(prior, mean=mean, std=std)


def _draws(likelihood: Likelihood, prior: Prior, theta: Array, count: int, rng: np.random.Generator) -> list[Array]:
    def log_likelihood(theta: Array) -> float:
        within = bool(((theta >= prior.low) & (theta <= prior.high)).all())
        return likelihood.value(theta) if within else -np.inf

    theta = np.clip(theta, prior.low, prior.high)
    here, found = log_likelihood(theta), []
    for step in range(BURN_IN + APART * count):
        if step >= BURN_IN and (step - BURN_IN) % APART == 0:
            found.append(theta)
        ellipse = prior.std * rng.standard_normal(len(theta))
        least = here + np.log(rng.random())
        angle = rng.uniform(0.0, 2.0 * np.pi)
        low, high = angle - 2.0 * np.pi, angle
        while abs(angle) > 1e-9:
            moved = prior.mean + (theta - prior.mean) * np.cos(angle) + ellipse * np.sin(angle)
            there = log_likelihood(moved)
            if there > least:
                theta, here = moved, there
                break
            low, high = (angle, high) if angle < 0.0 else (low, angle)
            angle = rng.uniform(low, high)
    return found
