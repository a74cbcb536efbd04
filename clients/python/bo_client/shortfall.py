"""Why a study gives no more trials: the shortfall, the limits of a study, and what was spent."""

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """A limit of a study."""

    MAX_TRIALS = "MAX_TRIALS"
    MAX_STEPS = "MAX_STEPS"
    MAX_SECONDS = "MAX_SECONDS"

    @property
    def setting(self) -> str:
        """The setting of the study with the limit."""
        return self.value.lower()

    @property
    def option(self) -> str:
        """The option of `bo study resume` that raises it."""
        return f"--{self.setting.replace('_', '-')}"


@dataclass(frozen=True)
class Spent:
    """What the trials of a study have spent on training, over all attempts."""

    steps: int = 0
    seconds: float = 0.0


class Shortfall(StrEnum):
    """The reason why fewer trials were assigned than requested."""

    ALL_IN_PROGRESS = "ALL_IN_PROGRESS"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    SPACE_EXHAUSTED = "SPACE_EXHAUSTED"
    NEEDS_RESUME = "NEEDS_RESUME"

    @property
    def is_final(self) -> bool:
        """Whether further requests of this worker are useless."""
        return self in (Shortfall.COMPLETED, Shortfall.SPACE_EXHAUSTED, Shortfall.NEEDS_RESUME)

    @property
    def explanation(self) -> str:
        """The reason in words."""
        return SHORTFALLS[self]


SHORTFALLS = {
    Shortfall.ALL_IN_PROGRESS: "all remaining trials are being run",
    Shortfall.PAUSED: "the study is paused",
    Shortfall.COMPLETED: "the study is complete",
    Shortfall.SPACE_EXHAUSTED: "no configuration of the search space is left that has not been tried",
    Shortfall.NEEDS_RESUME: "only paused trials are left, which wait for a worker that can resume",
}
