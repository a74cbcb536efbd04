"""Handing out trials: the queue, the limit, the surrogate and what happens without it."""

import math
from dataclasses import replace

import pytest

from bo_service.application import best_trials, studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.ports import IssuedLease, RequestKey
from bo_service.application.sessions import Sessions
from bo_service.application.views import Shortfall
from bo_service.domain.errors import DeadlinePassed, NotFound, RequestIdReused
from bo_service.domain.parameter_types import CategoricalDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Algorithm, Goal, StudyState, SuggestionSettings
from bo_service.domain.trial import Failure, FailureReason, Lease, Measurement, Origin, TrialState
from tests.application.whole import evidence_of

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)


def ask(app, study_id="s", count=1, key=None):
    return suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest(study_id, count, "worker", 30.0), key)


def finish(app, trial, value):
    done = Measurement({"loss": value})
    return trial_lifecycle.complete_trial(app, trial.study_id, trial.number, trial.lease.token, done, None)


def test_the_center_comes_first_then_the_sequence_then_the_surrogate(app, make_study) -> None:
    make_study()
    origins = []
    for i in range(6):
        (trial,) = ask(app).trials
        origins.append(trial.origin)
        finish(app, trial, float(i))
    assert origins == [Origin.DEFAULT, *[Origin.QUASI_RANDOM] * 2, *[Origin.SURROGATE] * 3]


@pytest.mark.parametrize("goal", Goal)
def test_the_surrogate_goes_where_the_goal_says(app, make_study, goal) -> None:
    make_study(goal=goal)
    for _ in range(14):
        (trial,) = ask(app).trials
        finish(app, trial, math.log10(trial.parameters["lr"]))
    last = trial.explanation
    assert last.predictions[0].metric == "loss"
    assert last.predictions[0].mean == pytest.approx(math.log10(trial.parameters["lr"]), abs=0.5)
    best = best_trials.best_trials(app, "s", 1)[0].final_measurement.metrics["loss"]
    assert best == pytest.approx(-4.0 if goal is Goal.MINIMIZE else 0.0, abs=0.2)


def test_a_late_surrogate_is_replaced_by_the_sequence_and_the_trial_says_so(app, make_study, optimizer) -> None:
    make_study()
    for i in range(4):
        finish(app, ask(app).trials[0], float(i))
    optimizer.too_slow = True
    (trial,) = ask(app).trials
    assert trial.origin is Origin.QUASI_RANDOM
    assert trial.explanation.summary.startswith("The surrogate was not ready")


def test_many_at_once_are_shared_by_the_sequence_and_the_surrogate(app, make_study) -> None:
    make_study()
    for i in range(2):
        finish(app, ask(app).trials[0], float(i))
    origins = [t.origin for t in ask(app, count=4).trials]
    assert origins == [Origin.QUASI_RANDOM, *[Origin.SURROGATE] * 3]


@pytest.mark.parametrize("disturbed", [1, 2, 7])
def test_what_others_make_meanwhile_is_learned_of(app, make_study, optimizer, disturbed: int) -> None:
    disturb(app, make_study, optimizer, disturbed)
    (trial,) = ask(app).trials
    assert len(optimizer.asked) == disturbed + 1
    assert trial.origin is Origin.SURROGATE
    assert_new(app, trial)


def test_who_has_no_time_left_has_a_point_of_the_sequence(app, make_study, optimizer) -> None:
    disturb(app, make_study, optimizer, 10**9)
    (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 1.0), None).trials
    assert optimizer.asked
    assert trial.origin is Origin.QUASI_RANDOM
    assert_new(app, trial)


def assert_new(app, trial) -> None:
    with app.store.read() as records:
        assert [t.number for t in records.list_trials("s") if t.parameters == trial.parameters] == [trial.number]


def disturb(app, make_study, optimizer, times: int) -> None:
    """Another server makes the same suggestion, the first `times` times."""
    make_study()
    for i in range(4):
        finish(app, ask(app).trials[0], float(i))
    optimizer.asked.clear()
    suggest = optimizer.suggest

    def meanwhile(inputs, count, timeout, handle):
        found = suggest(inputs, count, timeout, handle)
        if found is not None and len(optimizer.asked) <= times:
            same = trials.NewTrial(found.suggestions[0].configuration, {})
            trial_lifecycle.complete_trial(app, "s", *held(app, trials.create_trial(app, "s", same, None)), None)
        return found

    def held(app, trial):
        with app.store.write("s") as records:
            started = trial.start(Lease(f"t{trial.number}", "w", app.clock.now()), app.clock.now())
            records.save_trials(started)
            records.save_lease("s", started.number, IssuedLease(started.lease.token, "w", started.attempt))
        return trial.number, f"t{trial.number}", Measurement({"loss": 1.0})

    optimizer.suggest = meanwhile


