"""What an attempt spends: the steps that it trained and its time, whoever reports them and however it ends."""

from datetime import UTC, datetime, timedelta

import pytest

from bo_service.domain.budget import Limit, Spent
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.fidelity import FidelitySettings
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import ExecutionSettings, Goal, Metric, StudySpec
from bo_service.domain.trial import Failure, FailureReason, Lease, Measurement, Origin, Pause, Trial

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
CRASH = Failure(FailureReason.CRASHED, "boom")


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def spent(steps, seconds):
    return Spent(steps, timedelta(seconds=seconds))


def lease(seconds=0.0, worker="w"):
    return Lease("t", worker, after(seconds + 60), timedelta(seconds=60))


def begun(until=None):
    return Trial("s", 1, {"x": 0.5}, NOON, Origin.USER).start(lease(), NOON, until)


def measured(step, at, elapsed=None):
    return Measurement({"y": 1.0}, step, None if elapsed is None else timedelta(seconds=elapsed), after(at))


def test_reported_steps_and_seconds_count() -> None:
    trial = begun().report([measured(1, 11, 10.0)]).report([measured(2, 23, 20.0), measured(3, 35, 30.0)])
    assert trial.spent == spent(3, 30)
    assert trial.complete(measured(3, 36, 30.5), after(36)).spent == spent(3, 30.5)


def test_without_reported_seconds_the_server_measures_to_the_last_sign_of_life() -> None:
    trial = begun().report([measured(1, 10)])
    assert trial.spent == spent(1, 10)
    assert trial.fail(CRASH, 2, after(25)).spent == spent(1, 25)
    renewed = trial.renew(after(40), timedelta(seconds=60))
    assert renewed.spent == spent(1, 10)  # a heartbeat alone counts nothing yet
    assert renewed.expire(2, after(101)).spent == spent(1, 40)  # it ran until its last heartbeat at least


def test_time_after_the_last_reported_elapsed_is_measured() -> None:
    trial = begun().report([measured(1, 10, 8.0)])
    assert trial.fail(CRASH, 2, after(15)).spent == spent(1, 13)


def test_steps_that_are_trained_again_count_again() -> None:
    trial = begun().report([measured(1, 1), measured(2, 2)], "at:2").report([measured(3, 3), measured(4, 4)])
    again = trial.fail(CRASH, 3, after(4)).start(lease(5), after(5))
    assert again.report([measured(3, 6)]).spent.steps == 4 + 1  # from the checkpoint at step 2
    assert again.report([measured(4, 7)]).spent.steps == 4 + 2  # it reports every second step
    assert again.report([measured(1, 6)]).spent.steps == 4 + 1  # its checkpoint was lost: from the beginning


def test_a_resumed_attempt_counts_from_its_checkpoint() -> None:
    trial = begun(1).report([measured(1, 10, 10.0)], "at:1").request_pause(Pause("", after(10), 1, 1, None, 9))
    again = trial.wait(after(12)).start(lease(100), after(100), 3)
    assert again.spent == spent(1, 12)
    cumulative = again.report([measured(3, 120, 30.0)])  # of the trial so far
    assert cumulative.spent == spent(3, 12 + 20)
    alone = again.report([measured(2, 110, 9.0)]).report([measured(3, 120, 19.0)])  # of this attempt
    assert alone.spent == spent(3, 12 + 19)
    assert again.report([measured(1, 101)]).spent.steps == 1  # the checkpoint's own step, reported again


def test_a_late_result_counts_for_its_own_attempt() -> None:
    trial = begun().report([measured(1, 10)])
    second = trial.expire(3, after(61)).start(lease(70, "v"), after(70)).report([measured(1, 80)])
    done = second.complete(measured(9, 90), after(90), attempt=1)
    assert [Spent(a.steps, a.time) for a in done.attempts] == [spent(9, 90), spent(1, 20)]


def test_what_is_spent_never_shrinks() -> None:
    trial = begun().report([measured(2, 10)])
    assert trial.report([measured(3, 5, 1.0)]).spent == spent(3, 10)  # a clock that was set back, and less elapsed


def test_limits_of_a_study() -> None:
    limits = ExecutionSettings(max_trials=2, max_steps=9, max_seconds=1.5)
    assert limits.reached_limit(1, spent(8, 1.4)) is None
    assert limits.reached_limit(2, spent(8, 1.4)) is Limit.MAX_TRIALS
    assert limits.reached_limit(1, spent(8, 1.5)) is Limit.MAX_SECONDS
    assert limits.reached_limit(2, spent(9, 1.4)) is Limit.MAX_STEPS
    assert ExecutionSettings().reached_limit(10**6, spent(10**9, 1e9)) is None


@pytest.mark.parametrize(
    ("limits", "fidelity", "message"),
    [
        ({"max_steps": 9}, None, "execution.max_steps: is 9, and the study has no fidelity"),
        ({"max_steps": 9}, FidelitySettings(27), "less than one whole trial, which has 27 steps"),
        ({"max_steps": 0}, FidelitySettings(27), "max_steps: is 0; it must be from 1"),
        ({"max_seconds": 0.0}, None, "max_seconds: is 0; it must be above 0"),
        ({"max_seconds": float("nan")}, None, "max_seconds: is nan; it must be above 0"),
    ],
)
def test_refusals(limits, fidelity, message) -> None:
    space = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
    with pytest.raises(InvalidArgument, match=message):
        StudySpec(space, (Metric("y", Goal.MINIMIZE),), execution=ExecutionSettings(**limits), fidelity=fidelity)
