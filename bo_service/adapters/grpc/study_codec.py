"""Studies on the wire, and back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import study_pb2 as pb

from bo_service.adapters.grpc.decoding import Faults, choice, labels_from_wire, seconds, text
from bo_service.adapters.grpc.names import study_id_of, trial_name
from bo_service.adapters.grpc.space_codec import add_all, or_else, space_from_wire, space_to_wire
from bo_service.adapters.grpc.stopping_codec import stopping_from_wire, stopping_to_wire
from bo_service.application.studies import StudyUpdate
from bo_service.application.views import StudyView
from bo_service.core.domains import FloatDomain
from bo_service.core.errors import InvalidArgument
from bo_service.core.failures import RecentFailures
from bo_service.core.limits import MAX_DISPLAY_NAME, MAX_METRICS, MAX_SOURCES, MAX_UNIT
from bo_service.core.objective import ObjectiveSpec
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import (
    Acquisition,
    Algorithm,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    StudySpec,
    StudyState,
    SuggestionSettings,
)

ANY_SPACE = SearchSpace((Parameter("any", FloatDomain(0.0, 1.0)),))
ANY_METRICS: tuple[Metric, ...] = (Metric("any", Goal.MINIMIZE),)
"""Stand in for what was refused, so that the rest of a spec is judged all the same."""

GOALS = {pb.GOAL_UNSPECIFIED: None, pb.GOAL_MINIMIZE: Goal.MINIMIZE, pb.GOAL_MAXIMIZE: Goal.MAXIMIZE}
ROLES = {
    pb.METRIC_ROLE_OBJECTIVE: MetricRole.OBJECTIVE,
    pb.METRIC_ROLE_CONSTRAINT: MetricRole.CONSTRAINT,
    pb.METRIC_ROLE_INFORMATION: MetricRole.INFORMATION,
}
ALGORITHMS = {
    pb.ALGORITHM_GAUSSIAN_PROCESS: Algorithm.GAUSSIAN_PROCESS,
    pb.ALGORITHM_QUASI_RANDOM: Algorithm.QUASI_RANDOM,
}
ACQUISITIONS = {
    pb.ACQUISITION_UNSPECIFIED: None,
    pb.ACQUISITION_LOG_EI: Acquisition.LOG_EI,
    pb.ACQUISITION_UCB: Acquisition.UCB,
    pb.ACQUISITION_LOG_PI: Acquisition.LOG_PI,
    pb.ACQUISITION_PORTFOLIO: Acquisition.PORTFOLIO,
    pb.ACQUISITION_LOG_NEI: Acquisition.LOG_NEI,
}
STATES = {
    pb.STUDY_STATE_ACTIVE: StudyState.ACTIVE,
    pb.STUDY_STATE_PAUSED: StudyState.PAUSED,
    pb.STUDY_STATE_COMPLETED: StudyState.COMPLETED,
}
GOALS_TO_WIRE = {ours: number for number, ours in GOALS.items()}
ROLES_TO_WIRE = {ours: number for number, ours in ROLES.items()}
ALGORITHMS_TO_WIRE = {ours: number for number, ours in ALGORITHMS.items()}
ACQUISITIONS_TO_WIRE = {ours: number for number, ours in ACQUISITIONS.items()}
STATES_TO_WIRE = {ours: number for number, ours in STATES.items()}

SETTINGS = {
    "spec.suggestion": pb.SuggestionSettings.DESCRIPTOR,
    "spec.stopping": pb.StoppingSettings.DESCRIPTOR,
    "spec.execution": pb.ExecutionSettings.DESCRIPTOR,
}
CHANGEABLE = {
    "display_name",
    "labels",
    "state",
    "objective",
    *SETTINGS,
    *(f"{path}.{field.name}" for path, settings in SETTINGS.items() for field in settings.fields),
}
"""What UpdateStudy's mask may name."""


def spec_from_wire(message: pb.StudySpec, field: str) -> StudySpec:
    """Raises InvalidArgument, with the path of every field at fault."""
    faults = Faults()
    space = or_else(faults, lambda: space_from_wire(message.space, f"{field}.space"), ANY_SPACE)
    metrics = or_else(faults, lambda: _metrics_from_wire(message, f"{field}.metrics", faults), ANY_METRICS)
    suggestion = _suggestion_from_wire(message.suggestion, f"{field}.suggestion", faults)
    execution = _execution_from_wire(message.execution, f"{field}.execution", faults)
    stopping = stopping_from_wire(message.stopping, f"{field}.stopping", faults)
    try:
        spec = StudySpec(space, metrics, suggestion, execution, stopping)
    except InvalidArgument as error:
        add_all(faults, error.inside(field).violations)
    faults.check()
    return spec


