"""Random and grid search as a user asks for them, through the whole service in this process."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import bo_client
import pytest
from bo_client import specfile
from bo_client.testing import InProcessServer

STUDY = """
parameters:
  lr: {type: float, low: 1.0e-4, high: 1.0e-2, scale: log}
  depth: {type: int, low: 1, high: 9}
  norm: {type: categorical, values: [batch, group]}
metrics: {loss: minimize}
settings: {algorithm: grid, grid_points: 3}
"""


@pytest.fixture
def client() -> Iterator[bo_client.Client]:
    server = InProcessServer()
    with server.client() as client:
        yield client
    server.close()


def loss(p: dict[str, bo_client.Value]) -> float:
    return abs(float(p["lr"]) - 1e-3) + abs(int(p["depth"]) - 5) + (p["norm"] == "group")


def test_a_grid_of_a_studys_file_is_tried_once_and_ends_the_search(client: bo_client.Client, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    definition = specfile.load(file)
    study = client.create_study("grid", definition.space, definition.metrics, **definition.settings)
    assert (study.info().settings["algorithm"], study.info().settings["grid_points"]) == ("grid", 3)
    best = study.optimize(loss, n_trials=1000)
    trials = list(study.trials())
    wanted = set(itertools.product((1e-4, 1e-3, 1e-2), (1, 5, 9), ("batch", "group")))
    assert {(t.parameters["lr"], t.parameters["depth"], t.parameters["norm"]) for t in trials} == wanted
    assert len(trials) == len(wanted)
    assert {t.origin for t in trials} == {bo_client.Origin.GRID}
    assert best is not None
    assert (best.parameters["depth"], best.parameters["norm"]) == (5, "batch")
    assert study.suggest().shortfall is bo_client.Shortfall.SPACE_EXHAUSTED


def test_random_search_differs_by_seed_and_explains_itself(client: bo_client.Client) -> None:
    tried = {}
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        study = client.create_study(name, {"x": (0.0, 1.0)}, "loss", goal="minimize", algorithm="random", seed=seed)
        study.optimize(lambda p: p["x"], n_trials=6)
        tried[name] = [t.parameters["x"] for t in study.trials()]
    assert tried["one"] == tried["same"] != tried["other"]
    (first, *_) = study.trials()
    assert first.origin is bo_client.Origin.RANDOM
    assert first.explanation.summary == "A uniform draw, without regard to earlier results."


def test_a_study_changes_from_random_search_to_the_surrogate_and_back(client: bo_client.Client) -> None:
    study = client.create_study("s", {"x": (0.0, 1.0)}, "loss", goal="minimize", algorithm="random", seed=1)
    study.optimize(lambda p: (p["x"] - 0.3) ** 2, n_trials=6)
    study.update(settings={"algorithm": "gaussian_process"})
    study.optimize(lambda p: (p["x"] - 0.3) ** 2, n_trials=2)
    study.update(settings={"algorithm": "random"})
    study.optimize(lambda p: (p["x"] - 0.3) ** 2, n_trials=2)
    origins = [t.origin for t in study.trials()]
    assert origins == [*["RANDOM"] * 6, *["SURROGATE"] * 2, *["RANDOM"] * 2]


def test_a_grid_that_is_too_large_is_refused_with_what_to_do(client: bo_client.Client) -> None:
    space = {f"x{i}": (0.0, 1.0) for i in range(6)}
    with pytest.raises(bo_client.InvalidRequest, match=r"grid_points.*more than 4,096 combinations: lower it"):
        client.create_study("s", space, "loss", goal="minimize", algorithm="grid")


def test_one_setting_of_a_grid_is_changed_alone(client: bo_client.Client) -> None:
    study = client.create_study("s", {"x": (0.0, 1.0)}, "loss", goal="minimize", algorithm="grid", grid_points=3)
    assert study.update(settings={"grid_points": 5}).settings["grid_points"] == 5
    with pytest.raises(bo_client.InvalidRequest, match=r"grid_points: is 5, but algorithm is ALGORITHM_RANDOM"):
        study.update(settings={"algorithm": "random"})
