"""Handing out trials: the queue, the limit, the surrogate and what happens without it."""

import math
from dataclasses import replace

import pytest

from bo_service.application import ranking, running, studies, suggesting, trials
from bo_service.application.memory import Memory
from bo_service.application.ports import RequestKey
from bo_service.application.views import Shortfall
from bo_service.core.domains import CategoricalDomain
from bo_service.core.errors import DeadlinePassed, NotFound, RequestIdReused
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import Algorithm, Goal, StudyState, SuggestionSettings
from bo_service.core.trial import Failure, FailureReason, Lease, Measurement, Origin, TrialState
from tests.application.whole import evidence_of

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)


def ask(services, study_id="s", count=1, key=None):
    return suggesting.suggest_trials(services, suggesting.Ask(study_id, count, "worker", 30.0), key)


def finish(services, trial, value):
    done = Measurement({"loss": value})
    return running.complete_trial(services, trial.study_id, trial.number, trial.lease.token, done, None)


def test_the_center_comes_first_then_the_sequence_then_the_surrogate(services, make_study) -> None:
    make_study()
    origins = []
    for i in range(6):
        (trial,) = ask(services).trials
        origins.append(trial.origin)
        finish(services, trial, float(i))
    assert origins == [Origin.DEFAULT, *[Origin.QUASI_RANDOM] * 2, *[Origin.SURROGATE] * 3]


@pytest.mark.parametrize("goal", Goal)
def test_the_surrogate_goes_where_the_goal_says(services, make_study, goal) -> None:
    make_study(goal=goal)
    for _ in range(14):
        (trial,) = ask(services).trials
        finish(services, trial, math.log10(trial.parameters["lr"]))
    last = trial.explanation
    assert last.predictions[0].metric == "loss"
    assert last.predictions[0].mean == pytest.approx(math.log10(trial.parameters["lr"]), abs=0.5)
    best = ranking.best_trials(services, "s", 1)[0].final_measurement.metrics["loss"]
    assert best == pytest.approx(-4.0 if goal is Goal.MINIMIZE else 0.0, abs=0.2)


def test_a_late_surrogate_is_replaced_by_the_sequence_and_the_trial_says_so(services, make_study, optimizer) -> None:
    make_study()
    for i in range(4):
        finish(services, ask(services).trials[0], float(i))
    optimizer.too_slow = True
    (trial,) = ask(services).trials
    assert trial.origin is Origin.QUASI_RANDOM
    assert trial.explanation.summary.startswith("The surrogate was not ready")


def test_many_at_once_are_shared_by_the_sequence_and_the_surrogate(services, make_study) -> None:
    make_study()
    for i in range(2):
        finish(services, ask(services).trials[0], float(i))
    origins = [t.origin for t in ask(services, count=4).trials]
    assert origins == [Origin.QUASI_RANDOM, *[Origin.SURROGATE] * 3]


@pytest.mark.parametrize("disturbed", [1, 2, 7])
def test_what_others_make_meanwhile_is_learned_of(services, make_study, optimizer, disturbed: int) -> None:
    disturb(services, make_study, optimizer, disturbed)
    (trial,) = ask(services).trials
    assert len(optimizer.asked) == disturbed + 1
    assert trial.origin is Origin.SURROGATE
    assert_new(services, trial)


def test_who_has_no_time_left_has_a_point_of_the_sequence(services, make_study, optimizer) -> None:
    disturb(services, make_study, optimizer, 10**9)
    (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 1.0), None).trials
    assert optimizer.asked
    assert trial.origin is Origin.QUASI_RANDOM
    assert_new(services, trial)


def assert_new(services, trial) -> None:
    with services.store.read() as records:
        assert [t.number for t in records.trials.select("s") if t.parameters == trial.parameters] == [trial.number]


def disturb(services, make_study, optimizer, times: int) -> None:
    """Another server makes the same suggestion, the first `times` times."""
    make_study()
    for i in range(4):
        finish(services, ask(services).trials[0], float(i))
    optimizer.asked.clear()
    suggest = optimizer.suggest

    def meanwhile(evidence, count, patience, errand):
        found = suggest(evidence, count, patience, errand)
        if found is not None and len(optimizer.asked) <= times:
            same = trials.NewTrial(found.suggestions[0].configuration, {})
            running.complete_trial(services, "s", *held(services, trials.create_trial(services, "s", same, None)), None)
        return found

    def held(services, trial):
        with services.store.write("s") as records:
            started = trial.start(Lease(f"t{trial.number}", "w", services.clock.now()), services.clock.now())
            records.trials.save(started)
            records.leases.add(started)
        return trial.number, f"t{trial.number}", Measurement({"loss": 1.0})

    optimizer.suggest = meanwhile


