"""A trial's life: whatever happens in whatever order, the rules hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bo_service.domain.errors import InvalidArgument, WrongState
from bo_service.domain.study import Goal, Metric, MetricRole
from bo_service.domain.trial import (
    Failure,
    FailureReason,
    Lease,
    Measurement,
    Origin,
    Pause,
    StopRequest,
    Trial,
    TrialState,
    check_final,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MAX_ATTEMPTS = 3
OPEN = (TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED)
LAST_STEP = 27
MACHINES = [r for r in FailureReason if not r.blames_parameters]
PARAMETERS = [r for r in FailureReason if r.blames_parameters]


class Life(RuleBasedStateMachine):
    """Tries every verb in every state, and keeps beside the trial what must be true of it."""

    def __init__(self) -> None:
        super().__init__()
        self.trial = Trial("s", 1, {"x": 1.0}, BEGIN, Origin.SURROGATE)
        self.now = BEGIN
        self.is_stopped = False
        self.tokens: list[str] = []
        self.is_asked_to_pause = False
        self.pauses = 0

    def is_open(self) -> bool:
        return self.trial.state in OPEN

    def is_in(self, state: TrialState) -> bool:
        return self.trial.state is state

    @rule(seconds=st.integers(0, 100))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.is_in(TrialState.QUEUED) or self.is_in(TrialState.PAUSED))
    @rule()
    def start(self) -> None:
        before = self.trial
        self.is_asked_to_pause = False
        self.tokens.append(f"token {len(self.tokens)}")
        self.trial = before.start(
            Lease(self.tokens[-1], "w", self.now + timedelta(seconds=60), timedelta(seconds=60)), self.now, 3
        )
        assert (self.trial.until_step, self.trial.checkpoint_uri) == (3, before.checkpoint_uri)
        assert (self.trial.attempt, self.trial.start_time) == (before.attempt + 1, self.now)
        assert self.trial.is_held_by(self.tokens[-1])
        assert not any(self.trial.is_held_by(token) for token in self.tokens[:-1])

    @precondition(lambda self: self.is_in(TrialState.RUNNING))
    @rule(step=st.integers(0, 20))
    def report(self, step: int) -> None:
        last = self.trial.latest_measurement
        self.trial = self.trial.report([Measurement({"loss": 1.0}, step)], "gs://a")
        assert self.trial.latest_measurement.step == max(step, last.step if last else 0)
        assert self.trial.checkpoint_uri == "gs://a"

    @precondition(lambda self: self.is_in(TrialState.RUNNING))
    @rule(passed=st.integers(0, 100), seconds=st.integers(1, 100))
    def renew(self, passed: int, seconds: int) -> None:
        before, self.now = self.trial.lease.expire_time, self.now + timedelta(seconds=passed)
        self.trial = self.trial.renew(self.now, timedelta(seconds=seconds))
        assert self.trial.lease.expire_time >= before  # a lease never shrinks
        assert self.trial.lease.expire_time >= self.now + timedelta(seconds=seconds)

    @precondition(lambda self: self.is_in(TrialState.RUNNING) and not self.is_asked_to_pause)
    @rule()
    def is_asked_to_come_back_later(self) -> None:
        with pytest.raises(WrongState, match="asked"):
            self.trial.wait(self.now, "gs://a")
        self.trial = self.trial.request_pause(
            Pause("third of three", self.now, 3, self.trial.attempt, expected_step=LAST_STEP)
        )
        self.is_asked_to_pause = True
        assert self.trial.is_pause_requested

    @precondition(lambda self: self.is_in(TrialState.RUNNING) and self.is_asked_to_pause)
    @rule()
    def pause(self) -> None:
        expected = TrialState.STOPPED if self.trial.stop_request else TrialState.PAUSED
        self.trial = self.trial.wait(self.now, "gs://b")
        assert (self.trial.state, self.trial.checkpoint_uri) == (expected, "gs://b")
        self.pauses += 1

    @precondition(lambda self: self.is_in(TrialState.PAUSED))
    @rule()
    def nothing_that_happens_to_machines_matters_to_a_paused_trial(self) -> None:
        before = self.trial
        assert before.fail(Failure(FailureReason.CRASHED), 1, self.now) == before
        with pytest.raises(WrongState, match="PAUSED"):
            before.expire(1, self.now)
        assert before.wait(self.now) == before

    @precondition(is_open)
    @rule(step=st.sampled_from([3, LAST_STEP]))
    def complete(self, step: int) -> None:
        is_pausing = self.is_in(TrialState.PAUSED) or (self.is_in(TrialState.RUNNING) and self.is_asked_to_pause)
        self.trial = self.trial.complete(Measurement({"loss": 0.5}, step), self.now)
        is_short = is_pausing and step < LAST_STEP
        assert self.trial.state is (TrialState.STOPPED if self.is_stopped or is_short else TrialState.SUCCEEDED)
        assert self.trial.final_measurement == self.trial.latest_measurement

    @precondition(is_open)
    @rule(reason=st.sampled_from(PARAMETERS))
    def fail_by_parameters(self, reason: FailureReason) -> None:
        self.trial = self.trial.fail(Failure(reason), MAX_ATTEMPTS, self.now)
        assert self.trial.state is TrialState.INFEASIBLE

    @precondition(lambda self: self.is_open() and not self.is_in(TrialState.PAUSED))
    @rule(reason=st.sampled_from(MACHINES))
    def fail_by_machine(self, reason: FailureReason) -> None:
        attempts = self.trial.attempt - self.pauses
        open_state = TrialState.PAUSED if self.trial.is_pause_requested else TrialState.QUEUED
        self.trial = self.trial.fail(Failure(reason), MAX_ATTEMPTS, self.now)
        if self.is_stopped:
            assert self.trial.state is TrialState.STOPPED
        else:
            assert self.trial.state is (TrialState.FAILED if attempts >= MAX_ATTEMPTS else open_state)
        assert self.trial.failure == Failure(reason)

    @precondition(lambda self: self.is_in(TrialState.RUNNING))
    @rule()
    def expire(self) -> None:
        attempts = self.trial.attempt - self.pauses
        self.trial = self.trial.expire(MAX_ATTEMPTS, self.now)
        assert self.trial.failure.reason is FailureReason.PREEMPTED
        assert self.trial.state.is_ended or attempts < MAX_ATTEMPTS

    @precondition(is_open)
    @rule()
    def stop(self) -> None:
        was = self.trial.state
        self.trial = self.trial.stop(StopRequest("enough", self.now))
        self.is_stopped = True
        assert self.trial.state is (TrialState.RUNNING if was is TrialState.RUNNING else TrialState.STOPPED)

    @precondition(lambda self: not self.is_in(TrialState.RUNNING))
    @rule()
    def only_running_trials_report(self) -> None:
        for call in (lambda: self.trial.report([]), lambda: self.trial.renew(self.now, timedelta(seconds=60))):
            with pytest.raises(WrongState, match="studies/s/trials/1"):
                call()

    @precondition(lambda self: not (self.is_in(TrialState.QUEUED) or self.is_in(TrialState.PAUSED)))
    @rule()
    def only_waiting_trials_start(self) -> None:
        with pytest.raises(WrongState, match=self.trial.state.name):
            self.trial.start(Lease("t", "w", self.now), self.now)

    @precondition(lambda self: not self.is_open())
    @rule()
    def nothing_happens_to_an_ended_trial(self) -> None:
        for call in (
            lambda: self.trial.complete(Measurement({"loss": 1.0}), self.now),
            lambda: self.trial.fail(Failure(FailureReason.DIVERGED), 9, self.now),
            lambda: self.trial.stop(StopRequest("", self.now)),
            lambda: self.trial.expire(9, self.now),
        ):
            with pytest.raises(WrongState, match=self.trial.state.name):
                call()

    @invariant()
    def leases_belong_to_running_trials(self) -> None:
        assert (self.trial.lease is not None) == self.is_in(TrialState.RUNNING)

    @invariant()
    def ends_have_a_time(self) -> None:
        assert (self.trial.end_time is not None) == (not self.is_open())

    @invariant()
    def attempts_are_bounded(self) -> None:
        assert 0 <= self.trial.attempt - self.pauses <= MAX_ATTEMPTS

    @invariant()
    def success_has_a_result(self) -> None:
        assert not self.is_in(TrialState.SUCCEEDED) or self.trial.final_measurement is not None

    @invariant()
    def what_it_is_never_changes(self) -> None:
        assert (self.trial.name, self.trial.parameters, self.trial.create_time) == (
            "studies/s/trials/1",
            {"x": 1.0},
            BEGIN,
        )


TestLife = Life.TestCase

METRICS = (
    Metric("loss", Goal.MINIMIZE),
    Metric("memory", Goal.MINIMIZE, MetricRole.CONSTRAINT, 3.0),
    Metric("time", None, MetricRole.INFORMATION),
)


def test_a_result_needs_every_metric_that_counts_and_all_faults_are_told() -> None:
    check_final(Measurement({"loss": 1.0, "memory": 2.0}), METRICS)
    with pytest.raises(InvalidArgument) as refusal:
        check_final(Measurement({"loss": float("nan"), "time": float("inf")}), METRICS)
    told = {v.field: v.description for v in refusal.value.violations}
    assert set(told) == {'final_measurement.metrics["loss"]', 'final_measurement.metrics["memory"]'}
    assert "DIVERGED" in told['final_measurement.metrics["loss"]']


def test_an_earlier_report_is_not_the_latest() -> None:
    running = replace(Trial("s", 1, {}, BEGIN, Origin.USER), state=TrialState.RUNNING, lease=Lease("t", "w", BEGIN))
    reported = running.report([Measurement({"loss": 2.0}, 5), Measurement({"loss": 1.0}, 3)])
    assert reported.latest_measurement == Measurement({"loss": 2.0}, 5)
