"""One problem: what is tuned, how good a config is, and what is known of the optimum. Everything is minimized."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from benchmarks.problems.space import Config, Space


class Split(Enum):
    """What a problem is for: designing the optimizer, or checking that the design holds elsewhere."""

    DEVELOPMENT = "development"
    VALIDATION = "validation"


class Failure(Exception):
    """The trial failed: it has no value."""


@dataclass(frozen=True)
class Problem:
    """A function to minimize. Regret is judged by `true`, which has no noise."""

    name: str
    space: Space
    true: Callable[[Config], float]
    budget: int
    split: Split = Split.DEVELOPMENT
    optimizer: Config | None = None
    """Where the minimum is, if that is known exactly."""
    noise: float = 0.0
    """Standard deviation of the normal noise on what a trial measures."""
    fails: Callable[[Config], bool] | None = None

    def evaluate(self, config: Config, rng: np.random.Generator) -> float:
        """What one trial measures.

        Raises:
            Failure: the config is one of those that fail.
        """
        if self.fails is not None and self.fails(config):
            raise Failure
        return self.true(config) + (self.noise * float(rng.standard_normal()) if self.noise else 0.0)

    def is_feasible(self, config: Config) -> bool:
        """Whether a trial of it succeeds."""
        return self.fails is None or not self.fails(config)
