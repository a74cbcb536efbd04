"""Studies, trials and reports on the wire, and back. Wire messages are seen through `pb`, ours stand bare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import study_pb2, trial_pb2
from google.protobuf.message import Message

from bo_client.errors import InvalidRequest
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.values import (
    Attempt,
    AttemptOutcome,
    Change,
    ConfigurationPrediction,
    Explanation,
    Failure,
    FailureReason,
    Heartbeat,
    Measurement,
    Metric,
    ObjectiveSpec,
    Origin,
    Prediction,
    RecentFailures,
    Shortfall,
    StudyInfo,
    StudyState,
    Trial,
    TrialState,
)
from bo_client.wire.codec_plain import built, duration_to_wire, enum_from_wire, enum_to_wire, moment_of, seconds_of
from bo_client.wire.codec_space import space_from_wire, space_to_wire, values_from_wire

SETTING_PATHS = {
    "algorithm": "spec.suggestion.algorithm",
    "acquisition": "spec.suggestion.acquisition",
    "per_cost": "spec.suggestion.per_cost",
    "beta": "spec.suggestion.beta",
    "xi": "spec.suggestion.xi",
    "initial_trials": "spec.suggestion.initial_trials",
    "seed": "spec.suggestion.seed",
    "warm_start_studies": "spec.suggestion.warm_start_studies",
    "lease_duration": "spec.execution.lease_duration",
    "max_attempts": "spec.execution.max_attempts",
    "max_trials": "spec.execution.max_trials",
    "stopping": "spec.stopping.rule",
    "stopping_min_step": "spec.stopping.min_step",
    "stopping_min_trials": "spec.stopping.min_trials",
    "stopping_reduction_factor": "spec.stopping.reduction_factor",
    "stopping_max_step": "spec.stopping.max_step",
    "stopping_confidence": "spec.stopping.confidence",
}
"""Where each of StudySettings is in a Study message."""

_NUMBERS = (
    *("beta", "xi", "initial_trials", "seed", "max_attempts", "max_trials", "stopping_min_step", "stopping_min_trials"),
    *("stopping_reduction_factor", "stopping_max_step", "stopping_confidence"),
)


def spec_to_wire(space: SearchSpace, metrics: Sequence[Metric], settings: StudySettings) -> study_pb2.StudySpec:
    """Raises InvalidRequest, naming the field, for what the wire can't carry."""
    spec = study_pb2.StudySpec(space=space_to_wire(space), metrics=[metric_to_wire(m) for m in metrics])
    settings_to_wire(settings, spec)
    return spec


def settings_to_wire(settings: StudySettings, spec: study_pb2.StudySpec) -> None:
    """Writes what is given into `spec`. Raises InvalidRequest."""
    unknown = sorted(set(settings) - set(SETTING_PATHS))
    if unknown:
        raise InvalidRequest.of(unknown[0], f"is no setting of a study; there are {', '.join(SETTING_PATHS)}")
    if "algorithm" in settings:
        spec.suggestion.algorithm = enum_to_wire(
            study_pb2.Algorithm, "ALGORITHM", settings["algorithm"], SETTING_PATHS["algorithm"]
        )
    if "acquisition" in settings:
        spec.suggestion.acquisition = enum_to_wire(
            study_pb2.Acquisition, "ACQUISITION", settings["acquisition"], SETTING_PATHS["acquisition"]
        )
    if "per_cost" in settings:
        _set_flag(spec.suggestion, settings["per_cost"])
    if "lease_duration" in settings:
        lease = duration_to_wire(settings["lease_duration"], SETTING_PATHS["lease_duration"])
        spec.execution.lease_duration.CopyFrom(lease)
    if "stopping" in settings:
        spec.stopping.rule = enum_to_wire(
            study_pb2.StoppingRule, "STOPPING_RULE", settings["stopping"], SETTING_PATHS["stopping"]
        )
    if "warm_start_studies" in settings:
        spec.suggestion.warm_start_studies[:] = _source_names(settings["warm_start_studies"])
    for name in _NUMBERS:
        if name in settings:
            _set_number(*_place(spec, name), SETTING_PATHS[name], cast(Mapping[str, float], settings)[name])


