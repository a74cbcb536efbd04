"""Analyses and slices in the study's own direction, and what is refused before anything is computed."""

import math

import pytest

from bo_service.application import insight, trials
from bo_service.application.insight import SliceQuery
from bo_service.domain.errors import InvalidArgument, NotEnoughData, NotFound
from bo_service.domain.parameter_types import CategoricalDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal
from bo_service.domain.trial import Measurement

GOOD = {"lr": 0.01, "norm": "batch"}


def add(app, value: float, **changes) -> None:
    new = trials.NewTrial({**GOOD, **changes}, {}, final_measurement=Measurement({"loss": value}))
    trials.create_trial(app, "s", new, None)


@pytest.fixture
def fill(app, make_study):
    """A study with twelve trials of a parabola on lr's scale, with its best at trial 7; of the goal given."""

    def fill(goal: Goal) -> None:
        make_study(goal=goal)
        for i in range(12):
            lr = 10.0 ** (-4 + i / 3)
            worth = -goal.sign * (3.0 + (math.log10(lr) + 2) ** 2)
            add(app, worth, lr=lr, norm=("batch", "layer")[i % 2])

    return fill


@pytest.mark.parametrize("goal", list(Goal))
def test_an_analysis_speaks_of_the_metric_as_the_user_does(app, fill, goal) -> None:
    fill(goal)
    found = insight.analyze(app, "s", 10.0)["loss"]
    leader = found.best.contenders[0]
    assert (leader.trial, found.best.observed_best) == (7, 7)
    assert leader.value == pytest.approx(-3.0 * goal.sign)
    assert leader.mean == pytest.approx(-3.0 * goal.sign, abs=0.2)
    assert leader.expected_regret >= 0.0
    _, better = found.importance
    assert better.bound == pytest.approx(-3.25 * goal.sign, abs=0.25)


@pytest.mark.parametrize("goal", list(Goal))
def test_a_slice_speaks_of_the_metric_as_the_user_does(app, fill, goal) -> None:
    fill(goal)
    found = insight.predict_slice(app, "s", SliceQuery(("lr",)), 10.0)
    assert len(found.points) == 50
    assert found.slice.base_trial == 7
    assert {p.predictions[0].metric for p in found.points} == {"loss"}
    means = [goal.sign * p.predictions[0].mean for p in found.points]
    assert 20 <= means.index(max(means)) <= 30
    assert max(means) == pytest.approx(-3.0, abs=0.2)


def test_two_parameters_have_a_coarser_grid(app, fill) -> None:
    fill(Goal.MINIMIZE)
    found = insight.predict_slice(app, "s", SliceQuery(("lr", "norm")), 10.0)
    assert [len(axis.values) for axis in found.slice.axes] == [25, 2]


@pytest.mark.parametrize(
    ("ask", "field", "hint"),
    [
        (SliceQuery(()), "parameters", "one or two"),
        (SliceQuery(("lr", "norm", "lr")), "parameters", "one or two"),
        (SliceQuery(("lr", "lr")), "parameters", "twice"),
        (SliceQuery(("depth",)), "parameters[0]", "'lr', 'norm'"),
        (SliceQuery(("lr",), 1), "grid_size", "2 to 1000"),
        (SliceQuery(("lr", "norm"), 101), "grid_size", "2 to 100"),
        (SliceQuery(("lr",), -3), "grid_size", "2 to 1000"),
        (SliceQuery(("lr",), 5, {"lr": 0.1}), 'base.parameters["norm"]', "missing"),
        (SliceQuery(("lr",), 5, {"lr": 7.0, "norm": "batch"}), 'base.parameters["lr"]', "7.0"),
    ],
)
def test_refusals_name_the_field(app, fill, ask, field, hint) -> None:
    fill(Goal.MINIMIZE)
    with pytest.raises(InvalidArgument) as refusal:
        insight.predict_slice(app, "s", ask, 10.0)
    (fault,) = refusal.value.violations
    assert fault.field == field
    assert hint in fault.description


def test_too_many_points_are_refused(app, make_study) -> None:
    many = tuple(f"v{i}" for i in range(200))
    make_study(space=SearchSpace(tuple(Parameter(n, CategoricalDomain(many)) for n in "ab")))
    with pytest.raises(InvalidArgument, match=r"40000 points.*10000"):
        insight.predict_slice(app, "s", SliceQuery(("a", "b")), 10.0)


def test_a_study_that_is_not_there_or_knows_too_little(app, make_study) -> None:
    for call in (
        lambda: insight.analyze(app, "s", 1.0),
        lambda: insight.predict_slice(app, "s", SliceQuery(("lr",)), 1.0),
    ):
        with pytest.raises(NotFound):
            call()
    make_study()
    add(app, 1.0)
    for call in (
        lambda: insight.analyze(app, "s", 1.0),
        lambda: insight.predict_slice(app, "s", SliceQuery(("lr",)), 1.0),
    ):
        with pytest.raises(NotEnoughData, match="1 finished trials"):
            call()
