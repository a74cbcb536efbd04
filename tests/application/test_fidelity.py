"""Training in parts: who pauses, who goes on, and what becomes of paused trials when workers and servers end."""

import math
from datetime import timedelta

import pytest

from bo_service.application import best_trials, studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext
from bo_service.application.ports import RequestKey
from bo_service.application.views import PauseOutcome, Shortfall
from bo_service.domain.attempts import AttemptOutcome
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.errors import InvalidArgument, WrongState
from bo_service.domain.fidelity import FidelitySettings, best_third
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import (
    Algorithm,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    StudySpec,
    StudyState,
    SuggestionSettings,
)
from bo_service.domain.trial import Failure, FailureReason, Measurement, TrialState
from bo_service.rpc.import_validation import CallValidator
from bo_service.storage.factory import open_store
from bo_service.storage.transfer import export_study, import_study
from tests.application.whole import evidence_of

SPACE = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
LEASE = timedelta(seconds=30)
FIDELITY = FidelitySettings(27)


def spec_of(goal=Goal.MINIMIZE, fidelity=FIDELITY, **execution):
    settings = {"lease_duration": LEASE, "max_attempts": 2, **execution}
    algorithm = SuggestionSettings(Algorithm.QUASI_RANDOM)
    return StudySpec(SPACE, (Metric("loss", goal),), algorithm, ExecutionSettings(**settings), fidelity=fidelity)


def make(app, **settings):
    studies.create_study(app, studies.NewStudy("s", spec_of(**settings), "", {}), None)


def suggest(app, count=1, can_resume=True, key=None):
    request = suggest_trials.SuggestRequest("s", count, "w", 30.0, can_resume=can_resume)
    return suggest_trials.suggest_trials(app, request, key)


def take(app, can_resume=True):
    return suggest(app, 1, can_resume).trials[0]


def report(app, trial, step, loss, uri=""):
    measured = [Measurement({"loss": loss}, step)]
    return trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, measured, uri)


def end(app, trial, outcome, key=None):
    return trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, outcome, key)


def get(app, number):
    return trials.get_trial(app, "s", number, full=False).trial


def run(app, trial, loss):
    """Train a trial with a constant loss as a worker does, from where it was to where it pauses or ends."""
    step = trial.latest_measurement.step if trial.latest_measurement else 0
    while True:
        step += 1
        told = report(app, trial, step, loss, f"at:{step}")
        if told.should_pause:
            return end(app, trial, PauseOutcome())
        if step == 27:
            return end(app, trial, Measurement({"loss": loss}, step))


def paused(app, loss=1.0):
    trial = take(app)
    ended = run(app, trial, loss)
    assert ended.state is TrialState.PAUSED
    return ended


def test_the_rungs_are_threefold_and_the_best_third_is_rounded_down() -> None:
    assert FidelitySettings(27).rungs == (1, 3, 9)
    assert FidelitySettings(28, 2).rungs == (2, 6, 18)
    assert FidelitySettings(2).rungs == (1,)
    settings = FidelitySettings(27)
    assert [settings.next_stop(step) for step in (0, 1, 2, 3, 9, 27)] == [1, 3, 3, 9, 27, 27]
    assert [settings.last_rung(step) for step in (0, 1, 2, 3, 26)] == [None, 1, 1, 3, 9]
    assert best_third({1: 0.5, 2: 0.5}) == []
    assert best_third({1: 0.5, 2: 0.5}, at_least=1) == [1]
    assert best_third({3: 0.5, 2: 0.5, 1: 0.1}) == [2]


