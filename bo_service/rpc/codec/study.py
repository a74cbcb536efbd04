"""Conversion of studies to and from messages."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import study_pb2 as pb

from bo_service.application.studies import NewStudy, StudyUpdate
from bo_service.application.views import StudyView
from bo_service.domain.budget import Limit, Spent
from bo_service.domain.early_stopping import StoppingSettings
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.failures import RecentFailures
from bo_service.domain.limits import MAX_DISPLAY_NAME, MAX_METRICS, MAX_UNIT
from bo_service.domain.objective import ObjectiveSpec
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import (
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    StudySpec,
    StudyState,
    SuggestionSettings,
)
from bo_service.rpc.codec.fields import (
    ViolationCollector,
    check_study_id,
    choice,
    labels_from_wire,
    text,
    trial_name,
)
from bo_service.rpc.codec.search_space import add_all, or_else, space_from_wire, space_to_wire
from bo_service.rpc.codec.settings import fidelity_from_wire, fidelity_to_wire, settings_from_wire, settings_to_wire

MAX_SPENT_STEPS = 2**63 - 1
"""The largest number that the contract can hold."""
PLACEHOLDER_SPACE = SearchSpace((Parameter("any", FloatDomain(0.0, 1.0)),))
PLACEHOLDER_METRICS: tuple[Metric, ...] = (Metric("any", Goal.MINIMIZE),)
"""Placeholders for invalid parts, so that the rest of a spec can be validated."""

GOALS = {pb.GOAL_UNSPECIFIED: None, pb.GOAL_MINIMIZE: Goal.MINIMIZE, pb.GOAL_MAXIMIZE: Goal.MAXIMIZE}
ROLES = {
    pb.METRIC_ROLE_OBJECTIVE: MetricRole.OBJECTIVE,
    pb.METRIC_ROLE_CONSTRAINT: MetricRole.CONSTRAINT,
    pb.METRIC_ROLE_INFORMATION: MetricRole.INFORMATION,
}
STATES = {
    pb.STUDY_STATE_ACTIVE: StudyState.ACTIVE,
    pb.STUDY_STATE_PAUSED: StudyState.PAUSED,
    pb.STUDY_STATE_COMPLETED: StudyState.COMPLETED,
}
GOALS_TO_WIRE = {ours: number for number, ours in GOALS.items()}
ROLES_TO_WIRE = {ours: number for number, ours in ROLES.items()}
STATES_TO_WIRE = {ours: number for number, ours in STATES.items()}
LIMITS_TO_WIRE: dict[Limit | None, Any] = {
    None: pb.LIMIT_UNSPECIFIED,
    **{limit: pb.Limit.Value(f"LIMIT_{limit.name}") for limit in Limit},
}

SETTINGS = {
    "spec.suggestion": pb.SuggestionSettings.DESCRIPTOR,
    "spec.stopping": pb.StoppingSettings.DESCRIPTOR,
    "spec.execution": pb.ExecutionSettings.DESCRIPTOR,
}
SETTINGS_CLASSES: dict[str, type[SuggestionSettings | ExecutionSettings | StoppingSettings]] = {
    "suggestion": SuggestionSettings,
    "execution": ExecutionSettings,
    "stopping": StoppingSettings,
}
CHANGEABLE = {
    "display_name",
    "labels",
    "state",
    "objective",
    *SETTINGS,
    *(f"{path}.{field.name}" for path, settings in SETTINGS.items() for field in settings.fields),
}
"""Field paths that UpdateStudy's mask may contain."""


def spec_from_wire(message: pb.StudySpec, field: str) -> StudySpec:
    """Return the spec.

    Raises:
        InvalidArgument: contains the path of every invalid field.
    """
    violations = ViolationCollector()
    space = or_else(violations, lambda: space_from_wire(message.space, f"{field}.space"), PLACEHOLDER_SPACE)
    metrics = or_else(
        violations, lambda: _metrics_from_wire(message, f"{field}.metrics", violations), PLACEHOLDER_METRICS
    )
    suggestion = settings_from_wire(SuggestionSettings, message.suggestion, f"{field}.suggestion", violations)
    execution = settings_from_wire(ExecutionSettings, message.execution, f"{field}.execution", violations)
    stopping = settings_from_wire(StoppingSettings, message.stopping, f"{field}.stopping", violations)
    fidelity = fidelity_from_wire(message, f"{field}.fidelity", violations)
    try:
        spec = StudySpec(space, metrics, suggestion, execution, stopping, fidelity)
    except InvalidArgument as error:
        add_all(violations, error.inside(field).violations)
    violations.check()
    return spec


