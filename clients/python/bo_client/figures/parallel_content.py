"""The content of parallel coordinates: an axis for each parameter and metric, and the heights of each trial on them.

Heights are 0 at the lower end of an axis and 1 at the upper; ABSENT is below all axes.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from bo_client.diagnosis import position
from bo_client.figures.common import drawable_value, is_log, is_lost, is_observed, is_of_many_sizes, not_far, tick
from bo_client.formatting import with_unit
from bo_client.models import Metric, StudyInfo, Trial
from bo_client.parameters import FloatParameter, IntParameter, Parameter, Value, strict_equal

MAX_LINES = 400
"""Maximum number of trials: the best ones."""
MAX_AXES = 14
"""Maximum number of parameters."""
MAX_LABELED_VALUES = 6
"""Maximum number of values labeled at an axis."""
ABSENT = -0.2
"""The height of an absent parameter, and of the metric of a trial without a result."""

LineKind = Literal["result", "lost", "stopped"]


@dataclass(frozen=True)
class ParallelAxis:
    """An axis. The values of a list have equal distances."""

    name: str
    title: str
    labels: tuple[tuple[float, str], ...]
    """Heights and their labels."""
    is_metric: bool
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    is_whole: bool = False
    """Whether the parameter is an integer."""
    values: tuple[Value, ...] = ()
    """The values of a list, from the lower end to the upper; empty for a range."""

    def at(self, value: float) -> float:
        """Return the height of a value of a metric, limited to the axis."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


@dataclass(frozen=True)
class ParallelLine:
    """A trial."""

    trial: Trial
    heights: tuple[float, ...]
    """On each axis, up to the first metric if the trial has no result."""
    goodness: float
    """Position of the first metric from the worst shown to the best; 0 without a result."""
    kind: LineKind


@dataclass(frozen=True)
class ParallelContent:
    """Axes and lines; worse trials come first, so that better ones are drawn over them."""

    axes: tuple[ParallelAxis, ...]
    lines: tuple[ParallelLine, ...]
    result_count: int
    """Number of trials with a result, of which at most MAX_LINES have lines."""
    hidden_count: int
    """Number of parameters without an axis."""


def content_of(
    study: StudyInfo, trials: Sequence[Trial], metrics: Sequence[Metric], first: Collection[int] = ()
) -> ParallelContent:
    """Return the content for some metrics, the first of which ranks the trials.

    Args:
        study: the study.
        trials: its trials.
        metrics: at least one.
        first: numbers of trials that have lines before all others.
    """
    of = metrics[0]
    valued = [(t, v) for t in trials if is_observed(t) and (v := drawable_value(t, of)) is not None]
    ranked = sorted(valued, key=lambda pair: (pair[0].number not in first, -of.sign * pair[1]))
    shown = [t for t, _ in ranked[:MAX_LINES]]
    parameters = list(study.space.parameters)[:MAX_AXES]
    measured = [_metric_axis(metric, shown) for metric in metrics]
    lost = [t for t in trials if is_lost(t)][-MAX_LINES // 4 :]
    stopped = [t for t in trials if t.is_cut_short][-MAX_LINES // 4 :]
    lines = [
        *(_without(t, parameters, "lost") for t in lost),
        *(_without(t, parameters, "stopped") for t in stopped),
        *sorted((_line(t, parameters, metrics, measured) for t in shown), key=lambda line: line.goodness),
    ]
    axes = (*map(_parameter_axis, parameters), *measured)
    return ParallelContent(axes, tuple(lines), len(ranked), len(study.space.parameters) - len(parameters))


def _metric_axis(metric: Metric, trials: Sequence[Trial]) -> ParallelAxis:
    values = [v for t in trials if (v := drawable_value(t, metric)) is not None] or [0.0]
    shown = not_far(values, metric.goal) if metric.goal else list(values)
    low, high = min(shown), max(shown)
    ends = ((0.0, tick(low)), (1.0, tick(high)))
    return ParallelAxis(metric.name, with_unit(metric), ends, True, low, high, is_of_many_sizes(low, high))


def _parameter_axis(parameter: Parameter) -> ParallelAxis:
    title = f"{parameter.name} ({parameter.unit})" if parameter.unit else parameter.name
    if isinstance(parameter, FloatParameter | IntParameter):
        ends = ((0.0, tick(parameter.low)), (1.0, tick(parameter.high)))
        is_whole = isinstance(parameter, IntParameter)
        return ParallelAxis(
            parameter.name, title, ends, False, parameter.low, parameter.high, is_log(parameter), is_whole
        )
    apart = math.ceil(len(parameter.values) / MAX_LABELED_VALUES)
    labels = tuple((height_of(parameter, v), tick(v)) for v in parameter.values[::apart])
    return ParallelAxis(parameter.name, title, labels, False, values=tuple(parameter.values))


def height_of(parameter: Parameter, value: Value | None) -> float:
    """Return the height of a parameter's value; ABSENT without one."""
    if value is None:
        return ABSENT
    if isinstance(parameter, FloatParameter | IntParameter):
        u = position(parameter, value)
        return 0.5 if u is None else u
    count = len(parameter.values)
    place = next((i for i, candidate in enumerate(parameter.values) if strict_equal(candidate, value)), None)
    return ABSENT if place is None else 0.5 if count == 1 else place / (count - 1)


def _line(
    trial: Trial, parameters: Sequence[Parameter], metrics: Sequence[Metric], measured: Sequence[ParallelAxis]
) -> ParallelLine:
    values = [drawable_value(trial, metric) for metric in metrics]
    ends = [ABSENT if v is None else axis.at(v) for v, axis in zip(values, measured, strict=True)]
    goodness = ends[0] if metrics[0].goal != "minimize" else 1.0 - ends[0]
    return ParallelLine(trial, (*_heights(trial, parameters), *ends), goodness, "result")


def _without(trial: Trial, parameters: Sequence[Parameter], kind: LineKind) -> ParallelLine:
    return ParallelLine(trial, (*_heights(trial, parameters), ABSENT), 0.0, kind)


def _heights(trial: Trial, parameters: Sequence[Parameter]) -> list[float]:
    return [height_of(p, trial.parameters.get(p.name)) for p in parameters]