def test_a_trial_pauses_at_a_rung_unless_it_is_among_the_best_third(app) -> None:
    make(app)
    first = take(app)
    assert first.until_step == 1
    told = report(app, first, 1, 0.9, "gs://first")
    assert (told.should_pause, told.should_stop, told.lease_valid) == (True, False, True)
    assert "loss was 0.9, in place 1 of 1" in told.pause_reason
    waiting = end(app, first, PauseOutcome())
    assert (waiting.state, waiting.lease, waiting.checkpoint_uri) == (TrialState.PAUSED, None, "gs://first")
    assert (waiting.until_step, waiting.end_time) == (None, None)
    assert waiting.attempts[0].outcome is AttemptOutcome.PAUSED
    paused(app, 0.8)
    third = take(app)
    told = report(app, third, 1, 0.5)
    assert (told.should_pause, told.until_step) == (False, 3)  # the best of three
    assert get(app, third.number).until_step == 3
    assert not report(app, third, 2, 0.5).should_pause
    assert report(app, third, 3, 0.5).should_pause  # the first to come so far


def test_a_larger_metric_may_be_better(app) -> None:
    make(app, goal=Goal.MAXIMIZE)
    for value in (0.5, 0.6):
        paused(app, value)
    assert report(app, take(app), 1, 0.4).should_pause
    assert not report(app, take(app), 1, 0.9).should_pause


def test_a_paused_trial_goes_on_before_a_new_configuration_and_the_one_furthest_along_first(app) -> None:
    make(app)
    losses = {paused(app, loss).number: loss for loss in (0.3, 0.4)}
    assert losses == {1: 0.3, 2: 0.4}
    assert paused(app, 0.9).number == 3  # of three at step 1, the first is best now
    again = take(app)
    assert (again.number, again.attempt, again.until_step, again.checkpoint_uri) == (1, 2, 3, "at:1")
    assert again.parameters == get(app, 1).parameters
    assert run(app, again, 0.3).latest_measurement.step == 3
    assert paused(app, 0.2).number == 4  # the best of four at step 1 goes on, and pauses as the second of two at step 3
    assert get(app, 4).latest_measurement.step == 3
    assert paused(app, 0.8).number == 5
    assert paused(app, 0.9).number == 6
    report(app, take(app, can_resume=False), 3, 0.9)
    again = take(app)  # three are at step 3 now
    assert (again.number, again.until_step, again.checkpoint_uri) == (4, 9, "at:3")


def test_a_worker_that_cannot_resume_is_treated_as_ever(app) -> None:
    make(app)
    for loss in (0.3, 0.4, 0.9):
        paused(app, loss)
    whole = take(app, can_resume=False)
    assert (whole.number, whole.until_step) == (4, None)  # though trial 1 would go on
    for step in range(1, 28):
        told = report(app, whole, step, 9.0)
        assert (told.should_pause, told.should_stop, told.until_step) == (False, False, None)
    assert end(app, whole, Measurement({"loss": 9.0})).state is TrialState.SUCCEEDED
    assert take(app).number == 1


def test_without_a_fidelity_nothing_pauses(app) -> None:
    make(app, fidelity=None)
    trial = take(app)
    assert trial.until_step is None
    assert not report(app, trial, 1, 9.0).should_pause
    with pytest.raises(WrongState, match="wasn't asked"):
        end(app, trial, PauseOutcome("gs://a"))


def test_a_study_trains_some_trial_to_its_end_and_says_what_is_left(app) -> None:
    make(app, max_trials=4)
    seen = []
    while result := suggest(app):
        if not result.trials:
            break
        seen.append(run(app, result.trials[0], 1.0 / result.trials[0].number))
    assert result.shortfall is Shortfall.COMPLETED
    view = studies.get_study(app, "s")
    assert view.study.state is StudyState.COMPLETED
    assert {state: n for state, n in view.counts.items() if n} == {TrialState.SUCCEEDED: 1, TrialState.PAUSED: 3}
    (best,) = best_trials.best_trials(app, "s", 9)  # paused trials have no final measurement
    assert best.final_measurement.step == 27
    steps = {}
    for trial in seen:
        steps[trial.number] = max(steps.get(trial.number, 0), trial.latest_measurement.step)
    assert max(steps.values()) == 27


def waiting(app):
    """Return how many trials wait for a worker that can resume, as everyone is told."""
    return studies.get_study(app, "s").resumable_count


