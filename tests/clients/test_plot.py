"""Pictures of studies that aren't as one wishes: warnings are errors here."""

import math
from pathlib import Path

import bo_client
import pytest
from bo_client import figures
from bo_client.figures import matplotlib_renderer
from matplotlib.axes import Axes

DEFAULTS = {"role": "textbook-defaults"}


@pytest.fixture
def drawn(tmp_path: Path):
    """Draws a study; the axes and what its legend says."""

    def draw(kind: str, study: bo_client.Study) -> tuple[Axes, list[str]]:
        shown = figures.picture(study, kind)
        matplotlib_renderer.save(shown, tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
        figure = matplotlib_renderer.drawn(shown)
        (legend,) = figure.legends or [None]
        return figure.axes[0], [text.get_text() for text in legend.get_texts()] if legend else []

    return draw


def run(study: bo_client.Study, *curve: float, labels: dict[str, str] | None = None) -> None:
    """A trial with this learning curve, which diverges where the curve ends in what isn't finite."""
    study.enqueue({"lr": 0.01, "norm": "batch"}, labels)
    (trial,) = study.suggest()
    for step, value in enumerate(curve):
        trial.report({"loss": value}, step)
    trial.complete({"loss": curve[-1]}) if math.isfinite(curve[-1]) else trial.fail("DIVERGED")


@pytest.fixture
def study(server) -> bo_client.Study:
    space = bo_client.SearchSpace(
        [bo_client.FloatParameter("lr", 0.001, 1.0), bo_client.CategoricalParameter("norm", ["batch", "none"])]
    )
    metric = bo_client.Metric("loss", "minimize", unit="nats")
    return server.client().create_study("s", space, [metric], labels={"step": "epoch"})


@pytest.mark.parametrize("kind", ["convergence", "curves"])
def test_one_trial(study, drawn, kind) -> None:
    run(study, 1.0, 1.0)
    drawn(kind, study)


def test_axes_say_what_they_are(study, drawn) -> None:
    run(study, 2.0, 1.5, labels=DEFAULTS)
    run(study, 1.0, 0.5)
    axes, legend = drawn("convergence", study)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("trial", "loss (nats), lower is better")
    assert legend == ["trial", "best so far", "textbook defaults, 1.5"]
    assert [t.get_text() for t in axes.texts] == ["0.5, trial 2"]
    axes, legend = drawn("curves", study)
    assert axes.get_xlabel() == "epoch"
    assert legend == ["textbook defaults, trial 1", "best, trial 2"]


@pytest.fixture
def several(server, study):
    """Makes a study of so many objectives and a bound, of results in the order of these and the bounded metric."""

    def make(results, goals=("minimize", "maximize"), bound: float = 5.0) -> bo_client.Study:
        metrics = [bo_client.Metric(name, goal) for name, goal in zip("abc", goals, strict=False)]
        metrics.append(bo_client.Metric.at_most("size", bound))
        made = server.client().create_study("several", study.definition.space, metrics)
        for result in results:
            made.add({"lr": 0.01, "norm": "batch"}, dict(zip([m.name for m in metrics], result, strict=True)))
        return made

    return make


RESULTS = [(1.0, 1.0, 1.0), (2.0, 4.0, 1.0), (3.0, 3.0, 1.0), (0.5, 9.0, 6.0), (3.0, 6.0, 5.0)]


def places(axes: Axes, label: str) -> list[tuple[float, float]]:
    return [tuple(p) for c in axes.collections if c.get_label() == label for p in c.get_offsets().tolist()]


def test_a_front_is_what_nothing_beats(several, drawn) -> None:
    axes, legend = drawn("front", several(RESULTS))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a, lower is better", "b, higher is better")
    assert legend == ["trial", "beyond a bound", "Pareto front", "Pareto set"]
    assert places(axes, "trial") == [(1.0, 1.0), (2.0, 4.0), (3.0, 3.0), (3.0, 6.0)]
    assert places(axes, "beyond a bound") == [(0.5, 9.0)]
    assert places(axes, "Pareto set") == [(1.0, 1.0), (2.0, 4.0), (3.0, 6.0)]
    assert {t.get_text() for t in axes.texts} == {"1", "2", "5"}
    assert "4 results within the bounds, 3 of them" in axes.get_title(loc="left")


def test_a_few_bad_trials_do_not_flatten_a_front(several, drawn) -> None:
    results = [(1.0 + 0.1 * i, 2.0 + 0.1 * i, 1.0) for i in range(8)] + [(1e6, 1.0, 1.0)]
    axes, _ = drawn("front", several(results))
    assert axes.get_xlim()[1] < 3.0
    assert "1 far worse, outside" in [t.get_text() for t in axes.texts]


@pytest.mark.parametrize("first", ["minimize", "maximize"])
@pytest.mark.parametrize("second", ["minimize", "maximize"])
def test_the_line_of_a_front_parts_what_is_dominated(several, drawn, first, second) -> None:
    """Just beside the line on its better side nothing dominates; just beside it on the worse side something does."""
    signs = [1.0 if goal == "maximize" else -1.0 for goal in (first, second)]
    known = [(signs[0] * x, signs[1] * y) for x, y in ((1.0, 4.0), (2.0, 2.5), (4.0, 1.0), (1.0, 1.0))]
    axes, _ = drawn("front", several([(*pair, 1.0) for pair in known], (first, second)))
    (line,) = axes.get_lines()
    for x, y in _stairs(line):
        for step, expected in ((1e-6, False), (-1e-6, True)):
            at = (signs[0] * x + step, signs[1] * y + step)
            beaten = any(signs[0] * a >= at[0] and signs[1] * b >= at[1] for a, b in known)
            assert beaten is expected, (x, y, step)


def _stairs(line) -> list[tuple[float, float]]:
    """The middles of the runs that a step line is drawn with."""
    x, y = [list(map(float, data)) for data in line.get_data()]
    middles = []
    for (x0, y0), (x1, y1) in zip(zip(x, y, strict=True), list(zip(x, y, strict=True))[1:], strict=False):
        corner = (x1, y0) if line.get_drawstyle() == "steps-post" else (x0, y1)
        runs = [((x0, y0), corner), (corner, (x1, y1))]
        middles += [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in runs if (a, b) != (c, d)]
    return middles


def test_three_objectives_are_drawn_in_pairs(several, drawn) -> None:
    results = [(1.0, 5.0, 2.0, 1.0), (2.0, 6.0, 1.0, 1.0), (3.0, 4.0, 3.0, 1.0)]
    axes, legend = drawn("front", several(results, ("minimize", "maximize", "minimize")))
    panels = [a for a in axes.figure.axes if a.get_xlabel()]
    assert [(a.get_xlabel()[0], a.get_ylabel()[0]) for a in panels] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert legend == ["trial", "front of these two", "Pareto set"]
    assert places(axes, "Pareto set") == [(1.0, 5.0), (2.0, 6.0)]


@pytest.mark.parametrize(
    "results", [[(1.0, 1.0, 1.0)], [(1.0, 1.0, 9.0)], [(0.0, 0.0, 1.0)] * 3, [(1e-3, 1e6, 9.0)] * 2]
)
@pytest.mark.parametrize("kind", ["front", "convergence"])
def test_results_that_are_few_or_alike(several, drawn, kind, results) -> None:
    drawn(kind, several(results))


def test_a_front_of_one_objective_is_refused(study, tmp_path: Path) -> None:
    run(study, 1.0)
    with pytest.raises(figures.PlotError, match="convergence"):
        matplotlib_renderer.save(figures.picture(study, "front"), tmp_path / "p.png")


def test_each_objective_has_its_history(several, drawn) -> None:
    axes, legend = drawn("convergence", several(RESULTS))
    upper, lower = axes.figure.axes
    assert legend == ["trial", "beyond a bound", "best so far"]
    best = [line.get_ydata()[-1] for a in (upper, lower) for line in a.get_lines() if line.get_label() == "best so far"]
    assert best == [1.0, 6.0]
    assert places(upper, "beyond a bound") == [(4.0, 0.5)]
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "trial")


