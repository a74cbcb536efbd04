"""All feasible rows of a space, where they are few. Z (m, p), as in `encoding.py`."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from bo_service.core.encoded.axes import IntAxis, every_place
from bo_service.core.encoded.encoding import Encoding
from bo_service.core.encoded.polytope import Empty, tightened
from bo_service.core.encoded.program import bounds
from bo_service.core.encoded.rules import Rules
from bo_service.core.numerics.array import Array

SMALL = 4096
"""A finite space of at most so many combinations is listed in full."""
MOST_PARTIAL = 1 << 16
"""Beginnings of rows that are looked at, per parameter."""


def feasible_rows(rules: Rules) -> Array | None:
    """Return all feasible rows of a finite space that has few, else None."""
    encoding = rules.encoding
    levels = [axis.levels for axis in encoding.axes]
    if math.prod(levels) <= SMALL:
        combined = np.array(list(itertools.product(*(every_place(axis) for axis in encoding.axes))))
        rows = np.unique(encoding.snap(combined), axis=0)
        return rows[rules.holds(rows)]
    if math.isinf(max(levels)) or not encoding.space.constraints:
        return None
    try:
        return _grown(rules)
    except Empty:
        return np.empty((0, encoding.width))


def _grown(rules: Rules) -> Array | None:
    """Rows grown parameter by parameter, without beginnings that can't be completed. Raises Empty."""
    encoding = rules.encoding
    low, high = bounds(encoding)
    always = ~np.isin(np.arange(len(rules.C)), rules.conditional)
    if always.any():
        low, high = tightened(rules.C[always], rules.lower[always], rules.upper[always], low, high)
    least = np.minimum(rules.C * low, rules.C * high)
    most = np.maximum(rules.C * low, rules.C * high)
    rounding = 1e-6 * np.maximum(np.abs(least), np.abs(most)).sum(axis=1)
    Z = encoding.centers[None].copy()
    for j in range(encoding.width):
        places = _places(encoding, j, low[j], high[j])
        if places is None or len(Z) * len(places) > MOST_PARTIAL:
            return None
        is_active = encoding.active(Z)[:, j]
        grown = np.repeat(Z[is_active], len(places), axis=0)
        grown[:, j] = np.tile(places, int(is_active.sum()))
        Z = np.vstack([grown, Z[~is_active]])
        X, active = rules.numbers(Z), encoding.active(Z)
        decided = always | ~rules.named[:, j + 1 :].any(axis=1)
        sums = X[:, : j + 1] @ rules.C[:, : j + 1].T
        fits = sums + least[:, j + 1 :].sum(axis=1) <= rules.upper + rounding
        fits &= sums + most[:, j + 1 :].sum(axis=1) >= rules.lower - rounding
        keep = (fits | ~(decided & rules.applies(active))).all(axis=1)
        for rule in rules.forbidden:
            if rule.columns.max() == j:
                keep &= rule.holds(Z, active)
        Z = Z[keep]
    Z = np.unique(encoding.snap(Z), axis=0)
    Z = Z[rules.holds(Z)]
    return Z if len(Z) <= SMALL else None


def _places(encoding: Encoding, j: int, low: float, high: float) -> NDArray[np.float64] | None:
    """Those of an axis that may be feasible; None where they are too many."""
    axis = encoding.axes[j]
    if not isinstance(axis, IntAxis):
        return every_place(axis)
    first, last = math.ceil(low - 1e-6), math.floor(high + 1e-6)
    return None if last - first >= MOST_PARTIAL else axis.positions(range(first, last + 1))
