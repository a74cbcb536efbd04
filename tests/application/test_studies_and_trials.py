"""Studies and trials as users see them."""

from dataclasses import replace

import pytest

from bo_service.application import best_trials, predict, studies, suggest_trials, trial_lifecycle, trials, watch_study
from bo_service.application.ports import RequestKey
from bo_service.domain.constraints import LinearConstraint
from bo_service.domain.errors import AlreadyExists, InvalidArgument, LimitExceeded, NotEnoughData, NotFound, WrongState
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.trial import Failure, FailureReason, Measurement, TrialState

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)

GOOD = {"lr": 0.5, "norm": "batch"}


def add(app, value, **parameters):
    new = trials.NewTrial({**GOOD, **parameters}, {}, final_measurement=Measurement({"loss": value}))
    return trials.create_trial(app, "s", new, None)


def test_the_same_spec_returns_the_study_and_another_is_refused(app, make_study) -> None:
    make_study()
    before = studies.get_study(app, "s").study
    make_study()
    assert studies.get_study(app, "s").study == before
    with pytest.raises(AlreadyExists, match="studies/s"):
        make_study(max_attempts=7)


def test_pages_of_studies(app, make_study) -> None:
    for name in ("b", "a", "c"):
        make_study(name)
    first, token = studies.list_studies(app, "", 2)
    rest, end = studies.list_studies(app, token, 2)
    assert [v.study.study_id for v in first + rest] == ["a", "b", "c"]
    assert end == ""


def test_a_deleted_study_takes_its_trials_along(app, make_study) -> None:
    make_study()
    add(app, 1.0)
    studies.delete_study(app, "s", None)
    with pytest.raises(NotFound, match="studies/s"):
        trials.list_trials(app, "s", (), 0, 10, full=False)
    make_study()
    assert trials.list_trials(app, "s", (), 0, 10, full=True).trials == ()


def test_observations_from_elsewhere_teach_the_surrogate(app, make_study) -> None:
    make_study()
    with pytest.raises(NotEnoughData, match="at least 2"):
        predict.predict(app, "s", [GOOD], 10.0)
    for lr in (0.001, 0.01, 0.1, 1):
        add(app, 10 * lr, lr=lr)
    found = predict.predict(app, "s", [{"lr": 0.1, "norm": "batch"}], 10.0)
    (prediction,) = found.points[0].predictions
    assert prediction.metric == "loss"
    assert prediction.mean == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"lr": 2.0}, 'trial.parameters["lr"]'), ({"norm": "none"}, 'trial.parameters["norm"]'), ({"depth": 3}, "depth")],
)
def test_a_configuration_outside_the_space_names_its_parameter(app, make_study, changes, field) -> None:
    make_study()
    with pytest.raises(InvalidArgument) as refusal:
        trials.create_trial(app, "s", trials.NewTrial({**GOOD, **changes}, {}), None)
    assert field in refusal.value.violations[0].field


def test_a_configuration_that_violates_a_constraint_is_not_queued(app, make_study) -> None:
    space = SearchSpace(
        (Parameter("a", FloatDomain(0, 1)), Parameter("b", FloatDomain(0, 1))), (LinearConstraint({"a": 1, "b": 1}, 1),)
    )
    make_study(space=space)
    with pytest.raises(InvalidArgument, match="constraint"):
        trials.create_trial(app, "s", trials.NewTrial({"a": 1, "b": 0.5}, {}), None)
    assert trials.create_trial(app, "s", trials.NewTrial({"a": 1, "b": 0}, {}), None).parameters == {
        "a": 1,
        "b": 0,
    }


def test_a_recorded_failure_ends_the_trial(app, make_study) -> None:
    make_study()
    for reason, state in (
        (FailureReason.CRASHED, TrialState.FAILED),
        (FailureReason.DIVERGED, TrialState.INFEASIBLE),
    ):
        new = trials.NewTrial(GOOD, {}, failure=Failure(reason))
        assert trials.create_trial(app, "s", new, None).state is state


def test_a_trial_comes_with_its_learning_curve(app, make_study) -> None:
    make_study()
    curve = tuple(Measurement({"loss": 1.0 / (step + 1)}, step) for step in (2, 0, 1))
    made = trials.create_trial(app, "s", trials.NewTrial(GOOD, {}, measurements=curve), None)
    assert made.latest_measurement == curve[0]
    kept = trials.get_trial(app, "s", made.number, full=True)
    assert [(m.step, m.metrics) for m in kept.measurements or ()] == [
        (m.step, m.metrics) for m in sorted(curve, key=lambda m: m.step)
    ]


