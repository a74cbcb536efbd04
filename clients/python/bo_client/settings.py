"""The settings of a study, as arguments of the client."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

from bo_api.v1.study_pb2 import Acquisition, StoppingRule

if TYPE_CHECKING:
    from bo_client.study import Study

ACQUISITIONS = tuple(name.removeprefix("ACQUISITION_").lower() for name, number in Acquisition.items() if number)
"""The acquisition functions that the contract has."""
STOPPING_RULES = tuple(name.removeprefix("STOPPING_RULE_").lower() for name, number in StoppingRule.items() if number)
"""The rules that stop trials early."""


class Fidelity(TypedDict, total=False):
    """Settings of training in parts: trials pause at steps between `min` and `max`."""

    metric: str
    """What a step is, such as "epoch"; by default "step"."""
    max: int
    """The last step of a whole trial."""
    min: int
    """The first step at which trials pause; by default 1."""
    promotion: Literal["asha", "forecast", "none"]
    """By what the best third at each of min, 3·min, 9·min … goes on: the values recorded there, or forecasts of the
    final ones, which is the default with a Gaussian process."""


class StudySettings(TypedDict, total=False):
    """Settings of suggestions and execution. Omitted settings get the server's default."""

    max_trials: int
    max_steps: int
    """Steps of the fidelity, such as epochs, that all trials together may train; needs a fidelity."""
    max_seconds: float
    """Seconds that all trials together may train, summed over workers."""
    lease_duration: float
    """Seconds."""
    max_attempts: int
    seed: int
    algorithm: str
    """"gaussian_process", "quasi_random", "random", "grid", or the name of one that is installed beside the server."""
    grid_points: int
    """For "grid": values of each float, and of each integer that has more."""
    confirming_trials: int
    """How many of the last of `max_trials` repeat the configuration that is best on average."""
    acquisition: str
    """One of ACQUISITIONS, for one objective; with several, the server maximizes the hypervolume that is dominated."""
    per_cost: bool
    """Whether the improvement is divided by the expected duration of a trial."""
    initial_trials: int
    beta: float
    xi: float
    warm_start_studies: "Sequence[str | Study]"
    """Earlier studies, or their ids, whose observations are reused, weighted by how well each ranks this study's."""
    stopping: Literal["none", "median", "successive_halving", "curve"]
    """The rule that stops running trials early, based on their reports."""
    stopping_min_step: int
    """The first step at which a trial may be stopped."""
    stopping_min_trials: int
    """Number of other trials that are needed for a comparison."""
    stopping_reduction_factor: float
    """For "successive_halving": one of this many trials continues at each rung."""
    stopping_max_step: int
    """Last step of a full trial."""
    stopping_confidence: float
    """For "curve": the probability with which a trial must be expected not to become the best."""
    fidelity: Fidelity
    """Trains trials in parts; it never changes. Without it trials are trained to their end in one go."""
