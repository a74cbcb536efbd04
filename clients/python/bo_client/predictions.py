"""What the server predicts of configurations and trials, and what it says with that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Prediction:
    """The prediction of one metric of a configuration, in the metric's own units."""

    metric: str
    mean: float
    std: float
    """Posterior standard deviation of the noise-free value."""


@dataclass(frozen=True)
class ConfigurationPrediction:
    """The predictions of a configuration."""

    predictions: tuple[Prediction, ...]
    acquisition_value: float
    """Larger is better; comparable only within one study at one time."""

    @property
    def mean(self) -> float:
        """Mean of the first objective."""
        return self.predictions[0].mean

    @property
    def std(self) -> float:
        """Standard deviation of the first objective."""
        return self.predictions[0].std


@dataclass(frozen=True)
class Explanation:
    """The reason for a suggested configuration."""

    summary: str
    predictions: tuple[Prediction, ...] = ()
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Literal["EXPLORE", "EXPLOIT"] | None = None
    nearest_trial: str = ""
    nearest_distance: float | None = None
    """Distance from 0 (equal) to 1, in the scaled unit cube."""


@dataclass(frozen=True)
class Pause:
    """A request that a trial should write its checkpoint and come back later."""

    reason: str
    step: int
    """At which the trial was compared with others."""
    attempt: int
    """The attempt that was asked."""
    expected: Prediction | None = None
    """The prediction of the trial's full-length result."""
    expected_step: int = 0
    """The step of the full length."""
    create_time: datetime | None = None
    seconds_per_step: float | None = None
    """Training time of a step until then; None if none was counted."""