def test_each_objective_has_its_curves(several, drawn) -> None:
    made = several([])
    for values in ((1.0, 2.0), (3.0, 1.0)):
        (trial,) = made.suggest()
        for step in (1, 2):
            trial.report({"a": values[0] + 1 / step, "b": values[1] - 1 / step}, step)
        trial.complete({"a": values[0], "b": values[1], "size": 1.0})
    axes, legend = drawn("curves", made)
    assert [a.get_ylabel()[0] for a in axes.figure.axes] == ["a", "b"]
    assert legend == ["other trials", "Pareto set"]


def test_the_best_so_far_only_falls(study, drawn) -> None:
    for value in (3.0, 4.0, 1.0, 2.0):
        run(study, value)
    axes, _ = drawn("convergence", study)
    (line,) = [line for line in axes.get_lines() if line.get_label() == "best so far"]
    assert list(line.get_ydata()) == [3.0, 3.0, 1.0, 1.0, 1.0]


def test_curves_that_end_in_nan(study, drawn) -> None:
    run(study, 2.0, 1.0)
    run(study, 2.0, math.inf, math.nan)
    axes, _ = drawn("curves", study)
    assert sorted(len(line.get_xdata()) for line in axes.get_lines()) == [1, 2]
    _, legend = drawn("convergence", study)
    assert "ended without a result" in legend


