"""What trials will cost, as learned from how long they took."""

import numpy as np

from bo_service.core.acquisitions.appraisal import Thrift
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.fitting import fit_on
from bo_service.core.surrogates.observations import Observations
from bo_service.core.surrogates.schedule import milestone

LEAST_SPREAD = 1e-3
"""Costs whose logarithms differ by less than this are one cost."""


def thrift(bench: Workbench, X: Array) -> Thrift | None:
    """The term of the cost, from trials with features X (n, f).

    None where it isn't wanted, or not known of two trials that differ in it.
    """
    if not bench.evidence.settings.per_cost:
        return None
    known = np.isfinite(bench.log_costs)
    costs = bench.log_costs[known]
    scale = float(costs.std()) if len(costs) else 0.0
    if scale < LEAST_SPREAD:
        return None
    now, then = (_standardized(X[known][:count], costs[:count]) for count in (len(costs), milestone(len(costs))))
    return Thrift(fit_on(bench, now, then, 5), scale)


def _standardized(X: Array, costs: Array) -> Observations:
    return Observations.exact(X, (costs - costs.mean()) / max(float(costs.std()), LEAST_SPREAD))
