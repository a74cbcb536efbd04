"""Bounds on numbers that linear constraints imply.

q numbers x (q,) with low <= x <= high and, for k constraints, lower <= C x <= upper, C (k, q).
"""

import numpy as np

from bo_service.optimizer.numerics.array import Array

TIGHTENINGS = 24
ROUNDING = 1e-11
"""A width, of the sum of an equality's terms, below which a number is what the equality says, and no range."""


class InfeasibleRegion(Exception):
    """No numbers fulfill the constraints: proven by bounds on the sums or by the solver."""


def tightened(C: Array, lower: Array, upper: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return bounds (q,) within low and high that the constraints lower <= C x <= upper imply.

    Raises:
        InfeasibleRegion: nothing is left between them.
    """
    low, high = low.copy(), high.copy()
    with np.errstate(all="ignore"):
        for _ in range(TIGHTENINGS):
            before = high - low
            ends = np.minimum(C * low, C * high), np.maximum(C * low, C * high)
            rounding = 1e-13 * np.maximum(np.abs(C * low), np.abs(C * high)).sum(axis=1, keepdims=True)
            at_most = upper[:, None] - (ends[0].sum(axis=1, keepdims=True) - ends[0]) + rounding
            at_least = lower[:, None] - (ends[1].sum(axis=1, keepdims=True) - ends[1]) - rounding
            if np.any(ends[0].sum(axis=1) > upper + 1e-9 * abs(upper) + 1e4 * rounding[:, 0]) or np.any(
                ends[1].sum(axis=1) < lower - 1e-9 * abs(lower) - 1e4 * rounding[:, 0]
            ):
                raise InfeasibleRegion
            above = np.where(C > 0.0, at_most / C, np.where(C < 0.0, at_least / C, np.inf))
            below = np.where(C > 0.0, at_least / C, np.where(C < 0.0, at_most / C, -np.inf))
            high = np.clip(np.fmin(high, np.nanmin(above, axis=0, initial=np.inf)), low, None)
            low = np.clip(np.fmax(low, np.nanmax(below, axis=0, initial=-np.inf)), None, high)
            if np.all(high - low > 0.99 * before):
                break
    return low, high


def without_rounding(C: Array, lower: Array, upper: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return bounds (q,) that are one number where equalities leave no more than their rounding between them.

    Scaled to such a width, two equalities of the same number would contradict each other.
    """
    with np.errstate(all="ignore"):
        sizes = np.maximum(np.abs(C * low), np.abs(C * high)).sum(axis=1, keepdims=True)
        is_equal = upper - lower <= ROUNDING * sizes[:, 0]
        rounding = np.where(C[is_equal] != 0.0, ROUNDING * sizes[is_equal] / np.abs(C[is_equal]), 0.0)
    is_fixed = high - low <= rounding.max(axis=0, initial=0.0)
    middle = low + (high - low) / 2.0
    return np.where(is_fixed, middle, low), np.where(is_fixed, middle, high)
