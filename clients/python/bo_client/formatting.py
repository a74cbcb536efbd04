"""Formatting of values, configurations and metrics for tables, figures and pages."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from bo_client.artifacts import Artifact
from bo_client.models import Attempt, Limit, Metric, StudyInfo, Trial, TrialNote, TrialState
from bo_client.parameters import Value
from bo_client.space import SearchSpace


def short(value: Value) -> str:
    """Return a value with up to five digits."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def in_order(parameters: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """Return the configuration in the order of the space."""
    return {name: parameters[name] for name in space.names if name in parameters}


def assignments(parameters: Mapping[str, Value]) -> str:
    """Return a configuration as name=value name=value …."""
    return " ".join(f"{name}={short(value)}" for name, value in parameters.items())


def with_unit(metric: Metric) -> str:
    """Return the metric's name, with its unit if it has one."""
    return f"{metric.name} ({metric.unit})" if metric.unit else metric.name


def heading(metric: Metric) -> str:
    """Return a metric's name, with its bound if it has one."""
    if metric.role != "constraint" or metric.bound is None:
        return metric.name
    return f"{metric.name} {'≤' if metric.goal == 'minimize' else '≥'} {metric.bound:g}"


def goals(info: StudyInfo) -> str:
    """Return the goals as text: `minimize loss (nats), minimize size, latency at most 50 ms`."""
    bounds = (
        f"{m.name} at {'most' if m.goal == 'minimize' else 'least'} {m.bound:g} {m.unit}".rstrip() for m in info.limits
    )
    return ", ".join([*(f"{m.goal} {with_unit(m)}" for m in info.objectives), *bounds])


def progress(info: StudyInfo) -> str:
    """Return the progress: `7 of 24`, or `7` without a limit."""
    return f"{info.ended} of {info.max_trials}" if info.max_trials else str(info.ended)


def spent_of(info: StudyInfo, limit: Limit) -> str:
    """Return what was spent of a limit of training: `12 of 540 epochs`, or `12 epochs` without the limit."""
    is_steps = limit is Limit.MAX_STEPS
    used, unit = (info.spent.steps, f"{info.step_name}s") if is_steps else (info.spent.seconds, "seconds")
    most = info.settings.get("max_steps" if is_steps else "max_seconds")
    return f"{used:,.10g} of {most:,.10g} {unit}" if isinstance(most, int | float) else f"{used:,.10g} {unit}"


def budget(info: StudyInfo) -> str:
    """Return what was spent of the study's budget, and what is left; empty without a budget.

    As `12 of 540 epochs spent, 528 left; 31.5 of 3,600 seconds spent, 3,568.5 left`.
    """
    parts = []
    for limit, used in ((Limit.MAX_STEPS, info.spent.steps), (Limit.MAX_SECONDS, info.spent.seconds)):
        most = info.settings.get(limit.setting)
        if isinstance(most, int | float):
            parts.append(f"{spent_of(info, limit)} spent, {max(0, most - used):,.10g} left")
    return "; ".join(parts)


def resumable(info: StudyInfo) -> str:
    """Return how many trials wait for a worker that can resume; empty if none does."""
    count = info.resumable_count
    return f"{count} {'trial waits' if count == 1 else 'trials wait'} for a worker that can resume" if count else ""


def trained_in_parts(info: StudyInfo, trials: Sequence[Trial]) -> str:
    """Return how many steps were trained, beside those of as many whole trials; empty without a fidelity or trials."""
    fidelity = info.settings.get("fidelity")
    begun = [trial.latest_measurement.step for trial in trials if trial.latest_measurement is not None]
    if fidelity is None or not begun:
        return ""
    name = fidelity.get("metric", "step")
    count = f"{len(begun)} whole trials" if len(begun) > 1 else "a whole trial"
    return f"{sum(begun)} of the {len(begun) * fidelity['max']} {name}s of {count}"


def nothing_yet(info: StudyInfo) -> str:
    """Return why there is no best trial."""
    paused = sum(count for state, count in info.counts.items() if state is TrialState.PAUSED)
    waiting = f"; {paused} {'is' if paused == 1 else 'are'} paused, without a final measurement" if paused else ""
    return f"no trial has a result{' within the bounds' if info.limits else ''} yet{waiting}"


def duration(trial: Trial) -> float | None:
    """Return the seconds of the last attempt; None if it has not ended."""
    if trial.start_time is None or trial.end_time is None:
        return None
    return (trial.end_time - trial.start_time).total_seconds()


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    return str(timedelta(seconds=max(0, round(seconds))))


def attempt_line(attempt: Attempt) -> str:
    """Return an attempt as text: `attempt 1 by host:7  2026-11-29 12:00:00 to 12:00:10 UTC  failed: CRASHED: why`."""
    begun = f"{attempt.start_time:%Y-%m-%d %H:%M:%S}" if attempt.start_time else "?"
    ended = f"{attempt.end_time:%Y-%m-%d %H:%M:%S}" if attempt.end_time else ("" if attempt.start_time else "?")
    how = attempt.outcome.lower() if attempt.outcome else ("running" if attempt.start_time and not ended else "")
    why = f": {attempt.failure.reason.value} {attempt.failure.message}" if attempt.failure else ""
    line = f"attempt {attempt.number} by {attempt.worker_id}  {begun} to {ended or 'now'} UTC  {how}{why}"
    return one_line(line)


def artifact_line(artifact: Artifact) -> str:
    """Return an artifact as text: `confusion.png (image/png, 1,234 bytes)`, or with `at gs://bucket/model.keras`."""
    size = "" if artifact.size is None else f", {artifact.size:,} bytes"
    where = f" at {artifact.uri}" if artifact.uri else ""
    return one_line(f"{artifact.artifact_id} ({artifact.media_type}{size}){where}")


def note_head(note: TrialNote) -> str:
    """Return who wrote a note, and when: `note by tokens/4f1c, 2026-11-29 12:00 UTC`."""
    at = f", {note.update_time:%Y-%m-%d %H:%M} UTC" if note.update_time else ""
    return one_line(f"note by {note.author}{at}")


def one_line(text: str) -> str:
    """Return the text in one line, without control characters."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return the text without control characters other than line breaks, which could control a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