def spec_to_wire(spec: StudySpec) -> pb.StudySpec:
    """Return the message."""
    return pb.StudySpec(
        space=space_to_wire(spec.space),
        metrics=[_metric_to_wire(metric) for metric in spec.metrics],
        suggestion=settings_to_wire(pb.SuggestionSettings, spec.suggestion),
        stopping=settings_to_wire(pb.StoppingSettings, spec.stopping),
        execution=settings_to_wire(pb.ExecutionSettings, spec.execution),
        fidelity=fidelity_to_wire(spec.fidelity),
    )


def new_study_from_wire(request: service_pb.CreateStudyRequest) -> NewStudy:
    """Return the arguments of CreateStudy.

    Raises:
        InvalidArgument: contains the path of every invalid field.
    """
    return NewStudy(
        check_study_id(request.study_id, "study_id"),
        spec_from_wire(request.study.spec, "study.spec"),
        display_name_from_wire(request.study.display_name, "study.display_name"),
        labels_from_wire(request.study.labels, "study.labels"),
        objective_from_wire(request.study, "study.objective"),
    )


def study_to_wire(view: StudyView) -> pb.Study:
    """Return the message."""
    study = view.study
    message = pb.Study(
        name=study.name,
        spec=spec_to_wire(study.spec),
        display_name=study.display_name,
        labels=study.labels,
        state=STATES_TO_WIRE[study.state],
        trial_counts=pb.TrialCounts(**{state.value: count for state, count in view.counts.items()}),
        revision=study.revision,
        resumable_count=view.resumable_count,
        reached_limit=LIMITS_TO_WIRE[view.reached_limit],
    )
    if study.spent != Spent():
        steps = min(study.spent.steps, MAX_SPENT_STEPS)
        message.spent.CopyFrom(pb.Spent(steps=steps, seconds=study.spent.time.total_seconds()))
    if study.objective is not None:
        message.objective.CopyFrom(objective_to_wire(study.objective))
    if view.recent_failures is not None:
        message.recent_failures.CopyFrom(_recent_to_wire(view.recent_failures, study.study_id))
    message.create_time.FromDatetime(study.create_time)
    message.update_time.FromDatetime(study.update_time)
    return message


def objective_from_wire(parent: pb.Study | service_pb.SuggestTrialsRequest, field: str) -> ObjectiveSpec | None:
    """Return the objective; None if the message has none.

    Raises:
        InvalidArgument: the objective is invalid.
    """
    if not parent.HasField("objective"):
        return None
    message = parent.objective
    try:
        return ObjectiveSpec(message.name, dict(sorted(message.options.items())))
    except InvalidArgument as error:
        raise error.inside(field) from error


def objective_to_wire(objective: ObjectiveSpec) -> pb.ObjectiveSpec:
    """Return the message."""
    return pb.ObjectiveSpec(name=objective.name, options=objective.options)


def _recent_to_wire(failures: RecentFailures, study_id: str) -> pb.RecentFailures:
    failure = failures.first.failure
    assert failure is not None
    return pb.RecentFailures(
        failed_count=failures.failed,
        trial_count=failures.trials,
        first_trial=trial_name(study_id, failures.first.number),
        first_failure=f"{failure.reason.name}: {failure.message}" if failure.message else failure.reason.name,
    )


def display_name_from_wire(name: str, field: str) -> str:
    """Return the display name.

    Raises:
        InvalidArgument: it is too long, or contains NUL.
    """
    return text(name, field, MAX_DISPLAY_NAME)


