"""What the command line, exports, figures and reports say of workers, failing studies, options and stopped trials."""

import csv
import io
import json
from datetime import UTC, datetime

import bo_client
import pytest
from bo_client import figures
from bo_client.cli import live
from bo_client.cli.main import main
from bo_client.cli.progress import Progress
from bo_client.diagnosis import diagnose
from bo_client.figures.marks import Dots, Line
from bo_client.figures.parallel_axes import ABSENT
from bo_client.ranking import best_of
from bo_client.report import content
from bo_client.testing import InProcessServer
from click.testing import CliRunner
from rich.console import Console

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


@pytest.fixture
def server() -> InProcessServer:
    return InProcessServer()


@pytest.fixture
def bo(server: InProcessServer):
    def bo(*words: object) -> str:
        done = CliRunner().invoke(main, [str(w) for w in words], obj=server.client())
        assert done.exit_code == 0, done.output
        return done.output

    return bo


@pytest.fixture
def failing(server: InProcessServer) -> bo_client.Study:
    """Three trials failed at both attempts, on two machines."""
    objective = bo_client.ObjectiveSpec("efficientnet", {"epochs": "2", "image_size": "64"})
    study = server.client().create_study("s", SPACE, "loss", "minimize", max_attempts=2, objective=objective)
    for _ in range(3):
        study.suggest(worker_id="gpu-1")[0].fail("CRASHED", "CUDA out\x1b[2J of memory")
        study.suggest(worker_id="gpu-2")[0].fail("CRASHED", "again")
    return study


@pytest.fixture
def stopped(server: InProcessServer) -> bo_client.Study:
    """Trials 1 to 3 are whole, 4 to 6 were cut short at a value that looks better than any whole one's."""
    settings = {"stopping": "median", "stopping_min_step": 1, "stopping_min_trials": 1, "stopping_max_step": 2}
    study = server.client().create_study("s", SPACE, "loss", "minimize", **settings)
    for i in range(6):
        (trial,) = study.suggest(worker_id=f"gpu-{i}")
        if trial.report(9.0 if i > 2 else 1.0, step=1).should_stop:
            trial.complete(0.01, step=1)
        else:
            trial.complete(0.5 + 0.1 * i, step=2)
    return study


def test_a_failing_study_says_so_in_lists_and_in_its_own_view(failing, bo) -> None:
    said = "3 of the last 3 trials failed; first (trial 1): CRASHED: again"
    assert f"s: {said}" in bo("studies")
    assert f"failing   {said}" in bo("show", "s")
    assert json.loads(bo("studies", "--json"))[0]["recent_failures"]["failed"] == 3
    told = content.read(failing, datetime(2026, 1, 1, tzinfo=UTC))
    assert ("failing", said) in told.facts
    change = next(failing.watch())
    shown = Console(width=200, file=io.StringIO())
    shown.print(live.render(Progress(failing.definition).after(change), datetime.now(UTC)))
    assert said in shown.file.getvalue()


def test_the_options_are_shown(failing, bo) -> None:
    assert "objective efficientnet epochs=2 image_size=64" in bo("show", "s")
    record = json.loads(bo("show", "s", "--json"))["study"]["objective"]
    assert record == {"name": "efficientnet", "options": {"epochs": "2", "image_size": "64"}}
    facts = dict(content.read(failing, datetime(2026, 1, 1, tzinfo=UTC)).facts)
    assert facts["objective"] == "efficientnet with epochs = 2, image_size = 64"


def test_who_ran_a_trial_is_shown_after_its_end(failing, bo) -> None:
    assert "gpu-2" in bo("show", "s")
    shown = bo("show", "s", "--trial", 1)
    assert "attempt 1 by gpu-1" in shown
    assert "attempt 2 by gpu-2" in shown
    assert "failed: CRASHED CUDA out" in shown
    assert "\x1b" not in shown
    record = json.loads(bo("show", "s", "--trial", 1, "--json"))
    assert [(a["worker_id"], a["outcome"]) for a in record["attempts"]] == [("gpu-1", "FAILED"), ("gpu-2", "FAILED")]
    rows = list(csv.DictReader(io.StringIO(bo("export", "s", "--format", "csv"))))
    assert [row["worker"] for row in rows] == ["gpu-2"] * 3
    told = content.read(failing, datetime(2026, 1, 1, tzinfo=UTC))
    assert any(line.startswith("attempt 1 by gpu-1") for line in told.trials[0].more)


def test_stopped_trials_are_never_the_best(stopped, bo) -> None:
    info, trials = stopped.info(), list(stopped.trials())
    assert [t.is_cut_short for t in trials] == [False] * 3 + [True] * 3
    assert [t.number for t in best_of(info, trials)] == [1] == [t.number for t in stopped.best_trials(1)]
    rows = list(csv.DictReader(io.StringIO(bo("export", "s", "--format", "csv"))))
    assert [row["stopped_by"] for row in rows] == [""] * 3 + ["MEDIAN"] * 3


def test_the_history_draws_stopped_trials_apart_and_counts_them(stopped) -> None:
    shown = figures.picture(stopped, "convergence")
    marks = [mark for panel in shown.panels for mark in panel.marks]
    (apart,) = (m for m in marks if isinstance(m, Dots) and m.label == "stopped early (3), as far as they came")
    assert list(apart.x) == [4, 5, 6]
    (best,) = (m for m in marks if isinstance(m, Line) and m.label == "best so far")
    assert min(best.y) == 0.5
    assert not any(set(m.x) & {4, 5, 6} for m in marks if isinstance(m, Dots) and m is not apart)
    assert "6 of 6 trials have a result, 3 of them stopped early" in shown.title


def test_a_diagnosis_and_an_analysis_count_them_apart(stopped, bo) -> None:
    found = diagnose(stopped.info(), list(stopped.trials()), stopped.analyze())
    assert (found.results, found.failed, found.stopped) == (3, 0, 3)
    shown = bo("explain", "s")
    assert "Not included: 3 trials that a stopping rule ended" in shown
    assert "0.01" not in shown


def test_parallel_axes_draw_stopped_trials_without_a_value(stopped) -> None:
    shown = figures.picture(stopped, "parallel")
    lines = [m for panel in shown.panels for m in panel.marks if isinstance(m, Line)]
    (apart,) = (line for line in lines if line.label == "stopped early (3)")
    assert [apart.y[i + 1] for i in range(0, len(apart.y), 3)] == [ABSENT] * 3
    assert sum(len(line.y) // 3 for line in lines if line.shade is not None) == 3
    assert "3 results; 3 were stopped early" in shown.title
    assert "stopped early, as far as it came" in apart.hover[0]


def test_importance_says_that_it_rests_on_forecasts(stopped) -> None:
    assert figures.picture(stopped, "importance").title.endswith("by 3 results and forecasts of 3 stopped early")


def test_notebooks_mark_values_of_stopped_trials(stopped) -> None:
    told = stopped.trial(4)._repr_html_()
    assert "0.01 (stopped early)" in told
    assert "(stopped early)" not in stopped.trial(1)._repr_html_()
    assert "(stopped early)" not in stopped._repr_html_()
    everything = bo_client.Trials(stopped.trials())._repr_html_()
    assert everything.count("0.01 (stopped early)") == 3
    assert "3 stopped early: their values are of their last measurement" in everything


def test_predictions_count_whole_trials(stopped) -> None:
    assert stopped.slice("x").observation_count == stopped.analyze().observation_count == 3
