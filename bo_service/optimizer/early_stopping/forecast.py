"""A value that isn't known yet: a mixture of k Student-t distributions.

weights w (k,) summing to 1, centers m (k,), scales s (k,), degrees of freedom v (k,), whole numbers above 2. No
scipy: the server's main process, which answers reports, does without it.
"""

from dataclasses import dataclass

import numpy as np

from bo_service.optimizer.numerics.array import Array


@dataclass(frozen=True)
class Forecast:
    """What is expected of a value, larger being better."""

    weights: Array
    centers: Array
    scales: Array
    degrees: Array

    @property
    def mean(self) -> float:
        return float(self.weights @ self.centers)

    @property
    def std(self) -> float:
        """By the law of total variance; the variance of a Student-t is s²·v / (v - 2)."""
        away = self.centers - self.mean
        unit = float(max(self.scales.max(), np.abs(away).max()))  # squares of large numbers overflow
        inside = (self.scales / unit) ** 2 * self.degrees / (self.degrees - 2)
        return unit * float(np.sqrt(self.weights @ (inside + (away / unit) ** 2)))

    def probability_above(self, value: float) -> float:
        """Return the probability of more than `value`."""
        t = (self.centers - value) / self.scales
        probabilities = np.empty_like(t)
        for v in np.unique(self.degrees):
            probabilities[self.degrees == v] = student_t(t[self.degrees == v], int(v))
        return float(self.weights @ probabilities)

    def mixed_with(self, other: "Forecast", share: float) -> "Forecast":
        """Mix this forecast with another, which has a weight of `share` in [0, 1]."""
        pairs = (
            ((1 - share) * self.weights, share * other.weights),
            (self.centers, other.centers),
            (self.scales, other.scales),
            (self.degrees, other.degrees),
        )
        return Forecast(*(np.concatenate(pair) for pair in pairs))

    def scaled(self, factor: float, shift: float) -> "Forecast":
        """Return the forecast of factor·value + shift, for a factor above 0."""
        return Forecast(self.weights, factor * self.centers + shift, factor * self.scales, self.degrees)


def student_t(t: Array, v: int) -> Array:
    """Compute the cumulative distribution of Student's t with v degrees of freedom, a whole number above 1.

    The finite sums of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    theta = np.arctan(t / np.sqrt(v))
    cos = np.cos(theta)
    term = cos if v % 2 else np.ones_like(cos)
    total = term
    for j in range(2 + v % 2, v - 1, 2):
        term = term * cos**2 * (j - 1) / j
        total = total + term
    inside = np.sin(theta) * total
    chance: Array = 0.5 + 0.5 * (2 / np.pi * (theta + inside) if v % 2 else inside)
    return chance
