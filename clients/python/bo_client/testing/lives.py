"""A trial's life in the fake server: messages changed in place, with no regard to the rest of the study."""

from collections.abc import Iterable
from datetime import datetime

from bo_api.v1 import study_pb2, trial_pb2

from bo_client.errors import FailedPrecondition

PARAMETERS_AT_FAULT = (
    trial_pb2.FAILURE_REASON_OUT_OF_MEMORY,
    trial_pb2.FAILURE_REASON_DIVERGED,
    trial_pb2.FAILURE_REASON_INVALID_CONFIGURATION,
)
OPEN = (trial_pb2.TRIAL_STATE_QUEUED, trial_pb2.TRIAL_STATE_RUNNING)


MOST_TOLD, HEAD, MARK = 500, 150, " … "
"""Characters of a failure's message in an attempt, how many of them are its beginning, and what stands for the rest."""


def users_trial(given: trial_pb2.Trial) -> trial_pb2.Trial:
    """A trial of what a user may say of one."""
    return trial_pb2.Trial(
        parameters=given.parameters,
        labels=given.labels,
        measurements=given.measurements,
        checkpoint_uri=given.checkpoint_uri,
        origin=trial_pb2.ORIGIN_USER,
    )


def require_open(trial: trial_pb2.Trial, verb: str) -> None:
    """Raises FailedPrecondition."""
    if trial.state not in OPEN:
        state = trial_pb2.TrialState.Name(trial.state).removeprefix("TRIAL_STATE_")
        raise FailedPrecondition(f"{trial.name} can't {verb}: it has ended as {state}", "WRONG_STATE")


def record(trial: trial_pb2.Trial, measurements: Iterable[trial_pb2.Measurement], now: datetime) -> None:
    """Adds to the learning curve; a step reported before is replaced."""
    curve = {m.step: m for m in trial.measurements}
    for given in measurements:
        kept = trial_pb2.Measurement()
        kept.CopyFrom(given)
        kept.receive_time.FromDatetime(now)
        curve[kept.step] = kept
    ordered = [curve[step] for step in sorted(curve)]
    del trial.measurements[:]
    trial.measurements.extend(ordered)
    if ordered:
        trial.latest_measurement.CopyFrom(ordered[-1])


def ask_to_stop(
    trial: trial_pb2.Trial,
    reason: str,
    now: datetime,
    rule: study_pb2.StoppingRule = study_pb2.STOPPING_RULE_UNSPECIFIED,
) -> None:
    """Requests its end, unless that was done before."""
    if not trial.HasField("stop_request"):
        trial.stop_request.reason = reason
        trial.stop_request.rule = rule
        trial.stop_request.create_time.FromDatetime(now)


def conclude(trial: trial_pb2.Trial, final: trial_pb2.Measurement, now: datetime) -> trial_pb2.TrialState:
    """Takes in the result; the state in which the trial ends."""
    trial.final_measurement.CopyFrom(final)
    if not final.step and trial.HasField("latest_measurement"):
        trial.final_measurement.step = trial.latest_measurement.step
    trial.final_measurement.receive_time.FromDatetime(now)
    trial.latest_measurement.CopyFrom(trial.final_measurement)
    return trial_pb2.TRIAL_STATE_STOPPED if trial.HasField("stop_request") else trial_pb2.TRIAL_STATE_SUCCEEDED


def after_failure(trial: trial_pb2.Trial, failure: trial_pb2.Failure, max_attempts: int) -> trial_pb2.TrialState:
    """Takes in the failure; the state in which the trial ends, or QUEUED where it is tried again."""
    trial.failure.CopyFrom(failure)
    if failure.reason in PARAMETERS_AT_FAULT:
        return trial_pb2.TRIAL_STATE_INFEASIBLE
    if trial.HasField("stop_request"):
        return trial_pb2.TRIAL_STATE_STOPPED
    return trial_pb2.TRIAL_STATE_FAILED if trial.attempt >= max_attempts else trial_pb2.TRIAL_STATE_QUEUED


def begin_attempt(trial: trial_pb2.Trial, worker_id: str, now: datetime) -> None:
    """Counts the attempt, and says who makes it."""
    trial.attempt += 1
    made = trial.attempts.add(attempt=trial.attempt, worker_id=worker_id)
    made.start_time.FromDatetime(now)


def end_attempt(
    trial: trial_pb2.Trial,
    number: int,
    outcome: trial_pb2.AttemptOutcome,
    now: datetime,
    failure: trial_pb2.Failure | None = None,
) -> None:
    """Says how an attempt ended; where an earlier one delivers late, the running one is superseded."""
    _close(trial.attempts[number - 1], outcome, now)
    if failure is not None:
        trial.attempts[number - 1].failure.reason = failure.reason
        trial.attempts[number - 1].failure.message = shortened(failure.message)
    if number != trial.attempt and trial.state == trial_pb2.TRIAL_STATE_RUNNING:
        _close(trial.attempts[-1], trial_pb2.ATTEMPT_OUTCOME_SUPERSEDED, now)


def _close(attempt: trial_pb2.TrialAttempt, outcome: trial_pb2.AttemptOutcome, now: datetime) -> None:
    attempt.outcome = outcome
    attempt.end_time.FromDatetime(now)
    attempt.ClearField("failure")


def shortened(message: str) -> str:
    """The message, its middle left out where it is long."""
    if len(message) <= MOST_TOLD:
        return message
    return f"{message[:HEAD]}{MARK}{message[HEAD + len(MARK) - MOST_TOLD :]}"
