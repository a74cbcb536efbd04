"""Values of any size are drawn, in every figure and in the report."""

import json
import math
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import figures, report
from bo_client.figures import matplotlib_renderer

LARGEST = sys.float_info.max
VALUES = {
    "the whole range of numbers": lambda x: LARGEST if x > 0.5 else -LARGEST,
    "the largest and ordinary ones": lambda x: LARGEST if x > 0.5 else x,
    "the smallest": lambda x: 5e-324 if x > 0.5 else 1e-310 * x,
    "far from zero": lambda x: 1e9 + 1e-3 * x * x,
    "one value": lambda x: 1e300,
}


@pytest.fixture(
    params=["the whole range of numbers", *(pytest.param(v, marks=pytest.mark.slow) for v in [*VALUES][1:])]
)
def extreme(request: pytest.FixtureRequest, server) -> bo_client.Study:
    """A study of these values. Of most of them, only the report is written in a quick run: it draws every figure."""
    return study_of(VALUES[request.param], server)


def study_of(value: Callable[[float], float], server) -> bo_client.Study:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0, 1), bo_client.IntParameter("n", 1, 10**15, "log")])
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("other", "maximize")]
    study = server.client().create_study("s", space, metrics, seed=1)
    for i in range(8):
        trial = study.add({"x": (i + 0.5) / 8, "n": 10 ** (2 * i)}, {"loss": value((i + 0.5) / 8), "other": float(i)})
        assert trial.state is bo_client.TrialState.SUCCEEDED
    (running,) = study.suggest()
    running.report({"loss": value(0.9)}, 1)
    running.report({"loss": value(0.1)}, 2)
    return study


def numbers(content: Any) -> list[float]:
    if isinstance(content, dict):
        return [n for each in content.values() for n in numbers(each)]
    if isinstance(content, list):
        return [n for each in content for n in numbers(each)]
    return [content] if isinstance(content, float) else []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", figures.KINDS)
def test_every_figure_is_drawn(extreme, tmp_path: Path, kind: str) -> None:
    spec = figures.picture(extreme, kind)
    matplotlib_renderer.save(spec, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000
    drawn = json.loads(figures.as_json(figures.drawn(spec)))
    for name, axis in drawn["layout"].items():
        if name.startswith(("xaxis", "yaxis")) and axis.get("range"):
            assert all(math.isfinite(end) for end in axis["range"])
            assert all(a != b for a, b in pairwise(axis["range"]))
    assert all(math.isfinite(n) for n in numbers(drawn["data"]))


@pytest.mark.parametrize("values", VALUES)
def test_the_report_is_written(server, values: str) -> None:
    assert "Convergence" in report.page(study_of(VALUES[values], server))


@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning:matplotlib")
@pytest.mark.parametrize("kind", ["convergence", "parallel", "importance", "slice", "contour"])
def test_every_range_of_a_parameter_is_drawn(server, tmp_path: Path, kind: str) -> None:
    ends = (bo_client.FloatParameter("x", -1e300, 1e300), bo_client.FloatParameter("z", 1e-300, 1e300, "log"))
    study = server.client().create_study("s", bo_client.SearchSpace(ends), "loss", goal="minimize", seed=1)
    for i in range(8):
        study.add({"x": (i / 3.5 - 1) * 1e300, "z": 10.0 ** (85 * i - 297)}, {"loss": float((i - 3) ** 2)})
    spec = figures.picture(study, kind)
    matplotlib_renderer.save(spec, tmp_path / "p.png")
    assert all(math.isfinite(n) for n in numbers(json.loads(figures.as_json(figures.drawn(spec)))["data"]))
