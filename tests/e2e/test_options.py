"""A study keeps what its values depend on: workers with other options are refused, and `best` reads them back."""

import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import bo_client
import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
WORKER = [sys.executable, "-m", "bo_worker.cli"]
BO = [sys.executable, "-m", "bo_client.cli.main"]
OWN = """
from pathlib import Path
import bo_client
from bo_objectives.base import Definition

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])

class Parabola:
    '''Its options count as given, the signature's defaults filled in.'''

    def __init__(self, shift="0.5", note="-"):
        self.shift, self.note = float(shift), note

    def define(self):
        return Definition(SPACE, (bo_client.Metric("loss", "minimize"),))

    def evaluate(self, parameters, run):
        return {"loss": (parameters["x"] - self.shift) ** 2}

    def evaluate_test(self, parameters, run):
        return {**self.evaluate(parameters, run), "shift": self.shift}

class Declared(Parabola):
    '''Says itself that the note changes nothing.'''

    def define(self):
        definition = super().define()
        return Definition(definition.space, definition.metrics, options={"shift": f"{self.shift:g}"})
"""


@pytest.fixture
def bo_worker(server: str, tmp_path: Path) -> Run:
    (tmp_path / "own.py").write_text(textwrap.dedent(OWN))

    def bo_worker(command: str, *arguments: str, program: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        end = ["--", *program] if program else []
        words = [*WORKER, command, "--server", server, "--study", "s", *arguments, *end]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200)

    return bo_worker


def efficientnet(**options: str) -> tuple[str, ...]:
    return ("--objective", "efficientnet", *(word for k, v in options.items() for word in ("--option", f"{k}={v}")))


@pytest.fixture
def study(server: str) -> bo_client.Study:
    """A study as the worker makes it with image_size=64 and epochs=2; it has its one trial's result already."""
    from bo_objectives.efficientnet.objective import EfficientNetObjective
    from bo_worker.evaluation import EvaluationTask
    from bo_worker.objective_comparison import objective_spec
    from bo_worker.study_request import StudyRequest, get_or_create_study

    options = {"image_size": "64", "epochs": "2", "weights": "random"}
    definition = EfficientNetObjective(**options).define()
    spec = objective_spec(EvaluationTask("efficientnet", tuple(options.items())), definition)
    client = bo_client.connect(server)
    study = get_or_create_study(client, definition, StudyRequest("s", max_trials=1), spec)
    (trial,) = study.suggest(objective=spec)
    trial.complete({m.name: 0.5 for m in definition.metrics})
    return study


def test_a_worker_with_other_options_is_refused_and_told_which(study, bo_worker) -> None:
    before = study.info()
    done = bo_worker("run", *efficientnet(image_size="32", epochs="1", weights="random"))
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert "epochs is '2' in the study and '1' here" in line
    assert "image_size is '64' in the study and '32' here" in line
    assert "choose another --study, or give --option epochs=2 --option image_size=64" in line
    assert study.info() == before
    for same in ({}, {"backend": "jax", "threads": "1", "steps_per_execution": "1", "patience": "0", "cache": "off"}):
        done = bo_worker("run", *efficientnet(image_size="64", epochs="2", weights="random", **same))
        assert done.returncode == 0, done.stderr


def test_best_reads_the_options_and_refuses_others(study, bo_worker) -> None:
    done = bo_worker("best", "--option", "epochs=3")
    assert done.returncode == 1
    assert "epochs is '2' in the study and '3' here" in done.stderr
    done = bo_worker("best", "--objective", "branin")
    assert done.returncode == 1
    assert "the objective is 'efficientnet' in the study and 'branin' here" in done.stderr


