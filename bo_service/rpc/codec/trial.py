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
from bo_service.domain.limits import MAX_CHECKPOINT_URI, MAX_FAILURE_MESSAGE, MAX_METRIC_VALUES, MAX_STEP
from bo_service.domain.search_space import NAME
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
from bo_service.rpc.codec.decoding import ViolationCollector, choice, each, labels_from_wire, seconds, text
from bo_service.rpc.codec.early_stopping import RULES_TO_WIRE
from bo_service.rpc.codec.search_space import configuration_from_wire, configuration_to_wire
from bo_service.rpc.resource_names import trial_name

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
            violations.add(f"{field}.metrics", f"has the name {name[:140]!r}; it needs the form of a parameter's name")
    elapsed = None
    if message.HasField("elapsed"):
        elapsed = violations.attempt(lambda: timedelta(seconds=seconds(message.elapsed, f"{field}.elapsed")))
    violations.check()
    metrics = {name: message.metrics[name] for name in sorted(message.metrics)}
    return Measurement(metrics, message.step, elapsed)


def measurement_to_wire(measurement: Measurement) -> pb.Measurement:
    """Return the message."""
    message = pb.Measurement(step=measurement.step, metrics=measurement.metrics)
    if measurement.elapsed is not None:
        message.elapsed.FromTimedelta(measurement.elapsed)
    if measurement.receive_time is not None:
        message.receive_time.FromDatetime(measurement.receive_time)
    return message


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
    violations.check()
    assert configuration is not None
    return NewTrial(configuration, labels or {}, uri or "", curve or (), final, failure)


def trial_to_wire(trial: Trial, measurements: Sequence[Measurement] | None, token_visible: bool) -> pb.Trial:
    """Return the message.

    Args:
        trial: the trial.
        measurements: its learning curve; None to omit it.
        token_visible: whether to include the lease token, which only the worker that got the trial may see.
    """
    message = pb.Trial(
        name=trial.name,
        parameters=configuration_to_wire(trial.parameters),
        state=STATES_TO_WIRE[trial.state],
        measurements=[measurement_to_wire(m) for m in measurements or ()],
        attempt=trial.attempt,
        checkpoint_uri=trial.checkpoint_uri,
        labels=trial.labels,
        origin=ORIGINS_TO_WIRE[trial.origin],
        revision=trial.revision,
        attempts=[attempt_to_wire(attempt) for attempt in trial.attempts],
        until_step=trial.until_step,
    )
    message.create_time.FromDatetime(trial.create_time)
    if trial.start_time is not None:
        message.start_time.FromDatetime(trial.start_time)
    if trial.end_time is not None:
        message.end_time.FromDatetime(trial.end_time)
    _add_results(message, trial)
    _add_lease(message, trial, token_visible)
    if trial.note is not None:
        message.note.CopyFrom(note_to_wire(trial.note))
    if trial.explanation is not None:
        message.explanation.CopyFrom(explanation_to_wire(trial.explanation, trial.study_id))
    return message


def attempt_to_wire(attempt: Attempt) -> pb.TrialAttempt:
    """Return the message."""
    message = pb.TrialAttempt(
        attempt=attempt.number, worker_id=attempt.worker_id, outcome=OUTCOMES_TO_WIRE[attempt.outcome]
    )
    if attempt.start_time is not None:
        message.start_time.FromDatetime(attempt.start_time)
    if attempt.end_time is not None:
        message.end_time.FromDatetime(attempt.end_time)
    if attempt.failure is not None:
        message.failure.CopyFrom(failure_to_wire(attempt.failure))
    return message


def _add_results(message: pb.Trial, trial: Trial) -> None:
    if trial.latest_measurement is not None:
        message.latest_measurement.CopyFrom(measurement_to_wire(trial.latest_measurement))
    if trial.final_measurement is not None:
        message.final_measurement.CopyFrom(measurement_to_wire(trial.final_measurement))
    if trial.failure is not None:
        message.failure.CopyFrom(failure_to_wire(trial.failure))


def _add_lease(message: pb.Trial, trial: Trial, token_visible: bool) -> None:
    if trial.lease is not None:
        message.lease.worker_id = trial.lease.worker_id
        message.lease.token = trial.lease.token if token_visible else ""
        message.lease.expire_time.FromDatetime(trial.lease.expire_time)
    if trial.stop_request is not None:
        message.stop_request.CopyFrom(stop_request_to_wire(trial.stop_request))
    if trial.pause is not None:
        message.pause.CopyFrom(pause_to_wire(trial.pause))


def stop_request_to_wire(request: StopRequest) -> pb.StopRequest:
    """Return the message. It has no rule if a user made the request."""
    message = pb.StopRequest(reason=request.reason, expected_step=request.expected_step)
    message.create_time.FromDatetime(request.create_time)
    if request.rule is not StoppingRule.NONE:
        message.rule = RULES_TO_WIRE[request.rule]
    if request.expected is not None:
        message.expected.CopyFrom(prediction_to_wire(request.expected))
    return message


def pause_to_wire(pause: Pause) -> pb.Pause:
    """Return the message."""
    message = pb.Pause(reason=pause.reason, step=pause.step, attempt=pause.attempt, expected_step=pause.expected_step)
    message.create_time.FromDatetime(pause.create_time)
    if pause.expected is not None:
        message.expected.CopyFrom(prediction_to_wire(pause.expected))
    return message


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
