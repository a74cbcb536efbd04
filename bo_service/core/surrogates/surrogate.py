"""What a surrogate is to those who search it: a normal posterior at any point, with gradients.

m queries Q (m, f), one query x (f,), in the features of `encoding.py`; values in warped units, larger being better.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bo_service.core.numerics.array import Array


@dataclass(frozen=True)
class Posterior:
    """What is expected at m queries, in warped units: mean (m,) and std (m,) of the noise-free value."""

    mean: Array
    std: Array


@dataclass(frozen=True)
class Slope:
    """The posterior at one query x (f,), and its gradients (f,) by x."""

    mean: float
    std: float
    by_mean: Array
    by_std: Array


@dataclass(frozen=True)
class Draws:
    """What is expected at m queries under S draws of what is known: means (m, S), and the std (m,) of them all."""

    means: Array
    std: Array


@dataclass(frozen=True)
class DrawsSlope:
    """The same at one query: means (S,), the std, and gradients (S, f) and (f,)."""

    means: Array
    std: float
    by_means: Array
    by_std: Array


class Imagination(Protocol):
    """A surrogate under draws of the true values at some points."""

    @property
    def values(self) -> Array:
        """The draws (b, S)."""

    def posterior(self, Q: Array) -> Draws:
        """At queries Q (m, f)."""

    def slope(self, x: Array) -> DrawsSlope:
        """At one query x (f,), with gradients."""


class Surrogate(Protocol):
    """An emulator of one metric."""

    @property
    def noisiness(self) -> float:
        """The variance of the noise over that of the values."""

    def mean(self, Q: Array) -> Array:
        """(m,): the mean of the posterior at queries Q (m, f), which costs much less than all of it."""

    def posterior(self, Q: Array) -> Posterior:
        """At queries Q (m, f)."""

    def slope(self, x: Array) -> Slope:
        """At one query x (f,), with gradients."""

    def observe(self, Q: Array, y: Array, variance: Array) -> "Surrogate":
        """The surrogate conditioned on further values y (c,) at Q (c, f), with noise variances (c,)."""

    def believe(self, Q: Array) -> "Surrogate":
        """The surrogate as if queries Q (b, f) had given what is expected of them."""

    def imagine(self, points: Array, count: int, rng: np.random.Generator) -> Imagination:
        """As if so many draws of the true values at points (b, f) were known."""

    @property
    def means(self) -> Array:
        """(n + b,): the posterior mean at the points observed and believed: no lucky draws of the noise."""
