"""Learning curves as the surrogate sees them: at most six values of each, at steps that are spaced by their logarithms.

n curves with features X (n, f); values y (n, 6) at parts u (n, 6) of a whole trial, as far as `mask` (n, 6) says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array

MOST_POINTS = 6


@dataclass(frozen=True)
class CurveData:
    """The values of some curves, larger being better."""

    X: Array
    u: Array
    """1 where the mask is False."""
    y: Array
    """0 where the mask is False."""
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, X: Array, curves: Sequence[Sequence[tuple[float, float]]]) -> "CurveData":
        """Return the data of curves at features X (n, f), which have at most six points (u, y) in the order of u."""
        shape = len(curves), MOST_POINTS
        u, y, mask = np.ones(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
        for i, curve in enumerate(curves):
            for k, point in enumerate(curve):
                u[i, k], y[i, k] = point
                mask[i, k] = True
        return cls(X, u, y, mask)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def last(self) -> Array:
        """The last value (n,) of each curve; 0 of one without values."""
        return np.asarray(self.y[np.arange(len(self)), np.maximum(self.mask.sum(axis=1) - 1, 0)])

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """Whether (n,) each curve has a value at the end."""
        return np.asarray(((self.u == 1.0) & self.mask).any(axis=1))

    def rows(self) -> tuple[Array, Array]:
        """Return rows (N, f + 2) as `CurveKernel` takes them, and their values (N,)."""
        i, k = np.nonzero(self.mask)
        return np.column_stack([self.X[i], self.u[i, k], i]), self.y[i, k]

    def transformed(self, forward: Callable[[Array], Array]) -> "CurveData":
        """Return the same curves with every value put through a function."""
        return replace(self, y=np.where(self.mask, forward(self.y), 0.0))

    def only(self, mask: NDArray[np.bool_]) -> "CurveData":
        """Return the curves that have values where another mask (n, 6) is True too, with those values alone."""
        kept = self.mask & mask
        there = kept.any(axis=1)
        u, y = np.where(kept, self.u, 1.0), np.where(kept, self.y, 0.0)
        return CurveData(self.X[there], u[there], y[there], kept[there])


def spaced_steps(steps: Sequence[int]) -> list[int]:
    """Return at most six of rising steps, with the first and the last, spaced by their logarithms."""
    if len(steps) <= MOST_POINTS:
        return list(steps)
    wanted = np.linspace(np.log(max(steps[0], 1)), np.log(steps[-1]), MOST_POINTS)
    logs = np.log(np.maximum(steps, 1))
    return [steps[k] for k in sorted({int(np.argmin(np.abs(logs - w))) for w in wanted})]
