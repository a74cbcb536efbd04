"""Conversion of trials to and from messages."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import trial_pb2 as pb

from bo_service.application.predict import PointForecast
from bo_service.application.trials import NewTrial
from bo_service.application.views import PauseOutcome
from bo_service.domain.attempts import Attempt, AttemptOutcome
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import (
    MAX_CHECKPOINT_URI,
    MAX_FAILURE_MESSAGE,
    MAX_METRIC_VALUES,
    MAX_STEP,
    MAX_STOP_REASON,
)
from bo_service.domain.search_space import NAME, NAME_FORM
from bo_service.domain.trial import (
    Explanation,
    Failure,
    FailureReason,
    Intent,
    Measurement,
    Origin,
    Pause,
    Prediction,
    StopRequest,
    Trial,
    TrialState,
)
from bo_service.rpc.codec.artifact import note_to_wire
from bo_service.rpc.codec.fields import (
    ViolationCollector,
    choice,
    configuration_from_wire,
    configuration_to_wire,
    each,
    labels_from_wire,
    seconds,
    text,
    trial_name,
)
from bo_service.rpc.codec.settings import ENUMS_TO_WIRE

STATES = {pb.TrialState.Value(f"TRIAL_STATE_{state.name}"): state for state in TrialState}
STATES_TO_WIRE: dict[TrialState, Any] = {state: number for number, state in STATES.items()}
REASONS = {pb.FailureReason.Value(f"FAILURE_REASON_{reason.name}"): reason for reason in FailureReason}
REASONS_TO_WIRE: dict[FailureReason, Any] = {reason: number for number, reason in REASONS.items()}
ORIGINS_TO_WIRE: dict[Origin, Any] = {origin: pb.Origin.Value(f"ORIGIN_{origin.name}") for origin in Origin}
OUTCOMES_TO_WIRE: dict[AttemptOutcome | None, pb.AttemptOutcome] = {
    None: pb.ATTEMPT_OUTCOME_UNSPECIFIED,
    AttemptOutcome.COMPLETED: pb.ATTEMPT_OUTCOME_COMPLETED,
    AttemptOutcome.FAILED: pb.ATTEMPT_OUTCOME_FAILED,
    AttemptOutcome.EXPIRED: pb.ATTEMPT_OUTCOME_EXPIRED,
    AttemptOutcome.SUPERSEDED: pb.ATTEMPT_OUTCOME_SUPERSEDED,
    AttemptOutcome.PAUSED: pb.ATTEMPT_OUTCOME_PAUSED,
}
INTENTS_TO_WIRE: dict[Intent | None, pb.Intent] = {
    None: pb.INTENT_UNSPECIFIED,
    Intent.EXPLORE: pb.INTENT_EXPLORE,
    Intent.EXPLOIT: pb.INTENT_EXPLOIT,
}


def measurement_from_wire(message: pb.Measurement, field: str) -> Measurement:
    """Return the measurement. Values may be NaN or infinite; the trial decides whether they are a valid result.

    Raises:
        InvalidArgument: a field is invalid.
    """
    violations = ViolationCollector()
    if not 0 <= message.step <= MAX_STEP:
        violations.add(f"{field}.step", f"is {message.step}; steps count from 0 to 2^53")
    if not 1 <= len(message.metrics) <= MAX_METRIC_VALUES:
        violations.add(f"{field}.metrics", f"has {len(message.metrics)} values; give 1 to {MAX_METRIC_VALUES}")
    for name in sorted(message.metrics):
        if not NAME.fullmatch(name):
            violations.add(f"{field}.metrics", f"has the name {name[:140]!r}; {NAME_FORM}")
    elapsed = None
    if message.HasField("elapsed"):
        elapsed = violations.attempt(lambda: timedelta(seconds=seconds(message.elapsed, f"{field}.elapsed")))
    violations.check()
    metrics = {name: message.metrics[name] for name in sorted(message.metrics)}
    return Measurement(metrics, message.step, elapsed)


def measurement_to_wire(measurement: Measurement) -> pb.Measurement:
    """Return the message."""
    return pb.Measurement(
        step=measurement.step,
        metrics=measurement.metrics,
        elapsed=measurement.elapsed,
        receive_time=measurement.receive_time,
    )


def failure_from_wire(message: pb.Failure, field: str) -> Failure:
    """Return the failure.

    Raises:
        InvalidArgument: the reason is unknown, or the message is invalid.
    """
    if message.reason not in REASONS:
        names = ", ".join(f"FAILURE_REASON_{reason.name}" for reason in FailureReason)
        raise InvalidArgument.of(f"{field}.reason", f"is {message.reason}; give one of {names}")
    return Failure(REASONS[message.reason], text(message.message, f"{field}.message", MAX_FAILURE_MESSAGE))


def failure_to_wire(failure: Failure) -> pb.Failure:
    """Return the message."""
    return pb.Failure(reason=REASONS_TO_WIRE[failure.reason], message=failure.message)


def outcome_from_wire(request: service_pb.CompleteTrialRequest) -> Measurement | Failure | PauseOutcome:
    """Return the final measurement, the failure, or the pause.

    Raises:
        InvalidArgument: all are missing, or a field is invalid.
    """
    kind = request.WhichOneof("outcome")
    if kind is None:
        raise InvalidArgument.of("outcome", "is missing; set final_measurement, failure or pause")
    if kind == "failure":
        return failure_from_wire(request.failure, "failure")
    if kind == "pause":
        return PauseOutcome(checkpoint_uri_from_wire(request.pause.checkpoint_uri, "pause.checkpoint_uri"))
    return measurement_from_wire(request.final_measurement, "final_measurement")


def checkpoint_uri_from_wire(uri: str, field: str) -> str:
    """Return the URI.

    Raises:
        InvalidArgument: it is too long, or contains NUL.
    """
    return text(uri, field, MAX_CHECKPOINT_URI)


def trial_state_from_wire(number: int, field: str) -> TrialState:
    """Return the state.

    Raises:
        InvalidArgument: the number is unknown.
    """
    return choice(number, field, STATES)


def new_trial_from_wire(message: pb.Trial, field: str) -> NewTrial:
    """Return the arguments of CreateTrial.

    Raises:
        InvalidArgument: contains the path of every invalid field.
    """
    violations = ViolationCollector()
    if message.HasField("final_measurement") and message.HasField("failure"):
        violations.add(f"{field}.failure", "is given beside final_measurement; a trial has one or the other")
    parameters = message.parameters
    configuration = violations.attempt(lambda: configuration_from_wire(parameters, f"{field}.parameters"))
    labels = violations.attempt(lambda: labels_from_wire(message.labels, f"{field}.labels"))
    uri = violations.attempt(lambda: checkpoint_uri_from_wire(message.checkpoint_uri, f"{field}.checkpoint_uri"))
    curve = violations.attempt(lambda: each(message.measurements, f"{field}.measurements", measurement_from_wire))
    final, failure = None, None
    if message.HasField("final_measurement"):
        at = f"{field}.final_measurement"
        final = violations.attempt(lambda: measurement_from_wire(message.final_measurement, at))
    if message.HasField("failure"):
        failure = violations.attempt(lambda: failure_from_wire(message.failure, f"{field}.failure"))
    reason = None
    if message.HasField("stop_request"):
        at_reason = f"{field}.stop_request.reason"
        reason = violations.attempt(lambda: text(message.stop_request.reason, at_reason, MAX_STOP_REASON))
    violations.check()
    assert configuration is not None
    return NewTrial(configuration, labels or {}, uri or "", curve or (), final, failure, reason)


def trial_to_wire(
    trial: Trial, measurements: Sequence[Measurement] | None = None, token_visible: bool = False
) -> pb.Trial:
    """Return the message.

    Args:
        trial: the trial.
        measurements: its learning curve; None to omit it.
        token_visible: whether to include the lease token, which only the worker that got the trial may see.
    """
    lease, wire_lease = trial.lease, None
    if lease is not None:
        token = lease.token if token_visible else ""
        wire_lease = pb.Lease(worker_id=lease.worker_id, token=token, expire_time=lease.expire_time)
    return pb.Trial(
        name=trial_name(trial.study_id, trial.number),
        parameters=configuration_to_wire(trial.parameters),
        state=STATES_TO_WIRE[trial.state],
        measurements=[measurement_to_wire(m) for m in measurements or ()],
        latest_measurement=measurement_to_wire(trial.latest_measurement) if trial.latest_measurement else None,
        final_measurement=measurement_to_wire(trial.final_measurement) if trial.final_measurement else None,
        failure=failure_to_wire(trial.failure) if trial.failure else None,
        lease=wire_lease,
        attempt=trial.attempt,
        checkpoint_uri=trial.checkpoint_uri,
        labels=trial.labels,
        origin=ORIGINS_TO_WIRE[trial.origin],
        explanation=explanation_to_wire(trial.explanation, trial.study_id) if trial.explanation else None,
        stop_request=stop_request_to_wire(trial.stop_request) if trial.stop_request else None,
        create_time=trial.create_time,
        start_time=trial.start_time,
        end_time=trial.end_time,
        revision=trial.revision,
        attempts=[attempt_to_wire(attempt) for attempt in trial.attempts],
        pause=pause_to_wire(trial.pause) if trial.pause else None,
        until_step=trial.until_step,
        note=note_to_wire(trial.note) if trial.note else None,
    )


def attempt_to_wire(attempt: Attempt) -> pb.TrialAttempt:
    """Return the message."""
    return pb.TrialAttempt(
        attempt=attempt.number,
        worker_id=attempt.worker_id,
        start_time=attempt.start_time,
        end_time=attempt.end_time,
        outcome=OUTCOMES_TO_WIRE[attempt.outcome],
        failure=failure_to_wire(attempt.failure) if attempt.failure else None,
        steps=attempt.steps,
        seconds=attempt.time.total_seconds(),
    )


def stop_request_to_wire(request: StopRequest) -> pb.StopRequest:
    """Return the message. It has no rule if a user made the request."""
    return pb.StopRequest(
        reason=request.reason,
        create_time=request.create_time,
        rule=None if request.rule is StoppingRule.NONE else ENUMS_TO_WIRE["rule"][request.rule],
        expected=prediction_to_wire(request.expected) if request.expected else None,
        expected_step=request.expected_step,
    )


def pause_to_wire(pause: Pause) -> pb.Pause:
    """Return the message."""
    return pb.Pause(
        reason=pause.reason,
        create_time=pause.create_time,
        step=pause.step,
        attempt=pause.attempt,
        expected=prediction_to_wire(pause.expected) if pause.expected else None,
        expected_step=pause.expected_step,
        seconds_per_step=pause.seconds_per_step,
    )


def prediction_to_wire(prediction: Prediction) -> pb.Prediction:
    return pb.Prediction(metric=prediction.metric, mean=prediction.mean, std=prediction.std)


def explanation_to_wire(explanation: Explanation, study_id: str) -> pb.Explanation:
    """Return the message.

    Args:
        explanation: the explanation.
        study_id: the study of the explained and of the nearest trial.
    """
    number = explanation.nearest_trial
    return pb.Explanation(
        summary=explanation.summary,
        predictions=[prediction_to_wire(p) for p in explanation.predictions],
        acquisition=explanation.acquisition,
        acquisition_value=explanation.acquisition_value,
        intent=INTENTS_TO_WIRE[explanation.intent],
        nearest_trial="" if number is None else trial_name(study_id, number),
        nearest_distance=explanation.nearest_distance,
    )


def forecast_to_wire(point: PointForecast) -> service_pb.ConfigurationPrediction:
    """Return the prediction of one configuration."""
    predictions = [prediction_to_wire(p) for p in point.predictions]
    return service_pb.ConfigurationPrediction(predictions=predictions, acquisition_value=point.acquisition_value)