def update_from_wire(request: service_pb.UpdateStudyRequest) -> StudyUpdate:
    """Return the update with the fields in the mask.

    Raises:
        InvalidArgument: the mask or a field is invalid.
    """
    paths, study = list(request.update_mask.paths), request.study
    if not paths:
        raise InvalidArgument.of("update_mask", f"is empty; name what changes: {', '.join(sorted(CHANGEABLE))}")
    unknown = sorted(set(paths) - CHANGEABLE)
    if unknown:
        raise InvalidArgument.of("update_mask", f"names {unknown}; these may change: {', '.join(sorted(CHANGEABLE))}")
    violations = ViolationCollector()
    settings = [path for path in paths if path.startswith("spec.")]
    _check_ranges(study.spec, settings, violations)
    name = labels = state = None
    if "display_name" in paths:
        name = violations.attempt(lambda: display_name_from_wire(study.display_name, "study.display_name"))
    if "labels" in paths:
        labels = violations.attempt(lambda: labels_from_wire(study.labels, "study.labels"))
    if "state" in paths:
        state = violations.attempt(lambda: choice(study.state, "study.state", STATES))
    objective = None
    if "objective" in paths:
        objective = violations.attempt(lambda: objective_from_wire(study, "study.objective"))
    violations.check()
    clears_objective = "objective" in paths and objective is None
    revise = (lambda spec: merge_settings(spec, study.spec, settings)) if settings else None
    return StudyUpdate(revise, name, labels, state, objective, clears_objective)


def merge_settings(spec: StudySpec, changes: pb.StudySpec, paths: Sequence[str]) -> StudySpec:
    """Return the spec with the settings at some paths replaced.

    Settings that are unset in `changes` get their defaults.

    Args:
        spec: the study's spec.
        changes: the message with the new settings.
        paths: paths such as `spec.suggestion` and `spec.suggestion.beta`.

    Raises:
        InvalidArgument: a setting is invalid.
    """
    merged = spec_to_wire(spec)
    _merge(merged, changes, paths)
    validated = spec_from_wire(merged, "study.spec")
    return replace(spec, suggestion=validated.suggestion, execution=validated.execution, stopping=validated.stopping)


def _merge(merged: pb.StudySpec, changes: pb.StudySpec, paths: Sequence[str]) -> None:
    for path in paths:
        *owners, name = path.split(".")[1:]
        target: Any = merged
        source: Any = changes
        for owner in owners:
            target, source = getattr(target, owner), getattr(source, owner)
        target.ClearField(name)
        if not target.DESCRIPTOR.fields_by_name[name].has_presence or source.HasField(name):
            target.MergeFrom(type(target)(**{name: getattr(source, name)}))


def _check_ranges(changes: pb.StudySpec, paths: Sequence[str], violations: ViolationCollector) -> None:
    """Add the settings that are invalid in every study; what depends on a study's other settings is judged with it."""
    alone = pb.StudySpec()
    _merge(alone, changes, paths)
    for owner, kind in SETTINGS_CLASSES.items():
        field = f"study.spec.{owner}"
        given = settings_from_wire(kind, getattr(alone, owner), field, violations)
        add_all(violations, (fault.inside(field) for fault in given.faults()))


def _metrics_from_wire(message: pb.StudySpec, field: str, violations: ViolationCollector) -> tuple[Metric, ...]:
    if len(message.metrics) > MAX_METRICS:
        raise InvalidArgument.of(field, f"has {len(message.metrics)}; at most {MAX_METRICS} are allowed")
    return tuple(_metric_from_wire(m, f"{field}[{i}]", violations) for i, m in enumerate(message.metrics))


def _metric_from_wire(message: pb.Metric, field: str, violations: ViolationCollector) -> Metric:
    role = message.role or pb.METRIC_ROLE_OBJECTIVE
    return Metric(
        message.name,
        or_else(violations, lambda: choice(message.goal, f"{field}.goal", GOALS), PLACEHOLDER_METRICS[0].goal),
        or_else(violations, lambda: choice(role, f"{field}.role", ROLES), PLACEHOLDER_METRICS[0].role),
        message.bound if message.HasField("bound") else None,
        or_else(violations, lambda: text(message.unit, f"{field}.unit", MAX_UNIT), ""),
    )


def _metric_to_wire(metric: Metric) -> pb.Metric:
    return pb.Metric(
        name=metric.name,
        goal=GOALS_TO_WIRE[metric.goal],
        role=ROLES_TO_WIRE[metric.role],
        bound=metric.bound,
        unit=metric.unit,
    )
