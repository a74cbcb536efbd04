"""Priors of the surrogate's hyperparameters: normal on their logarithms, so log-normal on themselves.

d varying parameters. theta (d + 4,) = log length scales (d,), log γ, log s², log t², log noise variance, of
`kernels.py`.

The length scales grow with √d because distances do (Hvarfner et al. 2024, arXiv 2402.02746); their width of 1 keeps the
likelihood in charge. Main effects are distances along one parameter: γ = 1/√d takes the growth back. The observed
values have variance 1, and so have s² + t², about. The noise is given a wide prior.
"""

from dataclasses import dataclass

import numpy as np

from bo_service.optimizer.numerics.array import Array

NOISE_BOUNDS = (1e-8, 1.0)
JOINT_BOUNDS = (0.02, 50.0)
MAIN_BOUNDS = (1e-4, 20.0)
LENGTH_BOUNDS = (0.02, 200.0)
STRETCH_BOUNDS = (0.02, 50.0)


@dataclass(frozen=True)
class Prior:
    """Independent normal distributions of the logarithms, with box bounds."""

    mean: Array
    std: Array
    low: Array
    high: Array

    @classmethod
    def over(cls, d: int) -> "Prior":
        """Make the prior for d varying parameters."""

        def vector(length: float, stretch: float, joint: float, main: float, noise: float) -> Array:
            return np.array([*[length] * d, stretch, joint, main, noise])

        log, root = np.log, np.sqrt(max(d, 1))
        bounds = LENGTH_BOUNDS, STRETCH_BOUNDS, JOINT_BOUNDS, MAIN_BOUNDS, NOISE_BOUNDS
        return cls(
            mean=vector(log(0.5 * root), -log(root), log(0.5), log(0.3), log(1e-4)),
            std=vector(1.0, 0.7, 0.4, 1.0, 3.0),
            low=vector(*(log(low) for low, _ in bounds)),
            high=vector(*(log(high) for _, high in bounds)),
        )

    def log_density(self, theta: Array) -> tuple[float, Array]:
        """Return the logarithm of the density up to a constant, with its gradient (d + 4,)."""
        t = (theta - self.mean) / self.std
        return -0.5 * float(t @ t), -t / self.std

    def starts(self, count: int, rng: np.random.Generator) -> Array:
        """Return (count, d + 4) places to climb from: the mean, then draws."""
        draws = self.mean + self.std * rng.standard_normal((count, len(self.mean)))
        draws[0] = self.mean
        return np.clip(draws, self.low, self.high)