def _place(spec: study_pb2.StudySpec, setting: str) -> tuple[Message, str]:
    """The message that holds a setting, and the field's name there."""
    _, owner, field = SETTING_PATHS[setting].split(".")
    return getattr(spec, owner), field


def _set_flag(suggestion: study_pb2.SuggestionSettings, given: bool) -> None:
    if not isinstance(given, bool):  # the wire would take a number for one
        raise InvalidRequest.of(SETTING_PATHS["per_cost"], f"is {given!r}; give True or False")
    suggestion.per_cost = given


def _set_number(owner: Message, name: str, path: str, value: float) -> None:
    built(path, value, lambda: setattr(owner, name, value))


def _source_names(given: Iterable[Any]) -> list[str]:
    """Of studies, or of their ids."""
    path = SETTING_PATHS["warm_start_studies"]
    if isinstance(given, str):
        raise InvalidRequest.of(path, f"is {given!r}; give a list, as in [{given!r}]")
    ids = [getattr(source, "id", source) for source in built(path, given, lambda: list(given))]
    for i, study_id in enumerate(ids):
        if not isinstance(study_id, str):
            raise InvalidRequest.of(f"{path}[{i}]", f"is {study_id!r}; give a study, or its id")
    return [f"studies/{study_id}" for study_id in ids]


def settings_from_wire(spec: study_pb2.StudySpec) -> StudySettings:
    """What the study has, and nothing of what was left to the server."""
    found: dict[str, Any] = {}
    if spec.suggestion.algorithm:
        found["algorithm"] = study_pb2.Algorithm.Name(spec.suggestion.algorithm).removeprefix("ALGORITHM_").lower()
    if spec.suggestion.acquisition:
        found["acquisition"] = (
            study_pb2.Acquisition.Name(spec.suggestion.acquisition).removeprefix("ACQUISITION_").lower()
        )
    if spec.suggestion.per_cost:
        found["per_cost"] = True
    lease = seconds_of(spec.execution, "lease_duration")
    if lease is not None:
        found["lease_duration"] = lease
    if spec.stopping.rule:
        found["stopping"] = study_pb2.StoppingRule.Name(spec.stopping.rule).removeprefix("STOPPING_RULE_").lower()
    if spec.suggestion.warm_start_studies:
        names = spec.suggestion.warm_start_studies
        found["warm_start_studies"] = tuple(name.removeprefix("studies/") for name in names)
    for name in _NUMBERS:
        owner, field = _place(spec, name)
        if owner.HasField(field):
            found[name] = getattr(owner, field)
    return cast(StudySettings, found)


def metric_to_wire(metric: Metric) -> study_pb2.Metric:
    """Raises InvalidRequest."""
    at = f"metrics[{metric.name!r}]"
    goal = enum_to_wire(study_pb2.Goal, "GOAL", metric.goal, f"{at}.goal") if metric.goal else None
    role = enum_to_wire(study_pb2.MetricRole, "METRIC_ROLE", metric.role, f"{at}.role")
    return built(
        at,
        metric,
        lambda: study_pb2.Metric(name=metric.name, goal=goal, role=role, bound=metric.bound, unit=metric.unit),
    )


def metric_from_wire(message: study_pb2.Metric) -> Metric:
    """Raises UnexpectedError."""
    goal = enum_from_wire(study_pb2.Goal, "GOAL", message.goal, str)
    role = enum_from_wire(study_pb2.MetricRole, "METRIC_ROLE", message.role, str)
    return Metric(
        message.name,
        cast(Any, goal.lower() if goal else None),
        cast(Any, role.lower() if role else "objective"),
        message.bound if message.HasField("bound") else None,
        message.unit,
    )


