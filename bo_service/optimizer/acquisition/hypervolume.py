"""The expected hypervolume improvement of a point, as a logarithm, with derivatives by the posterior's mean and std.

m points, k objectives; mean, std (m, k) of independent normal posteriors Y; b disjoint boxes low, high (b, k) of the
room that the front leaves free above the reference (`pareto.non_dominated_boxes`); t an edge of a box,
z = (mean - t) / std.

    EHVI = Σ_boxes Π_objectives ψ(low) - ψ(high)       (Emmerich et al. 2011; Yang et al. 2019, J. Global Opt. 75:3)
    ψ(t) = E max(0, Y - t) = std h(z),   ∂ψ/∂mean = Φ(z),   ∂ψ/∂std = φ(z),   ψ(∞) = 0

The sum is taken plainly where floats hold it, and anew in logarithms for the points where they don't (Ament et al.
2023, arXiv 2310.20708), which costs about four times as much. Differences need no more care than that: the free room
reaches up from each of its boxes without end, so that no ψ(low) Π_others is larger than the whole sum, and its rounding
does no harm. Boxes share edges: ψ, Φ and φ are tabulated once an edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from bo_service.domain.trial import Intent
from bo_service.optimizer.acquisition.analytic import ValueAndGradient, log_h
from bo_service.optimizer.acquisition.base import NamedAcquisition
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.gp.base import Surrogate
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.pareto import non_dominated_boxes, reference_point

FAINT = 1e-200
"""A plain sum below this, or above its inverse, may have lost digits to underflow or overflow."""
ROWS = 64
"""Points taken at once: the tables of one block fit into a core's cache."""
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
_SURE = 1e8


@dataclass(frozen=True)
class LogEHVI(NamedAcquisition, name="log_ehvi"):
    """Of several objectives: log expected improvement of the volume that their Pareto front dominates."""

    surrogates: tuple[Surrogate, ...]
    low: Array
    high: Array
    """Boxes (b, k) of what is not dominated; see `pareto.py`."""

    @classmethod
    def build(cls, models: FittedModels) -> Self:
        """Return the function over the Pareto front of posterior means at the rows that fulfill the constraints."""
        means, holds = models.candidate_means, models.fulfills
        reference = reference_point(means[holds] if holds.any() else means)
        return cls(tuple(model.surrogate for model in models.objectives), *non_dominated_boxes(means[holds], reference))

    def value(self, X: Array) -> Array:
        posteriors = [s.posterior(X) for s in self.surrogates]
        mean, std = np.column_stack([p.mean for p in posteriors]), np.column_stack([p.std for p in posteriors])
        return log_ehvi(mean, std, self.low, self.high).value

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        at = [s.posterior_with_gradient(x) for s in self.surrogates]
        made = log_ehvi(np.array([[a.mean for a in at]]), np.array([[a.std for a in at]]), self.low, self.high)
        gradient = made.d_mean[0] @ np.stack([a.d_mean for a in at])
        return float(made.value[0]), gradient + made.d_std[0] @ np.stack([a.d_std for a in at])

    def prospect(self, X: Array) -> tuple[Intent, str]:
        """Return whether X (1, f) exploits: whether one std of luck in each objective adds it to the Pareto set."""
        posteriors = [s.posterior(X) for s in self.surrogates]
        lucky = np.array([p.mean[0] + p.std[0] for p in posteriors])
        is_free = bool((lucky > self.low).all(axis=1).any())
        return Intent.EXPLOIT if is_free else Intent.EXPLORE, "to add to the Pareto set"


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
        """Read a table (m, e) at the boxes' lower and upper edges, (m, b) each."""
        padded = np.concatenate([table, np.full((len(table), 1), at_infinity)], axis=1)
        return padded.take(self.lower, axis=1), padded.take(self.upper, axis=1)

    def across(self, table: Array) -> Array:
        """Return a table's differences (m, b) from upper to lower edges; it vanishes at infinity."""
        lower, upper = self.ends(table, 0.0)
        return lower - upper


