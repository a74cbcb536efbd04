"""Pictures of what the surrogate has understood, of analyses and slices as they may come."""

from pathlib import Path

import bo_client
import pytest
from bo_client import figures
from bo_client.figures import matplotlib_renderer
from bo_client.insight import Slice, SliceAxis, SlicePoint
from bo_client.models import Prediction
from matplotlib.axes import Axes

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-4, 1.0, scale="log"),
        bo_client.FloatParameter("drop", 0.0, 0.5, unit="share"),
        bo_client.CategoricalParameter("norm", ["batch", "group"]),
        bo_client.CategoricalParameter("tune", [False, True]),
        bo_client.IntParameter("layers", 1, 30),
    ],
    [bo_client.ForbiddenCombination({"norm": "group", "tune": True})],
)
GOOD = {"lr": 0.01, "drop": 0.1, "norm": "batch", "tune": False, "layers": 3}


@pytest.fixture
def study(server) -> bo_client.Study:
    made = server.client().create_study("s", SPACE, [bo_client.Metric("loss", "minimize", unit="nats")])
    for i in range(4):
        made.add({**GOOD, "layers": i + 1}, float(i))
    return made


@pytest.fixture
def drawn(tmp_path: Path):
    """Draws what is given; the axes, and what the legend says."""

    def draw(kind: str, study: bo_client.Study, found: object) -> tuple[Axes, list[str]]:
        shown = getattr(figures, kind)(study.definition, found)
        matplotlib_renderer.save(shown, tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
        figure = matplotlib_renderer.drawn(shown)
        (legend,) = figure.legends or [None]
        return figure.axes[0], [text.get_text() for text in legend.get_texts()] if legend else []

    return draw


def test_importance(study, drawn) -> None:
    analysis = study.analyze()
    axes, legend = drawn("importance", study, analysis)
    assert [t.get_text() for t in axes.get_yticklabels()] == list(analysis.importance)
    assert legend == ["everywhere", "in the best 25% of the space"]
    assert axes.get_xlim() == (0.0, 1.0)


def test_a_line_on_its_scale(study, drawn) -> None:
    axes, legend = drawn("slice_", study, study.slice("lr"))
    assert (axes.get_xlabel(), axes.get_xscale()) == ("lr", "log")
    assert axes.get_ylabel() == "loss (nats), lower is better"
    assert legend == ["± 2 std", "predicted", "trial 1: 0.01"]
    axes, _ = drawn("slice_", study, study.slice("drop"))
    assert (axes.get_xlabel(), axes.get_xscale()) == ("drop (share)", "linear")


def test_a_line_over_categories(study, drawn) -> None:
    axes, legend = drawn("slice_", study, study.slice("norm", base={**GOOD, "tune": True}))
    assert [t.get_text() for t in axes.get_xticklabels()] == ["batch", "group"]
    assert "violates a constraint" in legend


@pytest.mark.parametrize(
    "names", [("lr", "drop"), ("norm", "tune"), ("layers", "norm"), ("tune", "lr"), ("layers", "lr")], ids="-".join
)
def test_maps(study, drawn, names) -> None:
    axes, _ = drawn("contour", study, study.slice(*names))
    assert axes.get_ylabel().split()[0] == names[0]
    assert axes.get_xlabel().split()[0] == names[1]


def test_what_nobody_knows_does_not_flatten_the_line(study, drawn) -> None:
    def point(x: float, mean: float, std: float) -> SlicePoint:
        return SlicePoint({"drop": x}, (Prediction("loss", mean, std),), 0.0, True)

    points = (point(0.0, 1.0, 1e3), point(0.2, 1.1, 0.1), point(0.5, 1.3, 0.1))
    found = Slice((SliceAxis("drop", (0.0, 0.2, 0.5)),), points, GOOD, 1, "log_ei", 4)
    axes, _ = drawn("slice_", study, found)
    low, high = axes.get_ylim()
    assert low > 0.5
    assert high < 2.0


def test_a_line_of_one_value(study, drawn) -> None:
    points = (SlicePoint({"drop": 0.0}, (Prediction("loss", 1.0, 0.0),), 0.0, True),)
    drawn("slice_", study, Slice((SliceAxis("drop", (0.0,)),), points, GOOD, None, "log_ei", 4))
