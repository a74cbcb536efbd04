"""What the surrogate tells of a study, as the server told it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bo_client.parameters import Value
from bo_client.values import Prediction


@dataclass(frozen=True)
class Estimate:
    """A number estimated from the observations, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class ParameterImportance:
    """What one parameter does to a metric, as shares of the variance of the prediction, from 0 to 1."""

    parameter: str
    first_order: Estimate
    """By itself: its first-order Sobol index."""
    total: Estimate
    """By itself and together with others: its total Sobol index."""


@dataclass(frozen=True)
class ParameterInteraction:
    """What two parameters do together, beyond what each does by itself: their second-order Sobol index."""

    parameters: tuple[str, ...]
    share: Estimate


@dataclass(frozen=True)
class RegionImportance:
    """Importance over a part of the search space."""

    share: float
    """Which part: 1 for all of it, 0.25 for the quarter with the best predictions."""
    bound: float | None
    """What is predicted in it is at least as good; None for the whole space."""
    std: float
    """Standard deviation of the prediction over it, in the metric's own units."""
    parameters: tuple[ParameterImportance, ...]
    """The most important first."""
    interactions: tuple[ParameterInteraction, ...] = ()
    """Those that are told from none, the strongest first; only for the whole space."""


@dataclass(frozen=True)
class Contender:
    """A configuration that may be the best of those tried."""

    trial: int
    """The one of its trials with the best value."""
    observation_count: int
    """How many trials have tried it."""
    observed: float
    """The mean of their values, as measured; trials that a stopping rule cut short don't count."""
    prediction: Prediction
    """Of its noise-free value: less sure than Study.predict, as the surrogate's own doubts are counted in."""
    probability: float
    """That no other configuration tried is better."""
    expected_regret: float
    """By how much the truly best is expected to be better, in the metric's own units."""
    repeats: int
    """Of it and of the likeliest, each, that would tell which is better; 0 where that is known."""


@dataclass(frozen=True)
class BestAnalysis:
    """Whether the best is really best."""

    summary: str
    contenders: tuple[Contender, ...]
    """The likeliest first; the one with the best observed value is among them."""
    observed_best: int
    """Number of the trial with the best observed value."""
    noise_std: float
    """Of one observation of the likeliest around its noise-free value, in the metric's own units."""
    confidence: float
    repeats: int
    """Of each of the four likeliest, that would tell the best of them; 0 where that is known."""
    stopped_count: int = 0
    """How many trials aren't among those tried, as a stopping rule cut them short."""


@dataclass(frozen=True)
class Calibration:
    """Whether the surrogate is to be trusted: each observation predicted from all the others."""

    summary: str
    observation_count: int
    coverage_50: float
    """Share of observations within their central 50 % interval."""
    coverage_90: float
    explained: float
    """Share of the variance that is predicted: 1 at best, 0 or less where nothing is."""


@dataclass(frozen=True)
class MetricAnalysis:
    """What the surrogate tells of one objective metric."""

    metric: str
    importance: tuple[RegionImportance, ...]
    """Over the whole space, then over its better quarter."""
    best: BestAnalysis
    calibration: Calibration


@dataclass(frozen=True)
class Analysis:
    """What the surrogate tells of a study. The shortcuts are of the first objective metric."""

    metrics: tuple[MetricAnalysis, ...]
    observation_count: int
    """Trials that were measured at their full length."""
    stopped_count: int = 0
    """Trials that a stopping rule cut short: the surrogate learns what was expected of them."""

    @property
    def importance(self) -> Mapping[str, ParameterImportance]:
        """Over the whole space, by parameter, the most important first."""
        return {p.parameter: p for p in self.metrics[0].importance[0].parameters}

    @property
    def best(self) -> BestAnalysis:
        """Whether the best is really best."""
        return self.metrics[0].best

    @property
    def calibration(self) -> Calibration:
        """Whether all this is to be trusted."""
        return self.metrics[0].calibration


@dataclass(frozen=True)
class SliceAxis:
    """The values at which one parameter is looked at, in order."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class SlicePoint:
    """What the surrogate says at one point of a slice."""

    parameters: Mapping[str, Value]
    """The values on the axes."""
    predictions: tuple[Prediction, ...]
    acquisition_value: float
    feasible: bool
    """Whether it fulfills the constraints between parameters."""

    @property
    def mean(self) -> float:
        """Of the first objective metric."""
        return self.predictions[0].mean

    @property
    def std(self) -> float:
        """Of the first objective metric."""
        return self.predictions[0].std


@dataclass(frozen=True)
class Slice:
    """Predictions along one or two axes; the last axis runs fastest through `points`."""

    axes: tuple[SliceAxis, ...]
    points: tuple[SlicePoint, ...]
    base: Mapping[str, Value]
    """What the other parameters were held at, with the base's own values on the axes."""
    base_trial: int | None
    """Number of the trial that the base is of; None where the caller gave it."""
    acquisition: str
    observation_count: int