def test_a_worker_that_cannot_resume_is_told_that_paused_trials_wait_for_another(app, clock) -> None:
    make(app, max_trials=2)
    for loss in (0.3, 0.4):
        paused(app, loss)
    assert studies.get_study(app, "s").study.state is StudyState.ACTIVE  # the best will go on
    assert waiting(app) == 1
    told = suggest(app, can_resume=False)
    assert (told.trials, told.shortfall, told.retry_delay) == ((), Shortfall.NEEDS_RESUME, None)
    other = take(app)
    assert other.number == 1
    assert waiting(app) == 0
    assert suggest(app, can_resume=False).shortfall is Shortfall.ALL_IN_PROGRESS
    clock.turn(31)
    trial_lifecycle.expire_leases(app)
    assert get(app, 1).state is TrialState.QUEUED  # for a worker that can resume alone
    assert suggest(app, can_resume=False).shortfall is Shortfall.NEEDS_RESUME
    assert waiting(app) >= 1
    other = take(app)
    assert other.number == 1
    assert suggest(app).shortfall is Shortfall.ALL_IN_PROGRESS
    end(app, other, Failure(FailureReason.DIVERGED))
    assert take(app).number == 2  # a trial that failed takes no place


def test_an_exhausted_space_has_paused_trials_left(app) -> None:
    space = SearchSpace((Parameter("c", CategoricalDomain(("a", "b"))),))
    base = spec_of()
    spec = StudySpec(space, base.metrics, base.suggestion, base.execution, fidelity=base.fidelity)
    studies.create_study(app, studies.NewStudy("s", spec, "", {}), None)
    for loss in (0.3, 0.4):
        paused(app, loss)
    for _ in range(3):
        run(app, take(app), 0.3)
        assert suggest(app, can_resume=False).shortfall in (Shortfall.NEEDS_RESUME, Shortfall.SPACE_EXHAUSTED)
    assert get(app, 1).state is TrialState.SUCCEEDED
    assert waiting(app) == 0
    assert suggest(app).shortfall is Shortfall.SPACE_EXHAUSTED
    assert suggest(app, can_resume=False).shortfall is Shortfall.SPACE_EXHAUSTED


def test_a_worker_that_dies_while_it_should_pause_leaves_the_trial_paused(app, clock) -> None:
    make(app)
    trial = take(app)
    report(app, trial, 1, 0.5, "at:1")
    clock.turn(31)
    assert trial_lifecycle.expire_leases(app) == 1
    waiting = get(app, trial.number)
    assert (waiting.state, waiting.checkpoint_uri, waiting.failure.reason) == (
        TrialState.PAUSED,
        "at:1",
        FailureReason.PREEMPTED,
    )
    told = report(app, trial, 2, 0.4)
    assert (told.lease_valid, told.should_stop) == (False, True)
    assert "paused" in told.stop_reason
    late = end(app, trial, PauseOutcome("at:1b"))  # it was only slow: its checkpoint counts
    assert (late.state, late.checkpoint_uri) == (TrialState.PAUSED, "at:1b")
    assert end(app, trial, Failure(FailureReason.CRASHED)).state is TrialState.PAUSED


def test_a_lease_that_runs_out_means_nothing_to_a_paused_trial(app, clock) -> None:
    make(app)
    trial = paused(app)
    clock.turn(1000)
    assert trial_lifecycle.expire_leases(app) == 0
    assert get(app, trial.number) == trial


def test_a_pause_of_an_earlier_attempt_changes_nothing(app, clock) -> None:
    make(app)
    trial = take(app)
    report(app, trial, 1, 0.5, "at:1")
    end(app, trial, PauseOutcome())
    for loss in (0.6, 0.7):
        paused(app, loss)
    again = take(app)
    assert again.number == trial.number
    assert end(app, trial, PauseOutcome("elsewhere")).checkpoint_uri == "at:1"
    assert get(app, trial.number).is_held_by(again.lease.token)


def test_a_late_result_of_a_paused_trial_counts_as_cut_short(app, optimizer) -> None:
    make(app)
    trial = take(app)
    report(app, trial, 1, 0.5, "at:1")
    end(app, trial, PauseOutcome())
    whole = take(app, can_resume=False)
    end(app, whole, Measurement({"loss": 0.7}, 27))
    ended = end(app, trial, Measurement({"loss": 0.5}, 1))
    assert ended.state is TrialState.STOPPED
    assert [t.number for t in best_trials.best_trials(app, "s", 9)] == [whole.number, trial.number]


