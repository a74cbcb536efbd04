"""Which of two output transforms a metric gets where some of its values lie far off.

n observations y (n,) in the user's units, w (n,) warped. Far-off values are either the end of a long tail, which a
surrogate can follow and learn from, or disasters whose size says nothing. Their sizes don't tell the one from the
other, but predictions do: a surrogate that spends itself on disasters predicts the ordinary values badly. Both
transforms are fitted, and scored by the ordinary values, each predicted from all other observations:

    score = mean over ordinary i of  log p(y_i | others) = log N(w_i; mean_-i, var_-i) + log dw/dy (y_i)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.encoding.encoding import Mask
from bo_service.optimizer.gp.fitting import fit_part
from bo_service.optimizer.gp.leave_one_out import leave_one_out, log_predictive_density
from bo_service.optimizer.gp.observations import TrainingData, select_subset
from bo_service.optimizer.gp.output_transform import OutputTransform, find_far_values
from bo_service.optimizer.numerics.array import Array

MAX_SCORED = 200
"""The score is that of at most so many observations, each predicted from these."""
LEAST_ORDINARY = 5
"""Fewer ordinary values don't tell."""
EXPLAINED = 0.5
"""Far-off values that lie apart from no others are the end of a long tail where the plain transform explains so much of
the variance of all."""
GAIN = 0.75
"""The robust transform has to gain so much in score: ordinary values are predicted twice as sharply."""
RANK_GAIN = 0.3
"""It has to gain so much in the order of the ordinary values: in Fisher's z of the rank correlation."""
MOST_RANK = 0.999
"""A rank correlation counts as at most this: z would have no bound."""


@dataclass(frozen=True)
class WarpedData:
    """Observations as one output transform shows them to a Gaussian process."""

    output_transform: OutputTransform
    values: Array
    """y (n,)."""
    data: TrainingData
    """What the process is conditioned on: w, less a trend if there is one, over `scale`."""
    early: TrainingData
    """What its hyperparameters are learned from; see `fitting.py`."""
    scale: float


W = TypeVar("W", bound=WarpedData)


def choose_transform(
    encoded: EncodedData, values: Array, about: float | None, warp: Callable[[bool], W], *purpose: int
) -> W:
    """Return the observations as that transform shows them which predicts the ordinary values better.

    Args:
        encoded: the space, the seed and the cache.
        values: (n,), in the user's units, larger being better.
        about: the value near which differences count, if any.
        warp: makes the observations with a transform; its argument is `is_robust` of `OutputTransform.fit`.
        purpose: what the generator of random numbers is for.
    """
    plain = warp(False)
    is_far, is_apart = (False, False) if plain.output_transform.is_bounded else find_far_values(values, about)
    if not is_far:
        return plain
    is_ordinary = ~OutputTransform.fit(plain.values, about, True).is_beyond(plain.values)
    before = _Score.of(encoded, plain, is_ordinary, purpose)
    if is_ordinary.sum() < LEAST_ORDINARY or (before.explained > EXPLAINED and not is_apart):
        return plain
    robust = warp(True)
    after = _Score.of(encoded, robust, is_ordinary, purpose)
    is_better = after.density > before.density + GAIN and after.order > before.order + RANK_GAIN
    return robust if is_better else plain


@dataclass(frozen=True)
class _Score:
    """How well observations are predicted from each other."""

    density: float
    """The mean of log p over the ordinary values."""
    order: float
    """Fisher's z of the rank correlation of the ordinary values with their predictions."""
    explained: float
    """The share of the variance of all values, warped."""

    @classmethod
    def of(cls, encoded: EncodedData, warped: WarpedData, is_ordinary: Mask, purpose: tuple[int, ...]) -> "_Score":
        few = select_subset(warped.values, MAX_SCORED)
        process, ordinary = fit_part(encoded, warped.data.rows(few), warped.early, *purpose), is_ordinary[few]
        slope = warped.output_transform.log_slope(warped.values[few]) - np.log(warped.scale)
        y, mean, _ = leave_one_out(process)
        density = float((log_predictive_density(process) + slope)[ordinary].mean()) if ordinary.any() else -np.inf
        variance = float(((y - y.mean()) ** 2).sum())
        explained = 1.0 - float(((y - mean) ** 2).sum()) / variance if variance > 0.0 else 0.0
        return cls(density, _fisher_z(mean[ordinary], y[ordinary]), explained)


def _fisher_z(a: Array, b: Array) -> float:
    """Return artanh of the rank correlation of a (k,) and b (k,); 0 where either is constant."""
    ranks = np.array([_ranks(a), _ranks(b)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    rho = float(ranks[0] @ ranks[1]) / size if size > 0.0 else 0.0
    return float(np.arctanh(np.clip(rho, -MOST_RANK, MOST_RANK)))


def _ranks(values: Array) -> Array:
    """Return the rank of each of the values (n,), from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - 0.5 * (counts - 1))[places])
