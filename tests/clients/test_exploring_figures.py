"""Figures that pages explore with: points know their trials, curves are smoothed and chosen, studies are compared."""

import bo_client
import pytest
from bo_client import figures
from bo_client.errors import InvalidRequest
from bo_client.figures import CurveOptions
from bo_client.figures.learning_curves import reported_metrics, smoothed
from bo_client.figures.marks import Dots, FigureSpec, Line
from bo_client.figures.parallel_content import ABSENT, content_of
from bo_client.insight import (
    Analysis,
    BestAnalysis,
    Calibration,
    Estimate,
    MetricAnalysis,
    ParameterImportance,
    RegionImportance,
)
from bo_client.models import Trial
from bo_client.testing import InProcessServer

SPACE = bo_client.SearchSpace(
    [bo_client.FloatParameter("x", 0.0, 1.0), bo_client.CategoricalParameter("kind", ["a", "b", "c"])]
)


@pytest.fixture(scope="module")
def study() -> bo_client.Study:
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("size", "maximize")]
    study = InProcessServer().client().create_study("s", SPACE, metrics, algorithm="quasi_random")
    for number in range(6):
        (trial,) = study.suggest(worker_id="w")
        for step in range(3):
            trial.report({"loss": 10.0**-step, "extra": float(number - 3)}, step)
        if number == 2:
            trial.fail("DIVERGED", "no")
        else:
            trial.complete({"loss": 0.1 * number, "size": float(number)})
    return study


@pytest.fixture(scope="module")
def trials(study) -> list[Trial]:
    return list(study.trials(full=True))


def lines(spec: FigureSpec) -> list[Line]:
    return [mark for panel in spec.panels for mark in panel.marks if isinstance(mark, Line)]


@pytest.mark.parametrize("kind", ["convergence", "front", "curves", "parallel", "workers"])
def test_points_know_their_trials(study, kind: str) -> None:
    spec = figures.picture(study, kind)
    marks = [m for p in spec.panels for m in p.marks if isinstance(m, Dots | Line) and m.hover]
    assert marks
    for mark in marks:
        assert len(mark.trials) == len(mark.x)
        named = [text.split("\n")[0].split(",")[0] for text in mark.hover]
        assert named == [f"trial {number}" for number in mark.trials]
    drawn = figures.drawn(spec)
    assert any(trace.customdata is not None for trace in drawn.data)


def test_an_average_begins_without_bias() -> None:
    points = [(step, 5.0) for step in range(4)]
    assert [value for _, value in smoothed(points, 0.9)] == pytest.approx([5.0] * 4)
    # by hand: 0.5 * 0 + 0.5 * 4 = 2, over 1 - 0.5 ** 2
    assert [value for _, value in smoothed([(0, 0.0), (1, 4.0)], 0.5)] == pytest.approx([0.0, 2.0 / 0.75])
    assert smoothed(points, 0.0) is points


def test_curves_are_of_any_metric_and_of_chosen_trials(study, trials) -> None:
    info = study.definition
    assert reported_metrics(info, trials) == ["loss", "size", "extra"]
    extra = figures.curves(info, trials, "extra", CurveOptions(numbers={1, 5}))
    assert {line.label for line in lines(extra)} == {"trial 1", "trial 5"}
    assert len({line.shade for line in lines(extra)}) == 2
    for scale in ("linear", "log"):
        assert figures.curves(info, trials, "loss", CurveOptions(scale)).panels[0].y.scale == scale
    negative = figures.curves(info, trials, "extra", CurveOptions("log", numbers={1}))
    assert lines(negative) == []
    assert figures.drawn(negative).layout.meta["summary"]
    with pytest.raises(InvalidRequest, match="nope"):
        figures.curves(info, trials, "nope")


@pytest.mark.parametrize("options", [{"scale": "cubic"}, {"smoothing": 1.0}, {"smoothing": -0.1}])
def test_options_that_do_not_exist_are_refused(options: dict) -> None:
    with pytest.raises(InvalidRequest):
        CurveOptions(**options)


def test_each_objective_has_an_axis_and_the_first_ranks(study, trials) -> None:
    info = study.definition
    loss, size = info.objectives
    content = content_of(info, trials, [size, loss])
    assert [axis.name for axis in content.axes] == ["x", "kind", "size", "loss"]
    results = [line for line in content.lines if line.kind == "result"]
    assert [line.trial.number for line in results] == [1, 2, 4, 5, 6]  # the best by size comes last
    assert [round(line.heights[2], 3) for line in results] == [0.0, 0.2, 0.6, 0.8, 1.0]
    (lost,) = (line for line in content.lines if line.kind == "lost")
    assert (lost.trial.number, lost.heights[-1], len(lost.heights)) == (3, ABSENT, 3)
    titles = [text for _, text in figures.parallel(info, trials).panels[0].x.ticks]
    assert titles == ["x", "kind", "loss", "size"]


def test_importance_has_a_panel_for_each_objective(study) -> None:
    def analyzed(metric: str, share: float) -> MetricAnalysis:
        estimate = Estimate(share, 0.01)
        region = RegionImportance(1.0, None, 1.0, (ParameterImportance("x", estimate, estimate),))
        best = BestAnalysis("", (), 1, 0.0, 0.95, 1)
        return MetricAnalysis(metric, (region,), best, Calibration("", 5, 0.5, 0.9, 0.8))

    analysis = Analysis((analyzed("loss", 0.75), analyzed("size", 0.5)), 5)
    spec = figures.importance(study.definition, analysis)
    assert [panel.y.title for panel in spec.panels] == ["loss", "size"]
    assert len(figures.importance(study.definition, analysis, "size").panels) == 1
    assert "loss: x 75%; size: x 50%" in spec.summary


def test_studies_are_compared_by_the_number_of_their_results(study, trials) -> None:
    client = InProcessServer().client()
    other = client.create_study("other", SPACE, "loss", goal="minimize")
    for value in [0.5, 0.7] + [0.25] * 260:
        other.add({"x": value, "kind": "a"}, value)
    spec = figures.comparison([(study.definition, trials), (other.definition, list(other.trials()))])
    assert [line.label for line in lines(spec)] == ["s", "other", "s"]
    ours, theirs, sizes = lines(spec)
    assert list(ours.y) == [0.0] * 5
    assert list(theirs.y[:4]) == [0.5, 0.5, 0.25, 0.25]
    assert list(sizes.y) == [0.0, 1.0, 3.0, 4.0, 5.0]
    assert spec.panels[0].x.scale == "log"  # the shorter one would be a point
    empty = client.create_study("empty", SPACE, "loss", goal="minimize")
    assert "nothing to draw" in figures.comparison([(empty.definition, [])]).message
