"""Reports and figures of a study on a real server, whose surrogate has learned something."""

import math

import bo_client
import pytest
from bo_client import figures, report
from bo_client.figures.marks import Band, Heatmap, Line

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("learning_rate", 1e-4, 1.0, scale="log"),
        bo_client.FloatParameter("dropout", 0.0, 0.5),
        bo_client.CategoricalParameter("norm", ["batch", "group"]),
        bo_client.IntParameter("groups", 1, 8, activation=bo_client.Activation("norm", ["group"])),
    ]
)


def loss(parameters, trial) -> float:
    value = (math.log10(parameters["learning_rate"]) + 2.0) ** 2 + parameters["dropout"]
    for step in (1, 2):
        trial.report({"loss": value + 1.0 / step}, step)
    return value


@pytest.fixture
def study(server: str):
    """Sixteen trials, one of which diverged, of a learning rate that is too large."""
    with bo_client.connect(server) as client:
        made = client.create_study("flowers", SPACE, "loss", goal="minimize", max_trials=16, seed=0)
        made.enqueue({"learning_rate": 1.0, "dropout": 0.25, "norm": "batch"})
        made.suggest()[0].fail("DIVERGED", "the loss is nan")
        made.optimize(loss)
        yield made


def test_what_the_surrogate_has_learned_is_seen_and_told(study) -> None:
    shown = figures.pictures(study)
    (line,), (band,) = (
        [m for m in shown["slice learning_rate"].panels[0].marks if isinstance(m, k)] for k in (Line, Band)
    )
    best = line.x[list(line.y).index(min(line.y))]
    assert 1e-3 < best < 1e-1
    assert max(line.y) - min(line.y) > 1.0
    assert all(low < mean < high for low, mean, high in zip(band.low, line.y, band.high, strict=True))
    assert next(iter(study.analyze().importance)) == "learning_rate"
    mean, std = (
        next(m for m in picture.panels[0].marks if isinstance(m, Heatmap))
        for name, picture in shown.items()
        if name.split()[0] in ("contour", "uncertainty")
    )
    assert mean.values != std.values
    assert all(value is None or value > 0 for row in std.values for value in row)

    page = report.page(study)
    surrogate = [t for t in study.trials() if t.origin is bo_client.Origin.SURROGATE]
    assert surrogate
    for trial in surrogate:
        assert trial.explanation.summary.replace("'", "&#39;") in page
    assert study.analyze().best.summary.replace("'", "&#39;") in page
