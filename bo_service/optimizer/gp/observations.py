"""What a Gaussian process is conditioned on, and which part of it is looked at where there is much.

n observations X (n, f), y (n,) of mean 0 and variance 1, with noise variances w (n,) that are known beforehand.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array


@dataclass(frozen=True)
class TrainingData:
    """Observations in the order of their trials."""

    X: Array
    y: Array
    noise_variance: Array
    """w."""

    @classmethod
    def exact(cls, X: Array, y: Array) -> "TrainingData":
        """Make observations of whose noise nothing is known beforehand."""
        return cls(X, y, np.zeros(len(y)))

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, chosen: NDArray[np.intp]) -> "TrainingData":
        """Return some of the observations, by their indices."""
        return TrainingData(self.X[chosen], self.y[chosen], self.noise_variance[chosen])


def select_subset(y: Array, most: int) -> NDArray[np.intp]:
    """Return indices of at most so many observations: the better half by value, the rest evenly over the others."""
    if len(y) <= most:
        return np.arange(len(y))
    order = np.argsort(-y, kind="stable")
    best, others = order[: most // 2], np.sort(order[most // 2 :])
    spaced = others[np.linspace(0, len(others) - 1, most - most // 2).round().astype(np.intp)]
    return np.sort(np.concatenate([best, spaced]))
