"""Priors of the surrogate's hyperparameters: normal on their logarithms, so log-normal on themselves.

d varying parameters. theta (d + 2,) = log length scales (d,), log output scale s², log noise variance.

The length scales grow with √d because distances do (Hvarfner et al. 2024, arXiv 2402.02746); their width of 1 keeps the
likelihood in charge. The observed values have variance 1, and so has s², about. The noise is given a wide prior.
"""

from dataclasses import dataclass

import numpy as np

from bo_service.core.axes import Array

NOISE_BOUNDS = (1e-8, 1.0)
SCALE_BOUNDS = (0.05, 50.0)
LENGTH_BOUNDS = (0.02, 200.0)


@dataclass(frozen=True)
class Prior:
    """Independent normal distributions of the logarithms, with box bounds."""

    mean: Array
    std: Array
    low: Array
    high: Array

    @classmethod
    def over(cls, d: int) -> "Prior":
        """The prior for d varying parameters."""

        def vector(length: float, scale: float, noise: float) -> Array:
            return np.array([*[length] * d, scale, noise])

        log = np.log
        return cls(
            mean=vector(log(0.5 * np.sqrt(max(d, 1))), 0.0, log(1e-4)),
            std=vector(1.0, 0.3, 3.0),
            low=vector(log(LENGTH_BOUNDS[0]), log(SCALE_BOUNDS[0]), log(NOISE_BOUNDS[0])),
            high=vector(log(LENGTH_BOUNDS[1]), log(SCALE_BOUNDS[1]), log(NOISE_BOUNDS[1])),
        )

    def log_density(self, theta: Array) -> tuple[float, Array]:
        """Up to a constant, with its gradient (d + 2,)."""
        t = (theta - self.mean) / self.std
        return -0.5 * float(t @ t), -t / self.std

    def starts(self, count: int, rng: np.random.Generator) -> Array:
        """(count, d + 2) places to climb from: the mean, then draws."""
        draws = self.mean + self.std * rng.standard_normal((count, len(self.mean)))
        draws[0] = self.mean
        return np.clip(draws, self.low, self.high)
