"""BOSearchCV, beside a server that is given and with one that it starts."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bo_client
import numpy as np
import pytest
from bo_client import FailureReason, TrialState
from bo_client.integrations import embedded
from bo_client.integrations.scikit_learn import BOSearchCV, translated
from scipy import stats
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

pytestmark = pytest.mark.xdist_group("scikit-learn")  # the server that a search starts for itself is started once

CHECKED = {"n_iter": 2, "cv": 2, "random_state": 0, "error_score": "raise"}

X, Y = make_classification(120, 6, random_state=0)


OF_INFINITE_LABELS = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")


@OF_INFINITE_LABELS
@parametrize_with_checks([BOSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, **CHECKED)])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@OF_INFINITE_LABELS
@parametrize_with_checks([BOSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, n_points=2, **CHECKED)])
def test_scikit_learns_own_checks_of_a_regressor(estimator: Any, check: Any) -> None:
    check(estimator)


def knn(address: str, **options: Any) -> BOSearchCV:
    space = {"n_neighbors": stats.randint(1, 30), "weights": ["uniform", "distance"], "p": stats.uniform(1, 2)}
    return BOSearchCV(KNeighborsClassifier(), space, **{"server": address, "cv": 3, "random_state": 0, **options})


def test_the_study_has_what_the_results_have(address: str, client: bo_client.Client) -> None:
    search = knn(address, n_iter=12, n_points=2, return_train_score=True).fit(X, Y)
    trials = list(client.study(search.study_id_).trials())
    results = search.cv_results_
    assert [dict(t.parameters) for t in trials] == results["params"]
    assert [t.value("mean_test_score") for t in trials] == results["mean_test_score"].tolist()
    assert {"rank_test_score", "split2_train_score", "mean_fit_time", "param_p"} <= results.keys()
    assert bo_client.Origin.SURROGATE in {t.origin for t in trials}
    assert search.best_score_ == max(results["mean_test_score"])
    assert search.best_estimator_.get_params()["n_neighbors"] == search.best_params_["n_neighbors"]
    assert search.score(X, Y) > 0.8


def test_the_same_random_state_makes_the_same_search(address: str) -> None:
    def found(seed: int) -> list[dict[str, Any]]:
        return list(knn(address, n_iter=9, random_state=seed).fit(X, Y).cv_results_["params"])

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_of_several_scores_the_one_named_by_refit_is_optimized(address: str, client: bo_client.Client) -> None:
    search = knn(address, n_iter=3, scoring=["accuracy", "neg_log_loss"], refit="neg_log_loss").fit(X, Y)
    assert client.study(search.study_id_).definition.objective.name == "mean_test_neg_log_loss"
    assert search.best_score_ == max(search.cv_results_["mean_test_neg_log_loss"])
    assert "mean_test_accuracy" in search.cv_results_
    four = ["accuracy", "neg_log_loss", "balanced_accuracy", "f1_macro"]
    with pytest.raises(bo_client.InvalidRequest, match=r'refit: is False, .* as in refit="accuracy"'):
        knn(address, scoring=four, refit=False).fit(X, Y)


def test_fits_that_fail_blame_their_parameters(address: str, client: bo_client.Client) -> None:
    space = {"n_neighbors": [3, 100]}  # more neighbors than there are images in a fold
    search = BOSearchCV(KNeighborsClassifier(), space, n_iter=2, server=address, cv=3)
    with pytest.warns(UserWarning, match="some of the scoring methods|non-finite|failed"):
        search.fit(X, Y)
    trials = {t.parameters["n_neighbors"]: t for t in client.study(search.study_id_).trials()}
    assert trials[3].state is TrialState.SUCCEEDED
    assert trials[100].failure.reason is FailureReason.DIVERGED  # scikit-learn tells of a score of NaN alone
    assert search.best_params_ == {"n_neighbors": 3}


def test_an_error_ends_the_search_and_its_trials(address: str, client: bo_client.Client, study_id: str) -> None:
    search = BOSearchCV(
        KNeighborsClassifier(), {"n_neighbors": [100, 101]}, server=address, study_id=study_id, error_score="raise"
    )
    with pytest.raises(ValueError, match="n_neighbors"):
        search.fit(X, Y)
    assert [t.state for t in client.study(study_id).trials()] == [TrialState.FAILED]


def test_steps_of_a_pipeline_are_chosen_under_conditions(address: str) -> None:
    space = {"scale": ["passthrough", StandardScaler(), MinMaxScaler()], "knn__n_neighbors": [1, 3.0, 5]}
    pipeline = Pipeline([("scale", "passthrough"), ("knn", KNeighborsClassifier())])
    with pytest.raises(bo_client.InvalidRequest, match=r"knn__n_neighbors: is \(1, 5\); give a list of values"):
        BOSearchCV(pipeline, {"knn__n_neighbors": (1, 5)}, server=address).fit(X, Y)
    space["knn__n_neighbors"] = [1, 3, 5]
    search = BOSearchCV(pipeline, space, n_iter=20, server=address, cv=2)
    with pytest.warns(UserWarning, match="SPACE_EXHAUSTED.*10 candidates were tried, not n_iter=20"):
        search.fit(X, Y)
    assert {type(p["scale"]) for p in search.cv_results_["params"]} == {str, StandardScaler, MinMaxScaler}


def test_a_space_of_ours_may_have_conditions(address: str) -> None:
    space = bo_client.SearchSpace(
        [
            bo_client.CategoricalParameter("metric", ["euclidean", "minkowski"]),
            bo_client.FloatParameter("p", 1.0, 4.0, activation=bo_client.Activation("metric", ["minkowski"])),
        ]
    )
    search = BOSearchCV(KNeighborsClassifier(), space, n_iter=6, server=address, cv=2, random_state=0).fit(X, Y)
    assert {("p" in p) == (p["metric"] == "minkowski") for p in search.cv_results_["params"]} == {True}


def test_what_cannot_be_expressed_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="C: has the distribution norm with arguments for which it has no quantiles"):
        translated({"C": stats.norm(0, -1)})
    with pytest.raises(bo_client.InvalidRequest, match=r"C\.values: .*each may occur once"):
        translated({"C": [1.0, 1.0]})


def test_lists_of_whole_and_real_numbers_keep_their_types() -> None:
    translation = translated({"C": [0.1, 1, 10], "n": np.array([4, 2])})
    assert translation.space["C"].values == (0.1, 1.0, 10.0)
    values = [translation.from_service({"C": c})["C"] for c in (0.1, 1.0, 10.0)]
    assert [(type(v), v) for v in values] == [(float, 0.1), (int, 1), (int, 10)]
    assert translation.space["n"].values == (2, 4)


def test_a_study_with_another_spec_is_refused(address: str, study_id: str) -> None:
    knn(address, study_id=study_id, n_iter=1).fit(X, Y)
    with pytest.raises(bo_client.AlreadyExists, match=study_id):
        knn(address, study_id=study_id, n_iter=1, random_state=3).fit(X, Y)


def test_the_server_of_a_process_ends_with_it(tmp_path: Path) -> None:
    code = "from bo_client.integrations import embedded; print(embedded.address(), flush=True); input()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    with bo_client.connect(address) as client:
        assert list(client.studies()) == []
    assert list(tmp_path.glob("bo-embedded-*/bo.db"))
    process.kill()
    process.wait(280)
    process.stdin.close()
    process.stdout.close()
    deadline = time.monotonic() + 280
    while list(tmp_path.glob("bo-embedded-*")):
        assert time.monotonic() < deadline, "the server outlives its process"
        time.sleep(0.1)
    with bo_client.connect(address, patience=0.0) as client, pytest.raises(bo_client.ServerUnavailable):
        list(client.studies())


def test_without_a_server_to_start_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bo_service.py").write_text("raise ImportError('no module of that kind')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(embedded, "_running", {})
    with pytest.raises(
        bo_client.ServerUnavailable, match=r"no module of that kind.*pip install 'bo-service\[server\]'"
    ):
        embedded.address()
