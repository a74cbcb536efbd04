"""What trials will cost, as learned from how long they took."""

import math
from dataclasses import dataclass

import numpy as np

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.base import Surrogate
from bo_service.optimizer.gp.fitting import fit_on
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.gp.refit_schedule import last_refit_size
from bo_service.optimizer.numerics.array import Array

LEAST_SPREAD = 1e-3
"""Costs whose logarithms differ by less than this are one cost."""


@dataclass(frozen=True)
class CostPenalty:
    """Less the logarithm of the cost that is expected, in units of the mean cost: `scale` times the surrogate's mean.

    No configuration is expected to be cheaper than the cheapest that was observed.
    """

    surrogate: Surrogate
    scale: float
    center: float = 0.0
    """Mean of the logarithms of the costs."""
    least: float = -math.inf
    """The surrogate's mean at the cheapest that was observed."""

    def value(self, X: Array) -> Array:
        return -self.scale * np.maximum(self.surrogate.posterior(X).mean, self.least)

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        at = self.surrogate.posterior_with_gradient(x)
        if at.mean < self.least:
            return -self.scale * self.least, np.zeros_like(at.d_mean)
        return -self.scale * at.mean, -self.scale * at.d_mean

    def seconds(self, X: Array) -> Array:
        """Return the seconds (m,) that a whole trial is expected to take at X (m, f)."""
        return np.exp(self.center - self.value(X))


def cost_penalty(encoded: EncodedData, X: Array) -> CostPenalty | None:
    """Return the term of the cost, from trials with features X (n, f).

    None where it isn't wanted, or not known of two trials that differ in it.
    """
    if not encoded.inputs.settings.per_cost:
        return None
    known = np.isfinite(encoded.log_costs)
    costs = encoded.log_costs[known]
    scale = float(costs.std()) if len(costs) else 0.0
    if scale < LEAST_SPREAD:
        return None
    now, then = (_standardized(X[known][:count], costs[:count]) for count in (len(costs), last_refit_size(len(costs))))
    center = float(costs.mean())
    return CostPenalty(fit_on(encoded, now, then, 5), scale, center, float((costs.min() - center) / scale))


def _standardized(X: Array, costs: Array) -> TrainingData:
    return TrainingData.exact(X, (costs - costs.mean()) / max(float(costs.std()), LEAST_SPREAD))