def log_ehvi(mean: Array, std: Array, low: Array, high: Array) -> ValueAndGradient:
    """Return the logarithm of the expected hypervolume improvement at m points; -inf where there is none to expect.

    Args:
        mean: posterior means (m, k).
        std: posterior standard deviations (m, k); 0 for certainty.
        low: finite lower corners (b, k) of the free boxes.
        high: their upper corners (b, k); inf where they have none.
    """
    edges = [_Edges.of(*ends) for ends in zip(low.T, high.T, strict=True)]
    worth = ValueAndGradient(np.empty(len(mean)), np.empty_like(mean), np.empty_like(mean))
    for start in range(0, len(mean), ROWS):
        rows = slice(start, start + ROWS)
        _put(worth, rows, _some(mean[rows], std[rows], edges))
    return worth


def _some(mean: Array, std: Array, edges: Sequence[_Edges]) -> ValueAndGradient:
    with np.errstate(all="ignore"):
        worth = _plain(mean, std, edges)
        faint = ~(np.abs(worth.value) < -np.log(FAINT))
        if faint.any():
            _put(worth, faint, _logarithmic(mean[faint], std[faint], edges))
    return worth


def _put(worth: ValueAndGradient, rows: slice | NDArray[np.bool_], part: ValueAndGradient) -> None:
    worth.value[rows], worth.d_mean[rows], worth.d_std[rows] = part.value, part.d_mean, part.d_std


def _plain(mean: Array, std: Array, edges: Sequence[_Edges]) -> ValueAndGradient:
    """Compute it by sums and products; the result is undefined where they leave the range of floats."""
    factors, slopes = [], []
    for mu, sigma, edge in zip(mean.T[..., None], std.T[..., None], edges, strict=True):
        gain = mu - edge.at
        z = _standardized(gain, sigma)
        below, density = ndtr(z), np.exp(-0.5 * z * z - _HALF_LOG_2PI)
        factors.append(edge.across(sigma * density + gain * below))
        slopes.append((edge.across(below), edge.across(density)))
    others = _of_the_others(factors, np.multiply)
    total = np.einsum("mb,mb->m", factors[0], others[0])
    d_mean, d_std = (
        np.column_stack([np.einsum("mb,mb->m", s, o) for s, o in zip(side, others, strict=True)]) / total[:, None]
        for side in zip(*slopes, strict=True)
    )
    return ValueAndGradient(np.log(total), d_mean, d_std)


def _logarithmic(mean: Array, std: Array, edges: Sequence[_Edges]) -> ValueAndGradient:
    """Compute it by logarithms of the factors, summed in proportion to the largest."""
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
    d_mean, d_std = (
        np.column_stack([_sum_across(ends, o - total) for ends, o in zip(side, others, strict=True)])
        for side in zip(*slopes, strict=True)
    )
    none = largest == -np.inf
    value = np.where(none, -np.inf, total)
    return ValueAndGradient(value[:, 0], np.where(none, 0.0, d_mean), np.where(none, 0.0, d_std))


def _standardized(gain: Array, std: Array) -> Array:
    return np.where(std > 0.0, gain / std, np.where(gain > 0.0, np.inf, -np.inf))


def _of_the_others(parts: Sequence[Array], join: np.ufunc) -> list[Array]:
    """Return for each objective the factors (m, b) of all others, joined."""
    neutral = np.full_like(parts[0], join.identity)
    return [join.reduce([neutral, *parts[:i], *parts[i + 1 :]]) for i in range(len(parts))]


def _log_difference(a: Array, b: Array) -> Array:
    """Return log(exp(a) - exp(b)) for a ≥ b, -inf where they are equal."""
    return a + np.log(-np.expm1(np.where(a > b, b - a, 0.0)))


def _sum_across(ends: tuple[Array, Array], shift: Array) -> Array:
    """Sum the differences between two logarithms (m, b), both shifted; the result is (m,)."""
    lower, upper = ends
    return np.asarray((np.exp(lower + shift) - np.exp(upper + shift)).sum(axis=1))
