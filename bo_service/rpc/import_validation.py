"""Validation of an imported study: each part is decoded as the calls that could have created it are."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import trial_pb2 as pb
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from bo_service.application.ports import IssuedLease
from bo_service.application.studies import SPACE
from bo_service.application.trials import check_new
from bo_service.application.views import StudyView
from bo_service.domain.artifacts import Artifact
from bo_service.domain.budget import Spent
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import (
    MAX_ATTEMPTS,
    MAX_FAILURE_MESSAGE,
    MAX_INT,
    MAX_MESSAGE_BYTES,
    MAX_STEP,
    MAX_STOP_REASON,
)
from bo_service.domain.study import MAX_LEASE, Study
from bo_service.domain.trial import Measurement, Trial, TrialState
from bo_service.optimizer.encoding.contradictions import contradictions
from bo_service.rpc.codec.artifact import artifact_from_wire
from bo_service.rpc.codec.fields import ViolationCollector, lease_token_of, text, trial_of, worker_id_of
from bo_service.rpc.codec.study import MAX_SPENT_STEPS, new_study_from_wire, study_to_wire
from bo_service.rpc.codec.trial import (
    failure_from_wire,
    measurement_from_wire,
    new_trial_from_wire,
    trial_to_wire,
)

WITH_RESULT = (TrialState.SUCCEEDED, TrialState.STOPPED)
WITH_FAILURE = (TrialState.FAILED, TrialState.INFEASIBLE)


class CallValidator:
    """A validator that applies the rules of the calls that create studies and trials, and end trials."""

    def __init__(self, at: datetime) -> None:
        """Create a validator.

        Args:
            at: the current time; no lease may expire later than one issued now.
        """
        self._latest = at + MAX_LEASE

    def study(self, study: Study) -> Study:
        """Return the study as CreateStudy would store it.

        Raises:
            InvalidArgument: the study is invalid.
        """
        with _encodable("study"):
            message = study_to_wire(StudyView(study, {}))
        request = service_pb.CreateStudyRequest(study_id=study.study_id, study=message)
        if request.ByteSize() > MAX_MESSAGE_BYTES:
            description = f"has {request.ByteSize()} bytes on the wire; at most {MAX_MESSAGE_BYTES} are allowed"
            raise InvalidArgument.of("study", description)
        new = new_study_from_wire(request)
        conflicts = [violation.inside(SPACE) for violation in contradictions(new.spec.space)]
        if conflicts:
            raise InvalidArgument(conflicts)
        violations = ViolationCollector()
        _check_range(violations, "study.revision", study.revision, 1, MAX_INT)
        _check_range(violations, "last_number", study.last_number, 0, MAX_INT)
        _check_spent(violations, "study.spent", study.spent)
        if study.study_id in new.spec.suggestion.warm_start_studies:
            violations.add("study.spec.suggestion.warm_start_studies", "names the study itself; name earlier ones")
        violations.check()
        return replace(study, spec=new.spec, labels=new.labels, objective=new.objective)

    def trial(self, study: Study, trial: Trial, curve: Sequence[Measurement], tokens: Sequence[IssuedLease]) -> Trial:
        """Return the trial as CreateTrial would store it.

        Args:
            study: the imported study.
            trial: the trial.
            curve: its measurements.
            tokens: the leases issued for it.

        Raises:
            InvalidArgument: the trial is invalid.
        """
        violations = ViolationCollector()
        trial_of(trial.name, "trial.name")
        with _encodable("trial"):
            message = trial_to_wire(trial, curve, token_visible=True)
            leases = [pb.Lease(token=token.token, worker_id=token.worker_id) for token in tokens]
        _walk(message, "trial", violations)
        for i, lease in enumerate(leases):
            _walk(lease, f"leases[{i}]", violations)
            _check_range(violations, f"leases[{i}].attempt", tokens[i].attempt, 1, _max_attempt(study))
        for violation in _life_cycle_violations(study, trial):
            violations.add(violation.field, violation.description)
        violations.check()
        if message.HasField("final_measurement"):
            message.ClearField("failure")  # of an earlier attempt
        new = new_trial_from_wire(message, "trial")
        bounded_lease = trial.lease and replace(trial.lease, expire_time=min(trial.lease.expire_time, self._latest))
        return replace(trial, parameters=check_new(study, new), labels=new.labels, lease=bounded_lease)

    def artifact(self, artifact: Artifact, content: bytes | None) -> None:
        """Check an artifact as AddArtifact would.

        Args:
            artifact: the artifact.
            content: its bytes; None where only its URI is stored.

        Raises:
            InvalidArgument: the artifact is invalid.
        """
        with _encodable("artifact"):
            request = service_pb.AddArtifactRequest(
                artifact_id=artifact.artifact_id,
                media_type=artifact.media_type,
                size=artifact.size,
                sha256=artifact.sha256,
                **({"uri": artifact.uri} if content is None else {"content": content}),
            )
        with _inside("artifact"):
            artifact_from_wire(request)
            _text(artifact.author, "author")
        if content is not None and (artifact.uri or artifact.size is None or not artifact.sha256):
            raise InvalidArgument.of("artifact", "has content, so it needs size and sha256, and no uri")


def _life_cycle_violations(study: Study, trial: Trial) -> Iterator[Violation]:
    """Yield the violations of the trial's life cycle."""
    violations = ViolationCollector()
    _check_range(violations, "trial.number", trial.number, 1, study.last_number)
    _check_range(violations, "trial.revision", trial.revision, 0, study.revision)
    _check_range(violations, "trial.attempt", trial.attempt, trial.state is TrialState.RUNNING, _max_attempt(study))
    _check_pause(violations, study, trial)
    for i, attempt in enumerate(trial.attempts):
        lowest = trial.attempts[i - 1].number + 1 if i else 1
        _check_range(violations, f"trial.attempts[{i}].number", attempt.number, lowest, trial.attempt)
        _check_spent(violations, f"trial.attempts[{i}]", Spent(attempt.steps, attempt.time))
        for name in ("begin_step", "checkpoint_step"):
            if (step := getattr(attempt, name)) is not None:
                _check_range(violations, f"trial.attempts[{i}].{name}", step, 0, MAX_STEP)
    yield from violations.violations
    state = trial.state.name
    if (trial.lease is None) is (trial.state is TrialState.RUNNING):
        yield Violation(
            "trial.lease", f"does not match the state {state}; a trial has a lease exactly while it is RUNNING"
        )
    if trial.lease and trial.lease.duration and not abs(trial.lease.duration) <= MAX_LEASE:
        yield Violation("trial.lease.duration", f"is {trial.lease.duration}; at most {MAX_LEASE} are allowed")
    if trial.final_measurement and trial.state not in WITH_RESULT:
        yield Violation(
            "trial.final_measurement", f"is set, but the state is {state}; only SUCCEEDED and STOPPED trials have one"
        )
    if not trial.final_measurement and trial.state is TrialState.SUCCEEDED:
        yield Violation("trial.final_measurement", "is missing, but the state is SUCCEEDED; give the result")
    if not trial.failure and trial.state in WITH_FAILURE:
        yield Violation("trial.failure", f"is missing, but the state is {state}; give the failure")
    if trial.start_time and trial.end_time and trial.end_time < trial.start_time:
        yield Violation("trial.end_time", f"is {trial.end_time}, before start_time; give a later one")


