"""Values, configurations and metrics in the words that tables, figures and pages share."""

from collections.abc import Mapping
from datetime import timedelta

from bo_client.parameters import Value
from bo_client.space import SearchSpace
from bo_client.values import Attempt, Metric, StudyInfo, Trial


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


def attempt_line(attempt: Attempt) -> str:
    """`attempt 1 by host:7  2026-11-29 12:00:00 to 12:00:10 UTC  failed: CRASHED: why`."""
    begun = f"{attempt.start_time:%Y-%m-%d %H:%M:%S}" if attempt.start_time else "?"
    ended = f"{attempt.end_time:%Y-%m-%d %H:%M:%S}" if attempt.end_time else ("" if attempt.start_time else "?")
    how = attempt.outcome.lower() if attempt.outcome else ("running" if attempt.start_time and not ended else "")
    why = f": {attempt.failure.reason.value} {attempt.failure.message}" if attempt.failure else ""
    line = f"attempt {attempt.number} by {attempt.worker_id}  {begun} to {ended or 'now'} UTC  {how}{why}"
    return one_line(line)


def one_line(text: str) -> str:
    """In one line, and safe for a terminal."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Without control characters other than line ends: they could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
