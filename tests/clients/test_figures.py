"""Figures: what they show of studies of every kind, and that both ways of drawing take them."""

import json
import math
import sys
from collections.abc import Iterator
from itertools import combinations

import bo_client
import pytest
from bo_client import figures
from bo_client.figures import matplotlib_renderer
from bo_client.figures.learning_curves import MAX_CURVES
from bo_client.figures.marks import Dots, FigureSpec, Line, TextMark
from bo_client.figures.parallel_axes import ABSENT, MAX_LINES
from bo_client.figures.themes import PALETTES
from bo_client.testing import InProcessServer
from hypothesis import given, settings
from hypothesis import strategies as st

EVIL = "<script>alert(1)</script>"


def marks(shown: FigureSpec, kind: type, label: str | None = None) -> list:
    return [m for p in shown.panels for m in p.marks if isinstance(m, kind) and (label is None or m.label == label)]


def texts(node: object) -> Iterator[str]:
    """Every string of a figure's JSON."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


@pytest.fixture
def known(seen) -> bo_client.Study:
    """A study with a trial of each kind and three results."""
    seen.add({"lr": 0.1, "norm": "group", "groups": 2}, {"loss": 0.9})
    return seen


def test_all_figures_by_name(known) -> None:
    made = figures.of(known)
    names = list(known.analyze().importance)
    slices = [f"slice {name}" for name in names]
    pair = " ".join(names[:2])
    expected = ["convergence", "curves", "parallel", "importance", *slices, f"contour {pair}", f"uncertainty {pair}"]
    assert list(made) == expected
    for figure in made.values():
        told = json.loads(figures.as_json(figure))
        assert told["data"]
        assert told["layout"]["meta"]["title"].startswith("s: ")
        assert told["layout"]["meta"]["summary"]


@pytest.mark.parametrize("theme", list(PALETTES))
@pytest.mark.parametrize("kind", figures.KINDS)
def test_without_any_trial_a_figure_says_so(study, kind, theme) -> None:
    figure = figures.figure(study, kind, theme=theme)
    (note,) = figure.layout.annotations
    assert "nothing to draw" in note.text
    assert figure.layout.paper_bgcolor == PALETTES[theme].paper
    assert not figure.data
    with pytest.raises(figures.PlotError, match="nothing to draw"):
        matplotlib_renderer.drawn(figures.picture(study, kind))


@pytest.mark.parametrize(
    ("given_", "hint"),
    [
        ({"kind": "pie"}, "convergence"),
        ({"kind": "slice", "parameters": ["lr", "norm", "groups"]}, "1 or 2"),
        ({"kind": "contour", "parameters": ["lr"]}, "goes along 2"),
        ({"kind": "slice", "parameters": ["depth"]}, "depth"),
        ({"kind": "slice", "metric": "accuracy"}, "accuracy"),
        ({"kind": "importance", "metric": "accuracy"}, "loss"),
        ({"kind": "convergence", "metric": "speed"}, "speed"),
        ({"kind": "convergence", "theme": "blue"}, "light and dark"),
        ({"kind": "contour", "show": "variance"}, "variance"),
    ],
)
def test_what_makes_no_sense_is_refused(known, given_, hint) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=hint):
        figures.figure(known, **given_)


def test_any_metric_can_be_drawn(known) -> None:
    shown = figures.picture(known, "convergence", metric="accuracy")
    assert shown.panels[0].y.title == "accuracy"
    assert sorted(y for m in marks(shown, Dots) if m.label != "ended without a result" for y in m.y) == [0.5, 0.8]


def test_nothing_that_a_user_wrote_is_read_as_html(server) -> None:
    space = bo_client.SearchSpace(
        [
            bo_client.CategoricalParameter("kind", [EVIL, "<a href='https://x'>b</a>"]),
            bo_client.FloatParameter("x", 0, 1),
        ]
    )
    metric = bo_client.Metric("loss", "minimize", unit="<b>")
    study = server.client().create_study("evil", space, [metric], display_name=EVIL, labels={"step": "<i>epoch"})
    for i in range(4):
        (trial,) = study.suggest()
        trial.report({"loss": 1.0 + i}, 1)
        trial.complete({"loss": float(i)})
    for name, figure in figures.of(study).items():
        told = json.loads(figures.as_json(figure))
        told["layout"].pop("meta")  # for programs, as it was given
        found = {text for text in texts(told) if "<" in text.replace("<br>", "")}
        assert not found, name


def test_trials_are_told_apart_by_their_origin(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    study = server.client().create_study("s", space, "loss", goal="minimize", initial_trials=2)
    study.add({"x": 0.5}, 3.0)
    for value in (2.0, 1.5, 1.0, 1.2):
        study.suggest()[0].complete({"loss": value})
    shown = figures.picture(study, "convergence")
    by_origin = {t.number: t.origin for t in study.trials()}
    chosen = [n for n, origin in by_origin.items() if origin is bo_client.Origin.SURROGATE]
    assert chosen
    assert list(marks(shown, Dots, "by the surrogate")[0].x) == chosen
    assert list(marks(shown, Dots, "given by a user")[0].x) == [1]
    assert "trial 4, succeeded" in "".join(text for m in marks(shown, Dots) for text in m.hover)


def test_running_trials_have_curves(known) -> None:
    shown = figures.picture(known, "curves")
    (line,) = marks(shown, Line, "running")
    assert (list(line.x), list(line.y), line.is_dashed) == ([3], [1.1], True)


def test_many_curves_are_the_best_and_the_last(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    study = server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random")
    for number in range(MAX_CURVES + 20):
        (trial,) = study.suggest()
        trial.report({"loss": float(number)}, 1)
        trial.complete({"loss": float(number)})
    shown = figures.picture(study, "curves")
    assert shown.title == f"s: learning curves of {MAX_CURVES} of {MAX_CURVES + 20} trials"
    assert [line.y[0] for line in marks(shown, Line, "best, trial 1")] == [0.0]
    assert len(marks(shown, Line)) == MAX_CURVES


def test_a_log_axis_of_curves_leaves_out_values_below_zero(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    study = server.client().create_study("s", space, "gain", goal="maximize", algorithm="quasi_random")
    for values in ((0.01, 5.0), (0.02, 6.0), (0.03, 7.0), (0.04, 8.0), (-5.0, -1e9)):
        (trial,) = study.suggest()
        for step, value in enumerate(values):
            trial.report({"gain": value}, step)
        trial.complete({"gain": values[-1]})
    shown = figures.picture(study, "curves")
    assert shown.panels[0].y.scale == "log"
    assert min(y for line in marks(shown, Line) for y in line.y) < 0
    matplotlib_renderer.drawn(shown).draw_without_rendering()
    figures.drawn(shown, "light")


def test_parallel_lines_go_through_what_a_trial_had(known) -> None:
    shown = figures.picture(known, "parallel")
    lines = [m for m in marks(shown, Line) if m.shade is not None]
    rows = [tuple(line.y[i : i + 4]) for line in lines for i in range(0, len(line.y), 5)]
    assert len(rows) == 3
    without_groups = next(row for row in rows if row[0] == pytest.approx(0.5))  # lr 0.01, norm batch
    assert without_groups[1:] == (0.0, ABSENT, 1.0)
    (lost,) = marks(shown, Line, "ended without a result")
    assert lost.y[3] == ABSENT
    assert max(lines, key=lambda line: line.shade).shade > 0.9
    assert "absent" in [word.text for word in marks(shown, TextMark)]


def test_thousands_of_trials_are_a_few_traces(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    study = server.client().create_study("s", space, "loss", goal="minimize")
    for i in range(MAX_LINES + 100):
        study.add({"x": i / 1000}, float(i))
    figure = figures.figure(study, "parallel")
    assert len(figure.data) < 20
    assert f"the best {MAX_LINES} of {MAX_LINES + 100}" in figure.layout.title.text


def test_observed_values_are_beside_the_expected(known) -> None:
    shown = figures.picture(known, "slice", ["lr"])
    (dots,) = marks(shown, Dots, "observed, the rest differs")
    assert sorted(dots.y) == [0.75, 0.9, 1.25]
    assert shown.panels[0].x.scale == "log"
    low, high = shown.panels[0].y.window
    assert low < 0.75
    assert high > 1.25


def test_the_uncertainty_has_a_map_of_its_own(known) -> None:
    mean, std = (figures.figure(known, "contour", ["lr", "norm"], show=show) for show in ("mean", "std"))
    assert mean.data[0].colorbar.title.text == "predicted loss (nats)"
    assert std.data[0].colorbar.title.text == "std of loss (nats)"
    assert mean.data[0].z != std.data[0].z


def test_a_front_of_three_objectives(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    metrics = [bo_client.Metric(name, "minimize") for name in "abc"]
    study = server.client().create_study("s", space, metrics)
    for i in range(5):
        study.add({"x": i / 5}, {"a": float(i), "b": 5.0 - i, "c": 1.0})
    assert "front" in figures.of(study)
    assert [axis.title.text[0] for axis in figures.figure(study, "front").select_yaxes()] == ["b", "c", "c"]


def test_without_the_libraries_it_is_told_what_to_install(known, bo, monkeypatch, tmp_path) -> None:
    for missing in ("plotly", "plotly.graph_objects", "plotly.offline", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(figures.PlotError, match=r"pip install .bo-service\[report\]"):
        figures.of(known)
    for command, extra in (("report", "report"), ("plot", "plot")):
        done = bo(command, "s", "-o", tmp_path / "out.html")
        assert done.exit_code == 1
        assert f"bo-service[{extra}]" in done.stderr


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", list(PALETTES))
def test_contrast_as_the_web_asks_for(theme) -> None:
    palette = PALETTES[theme]
    assert min(contrast(palette.colors[c], palette.paper) for c in ("ink", "quiet", "accent")) >= 4.5  # texts
    assert min(contrast(color, palette.paper) for color in palette.colors.values()) >= 3.0  # marks


DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))


@pytest.mark.parametrize("matrix", [DEUTERANOPIA, PROTANOPIA])
@pytest.mark.parametrize("theme", list(PALETTES))
def test_the_color_blind_tell_the_colors_apart(theme, matrix) -> None:
    """As Machado, Oliveira and Fernandes (2009) have them see; red marks have shapes of their own."""

    def seen_as(color: str) -> list[float]:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return [sum(a * c for a, c in zip(row, linear, strict=True)) for row in matrix]

    told = [seen_as(PALETTES[theme].colors[c]) for c in ("accent", "second", "muted", "ink")]
    assert min(math.dist(a, b) for a, b in combinations(told, 2)) > 0.1


@st.composite
def studies(draw) -> bo_client.Study:
    """A study of any parameters, with results of any size, failures, curves, bounds, and conditions."""
    n = st.integers(0, 3)
    parameters: list[bo_client.Parameter] = [
        bo_client.CategoricalParameter("kind", ["a", "b"][: draw(st.integers(1, 2))])
    ]
    for i in range(draw(n)):
        log = draw(st.booleans())
        rule = bo_client.Activation("kind", ["a"]) if draw(st.booleans()) else None
        parameters.append(
            bo_client.FloatParameter(
                f"f{i}", 1e-9, draw(st.sampled_from([1e-8, 1.0, 1e9])), "log" if log else "linear", None, rule
            )
        )
    parameters += [bo_client.IntParameter(f"i{i}", 3, draw(st.integers(3, 2000))) for i in range(draw(n))]
    if draw(st.booleans()):
        parameters.append(bo_client.DiscreteParameter("d", draw(st.sampled_from([["low", "high"], [1.0, 2.5], [7]]))))
    objectives = draw(st.integers(1, 3))
    goals = draw(st.lists(st.sampled_from(["minimize", "maximize"]), min_size=objectives, max_size=objectives))
    metrics = [bo_client.Metric(f"m{i}", goal) for i, goal in enumerate(goals)]
    if draw(st.booleans()):
        metrics.append(bo_client.Metric.at_most("size", 0.0))
    server = InProcessServer()
    study = server.client().create_study("s", bo_client.SearchSpace(parameters), metrics)
    value = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, 1e-300, 1e300, -1e300]))
    for _ in range(draw(st.integers(0, 6))):
        for trial in study.suggest():
            result = {m.name: draw(value) for m in metrics}
            for step in range(draw(st.integers(0, 2))):
                trial.report(result, step)
            match draw(st.sampled_from(["complete", "fail", "run"])):
                case "complete":
                    trial.complete(result)
                case "fail":
                    trial.fail("DIVERGED")
    return study


@settings(max_examples=10)
@given(study=studies(), theme=st.sampled_from(sorted(PALETTES)))
def test_every_study_has_figures(study, theme) -> None:
    for name, shown in figures.pictures(study).items():
        told = json.loads(figures.as_json(figures.drawn(shown, theme)))
        assert bool(told["data"]) == bool(shown.panels), name
        assert told["layout"].get("annotations") or shown.panels, name


@settings(max_examples=3)
@given(study=studies())
def test_every_study_has_pictures_in_files(study) -> None:
    for shown in figures.pictures(study).values():
        if shown.panels:
            matplotlib_renderer.drawn(shown).draw_without_rendering()