def test_a_study_made_anew_by_another_server_has_its_surrogate_at_once(services, make_study) -> None:
    """What is remembered of the one before, which needed none, doesn't count."""
    make_study("other")
    with services.store.read() as records:
        spec = records.studies.get("other").spec
    blind = replace(spec, suggestion=SuggestionSettings(algorithm=Algorithm.QUASI_RANDOM))
    studies.create_study(services, studies.NewStudy("s", blind, "", {}), None)
    ask(services)
    others = replace(services, memory=Memory())
    studies.delete_study(others, "s", None)
    studies.create_study(others, studies.NewStudy("s", spec, "", {}), None)
    for i in range(4):
        finish(others, ask(others).trials[0], float(i))
    assert ask(services).trials[0].origin is Origin.SURROGATE


def test_what_is_queued_or_running_is_known_to_the_surrogate(services, make_study, optimizer) -> None:
    make_study()
    for i in range(4):
        finish(services, ask(services).trials[0], float(i))
    (first,) = ask(services).trials
    (second,) = ask(services).trials
    assert first.parameters in optimizer.asked[-1].pending
    assert first.parameters != second.parameters


def test_machines_failures_are_unknown_to_the_surrogate_and_bad_parameters_are_known(services, make_study) -> None:
    make_study(max_attempts=1)
    reasons = [FailureReason.CRASHED, FailureReason.OUT_OF_MEMORY]
    for reason in reasons:
        (trial,) = ask(services).trials
        running.complete_trial(services, "s", trial.number, trial.lease.token, Failure(reason), None)
    with services.store.read() as records:
        evidence = evidence_of(records, records.studies.get("s"))
    assert [(t.number, t.value) for t in evidence.past] == [(2, None)]
    assert evidence.pending == ()


def test_the_queue_goes_first(services, make_study) -> None:
    make_study()
    queued = trials.create_trial(services, "s", trials.NewTrial({"lr": 0.5, "norm": "batch"}, {"role": "mine"}), None)
    first, second = ask(services, count=2).trials
    assert (first.number, first.origin, first.labels) == (queued.number, Origin.USER, {"role": "mine"})
    assert second.origin is Origin.DEFAULT


def test_no_more_trials_than_allowed(services, make_study) -> None:
    make_study(max_trials=3)
    handed = ask(services, count=5)
    assert (len(handed.trials), handed.shortfall) == (3, Shortfall.ALL_IN_PROGRESS)
    assert handed.retry_delay is not None
    again = ask(services)
    assert (again.trials, again.shortfall) == ((), Shortfall.ALL_IN_PROGRESS)
    for trial in handed.trials:
        finish(services, trial, 1.0)
    assert ask(services).shortfall is Shortfall.COMPLETED
    assert studies.get_study(services, "s").study.state is StudyState.COMPLETED


def test_a_study_that_is_full_goes_on_when_its_limit_is_raised(services, make_study) -> None:
    make_study(max_trials=1)
    finish(services, ask(services).trials[0], 1.0)

    def revise(spec):
        return replace(spec, execution=replace(spec.execution, max_trials=2))

    changed = studies.update_study(services, "s", studies.StudyUpdate(revise=revise), None)
    assert changed.study.state is StudyState.ACTIVE
    assert len(ask(services).trials) == 1


def test_a_paused_study_gives_out_nothing_until_it_is_active_again(services, make_study) -> None:
    make_study()
    studies.update_study(services, "s", studies.StudyUpdate(state=StudyState.PAUSED), None)
    assert ask(services).shortfall is Shortfall.PAUSED
    studies.update_study(services, "s", studies.StudyUpdate(state=StudyState.ACTIVE), None)
    assert len(ask(services).trials) == 1