def test_a_study_made_anew_by_another_server_has_its_surrogate_at_once(app, make_study) -> None:
    """What is remembered of the one before, which needed none, doesn't count."""
    make_study("other")
    with app.store.read() as records:
        spec = records.get_study("other").spec
    blind = replace(spec, suggestion=SuggestionSettings(algorithm=Algorithm.QUASI_RANDOM))
    studies.create_study(app, studies.NewStudy("s", blind, "", {}), None)
    ask(app)
    others = replace(app, sessions=Sessions(app.store, app.optimizer))
    studies.delete_study(others, "s", None)
    studies.create_study(others, studies.NewStudy("s", spec, "", {}), None)
    for i in range(4):
        finish(others, ask(others).trials[0], float(i))
    assert ask(app).trials[0].origin is Origin.SURROGATE


def test_what_is_queued_or_running_is_known_to_the_surrogate(app, make_study, optimizer) -> None:
    make_study()
    for i in range(4):
        finish(app, ask(app).trials[0], float(i))
    (first,) = ask(app).trials
    (second,) = ask(app).trials
    assert first.parameters in optimizer.asked[-1].pending
    assert first.parameters != second.parameters


def test_machines_failures_are_unknown_to_the_surrogate_and_bad_parameters_are_known(app, make_study) -> None:
    make_study(max_attempts=1)
    reasons = [FailureReason.CRASHED, FailureReason.OUT_OF_MEMORY]
    for reason in reasons:
        (trial,) = ask(app).trials
        trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Failure(reason), None)
    with app.store.read() as records:
        inputs = evidence_of(records, records.get_study("s"))
    assert [(t.number, t.value) for t in inputs.observations] == [(2, None)]
    assert inputs.pending == ()


def test_the_queue_goes_first(app, make_study) -> None:
    make_study()
    queued = trials.create_trial(app, "s", trials.NewTrial({"lr": 0.5, "norm": "batch"}, {"role": "mine"}), None)
    first, second = ask(app, count=2).trials
    assert (first.number, first.origin, first.labels) == (queued.number, Origin.USER, {"role": "mine"})
    assert second.origin is Origin.DEFAULT


def test_no_more_trials_than_allowed(app, make_study) -> None:
    make_study(max_trials=3)
    handed = ask(app, count=5)
    assert (len(handed.trials), handed.shortfall) == (3, Shortfall.ALL_IN_PROGRESS)
    assert handed.retry_delay is not None
    again = ask(app)
    assert (again.trials, again.shortfall) == ((), Shortfall.ALL_IN_PROGRESS)
    for trial in handed.trials:
        finish(app, trial, 1.0)
    assert ask(app).shortfall is Shortfall.COMPLETED
    assert studies.get_study(app, "s").study.state is StudyState.COMPLETED


def test_a_study_that_is_full_goes_on_when_its_limit_is_raised(app, make_study) -> None:
    make_study(max_trials=1)
    finish(app, ask(app).trials[0], 1.0)

    def revise(spec):
        return replace(spec, execution=replace(spec.execution, max_trials=2))

    changed = studies.update_study(app, "s", studies.StudyUpdate(revise=revise), None)
    assert changed.study.state is StudyState.ACTIVE
    assert len(ask(app).trials) == 1


def test_a_paused_study_gives_out_nothing_until_it_is_active_again(app, make_study) -> None:
    make_study()
    studies.update_study(app, "s", studies.StudyUpdate(state=StudyState.PAUSED), None)
    assert ask(app).shortfall is Shortfall.PAUSED
    studies.update_study(app, "s", studies.StudyUpdate(state=StudyState.ACTIVE), None)
    assert len(ask(app).trials) == 1


def test_a_finite_space_runs_out(app, make_study) -> None:
    make_study(space=SearchSpace((Parameter("c", CategoricalDomain(("a", "b", "c"))),)))
    handed = ask(app, count=4)
    assert sorted(t.parameters["c"] for t in handed.trials) == ["a", "b", "c"]
    assert handed.shortfall is Shortfall.ALL_IN_PROGRESS
    for trial in handed.trials:
        finish(app, trial, 1.0)
    assert ask(app).shortfall is Shortfall.SPACE_EXHAUSTED


