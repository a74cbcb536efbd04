"""Trying a configuration again: what is left to learn of a finite space in which everything has been tried."""

import numpy as np

from bo_service.core.acquisitions.fitted import Fitted
from bo_service.core.acquisitions.gain import NOISY
from bo_service.core.encoded.workbench import Workbench
from bo_service.core.numerics.array import Array


def is_noisy(bench: Workbench, fitted: Fitted) -> bool:
    """Whether noise is notable: trials of one configuration differ, or the surrogate has learned so."""
    if any(model.surrogate.noisiness > NOISY for model in fitted.objectives):
        return True
    rows, values = bench.past_rows[bench.is_measured], bench.objectives[bench.is_measured]
    group = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return len(np.unique(np.column_stack([group, values]), axis=0)) > len(np.unique(group))


def row_to_repeat(bench: Workbench, fitted: Fitted) -> Array | None:
    """The row (p,) of a measured trial that is worth most to try again, or None where none is free.

    By the upper confidence bound of its noise-free value, whose standard deviation falls with each repeat; of several
    objectives by the appraisal. What is pending is not repeated.
    """
    rows = np.unique(bench.past_rows[bench.is_measured], axis=0)
    pending = bench.seen.Z[len(bench.past) :]
    is_free = np.array([not (np.abs(pending - z) < 1e-9).all(axis=1).any() for z in rows], dtype=bool)
    rows = rows[is_free]
    if not len(rows):
        return None
    X = bench.encoding.features(rows)
    if len(fitted.objectives) > 1:
        worth = fitted.appraisal.value(X)
    else:
        posterior = fitted.objectives[0].surrogate.posterior(X)
        worth = posterior.mean + posterior.std + (fitted.chances.value(X) if fitted.limits else 0.0)
    return np.asarray(rows[int(np.argmax(worth))])
