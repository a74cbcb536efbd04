"""The expected hypervolume improvement of a point, as a logarithm, with derivatives by the posterior's mean and std.

m points, k objectives; mean, std (m, k) of independent normal posteriors Y; b disjoint boxes low, high (b, k) of the
room that the front leaves free above the reference (`pareto.boxes`); t an edge of a box, z = (mean - t) / std.

    EHVI = Σ_boxes Π_objectives ψ(low) - ψ(high)       (Emmerich et al. 2011; Yang et al. 2019, J. Global Opt. 75:3)
    ψ(t) = E max(0, Y - t) = std h(z),   ∂ψ/∂mean = Φ(z),   ∂ψ/∂std = φ(z),   ψ(∞) = 0

The sum is taken plainly where floats hold it, and anew in logarithms for the points where they don't (Ament et al.
2023, arXiv 2310.20708), which costs about four times as much. Differences need no more care than that: the free room
reaches up from each of its boxes without end, so that no ψ(low) Π_others is larger than the whole sum, and its rounding
does no harm. Boxes share edges: ψ, Φ and φ are tabulated once an edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from bo_service.core.acquisitions.acquisition import log_h
from bo_service.core.numerics.array import Array

FAINT = 1e-200
"""A plain sum below this, or above its inverse, may have lost digits to underflow or overflow."""
ROWS = 64
"""Points taken at once: the tables of one block fit into a core's cache."""
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
_SURE = 1e8


@dataclass(frozen=True)
class JointWorth:
    """Values (m,) and their derivatives (m, k) by mean and by std."""

    value: Array
    by_mean: Array
    by_std: Array


@dataclass(frozen=True)
class _Edges:
    """One objective's finite edges at (e,), each once, and which of them end the boxes (b,); index e stands for inf."""

    at: Array
    lower: NDArray[np.intp]
    upper: NDArray[np.intp]

    @classmethod
    def of(cls, low: Array, high: Array) -> "_Edges":
        at, index = np.unique(np.concatenate([low, high, [np.inf]]), return_inverse=True)
        return cls(at[:-1], index[: len(low)], index[len(low) : -1])

    def ends(self, table: Array, at_infinity: float) -> tuple[Array, Array]:
        """A table (m, e) read at the boxes' lower and upper edges, (m, b) each."""
        padded = np.concatenate([table, np.full((len(table), 1), at_infinity)], axis=1)
        return padded.take(self.lower, axis=1), padded.take(self.upper, axis=1)

    def across(self, table: Array) -> Array:
        """Its differences (m, b) from upper to lower edges; it vanishes at infinity."""
        lower, upper = self.ends(table, 0.0)
        return lower - upper


def log_ehvi(mean: Array, std: Array, low: Array, high: Array) -> JointWorth:
    """The logarithm of the expected hypervolume improvement at m points; -inf where there is none to expect.

    Args:
        mean: posterior means (m, k).
        std: posterior standard deviations (m, k); 0 for certainty.
        low: finite lower corners (b, k) of the free boxes.
        high: their upper corners (b, k); inf where they have none.
    """
    edges = [_Edges.of(*ends) for ends in zip(low.T, high.T, strict=True)]
    worth = JointWorth(np.empty(len(mean)), np.empty_like(mean), np.empty_like(mean))
    for start in range(0, len(mean), ROWS):
        rows = slice(start, start + ROWS)
        _put(worth, rows, _some(mean[rows], std[rows], edges))
    return worth


def _some(mean: Array, std: Array, edges: Sequence[_Edges]) -> JointWorth:
    with np.errstate(all="ignore"):
        worth = _plain(mean, std, edges)
        faint = ~(np.abs(worth.value) < -np.log(FAINT))
        if faint.any():
            _put(worth, faint, _logarithmic(mean[faint], std[faint], edges))
    return worth


def _put(worth: JointWorth, rows: slice | NDArray[np.bool_], part: JointWorth) -> None:
    worth.value[rows], worth.by_mean[rows], worth.by_std[rows] = part.value, part.by_mean, part.by_std


def _plain(mean: Array, std: Array, edges: Sequence[_Edges]) -> JointWorth:
    """By sums and products; anything at all where they leave the range of floats."""
    factors, slopes = [], []
    for mu, sigma, edge in zip(mean.T[..., None], std.T[..., None], edges, strict=True):
        gain = mu - edge.at
        z = _standardized(gain, sigma)
        below, density = ndtr(z), np.exp(-0.5 * z * z - _HALF_LOG_2PI)
        factors.append(edge.across(sigma * density + gain * below))
        slopes.append((edge.across(below), edge.across(density)))
    others = _of_the_others(factors, np.multiply)
    total = np.einsum("mb,mb->m", factors[0], others[0])
    by_mean, by_std = (
        np.column_stack([np.einsum("mb,mb->m", s, o) for s, o in zip(side, others, strict=True)]) / total[:, None]
        for side in zip(*slopes, strict=True)
    )
    return JointWorth(np.log(total), by_mean, by_std)


def _logarithmic(mean: Array, std: Array, edges: Sequence[_Edges]) -> JointWorth:
    """By logarithms of the factors, summed in proportion to the largest."""
    factors, slopes = [], []
    for mu, sigma, edge in zip(mean.T[..., None], std.T[..., None], edges, strict=True):
        gain = mu - edge.at
        z = _standardized(gain, sigma)
        expected = np.where(z > _SURE, np.log(gain), np.log(sigma) + log_h(z))
        factors.append(_log_difference(*edge.ends(expected, -np.inf)))
        slopes.append((edge.ends(log_ndtr(z), -np.inf), edge.ends(-0.5 * z * z - _HALF_LOG_2PI, -np.inf)))
    others = _of_the_others(factors, np.add)
    terms = factors[0] + others[0]
    largest = terms.max(axis=1, keepdims=True)
    total = largest + np.log(np.exp(terms - largest).sum(axis=1, keepdims=True))
    by_mean, by_std = (
        np.column_stack([_sum_across(ends, o - total) for ends, o in zip(side, others, strict=True)])
        for side in zip(*slopes, strict=True)
    )
    none = largest == -np.inf
    value = np.where(none, -np.inf, total)
    return JointWorth(value[:, 0], np.where(none, 0.0, by_mean), np.where(none, 0.0, by_std))


def _standardized(gain: Array, std: Array) -> Array:
    return np.where(std > 0.0, gain / std, np.where(gain > 0.0, np.inf, -np.inf))


def _of_the_others(parts: Sequence[Array], join: np.ufunc) -> list[Array]:
    """For each objective, the factors (m, b) of all others joined."""
    neutral = np.full_like(parts[0], join.identity)
    return [join.reduce([neutral, *parts[:i], *parts[i + 1 :]]) for i in range(len(parts))]


def _log_difference(a: Array, b: Array) -> Array:
    """log(exp(a) - exp(b)) for a ≥ b, -inf where they are equal."""
    return a + np.log(-np.expm1(np.where(a > b, b - a, 0.0)))


def _sum_across(ends: tuple[Array, Array], shift: Array) -> Array:
    """The differences between two logarithms (m, b), both shifted, summed (m,)."""
    lower, upper = ends
    return np.asarray((np.exp(lower + shift) - np.exp(upper + shift)).sum(axis=1))
