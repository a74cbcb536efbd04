"""The columns of the table of trials, by which it is filtered and sorted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bo_client.formatting import duration, with_unit
from bo_client.models import Origin, StudyInfo, Trial, TrialState
from bo_client.parameters import FloatParameter, IntParameter, Parameter, Value

from bo_dashboard.tags import tags_of

Kind = Literal["number", "text", "state", "duration", "moment"]
"""How a page shows the values; durations are in seconds, moments in milliseconds since 1970."""

ORIGINS = {
    Origin.SURROGATE: "surrogate",
    Origin.QUASI_RANDOM: "quasi-random",
    Origin.DEFAULT: "defaults",
    Origin.WARM_START: "earlier study",
    Origin.USER: "user",
    Origin.CUSTOM_ALGORITHM: "own algorithm",
    Origin.RANDOM: "random",
    Origin.GRID: "grid",
    Origin.CONFIRMATION: "repetition",
}
MAX_OTHER_METRICS = 50
"""Maximum number of metrics with columns that the study does not define."""


@dataclass(frozen=True)
class TrialColumn:
    """A column. `read` returns None where a trial has no value."""

    key: str
    title: str
    kind: Kind
    read: Callable[[Trial], Value | Sequence[str] | None]
    values: tuple[str, ...] = ()
    """All values in lower case, if they are a list."""
    is_shown: bool = True
    """Whether the column is shown unless the user chooses otherwise."""

    @property
    def is_numeric(self) -> bool:
        """Whether the values are ordered numbers."""
        return self.kind in ("number", "duration", "moment")


def columns_of(study: StudyInfo, trials: Sequence[Trial]) -> list[TrialColumn]:
    """Return the columns of a study with these trials."""
    states = tuple(state.lower() for state in TrialState)
    has_diagnosis = any("diagnosis" in trial.labels for trial in trials)
    return [
        TrialColumn("number", "Trial", "number", lambda t: t.number),
        TrialColumn("state", "State", "state", lambda t: t.state.lower(), states),
        *(TrialColumn(m.name, with_unit(m), "number", _value_of(m.name)) for m in study.metrics),
        *(_of_parameter(study, parameter) for parameter in study.space.parameters),
        TrialColumn("diagnosis", "Diagnosis", "text", lambda t: t.labels.get("diagnosis"), is_shown=has_diagnosis),
        TrialColumn("failure", "Failure", "text", _failure),
        TrialColumn("tag", "Tags", "text", tags_of, is_shown=any(map(tags_of, trials))),
        TrialColumn("worker", "Worker", "text", lambda t: t.worker_id or None),
        TrialColumn("origin", "From", "text", lambda t: ORIGINS.get(t.origin) if t.origin else None),
        TrialColumn("time", "Time", "duration", duration),
        *(TrialColumn(name, name, "number", _value_of(name), is_shown=False) for name in _other_metrics(study, trials)),
        TrialColumn("attempt", "Attempt", "number", lambda t: t.attempt, is_shown=False),
        TrialColumn("step", "Step", "number", _step, is_shown=False),
        TrialColumn("started", "Started", "moment", lambda t: _milliseconds(t.start_time), is_shown=False),
        TrialColumn("ended", "Ended", "moment", lambda t: _milliseconds(t.end_time), is_shown=False),
        TrialColumn("note", "Note", "text", lambda t: t.note.text if t.note else None, is_shown=False),
    ]


def _of_parameter(study: StudyInfo, parameter: Parameter) -> TrialColumn:
    name = parameter.name
    key = f"parameter {name}" if any(m.name == name for m in study.metrics) else name
    title = f"{name} ({parameter.unit})" if parameter.unit else name
    if isinstance(parameter, FloatParameter | IntParameter):
        return TrialColumn(key, title, "number", lambda t: t.parameters.get(name))
    is_numeric = not any(isinstance(value, str | bool) for value in parameter.values)
    values = () if is_numeric else tuple(text_of(value).lower() for value in parameter.values)
    return TrialColumn(key, title, "number" if is_numeric else "text", lambda t: t.parameters.get(name), values)


def text_of(value: Value) -> str:
    """Return a value as pages show it: booleans as in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value_of(metric: str) -> Callable[[Trial], float | None]:
    return lambda trial: trial.value(metric)


def _other_metrics(study: StudyInfo, trials: Sequence[Trial]) -> list[str]:
    """Return metrics that results have beside the study's own."""
    names = {name for t in trials if t.final_measurement for name in t.final_measurement.metrics}
    reserved = {*(m.name for m in study.metrics), *study.space.names}
    return sorted(names - reserved)[:MAX_OTHER_METRICS]


def _failure(trial: Trial) -> str | None:
    if trial.failure is None or trial.state is TrialState.SUCCEEDED:
        return None
    return trial.failure.reason.lower().replace("_", " ")


def _step(trial: Trial) -> int | None:
    latest = trial.final_measurement or trial.latest_measurement
    return latest.step if latest else None


def _milliseconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp() * 1000
