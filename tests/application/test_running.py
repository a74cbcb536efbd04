"""Reports, results, and leases that run out."""

import math
from datetime import timedelta

import pytest

from bo_service.application import best_trials, suggest_trials, trial_lifecycle, trials
from bo_service.application.ports import RequestKey
from bo_service.domain.errors import InvalidArgument, LimitExceeded, UnknownLease, WrongState
from bo_service.domain.trial import Failure, FailureReason, Measurement, TrialState

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)

LEASE = timedelta(seconds=30)


@pytest.fixture
def trial(app, make_study):
    make_study(lease_duration=LEASE, max_attempts=2)
    return take(app)


def take(app, worker="first"):
    return suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, worker, 30.0), None).trials[0]


def report(app, trial, *measurements, uri=""):
    return trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, measurements, uri)


def complete(app, trial, outcome, key=None):
    return trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, outcome, key)


def test_a_report_renews_the_lease_and_draws_the_curve(app, clock, trial) -> None:
    clock.turn(20)
    told = report(app, trial, Measurement({"loss": 0.5}, 1), Measurement({"loss": math.inf}, 2), uri="gs://a")
    assert (told.lease_valid, told.should_stop, told.lease_remaining) == (True, False, LEASE)
    report(app, trial, Measurement({"loss": 0.4}, 1))
    seen = trials.get_trial(app, "s", trial.number, full=True)
    assert [(m.step, m.metrics["loss"]) for m in seen.measurements] == [(1, 0.4), (2, math.inf)]
    assert seen.trial.latest_measurement.step == 2
    assert seen.trial.checkpoint_uri == "gs://a"
    clock.turn(20)
    assert trial_lifecycle.expire_leases(app) == 0


def test_a_silent_worker_loses_its_trial_to_another_attempt(app, clock, trial) -> None:
    report(app, trial, Measurement({"loss": 0.5}, 1), uri="gs://checkpoint")
    clock.turn(31)
    assert trial_lifecycle.expire_leases(app) == 1
    second = take(app, "second")
    assert (second.number, second.attempt, second.parameters) == (trial.number, 2, trial.parameters)
    assert second.checkpoint_uri == "gs://checkpoint"
    assert second.failure.reason is FailureReason.PREEMPTED
    told = report(app, trial, Measurement({"loss": 9.0}, 7))
    assert (told.lease_valid, told.should_stop) == (False, True)
    assert "second" in told.stop_reason
    assert trials.get_trial(app, "s", trial.number, full=True).trial.latest_measurement.step == 1
    clock.turn(31)
    trial_lifecycle.expire_leases(app)
    assert trials.get_trial(app, "s", trial.number, full=False).trial.state is TrialState.FAILED


def test_a_late_result_counts_and_the_newer_worker_is_told(app, clock, trial) -> None:
    clock.turn(31)
    trial_lifecycle.expire_leases(app)
    second = take(app, "second")
    assert complete(app, trial, Measurement({"loss": 0.3})).state is TrialState.SUCCEEDED
    told = report(app, second)
    assert (told.lease_valid, told.should_stop) == (False, True)
    with pytest.raises(WrongState, match="SUCCEEDED"):
        complete(app, second, Measurement({"loss": 0.2}))
    assert best_trials.best_trials(app, "s", 1)[0].final_measurement.metrics == {"loss": 0.3}


def test_a_late_crash_costs_no_attempt(app, clock, trial) -> None:
    clock.turn(31)
    trial_lifecycle.expire_leases(app)
    second = take(app, "second")
    assert complete(app, trial, Failure(FailureReason.CRASHED)).state is TrialState.RUNNING
    assert report(app, second).lease_valid


def test_crashes_are_tried_again_and_bad_parameters_are_not(app, trial) -> None:
    assert complete(app, trial, Failure(FailureReason.CRASHED, "boom")).state is TrialState.QUEUED
    second = take(app)
    assert (second.number, second.failure.message) == (trial.number, "boom")
    assert complete(app, second, Failure(FailureReason.OUT_OF_MEMORY)).state is TrialState.INFEASIBLE


def test_a_token_of_another_trial_is_refused(app, trial) -> None:
    other = take(app)
    with pytest.raises(UnknownLease, match=trial.name):
        trial_lifecycle.report_measurements(app, "s", trial.number, other.lease.token, ())
    with pytest.raises(UnknownLease):
        trial_lifecycle.complete_trial(app, "s", trial.number, "invented", Measurement({"loss": 1.0}), None)


@pytest.mark.parametrize(
    ("metrics", "hint"),
    [({"loss": math.nan}, "DIVERGED"), ({"loss": -math.inf}, "DIVERGED"), ({"acc": 1.0}, "missing")],
)
def test_a_result_that_is_none_is_refused_and_the_trial_goes_on(app, trial, metrics, hint) -> None:
    with pytest.raises(InvalidArgument, match=hint) as refusal:
        complete(app, trial, Measurement(metrics))
    assert refusal.value.violations[0].field == 'final_measurement.metrics["loss"]'
    assert report(app, trial).lease_valid


def test_the_same_completion_twice_is_one(app, trial) -> None:
    key = RequestKey("done", "CompleteTrial", "d")
    first = complete(app, trial, Measurement({"loss": 0.5}), key)
    assert complete(app, trial, Measurement({"loss": 0.5}), key) == first
    with pytest.raises(WrongState):
        complete(app, trial, Measurement({"loss": 0.5}))


def test_the_final_step_is_the_curves_last(app, trial) -> None:
    report(app, trial, Measurement({"loss": 0.6}, 4))
    assert complete(app, trial, Measurement({"loss": 0.5})).final_measurement.step == 4


def test_a_stop_is_told_at_the_next_report_and_keeps_the_value(app, trial) -> None:
    trials.stop_trial(app, "s", trial.number, "enough", None)
    told = report(app, trial)
    assert (told.should_stop, told.stop_reason, told.lease_valid) == (True, "enough", True)
    assert complete(app, trial, Measurement({"loss": 0.5})).state is TrialState.STOPPED
    assert best_trials.best_trials(app, "s", 1)[0].number == trial.number


def test_a_trial_takes_ten_thousand_measurements(app, trial) -> None:
    for i in range(10):
        report(app, trial, *(Measurement({"loss": 1.0}, 1000 * i + k) for k in range(1000)))
    with pytest.raises(LimitExceeded, match="10000"):
        report(app, trial, Measurement({"loss": 1.0}, 10_000))


def test_old_answers_are_forgotten(app, clock, trial) -> None:
    key = RequestKey("done", "CompleteTrial", "d")
    complete(app, trial, Measurement({"loss": 0.5}), key)
    clock.turn(8 * 86400)
    trial_lifecycle.forget_old_answers(app)
    with pytest.raises(WrongState):
        complete(app, trial, Measurement({"loss": 0.5}), key)
