"""What a surrogate is to those who search it: a normal posterior at any point, with gradients.

m queries Q (m, f), one query x (f,), in the features of `encoding.py`; values in warped units, larger being better.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bo_service.optimizer.numerics.array import Array


@dataclass(frozen=True)
class Posterior:
    """What is expected at m queries, in warped units: mean (m,) and std (m,) of the noise-free value."""

    mean: Array
    std: Array


@dataclass(frozen=True)
class PosteriorWithGradient:
    """The posterior at one query x (f,), and its gradients (f,) by x."""

    mean: float
    std: float
    d_mean: Array
    d_std: Array


@dataclass(frozen=True)
class Draws:
    """What is expected at m queries under S draws of what is known: means (m, S), and the std (m,) of them all."""

    means: Array
    std: Array


@dataclass(frozen=True)
class DrawsWithGradient:
    """The same at one query: means (S,), the std, and gradients (S, f) and (f,)."""

    means: Array
    std: float
    d_means: Array
    d_std: Array


class FantasyPosterior(Protocol):
    """A surrogate under draws of the true values at some points."""

    @property
    def values(self) -> Array:
        """The draws (b, S)."""

    def posterior(self, Q: Array) -> Draws:
        """Return the posterior at queries Q (m, f)."""

    def posterior_with_gradient(self, x: Array) -> DrawsWithGradient:
        """Return the posterior at one query x (f,), with gradients."""


class Surrogate(Protocol):
    """An emulator of one metric."""

    @property
    def noise_to_signal(self) -> float:
        """The variance of the noise over that of the values."""

    def mean(self, Q: Array) -> Array:
        """Return the posterior mean (m,) at queries Q (m, f), which costs much less than the whole posterior."""

    def posterior(self, Q: Array) -> Posterior:
        """Return the posterior at queries Q (m, f)."""

    def posterior_with_gradient(self, x: Array) -> PosteriorWithGradient:
        """Return the posterior at one query x (f,), with gradients."""

    def observe(self, Q: Array, y: Array, variance: Array) -> "Surrogate":
        """Condition the surrogate on further values y (c,) at Q (c, f), with noise variances (c,)."""

    def condition_on_mean(self, Q: Array) -> "Surrogate":
        """Condition the surrogate on its own posterior mean at queries Q (b, f)."""

    def fantasize(self, points: Array, count: int, rng: np.random.Generator) -> FantasyPosterior:
        """Condition on `count` draws of the true values at points (b, f)."""

    @property
    def means(self) -> Array:
        """The posterior mean (n + b,) at the observed and the assumed points, without the noise of measurements."""
