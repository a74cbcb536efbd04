"""Conversion of Katib's experiments to studies, and of its trials to reports."""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bo_api.v1 import study_pb2
from google.protobuf.descriptor import FieldDescriptor
from katib_api.v1beta1 import api_pb2 as pb

from bo_service.application.algorithms import check_algorithm
from bo_service.application.external_trials import ExternalTrial
from bo_service.application.studies import NewStudy
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.errors import AlgorithmNotInstalled, InvalidArgument, Violation
from bo_service.domain.limits import MAX_DISPLAY_NAME, MAX_STUDY_ID, MAX_SUGGESTIONS
from bo_service.domain.study import Algorithm, ExecutionSettings, Goal, Metric, MetricRole, StudySpec
from bo_service.domain.trial import Failure, FailureReason, Measurement
from bo_service.katib.space import KatibSpace, space_from_wire
from bo_service.rpc.codec.study import merge_settings

PREFIX = "katib-"
"""Beginning of the ids of all studies that Katib's calls create and change."""
MAX_TRIAL_NAME = 253
"""Characters of a name in Kubernetes."""
DIGEST = 12
"""Characters of a study id that depend on the experiment's definition."""
GOALS = {pb.MINIMIZE: Goal.MINIMIZE, pb.MAXIMIZE: Goal.MAXIMIZE}
SPEC, SETTINGS = "experiment.spec", "experiment.spec.algorithm.algorithm_settings"
ALIASES = {"random_state": "seed"}
"""Names that Katib's own algorithms give to settings of ours."""
WITHHELD = {"warm_start_studies", "confirming_trials"}
"""Settings that would let a caller read other studies."""
ALLOWED: dict[str, FieldDescriptor] = {
    field.name: field  # type: ignore[misc]  # the stubs know two classes of descriptors
    for field in study_pb2.SuggestionSettings.DESCRIPTOR.fields
    if field.name not in WITHHELD
}
Status = pb.TrialStatus
NO_VALUE = "Katib reports no value of the metric "
KILLED = "a user killed the trial in Katib"
STOPPED = "Katib stopped the trial early"


@dataclass(frozen=True)
class KatibExperiment:
    """An experiment as a study."""

    name: str
    study_id: str
    spec: StudySpec
    space: KatibSpace

    def new_study(self, namespace: str) -> NewStudy:
        """Return the study to be created for it."""
        labels = {"katib_experiment": self.name}
        if namespace:
            labels["katib_namespace"] = namespace
        return NewStudy(self.study_id, self.spec, self.name, labels)

    def report(self, trial: pb.Trial, path: str) -> ExternalTrial:
        """Return what Katib reports of a trial.

        Raises:
            InvalidArgument: it has no usable name, or its parameters are no values of the space.
        """
        name = _name(trial.name, f"{path}.name", MAX_TRIAL_NAME)
        given = trial.spec.parameter_assignments.assignments
        configuration = self.space.configuration(given, f"{path}.spec.parameter_assignments.assignments")
        running = ExternalTrial(name, configuration)
        end = ENDS.get(trial.status.condition)
        return running if end is None else end(running, self._outcome(trial.status))

    def _outcome(self, status: pb.TrialStatus) -> Measurement | Failure:
        """Return the final measurement, or why there is none."""
        metrics = {metric.name: number_from_wire(metric.value) for metric in status.observation.metrics}
        objective = self.spec.objective.name
        value = metrics.get(objective)
        if value is None:
            return Failure(FailureReason.CRASHED, NO_VALUE + objective)
        if not math.isfinite(value):
            return Failure(FailureReason.DIVERGED, f"{objective} is {value}")
        names = {metric.name for metric in self.spec.metrics}
        finite = {name: v for name, v in metrics.items() if name in names and v is not None and math.isfinite(v)}
        return Measurement(finite, elapsed=_elapsed(status))


