"""Trying a configuration again: what is left to learn of a small finite space in which everything has been tried.

n past trials, r rows, p parameters.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.numerics.array import Array

NOISY = "Every configuration has been tried, and results of the same one differ: this one is repeated. "
UNKNOWN = (
    "Every configuration has been tried once: the best is repeated, to find out whether its result differs. If it "
    "doesn't, nothing more is suggested. "
)


@dataclass(frozen=True)
class Repeats:
    """The configurations that may be tried again."""

    rows: Array
    """(r, p), the best first; none where nothing is left to learn, or where what is pending should be awaited."""
    counts: NDArray[np.intp]
    """(r,): how many trials of each have values."""
    is_noisy: bool
    """Whether results of one configuration differ; otherwise that is unknown, and there is one row at most."""

    @property
    def reason(self) -> str:
        """Why a configuration is repeated, in sentences for people."""
        return NOISY if self.is_noisy else UNKNOWN

    @property
    def least_tried(self) -> Array:
        """The row (p,) that has been tried least often, the best of several."""
        return np.asarray(self.rows[int(np.argmin(self.counts))])


def find_repeats(encoded: EncodedData) -> Repeats:
    """Return what may be tried again in a listed space whose every configuration has been tried.

    Where results of one configuration differ, any that has values may be repeated unless it is pending. Where none was
    measured twice, the best may be, as soon as nothing is pending, unless it has a paused or stopped trial besides.
    Where all results of one configuration are equal, there is no noise, and nothing is repeated. A configuration of
    which a trial failed, was infeasible or ended without a result is not repeated either.
    """
    nothing = Repeats(np.empty((0, encoded.encoding.width)), np.empty(0, dtype=np.intp), is_noisy=False)
    if encoded.region.listed is None or not encoded.inputs.can_be_fitted:
        return nothing
    is_whole = encoded.is_measured & ~np.array([trial.is_short for trial in encoded.observations], dtype=bool)
    whole = Counter(_keys(encoded.past_rows[is_whole]))
    is_noisy = _differ(encoded.past_rows[is_whole], encoded.objectives[is_whole])
    pending = encoded.evaluated.Z[len(encoded.observations) :]
    measured = Counter(_keys(encoded.past_rows[encoded.is_measured]))
    if not is_noisy and (len(pending) or max(whole.values(), default=0) > 1):
        return nothing
    counts = measured if is_noisy else whole
    for key in (*_keys(encoded.discarded_rows), *_keys(encoded.past_rows[~encoded.is_measured]), *_keys(pending)):
        counts.pop(key, None)
    rows = encoded.best_rows()
    rows = rows[encoded.region.holds(rows)]
    free = {key: row for key, row in zip(_keys(rows), rows, strict=True) if key in counts}
    found = list(free)[: None if is_noisy else 1]
    if not found or (not is_noisy and measured[found[0]] > 1):  # its repetition paused, or was stopped
        return nothing
    return Repeats(np.array([free[key] for key in found]), np.array([counts[key] for key in found]), is_noisy)


def _keys(rows: Array) -> list[tuple[float, ...]]:
    return [tuple(row) for row in rows.tolist()]


def _differ(rows: Array, values: Array) -> bool:
    """Return whether the values (n, k) of any one row, among rows (n, p), differ."""
    first: dict[tuple[float, ...], list[float]] = {}
    return any(first.setdefault(key, value) != value for key, value in zip(_keys(rows), values.tolist(), strict=True))
