"""Trials on the wire, and back."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import trial_pb2 as pb

from bo_service.adapters.grpc.decoding import Faults, choice, each, labels_from_wire, seconds, text
from bo_service.adapters.grpc.names import trial_name
from bo_service.adapters.grpc.space_codec import configuration_from_wire, configuration_to_wire
from bo_service.adapters.grpc.stopping_codec import prediction_to_wire, stop_request_to_wire
from bo_service.application.predicting import PointForecast
from bo_service.application.trials import NewTrial
from bo_service.core.attempts import Attempt, AttemptOutcome
from bo_service.core.errors import InvalidArgument
from bo_service.core.limits import MAX_CHECKPOINT_URI, MAX_FAILURE_MESSAGE, MAX_METRIC_VALUES, MAX_STEP
from bo_service.core.space import NAME
from bo_service.core.trial import (
    Explanation,
    Failure,
    FailureReason,
    Intent,
    Measurement,
    Origin,
    Trial,
    TrialState,
)

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
}
INTENTS_TO_WIRE: dict[Intent | None, pb.Intent] = {
    None: pb.INTENT_UNSPECIFIED,
    Intent.EXPLORE: pb.INTENT_EXPLORE,
    Intent.EXPLOIT: pb.INTENT_EXPLOIT,
}


def measurement_from_wire(message: pb.Measurement, field: str) -> Measurement:
    """Raises InvalidArgument. Values may be NaN or infinite: whether they are a result is for the trial to say."""
    faults = Faults()
    if not 0 <= message.step <= MAX_STEP:
        faults.add(f"{field}.step", f"is {message.step}; steps count from 0 to 2^53")
    if not 1 <= len(message.metrics) <= MAX_METRIC_VALUES:
        faults.add(f"{field}.metrics", f"has {len(message.metrics)} values; give 1 to {MAX_METRIC_VALUES}")
    for name in sorted(message.metrics):
        if not NAME.fullmatch(name):
            faults.add(f"{field}.metrics", f"has the name {name[:140]!r}; it needs the form of a parameter's name")
    elapsed = None
    if message.HasField("elapsed"):
        elapsed = faults.attempt(lambda: timedelta(seconds=seconds(message.elapsed, f"{field}.elapsed")))
    faults.check()
    metrics = {name: message.metrics[name] for name in sorted(message.metrics)}
    return Measurement(metrics, message.step, elapsed)


def measurement_to_wire(measurement: Measurement) -> pb.Measurement:
    message = pb.Measurement(step=measurement.step, metrics=measurement.metrics)
    if measurement.elapsed is not None:
        message.elapsed.FromTimedelta(measurement.elapsed)
    if measurement.receive_time is not None:
        message.receive_time.FromDatetime(measurement.receive_time)
    return message


def failure_from_wire(message: pb.Failure, field: str) -> Failure:
    """Raises InvalidArgument."""
    if message.reason not in REASONS:
        known = ", ".join(f"FAILURE_REASON_{reason.name}" for reason in FailureReason)
        raise InvalidArgument.of(f"{field}.reason", f"is {message.reason}; give one of {known}")
    return Failure(REASONS[message.reason], text(message.message, f"{field}.message", MAX_FAILURE_MESSAGE))


def failure_to_wire(failure: Failure) -> pb.Failure:
    return pb.Failure(reason=REASONS_TO_WIRE[failure.reason], message=failure.message)


def outcome_from_wire(request: service_pb.CompleteTrialRequest) -> Measurement | Failure:
    """Raises InvalidArgument."""
    kind = request.WhichOneof("outcome")
    if kind is None:
        raise InvalidArgument.of("outcome", "is missing; set final_measurement or failure")
    if kind == "failure":
        return failure_from_wire(request.failure, "failure")
    return measurement_from_wire(request.final_measurement, "final_measurement")


def checkpoint_uri_from_wire(given: str, field: str) -> str:
    """Raises InvalidArgument."""
    return text(given, field, MAX_CHECKPOINT_URI)


def trial_state_from_wire(given: int, field: str) -> TrialState:
    """Raises InvalidArgument."""
    return choice(given, field, STATES)


def new_trial_from_wire(message: pb.Trial, field: str) -> NewTrial:
    """What CreateTrial takes of a trial. Raises InvalidArgument."""
    faults = Faults()
    if message.HasField("final_measurement") and message.HasField("failure"):
        faults.add(f"{field}.failure", "is given beside final_measurement; a trial has one or the other")
    given = message.parameters
    configuration = faults.attempt(lambda: configuration_from_wire(given, f"{field}.parameters"))
    labels = faults.attempt(lambda: labels_from_wire(message.labels, f"{field}.labels"))
    uri = faults.attempt(lambda: checkpoint_uri_from_wire(message.checkpoint_uri, f"{field}.checkpoint_uri"))
    curve = faults.attempt(lambda: each(message.measurements, f"{field}.measurements", measurement_from_wire))
    final, failure = None, None
    if message.HasField("final_measurement"):
        at = f"{field}.final_measurement"
        final = faults.attempt(lambda: measurement_from_wire(message.final_measurement, at))
    if message.HasField("failure"):
        failure = faults.attempt(lambda: failure_from_wire(message.failure, f"{field}.failure"))
    faults.check()
    assert configuration is not None
    return NewTrial(configuration, labels or {}, uri or "", curve or (), final, failure)


def trial_to_wire(trial: Trial, measurements: Sequence[Measurement] | None, token_visible: bool) -> pb.Trial:
    """With its learning curve, where given. Only the worker that was just given the trial may see the lease's token."""
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
    )
    message.create_time.FromDatetime(trial.create_time)
    if trial.start_time is not None:
        message.start_time.FromDatetime(trial.start_time)
    if trial.end_time is not None:
        message.end_time.FromDatetime(trial.end_time)
    _add_results(message, trial)
    _add_lease(message, trial, token_visible)
    if trial.explanation is not None:
        message.explanation.CopyFrom(explanation_to_wire(trial.explanation, trial.study_id))
    return message


def attempt_to_wire(attempt: Attempt) -> pb.TrialAttempt:
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


def explanation_to_wire(explanation: Explanation, study_id: str) -> pb.Explanation:
    """`study_id` is that of the trial explained, and so of the nearest one."""
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
    """What the surrogate says of one configuration."""
    told = [prediction_to_wire(p) for p in point.predictions]
    return service_pb.ConfigurationPrediction(predictions=told, acquisition_value=point.acquisition_value)
