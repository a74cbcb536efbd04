"""What several pictures share: which trials count, what is said of them, and what of an axis is shown."""

import math
from collections.abc import Sequence

from bo_client.errors import BoClientError, InvalidRequest
from bo_client.figures.marks import Axis, Picture
from bo_client.parameters import FloatParameter, IntParameter, Parameter, Value, listed
from bo_client.ranking import is_better
from bo_client.values import Metric, Origin, StudyInfo, Trial, TrialState
from bo_client.wording import short, with_unit

LOG_RATIO = 50.0
"""Values above 0 whose largest is so many times the smallest are drawn on a log axis."""
TINY = 1e-150
"""Below it, and above its inverse, a log axis can't be computed with."""
BEYOND = "beyond a bound"
STOPPED = "stopped early"
MOST_FACTS = 14
"""Parameters that are told of a trial."""
MOST_FACTUAL = 1_000
"""Trials of which all is told, in one kind of mark."""
MOST_TICKS = 8

Window = tuple[float, float]


class PlotError(BoClientError):
    """There is nothing to draw, or nothing to draw with."""


def titled(study: StudyInfo, what: str) -> str:
    """`STUDY: what is to be seen`."""
    return f"{study.display_name or study.id}: {what}"


def nothing(study: StudyInfo, why: str) -> Picture:
    """A picture of nothing, that says why."""
    return Picture(titled(study, "nothing to draw"), message=f"{why}; there is nothing to draw", summary=why)


def metrics_of(study: StudyInfo, metric: str | None) -> tuple[Metric, ...]:
    """The one of that name, else the objectives. Raises InvalidRequest."""
    if metric is None:
        return study.objectives
    found = tuple(m for m in study.metrics if m.name == metric)
    if not found:
        raise InvalidRequest.of("metric", f"is {metric!r}; the study has {listed([m.name for m in study.metrics])}")
    return found


def with_result(trials: Sequence[Trial]) -> list[Trial]:
    """Those that have a final measurement."""
    return [t for t in trials if t.final_measurement]


def is_observed(trial: Trial) -> bool:
    """Whether its result is that of a whole trial: one that a rule cut short has reached only what it has so far."""
    return trial.final_measurement is not None and not trial.is_cut_short


def stopped_words(trials: Sequence[Trial]) -> str:
    """`, 3 of them stopped early`; nothing without any."""
    count = sum(t.is_cut_short for t in trials)
    return f", {count} of them {STOPPED}" if count else ""


def apart_words(trials: Sequence[Trial]) -> str:
    """Return `; 3 were stopped early`, for a figure whose count leaves those out; empty without any."""
    count = sum(t.is_cut_short for t in trials)
    return f"; {count} {'was' if count == 1 else 'were'} {STOPPED}" if count else ""


def is_within(study: StudyInfo, trial: Trial) -> bool:
    """Whether a trial with a result keeps to every bound."""
    return trial.final_measurement is not None and study.admits(trial.final_measurement.metrics)


def is_lost(trial: Trial) -> bool:
    """Whether it ended without a result."""
    return trial.state.is_ended and trial.final_measurement is None


def facts(study: StudyInfo, trial: Trial) -> str:
    """What is told of a trial where one points at it: a line for each fact."""
    lines = [f"trial {trial.number}, {trial.state.lower()}"]
    lines += [f"{m.name} {short(v)}" for m in study.metrics if (v := trial.value(m.name)) is not None]
    lines += [f"{STOPPED}, as far as it came"] if trial.is_cut_short else []
    if trial.failure and trial.state is not TrialState.SUCCEEDED:
        lines.append(trial.failure.reason.value)
    named = [f"{n} = {short(trial.parameters[n])}" for n in study.space.names if n in trial.parameters]
    lines += named[:MOST_FACTS] + ([f"and {len(named) - MOST_FACTS} more"] if len(named) > MOST_FACTS else [])
    return "\n".join([*lines, f"from {ORIGINS.get(trial.origin, 'nobody knows where')}"])


def facts_of(study: StudyInfo, trials: Sequence[Trial]) -> list[str]:
    """What is told of each trial; of very many in brief, as a page holds it all."""
    tell = facts if len(trials) <= MOST_FACTUAL else brief
    return [tell(study, trial) for trial in trials]


def brief(study: StudyInfo, trial: Trial) -> str:
    """A trial's number, and what it reached."""
    reached = [f"{m.name} {short(v)}" for m in study.metrics if (v := trial.value(m.name)) is not None]
    short_of = [f"{STOPPED}, as far as it came"] if trial.is_cut_short else []
    return "\n".join([f"trial {trial.number}", *(reached or [trial.state.lower()]), *short_of])


ORIGINS: dict[Origin | None, str] = {
    Origin.SURROGATE: "the surrogate",
    Origin.QUASI_RANDOM: "the quasi-random design",
    Origin.DEFAULT: "the defaults",
    Origin.WARM_START: "an earlier study",
    Origin.USER: "a user",
}


def directed(metric: Metric) -> str:
    """`loss (nats), lower is better`."""
    if metric.goal is None:
        return with_unit(metric)
    return f"{with_unit(metric)}, {'lower' if metric.goal == 'minimize' else 'higher'} is better"


def worst_shown(values: Sequence[float], goal: str | None) -> float:
    """The worst value that gets its own height: a few very bad ones would flatten all others."""
    ordered = sorted(values, reverse=goal == "maximize")
    usual = ordered[3 * (len(ordered) - 1) // 4]
    limit = usual + 2.0 * (usual - ordered[0])
    far = usual != ordered[0] and abs(ordered[-1] - ordered[0]) > 1.5 * abs(limit - ordered[0])
    return limit if far else ordered[-1]


def not_far(values: Sequence[float], goal: str | None) -> list[float]:
    """Those that are no worse than the worst that is shown."""
    worst = worst_shown(values, goal)
    return [v for v in values if not is_better(worst, v, goal)]


def is_of_many_sizes(low: float, high: float) -> bool:
    """Whether values from low to high are better seen on a log axis."""
    return low > TINY and high < 1.0 / TINY and high / low >= LOG_RATIO


def axis_over(title: str, values: Sequence[float], room: float = 0.08, has_lines: bool = True) -> Axis:
    """An axis with all of the values and some room: a log one where values of many sizes are above 0."""
    low, high = min(values), max(values)
    if is_of_many_sizes(low, high):
        factor = (high / low) ** room
        return Axis(title, "log", window=(low / factor, high * factor), has_lines=has_lines)
    apart = room * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(title, window=(low - apart, high + apart), has_lines=has_lines)


def fraction(axis: Axis, value: float) -> float:
    """Where in the axis's window a value is, from 0 to 1."""
    assert axis.window is not None
    low, high = axis.window
    if axis.scale == "log":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def is_numeric_value(value: Value) -> bool:
    """Whether it has a place of its own on an axis of numbers."""
    return not isinstance(value, str | bool)


def named(parameter: Parameter) -> str:
    """The parameter's name, with its unit where it has one."""
    return f"{parameter.name} ({parameter.unit})" if parameter.unit else parameter.name


def is_log(parameter: Parameter) -> bool:
    """Whether it is looked at on a log scale."""
    return getattr(parameter, "scale", "linear") == "log"


def is_ranged(parameter: Parameter) -> bool:
    """Whether it has a range, not a list of values."""
    return isinstance(parameter, FloatParameter | IntParameter)


def tick(value: Value) -> str:
    """A value at an axis: three digits."""
    return f"{value:.3g}" if isinstance(value, float) else clipped(str(value), 22)


def clipped(text: str, most: int) -> str:
    """At most so many letters of it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