def test_a_few_bad_trials_flatten_nothing(study, drawn) -> None:
    for value in (0.9, 0.8, 0.7, 0.75, 0.72, 0.71, 1e6):
        run(study, 1.0, value)
    axes, legend = drawn("convergence", study)
    assert axes.get_ylim()[1] < 10
    (far,) = [text for text in legend if text.startswith("worse than")]
    assert [axes.get_ylim()[0] < y < axes.get_ylim()[1] for _, y in places(axes, far)] == [True]
    axes, _ = drawn("curves", study)
    assert axes.get_ylim()[1] < 10


def test_trials_not_far_beyond_the_others_keep_their_height(study, drawn) -> None:
    for value in (0.25, 0.35, 0.32, 0.30, 0.33, 0.5500001):
        run(study, value)
    _, legend = drawn("convergence", study)
    assert legend == ["trial", "best so far"]


def test_the_marked_curves_are_seen_whole(study, drawn) -> None:
    run(study, 5.0, 0.9, labels=DEFAULTS)
    for value in (0.8, 0.85, 0.83, 0.82):
        run(study, 4.0, value)
    axes, _ = drawn("curves", study)
    assert axes.get_ylim()[1] >= 5.0


def test_values_of_many_sizes_get_a_log_axis(study, drawn) -> None:
    for value in (100.0, 10.0, 1.0, 0.1, 30.0, 60.0):
        run(study, value)
    axes, _ = drawn("convergence", study)
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_other_formats(study, tmp_path: Path, ending) -> None:
    run(study, 1.0)
    matplotlib_renderer.save(figures.picture(study, "convergence"), tmp_path / f"p.{ending}")
    assert (tmp_path / f"p.{ending}").stat().st_size > 1000


@pytest.mark.parametrize("name", ["p.xyz", "no/p.png"])
def test_what_cannot_be_written(study, tmp_path: Path, name) -> None:
    run(study, 1.0)
    with pytest.raises(figures.PlotError, match="cannot be written"):
        matplotlib_renderer.save(figures.picture(study, "convergence"), tmp_path / name)


def test_without_curves_there_is_nothing_to_draw(study, tmp_path: Path) -> None:
    study.add({"lr": 0.1, "norm": "batch"}, 1.0)
    with pytest.raises(figures.PlotError, match="nothing to draw"):
        matplotlib_renderer.save(figures.picture(study, "curves"), tmp_path / "p.png")