def spec_to_wire(spec: StudySpec) -> pb.StudySpec:
    return pb.StudySpec(
        space=space_to_wire(spec.space),
        metrics=[_metric_to_wire(metric) for metric in spec.metrics],
        suggestion=_suggestion_to_wire(spec.suggestion),
        stopping=stopping_to_wire(spec.stopping),
        execution=_execution_to_wire(spec.execution),
    )


def study_to_wire(view: StudyView) -> pb.Study:
    study = view.study
    message = pb.Study(
        name=study.name,
        spec=spec_to_wire(study.spec),
        display_name=study.display_name,
        labels=study.labels,
        state=STATES_TO_WIRE[study.state],
        trial_counts=pb.TrialCounts(**{state.value: count for state, count in view.counts.items()}),
        revision=study.revision,
    )
    if study.objective is not None:
        message.objective.CopyFrom(objective_to_wire(study.objective))
    if view.recent_failures is not None:
        message.recent_failures.CopyFrom(_recent_to_wire(view.recent_failures, study.study_id))
    message.create_time.FromDatetime(study.create_time)
    message.update_time.FromDatetime(study.update_time)
    return message


def objective_from_wire(owner: pb.Study | service_pb.SuggestTrialsRequest, field: str) -> ObjectiveSpec | None:
    """None where the message has none. Raises InvalidArgument."""
    if not owner.HasField("objective"):
        return None
    given = owner.objective
    try:
        return ObjectiveSpec(given.name, dict(sorted(given.options.items())))
    except InvalidArgument as error:
        raise error.inside(field) from error


def objective_to_wire(objective: ObjectiveSpec) -> pb.ObjectiveSpec:
    return pb.ObjectiveSpec(name=objective.name, options=objective.options)


def _recent_to_wire(found: RecentFailures, study_id: str) -> pb.RecentFailures:
    failure = found.first.failure
    assert failure is not None
    return pb.RecentFailures(
        failed_count=found.failed,
        trial_count=found.trials,
        first_trial=trial_name(study_id, found.first.number),
        first_failure=f"{failure.reason.name}: {failure.message}" if failure.message else failure.reason.name,
    )


def display_name_from_wire(given: str, field: str) -> str:
    """Raises InvalidArgument."""
    return text(given, field, MAX_DISPLAY_NAME)


def update_from_wire(request: service_pb.UpdateStudyRequest) -> StudyUpdate:
    """The fields that the mask names. Raises InvalidArgument."""
    paths, study = list(request.update_mask.paths), request.study
    if not paths:
        raise InvalidArgument.of("update_mask", f"is empty; name what changes: {', '.join(sorted(CHANGEABLE))}")
    unknown = sorted(set(paths) - CHANGEABLE)
    if unknown:
        raise InvalidArgument.of("update_mask", f"names {unknown}; these may change: {', '.join(sorted(CHANGEABLE))}")
    faults = Faults()
    settings = [path for path in paths if path.startswith("spec.")]
    if settings:  # each is judged by itself, so that any spec will do; the study's own is known later
        faults.attempt(lambda: merge_settings(StudySpec(ANY_SPACE, ANY_METRICS), study.spec, settings))
    name = labels = state = None
    if "display_name" in paths:
        name = faults.attempt(lambda: display_name_from_wire(study.display_name, "study.display_name"))
    if "labels" in paths:
        labels = faults.attempt(lambda: labels_from_wire(study.labels, "study.labels"))
    if "state" in paths:
        state = faults.attempt(lambda: choice(study.state, "study.state", STATES))
    objective = None
    if "objective" in paths:
        objective = faults.attempt(lambda: objective_from_wire(study, "study.objective"))
    faults.check()
    forgets = "objective" in paths and objective is None
    revise = (lambda spec: merge_settings(spec, study.spec, settings)) if settings else None
    return StudyUpdate(revise, name, labels, state, objective, forgets)