def test_a_full_study_takes_no_more(app, make_study) -> None:
    make_study(max_trials=1)
    add(app, 1.0)
    with pytest.raises(LimitExceeded, match="max_trials"):
        add(app, 2.0)
    with pytest.raises(WrongState, match="completed"):
        trials.create_trial(app, "s", trials.NewTrial(GOOD, {}), None)


def test_pages_of_trials_by_state(app, make_study) -> None:
    make_study()
    for i in range(5):
        add(app, float(i))
    trials.create_trial(app, "s", trials.NewTrial(GOOD, {}), None)
    page = trials.list_trials(app, "s", [TrialState.SUCCEEDED], 0, 3, full=False)
    rest = trials.list_trials(app, "s", [TrialState.SUCCEEDED], page.next_after, 3, full=False)
    assert [v.trial.number for v in page.trials + rest.trials] == [1, 2, 3, 4, 5]
    assert rest.next_after is None


def test_the_best_come_first_and_the_earlier_of_equals(app, make_study) -> None:
    make_study()
    for value in (3.0, 1.0, 2.0, 1.0):
        add(app, value)
    assert [t.number for t in best_trials.best_trials(app, "s", 3)] == [2, 4, 3]


def test_a_running_trial_is_not_deleted_and_numbers_are_never_used_again(app, make_study) -> None:
    make_study()
    handed = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "w", 9.0), None).trials[0]
    with pytest.raises(WrongState, match="stop it first"):
        trials.delete_trial(app, "s", handed.number, None)
    trial_lifecycle.complete_trial(app, "s", 1, handed.lease.token, Measurement({"loss": 1.0}), None)
    trials.delete_trial(app, "s", 1, None)
    with pytest.raises(NotFound, match="trials/1"):
        trials.get_trial(app, "s", 1, full=False)
    assert add(app, 1.0).number == 2


def test_a_watcher_sees_all_then_what_is_new(app, make_study) -> None:
    make_study()
    for i in range(3):
        add(app, float(i))
    stream = watch_study.watch_study(app, "s", 0, True, lambda: True)
    whole = next(stream)
    assert [v.trial.number for v in whole.trials] == [1, 2, 3]
    trials.delete_trial(app, "s", 2, None)
    add(app, 9.0)
    news = next(stream)
    assert [v.trial.number for v in news.trials] == [4]
    assert news.deleted == (2,)
    assert news.revision == news.study.study.revision > whole.revision
    resumed = next(watch_study.watch_study(app, "s", whole.revision, False, lambda: True))
    assert replace(resumed) == replace(news, trials=resumed.trials)


def test_a_long_story_is_told_in_pages(app, make_study) -> None:
    make_study()
    for i in range(205):
        add(app, float(i))
    stream = watch_study.watch_study(app, "s", 0, False, lambda: True)
    pages = [next(stream) for _ in range(3)]
    assert [len(p.trials) for p in pages] == [100, 100, 5]
    assert pages[0].revision == pages[0].trials[-1].trial.revision


def test_a_deleted_study_ends_the_watch(app, make_study) -> None:
    make_study()
    stream = watch_study.watch_study(app, "s", 0, False, lambda: True)
    next(stream)
    studies.delete_study(app, "s", None)
    with pytest.raises(NotFound):
        next(stream)


def test_a_repeated_call_gets_its_answer_though_the_study_is_gone(app, make_study) -> None:
    make_study()
    key = {name: RequestKey(name, name, "same") for name in ("suggest", "create", "stop", "complete", "drop", "update")}
    ask = suggest_trials.SuggestRequest("s", 1, "w", 0.0)
    (given,) = suggest_trials.suggest_trials(app, ask, key["suggest"]).trials
    token = given.lease.token

    def calls() -> list[object]:
        change = studies.StudyUpdate(display_name="named")
        return [
            suggest_trials.suggest_trials(app, ask, key["suggest"]),
            trials.create_trial(app, "s", trials.NewTrial(GOOD, {}), key["create"]),
            trials.stop_trial(app, "s", 2, "enough", key["stop"]),
            trial_lifecycle.complete_trial(app, "s", 1, token, Measurement({"loss": 0.5}), key["complete"]),
            trials.delete_trial(app, "s", 2, key["drop"]),
            studies.update_study(app, "s", change, key["update"]),
        ]

    first = calls()
    studies.delete_study(app, "s", None)
    assert calls() == first
    with pytest.raises(NotFound):
        suggest_trials.suggest_trials(app, ask, RequestKey("another", "suggest", "same"))
