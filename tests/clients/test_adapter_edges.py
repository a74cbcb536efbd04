"""What the adapters of other tools are given beyond their usual values, on a server in this process."""

import copy
import math
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import bo_client
import optuna
import pytest
from bo_client import FailureReason, InvalidRequest, TrialState
from bo_client.integrations.domains import chosen
from bo_client.integrations.optuna import BoSampler
from bo_client.integrations.scikit_learn import BOSearchCV
from bo_client.testing import InProcessServer
from optuna.distributions import FloatDistribution, IntDistribution
from sklearn.dummy import DummyRegressor

LINE = {"x": FloatDistribution(0.0, 1.0)}
QUICK: Any = {"algorithm": "quasi_random", "seed": 0}
PRUNED = optuna.trial.TrialState.PRUNED


def pruned(x: float, values: dict[int, float]) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(state=PRUNED, params={"x": x}, distributions=LINE, intermediate_values=values)


def test_pruned_trials_of_optuna_are_brought_in(server: InProcessServer) -> None:
    client = server.client()
    study = optuna.create_study(sampler=BoSampler(client, study_id="s", search_space=LINE, settings=QUICK))
    study.add_trials([pruned(0.1, {1: 3.0, 2: 2.0}), pruned(0.2, {}), pruned(0.3, {0: math.nan})])
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    first, second, third, _ = client.study("s").trials(full=True)
    assert (first.state, first.stop_reason) == (TrialState.STOPPED, "pruned by Optuna")
    assert first.final_measurement is not None
    assert (first.final_measurement.step, first.final_measurement.metrics) == (2, {"value": 2.0})
    assert [(m.step, m.metrics["value"]) for m in first.measurements] == [(1, 3.0), (2, 2.0)]
    reasons = [trial.failure.reason for trial in (second, third) if trial.failure]
    assert reasons == [FailureReason.INVALID_CONFIGURATION, FailureReason.DIVERGED]


def test_pruned_trials_of_another_sampler_are_brought_in_once(server: InProcessServer) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.report(trial.suggest_float("x", 0.0, 1.0), 1)
        raise optuna.TrialPruned

    client = server.client()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=2)
    for _ in range(2):
        study.sampler = BoSampler(client, study_id="s", search_space=LINE, settings=QUICK)
        study.optimize(objective, n_trials=1)
    assert [t.value("value") for t in client.study("s").trials()] == [t.value for t in study.trials]
    assert {t.state for t in client.study("s").trials()} == {TrialState.STOPPED}


def test_what_cannot_be_expressed_is_drawn_independently(server: InProcessServer, caplog) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_int("seed", 0, 2**60)
        trial.suggest_categorical("many", list(range(1001)))
        return trial.suggest_float("x", 0.0, 1.0)

    client = server.client()
    study = optuna.create_study(sampler=BoSampler(client, study_id="s", settings=QUICK))
    study.optimize(objective, n_trials=3)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 3
    assert client.study("s").definition.space.names == ("x",)
    assert caplog.text.count("the independent sampler draws it") == 2
    with pytest.raises(InvalidRequest, match=r"seed: goes to .*from -2\^53 to 2\^53"):
        BoSampler(client, study_id="t", search_space={"seed": IntDistribution(0, 2**60)})


def test_nan_may_be_a_choice(server: InProcessServer) -> None:
    study = optuna.create_study(sampler=BoSampler(server.client(), study_id="s", settings=QUICK))
    objective = lambda trial: float(math.isnan(trial.suggest_categorical("fill", [math.nan, 0.0, 1.0])))  # noqa: E731
    study.optimize(objective, n_trials=5)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 5
    domain = chosen("fill", [math.nan, 0.0])
    assert domain.to_service(float("nan")) == "nan"


def test_a_search_in_a_local_database_can_be_copied_and_pickled() -> None:
    with bo_client.local("memory:") as client:
        search = BOSearchCV(DummyRegressor(), {"constant": [1.0, 2.0]}, n_iter=2, cv=2, server=client, settings=QUICK)
        search.fit([[0.0]] * 4, [0.0, 1.0, 2.0, 3.0])
        assert copy.deepcopy(search).server is client
        copied = pickle.loads(pickle.dumps(search))
        assert (copied.server, copied.server_, copied.best_params_) == (None, None, search.best_params_)


def test_what_a_tool_leaves_running_is_returned_when_its_process_ends(tmp_path: Path) -> None:
    program = """
    import sys, bo_client
    from bo_client.integrations.external_trial import ExternalTrial
    study = bo_client.local(sys.argv[1]).create_study("s", {"x": (0.0, 1.0)}, "loss", "minimize",
        max_attempts=1, algorithm="quasi_random")
    held = ExternalTrial(study.ask())
    sys.exit(3)
    """
    path = tmp_path / "bo.db"
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    ended = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (3, "")
    with bo_client.local(path) as client:
        (trial,) = client.study("s").trials()
        assert trial.failure is not None
        assert trial.failure.message == "its process has ended"