def _max_attempt(study: Study) -> int:
    """Return the largest number that an attempt can have; those that end in a pause aren't limited."""
    return MAX_ATTEMPTS + (len(study.spec.fidelity.rungs) if study.spec.fidelity else 0)


def _check_pause(violations: ViolationCollector, study: Study, trial: Trial) -> None:
    fidelity, pause = study.spec.fidelity, trial.pause
    if trial.state is TrialState.PAUSED and pause is None:
        violations.add("trial.pause", "is missing, but the state is PAUSED; give the request to pause")
    if fidelity is None:
        for field, value in (("pause", pause), ("until_step", trial.until_step)):
            if value is not None:
                violations.add(f"trial.{field}", "is set, but the study has no fidelity; leave it out")
        return
    if pause is not None:
        _check_range(violations, "trial.pause.step", pause.step, fidelity.min_step, fidelity.max_step)
        _check_range(violations, "trial.pause.attempt", pause.attempt, 1, trial.attempt)
        _check_range(violations, "trial.pause.expected_step", pause.expected_step, 0, fidelity.max_step)
        if pause.seconds_per_step is not None and not 0 < pause.seconds_per_step < math.inf:
            violations.add("trial.pause.seconds_per_step", f"is {pause.seconds_per_step}; give a number above 0")
    if trial.until_step is not None:
        if trial.state is not TrialState.RUNNING:
            violations.add("trial.until_step", f"is set, but the state is {trial.state.name}; leave it out")
        _check_range(violations, "trial.until_step", trial.until_step, fidelity.min_step, fidelity.max_step)