def test_a_result_instead_of_a_pause_counts_as_cut_short(app) -> None:
    make(app)
    trial = take(app)
    assert report(app, trial, 1, 0.5).should_pause
    assert end(app, trial, Measurement({"loss": 0.5}, 1)).state is TrialState.STOPPED


def test_a_worker_that_goes_on_to_the_end_all_the_same_succeeds(app) -> None:
    make(app)
    trial = take(app)
    for step in range(1, 28):
        report(app, trial, step, 0.5)
    assert end(app, trial, Measurement({"loss": 0.5}, 27)).state is TrialState.SUCCEEDED


def test_a_pause_needs_a_request_and_a_checkpoint(app) -> None:
    make(app)
    trial = take(app)
    with pytest.raises(WrongState, match="wasn't asked"):
        end(app, trial, PauseOutcome("at:0"))
    report(app, trial, 1, 0.5)
    with pytest.raises(InvalidArgument, match="checkpoint_uri"):
        end(app, trial, PauseOutcome())
    assert end(app, trial, PauseOutcome("at:1")).checkpoint_uri == "at:1"


def test_repeated_requests_have_one_effect(app) -> None:
    make(app)
    trial = take(app)
    first = report(app, trial, 1, 0.5, "at:1")
    again = report(app, trial, 1, 0.5, "at:1")
    assert (first.should_pause, first.pause_reason) == (again.should_pause, again.pause_reason)
    key = RequestKey("pause", "CompleteTrial", "d")
    waiting = end(app, trial, PauseOutcome("at:1"), key)
    assert end(app, trial, PauseOutcome("at:1"), key) == waiting
    assert end(app, trial, PauseOutcome("at:1")).state is TrialState.PAUSED  # without a key as well
    for loss in (0.6, 0.7):
        paused(app, loss)
    key = RequestKey("suggest", "SuggestTrials", "d")
    resumed = suggest(app, key=key)
    assert suggest(app, key=key) == resumed
    assert [t.number for t in resumed.trials] == [1]
    assert get(app, 1).attempt == 2
    best = take(app)
    assert not report(app, best, 1, 0.1).should_pause
    assert report(app, best, 1, 0.1).until_step == 3  # a report that is repeated is judged once


def test_pauses_are_no_failed_attempts(app, clock) -> None:
    make(app)
    for loss in (0.5, 0.6, 0.7):
        paused(app, loss)
    again = take(app)
    report(app, again, 2, 0.5, "at:2")
    clock.turn(31)
    trial_lifecycle.expire_leases(app)
    assert get(app, 1).state is TrialState.QUEUED  # the first of two attempts that failed
    assert take(app, can_resume=False).number == 4  # the queued one goes to a worker that can resume
    third = take(app)
    assert (third.number, third.attempt, third.until_step, third.checkpoint_uri) == (1, 3, 3, "at:2")
    assert end(app, third, Failure(FailureReason.CRASHED)).state is TrialState.FAILED


def test_a_paused_trial_can_be_stopped_and_deleted(app) -> None:
    make(app)
    first, second = paused(app), paused(app)
    assert trials.stop_trial(app, "s", first.number, "enough", None).state is TrialState.STOPPED
    trials.delete_trial(app, "s", second.number, None)
    assert best_trials.best_trials(app, "s", 9) == []


def test_a_trial_that_is_stopped_while_it_should_pause_does_not_wait(app) -> None:
    make(app)
    trial = take(app)
    assert report(app, trial, 1, 0.5, "at:1").should_pause
    trials.stop_trial(app, "s", trial.number, "enough", None)
    ended = end(app, trial, PauseOutcome())
    assert (ended.state, ended.stop_request.reason) == (TrialState.STOPPED, "enough")


