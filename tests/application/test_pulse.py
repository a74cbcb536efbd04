"""Leases and time in which no server was alive, or the clock jumped."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.outages import extend_leases_after_outage
from bo_service.application.ports import Beat
from bo_service.domain.trial import TrialState

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)

LEASE = timedelta(seconds=30)
STUDIES = ("s", "t")


@pytest.fixture
def held(app, make_study):
    """Running trials of two studies, one with twice as long a lease."""
    make_study("s", lease_duration=LEASE)
    make_study("t", lease_duration=2 * LEASE)
    trials = [
        suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest(s, 1, "w", 30.0), None).trials[0]
        for s in STUDIES
    ]
    extend_leases_after_outage(app)
    return trials


def live(app, clock, seconds: int) -> int:
    """The servers' life for so long; how many leases were moved."""
    moved = 0
    for _ in range(seconds):
        clock.turn(1)
        moved += extend_leases_after_outage(app)
        trial_lifecycle.expire_leases(app)
    return moved


def heartbeat(app, trial):
    return trial_lifecycle.report_measurements(app, trial.study_id, trial.number, trial.lease.token, ())


def states(app):
    return [trials.get_trial(app, study_id, 1, full=False).trial.state for study_id in STUDIES]


def remaining(app, clock):
    leases = [trials.get_trial(app, study_id, 1, full=False).trial.lease for study_id in STUDIES]
    return [(lease.expire_time - clock.now()).total_seconds() for lease in leases]


def test_while_a_server_lives_leases_run_out(app, clock, held) -> None:
    live(app, clock, 20)
    heartbeat(app, held[0])
    live(app, clock, 29)
    assert states(app) == [TrialState.RUNNING] * 2
    live(app, clock, 3)
    assert states(app) == [TrialState.QUEUED, TrialState.RUNNING]
    live(app, clock, 11)
    assert states(app) == [TrialState.QUEUED] * 2


def test_an_hour_without_a_server_is_given_back_and_no_more(app, clock, held) -> None:
    live(app, clock, 20)
    clock.turn(3600)
    assert trial_lifecycle.expire_leases(app) == 0  # whichever of the two comes first
    assert extend_leases_after_outage(app) == 2
    assert trial_lifecycle.expire_leases(app) == 0
    assert [heartbeat(app, t).lease_valid for t in held] == [True, True]
    assert remaining(app, clock) == [30, 60]


def test_a_server_that_stalls_right_after_its_first_trial_takes_it_from_nobody(app, clock, make_study) -> None:
    extend_leases_after_outage(app)  # as at its start, when there is nothing yet
    make_study("s", lease_duration=LEASE)
    (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None).trials
    clock.turn(3600)
    assert trial_lifecycle.expire_leases(app) == 0
    assert extend_leases_after_outage(app) == 1
    assert trial_lifecycle.expire_leases(app) == 0
    assert heartbeat(app, trial).lease_valid


def test_a_worker_that_died_before_the_outage_has_what_was_left(app, clock, held) -> None:
    live(app, clock, 20)
    clock.turn(3600)
    extend_leases_after_outage(app)
    assert remaining(app, clock) == [10, 40]
    live(app, clock, 11)
    assert states(app) == [TrialState.QUEUED, TrialState.RUNNING]


def test_an_outage_gives_no_more_than_a_full_lease(app, clock, held) -> None:
    live(app, clock, 2)
    heartbeat(app, held[0])
    clock.turn(20)
    heartbeat(app, held[1])  # a server lived after all, though its pulse was not kept
    extend_leases_after_outage(app)
    assert remaining(app, clock) == [30, 60]


def test_servers_that_are_started_again_and_again_keep_no_dead_worker_alive(app, clock, held) -> None:
    moved = 0
    for _ in range(70):
        clock.turn(1)
        moved += extend_leases_after_outage(app)  # one that goes on
        moved += extend_leases_after_outage(app)  # one that starts
        trial_lifecycle.expire_leases(app)
    assert moved == 0
    assert states(app) == [TrialState.QUEUED] * 2


def test_nothing_is_written_while_no_trial_runs(app, clock, make_study) -> None:
    make_study()
    extend_leases_after_outage(app)  # as at the first server's start
    began = clock.now()
    live(app, clock, 3)
    with app.store.read() as records:
        assert records.last_beat(Beat.SERVER) == began
    clock.turn(86_400)
    (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None).trials
    live(app, clock, 62)
    assert trials.get_trial(app, "s", trial.number, full=False).trial.state is TrialState.QUEUED


def test_a_clock_that_jumps_ahead_ends_no_lease(app, clock, held) -> None:
    live(app, clock, 5)
    clock.turn(86_400)
    live(app, clock, 20)
    assert states(app) == [TrialState.RUNNING] * 2
    live(app, clock, 7)
    assert states(app) == [TrialState.QUEUED, TrialState.RUNNING]


def test_a_clock_that_is_set_back_keeps_no_dead_worker_alive(app, clock, held) -> None:
    live(app, clock, 5)
    clock.turn(-86_400)
    live(app, clock, 1)
    assert remaining(app, clock) == [30, 60]
    live(app, clock, 62)
    assert states(app) == [TrialState.QUEUED] * 2


def test_a_clock_that_was_set_back_while_nothing_ran_ends_no_lease(app, make_study, clock) -> None:
    make_study("s", lease_duration=LEASE)
    extend_leases_after_outage(app)
    clock.turn(-3600)
    suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None)
    assert trial_lifecycle.expire_leases(app) == 0  # before the next pulse, and after it
    extend_leases_after_outage(app)
    assert trial_lifecycle.expire_leases(app) == 0
    assert trials.get_trial(app, "s", 1, full=False).trial.state is TrialState.RUNNING


@pytest.mark.parametrize("beats_first", [False, True])
def test_a_clock_that_was_ahead_when_the_first_trial_began_gives_no_longer_lease(
    app, make_study, clock, beats_first
) -> None:
    make_study("s", lease_duration=LEASE)
    extend_leases_after_outage(app)
    clock.turn(3600)  # nothing runs, and nobody notices
    (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 30.0), None).trials
    clock.turn(-3596)
    if beats_first:
        extend_leases_after_outage(app)
    assert heartbeat(app, trial).lease_remaining == LEASE
    live(app, clock, 33)
    assert trials.get_trial(app, "s", 1, full=False).trial.state is TrialState.QUEUED


def test_leases_that_were_given_for_longer_keep_their_ends(app, clock, held) -> None:
    def shorter(spec):
        return replace(spec, execution=replace(spec.execution, lease_duration=timedelta(seconds=10)))

    studies.update_study(app, "t", studies.StudyUpdate(revise=shorter), None)
    assert heartbeat(app, held[1]).lease_remaining == 2 * LEASE
    clock.turn(20)  # an outage
    extend_leases_after_outage(app)
    assert remaining(app, clock)[1] == 60.0
    live(app, clock, 55)
    assert heartbeat(app, held[1]).lease_remaining == timedelta(seconds=10)
