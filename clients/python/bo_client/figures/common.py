"""Functions that several figures share: selection of trials, their descriptions, and axis windows."""

import math
from collections.abc import Sequence

from bo_client.errors import BoClientError, InvalidRequest
from bo_client.figures.marks import FigureAxis, FigureSpec
from bo_client.formatting import short, with_unit
from bo_client.models import Metric, Origin, StudyInfo, Trial, TrialState
from bo_client.parameters import FloatParameter, IntParameter, Parameter, Value, format_values
from bo_client.ranking import is_better

LOG_RATIO = 50.0
"""Ratio of the largest to the smallest positive value from which an axis is logarithmic."""
TINY = 1e-150
"""Smallest value, and inverse of the largest, of a log axis."""
OUT_OF_BOUNDS = "beyond a bound"
STOPPED = "stopped early"
MAX_FACTS = 14
"""Maximum number of parameters in a trial's hover text."""
MAX_DETAILED = 1_000
"""Maximum number of trials with detailed hover texts, in one kind of mark."""
MAX_TICKS = 8
MAX_DRAWN = 1e300
"""Largest value that is drawn: the difference of two is finite, also with a margin around them."""

Window = tuple[float, float]


class PlotError(BoClientError):
    """Nothing can be drawn, or the plotting package is missing."""


def titled(study: StudyInfo, what: str) -> str:
    """Return a title: `STUDY: description`."""
    return f"{study.display_name or study.id}: {what}"


def nothing(study: StudyInfo, why: str) -> FigureSpec:
    """Return an empty figure with the reason."""
    return FigureSpec(titled(study, "nothing to draw"), message=f"{why}; there is nothing to draw", summary=why)


def metrics_of(study: StudyInfo, metric: str | None) -> tuple[Metric, ...]:
    """Return the metric with a name, else the objectives.

    Raises:
        InvalidRequest: there is no such metric.
    """
    if metric is None:
        return study.objectives
    matching = tuple(m for m in study.metrics if m.name == metric)
    if not matching:
        raise InvalidRequest.of(
            "metric", f"is {metric!r}; the study has {format_values([m.name for m in study.metrics])}"
        )
    return matching


def drawable(value: float) -> float:
    """Return the value, limited to what can be drawn."""
    return min(max(value, -MAX_DRAWN), MAX_DRAWN)


def drawable_value(trial: Trial, metric: Metric) -> float | None:
    """Return the trial's final value of a metric, limited to what can be drawn; None without one."""
    value = trial.value(metric.name)
    return None if value is None else drawable(value)