def test_data_is_compared_by_what_is_in_it(server: str, bo_worker, tmp_path: Path) -> None:
    from importlib import resources

    archive = resources.files("bo_objectives.efficientnet") / "data_files" / "emoji.zip"
    for place in ("here", "there", "less"):
        with archive.open("rb") as file, zipfile.ZipFile(file) as content:
            content.extractall(tmp_path / place)
    next((tmp_path / "less").rglob("*.png")).unlink()
    common = {"weights": "random", "epochs": "1"}
    from bo_objectives.efficientnet.objective import EfficientNetObjective

    told = [EfficientNetObjective(data=str(tmp_path / p), **common).define().options for p in ("here", "there", "less")]
    assert told[0] == told[1]
    assert "data" not in told[0]
    assert {k for k in told[0] if told[0][k] != told[2][k]} == {"data.contents"}
    space = EfficientNetObjective(**common).define()
    with bo_client.connect(server) as client:
        spec = bo_client.ObjectiveSpec("efficientnet", told[0])
        client.create_study("s", space.space, list(space.metrics), objective=spec, max_trials=1).update(
            state="COMPLETED"
        )
    for place, code in (("there", 0), ("less", 1)):
        done = bo_worker("run", *efficientnet(data=str(tmp_path / place), **common))
        assert done.returncode == code, done.stderr
    assert "data.contents is '7 classes" in done.stderr
    assert "give an --option data with the same content" in done.stderr
    done = bo_worker("run", *efficientnet(**common))
    assert "data is not set in the study and 'emoji' here" in done.stderr


@pytest.mark.slow
def test_what_is_not_given_counts_as_its_default(server: str, bo_worker) -> None:
    own = ("--objective", "own:Parabola")
    assert bo_worker("run", *own, "--max-trials", "2").returncode == 0
    with bo_client.connect(server) as client:
        kept = client.study("s").info().objective_spec
    assert kept == bo_client.ObjectiveSpec("own:Parabola", {"note": "-", "shift": "0.5"})
    assert bo_worker("run", *own, "--option", "shift=0.5").returncode == 0
    refused = bo_worker("run", *own, "--option", "shift=0.25")
    assert refused.returncode == 1
    assert "shift is '0.5' in the study and '0.25' here" in refused.stderr
    assert bo_worker("run", *own, "--option", "note=mine").returncode == 1
    refused = bo_worker("run", "--objective", "own:Declared")
    assert "'own:Parabola' in the study and 'own:Declared' here" in refused.stderr


def test_an_objective_may_say_which_options_count(bo_worker) -> None:
    own = ("--objective", "own:Declared", "--option", "shift=0.25")
    assert bo_worker("run", *own, "--max-trials", "2").returncode == 0
    assert bo_worker("run", *own, "--option", "note=mine").returncode == 0
    rows = json.loads(bo_worker("best", "--json").stdout)
    assert rows["best"]["held_back"] == {"shift": 0.25}
    assert bo_worker("best", "--option", "shift=0.5").returncode == 1


def test_a_program_is_compared_by_its_arguments(bo_worker, tmp_path: Path, server: str) -> None:
    (tmp_path / "space.yaml").write_text("parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\n")
    say = "import sys; print('{{\"loss\": ' + sys.argv[1] + '}}')"
    command = ("--objective", "command", "--space", "space.yaml", "--option", "timeout=60")
    program = (sys.executable, "-c", say, "{x}")
    assert bo_worker("run", *command, "--max-trials", "2", program=program).returncode == 0
    for other in ((*program, "--fast"), program[:3]):
        refused = bo_worker("run", *command, program=other)
        assert refused.returncode == 1, other
        assert "program is" in refused.stderr
    assert bo_worker("run", *command[:-1], "timeout=90", program=program).returncode == 0
    shown = bo_worker("best", "--json")
    assert shown.returncode == 0, shown.stderr
    assert set(json.loads(shown.stdout)["best"]["metrics"]) == {"loss"}
    assert bo_worker("best", "--objective", "command", program=(*program, "--fast")).returncode == 1


def test_the_first_worker_of_a_study_made_by_hand_says_its_options(server: str, bo_worker) -> None:
    with bo_client.connect(server) as client:
        space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
        study = client.create_study("s", space, "loss", goal="minimize", max_trials=2)
        nothing = bo_worker("best")
        assert nothing.returncode == 1
        assert "give --objective" in nothing.stderr
        assert bo_worker("run", "--objective", "own:Parabola").returncode == 0
        assert study.info().objective_spec.options == {"note": "-", "shift": "0.5"}
        assert bo_worker("run", "--objective", "own:Parabola", "--option", "shift=1").returncode == 1