def study_from_wire(message: study_pb2.Study) -> StudyInfo:
    """Raises UnexpectedError."""
    counts = message.trial_counts
    return StudyInfo(
        id=message.name.removeprefix("studies/"),
        name=message.name,
        space=space_from_wire(message.spec.space),
        metrics=tuple(metric_from_wire(m) for m in message.spec.metrics),
        state=enum_from_wire(study_pb2.StudyState, "STUDY_STATE", message.state, StudyState) or StudyState.ACTIVE,
        display_name=message.display_name,
        labels=dict(message.labels),
        settings=settings_from_wire(message.spec),
        counts={state: getattr(counts, state.lower()) for state in TrialState},
        create_time=moment_of(message, "create_time"),
        update_time=moment_of(message, "update_time"),
        revision=message.revision,
        objective_spec=objective_from_wire(message.objective) if message.HasField("objective") else None,
        recent_failures=_recent(message.recent_failures) if message.HasField("recent_failures") else None,
    )


def objective_to_wire(objective: ObjectiveSpec) -> study_pb2.ObjectiveSpec:
    """Raises InvalidRequest for what is no text."""
    at = "objective"
    return built(at, objective, lambda: study_pb2.ObjectiveSpec(name=objective.name, options=dict(objective.options)))


def objective_from_wire(message: study_pb2.ObjectiveSpec) -> ObjectiveSpec:
    """Options in the order of their names."""
    return ObjectiveSpec(message.name, {key: message.options[key] for key in sorted(message.options)})


def _recent(message: study_pb2.RecentFailures) -> RecentFailures:
    number = int(message.first_trial.rpartition("/")[2])
    return RecentFailures(message.failed_count, message.trial_count, number, message.first_failure)


def measurement_to_wire(
    metrics: Mapping[str, float], step: int | None = None, elapsed: float | None = None
) -> trial_pb2.Measurement:
    """Raises InvalidRequest for what is no number."""
    message = trial_pb2.Measurement()
    built("step", step, lambda: setattr(message, "step", step or 0))
    for name, value in metrics.items():
        built(f"metrics[{name!r}]", value, lambda name=name, value=value: message.metrics.update({name: float(value)}))  # type: ignore[misc]
    if elapsed is not None:
        message.elapsed.CopyFrom(duration_to_wire(elapsed, "elapsed"))
    return message


def measurement_from_wire(message: trial_pb2.Measurement) -> Measurement:
    """Metrics in the order of their names."""
    metrics = {name: message.metrics[name] for name in sorted(message.metrics)}
    return Measurement(metrics, message.step, seconds_of(message, "elapsed"), moment_of(message, "receive_time"))


def failure_to_wire(reason: str, message: str) -> trial_pb2.Failure:
    """Raises InvalidRequest. A long message keeps its end, where the cause is."""
    number = enum_to_wire(trial_pb2.FailureReason, "FAILURE_REASON", reason, "failure.reason")
    return trial_pb2.Failure(reason=number, message=message[-10_000:])


def failure_from_wire(message: trial_pb2.Failure) -> Failure:
    """Raises UnexpectedError."""
    reason = enum_from_wire(trial_pb2.FailureReason, "FAILURE_REASON", message.reason, FailureReason)
    return Failure(reason or FailureReason.CRASHED, message.message)


def _predictions(messages: Iterable[trial_pb2.Prediction]) -> tuple[Prediction, ...]:
    return tuple(Prediction(p.metric, p.mean, p.std) for p in messages)


def explanation_from_wire(message: trial_pb2.Explanation) -> Explanation:
    """Raises UnexpectedError."""
    return Explanation(
        summary=message.summary,
        predictions=_predictions(message.predictions),
        acquisition=message.acquisition,
        acquisition_value=message.acquisition_value if message.HasField("acquisition_value") else None,
        intent=cast(Any, enum_from_wire(trial_pb2.Intent, "INTENT", message.intent, str)),
        nearest_trial=message.nearest_trial,
        nearest_distance=message.nearest_distance if message.HasField("nearest_distance") else None,
    )


def _measurement(owner: trial_pb2.Trial, field: str) -> Measurement | None:
    return measurement_from_wire(getattr(owner, field)) if owner.HasField(field) else None


