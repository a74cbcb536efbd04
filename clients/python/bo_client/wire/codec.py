"""Conversion of studies, trials and reports to and from messages. The messages are in the namespace `pb`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import study_pb2, trial_pb2

from bo_client.limits import MAX_FAILURE_MESSAGE
from bo_client.models import (
    Attempt,
    AttemptOutcome,
    Change,
    ConfigurationPrediction,
    Explanation,
    Failure,
    FailureReason,
    Heartbeat,
    Limit,
    Measurement,
    Metric,
    ObjectiveSpec,
    Origin,
    Pause,
    Prediction,
    RecentFailures,
    Shortfall,
    Spent,
    StudyInfo,
    StudyState,
    Trial,
    TrialNote,
    TrialState,
)
from bo_client.retries import new_request_id
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.wire.codec_plain import (
    build_or_raise,
    duration_to_wire,
    enum_from_wire,
    enum_to_wire,
    moment_of,
    seconds_of,
)
from bo_client.wire.codec_settings import mask_paths, settings_from_wire, settings_to_wire
from bo_client.wire.codec_space import space_from_wire, space_to_wire, values_from_wire

MAX_CURVE_BYTES = 3 * 2**20
"""Maximum size of a learning curve in a request, of which a server accepts 4 MiB."""


def spec_to_wire(space: SearchSpace, metrics: Sequence[Metric], settings: StudySettings) -> study_pb2.StudySpec:
    """Return the message.

    Raises:
        InvalidRequest: names a field that cannot be encoded.
    """
    spec = study_pb2.StudySpec(space=space_to_wire(space), metrics=[metric_to_wire(m) for m in metrics])
    settings_to_wire(settings, spec)
    return spec


def metric_to_wire(metric: Metric) -> study_pb2.Metric:
    """Return the message of a metric.

    Raises:
        InvalidRequest: a field cannot be encoded.
    """
    at = f"metrics[{metric.name!r}]"
    goal = enum_to_wire(study_pb2.Goal, "GOAL", metric.goal, f"{at}.goal") if metric.goal else None
    role = enum_to_wire(study_pb2.MetricRole, "METRIC_ROLE", metric.role, f"{at}.role")
    return build_or_raise(
        at,
        metric,
        lambda: study_pb2.Metric(name=metric.name, goal=goal, role=role, bound=metric.bound, unit=metric.unit),
    )


def metric_from_wire(message: study_pb2.Metric) -> Metric:
    """Return the metric.

    Raises:
        UnexpectedError: an enum value is unknown.
    """
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
    """Return the study.

    Raises:
        UnexpectedError: an enum value or kind is unknown.
    """
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
        resumable_count=message.resumable_count,
        spent=Spent(message.spent.steps, message.spent.seconds),
        reached_limit=limit_from_wire(message.reached_limit),
    )


def update_to_wire(
    name: str,
    settings: StudySettings,
    state: StudyState | str | None = None,
    display_name: str | None = None,
    labels: Mapping[str, str] | None = None,
    objective: ObjectiveSpec | None = None,
) -> service_pb.UpdateStudyRequest:
    """Return a request that changes the given properties of a study, and leaves the others.

    Raises:
        InvalidRequest: a property cannot be encoded.
    """
    request = service_pb.UpdateStudyRequest(study=study_pb2.Study(name=name), request_id=new_request_id())
    settings_to_wire(settings, request.study.spec)
    paths = [path for setting in settings for path in mask_paths(setting)]
    if state is not None:
        request.study.state = enum_to_wire(study_pb2.StudyState, "STUDY_STATE", state, "state")
        paths.append("state")
    if display_name is not None:
        build_or_raise("display_name", display_name, lambda: setattr(request.study, "display_name", display_name))
        paths.append("display_name")
    if labels is not None:
        build_or_raise("labels", labels, lambda: request.study.labels.update(labels))
        paths.append("labels")
    if objective is not None:
        request.study.objective.CopyFrom(objective_to_wire(objective))
        paths.append("objective")
    request.update_mask.paths.extend(paths)
    return request


def objective_to_wire(objective: ObjectiveSpec) -> study_pb2.ObjectiveSpec:
    """Return the message.

    Raises:
        InvalidRequest: a value is no text.
    """
    at = "objective"
    return build_or_raise(
        at, objective, lambda: study_pb2.ObjectiveSpec(name=objective.name, options=dict(objective.options))
    )


def objective_from_wire(message: study_pb2.ObjectiveSpec) -> ObjectiveSpec:
    """Return the objective with its options sorted by name."""
    return ObjectiveSpec(message.name, {key: message.options[key] for key in sorted(message.options)})


def _recent(message: study_pb2.RecentFailures) -> RecentFailures:
    number = int(message.first_trial.rpartition("/")[2])
    return RecentFailures(message.failed_count, message.trial_count, number, message.first_failure)


def measurement_to_wire(
    metrics: Mapping[str, float], step: int | None = None, elapsed: float | None = None
) -> trial_pb2.Measurement:
    """Return the message.

    Raises:
        InvalidRequest: a value is no number.
    """
    message = trial_pb2.Measurement()
    build_or_raise("step", step, lambda: setattr(message, "step", step or 0))
    for name, value in metrics.items():
        build_or_raise(f"metrics[{name!r}]", value, lambda n=name, v=value: message.metrics.update({n: float(v)}))  # type: ignore[misc]
    if elapsed is not None:
        message.elapsed.CopyFrom(duration_to_wire(elapsed, "elapsed"))
    return message


def curve_to_wire(curve: Sequence[Measurement]) -> list[trial_pb2.Measurement]:
    """Return the messages of a learning curve; of one that is too large for a request every second, third … step.

    Raises:
        InvalidRequest: a value is no number.
    """
    messages = [measurement_to_wire(point.metrics, point.step, point.elapsed) for point in curve]
    kept = 1 + sum(message.ByteSize() + 8 for message in messages) // MAX_CURVE_BYTES
    return messages[::-1][::kept][::-1]  # with the last


def measurement_from_wire(message: trial_pb2.Measurement) -> Measurement:
    """Return the measurement with its metrics sorted by name."""
    metrics = {name: message.metrics[name] for name in sorted(message.metrics)}
    return Measurement(metrics, message.step, seconds_of(message, "elapsed"), moment_of(message, "receive_time"))


def failure_to_wire(reason: str, message: str) -> trial_pb2.Failure:
    """Return the message. A long text keeps its end, which contains the cause.

    Raises:
        InvalidRequest: the reason is unknown.
    """
    number = enum_to_wire(trial_pb2.FailureReason, "FAILURE_REASON", reason, "failure.reason")
    return trial_pb2.Failure(reason=number, message=message[-MAX_FAILURE_MESSAGE:])


def failure_from_wire(message: trial_pb2.Failure) -> Failure:
    """Return the failure.

    Raises:
        UnexpectedError: the reason is unknown.
    """
    reason = enum_from_wire(trial_pb2.FailureReason, "FAILURE_REASON", message.reason, FailureReason)
    return Failure(reason or FailureReason.CRASHED, message.message)


def _predictions(messages: Iterable[trial_pb2.Prediction]) -> tuple[Prediction, ...]:
    return tuple(Prediction(p.metric, p.mean, p.std) for p in messages)


def explanation_from_wire(message: trial_pb2.Explanation) -> Explanation:
    """Return the explanation.

    Raises:
        UnexpectedError: the intent is unknown.
    """
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
    """Return the attempt.

    Raises:
        UnexpectedError: an enum value is unknown.
    """
    return Attempt(
        message.attempt,
        message.worker_id,
        moment_of(message, "start_time"),
        moment_of(message, "end_time"),
        enum_from_wire(trial_pb2.AttemptOutcome, "ATTEMPT_OUTCOME", message.outcome, AttemptOutcome),
        failure_from_wire(message.failure) if message.HasField("failure") else None,
        message.steps,
        message.seconds,
    )


def _rule(message: trial_pb2.StopRequest) -> str | None:
    """Return the rule that made the request; None if a user did."""
    if message.rule == study_pb2.STOPPING_RULE_NONE:
        return None
    return enum_from_wire(study_pb2.StoppingRule, "STOPPING_RULE", message.rule, str)


def _expected(message: trial_pb2.StopRequest) -> Prediction | None:
    return _predictions([message.expected])[0] if message.HasField("expected") else None


def _pause(message: trial_pb2.Pause) -> Pause:
    return Pause(
        message.reason,
        message.step,
        message.attempt,
        _predictions([message.expected])[0] if message.HasField("expected") else None,
        message.expected_step,
        moment_of(message, "create_time"),
        message.seconds_per_step if message.HasField("seconds_per_step") else None,
    )


def worker_of(message: trial_pb2.Trial) -> str:
    """Return the worker that runs the trial or ended it, which is an earlier one after a late result."""
    if message.HasField("lease") or message.state == trial_pb2.TRIAL_STATE_QUEUED or not message.attempts:
        return message.lease.worker_id
    superseded = trial_pb2.ATTEMPT_OUTCOME_SUPERSEDED
    ending = (a for a in reversed(message.attempts) if a.end_time == message.end_time and a.outcome != superseded)
    return next(ending, message.attempts[-1]).worker_id


def trial_from_wire(message: trial_pb2.Trial) -> Trial:
    """Return the trial.

    Raises:
        UnexpectedError: an enum value or kind is unknown.
    """
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
        pause=_pause(message.pause) if message.HasField("pause") else None,
        until_step=message.until_step if message.HasField("until_step") else None,
        note=_note(message.note) if message.HasField("note") else None,
    )


def _note(message: trial_pb2.TrialNote) -> TrialNote:
    return TrialNote(message.text, message.author, moment_of(message, "update_time"))


def shortfall_from_wire(message: service_pb.SuggestTrialsResponse) -> Shortfall | None:
    """Return the shortfall; None without one.

    Raises:
        UnexpectedError: the value is unknown.
    """
    return enum_from_wire(service_pb.Shortfall, "SHORTFALL", message.shortfall, Shortfall)


def limit_from_wire(number: int) -> Limit | None:
    """Return the limit; None without one.

    Raises:
        UnexpectedError: the value is unknown.
    """
    return enum_from_wire(study_pb2.Limit, "LIMIT", number, Limit)


def heartbeat_from_wire(message: service_pb.ReportMeasurementsResponse) -> Heartbeat:
    """Return the server's response to a report."""
    remaining = seconds_of(message, "lease_remaining") or 0.0
    return Heartbeat(
        message.should_stop,
        message.stop_reason or message.pause_reason,
        message.lease_valid,
        remaining,
        message.should_pause,
        message.until_step if message.HasField("until_step") else None,
    )


def prediction_from_wire(message: service_pb.ConfigurationPrediction) -> ConfigurationPrediction:
    """Return the prediction of a configuration."""
    return ConfigurationPrediction(_predictions(message.predictions), message.acquisition_value)


def change_from_wire(message: service_pb.WatchStudyResponse) -> Change:
    """Return the change.

    Raises:
        UnexpectedError: an enum value or kind is unknown.
    """
    return Change(
        study_from_wire(message.study),
        tuple(trial_from_wire(t) for t in message.trials),
        tuple(message.deleted_trials),
        message.revision,
    )
