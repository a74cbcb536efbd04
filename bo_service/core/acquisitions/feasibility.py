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
from bo_service.core.surrogates.gaussian_process import fit

PROBIT_VARIANCE = 1.0


def feasibility(bench: Workbench, X: Array) -> Fulfillment | None:
    """log P(x runs), from trials with features X (n, f); None where none has failed, or none has a value."""
    if bench.is_measured.all() or not bench.is_measured.any():
        return None
    encoding = bench.encoding
    labels = np.where(bench.is_measured, 1.0, -1.0)
    process = fit(X, labels, encoding.owner, max(len(encoding.blocks), 1), bench.rng(8))
    return Fulfillment(process, 0.0, PROBIT_VARIANCE)
