"""Where a trial's parameters come from, and why they were suggested."""

from dataclasses import dataclass
from enum import Enum

from bo_service.domain.interruptions import Prediction


class Origin(Enum):
    """The source of a trial's parameters."""

    DEFAULT = "default"
    QUASI_RANDOM = "quasi_random"
    WARM_START = "warm_start"
    SURROGATE = "surrogate"
    USER = "user"
    CUSTOM_ALGORITHM = "custom_algorithm"
    RANDOM = "random"
    GRID = "grid"
    CONFIRMATION = "confirmation"


class Intent(Enum):
    """The purpose of a suggestion."""

    EXPLORE = "explore"
    EXPLOIT = "exploit"


@dataclass(frozen=True)
class Explanation:
    """The reason for a suggested configuration. `nearest_trial` is a trial number."""

    summary: str
    predictions: tuple[Prediction, ...] = ()
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Intent | None = None
    nearest_trial: int | None = None
    nearest_distance: float | None = None
