"""Choosing the best: a lucky trial is told from a good one by repeats, in child processes that are real."""

from pathlib import Path

import bo_client
import pytest
from bo_client.testing import InProcessServer
from bo_objectives.errors import SetupError
from bo_worker.best_configuration import confirm, evaluate_test
from bo_worker.evaluation import EvaluationTask

NOISY = '''
"""The loss is x, and x = 0.9 fails; a result that isn't x was luck."""
from bo_client import FailureReason, FloatParameter, Metric, SearchSpace
from bo_objectives.base import Definition, TrialFailed

class Single:
    def define(self):
        return Definition(SearchSpace([FloatParameter("x", 0.0, 1.0)]), (Metric("loss", "minimize"),))
    def evaluate(self, parameters, run):
        return {"loss": parameters["x"]}

class Noisy(Single):
    def repeat(self, parameters, run, index):
        if parameters["x"] == 0.9 and index == 2:
            raise TrialFailed(FailureReason.DIVERGED, "the loss is infinite")
        (run.directory / "was here").write_text(str(index))
        return {"loss": parameters["x"] + index / 100}
    def evaluate_test(self, parameters, run):
        return {"loss": parameters["x"], "test_loss": parameters["x"] + 1}
'''
RESULTS = {0.5: 0.1, 0.9: 0.2, 0.25: 0.3, 0.75: 0.4, 0.125: 0.5}
"""By x, what the trial reached. The best in truth is the last."""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bo_client.Study:
    folder = tmp_path / "objectives"
    folder.mkdir()
    (folder / "noisy_objectives.py").write_text(NOISY)
    monkeypatch.syspath_prepend(str(folder))
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    made = InProcessServer().client().create_study("s", space, [bo_client.Metric("loss", "minimize")])
    for x, loss in RESULTS.items():
        made.add({"x": x}, {"loss": loss})
    return made


def test_the_confirmed_best_is_that_of_the_repeats_and_one_that_fails_comes_last(study, tmp_path: Path) -> None:
    recipe = EvaluationTask("noisy_objectives:Noisy")
    found = confirm(study, recipe, tmp_path / "work", 4)
    assert list(found) == [3, 1, 4, 2]
    assert found[3] == pytest.approx([0.26, 0.27, 0.28])
    assert len(found[2]) == 2
    assert (tmp_path / "work" / "repeat-3-0004" / "was here").read_text() == "3"
    (row,) = evaluate_test(study, recipe, tmp_path / "work", confirmed=4)
    assert row.as_json() == {
        "trial": 3, "parameters": {"x": 0.25}, "metrics": {"loss": 0.3}, "held_back": {"test_loss": 1.25},
        "repeats": pytest.approx([0.26, 0.27, 0.28]),
    }  # fmt: skip
    (unconfirmed,) = evaluate_test(study, recipe, tmp_path / "work")
    assert (unconfirmed.trial.number, list(unconfirmed.repeats)) == (1, [])


def test_an_objective_that_cannot_repeat_is_refused(study, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"the objective has no repeat.*leave --confirm out"):
        confirm(study, EvaluationTask("noisy_objectives:Single"), tmp_path, 2)


def test_a_study_without_results_is_refused(tmp_path: Path) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    empty = InProcessServer().client().create_study("s", space, [bo_client.Metric("loss", "minimize")])
    with pytest.raises(SetupError, match="has no result yet"):
        confirm(empty, EvaluationTask("noisy_objectives:Noisy"), tmp_path, 2)
