"""A study's budget of steps and seconds: what counts, when the study ends, and what becomes of trials that wait."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext
from bo_service.application.views import PauseOutcome, Shortfall
from bo_service.domain.attempts import spent_on
from bo_service.domain.budget import Limit, Spent
from bo_service.domain.errors import WrongState
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import (
    Algorithm,
    ExecutionSettings,
    Goal,
    Metric,
    StudySpec,
    StudyState,
    SuggestionSettings,
)
from bo_service.domain.trial import Failure, FailureReason, Measurement, TrialState
from bo_service.rpc.import_validation import CallValidator
from bo_service.storage.factory import open_store
from bo_service.storage.transfer import export_study, import_study
from tests.application.conftest import LocalOptimizer, TurnedClock

SPACE = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
LEASE = timedelta(seconds=30)
FIDELITY = FidelitySettings(9)
CRASH = Failure(FailureReason.CRASHED, "boom")


def make(app, fidelity=FIDELITY, algorithm=Algorithm.QUASI_RANDOM, per_cost=False, **execution):
    limits, suggestion = ExecutionSettings(LEASE, 2, **execution), SuggestionSettings(algorithm, per_cost=per_cost)
    spec = StudySpec(SPACE, (Metric("loss", Goal.MINIMIZE),), suggestion, limits, fidelity=fidelity)
    studies.create_study(app, studies.NewStudy("s", spec, "", {}), None)


def ask(app, count=1, can_resume=True, worker="w"):
    request = suggest_trials.SuggestRequest("s", count, worker, 30.0, can_resume=can_resume)
    return suggest_trials.suggest_trials(app, request, None)


def take(app, can_resume=True):
    return ask(app, 1, can_resume).trials[0]


def report(app, trial, step, loss=1.0, elapsed=None):
    seconds = None if elapsed is None else timedelta(seconds=elapsed)
    measured = [Measurement({"loss": loss}, step, seconds)]
    return trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, measured, f"at:{step}")


def end(app, trial, outcome):
    return trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, outcome, None)


def view(app):
    return studies.get_study(app, "s")


def train(app, trial, loss=1.0):
    """Train as a worker does, from where the trial was to where it pauses or ends."""
    step = trial.latest_measurement.step if trial.latest_measurement else 0
    while True:
        step += 1
        if report(app, trial, step, loss).should_pause:
            return end(app, trial, PauseOutcome())
        if step == FIDELITY.max_step:
            return end(app, trial, Measurement({"loss": loss}, step))


def raise_limit(app, **changes):
    def revise(spec):
        return replace(spec, execution=replace(spec.execution, **changes))

    return studies.update_study(app, "s", studies.StudyUpdate(revise), None)


def test_epochs_that_are_spent_end_the_study_and_paused_trials_wait(app) -> None:
    make(app, max_steps=12)
    while result := ask(app).trials:
        train(app, result[0])
    ended = view(app)
    assert (ended.study.state, ended.reached_limit, ended.study.spent.steps) == (
        StudyState.COMPLETED,
        Limit.MAX_STEPS,
        12,
    )
    assert ended.counts[TrialState.PAUSED] > 1  # though the best third of them would go on
    told = ask(app)
    assert (told.trials, told.shortfall, told.reached_limit) == ((), Shortfall.COMPLETED, Limit.MAX_STEPS)
    assert raise_limit(app, max_steps=13).study.state is StudyState.ACTIVE
    assert len(ask(app).trials) == 1


def test_a_new_trial_is_committed_to_its_first_rung_and_others_wait(app) -> None:
    make(app, max_steps=9)
    told = ask(app, 12)
    assert (len(told.trials), told.shortfall, told.reached_limit) == (9, Shortfall.ALL_IN_PROGRESS, Limit.MAX_STEPS)
    assert ask(app).shortfall is Shortfall.ALL_IN_PROGRESS
    assert view(app).reached_limit is None  # nothing is spent yet
    end(app, told.trials[0], Failure(FailureReason.DIVERGED, "NaN"))  # it has trained nothing
    (more,) = ask(app).trials
    for trial in (*told.trials[1:], more):
        train(app, trial, 1.0 + trial.number)
    assert view(app).study.state is StudyState.COMPLETED
    assert view(app).study.spent.steps == 9


def test_a_worker_that_cannot_resume_is_committed_to_the_whole_trial(app) -> None:
    make(app, max_steps=10)
    told = ask(app, 5, can_resume=False)
    assert (len(told.trials), told.reached_limit) == (2, Limit.MAX_STEPS)
    for trial in told.trials:
        assert end(app, trial, Measurement({"loss": 1.0})).state is TrialState.SUCCEEDED
    assert view(app).study.spent.steps == 18  # a result without a curve is of a whole trial
    assert view(app).study.state is StudyState.COMPLETED


def test_a_running_trial_that_reaches_a_rung_pauses_once_the_budget_is_spent(app) -> None:
    make(app, max_steps=9, fidelity=FIDELITY)
    for loss in (2.0, 3.0):
        train(app, take(app), loss)
    best, *others = ask(app, 7).trials
    assert report(app, best, 1, 0.1).should_pause  # the best of three, but the others are committed to all that is left
    paused = end(app, best, PauseOutcome())
    assert "the study's max_steps is spent" in paused.pause.reason
    for trial in others:
        end(app, trial, Failure(FailureReason.DIVERGED, "NaN"))
    assert take(app).number == best.number  # nothing of that was trained


def test_seconds_end_a_study_whichever_runs_out_first(app, clock) -> None:
    make(app, max_steps=100, max_seconds=30.0, max_trials=50)
    first = take(app)
    report(app, first, 1, 1.0, elapsed=25.0)
    end(app, first, PauseOutcome())
    second = take(app)
    clock.turn(6.0)
    told = ask(app)  # the second has run for six seconds
    assert (told.trials, told.shortfall, told.reached_limit) == ((), Shortfall.ALL_IN_PROGRESS, Limit.MAX_SECONDS)
    assert view(app).reached_limit is None
    report(app, second, 1, 2.0, elapsed=6.5)
    assert view(app).study.state is StudyState.ACTIVE
    end(app, second, PauseOutcome())
    assert (view(app).study.state, view(app).reached_limit) == (StudyState.COMPLETED, Limit.MAX_SECONDS)
    assert view(app).study.spent == Spent(2, timedelta(seconds=31.5))


def test_seconds_need_no_fidelity_and_queued_trials_wait(app, clock) -> None:
    make(app, fidelity=None, max_seconds=30.0)
    trial = take(app)
    clock.turn(40.0)
    end(app, trial, CRASH)
    assert trials.get_trial(app, "s", trial.number, full=False).trial.state is TrialState.QUEUED
    assert view(app).study.state is StudyState.COMPLETED
    assert ask(app).trials == ()
    with pytest.raises(WrongState, match=r"raise spec\.execution\.max_seconds, which is reached"):
        trials.create_trial(app, "s", trials.NewTrial({"x": 0.5}, {}), None)
    raise_limit(app, max_seconds=50.0)
    assert take(app).number == trial.number


def test_a_lost_attempt_counts_up_to_its_last_sign_of_life(app, clock) -> None:
    make(app, max_seconds=1000.0)
    trial = take(app)
    clock.turn(20.0)
    trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, [], "")
    clock.turn(500.0)
    assert trial_lifecycle.expire_leases(app) == 1
    assert view(app).study.spent == Spent(0, timedelta(seconds=20))


def test_whichever_limit_is_reached_is_named_and_finishing_names_none(app) -> None:
    make(app, max_trials=1, fidelity=None)
    end(app, take(app), Measurement({"loss": 1.0}))
    assert ask(app).reached_limit is Limit.MAX_TRIALS
    raise_limit(app, max_trials=2)
    studies.update_study(app, "s", studies.StudyUpdate(state=StudyState.COMPLETED), None)
    assert (ask(app).shortfall, ask(app).reached_limit) == (Shortfall.COMPLETED, None)


def test_lowering_a_budget_below_what_is_spent_ends_the_study(app) -> None:
    make(app, max_steps=50)
    trial = take(app)
    report(app, trial, 1)
    end(app, trial, PauseOutcome())
    for _ in range(9):
        train(app, take(app))
    assert raise_limit(app, max_steps=9).study.state is StudyState.COMPLETED
    assert raise_limit(app, max_steps=None).study.state is StudyState.ACTIVE


def test_deleting_a_trial_gives_nothing_back(app) -> None:
    make(app, max_steps=9)
    train(app, take(app))
    trials.delete_trial(app, "s", 1, None)
    assert view(app).study.spent.steps == 1


def test_forecasts_keep_to_the_budget(app) -> None:
    make(
        app,
        fidelity=FidelitySettings(9, promotion=Promotion.FORECAST),
        algorithm=Algorithm.GAUSSIAN_PROCESS,
        max_steps=20,
    )
    taken = 0
    while result := ask(app).trials:
        train(app, result[0], 1.0 / result[0].number)
        taken += 1
    assert taken < 20
    assert 20 <= view(app).study.spent.steps < 20 + 6
    assert view(app).reached_limit is Limit.MAX_STEPS


def test_paused_trials_teach_what_a_whole_trial_costs(app) -> None:
    by_forecast = FidelitySettings(9, promotion=Promotion.FORECAST)
    make(app, by_forecast, Algorithm.GAUSSIAN_PROCESS, per_cost=True)
    paused = {}
    while (trial := take(app)).number <= 9:
        x, step = trial.parameters["x"], trial.until_step
        seconds, loss = step * (1.0 + 9.0 * x), (x - 0.5) ** 2
        report(app, trial, step, loss, seconds)
        whole = Measurement({"loss": loss}, step, timedelta(seconds=seconds))
        paused[trial.number] = end(app, trial, whole if step == 9 else PauseOutcome())
    assert paused[9].pause.seconds_per_step == pytest.approx(1.0 + 9.0 * paused[9].parameters["x"], abs=1e-5)
    observed = app.sessions.of("s").read().inputs.observations
    expected = [9 * (1.0 + 9.0 * o.configuration["x"]) for o in observed]
    assert [o.seconds for o in observed] == pytest.approx(expected, abs=1e-3)
    assert "A whole trial of it is expected to take" in trial.explanation.summary


def test_an_import_keeps_what_was_spent(app) -> None:
    make(app, max_steps=9)
    train(app, take(app))
    with app.store.read() as records:
        lines = list(export_study(records, "s", app.clock.now()))
    copied = import_study(app.store, lines, "t", app.clock.now(), CallValidator(app.clock.now()))
    assert copied.spent.steps == 1
    assert studies.get_study(app, "t").study.spent == view(app).study.spent


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_two_servers_and_many_calls_hand_out_no_more_than_the_budget(app) -> None:
    other = AppContext.of(app.store, app.clock, LocalOptimizer())
    make(app, max_steps=9)
    results = []
    threads = [threading.Thread(target=lambda app=app: results.append(ask(app, 3))) for app in [app, other] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(result.trials) for result in results) == 9


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "report", "pause", "end", "fail", "stop", "late", "beat", "wait", "delete"]),
        st.integers(0, 5),
        st.none() | st.floats(0.0, 100.0),
    ),
    min_size=5,
    max_size=40,
)


@settings(deadline=None)
@given(ACTIONS)
def test_what_is_spent_is_the_sum_over_attempts(actions) -> None:
    clock = TurnedClock()
    app = AppContext.of(open_store("memory:"), clock, LocalOptimizer())
    make(app, max_steps=10**6)
    held, lost, gone = [], [], Spent()

    def call(act, *args):
        try:
            return act(app, *args)
        except WrongState:
            return None

    for kind, which, seconds in actions:
        clock.turn(1.5)
        trial = held[which % len(held)] if held else None
        if kind == "take" or trial is None:
            held += ask(app, 1 + which % 2, can_resume=which != 3).trials
        elif kind == "report":
            call(report, trial, which, 1.0 + which, seconds)
        elif kind == "pause":
            call(end, trial, PauseOutcome("at:x"))
        elif kind == "end":
            elapsed = None if seconds is None else timedelta(seconds=seconds)
            call(end, trial, Measurement({"loss": 1.0}, which, elapsed))
        elif kind == "fail":
            call(end, trial, CRASH)
        elif kind == "stop":
            call(lambda app, number: trials.stop_trial(app, "s", number, "", None), trial.number)
        elif kind == "late" and lost:
            call(end, lost[which % len(lost)], Measurement({"loss": 1.0}, which))
        elif kind == "beat":
            trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, [], "")
        elif kind == "wait":
            clock.turn(40.0)
            trial_lifecycle.expire_leases(app)
            lost += held
        elif kind == "delete":
            before = trials.get_trial(app, "s", trial.number, full=False).trial
            if before.state is not TrialState.RUNNING:
                gone += before.spent
                trials.delete_trial(app, "s", trial.number, None)
                held = [t for t in held if t.number != trial.number]
                lost = [t for t in lost if t.number != trial.number]
        with app.store.read() as records:
            attempts = [a for t in records.list_trials("s") for a in t.attempts]
        assert view(app).study.spent == spent_on(attempts) + gone
        assert all(a.steps >= 0 and a.time >= timedelta() for a in attempts)
