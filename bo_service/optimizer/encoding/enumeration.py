"""All feasible rows of a space, where they are few. Z (m, p), as in `encoding.py`."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.axes import FloatAxis, IntAxis, all_positions
from bo_service.optimizer.encoding.bound_tightening import InfeasibleRegion, tightened
from bo_service.optimizer.encoding.constraint_rules import Rules
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.integer_program import bounds
from bo_service.optimizer.numerics.array import Array

SMALL = 4096
"""A finite space of at most so many combinations is listed in full."""
MOST_PARTIAL = 1 << 16
"""Beginnings of rows that are looked at, per parameter."""


def feasible_rows(rules: Rules) -> Array | None:
    """Return all feasible rows of a finite space that has few, else None."""
    encoding = rules.encoding
    levels = [axis.levels for axis in encoding.axes]
    if math.prod(levels) <= SMALL:
        combined = np.array(list(itertools.product(*(all_positions(axis) for axis in encoding.axes))))
        rows = np.unique(encoding.round_to_valid(combined), axis=0)
        return rows[rules.holds(rows)]
    if math.isinf(max(levels)) or not encoding.space.constraints:
        return None
    try:
        grown = _grown(rules)
    except InfeasibleRegion:
        return np.empty((0, encoding.width))
    if grown is None:
        return None
    rows = grown[rules.holds(grown)]
    return rows if len(rows) <= SMALL else None


def skeletons(rules: Rules, most: int) -> Array | None:
    """Return all rows whose levels may be feasible, with real numbers at their centers; None where they are more.

    Raises:
        InfeasibleRegion: bounds on the sums prove that there are none.
    """
    Z = _grown(rules)
    return None if Z is None or len(Z) > most else Z


def _grown(rules: Rules) -> Array | None:
    """Extend rows parameter by parameter, without beginnings that can't be completed. Raises InfeasibleRegion.

    Real numbers stay at their centers, and count with their whole range.
    """
    encoding = rules.encoding
    low, high = bounds(encoding)
    always = ~np.isin(np.arange(len(rules.C)), rules.conditional)
    if always.any():
        low, high = tightened(rules.C[always], rules.lower[always], rules.upper[always], low, high)
    least = np.minimum(rules.C * low, rules.C * high)
    most = np.maximum(rules.C * low, rules.C * high)
    rounding = 1e-6 * np.maximum(np.abs(least), np.abs(most)).sum(axis=1)
    is_real = np.array([isinstance(axis, FloatAxis) for axis in encoding.axes])
    is_open = np.ones(encoding.width, dtype=np.bool_)
    Z = encoding.centers[None].copy()
    for j in np.flatnonzero(~is_real).tolist():
        places = _places(encoding, j, low[j], high[j])
        if places is None or len(Z) * len(places) > MOST_PARTIAL:
            return None
        is_active = encoding.active(Z)[:, j]
        grown = np.repeat(Z[is_active], len(places), axis=0)
        grown[:, j] = np.tile(places, int(is_active.sum()))
        Z = np.vstack([grown, Z[~is_active]])
        is_open[j] = False
        X, active = rules.numbers(Z), encoding.active(Z)
        decided = always | ~rules.named[:, j + 1 :].any(axis=1)
        sums = X[:, ~is_open] @ rules.C[:, ~is_open].T
        fits = sums + least[:, is_open].sum(axis=1) <= rules.upper + rounding
        fits &= sums + most[:, is_open].sum(axis=1) >= rules.lower - rounding
        keep = (fits | ~(decided & rules.applies(active))).all(axis=1)
        for rule in rules.forbidden:
            if not is_open[rule.columns].any() and j in rule.columns:
                keep &= rule.holds(Z, active)
        Z = Z[keep]
    return np.unique(encoding.round_to_valid(Z), axis=0)


def _places(encoding: Encoding, j: int, low: float, high: float) -> NDArray[np.float64] | None:
    """Return the places of an axis that may be feasible; None where they are too many."""
    axis = encoding.axes[j]
    if not isinstance(axis, IntAxis):
        return all_positions(axis)
    first, last = math.ceil(low - 1e-6), math.floor(high + 1e-6)
    return None if last - first >= MOST_PARTIAL else axis.positions(range(first, last + 1))
