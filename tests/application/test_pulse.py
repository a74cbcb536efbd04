"""Leases and time in which no server was alive, or the clock jumped."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bo_service.application import running, studies, suggesting, trials
from bo_service.application.pulse import keep_pulse
from bo_service.core.trial import TrialState

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)

LEASE = timedelta(seconds=30)
STUDIES = ("s", "t")


@pytest.fixture
def held(services, make_study):
    """Running trials of two studies, one with twice as long a lease."""
    make_study("s", lease_duration=LEASE)
    make_study("t", lease_duration=2 * LEASE)
    trials = [suggesting.suggest_trials(services, suggesting.Ask(s, 1, "w", 30.0), None).trials[0] for s in STUDIES]
    keep_pulse(services)
    return trials


def live(services, clock, seconds: int) -> int:
    """The servers' life for so long; how many leases were moved."""
    moved = 0
    for _ in range(seconds):
        clock.turn(1)
        moved += keep_pulse(services)
        running.expire_leases(services)
    return moved


def heartbeat(services, trial):
    return running.report_measurements(services, trial.study_id, trial.number, trial.lease.token, ())


def states(services):
    return [trials.get_trial(services, study_id, 1, full=False).trial.state for study_id in STUDIES]


def remaining(services, clock):
    leases = [trials.get_trial(services, study_id, 1, full=False).trial.lease for study_id in STUDIES]
    return [(lease.expire_time - clock.now()).total_seconds() for lease in leases]


def test_while_a_server_lives_leases_run_out(services, clock, held) -> None:
    live(services, clock, 20)
    heartbeat(services, held[0])
    live(services, clock, 29)
    assert states(services) == [TrialState.RUNNING] * 2
    live(services, clock, 3)
    assert states(services) == [TrialState.QUEUED, TrialState.RUNNING]
    live(services, clock, 11)
    assert states(services) == [TrialState.QUEUED] * 2


def test_an_hour_without_a_server_is_given_back_and_no_more(services, clock, held) -> None:
    live(services, clock, 20)
    clock.turn(3600)
    assert running.expire_leases(services) == 0  # whichever of the two comes first
    assert keep_pulse(services) == 2
    assert running.expire_leases(services) == 0
    assert [heartbeat(services, t).lease_valid for t in held] == [True, True]
    assert remaining(services, clock) == [30, 60]


def test_a_server_that_stalls_right_after_its_first_trial_takes_it_from_nobody(services, clock, make_study) -> None:
    keep_pulse(services)  # as at its start, when there is nothing yet
    make_study("s", lease_duration=LEASE)
    (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None).trials
    clock.turn(3600)
    assert running.expire_leases(services) == 0
    assert keep_pulse(services) == 1
    assert running.expire_leases(services) == 0
    assert heartbeat(services, trial).lease_valid


def test_a_worker_that_died_before_the_outage_has_what_was_left(services, clock, held) -> None:
    live(services, clock, 20)
    clock.turn(3600)
    keep_pulse(services)
    assert remaining(services, clock) == [10, 40]
    live(services, clock, 11)
    assert states(services) == [TrialState.QUEUED, TrialState.RUNNING]


def test_an_outage_gives_no_more_than_a_full_lease(services, clock, held) -> None:
    live(services, clock, 2)
    heartbeat(services, held[0])
    clock.turn(20)
    heartbeat(services, held[1])  # a server lived after all, though its pulse was not kept
    keep_pulse(services)
    assert remaining(services, clock) == [30, 60]


def test_servers_that_are_started_again_and_again_keep_no_dead_worker_alive(services, clock, held) -> None:
    moved = 0
    for _ in range(70):
        clock.turn(1)
        moved += keep_pulse(services)  # one that goes on
        moved += keep_pulse(services)  # one that starts
        running.expire_leases(services)
    assert moved == 0
    assert states(services) == [TrialState.QUEUED] * 2


def test_nothing_is_written_while_no_trial_runs(services, clock, make_study) -> None:
    make_study()
    keep_pulse(services)  # as at the first server's start
    began = clock.now()
    live(services, clock, 3)
    with services.store.read() as records:
        assert records.pulse.last() == began
    clock.turn(86_400)
    (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None).trials
    live(services, clock, 62)
    assert trials.get_trial(services, "s", trial.number, full=False).trial.state is TrialState.QUEUED


def test_a_clock_that_jumps_ahead_ends_no_lease(services, clock, held) -> None:
    live(services, clock, 5)
    clock.turn(86_400)
    live(services, clock, 20)
    assert states(services) == [TrialState.RUNNING] * 2
    live(services, clock, 7)
    assert states(services) == [TrialState.QUEUED, TrialState.RUNNING]


def test_a_clock_that_is_set_back_keeps_no_dead_worker_alive(services, clock, held) -> None:
    live(services, clock, 5)
    clock.turn(-86_400)
    live(services, clock, 1)
    assert remaining(services, clock) == [30, 60]
    live(services, clock, 62)
    assert states(services) == [TrialState.QUEUED] * 2


def test_a_clock_that_was_set_back_while_nothing_ran_ends_no_lease(services, make_study, clock) -> None:
    make_study("s", lease_duration=LEASE)
    keep_pulse(services)
    clock.turn(-3600)
    suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None)
    assert running.expire_leases(services) == 0  # before the next pulse, and after it
    keep_pulse(services)
    assert running.expire_leases(services) == 0
    assert trials.get_trial(services, "s", 1, full=False).trial.state is TrialState.RUNNING


@pytest.mark.parametrize("beats_first", [False, True])
def test_a_clock_that_was_ahead_when_the_first_trial_began_gives_no_longer_lease(
    services, make_study, clock, beats_first
) -> None:
    make_study("s", lease_duration=LEASE)
    keep_pulse(services)
    clock.turn(3600)  # nothing runs, and nobody notices
    (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0), None).trials
    clock.turn(-3596)
    if beats_first:
        keep_pulse(services)
    assert heartbeat(services, trial).lease_remaining == LEASE
    live(services, clock, 33)
    assert trials.get_trial(services, "s", 1, full=False).trial.state is TrialState.QUEUED


def test_leases_that_were_given_for_longer_keep_their_ends(services, clock, held) -> None:
    def shorter(spec):
        return replace(spec, execution=replace(spec.execution, lease_duration=timedelta(seconds=10)))

    studies.update_study(services, "t", studies.StudyUpdate(revise=shorter), None)
    assert heartbeat(services, held[1]).lease_remaining == 2 * LEASE
    clock.turn(20)  # an outage
    keep_pulse(services)
    assert remaining(services, clock)[1] == 60.0
    live(services, clock, 55)
    assert heartbeat(services, held[1]).lease_remaining == timedelta(seconds=10)