def experiment_from_wire(message: pb.Experiment, namespace: str) -> KatibExperiment:
    """Return an experiment.

    Args:
        message: the experiment.
        namespace: Kubernetes namespace; part of the study's id.

    Raises:
        InvalidArgument: the experiment cannot be served; says why.
    """
    spec = message.spec
    name = _name(message.name, "experiment.name", MAX_DISPLAY_NAME)
    if spec.HasField("nas_config"):
        raise InvalidArgument.of(f"{SPEC}.nas_config", "is given; this service searches hyperparameters alone")
    space = space_from_wire(spec.parameter_specs, f"{SPEC}.parameter_specs")
    try:
        study = StudySpec(space.space, _metrics(spec.objective), execution=ExecutionSettings(max_attempts=1))
    except InvalidArgument as error:
        raise error.inside(SPEC) from error
    settings = _settings(spec.algorithm.algorithm_settings)
    try:
        study = merge_settings(study, study_pb2.StudySpec(suggestion=settings), ["spec.suggestion"])
    except InvalidArgument as error:
        raise InvalidArgument([_renamed(violation) for violation in error.violations]) from error
    return KatibExperiment(name, _study_id(message, namespace), study, space)


def check_experiment(experiment: KatibExperiment, message: pb.Experiment) -> None:
    """Check what Katib should hear before an experiment begins, beyond what `experiment_from_wire` checks.

    Raises:
        InvalidArgument: it could not be finished.
    """
    if message.spec.parallel_trial_count > MAX_SUGGESTIONS:
        what = f"is {message.spec.parallel_trial_count}; at most {MAX_SUGGESTIONS} configurations are made at a time"
        raise InvalidArgument.of(f"{SPEC}.parallel_trial_count", what)
    size, wanted = experiment.space.size, message.spec.max_trial_count
    if size is not None and wanted > size:
        what = f"is {wanted}, and the search space has {size} configurations: lower it, or widen the space"
        raise InvalidArgument.of(f"{SPEC}.max_trial_count", what)
    if experiment.spec.suggestion.algorithm is Algorithm.CUSTOM:
        try:
            check_algorithm(experiment.spec.suggestion)
        except AlgorithmNotInstalled as error:
            raise InvalidArgument.of(SETTINGS, error.message) from error


def _name(name: str, path: str, most: int) -> str:
    """Return the name of an object in Kubernetes. Raises InvalidArgument."""
    if not name or len(name) > most or not name.isprintable():
        raise InvalidArgument.of(path, f"is {name[:80]!r}; give 1 to {most} printable characters")
    return name


def _metrics(objective: pb.ObjectiveSpec) -> tuple[Metric, ...]:
    """Return the objective, then the additional metrics. Raises InvalidArgument."""
    if objective.type not in GOALS:
        raise InvalidArgument.of("objective.type", "is not given; give minimize or maximize")
    further = [name for name in objective.additional_metric_names if name != objective.objective_metric_name]
    return (
        Metric(objective.objective_metric_name, GOALS[objective.type]),
        *(Metric(name, None, MetricRole.INFORMATION) for name in dict.fromkeys(further)),
    )


def _settings(given: Sequence[pb.AlgorithmSetting]) -> study_pb2.SuggestionSettings:
    """Return our settings by Katib's names and texts. Raises InvalidArgument."""
    message = study_pb2.SuggestionSettings()
    violations = []
    for setting in given:
        field = ALLOWED.get(ALIASES.get(setting.name, setting.name))
        if field is None:
            allowed = ", ".join(sorted([*ALLOWED, *ALIASES]))
            violations.append(Violation(SETTINGS, f"holds {setting.name[:80]!r}; the settings are {allowed}"))
            continue
        try:
            setattr(message, field.name, _setting(field, setting.value))
        except (ValueError, KeyError):
            what = f"is {setting.value[:80]!r}; give {_expected(field)}"
            violations.append(Violation(f"{SETTINGS}.{setting.name}", what))
    if violations:
        raise InvalidArgument(violations)
    return message