def merge_settings(spec: StudySpec, given: pb.StudySpec, paths: Sequence[str]) -> StudySpec:
    """The spec with the settings at these paths taken from `given`; those unset there get their defaults.

    Paths are those of a study, such as `spec.suggestion` and `spec.suggestion.beta`.

    Raises:
        InvalidArgument: a setting that isn't allowed.
    """
    merged = spec_to_wire(spec)
    for path in paths:
        *owners, name = path.split(".")[1:]
        target: Any = merged
        source: Any = given
        for owner in owners:
            target, source = getattr(target, owner), getattr(source, owner)
        target.ClearField(name)
        if not target.DESCRIPTOR.fields_by_name[name].has_presence or source.HasField(name):
            target.MergeFrom(type(target)(**{name: getattr(source, name)}))
    found = spec_from_wire(merged, "study.spec")
    return replace(spec, suggestion=found.suggestion, execution=found.execution, stopping=found.stopping)


def _metrics_from_wire(message: pb.StudySpec, field: str, faults: Faults) -> tuple[Metric, ...]:
    if len(message.metrics) > MAX_METRICS:
        raise InvalidArgument.of(field, f"has {len(message.metrics)}; at most {MAX_METRICS} are allowed")
    return tuple(_metric_from_wire(m, f"{field}[{i}]", faults) for i, m in enumerate(message.metrics))


def _metric_from_wire(message: pb.Metric, field: str, faults: Faults) -> Metric:
    role = message.role or pb.METRIC_ROLE_OBJECTIVE
    return Metric(
        message.name,
        or_else(faults, lambda: choice(message.goal, f"{field}.goal", GOALS), ANY_METRICS[0].goal),
        or_else(faults, lambda: choice(role, f"{field}.role", ROLES), ANY_METRICS[0].role),
        message.bound if message.HasField("bound") else None,
        or_else(faults, lambda: text(message.unit, f"{field}.unit", MAX_UNIT), ""),
    )


def _metric_to_wire(metric: Metric) -> pb.Metric:
    return pb.Metric(
        name=metric.name,
        goal=GOALS_TO_WIRE[metric.goal],
        role=ROLES_TO_WIRE[metric.role],
        bound=metric.bound,
        unit=metric.unit,
    )


def _suggestion_from_wire(message: pb.SuggestionSettings, field: str, faults: Faults) -> SuggestionSettings:
    algorithm = message.algorithm or pb.ALGORITHM_GAUSSIAN_PROCESS
    return SuggestionSettings(
        or_else(faults, lambda: choice(algorithm, f"{field}.algorithm", ALGORITHMS), Algorithm.GAUSSIAN_PROCESS),
        faults.attempt(lambda: choice(message.acquisition, f"{field}.acquisition", ACQUISITIONS)),
        message.beta if message.HasField("beta") else None,
        message.xi if message.HasField("xi") else None,
        message.initial_trials if message.HasField("initial_trials") else None,
        message.seed if message.HasField("seed") else None,
        message.per_cost,
        _sources_from_wire(message.warm_start_studies, f"{field}.warm_start_studies", faults),
    )


def _sources_from_wire(names: Sequence[str], field: str, faults: Faults) -> tuple[str, ...]:
    found = []
    for i, name in enumerate(names[: MAX_SOURCES + 1]):
        try:
            found.append(study_id_of(name, f"{field}[{i}]"))
        except InvalidArgument as error:
            add_all(faults, error.violations)
    return tuple(found)


def _suggestion_to_wire(settings: SuggestionSettings) -> pb.SuggestionSettings:
    return pb.SuggestionSettings(
        algorithm=ALGORITHMS_TO_WIRE[settings.algorithm],
        acquisition=ACQUISITIONS_TO_WIRE[settings.acquisition],
        beta=settings.beta,
        xi=settings.xi,
        initial_trials=settings.initial_trials,
        seed=settings.seed,
        per_cost=settings.per_cost,
        warm_start_studies=[f"studies/{study_id}" for study_id in settings.warm_start_studies],
    )


def _execution_from_wire(message: pb.ExecutionSettings, field: str, faults: Faults) -> ExecutionSettings:
    given: dict[str, Any] = {
        name: getattr(message, name) for name in ("max_attempts", "max_trials") if message.HasField(name)
    }
    if message.HasField("lease_duration"):
        lease = faults.attempt(lambda: seconds(message.lease_duration, f"{field}.lease_duration"))
        if lease is not None:
            given["lease_duration"] = timedelta(seconds=lease)
    return ExecutionSettings(**given)


def _execution_to_wire(settings: ExecutionSettings) -> pb.ExecutionSettings:
    message = pb.ExecutionSettings(max_attempts=settings.max_attempts, max_trials=settings.max_trials)
    message.lease_duration.FromTimedelta(settings.lease_duration)
    return message
