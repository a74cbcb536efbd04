"""docs/add-an-algorithm.md, done: a package from outside the project, a server that finds it, studies that name it."""

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import pytest

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Algorithm, SuggestionSettings
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.suggest import suggest
from tests.e2e.conftest import ServerProcess
from tests.e2e.snippets import FILE_NAME, snippets
from tests.packages import install

pytestmark = pytest.mark.xdist_group("add-an-algorithm")  # its server is started once

PAGE = "docs/add-an-algorithm.md"
SNIPPETS = snippets(PAGE)
FILES = {named[1]: s.text for s in SNIPPETS if (named := FILE_NAME.match(s.text))}
(PROGRAM,) = (s.text for s in SNIPPETS if "bo_client.connect" in s.text)
BROKEN = """
import os
import time

class Raises:
    def suggest(self, inputs, count):
        raise ValueError("no idea")

class Exits:
    def suggest(self, inputs, count):
        os._exit(3)

class Hangs:
    def suggest(self, inputs, count):
        time.sleep(600)

class Repeats:
    def suggest(self, inputs, count):
        return [{"x": 0.5, "y": 0.5}] * count
"""
BROKEN_PROJECT = """
[project]
name = "broken"
version = "1.0"
[project.entry-points."bo_service.algorithms"]
raises = "broken:Raises"
exits = "broken:Exits"
hangs = "broken:Hangs"
repeats = "broken:Repeats"
"""
SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0), bo_client.FloatParameter("y", 0.0, 1.0)])
MakeServer = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    install(folder, {"hill_climb.py": FILES["hill_climb.py"]}, FILES["pyproject.toml"])
    install(folder, {"broken.py": BROKEN}, BROKEN_PROJECT)
    return folder


@pytest.fixture(scope="module")
def with_packages(make_shared_server: MakeServer, packages: Path) -> ServerProcess:
    server = make_shared_server(environment={"PYTHONPATH": str(packages)})
    server.start()
    server.await_optimizer()
    return server


@pytest.fixture
def client(with_packages: ServerProcess) -> Iterator[bo_client.Client]:
    with bo_client.connect(with_packages.address) as client:
        yield client


def test_the_page_done(
    client: bo_client.Client, with_packages: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("127.0.0.1:50051", with_packages.address))
    runpy.run_path(str(program))
    study = client.study("hills")
    assert study.definition.settings["algorithm"] == "hill_climb"
    trials = list(study.trials(["SUCCEEDED"]))
    assert {trial.origin for trial in trials} == {bo_client.Origin.CUSTOM_ALGORITHM}
    assert {trial.explanation.summary for trial in trials} == {"Chosen by the algorithm 'hill_climb'."}
    assert len({tuple(trial.parameters.items()) for trial in trials}) == len(trials) == 12
    assert study.best().value("loss") < min(trial.final_measurement.metrics["loss"] for trial in trials[:3])
    assert "hill_climb" in capsys.readouterr().out


def test_the_class_is_tested_as_the_page_says(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(packages)
    space = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
    inputs = OptimizerInput(space, SuggestionSettings(Algorithm.CUSTOM, custom_algorithm="hill_climb"), 1)
    assert [s.fault for s in suggest(inputs, 3)] == [""] * 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("raises", "failed with ValueError: no idea (broken.py:7)"),
        ("repeats", "suggested {'x': 0.5, 'y': 0.5}, which has been tried, or is pending"),
        ("exits", "The algorithm 'exits' was not ready"),
        ("hangs", "The algorithm 'hangs' was not ready"),
    ],
)
def test_a_broken_algorithm_stops_nobody(with_packages: ServerProcess, name: str, why: str) -> None:
    with bo_client.connect(with_packages.address, timeout=6.0) as client:
        study = client.create_study(name, SPACE, "loss", goal="minimize", algorithm=name, seed=1)
        started = [trial for _ in range(2) for trial in study.suggest()]
        for trial in started:
            trial.complete({"loss": trial.parameters["x"]})
        trials = list(study.trials(["SUCCEEDED"]))
        assert len({tuple(trial.parameters.items()) for trial in trials}) == 2
        assert why in trials[-1].explanation.summary
        assert trials[-1].origin in (bo_client.Origin.DEFAULT, bo_client.Origin.QUASI_RANDOM)
        well = client.create_study(f"after-{name}", SPACE, "loss", goal="minimize", algorithm="hill_climb", seed=1)
        assert len(well.suggest()) == 1
    if name in ("raises", "repeats"):
        assert why in with_packages.log


def test_an_algorithm_that_is_not_installed_is_refused_by_name(client: bo_client.Client) -> None:
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        client.create_study("s", SPACE, "loss", goal="minimize", algorithm="hillclimb")
    (violation,) = refusal.value.violations
    assert violation.field == "study.spec.suggestion.custom_algorithm"
    there = "gaussian_process, quasi_random, random, grid, exits, hangs, hill_climb, raises, repeats"
    for word in ("'hillclimb'", there, "install its package", "choose another"):
        assert word in violation.description
    study = client.create_study("plain", SPACE, "loss", goal="minimize")
    with pytest.raises(bo_client.InvalidRequest, match="custom_algorithm"):
        study.update(settings={"algorithm": "hillclimb"})
    for algorithm in ("hill_climb", "quasi_random", "hill_climb", "gaussian_process"):
        assert study.update(settings={"algorithm": algorithm}).settings["algorithm"] == algorithm


def test_a_server_without_the_package_refuses_to_suggest_until_another_algorithm_is_chosen(
    make_server: MakeServer, packages: Path
) -> None:
    with_package = make_server(environment={"PYTHONPATH": str(packages)})
    with bo_client.connect(with_package.start()) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", algorithm="hill_climb", seed=1)
        (trial,) = study.suggest()
        trial.complete({"loss": 1.0})
    with_package.stop()
    with bo_client.connect(make_server().start()) as client:
        study = client.study("s")
        assert study.definition.settings["algorithm"] == "hill_climb"
        with pytest.raises(bo_client.FailedPrecondition) as refusal:
            study.suggest()
        assert refusal.value.reason == "ALGORITHM_NOT_INSTALLED"
        there = "gaussian_process, quasi_random, random, grid:"
        for word in ("studies/s", "'hill_climb'", there, "install its package", "UpdateStudy"):
            assert word in str(refusal.value)
        assert study.update(settings={"initial_trials": 7}).settings["algorithm"] == "hill_climb"
        study.update(settings={"algorithm": "gaussian_process"})
        (trial,) = study.suggest()
        assert trial.origin is not bo_client.Origin.CUSTOM_ALGORITHM
