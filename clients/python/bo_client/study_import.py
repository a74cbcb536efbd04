"""Results of trials as they are added to another study: from files that `bo study export` writes, or from a study."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bo_client.constraints import Constraint, EqualityConstraint, ForbiddenCombination, LinearConstraint
from bo_client.errors import InvalidRequest
from bo_client.models import (
    Failure,
    FailureReason,
    Measurement,
    Metric,
    ObjectiveSpec,
    StudyInfo,
    Trial,
    TrialNote,
    TrialState,
)
from bo_client.parameters import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
)
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace

if TYPE_CHECKING:
    from bo_client.client import Client
    from bo_client.study import Study

PARAMETERS: dict[str, Callable[..., Parameter]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "categorical": CategoricalParameter,
    "discrete": DiscreteParameter,
}
CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "linear": LinearConstraint,
    "equality": EqualityConstraint,
    "forbidden": ForbiddenCombination,
}
RESULTS = (TrialState.SUCCEEDED, TrialState.STOPPED)
STOPPED = "stopped"
"""The reason of a trial whose reason is not recorded."""
BLAMES_PARAMETERS = (FailureReason.OUT_OF_MEMORY, FailureReason.DIVERGED, FailureReason.INVALID_CONFIGURATION)


@dataclass(frozen=True)
class Result:
    """The end of a trial: its final measurement, or a failure that the parameters caused; its curve and its note."""

    number: int
    parameters: Mapping[str, Value]
    final: Measurement | None = None
    failure: FailureReason | None = None
    labels: Mapping[str, str] | None = None
    curve: tuple[Measurement, ...] = ()
    stop_reason: str | None = None
    """Why it was ended early; None if it was not."""
    note: str | None = None

    @classmethod
    def of(cls, trial: Trial) -> "Result | None":
        """Return the result of a trial; None if it has none."""
        about: dict[str, Any] = {
            "labels": trial.labels,
            "curve": tuple(map(_measured, trial.measurements)),
            "note": trial.note.text if trial.note else None,
        }
        if trial.state is TrialState.INFEASIBLE and trial.failure is not None:
            return cls(trial.number, trial.parameters, failure=trial.failure.reason, **about)
        final = trial.final_measurement
        if trial.state not in RESULTS or final is None:
            return None
        is_stopped = trial.state is TrialState.STOPPED or trial.is_cut_short
        reason = (trial.stop_reason or STOPPED) if is_stopped else None
        return cls(trial.number, trial.parameters, _measured(final), stop_reason=reason, **about)

    @property
    def request_id(self) -> str:
        """Id of the request that adds the result: the same for the same content, so that it is added once."""
        metrics = self.final.metrics if self.final else None
        parts = [self.number, self.parameters, metrics, self.failure, self.labels]
        if self.curve or (self.final and (self.final.step or self.final.elapsed is not None)):
            parts += [astuple(self.final) if self.final else None, list(map(astuple, self.curve))]
        if self.stop_reason is not None:
            parts.append(self.stop_reason)
        content = json.dumps(parts, sort_keys=True)
        return f"import-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


@dataclass(frozen=True)
class ExportedStudy:
    """The content of a JSON file of `bo study export`."""

    space: SearchSpace
    metrics: tuple[Metric, ...]
    settings: StudySettings
    display_name: str
    labels: Mapping[str, str]
    objective: ObjectiveSpec | None
    results: tuple[Result, ...]
    left_out: int
    """Number of trials without a result."""

    def create(self, client: "Client", study_id: str) -> "Study":
        """Create the study with an id, or find the one that was created so.

        Raises:
            AlreadyExists: the id belongs to another study.
        """
        return client.create_study(
            study_id,
            self.space,
            self.metrics,
            display_name=self.display_name,
            labels=self.labels,
            objective=self.objective,
            **self.settings,
        )


def read_json(path: Path) -> ExportedStudy:
    """Read a JSON file of `bo study export`.

    Raises:
        InvalidRequest: the file cannot be read, or was not written by that command.
    """
    text = _text(path)
    try:
        content = json.loads(text)
        study = content["study"]
        parameters = [_parameter(record) for record in study["parameters"]]
        constraints = [_built(CONSTRAINTS, record) for record in study["constraints"]]
        objective = study["objective"]
        results = [result for record in content["trials"] if (result := _result(record)) is not None]
        return ExportedStudy(
            SearchSpace(parameters, constraints),
            tuple(Metric(**record) for record in study["metrics"]),
            cast(StudySettings, study["settings"]),
            study["display_name"],
            study["labels"],
            ObjectiveSpec(**objective) if objective else None,
            tuple(results),
            len(content["trials"]) - len(results),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else repr(error)
        raise InvalidRequest.of(str(path), f"is not a JSON file of `bo study export` ({what})") from None


def read_csv(path: Path, study: StudyInfo) -> tuple[tuple[Result, ...], int]:
    """Read a CSV file with a column for each parameter and modelled metric of a study.

    Rows whose column `state`, if there is one, is none of SUCCEEDED, STOPPED and INFEASIBLE are left out, and so are
    rows without a metric.

    Returns:
        The results, and the number of rows that were left out.

    Raises:
        InvalidRequest: the file cannot be read, lacks a column, or has a value that does not fit; the message names the
            row.
    """
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    metrics = [metric.name for metric in study.modelled_metrics]
    missing = [name for name in (*study.space.names, *metrics) if name not in (reader.fieldnames or ())]
    if missing:
        raise InvalidRequest.of(str(path), f"has no column {', '.join(missing)}; each parameter and metric needs one")
    others = [metric.name for metric in study.metrics if metric.name not in metrics]
    results, rows = [], list(reader)
    for number, row in enumerate(rows, start=1):
        place = f"{path}: row {number}"
        given = {name: row[name] for name in study.space.names if row[name]}
        try:
            parameters = study.space.parse(given)
        except InvalidRequest as error:
            raise InvalidRequest(f"{place}: {error}", error.reason, error.metadata, error.violations) from None
        state, failure = row.get("state") or TrialState.SUCCEEDED, row.get("failure")
        if state == TrialState.INFEASIBLE and failure in BLAMES_PARAMETERS:
            results.append(Result(number, parameters, failure=FailureReason(failure)))
        elif state in RESULTS and all(row[name] for name in metrics):
            by = row.get("stopped_by")
            reason = f"{STOPPED} by {by}" if by else STOPPED if state == TrialState.STOPPED else None
            values = {name: _number(f"{place}: {name}", row[name]) for name in (*metrics, *others) if row.get(name)}
            results.append(Result(number, parameters, Measurement(values), stop_reason=reason))
    return tuple(results), len(rows) - len(results)


def add_results(study: "Study", results: Iterable[Result]) -> int:
    """Add results to a study, and return their number. A result that was added within a week is not added again.

    A note is written where the trial has none.

    Raises:
        InvalidRequest: a result does not fit the study.
    """
    count = 0
    for result in results:
        trial = study.add(
            result.parameters,
            result.final,
            result.failure,
            result.labels,
            result.request_id,
            stop_reason=result.stop_reason,
            curve=result.curve,
        )
        if result.note and study.trial(trial.number).note is None:
            study.set_note(trial.number, result.note)
        count += 1
    return count


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets begin files with a mark
    except OSError as error:
        raise InvalidRequest.of(str(path), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest.of(str(path), "is not text in UTF-8") from None


def _number(place: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest.of(place, f"is {text!r}; give a finite number")
    return value


def _parameter(record: Mapping[str, Any]) -> Parameter:
    activation = record.get("activation")
    given = {**record, "activation": Activation(**activation)} if activation else record
    return cast(Parameter, _built(PARAMETERS, given))


def _built(kinds: Mapping[str, Callable[..., Any]], record: Mapping[str, Any]) -> Any:
    return kinds[record["type"]](**{name: value for name, value in record.items() if name != "type"})


def _result(record: Mapping[str, Any]) -> Result | None:
    """Return the result of a trial's record; None if it has none."""
    final, failure, note = (record.get(name) for name in ("final_measurement", "failure", "note"))
    return Result.of(
        Trial(
            number=record["number"],
            name="",
            state=TrialState(record["state"]),
            parameters=record["parameters"],
            labels=record.get("labels", {}),
            final_measurement=_measurement(final) if final else None,
            measurements=tuple(map(_measurement, record.get("measurements", ()))),
            failure=Failure(FailureReason(failure["reason"])) if failure else None,
            stop_reason=record.get("stop_reason"),
            stop_rule=record.get("stop_rule"),
            expected_step=record.get("expected_step"),
            note=TrialNote(note["text"], "", None) if note else None,
        )
    )


def _measured(measurement: Measurement) -> Measurement:
    """Return the measurement without the time at which a server received it."""
    return replace(measurement, receive_time=None)


def _measurement(record: Mapping[str, Any]) -> Measurement:
    """Return a measurement; numbers that are not finite are texts in JSON."""
    metrics = {name: float(value) for name, value in record["metrics"].items()}
    return Measurement(metrics, record["step"], record.get("elapsed"))
