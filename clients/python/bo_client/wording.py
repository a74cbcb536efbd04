"""Values, configurations and metrics in the words that tables, figures and pages share."""

from collections.abc import Mapping
from datetime import timedelta

from bo_client.parameters import Value
from bo_client.space import SearchSpace
from bo_client.values import Metric, StudyInfo, Trial


def short(value: Value) -> str:
    """A value with as many digits as one reads."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def in_order(parameters: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """The configuration in the order of the space."""
    return {name: parameters[name] for name in space.names if name in parameters}


def assignments(parameters: Mapping[str, Value]) -> str:
    """name=value, name=value …"""
    return " ".join(f"{name}={short(value)}" for name, value in parameters.items())


def with_unit(metric: Metric) -> str:
    """The metric's name, with its unit where it has one."""
    return f"{metric.name} ({metric.unit})" if metric.unit else metric.name


def heading(metric: Metric) -> str:
    """A metric's name, with its bound where it has one."""
    if metric.role != "constraint" or metric.bound is None:
        return metric.name
    return f"{metric.name} {'≤' if metric.goal == 'minimize' else '≥'} {metric.bound:g}"


def goals(info: StudyInfo) -> str:
    """`minimize loss (nats), minimize size, latency at most 50 ms`."""
    bounds = (
        f"{m.name} at {'most' if m.goal == 'minimize' else 'least'} {m.bound:g} {m.unit}".rstrip() for m in info.limits
    )
    return ", ".join([*(f"{m.goal} {with_unit(m)}" for m in info.objectives), *bounds])


def progress(info: StudyInfo) -> str:
    """`7 of 24`, or `7` without a limit."""
    return f"{info.ended} of {info.max_trials}" if info.max_trials else str(info.ended)


def nothing_yet(info: StudyInfo) -> str:
    """Why there is no best trial."""
    return f"no trial has a result{' within the bounds' if info.limits else ''} yet"


def duration(trial: Trial) -> float | None:
    """Seconds that the last attempt took; None where it hasn't ended."""
    if trial.start_time is None or trial.end_time is None:
        return None
    return (trial.end_time - trial.start_time).total_seconds()


def clock(seconds: float) -> str:
    """h:mm:ss."""
    return str(timedelta(seconds=max(0, round(seconds))))
