"""The surrogate's analysis of a study, as returned by the server."""

from collections.abc import Mapping
from dataclasses import dataclass

from bo_client.models import Prediction, Trial
from bo_client.parameters import Value


@dataclass(frozen=True)
class Estimate:
    """A number estimated from the observations, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class ParameterImportance:
    """The importance of a parameter for a metric, as shares of the variance of the prediction, from 0 to 1."""

    parameter: str
    first_order: Estimate
    """First-order Sobol index: the effect of the parameter alone."""
    total: Estimate
    """Total Sobol index: the effect including interactions."""


@dataclass(frozen=True)
class ParameterInteraction:
    """Second-order Sobol index: the interaction of two parameters."""

    parameters: tuple[str, ...]
    share: Estimate


@dataclass(frozen=True)
class RegionImportance:
    """Importance over a region of the search space."""

    share: float
    """Share of the space: 1 for all of it, 0.25 for the quarter with the best predictions."""
    bound: float | None
    """Bound on the predictions in the region; None for the whole space."""
    std: float
    """Standard deviation of the prediction over it, in the metric's own units."""
    parameters: tuple[ParameterImportance, ...]
    """The most important first."""
    interactions: tuple[ParameterInteraction, ...] = ()
    """Interactions that differ from zero, the strongest first; only for the whole space."""


@dataclass(frozen=True)
class Contender:
    """A tried configuration that may be the best."""

    trial: int
    """Its trial with the best value."""
    observation_count: int
    """Number of trials of the configuration."""
    observed: float
    """Mean of their measured values, without trials that a stopping rule ended early."""
    prediction: Prediction
    """Prediction of its noise-free value, including the uncertainty of hyperparameters."""
    probability: float
    """Probability that no other tried configuration is better."""
    expected_regret: float
    """Expected difference to the best configuration, in the metric's own units."""
    repeats: int
    """Number of repeats, each of it and the most likely best, that decide between them; 0 if that is known."""
    probability_behind: float | None = None
    """Probability that the recommended configuration is better than it; None for that one."""


@dataclass(frozen=True)
class BestAnalysis:
    """The analysis of the best configuration."""

    summary: str
    contenders: tuple[Contender, ...]
    """The most likely best first; includes the one with the best observed value."""
    observed_best: int
    """Number of the trial with the best observed value."""
    noise_std: float
    """Standard deviation of an observation of the most likely best, in the metric's own units."""
    confidence: float
    repeats: int
    """Number of repeats of each of the four most likely that would show the best of them; 0 if that is known."""
    stopped_count: int = 0
    """Number of trials excluded, as a stopping rule ended them early."""
    recommended: int = 0
    """Number of the trial whose configuration to take: the contender of the least expected regret."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of the surrogate: each observation is predicted from all others."""

    summary: str
    observation_count: int
    coverage_50: float
    """Share of observations within their central 50 % interval."""
    coverage_90: float
    explained: float
    """Share of the variance that is predicted: at most 1; 0 or less if nothing is."""


@dataclass(frozen=True)
class MetricAnalysis:
    """The analysis of one objective."""

    metric: str
    importance: tuple[RegionImportance, ...]
    """Over the whole space, then over its better quarter."""
    best: BestAnalysis
    calibration: Calibration


@dataclass(frozen=True)
class Analysis:
    """The analysis of a study. The shortcuts refer to the first objective."""

    metrics: tuple[MetricAnalysis, ...]
    observation_count: int
    """Number of full-length trials."""
    stopped_count: int = 0
    """Number of trials that a stopping rule ended early, for which the surrogate uses predictions."""

    @property
    def importance(self) -> Mapping[str, ParameterImportance]:
        """Importance over the whole space by parameter, the most important first."""
        return {p.parameter: p for p in self.metrics[0].importance[0].parameters}

    @property
    def best(self) -> BestAnalysis:
        """The analysis of the best configuration."""
        return self.metrics[0].best

    @property
    def calibration(self) -> Calibration:
        """The calibration of the surrogate."""
        return self.metrics[0].calibration


@dataclass(frozen=True)
class Recommendation:
    """The configuration to take: of those tried, the one of the least expected regret."""

    trial: Trial
    """The one of its trials with the best value."""
    prediction: Prediction
    """Prediction of its noise-free value."""
    probability: float
    """Probability that no other tried configuration is better."""
    runner_up: int | None
    """Number of the trial whose configuration comes next; None without another contender."""
    probability_over_runner_up: float | None
    """Probability that it is better than the runner-up's; None if the server doesn't say, or without a runner-up."""

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The parameters to take."""
        return self.trial.parameters

    @property
    def summary(self) -> str:
        """What to take and why, in a sentence."""
        take = f"Take the parameters of trial {self.trial.number}: {self.prediction.metric} is expected to be"
        expected = f"{self.prediction.mean:.4g} ± {self.prediction.std:.2g}"
        if self.runner_up is None or self.probability_over_runner_up is None:
            return f"{take} {expected}, the best of those tried with probability {self.probability:.2f}."
        return (
            f"{take} {expected}, better than those of trial {self.runner_up} with probability "
            f"{self.probability_over_runner_up:.2f}."
        )


@dataclass(frozen=True)
class SliceAxis:
    """The values of one parameter of a slice, in order."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class SlicePoint:
    """The predictions at one point of a slice."""

    parameters: Mapping[str, Value]
    """The values on the axes."""
    predictions: tuple[Prediction, ...]
    acquisition_value: float
    feasible: bool
    """Whether the point satisfies the constraints between parameters."""

    @property
    def mean(self) -> float:
        """Mean of the first objective."""
        return self.predictions[0].mean

    @property
    def std(self) -> float:
        """Standard deviation of the first objective."""
        return self.predictions[0].std


@dataclass(frozen=True)
class Slice:
    """Predictions along one or two axes; the last axis runs fastest through `points`."""

    axes: tuple[SliceAxis, ...]
    points: tuple[SlicePoint, ...]
    base: Mapping[str, Value]
    """Values of the other parameters, with the base's own values on the axes."""
    base_trial: int | None
    """Number of the trial with these values; None if the caller gave them."""
    acquisition: str
    observation_count: int