def test_a_repeat_is_handed_out_where_the_last_result_came_meanwhile(app, make_study, optimizer) -> None:
    """Nothing was left to suggest while a trial was open; it ends before the answer is stored."""
    make_study(space=SearchSpace((Parameter("c", CategoricalDomain(("a", "b", "c", "d"))),)))
    *first, last = ask(app, count=4).trials
    for value, trial in enumerate(first):
        finish(app, trial, float(value))
    suggest = optimizer.suggest

    def meanwhile(*asked):
        found = suggest(*asked)
        finish(app, last, 9.0)
        return found

    optimizer.suggest = meanwhile
    (repeat,) = ask(app).trials
    assert repeat.parameters == first[0].parameters
    assert repeat.explanation is not None
    assert "Every configuration has been tried once" in repeat.explanation.summary
    optimizer.suggest = suggest
    assert ask(app).shortfall is Shortfall.ALL_IN_PROGRESS
    finish(app, repeat, 0.0)
    assert ask(app).shortfall is Shortfall.SPACE_EXHAUSTED


def test_a_late_surrogate_does_not_end_a_noisy_space(app, make_study, optimizer) -> None:
    make_study(space=SearchSpace((Parameter("c", CategoricalDomain(("a", "b", "c", "d"))),)))
    for value in range(12):
        handed = suggest_trials.suggest_trials(
            app, suggest_trials.SuggestRequest("s", 1, "w", 30.0 if value % 2 else 0.0), None
        )
        finish(app, handed.trials[0], float(value))
    assert ask(app).trials


def test_the_same_request_gets_the_same_answer(app, make_study) -> None:
    make_study()
    key = RequestKey("r1", "SuggestTrials", "digest")
    first = ask(app, count=2, key=key)
    assert ask(app, count=2, key=key) == first
    with app.store.read() as records:
        assert len(records.list_trials("s")) == 2
    with pytest.raises(RequestIdReused, match="request_id"):
        ask(app, key=RequestKey("r1", "SuggestTrials", "another digest"))


def test_two_studies_of_one_space_begin_with_different_sequences(app, make_study) -> None:
    handed = [[t.parameters["lr"] for t in ask(app, make_study(name), count=4).trials] for name in ("a", "b")]
    assert handed[0][0] == handed[1][0]
    assert handed[0][1:] != handed[1][1:]


def test_an_unknown_study_is_named(app) -> None:
    with pytest.raises(NotFound, match="studies/nobody"):
        ask(app, "nobody")


def test_states_after_a_mixed_life(app, make_study) -> None:
    make_study()
    a, b, c = ask(app, count=3).trials
    finish(app, a, 1.0)
    trial_lifecycle.complete_trial(app, "s", b.number, b.lease.token, Failure(FailureReason.DIVERGED), None)
    trials.stop_trial(app, "s", c.number, "enough", None)
    assert finish(app, c, 2.0).state is TrialState.STOPPED
    counts = studies.get_study(app, "s").counts
    assert counts == {TrialState.SUCCEEDED: 1, TrialState.INFEASIBLE: 1, TrialState.STOPPED: 1}


@pytest.mark.parametrize("ended", [0, 4], ids=["initial design", "late surrogate"])
def test_points_made_for_a_caller_that_has_gone_are_kept_for_the_next(app, make_study, optimizer, ended: int) -> None:
    """Where points are expensive, each call would begin anew, and miss its deadline."""
    make_study()
    for i in range(ended):
        finish(app, ask(app).trials[0], float(i))
    optimizer.too_slow = True
    gone = suggest_trials.SuggestRequest("s", 1, "worker", 30.0, is_awaited=lambda: False)
    with pytest.raises(DeadlinePassed):
        suggest_trials.suggest_trials(app, gone, None)
    made = optimizer.quasi_random_calls
    tried = [ask(app).trials[0] for _ in range(3)]
    assert len({str(sorted(trial.parameters.items())) for trial in tried}) == 3
    assert optimizer.quasi_random_calls == made


def test_nothing_is_handed_out_to_a_caller_that_has_gone(app, make_study) -> None:
    """Neither new nor queued trials; a retry of the same request gets them, and one that was committed its answer."""
    make_study()
    trials.create_trial(app, "s", trials.NewTrial({"lr": 0.3, "norm": "batch"}, {}), None)
    key = RequestKey("id", "SuggestTrials", "digest")
    gone = suggest_trials.SuggestRequest("s", 5, "worker", 30.0, is_awaited=lambda: False)
    for _ in range(2):
        with pytest.raises(DeadlinePassed, match="ask again"):
            suggest_trials.suggest_trials(app, gone, key)
    with app.store.read() as records:
        assert records.count_trials("s") == {TrialState.QUEUED: 1}
    handed = ask(app, count=5, key=key)
    assert [t.number for t in handed.trials] == [1, 2, 3, 4, 5]
    assert suggest_trials.suggest_trials(app, gone, key).trials == handed.trials
    with app.store.read() as records:
        assert records.count_trials("s") == {TrialState.RUNNING: 5}
