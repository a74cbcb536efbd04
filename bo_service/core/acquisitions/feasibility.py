"""What failures teach: the probability that a configuration runs at all.

n past trials, labels +1 for those that gave values and -1 for those whose parameters were to blame for their failure.

    P(x runs) = Φ(mean(x) / √(1 + var(x)))

A Gaussian process of the labels under a probit: least-squares classification (Rasmussen and Williams 2006, section
6.5). Failed trials also count as the worst values observed; the probability is what tells a cliff from a slope. It is
kept mild, between about Φ(-1) and Φ(1), because both speak of the same failures.
"""

import numpy as np

from bo_service.core.acquisitions.appraisal import Fulfillment
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array
from bo_service.core.surrogates.fitting import fit_on
from bo_service.core.surrogates.observations import Observations
from bo_service.core.surrogates.schedule import milestone

PROBIT_VARIANCE = 1.0


def feasibility(bench: Workbench, X: Array) -> Fulfillment | None:
    """log P(x runs), from trials with features X (n, f); None where none has failed, or none has a value."""
    if bench.is_measured.all() or not bench.is_measured.any():
        return None
    labels, m = np.where(bench.is_measured, 1.0, -1.0), milestone(len(X))
    process = fit_on(bench, Observations.exact(X, labels), Observations.exact(X[:m], labels[:m]), 8)
    return Fulfillment(process, 0.0, PROBIT_VARIANCE)
