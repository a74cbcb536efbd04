"""Huge values, logarithmic whole numbers and fine grids far from zero, through a real server, to the last bit."""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import bo_client
from click.testing import CliRunner

from bo_service.cli.main import main
from tests.e2e.conftest import ServerProcess

Objective = Callable[[Mapping[str, bo_client.Value]], float]
X = bo_client.FloatParameter("x", 0.0, 1.0)
FAR = [1e9 + 1e-3 * i for i in range(50)]
CASES: dict[str, tuple[list[bo_client.Parameter], Objective]] = {
    "values near the largest number": ([X], lambda p: sys.float_info.max * (2.0 * float(p["x"]) - 1.0)),
    "values far from zero": ([X], lambda p: 1e9 + 1e-3 * (float(p["x"]) - 0.3) ** 2),
    "the smallest values": ([X], lambda p: 5e-324 if float(p["x"]) > 0.5 else 1e-310 * float(p["x"])),
    "logarithmic whole numbers": (
        [bo_client.IntParameter("n", 1, 10**15, "log"), bo_client.IntParameter("m", 1, 50, "log")],
        lambda p: (math.log10(float(p["n"])) - 7.0) ** 2 + (float(p["m"]) - 21.0) ** 2,
    ),
    "whole numbers at the end of what a float holds": (
        [bo_client.IntParameter("n", 2**53 - 1000, 2**53)],
        lambda p: abs(float(p["n"]) - (2**53 - 500)),
    ),
    "a fine grid far from zero": (
        [bo_client.DiscreteParameter("q", FAR)],
        lambda p: 1e6 * (float(p["q"]) - FAR[20]) ** 2,
    ),
    "a narrow range far from zero": (
        [bo_client.FloatParameter("q", 1e9, 1e9 + 1e-3)],
        lambda p: ((float(p["q"]) - 1e9) / 1e-3 - 0.4) ** 2,
    ),
    "ranges as wide as numbers": (
        [bo_client.FloatParameter("x", -1e300, 1e300), bo_client.FloatParameter("z", 1e-300, 1e300, "log")],
        lambda p: abs(float(p["x"]) / 1e300 - 0.2) + abs(math.log10(float(p["z"]))),
    ),
}


def told(study: bo_client.Study) -> list[tuple[object, object]]:
    return [(t.parameters, t.final_measurement and t.final_measurement.metrics) for t in study.trials()]


def test_numbers_of_any_size_are_searched_explained_exported_and_imported(make_server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    server = make_server()
    kept = {}
    with bo_client.connect(server.start()) as client:
        for i, (parameters, objective) in enumerate(CASES.values()):
            space = bo_client.SearchSpace(parameters)
            study = client.create_study(f"s{i}", space, "loss", goal="minimize", seed=1)
            assert study.info().space == space
            best = study.optimize(objective, n_trials=10)
            assert best is not None
            assert best.final_measurement is not None
            assert best.final_measurement.metrics["loss"] == min(objective(t.parameters) for t in study.trials())
            assert len({tuple(sorted(t.parameters.items())) for t in study.trials()}) == 10
            (predicted,) = study.predict([best.parameters])
            assert all(math.isfinite(p.mean) and math.isfinite(p.std) for p in predicted.predictions)
            assert set(study.analyze().importance) == set(space.names)
            for name in space.names:
                means = [p.mean for point in study.slice(name).points for p in point.predictions]
                assert all(map(math.isfinite, means))
            kept[study.id] = told(study)
    server.stop()
    for study_id, trials in kept.items():
        file, copy = tmp_path / f"{study_id}.study", f"sqlite:///{tmp_path}/copy.db"
        for command in (
            ["export-study", "--storage", server.url, study_id, file],
            ["import-study", "--storage", copy, file],
        ):
            done = CliRunner().invoke(main, [str(word) for word in command])
            assert done.exit_code == 0, done.output
        assert trials
    copied = ServerProcess(tmp_path / "copy.db")
    try:
        with bo_client.connect(copied.start()) as client:
            assert {study_id: told(client.study(study_id)) for study_id in kept} == kept
    finally:
        copied.stop()
