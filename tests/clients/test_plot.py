"""Pictures of studies that aren't as one wishes: warnings are errors here."""

import math
from pathlib import Path

import bo_client
import pytest
from bo_client.commands import plot
from matplotlib.axes import Axes

DEFAULTS = {"role": "textbook-defaults"}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Draws a study; the axes and what its legend says."""

    def draw(kind: str, study: bo_client.Study) -> tuple[Axes, list[str]]:
        kept: list[Axes] = []
        save = plot.save
        monkeypatch.setattr(plot, "save", lambda axes, path: (kept.append(axes), save(axes, path)))
        getattr(plot, kind)(study.info(), list(study.trials(full=True)), tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
        (legend,) = kept[0].figure.legends or [None]
        return kept[0], [text.get_text() for text in legend.get_texts()] if legend else []

    return draw


def run(study: bo_client.Study, *curve: float, labels: dict[str, str] | None = None) -> None:
    """A trial with this learning curve, which diverges where the curve ends in what isn't finite."""
    study.enqueue({"lr": 0.01, "norm": "batch"}, labels)
    (trial,) = study.suggest()
    for step, value in enumerate(curve):
        trial.report({"loss": value}, step)
    trial.complete({"loss": curve[-1]}) if math.isfinite(curve[-1]) else trial.fail("DIVERGED")


@pytest.fixture
def study(fake) -> bo_client.Study:
    space = bo_client.SearchSpace(
        [bo_client.FloatParameter("lr", 0.001, 1.0), bo_client.CategoricalParameter("norm", ["batch", "none"])]
    )
    metric = bo_client.Metric("loss", "minimize", unit="nats")
    return fake.client().create_study("s", space, [metric], labels={"step": "epoch"})


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
    assert any(text.startswith("worse than") for text in legend)
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
    plot.convergence(study.info(), list(study.trials()), tmp_path / f"p.{ending}")
    assert (tmp_path / f"p.{ending}").stat().st_size > 1000


@pytest.mark.parametrize("name", ["p.xyz", "no/p.png"])
def test_what_cannot_be_written(study, tmp_path: Path, name) -> None:
    run(study, 1.0)
    with pytest.raises(plot.PlotError, match="can't be written"):
        plot.convergence(study.info(), list(study.trials()), tmp_path / name)


def test_without_curves_there_is_nothing_to_draw(study, tmp_path: Path) -> None:
    study.add({"lr": 0.1, "norm": "batch"}, 1.0)
    with pytest.raises(plot.PlotError, match="nothing to draw"):
        plot.curves(study.info(), list(study.trials(full=True)), tmp_path / "p.png")
