"""Reports, results, and leases that run out."""

import math
from datetime import timedelta

import pytest

from bo_service.application import ranking, running, suggesting, trials
from bo_service.application.ports import RequestKey
from bo_service.core.errors import InvalidArgument, LimitExceeded, WrongLease, WrongState
from bo_service.core.trial import Failure, FailureReason, Measurement, TrialState

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)

LEASE = timedelta(seconds=30)


@pytest.fixture
def trial(services, make_study):
    make_study(lease_duration=LEASE, max_attempts=2)
    return take(services)


def take(services, worker="first"):
    return suggesting.suggest_trials(services, suggesting.Ask("s", 1, worker, 30.0), None).trials[0]


def report(services, trial, *measurements, uri=""):
    return running.report_measurements(services, "s", trial.number, trial.lease.token, measurements, uri)


def complete(services, trial, outcome, key=None):
    return running.complete_trial(services, "s", trial.number, trial.lease.token, outcome, key)


def test_a_report_renews_the_lease_and_draws_the_curve(services, clock, trial) -> None:
    clock.turn(20)
    told = report(services, trial, Measurement({"loss": 0.5}, 1), Measurement({"loss": math.inf}, 2), uri="gs://a")
    assert (told.lease_valid, told.should_stop, told.lease_remaining) == (True, False, LEASE)
    report(services, trial, Measurement({"loss": 0.4}, 1))
    seen = trials.get_trial(services, "s", trial.number, full=True)
    assert [(m.step, m.metrics["loss"]) for m in seen.measurements] == [(1, 0.4), (2, math.inf)]
    assert seen.trial.latest_measurement.step == 2
    assert seen.trial.checkpoint_uri == "gs://a"
    clock.turn(20)
    assert running.expire_leases(services) == 0


def test_a_silent_worker_loses_its_trial_to_another_attempt(services, clock, trial) -> None:
    report(services, trial, Measurement({"loss": 0.5}, 1), uri="gs://checkpoint")
    clock.turn(31)
    assert running.expire_leases(services) == 1
    second = take(services, "second")
    assert (second.number, second.attempt, second.parameters) == (trial.number, 2, trial.parameters)
    assert second.checkpoint_uri == "gs://checkpoint"
    assert second.failure.reason is FailureReason.PREEMPTED
    told = report(services, trial, Measurement({"loss": 9.0}, 7))
    assert (told.lease_valid, told.should_stop) == (False, True)
    assert "second" in told.stop_reason
    assert trials.get_trial(services, "s", trial.number, full=True).trial.latest_measurement.step == 1
    clock.turn(31)
    running.expire_leases(services)
    assert trials.get_trial(services, "s", trial.number, full=False).trial.state is TrialState.FAILED


def test_a_late_result_counts_and_the_newer_worker_is_told(services, clock, trial) -> None:
    clock.turn(31)
    running.expire_leases(services)
    second = take(services, "second")
    assert complete(services, trial, Measurement({"loss": 0.3})).state is TrialState.SUCCEEDED
    told = report(services, second)
    assert (told.lease_valid, told.should_stop) == (False, True)
    with pytest.raises(WrongState, match="SUCCEEDED"):
        complete(services, second, Measurement({"loss": 0.2}))
    assert ranking.best_trials(services, "s", 1)[0].final_measurement.metrics == {"loss": 0.3}


def test_a_late_crash_costs_no_attempt(services, clock, trial) -> None:
    clock.turn(31)
    running.expire_leases(services)
    second = take(services, "second")
    assert complete(services, trial, Failure(FailureReason.CRASHED)).state is TrialState.RUNNING
    assert report(services, second).lease_valid


def test_crashes_are_tried_again_and_bad_parameters_are_not(services, trial) -> None:
    assert complete(services, trial, Failure(FailureReason.CRASHED, "boom")).state is TrialState.QUEUED
    second = take(services)
    assert (second.number, second.failure.message) == (trial.number, "boom")
    assert complete(services, second, Failure(FailureReason.OUT_OF_MEMORY)).state is TrialState.INFEASIBLE


def test_a_token_of_another_trial_is_refused(services, trial) -> None:
    other = take(services)
    with pytest.raises(WrongLease, match=trial.name):
        running.report_measurements(services, "s", trial.number, other.lease.token, ())
    with pytest.raises(WrongLease):
        running.complete_trial(services, "s", trial.number, "invented", Measurement({"loss": 1.0}), None)


@pytest.mark.parametrize(
    ("metrics", "hint"),
    [({"loss": math.nan}, "DIVERGED"), ({"loss": -math.inf}, "DIVERGED"), ({"acc": 1.0}, "missing")],
)
def test_a_result_that_is_none_is_refused_and_the_trial_goes_on(services, trial, metrics, hint) -> None:
    with pytest.raises(InvalidArgument, match=hint) as refusal:
        complete(services, trial, Measurement(metrics))
    assert refusal.value.violations[0].field == 'final_measurement.metrics["loss"]'
    assert report(services, trial).lease_valid


def test_the_same_completion_twice_is_one(services, trial) -> None:
    key = RequestKey("done", "CompleteTrial", "d")
    first = complete(services, trial, Measurement({"loss": 0.5}), key)
    assert complete(services, trial, Measurement({"loss": 0.5}), key) == first
    with pytest.raises(WrongState):
        complete(services, trial, Measurement({"loss": 0.5}))


def test_the_final_step_is_the_curves_last(services, trial) -> None:
    report(services, trial, Measurement({"loss": 0.6}, 4))
    assert complete(services, trial, Measurement({"loss": 0.5})).final_measurement.step == 4


def test_a_stop_is_told_at_the_next_report_and_keeps_the_value(services, trial) -> None:
    trials.stop_trial(services, "s", trial.number, "enough", None)
    told = report(services, trial)
    assert (told.should_stop, told.stop_reason, told.lease_valid) == (True, "enough", True)
    assert complete(services, trial, Measurement({"loss": 0.5})).state is TrialState.STOPPED
    assert ranking.best_trials(services, "s", 1)[0].number == trial.number


def test_a_trial_takes_ten_thousand_measurements(services, trial) -> None:
    for i in range(10):
        report(services, trial, *(Measurement({"loss": 1.0}, 1000 * i + k) for k in range(1000)))
    with pytest.raises(LimitExceeded, match="10000"):
        report(services, trial, Measurement({"loss": 1.0}, 10_000))


def test_old_answers_are_forgotten(services, clock, trial) -> None:
    key = RequestKey("done", "CompleteTrial", "d")
    complete(services, trial, Measurement({"loss": 0.5}), key)
    clock.turn(8 * 86400)
    running.forget_old_answers(services)
    with pytest.raises(WrongState):
        complete(services, trial, Measurement({"loss": 0.5}), key)
