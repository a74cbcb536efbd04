"""Mean and standard deviation of numbers as large as floats can be, or as small: without overflow or underflow."""

from collections.abc import Sequence

import numpy as np

from bo_service.optimizer.numerics.array import Array


def average(values: Array | Sequence[float]) -> float:
    """Return the mean of at least one value."""
    unit = _unit(values)
    return float(np.mean(np.asarray(values) / unit)) * unit


def spread(values: Array | Sequence[float]) -> float:
    """Return the standard deviation of at least one value; at most the largest float."""
    unit = _unit(values)
    return float(np.std(np.asarray(values) / unit)) * unit


def _unit(values: Array | Sequence[float]) -> float:
    return float(np.abs(values).max()) or 1.0