def test_a_value_that_is_not_finite_ends_the_trial(app) -> None:
    make(app)
    told = report(app, take(app), 1, math.nan)
    assert (told.should_stop, told.should_pause) == (True, False)
    assert "DIVERGED" in told.stop_reason


def test_the_optimizer_hears_what_is_expected_of_paused_trials_until_they_end(app) -> None:
    make(app)
    trial = take(app)
    report(app, trial, 1, 0.5, "at:1")
    end(app, trial, PauseOutcome())
    for loss in (0.6, 0.7):
        paused(app, loss)

    def heard():
        with app.store.read() as records:
            whole = evidence_of(records, records.get_study("s"))
        remembered = app.sessions.of("s").read().inputs
        assert (whole.observations, whole.pending) == (remembered.observations, remembered.pending)
        return whole

    pause = get(app, 1).pause
    assert (pause.step, pause.attempt, pause.expected_step) == (1, 1, 27)
    (first, *_), waiting = heard().observations, heard().pending
    assert (first.value, first.std, first.is_short) == (-pause.expected.mean, pause.expected.std, True)
    assert waiting == ()
    again = take(app)
    assert again.number == 1
    assert len(heard().observations) == 3  # also while it goes on
    end(app, again, Measurement({"loss": 0.45}, 27))
    (first, *_) = heard().observations
    assert (first.number, first.value, first.std) == (1, -0.45, 0.0)
    assert all(o.value <= -0.45 for o in heard().observations)  # a forecast counts for no more than the best


def test_two_servers_and_a_restart_agree(app, make_services) -> None:
    make(app)
    other = make_services(app.store)
    trial = suggest(app).trials[0]
    assert report(other, trial, 1, 0.5, "at:1").should_pause
    end(app, trial, PauseOutcome())
    for server, loss in ((other, 0.6), (app, 0.7)):
        paused(server, loss)
    first, second = suggest(app).trials[0], suggest(other).trials[0]
    assert (first.number, second.number) == (1, 4)  # the paused one is given to one of them
    assert report(other, first, 3, 0.4, "at:3").should_pause
    end(other, first, PauseOutcome())
    restarted = make_services(app.store)
    assert get(restarted, 1).state is TrialState.PAUSED
    told = report(restarted, second, 1, 0.1)
    assert (told.should_pause, told.until_step) == (False, 3)


def test_an_export_and_an_import_keep_pauses(app, make_services, clock, tmp_path) -> None:
    make(app)
    for loss in (0.5, 0.6, 0.7):
        paused(app, loss)
    running = take(app)
    with app.store.read() as records:
        lines = list(export_study(records, "s", clock.now()))
    store = open_store(f"sqlite:///{tmp_path}/other.db")
    import_study(store, lines, None, clock.now(), CallValidator(clock.now()))
    there: AppContext = make_services(store)
    assert [get(there, n) for n in range(1, 4)] == [get(app, n) for n in range(1, 4)]
    assert report(there, running, 3, 0.4, "at:3").should_pause
    end(there, running, PauseOutcome())
    store.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fidelity": FidelitySettings(1)}, "fidelity.max"),
        ({"fidelity": FidelitySettings(9, 9)}, "fidelity.min"),
        ({"fidelity": FidelitySettings(9, 0)}, "fidelity.min"),
        ({"fidelity": FidelitySettings(9, step_name="a b")}, "fidelity.metric"),
        ({"stopping": StoppingSettings(StoppingRule.MEDIAN)}, "stopping.rule"),
        ({"metrics": (Metric("a", Goal.MINIMIZE), Metric("b", Goal.MINIMIZE))}, "fidelity"),
        ({"metrics": (Metric("a", Goal.MINIMIZE), Metric("b", Goal.MINIMIZE, MetricRole.CONSTRAINT, 1.0))}, "fidelity"),
    ],
)
def test_settings_out_of_range_are_refused(change, field) -> None:
    whole = {"space": SPACE, "metrics": (Metric("loss", Goal.MINIMIZE),), "fidelity": FidelitySettings(27), **change}
    with pytest.raises(InvalidArgument) as refusal:
        StudySpec(**whole)
    assert [v.field for v in refusal.value.violations] == [field]
