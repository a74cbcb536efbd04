"""The answers about a study, as plain values that cross process boundaries.

Everything is in the user's units, except that objective values are turned so that larger is better, as in
`inputs.py`.
"""

from dataclasses import dataclass

from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import Value
from bo_service.optimizer.inputs import PointPrediction


@dataclass(frozen=True)
class Estimate:
    """A number, and how far the truth may be from it: one standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class ParameterImportance:
    """What one parameter does to the objective, as shares of the variance, from 0 to 1."""

    parameter: str
    first: Estimate
    """By itself: the first-order Sobol index."""
    total: Estimate
    """By itself and together with others: the total Sobol index."""


@dataclass(frozen=True)
class Interaction:
    """What two parameters do together beyond what each does by itself: the second-order Sobol index."""

    parameters: tuple[str, str]
    share: Estimate


@dataclass(frozen=True)
class RegionImportance:
    """Importance over a part of the space."""

    share: float
    """Which part of the feasible space: 1 for all, 0.25 for the quarter with the best predictions."""
    bound: float | None
    """What is predicted in it is at least so good; None for the whole space."""
    std: float
    """How much the prediction varies over it, in the user's units."""
    parameters: tuple[ParameterImportance, ...]
    """The most important first, by total."""
    interactions: tuple[Interaction, ...] = ()
    """Those that are told from none, the strongest first; only for the whole space."""


@dataclass(frozen=True)
class Contender:
    """A configuration that may be the best of those tried."""

    trial: int
    """The one of its trials with the best value."""
    observations: int
    """How many trials have tried it."""
    value: float
    """The mean of their values."""
    mean: float
    """Expectation of its noise-free value, hyperparameters drawn: less sure of itself than a prediction."""
    std: float
    probability: float
    """That no other configuration tried is better."""
    expected_regret: float
    """By how much the truly best is expected to be better."""
    repeats: int
    """Of it and of the leader, each, after which one would know which is better; 0 for the leader."""
    probability_behind: float | None = None
    """That the recommended one is better than it; None for that one."""


@dataclass(frozen=True)
class BestFinding:
    """Whether the best is really best."""

    summary: str
    """One sentence or two for people."""
    contenders: tuple[Contender, ...]
    """The likeliest first; the one with the best observed value is among them."""
    observed_best: int
    """Number of the trial with the best observed value."""
    recommended: int
    """Number of the trial whose configuration to take: the contender of the least expected regret."""
    noise_std: float
    """Of a single observation of the leader, around its noise-free value."""
    confidence: float
    """What `repeats` stands for, here and in the contenders."""
    repeats: int
    """Of each of the few likeliest, after which one would know the best of them."""
    stopped: int = 0
    """How many trials aren't among those tried, as a rule stopped them early."""


@dataclass(frozen=True)
class Calibration:
    """Whether the surrogate is to be trusted: how well it predicts each observation from all others."""

    summary: str
    """One sentence for people."""
    count: int
    coverage_50: float
    """Share of observations within their central 50 % interval."""
    coverage_90: float
    explained: float
    """Share of the warped values' variance that is predicted: 1 at best, 0 or less where nothing is."""


@dataclass(frozen=True)
class Analysis:
    """What the surrogate tells of a study."""

    importance: tuple[RegionImportance, ...]
    """Over the whole space, then over its better quarter."""
    best: BestFinding
    calibration: Calibration
    observation_count: int
    """Trials with values that were measured at their full length."""
    stopped_count: int = 0
    """Trials that a rule stopped early: the surrogate learns what was expected of them."""


@dataclass(frozen=True)
class SliceRequest:
    """One or two parameters to vary, the others held at a base."""

    parameters: tuple[str, ...]
    size: int
    """Values of each, at most; of categories there are always all."""
    base: Configuration | None = None
    """None for the best trial's."""


@dataclass(frozen=True)
class SliceAxis:
    """The values at which one parameter is looked at, in order."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Slice:
    """Predictions over one or two axes; the last axis runs fastest."""

    axes: tuple[SliceAxis, ...]
    points: tuple[PointPrediction, ...]
    feasible: tuple[bool, ...]
    """Which points fulfill the constraints between parameters."""
    base: Configuration
    """What the other parameters were held at, as far as they exist; and the base's own values on the axes."""
    base_trial: int | None
    acquisition: str
    observation_count: int
