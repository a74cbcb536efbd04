"""Tools that do not resume, on a study with a fidelity that has a paused trial, beside a real server.

Their trials are trained to their end, they never get the paused trial, and their searches end with the reason.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import Shortfall, TrialState

MAX_TRIALS, LAST = 4, 4
SETTINGS: Any = {"max_trials": MAX_TRIALS, "fidelity": {"metric": "epoch", "max": LAST}, "algorithm": "quasi_random"}
SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
WHY = "wait for a worker that can resume"


@pytest.fixture
def pause_one(client: bo_client.Client, study_id: str) -> Callable[[], bo_client.Study]:
    """Pauses the first trial of the study, which is the best one so far, and returns the study."""

    def pause() -> bo_client.Study:
        study = client.study(study_id)
        (trial,) = study.suggest(can_resume=True)
        trial.report({m.name: 0.0 for m in study.definition.objectives}, 1, checkpoint_uri="file:///early")
        trial.pause()
        return study

    return pause


@pytest.fixture
def check(client: bo_client.Client, study_id: str) -> Iterator[None]:
    """Afterwards every trial but the paused one has its result, and whoever looks is told what the study waits for."""
    yield
    study = client.study(study_id)
    assert [t.state for t in study.trials()] == [TrialState.PAUSED, *[TrialState.SUCCEEDED] * (MAX_TRIALS - 1)]
    assert (study.info().state, study.info().resumable_count) == (bo_client.StudyState.ACTIVE, 1)
    (again,) = study.suggest(can_resume=True)
    assert (again.number, again.checkpoint_uri) == (1, "file:///early")


def test_ask_and_tell(client: bo_client.Client, study_id: str, pause_one, check) -> None:
    client.create_study(study_id, SPACE, "loss", "minimize", **SETTINGS)
    study = pause_one()
    while suggestions := study.suggest():
        (trial,) = suggestions
        for step in range(1, LAST + 1):
            heartbeat = trial.report(1.0, step)
            assert not heartbeat.should_pause
            assert not heartbeat.should_stop
        trial.complete(1.0)
    assert (suggestions.shortfall, suggestions.retry_delay) == (Shortfall.NEEDS_RESUME, None)
    assert WHY in suggestions.explanation


def test_optimize(client: bo_client.Client, study_id: str, pause_one, check, caplog) -> None:
    client.create_study(study_id, SPACE, "loss", "minimize", **SETTINGS)
    with caplog.at_level(logging.INFO, "bo_client"):
        pause_one().optimize(lambda parameters: 1.0)
    assert WHY in caplog.text
    assert "can_resume=True" in caplog.text


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optuna(client: bo_client.Client, address: str, study_id: str, pause_one, check, caplog) -> None:
    optuna = pytest.importorskip("optuna", reason="needs the extra optuna")
    from bo_client.integrations.optuna import BoPruner, BoSampler

    space = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
    metrics = [bo_client.Metric("value", "minimize")]
    client.create_study(study_id, SPACE, metrics, **{**SETTINGS, "max_attempts": 1})
    pause_one()
    sampler = BoSampler(address, study_id=study_id, search_space=space, settings=SETTINGS)
    study = optuna.create_study(sampler=sampler, pruner=BoPruner())
    asked = []

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in range(1, LAST + 1):
            trial.report(1.0 + x, step)
            asked.append(trial.should_prune())
        return 1.0 + float(x)

    with caplog.at_level(logging.WARNING, "bo_client"):
        study.optimize(objective, n_trials=10)
    assert asked == [False] * LAST * MAX_TRIALS  # the last one is drawn by Optuna
    assert WHY in caplog.text


def test_scikit_learn(client: bo_client.Client, address: str, study_id: str, pause_one, check) -> None:
    from bo_client.integrations.scikit_learn import BOSearchCV
    from sklearn.linear_model import Ridge

    space = bo_client.SearchSpace([bo_client.FloatParameter("alpha", 0.0, 1.0)])
    metrics = [bo_client.Metric("mean_test_score", "maximize")]
    client.create_study(study_id, space, metrics, **{**SETTINGS, "max_attempts": 1, "seed": 1})
    study = pause_one()
    settings = {**SETTINGS, "seed": 1}
    domains = {"alpha": bo_client.FloatParameter("alpha", 0.0, 1.0)}
    search = BOSearchCV(Ridge(), domains, n_iter=9, cv=2, server=address, study_id=study.id, settings=settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit([[float(i)] for i in range(8)], [float(i % 3) for i in range(8)])
    assert any(WHY in str(warning.message) for warning in caught)


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of KerasTuner's own
@pytest.mark.filterwarnings("ignore:All-NaN axis:RuntimeWarning")
@pytest.mark.xdist_group("keras")
def test_keras_tuner(client: bo_client.Client, address: str, study_id: str, pause_one, check, tmp_path, caplog) -> None:
    keras_tuner = pytest.importorskip("keras_tuner", reason="needs the extra keras-tuner")
    from bo_client.integrations.hyperparameters import Hyperparameters
    from bo_client.integrations.keras_tuner import BoOracle

    class Formula(keras_tuner.Tuner):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            x = float(trial.hyperparameters.Float("x", 0.0, 1.0))
            for epoch in range(LAST):
                assert self.oracle.report_epoch(trial.trial_id, epoch, {"score": 1.0 + x}) is None
            return 1.0 + x

    known = keras_tuner.HyperParameters()
    known.Float("x", 0.0, 1.0)
    space = Hyperparameters(known.space).translation.space
    client.create_study(study_id, space, [bo_client.Metric("score", "minimize")], **{**SETTINGS, "max_attempts": 1})
    pause_one()
    objective = keras_tuner.Objective("score", "min")
    options = {"server": address, "study_id": study_id, "settings": SETTINGS, "hyperparameters": known}
    with caplog.at_level(logging.WARNING, "bo_client"):
        Formula(BoOracle(objective, 9, **options), directory=tmp_path, project_name="p").search(verbose=0)
    assert WHY in caplog.text


def test_ray(client: bo_client.Client, address: str, study_id: str, pause_one, check, tmp_path: Path, caplog) -> None:
    pytest.importorskip("ray.tune", reason="needs the extra ray-tune")
    from bo_client.integrations.ray_tune import BoSearch
    from ray.tune.search import Searcher

    client.create_study(study_id, SPACE, "loss", "minimize", **{**SETTINGS, "max_attempts": 1})
    pause_one()
    search = BoSearch(address, study_id=study_id, space=SPACE, metric="loss", mode="min", settings=SETTINGS)
    names = iter("abcdefgh")
    with caplog.at_level(logging.WARNING, "bo_client"):
        while (config := search.suggest(name := next(names))) != Searcher.FINISHED:
            assert set(config) == {"x"}
            for step in range(1, LAST + 1):
                search.on_trial_result(name, {"loss": 1.0, "training_iteration": step})
            search.on_trial_complete(name, {"loss": 1.0, "training_iteration": LAST})
    assert WHY in caplog.text