def with_result(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials with a final measurement."""
    return [t for t in trials if t.final_measurement]


def is_observed(trial: Trial) -> bool:
    """Return whether the trial has a full-length result, which a stopping rule did not end early."""
    return trial.final_measurement is not None and not trial.is_cut_short


def stopped_words(trials: Sequence[Trial]) -> str:
    """Return `, 3 of them stopped early`; empty without any."""
    count = sum(t.is_cut_short for t in trials)
    return f", {count} of them {STOPPED}" if count else ""


def apart_words(trials: Sequence[Trial]) -> str:
    """Return `; 3 were stopped early`, for a figure whose count excludes them; empty without any."""
    count = sum(t.is_cut_short for t in trials)
    return f"; {count} {'was' if count == 1 else 'were'} {STOPPED}" if count else ""


def is_within(study: StudyInfo, trial: Trial) -> bool:
    """Return whether the trial has a result within all bounds."""
    return trial.final_measurement is not None and study.admits(trial.final_measurement.metrics)


def is_lost(trial: Trial) -> bool:
    """Return whether the trial ended without a result."""
    return trial.state.is_ended and trial.final_measurement is None


def facts(study: StudyInfo, trial: Trial) -> str:
    """Return the hover text of a trial, one line for each fact."""
    lines = [f"trial {trial.number}, {trial.state.lower()}"]
    lines += [f"{m.name} {short(v)}" for m in study.metrics if (v := trial.value(m.name)) is not None]
    lines += [f"{STOPPED}, as far as it came"] if trial.is_cut_short else []
    if trial.failure and trial.state is not TrialState.SUCCEEDED:
        lines.append(trial.failure.reason.value)
    named = [f"{n} = {short(trial.parameters[n])}" for n in study.space.names if n in trial.parameters]
    lines += named[:MAX_FACTS] + ([f"and {len(named) - MAX_FACTS} more"] if len(named) > MAX_FACTS else [])
    return "\n".join([*lines, f"from {ORIGINS.get(trial.origin, 'an unknown source')}"])


def facts_of(study: StudyInfo, trials: Sequence[Trial]) -> list[str]:
    """Return the hover text of each trial; brief for many trials, to limit the size of a page."""
    tell = facts if len(trials) <= MAX_DETAILED else brief
    return [tell(study, trial) for trial in trials]


def brief(study: StudyInfo, trial: Trial) -> str:
    """Return a trial's number and metrics."""
    reached = [f"{m.name} {short(v)}" for m in study.metrics if (v := trial.value(m.name)) is not None]
    short_of = [f"{STOPPED}, as far as it came"] if trial.is_cut_short else []
    return "\n".join([f"trial {trial.number}", *(reached or [trial.state.lower()]), *short_of])


ORIGINS: dict[Origin | None, str] = {
    Origin.SURROGATE: "the surrogate",
    Origin.QUASI_RANDOM: "the quasi-random design",
    Origin.DEFAULT: "the defaults",
    Origin.WARM_START: "an earlier study",
    Origin.USER: "a user",
    Origin.CUSTOM_ALGORITHM: "the study's own algorithm",
    Origin.RANDOM: "random search",
    Origin.GRID: "the grid",
    Origin.CONFIRMATION: "a repetition",
}


def directed(metric: Metric) -> str:
    """Return a metric with its direction: `loss (nats), lower is better`."""
    if metric.goal is None:
        return with_unit(metric)
    return f"{with_unit(metric)}, {'lower' if metric.goal == 'minimize' else 'higher'} is better"


def worst_shown(values: Sequence[float], goal: str | None) -> float:
    """Return the worst value that is not an outlier, so that outliers do not flatten the others."""
    ordered = sorted(values, reverse=goal == "maximize")
    usual = ordered[3 * (len(ordered) - 1) // 4]
    limit = usual + 2.0 * (usual - ordered[0])
    far = usual != ordered[0] and abs(ordered[-1] - ordered[0]) > 1.5 * abs(limit - ordered[0])
    return limit if far else ordered[-1]


def not_far(values: Sequence[float], goal: str | None) -> list[float]:
    """Return the values that are no worse than the worst shown one."""
    worst = worst_shown(values, goal)
    return [v for v in values if not is_better(worst, v, goal)]


def is_of_many_sizes(low: float, high: float) -> bool:
    """Return whether values between low and high need a log axis."""
    return low > TINY and high < 1.0 / TINY and high / low >= LOG_RATIO


def axis_over(title: str, values: Sequence[float], room: float = 0.08, has_lines: bool = True) -> FigureAxis:
    """Return an axis that contains all values with a margin, logarithmic if they span several orders of magnitude."""
    low, high = min(values), max(values)
    if is_of_many_sizes(low, high):
        factor = (high / low) ** room
        return FigureAxis(title, "log", window=(low / factor, high * factor), has_lines=has_lines)
    apart = room * (high - low) or 0.05 * abs(high) or 1.0
    return FigureAxis(title, window=(low - apart, high + apart), has_lines=has_lines)


def fraction(axis: FigureAxis, value: float) -> float:
    """Return the position of a value in the axis's window, from 0 to 1."""
    assert axis.window is not None
    low, high = axis.window
    if axis.scale == "log":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def is_numeric_value(value: Value) -> bool:
    """Return whether the value has a position on a numeric axis."""
    return not isinstance(value, str | bool)


def named(parameter: Parameter) -> str:
    """Return the parameter's name, with its unit if it has one."""
    return f"{parameter.name} ({parameter.unit})" if parameter.unit else parameter.name


def is_log(parameter: Parameter) -> bool:
    """Return whether the parameter has a log scale."""
    return getattr(parameter, "scale", "linear") == "log"


def is_ranged(parameter: Parameter) -> bool:
    """Return whether the parameter has a range instead of a list of values."""
    return isinstance(parameter, FloatParameter | IntParameter)


def tick(value: Value) -> str:
    """Return a value as a tick label, with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else clipped(str(value), 22)


def clipped(text: str, limit: int) -> str:
    """Return the text, truncated to a number of characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
