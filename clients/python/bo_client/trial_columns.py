"""The columns of tables of trials, by which they are filtered and sorted."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from bo_client.errors import InvalidRequest
from bo_client.formatting import duration, with_unit
from bo_client.models import Origin, StudyInfo, Trial, TrialState
from bo_client.parameters import FloatParameter, IntParameter, Parameter, Value
from bo_client.tags import tags_of

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
STATES = tuple(state.lower() for state in TrialState)
OWN = ("metrics.", "parameters.")
"""Beginnings of the orders by a value that the study defines."""
MAX_OTHERS = 50
"""Maximum number of columns for metrics that the study does not define, and of columns for labels."""


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
    """Whether the dashboard shows the column unless the user chooses otherwise."""
    order: str = ""
    """The server's name of the order by this column; empty if it has none."""
    synonym: Callable[[Trial], str | None] = lambda _: None
    """Another text that a filter may give for the value."""

    @property
    def is_numeric(self) -> bool:
        """Whether the values are ordered numbers."""
        return self.kind in ("number", "duration", "moment")


def columns_of(study: StudyInfo, trials: Sequence[Trial]) -> list[TrialColumn]:
    """Return the columns of a study with these trials.

    A metric's column has its name. A parameter that shares the name of a metric has the key `parameter NAME`, any other
    column that shares the name of either `trial NAME`, and a label that shares a name `label NAME`.
    """
    own = {*(m.name for m in study.metrics), *study.space.names}
    others = _other_metrics(trials, own)
    diagnosis, rest = _labels(trials)
    columns = [
        TrialColumn("number", "Trial", "number", lambda t: t.number, order="number"),
        TrialColumn("state", "State", "state", lambda t: t.state.lower(), STATES, order="state"),
        *(_of_metric(m.name, with_unit(m)) for m in study.metrics),
        *(_of_parameter(study, parameter) for parameter in study.space.parameters),
        TrialColumn("diagnosis", "Diagnosis", "text", lambda t: t.labels.get("diagnosis"), is_shown=diagnosis),
        TrialColumn("failure", "Failure", "text", _failure, synonym=lambda t: t.failure.reason if t.failure else None),
        TrialColumn("tag", "Tags", "text", tags_of, is_shown=any(map(tags_of, trials))),
        TrialColumn("worker", "Worker", "text", lambda t: t.worker_id or None),
        TrialColumn("origin", "From", "text", _origin, synonym=lambda t: t.origin),
        TrialColumn("time", "Time", "duration", duration, order="duration"),
        *(TrialColumn(name, name, "number", _value_of(name), is_shown=False) for name in others),
        TrialColumn("attempt", "Attempt", "number", lambda t: t.attempt, is_shown=False),
        TrialColumn("step", "Step", "number", _step, is_shown=False),
        TrialColumn("started", "Started", "moment", _moment_of("start_time"), is_shown=False, order="start_time"),
        TrialColumn("ended", "Ended", "moment", _moment_of("end_time"), is_shown=False, order="end_time"),
        TrialColumn("note", "Note", "text", lambda t: t.note.text if t.note else None, is_shown=False),
    ]
    columns = [replace(c, key=f"trial {c.key}") if c.key in own and not c.order.startswith(OWN) else c for c in columns]
    taken = {column.key for column in columns}
    return columns + [_of_label(name, f"label {name}" if name in taken else name) for name in rest]


def column_named(name: str, columns: Sequence[TrialColumn], field: str) -> TrialColumn:
    """Return the column with a key or title; capital letters count only if two differ in nothing else.

    Raises:
        InvalidRequest: there is none.
    """
    for matches in (str, str.lower):
        for column in columns:
            if matches(name) in (matches(column.key), matches(column.title)):
                return column
    listed = ", ".join(column.key for column in columns[:30])
    raise InvalidRequest.of(field, f"there is no column {name!r}; choose one of {listed}")


def in_order(trials: Sequence[Trial], column: TrialColumn, is_descending: bool) -> list[Trial]:
    """Return the trials sorted by a column as the server does: those without a value last, equal ones as given."""
    present = [t for t in trials if column.read(t) is not None]
    absent = [t for t in trials if column.read(t) is None]
    return [*sorted(present, key=lambda t: _rank(column.read(t)), reverse=is_descending), *absent]


def _rank(value: Value | Sequence[str] | None) -> tuple[bool, float, str]:
    """Return a key that orders numbers before texts."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return False, value, ""
    text = " ".join(value) if isinstance(value, tuple | list) else str(value)
    return True, 0.0, text.lower()


def _of_metric(name: str, title: str) -> TrialColumn:
    return TrialColumn(name, title, "number", _value_of(name), order=f"metrics.{name}")


def _of_parameter(study: StudyInfo, parameter: Parameter) -> TrialColumn:
    name = parameter.name
    key = f"parameter {name}" if any(m.name == name for m in study.metrics) else name
    title = f"{name} ({parameter.unit})" if parameter.unit else name
    order = f"parameters.{name}"
    if isinstance(parameter, FloatParameter | IntParameter):
        return TrialColumn(key, title, "number", lambda t: t.parameters.get(name), order=order)
    is_numeric = not any(isinstance(value, str | bool) for value in parameter.values)
    values = () if is_numeric else tuple(text_of(value).lower() for value in parameter.values)
    kind: Kind = "number" if is_numeric else "text"
    return TrialColumn(key, title, kind, lambda t: t.parameters.get(name), values, order=order)


def text_of(value: Value) -> str:
    """Return a value as pages show it: booleans as in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value_of(metric: str) -> Callable[[Trial], float | None]:
    return lambda trial: trial.value(metric)


def _other_metrics(trials: Sequence[Trial], own: Collection[str]) -> list[str]:
    """Return metrics that results have beside the study's own."""
    names = {name for t in trials if t.final_measurement for name in t.final_measurement.metrics}
    return sorted(names.difference(own))[:MAX_OTHERS]


def _labels(trials: Sequence[Trial]) -> tuple[bool, list[str]]:
    """Return whether trials have a diagnosis, and the names of their other labels."""
    names = {name for trial in trials for name in trial.labels}
    return "diagnosis" in names, sorted(names - {"diagnosis"})[:MAX_OTHERS]


def _of_label(name: str, key: str) -> TrialColumn:
    return TrialColumn(key, name, "text", lambda t: t.labels.get(name), is_shown=False)


def _origin(trial: Trial) -> str | None:
    return ORIGINS.get(trial.origin) if trial.origin else None


def _failure(trial: Trial) -> str | None:
    if trial.failure is None or trial.state is TrialState.SUCCEEDED:
        return None
    return trial.failure.reason.lower().replace("_", " ")


def _step(trial: Trial) -> int | None:
    latest = trial.final_measurement or trial.latest_measurement
    return latest.step if latest else None


def _moment_of(attribute: Literal["start_time", "end_time"]) -> Callable[[Trial], float | None]:
    def read(trial: Trial) -> float | None:
        moment: datetime | None = getattr(trial, attribute)
        return None if moment is None else moment.timestamp() * 1000

    return read