def attempt_from_wire(message: trial_pb2.TrialAttempt) -> Attempt:
    """Raises UnexpectedError."""
    return Attempt(
        message.attempt,
        message.worker_id,
        moment_of(message, "start_time"),
        moment_of(message, "end_time"),
        enum_from_wire(trial_pb2.AttemptOutcome, "ATTEMPT_OUTCOME", message.outcome, AttemptOutcome),
        failure_from_wire(message.failure) if message.HasField("failure") else None,
    )


def _rule(message: trial_pb2.StopRequest) -> str | None:
    """The rule that asked; None where somebody did."""
    if message.rule == study_pb2.STOPPING_RULE_NONE:
        return None
    return enum_from_wire(study_pb2.StoppingRule, "STOPPING_RULE", message.rule, str)


def _expected(message: trial_pb2.StopRequest) -> Prediction | None:
    return _predictions([message.expected])[0] if message.HasField("expected") else None


def worker_of(message: trial_pb2.Trial) -> str:
    """Who runs it, or whose attempt ended it: an earlier one where that delivered late."""
    if message.HasField("lease") or message.state == trial_pb2.TRIAL_STATE_QUEUED or not message.attempts:
        return message.lease.worker_id
    superseded = trial_pb2.ATTEMPT_OUTCOME_SUPERSEDED
    ending = (a for a in reversed(message.attempts) if a.end_time == message.end_time and a.outcome != superseded)
    return next(ending, message.attempts[-1]).worker_id


def trial_from_wire(message: trial_pb2.Trial) -> Trial:
    """Raises UnexpectedError."""
    attempts = tuple(attempt_from_wire(a) for a in message.attempts)
    return Trial(
        number=int(message.name.rpartition("/")[2]),
        name=message.name,
        parameters=values_from_wire(message.parameters),
        state=enum_from_wire(trial_pb2.TrialState, "TRIAL_STATE", message.state, TrialState) or TrialState.QUEUED,
        measurements=tuple(measurement_from_wire(m) for m in message.measurements),
        latest_measurement=_measurement(message, "latest_measurement"),
        final_measurement=_measurement(message, "final_measurement"),
        failure=failure_from_wire(message.failure) if message.HasField("failure") else None,
        worker_id=worker_of(message),
        attempt=message.attempt,
        checkpoint_uri=message.checkpoint_uri,
        labels=dict(message.labels),
        origin=enum_from_wire(trial_pb2.Origin, "ORIGIN", message.origin, Origin),
        explanation=explanation_from_wire(message.explanation) if message.HasField("explanation") else None,
        stop_reason=message.stop_request.reason if message.HasField("stop_request") else None,
        stop_rule=_rule(message.stop_request),
        expected=_expected(message.stop_request),
        expected_step=message.stop_request.expected_step if message.stop_request.HasField("expected_step") else None,
        create_time=moment_of(message, "create_time"),
        start_time=moment_of(message, "start_time"),
        end_time=moment_of(message, "end_time"),
        revision=message.revision,
        attempts=attempts,
    )


def shortfall_from_wire(message: service_pb.SuggestTrialsResponse) -> Shortfall | None:
    """Raises UnexpectedError."""
    return enum_from_wire(service_pb.Shortfall, "SHORTFALL", message.shortfall, Shortfall)


def heartbeat_from_wire(message: service_pb.ReportMeasurementsResponse) -> Heartbeat:
    """The server's answer to a report."""
    remaining = seconds_of(message, "lease_remaining") or 0.0
    return Heartbeat(message.should_stop, message.stop_reason, message.lease_valid, remaining)


def prediction_from_wire(message: service_pb.ConfigurationPrediction) -> ConfigurationPrediction:
    """For one configuration."""
    return ConfigurationPrediction(_predictions(message.predictions), message.acquisition_value)


def change_from_wire(message: service_pb.WatchStudyResponse) -> Change:
    """Raises UnexpectedError."""
    return Change(
        study_from_wire(message.study),
        tuple(trial_from_wire(t) for t in message.trials),
        tuple(message.deleted_trials),
        message.revision,
    )