def _check_spent(violations: ViolationCollector, field: str, spent: Spent) -> None:
    _check_range(violations, f"{field}.steps", spent.steps, 0, MAX_SPENT_STEPS)
    if spent.time < timedelta():
        violations.add(f"{field}.time", f"is {spent.time.total_seconds():g}; give 0 or more seconds")


def _check_range(violations: ViolationCollector, field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        violations.add(field, f"is {value}; give {int(low)} to {high}")


@contextmanager
def _encodable(field: str) -> Iterator[None]:
    """Raise InvalidArgument if protobuf cannot encode a value, such as an integer of more than 64 bits."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise InvalidArgument.of(field, f"cannot be encoded as a message: {error}") from error


@contextmanager
def _inside(prefix: str) -> Iterator[None]:
    """Put the paths of what the block refuses below a prefix."""
    try:
        yield
    except InvalidArgument as error:
        raise error.inside(prefix) from error


def _prediction(message: pb.Prediction, field: str) -> None:
    if not (math.isfinite(message.mean) and math.isfinite(message.std) and message.std >= 0):
        raise InvalidArgument.of(field, f"is {message.mean} ± {message.std}; give finite numbers, the second from 0 on")


MESSAGE_DECODERS: dict[str, Callable[[Any, str], object]] = {
    pb.Measurement.DESCRIPTOR.full_name: measurement_from_wire,
    pb.Failure.DESCRIPTOR.full_name: failure_from_wire,
    pb.Prediction.DESCRIPTOR.full_name: _prediction,
}
"""Decoder of each message type, at any path within a trial."""
TEXT_DECODERS: dict[str, Callable[[str, str], object]] = {
    "worker_id": lambda value, _: worker_id_of(value),
    "token": lambda value, _: lease_token_of(value),
    "reason": lambda value, field: text(value, field, MAX_STOP_REASON),
}
"""Decoder of texts, by field name; other texts may have the maximum length of any text."""


def _walk(message: Message, at: str, violations: ViolationCollector) -> None:
    """Decode every message and text within a message as the calls do."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue  # labels and parameters, which CreateTrial's decoder reads
        here = f"{at}.{field.name}"
        if isinstance(value, str | Message | int | float):
            _read(field, value, here, violations)
        else:
            for i, one in enumerate(value):
                _read(field, one, f"{here}[{i}]", violations)


def _read(field: FieldDescriptor, value: Any, at: str, violations: ViolationCollector) -> None:
    if isinstance(value, str):
        violations.attempt(partial(TEXT_DECODERS.get(field.name, _text), value, at))
    elif isinstance(value, Message) and value.DESCRIPTOR.full_name in MESSAGE_DECODERS:
        violations.attempt(partial(MESSAGE_DECODERS[value.DESCRIPTOR.full_name], value, at))
    elif isinstance(value, Message):
        _walk(value, at, violations)


def _text(value: str, field: str) -> str:
    return text(value, field, MAX_FAILURE_MESSAGE)
