"""The settings of a study, as they are given to the client."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from bo_client.study import Study

Acquisition = Literal["log_ei", "ucb", "log_pi", "portfolio", "log_nei"]


class StudySettings(TypedDict, total=False):
    """How suggestions are made and handed out. What is left out, the server chooses."""

    max_trials: int
    lease_duration: float
    """In seconds."""
    max_attempts: int
    seed: int
    algorithm: Literal["gaussian_process", "quasi_random"]
    acquisition: Acquisition
    """For one objective; with several, the server searches by the hypervolume that is dominated."""
    per_cost: bool
    """Whether improvement counts per second that a trial takes, as learned from those that have ended."""
    initial_trials: int
    beta: float
    xi: float
    warm_start_studies: "Sequence[str | Study]"
    """Earlier studies to start from, or their ids; each counts as far as it ranks this one's results."""
    stopping: Literal["none", "median", "successive_halving", "curve"]
    """Which rule tells running trials to stop early, judging what they report."""
    stopping_min_step: int
    """No trial is stopped before this step."""
    stopping_min_trials: int
    """No trial is stopped before so many others can be compared with."""
    stopping_reduction_factor: float
    """Of how many trials one goes on, for "successive_halving"."""
    stopping_max_step: int
    """Last step of a whole trial."""
    stopping_confidence: float
    """How sure it must be that a trial won't beat the best, for "curve"."""