def _setting(field: FieldDescriptor, text: str) -> Any:
    """Return the value of a setting.

    Raises:
        ValueError, KeyError: the text is none.
    """
    if field.enum_type is not None:
        return _choices(field)[text.lower()]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "false": False}[text.lower()]
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return float(text)
    return text if field.type == FieldDescriptor.TYPE_STRING else int(text)


def _choices(field: FieldDescriptor) -> dict[str, int]:
    """Return the numbers of a setting's values by their short names, such as "log_ei"."""
    kind = field.enum_type
    assert kind is not None
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).upper() + "_"
    return {value.name.removeprefix(prefix).lower(): value.number for value in kind.values if value.number}


def _expected(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        return "one of " + ", ".join(sorted(_choices(field)))
    kinds = {FieldDescriptor.TYPE_BOOL: "true or false", FieldDescriptor.TYPE_DOUBLE: "a number"}
    return kinds.get(field.type, "a whole number in the setting's range")


def _renamed(violation: Violation) -> Violation:
    return replace(violation, field=violation.field.replace("study.spec.suggestion", SETTINGS))


def _study_id(message: pb.Experiment, namespace: str) -> str:
    """Return the id of the experiment's study: its name, and a digest of all that its trials depend on."""
    spec = message.spec
    definition = pb.ExperimentSpec(
        parameter_specs=spec.parameter_specs,
        objective=pb.ObjectiveSpec(
            type=spec.objective.type,
            objective_metric_name=spec.objective.objective_metric_name,
            additional_metric_names=spec.objective.additional_metric_names,
        ),
        algorithm=pb.AlgorithmSpec(algorithm_settings=spec.algorithm.algorithm_settings),
    )
    whole = f"{namespace}\0{message.name}\0".encode() + definition.SerializeToString(deterministic=True)
    digest = hashlib.sha256(whole).hexdigest()[:DIGEST]
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", "-".join(filter(None, (namespace, message.name))))
    return f"{PREFIX}{readable[: MAX_STUDY_ID - len(PREFIX) - DIGEST - 1]}-{digest}"


def _ended(trial: ExternalTrial, outcome: Measurement | Failure) -> ExternalTrial:
    if isinstance(outcome, Measurement):
        return replace(trial, final_measurement=outcome)
    return replace(trial, failure=outcome)


ENDS: dict[Any, Callable[[ExternalTrial, Measurement | Failure], ExternalTrial]] = {
    Status.SUCCEEDED: _ended,
    Status.METRICSUNAVAILABLE: lambda trial, _: replace(
        trial, failure=Failure(FailureReason.CRASHED, "Katib found no metrics of the trial")
    ),
    Status.FAILED: lambda trial, _: replace(trial, failure=Failure(FailureReason.CRASHED, "the trial failed in Katib")),
    Status.KILLED: lambda trial, _: replace(
        trial, failure=Failure(FailureReason.PREEMPTED, KILLED), stop_reason=KILLED
    ),
    Status.EARLYSTOPPED: lambda trial, outcome: replace(
        _ended(trial, outcome), stop_reason=STOPPED, stopping_rule=StoppingRule.MEDIAN
    ),
}
"""How trials of each condition ended; trials of other conditions run."""


def number_from_wire(text: str) -> float | None:
    """Return a number; None for a text that is none, such as Katib's "unavailable"."""
    with suppress(ValueError):
        return float(text)
    return None


def _elapsed(status: pb.TrialStatus) -> timedelta | None:
    """Return how long a trial took; None if Katib doesn't say."""
    with suppress(ValueError, TypeError):  # TypeError: one has a time zone, the other none
        took = datetime.fromisoformat(status.completion_time) - datetime.fromisoformat(status.start_time)
        return took if took > timedelta() else None
    return None