def test_a_finite_space_runs_out(services, make_study) -> None:
    make_study(space=SearchSpace((Parameter("c", CategoricalDomain(("a", "b", "c"))),)))
    handed = ask(services, count=4)
    assert sorted(t.parameters["c"] for t in handed.trials) == ["a", "b", "c"]
    assert handed.shortfall is Shortfall.ALL_IN_PROGRESS
    for trial in handed.trials:
        finish(services, trial, 1.0)
    assert ask(services).shortfall is Shortfall.SPACE_EXHAUSTED


def test_a_repeat_is_handed_out_where_the_last_result_came_meanwhile(services, make_study, optimizer) -> None:
    """Nothing was left to suggest while a trial was open; it ends before the answer is stored."""
    make_study(space=SearchSpace((Parameter("c", CategoricalDomain(("a", "b", "c", "d"))),)))
    *first, last = ask(services, count=4).trials
    for value, trial in enumerate(first):
        finish(services, trial, float(value))
    suggest = optimizer.suggest

    def meanwhile(*asked):
        found = suggest(*asked)
        finish(services, last, 9.0)
        return found

    optimizer.suggest = meanwhile
    (repeat,) = ask(services).trials
    assert repeat.parameters == first[0].parameters
    assert repeat.explanation is not None
    assert "Every configuration has been tried once" in repeat.explanation.summary
    optimizer.suggest = suggest
    assert ask(services).shortfall is Shortfall.ALL_IN_PROGRESS
    finish(services, repeat, 0.0)
    assert ask(services).shortfall is Shortfall.SPACE_EXHAUSTED


def test_a_late_surrogate_does_not_end_a_noisy_space(services, make_study, optimizer) -> None:
    make_study(space=SearchSpace((Parameter("c", CategoricalDomain(("a", "b", "c", "d"))),)))
    for value in range(12):
        handed = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "w", 30.0 if value % 2 else 0.0), None)
        finish(services, handed.trials[0], float(value))
    assert ask(services).trials


def test_the_same_request_gets_the_same_answer(services, make_study) -> None:
    make_study()
    key = RequestKey("r1", "SuggestTrials", "digest")
    first = ask(services, count=2, key=key)
    assert ask(services, count=2, key=key) == first
    with services.store.read() as records:
        assert len(records.trials.select("s")) == 2
    with pytest.raises(RequestIdReused, match="r1"):
        ask(services, key=RequestKey("r1", "SuggestTrials", "another digest"))


def test_two_studies_of_one_space_begin_with_different_sequences(services, make_study) -> None:
    handed = [[t.parameters["lr"] for t in ask(services, make_study(name), count=4).trials] for name in ("a", "b")]
    assert handed[0][0] == handed[1][0]
    assert handed[0][1:] != handed[1][1:]


def test_an_unknown_study_is_named(services) -> None:
    with pytest.raises(NotFound, match="studies/nobody"):
        ask(services, "nobody")


def test_states_after_a_mixed_life(services, make_study) -> None:
    make_study()
    a, b, c = ask(services, count=3).trials
    finish(services, a, 1.0)
    running.complete_trial(services, "s", b.number, b.lease.token, Failure(FailureReason.DIVERGED), None)
    trials.stop_trial(services, "s", c.number, "enough", None)
    assert finish(services, c, 2.0).state is TrialState.STOPPED
    counts = studies.get_study(services, "s").counts
    assert counts == {TrialState.SUCCEEDED: 1, TrialState.INFEASIBLE: 1, TrialState.STOPPED: 1}


def test_nothing_is_handed_out_to_a_caller_that_has_gone(services, make_study) -> None:
    """Neither new nor queued trials; a retry of the same request gets them, and one that was committed its answer."""
    make_study()
    trials.create_trial(services, "s", trials.NewTrial({"lr": 0.3, "norm": "batch"}, {}), None)
    key = RequestKey("id", "SuggestTrials", "digest")
    gone = suggesting.Ask("s", 5, "worker", 30.0, is_awaited=lambda: False)
    for _ in range(2):
        with pytest.raises(DeadlinePassed, match="ask again"):
            suggesting.suggest_trials(services, gone, key)
    with services.store.read() as records:
        assert records.trials.counts("s") == {TrialState.QUEUED: 1}
    handed = ask(services, count=5, key=key)
    assert [t.number for t in handed.trials] == [1, 2, 3, 4, 5]
    assert suggesting.suggest_trials(services, gone, key).trials == handed.trials
    with services.store.read() as records:
        assert records.trials.counts("s") == {TrialState.RUNNING: 5}
