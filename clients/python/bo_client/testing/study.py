"""One study of the fake server: its trials and their lives."""

import math
import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2, trial_pb2

from bo_client.errors import FailedPrecondition, LimitExceeded, NotFound
from bo_client.finite import is_exhausted, to_repeat
from bo_client.parameters import Value
from bo_client.testing.answers import acquisition, counted, expected, trial_number
from bo_client.testing.checks import check_configuration, check_final, check_labels, objective_differences
from bo_client.testing.lives import (
    OPEN,
    PARAMETERS_AT_FAULT,
    after_failure,
    ask_to_stop,
    begin_attempt,
    conclude,
    end_attempt,
    record,
    require_open,
    users_trial,
)
from bo_client.testing.sampling import default_configuration, new_configuration
from bo_client.testing.stopping import why_stop
from bo_client.testing.warm_start import initial_trials, opening
from bo_client.wire.codec import study_from_wire
from bo_client.wire.codec_space import values_from_wire, values_to_wire

DEFAULT_LEASE, DEFAULT_ATTEMPTS = 60.0, 3
RETRY_DELAY = timedelta(seconds=1)


class FakeStudy:
    """Not safe for threads: the server holds a lock."""

    def __init__(self, message: study_pb2.Study, rng: random.Random, studies: "Mapping[str, FakeStudy]") -> None:
        self.message = message
        self.definition = study_from_wire(message)
        self.trials: dict[int, trial_pb2.Trial] = {}
        self.deleted: dict[int, int] = {}
        """Revision at which each deleted trial went."""
        self._tokens: dict[int, list[str]] = {}
        self._rng = rng
        self._studies = studies
        self._made = 0

    def snapshot(self) -> study_pb2.Study:
        """The study with its counts."""
        return counted(self.message, self.trials.values())

    def trial(self, number: int) -> trial_pb2.Trial:
        """Raises NotFound."""
        if number not in self.trials:
            raise NotFound(f"{self.message.name} has no trial {number}")
        return self.trials[number]

    def suggest(self, request: pb.SuggestTrialsRequest, now: datetime) -> pb.SuggestTrialsResponse:
        """Queued trials first, then new ones. Raises FailedPrecondition for another objective than the study's."""
        self._take_objective(request, now)
        count, worker_id = request.count or 1, request.worker_id
        answer = pb.SuggestTrialsResponse()
        while len(answer.trials) < count:
            trial, shortfall = self._next(now)
            if trial is None:
                answer.shortfall = shortfall
                if shortfall in (pb.SHORTFALL_ALL_IN_PROGRESS, pb.SHORTFALL_PAUSED):
                    answer.retry_delay.FromTimedelta(RETRY_DELAY)
                break
            self._start(trial, worker_id, now)
            answer.trials.append(trial)
            answer.trials[-1].lease.token = self._tokens[trial_number(trial.name)][-1]
        return answer

    def _take_objective(self, request: pb.SuggestTrialsRequest, now: datetime) -> None:
        if not request.HasField("objective"):
            return
        different = objective_differences(self.message, request.objective)
        if different:
            raise FailedPrecondition(
                f"{self.message.name} is of another objective: {'; '.join(different)}", "OBJECTIVE_MISMATCH"
            )
        if not self.message.HasField("objective") and self.message.state == study_pb2.STUDY_STATE_ACTIVE:
            self.message.objective.CopyFrom(request.objective)
            self.definition = study_from_wire(self.message)
            self._changed(now)

    def _next(self, now: datetime) -> tuple[trial_pb2.Trial | None, pb.Shortfall]:
        if self.message.state == study_pb2.STUDY_STATE_COMPLETED:
            return None, pb.SHORTFALL_COMPLETED
        if self.message.state == study_pb2.STUDY_STATE_PAUSED:
            return None, pb.SHORTFALL_PAUSED
        queued = [t for t in self.trials.values() if t.state == trial_pb2.TRIAL_STATE_QUEUED]
        if queued:
            return queued[0], pb.SHORTFALL_UNSPECIFIED
        found = None if self._is_full else self._suggestion()
        if found is None and self._has_open:
            return None, pb.SHORTFALL_ALL_IN_PROGRESS
        if found is None:
            self._check_exhausted()
            return None, pb.SHORTFALL_SPACE_EXHAUSTED
        configuration, origin = found
        trial = trial_pb2.Trial(parameters=values_to_wire(configuration), origin=origin)
        trial.explanation.CopyFrom(self._explanation(origin))
        return self._add(trial, now), pb.SHORTFALL_UNSPECIFIED

    def _check_exhausted(self) -> None:
        """Raises FailedPrecondition where it is not known that all configurations have been tried."""
        space = self.definition.space
        known = [values_from_wire(t.parameters) for t in self.trials.values()]
        if not self._is_full and not is_exhausted(space, known):
            raise FailedPrecondition(
                "no further configuration was found that fulfills the constraints, and it is not proven that there is "
                "none; loosen a constraint, widen the parameters' bounds, or add configurations with CreateTrial",
                "NO_CONFIGURATION_FOUND",
            )

    def _suggestion(self) -> tuple[dict[str, Value], trial_pb2.Origin] | None:
        space = self.definition.space
        known = [values_from_wire(t.parameters) for t in self.trials.values()]
        default = default_configuration(space)
        if not known and space.is_feasible(default):
            return default, trial_pb2.ORIGIN_DEFAULT
        best = opening(self.definition, self._studies, known)
        if best is not None:
            return best, trial_pb2.ORIGIN_WARM_START
        drawn = new_configuration(space, known, self._rng) or self._repeated()
        return None if drawn is None else (drawn, self._origin)

    def _repeated(self) -> dict[str, Value] | None:
        """What is tried again once everything has been: what was tried least often, the best of several."""
        if self._has_open or self.definition.settings.get("algorithm") == "quasi_random":
            return None
        sign = self.definition.objective.sign
        tried = [(values_from_wire(t.parameters), self._values(t)) for t in self.trials.values()]
        tried.sort(key=lambda one: -sign * one[1][0] if one[1] else math.inf)
        return next((dict(configuration) for configuration in to_repeat(tried)), None)

    def _values(self, trial: trial_pb2.Trial) -> tuple[float, ...] | None:
        if not trial.HasField("final_measurement"):
            return None
        return tuple(trial.final_measurement.metrics[metric.name] for metric in self.definition.objectives)

    @property
    def _origin(self) -> trial_pb2.Origin:
        """Of what is drawn next: where the real server would have its surrogate, it is said to come from that."""
        settings = self.definition.settings
        is_early = len(self.trials) < initial_trials(self.definition) or not expected(
            self.definition, self.trials.values()
        )
        is_blind = settings.get("algorithm") == "quasi_random"
        return trial_pb2.ORIGIN_QUASI_RANDOM if is_early or is_blind else trial_pb2.ORIGIN_SURROGATE

    def _explanation(self, origin: trial_pb2.Origin) -> trial_pb2.Explanation:
        why = trial_pb2.Explanation(
            summary="a fake server's suggestion: the default configuration first, then at random"
        )
        if origin == trial_pb2.ORIGIN_SURROGATE:
            why.predictions.extend(expected(self.definition, self.trials.values()))
            why.acquisition = acquisition(self.definition)
            why.acquisition_value = 0.0
            why.intent = trial_pb2.INTENT_EXPLORE
        return why

    def change(self, message: study_pb2.Study, now: datetime) -> None:
        """Takes new settings, labels or another state; with room for more trials a full study is active again."""
        was_full = self._is_full and self.message.state == study_pb2.STUDY_STATE_COMPLETED
        self.message = message
        self.definition = study_from_wire(message)
        if was_full and not self._is_full:
            self.message.state = study_pb2.STUDY_STATE_ACTIVE
        self._close()
        self._changed(now)

    def create(self, given: trial_pb2.Trial, now: datetime) -> trial_pb2.Trial:
        """Queues a configuration, or records an ended trial. Raises what the real server does."""
        ended = given.HasField("final_measurement") or given.HasField("failure")
        check_configuration(given.parameters, self.definition, "trial.parameters", must_be_feasible=not ended)
        if given.HasField("final_measurement"):
            check_final(given.final_measurement, self.definition, "trial.final_measurement")
        self._require_room(ended)
        trial = self._add(users_trial(given), now)
        if given.HasField("final_measurement"):
            self._end(trial, conclude(trial, given.final_measurement, now), now)
        elif given.HasField("failure"):
            self._fail(trial, given.failure, 0, now)
        return trial

    def report(self, request: pb.ReportMeasurementsRequest, now: datetime) -> pb.ReportMeasurementsResponse:
        """Raises FailedPrecondition where the token was never given out for the trial."""
        trial = self.trial(trial_number(request.name))
        is_held = self._is_held(trial, request.lease_token)
        answer = pb.ReportMeasurementsResponse()
        if not is_held:
            answer.should_stop = True
            answer.stop_reason = "the trial has ended, or another worker holds it"
            return answer
        if request.measurements or request.checkpoint_uri:
            record(trial, request.measurements, now)
            why = why_stop(self.definition, self.trials.values(), trial) if request.measurements else ""
            if why:
                ask_to_stop(trial, why, now, self.message.spec.stopping.rule)
            trial.checkpoint_uri = request.checkpoint_uri or trial.checkpoint_uri
            self._changed(now, trial)
        self._renew(trial, now)
        answer.lease_valid = True
        answer.lease_expire_time.CopyFrom(trial.lease.expire_time)
        answer.lease_remaining.FromTimedelta(self._lease)
        answer.should_stop = trial.HasField("stop_request")
        answer.stop_reason = trial.stop_request.reason
        return answer

    def complete(self, request: pb.CompleteTrialRequest, now: datetime) -> trial_pb2.Trial:
        """Raises InvalidRequest and FailedPrecondition."""
        trial = self.trial(trial_number(request.name))
        is_held = self._is_held(trial, request.lease_token)
        require_open(trial, "be completed")
        check_labels(trial.labels, request.labels)
        trial.labels.update(request.labels)
        attempt = self._tokens[trial_number(trial.name)].index(request.lease_token) + 1
        if request.HasField("failure"):
            if is_held or request.failure.reason in PARAMETERS_AT_FAULT:
                end_attempt(trial, attempt, trial_pb2.ATTEMPT_OUTCOME_FAILED, now, request.failure)
                self._fail(trial, request.failure, self._attempts, now)
        else:
            check_final(request.final_measurement, self.definition)
            end_attempt(trial, attempt, trial_pb2.ATTEMPT_OUTCOME_COMPLETED, now)
            self._end(trial, conclude(trial, request.final_measurement, now), now)
        return trial

    def stop(self, number: int, reason: str, now: datetime) -> trial_pb2.Trial:
        """Raises FailedPrecondition where it has ended."""
        trial = self.trial(number)
        require_open(trial, "be stopped")
        ask_to_stop(trial, reason, now)
        if trial.state == trial_pb2.TRIAL_STATE_QUEUED:
            self._end(trial, trial_pb2.TRIAL_STATE_STOPPED, now)
        self._changed(now, trial)
        return trial

    def delete(self, number: int, now: datetime) -> None:
        """Raises FailedPrecondition where it is running."""
        trial = self.trial(number)
        if trial.state == trial_pb2.TRIAL_STATE_RUNNING:
            raise FailedPrecondition(f"{trial.name} can't be deleted: it is RUNNING; stop it first")
        del self.trials[number]
        self.deleted[number] = self._changed(now)

    def expire(self, now: datetime) -> None:
        """Takes trials from workers that have gone silent."""
        for trial in list(self.trials.values()):
            running = trial.state == trial_pb2.TRIAL_STATE_RUNNING
            if running and trial.lease.expire_time.ToDatetime(tzinfo=now.tzinfo) < now:
                gone = trial_pb2.Failure(
                    reason=trial_pb2.FAILURE_REASON_PREEMPTED,
                    message=f"worker {trial.lease.worker_id!r} gave no sign of life",
                )
                end_attempt(trial, trial.attempt, trial_pb2.ATTEMPT_OUTCOME_EXPIRED, now, gone)
                self._fail(trial, gone, self._attempts, now)

    def _require_room(self, ended: bool) -> None:
        if not ended and self.message.state == study_pb2.STUDY_STATE_COMPLETED:
            raise FailedPrecondition(f"{self.message.name} is completed: nobody would run the trial", "WRONG_STATE")
        if self._is_full:
            limit = self.message.spec.execution.max_trials
            raise LimitExceeded(f"{self.message.name} has all of its {limit} trials; raise max_trials")

    @property
    def _is_full(self) -> bool:
        execution = self.message.spec.execution
        return execution.HasField("max_trials") and len(self.trials) >= execution.max_trials

    @property
    def _has_open(self) -> bool:
        return any(trial.state in OPEN for trial in self.trials.values())

    @property
    def _attempts(self) -> int:
        execution = self.message.spec.execution
        return execution.max_attempts if execution.HasField("max_attempts") else DEFAULT_ATTEMPTS

    @property
    def _lease(self) -> timedelta:
        execution = self.message.spec.execution
        given = execution.HasField("lease_duration")
        return execution.lease_duration.ToTimedelta() if given else timedelta(seconds=DEFAULT_LEASE)

    def _add(self, trial: trial_pb2.Trial, now: datetime) -> trial_pb2.Trial:
        self._made += 1
        trial.name = f"{self.message.name}/trials/{self._made}"
        trial.state = trial_pb2.TRIAL_STATE_QUEUED
        trial.create_time.FromDatetime(now)
        self.trials[self._made] = trial
        self._changed(now, trial)
        return trial

    def _start(self, trial: trial_pb2.Trial, worker_id: str, now: datetime) -> None:
        trial.state = trial_pb2.TRIAL_STATE_RUNNING
        begin_attempt(trial, worker_id, now)
        trial.start_time.FromDatetime(now)
        trial.lease.worker_id = worker_id
        tokens = self._tokens.setdefault(trial_number(trial.name), [])
        tokens.append(f"fake-lease-{trial_number(trial.name)}-{trial.attempt}")
        self._renew(trial, now)
        self._changed(now, trial)

    def _renew(self, trial: trial_pb2.Trial, now: datetime) -> None:
        trial.lease.expire_time.FromDatetime(now + self._lease)

    def _fail(self, trial: trial_pb2.Trial, failure: trial_pb2.Failure, max_attempts: int, now: datetime) -> None:
        state = after_failure(trial, failure, max_attempts)
        if state != trial_pb2.TRIAL_STATE_QUEUED:
            self._end(trial, state, now)
            return
        trial.state = state
        trial.ClearField("lease")
        self._changed(now, trial)

    def _end(self, trial: trial_pb2.Trial, state: trial_pb2.TrialState, now: datetime) -> None:
        trial.state = state
        trial.ClearField("lease")
        trial.end_time.FromDatetime(now)
        self._close()
        self._changed(now, trial)

    def _close(self) -> None:
        if self._is_full and not self._has_open:
            self.message.state = study_pb2.STUDY_STATE_COMPLETED

    def _changed(self, now: datetime, trial: trial_pb2.Trial | None = None) -> int:
        self.message.revision += 1
        self.message.update_time.FromDatetime(now)
        if trial is not None:
            trial.revision = self.message.revision
        return self.message.revision

    def _is_held(self, trial: trial_pb2.Trial, token: str) -> bool:
        """Whether it runs under this token. Raises FailedPrecondition where the token was never given out for it."""
        tokens = self._tokens.get(trial_number(trial.name), [])
        if token not in tokens:
            raise FailedPrecondition(f"lease_token was never given out for {trial.name}", "WRONG_LEASE")
        return trial.state == trial_pb2.TRIAL_STATE_RUNNING and token == tokens[-1]
