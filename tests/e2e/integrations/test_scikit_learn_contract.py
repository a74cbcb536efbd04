"""What RandomizedSearchCV promises, of BOSearchCV: errors of candidates, distributions, scores, refits, copies."""

import pickle
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bo_client
import numpy as np
import pandas as pd
import pytest
from bo_client import TrialState
from bo_client.integrations.scikit_learn import BOSearchCV
from bo_client.integrations.scikit_space import translated
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GroupKFold, RandomizedSearchCV, ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

X, y = make_classification(60, 5, random_state=0)
QUICK = {"settings": {"algorithm": "quasi_random"}, "random_state": 0, "cv": 2}
NON_FINITE = pytest.mark.filterwarnings("ignore:One or more of the:UserWarning")
FIT_FAILED = pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")


class Fragile(ClassifierMixin, BaseEstimator):
    """Fails by its parameter: `kind` is what becomes of the fit."""

    def __init__(self, kind: str = "fine") -> None:
        self.kind = kind

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Fragile":
        self.classes_ = np.unique(y)
        self.weight_ = None if sample_weight is None else len(sample_weight)
        if self.kind == "memory":
            raise MemoryError("Unable to allocate 74.5 GiB for an array with shape (100000, 100000)")
        if self.kind == "error":
            raise ValueError("no such kernel")
        if self.kind == "half" and y[0] == 0:
            raise ValueError("not this half")
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X), dtype=int)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return {"nan": float("nan"), "inf": float("-inf")}.get(self.kind, 0.5)


@pytest.fixture
def search(address: str) -> Callable[..., BOSearchCV]:
    return lambda estimator, spaces, **options: BOSearchCV(estimator, spaces, server=address, **{**QUICK, **options})


@pytest.fixture
def trials(client: bo_client.Client) -> Callable[[BOSearchCV], dict[Any, bo_client.Trial]]:
    """The service's trials of a search, by the value of its one parameter."""
    return lambda fitted: {
        next(iter(t.parameters.values())): t for t in client.study(fitted.study_id_).trials() if t.parameters
    }


@NON_FINITE
def test_a_range_with_impossible_values_ends_with_a_best(search, client) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(90, 60))
    found = search(PLSRegression(), {"n_components": stats.randint(1, 201)}, n_iter=15, cv=3)
    with pytest.warns(FitFailedWarning, match="n_components"):
        found.fit(data, data @ rng.normal(size=60))
    assert found.best_params_["n_components"] <= 60
    assert len(found.cv_results_["params"]) == 15
    told = list(client.study(found.study_id_).trials())
    for trial, score in zip(told, found.cv_results_["mean_test_score"], strict=True):
        possible = trial.parameters["n_components"] <= 60
        assert (trial.state is TrialState.SUCCEEDED) == possible == bool(np.isfinite(score))
        if not possible:
            assert trial.failure.reason == "INVALID_CONFIGURATION"
            assert "n_components" in trial.failure.message
    assert found.predict(data).shape == (90,)


@NON_FINITE
@FIT_FAILED
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract:RuntimeWarning")  # of a score of -inf
def test_each_kind_of_failure_is_told_as_such(search, trials) -> None:
    kinds = ["fine", "memory", "error", "half", "nan", "inf"]
    found = search(Fragile(), {"kind": kinds}, n_iter=6).fit(X, np.repeat([0, 1], 30))
    told = trials(found)
    assert {kind: told[kind].failure and told[kind].failure.reason.value for kind in kinds} == {
        "fine": None,
        "memory": "OUT_OF_MEMORY",
        "error": "INVALID_CONFIGURATION",
        "half": "INVALID_CONFIGURATION",
        "nan": "DIVERGED",
        "inf": "DIVERGED",
    }
    assert found.best_params_ == {"kind": "fine"}
    assert sorted(p["kind"] for p in found.cv_results_["params"]) == sorted(kinds)


@NON_FINITE
@FIT_FAILED
@pytest.mark.parametrize("n_points", [1, 3])
def test_a_number_as_error_score_counts_where_some_folds_are_left(search, trials, n_points: int) -> None:
    found = search(Fragile(), {"kind": ["fine", "half", "error"]}, n_iter=3, error_score=-1.0, n_points=n_points)
    found.fit(X, np.repeat([0, 1], 30))
    scores = dict(
        zip([p["kind"] for p in found.cv_results_["params"]], found.cv_results_["mean_test_score"], strict=True)
    )
    assert scores["fine"] == 0.5
    assert scores["error"] == -1.0
    told = trials(found)
    assert told["error"].failure.reason == "INVALID_CONFIGURATION"
    assert told["half"].failure is not None or told["half"].value("mean_test_score") == scores["half"]


@NON_FINITE
@FIT_FAILED
def test_a_search_without_any_fit_is_refused_at_its_end(search, client, study_id: str) -> None:
    with pytest.raises(ValueError, match="All the 4 fits failed"):
        search(Fragile(), {"kind": ["error", "memory"]}, n_iter=2, study_id=study_id).fit(X, y)
    assert {t.state for t in client.study(study_id).trials()} == {TrialState.INFEASIBLE}


def test_raise_as_error_score_raises_at_once(search, client, study_id: str) -> None:
    with pytest.raises(MemoryError):
        search(Fragile(), {"kind": ["memory"]}, n_iter=1, study_id=study_id, error_score="raise").fit(X, y)
    assert [t.failure.reason for t in client.study(study_id).trials()] == ["OUT_OF_MEMORY"]


def test_ctrl_c_gives_the_candidates_up_without_blame(search, client, study_id: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(Fragile(), {"kind": ["interrupt"]}, n_iter=1, study_id=study_id).fit(X, y)
    assert [t.failure.reason for t in client.study(study_id).trials()] == ["PREEMPTED"]


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        (stats.norm(0, 1), bo_client.FloatParameter("p", *map(float, stats.norm(0, 1).ppf([0.001, 0.999])))),
        (stats.norm(100, 1), bo_client.FloatParameter("p", *map(float, stats.norm(100, 1).ppf([0.001, 0.999])))),
        (
            stats.expon(scale=100),
            bo_client.FloatParameter("p", *map(float, stats.expon(scale=100).ppf([0.001, 0.999])), "log"),
        ),
        (stats.lognorm(1), bo_client.FloatParameter("p", *map(float, stats.lognorm(1).ppf([0.001, 0.999])), "log")),
        (stats.beta(2, 3), bo_client.FloatParameter("p", 0.0, 1.0)),
        (stats.truncnorm(-1, 2), bo_client.FloatParameter("p", -1.0, 2.0)),
        (stats.uniform(1, 2), bo_client.FloatParameter("p", 1.0, 3.0)),
        (stats.uniform, bo_client.FloatParameter("p", 0.0, 1.0)),
        (stats.loguniform(1e-3, 10), bo_client.FloatParameter("p", 1e-3, 10.0, "log")),
        (stats.randint(1, 10), bo_client.IntParameter("p", 1, 9)),
        (stats.binom(10, 0.5), bo_client.IntParameter("p", 0, 10)),
        (stats.poisson(5), bo_client.IntParameter("p", 0, 13)),
        (range(1, 5000), bo_client.IntParameter("p", 1, 4999)),
        (range(9, 3, -1), bo_client.IntParameter("p", 4, 9)),
    ],
)
def test_distributions_become_bounds(given: Any, parameter: bo_client.FloatParameter) -> None:
    found = translated({"p": given}).space["p"]
    assert type(found) is type(parameter)
    assert (found.low, found.high, found.scale) == pytest.approx((parameter.low, parameter.high, parameter.scale))


def test_numbers_of_numpy_are_numbers() -> None:
    space = translated(
        {"C": list(np.logspace(-1, 1, 3)), "n": [np.int64(4), np.int64(2)], "even": range(0, 10, 3)}
    ).space
    assert [space[name].values for name in ("C", "n", "even")] == [(0.1, 1.0, 10.0), (2, 4), (0, 3, 6, 9)]
    flags = translated({"flag": [np.True_, np.False_], "kind": list(np.array(["a", "b"]))}).space
    assert [p.values for p in flags.parameters] == [(True, False), ("a", "b")]


class OnlyDraws:
    """A distribution that can do no more than scikit-learn asks for."""

    def rvs(self, random_state: Any = None) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"C": OnlyDraws()}, "C: is OnlyDraws, which has no quantiles; give a list of values"),
        ({"C": stats.cauchy(0, -1)}, "C: has the distribution cauchy with arguments"),
        ({"C": (1, 5)}, r"C: is \(1, 5\); give a list of values"),
        ({"C": 3}, "C: is 3; give a list of values"),
        ({"C": []}, "C.values: has 0"),
        ([], r"search_spaces: is \[\]; give a dictionary"),
        ([{"C": [1]}, 3], "search_spaces: is .*; give a dictionary, or a list of dictionaries"),
        ("C", "search_spaces"),
    ],
)
def test_what_is_refused_is_a_value_error_that_names_it(search, spaces: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search(SVC(), spaces).fit(X, y)


def test_each_candidate_is_of_one_of_several_spaces(search) -> None:
    spaces = [
        {"kernel": ["rbf"], "C": stats.loguniform(0.1, 10), "gamma": stats.loguniform(1e-3, 1)},
        {"kernel": ["linear"], "C": [0.5, 1.0], "shrinking": [True, False]},
    ]
    found = search(SVC(), spaces, n_iter=12).fit(X, y)
    for candidate in found.cv_results_["params"]:
        rest = {"gamma"} if candidate["kernel"] == "rbf" else {"shrinking"}
        assert set(candidate) == {"kernel", "C"} | rest
        assert candidate["kernel"] == "rbf" or candidate["C"] in (0.5, 1.0)
    assert {c["kernel"] for c in found.cv_results_["params"]} == {"rbf", "linear"}
    assert np.ma.is_masked(found.cv_results_["param_gamma"])


def test_spaces_share_what_they_have_in_common() -> None:
    shared, scalers = stats.loguniform(0.1, 10), [StandardScaler(), MinMaxScaler()]
    space = translated([{"C": shared, "s": scalers}, {"C": shared, "s": scalers, "d": [2, 3]}, {"C": [1, 2]}]).space
    assert {p.name: p.activation and p.activation.values for p in space.parameters} == {
        "space": None,
        "C.0": ("0", "1"),
        "s": ("0", "1"),
        "d": ("1",),
        "C.2": ("2",),
    }


def test_a_space_may_leave_everything_as_it_is(search) -> None:
    found = search(SVC(), [{}, {"C": [1.0, 2.0]}], n_iter=3).fit(X, y)
    assert sorted(map(str, found.cv_results_["params"])) == ["{'C': 1.0}", "{'C': 2.0}", "{}"]


def fewest_neighbors(results: Any) -> int:
    """A refit function: of those within a standard deviation of the best, the first."""
    best = results["mean_test_score"].max() - results["std_test_score"].max()
    return int(np.flatnonzero(results["mean_test_score"] >= best)[0])


def test_a_function_may_choose_what_is_refit(search) -> None:
    found = search(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}, n_iter=3, refit=fewest_neighbors).fit(X, y)
    assert found.best_index_ == fewest_neighbors(found.cv_results_)
    assert found.best_params_ == found.cv_results_["params"][found.best_index_]
    assert not hasattr(found, "best_score_")


def test_a_function_that_chooses_among_several_scores_has_them_all_optimized(search, client) -> None:
    found = search(
        LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, n_iter=3, scoring=["accuracy", "roc_auc"], refit=lambda _: 1
    ).fit(X, y)
    objectives = client.study(found.study_id_).definition.objectives
    assert [m.name for m in objectives] == ["mean_test_accuracy", "mean_test_roc_auc"]
    assert found.best_index_ == 1
    four = ["accuracy", "roc_auc", "f1", "recall"]
    with pytest.raises(ValueError, match=r"refit: is .* scoring has 4, of which 3 at most are"):
        search(LogisticRegression(), {"C": [1.0]}, scoring=four, refit=lambda _: 0).fit(X, y)


def several(estimator: Any, X: Any, y: Any) -> dict[str, float]:
    """A scorer whose names are known only when it is called."""
    return {"accuracy": float((estimator.predict(X) == y).mean()), "zero": 0.0}


@NON_FINITE
@FIT_FAILED
def test_a_function_may_return_several_scores(search, trials) -> None:
    space = {"kind": ["error", "fine", "memory"]}
    found = search(Fragile(), space, n_iter=3, scoring=several, refit="accuracy").fit(X, y)
    assert found.best_params_ == {"kind": "fine"}
    assert trials(found)["fine"].value("mean_test_accuracy") == found.best_score_
    with pytest.raises(ValueError, match="refit: names none of the scores; scoring returns accuracy, zero"):
        search(Fragile(), {"kind": ["fine"]}, n_iter=1, scoring=several).fit(X, y)


@NON_FINITE
def test_a_scorer_that_returns_nan_diverges(search, trials) -> None:
    scorer = make_scorer(lambda _, predicted: float("nan") if predicted.all() else 1.0)
    found = search(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, n_iter=2, scoring=scorer).fit(X, np.ones(60))
    assert {t.failure.reason.value for t in trials(found).values()} == {"DIVERGED"}


def test_one_score_may_be_named_by_refit(search) -> None:
    found = search(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, n_iter=2, scoring="accuracy", refit="accuracy")
    assert found.fit(X, y).best_score_ == max(found.cv_results_["mean_test_score"])


def test_without_refit_there_is_a_best_and_no_estimator(search) -> None:
    found = search(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, n_iter=2, refit=False).fit(X, y)
    assert found.best_params_["n_neighbors"] in (1, 3)
    assert not hasattr(found, "best_estimator_")


def test_several_scores_without_refit_are_all_optimized(search, client) -> None:
    """As in RandomizedSearchCV there is then no best, as no score is preferred."""
    scoring = {"right": "accuracy", "area": "roc_auc"}
    found = search(LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, scoring=scoring, refit=False).fit(X, y)
    objectives = client.study(found.study_id_).definition.objectives
    assert [m.name for m in objectives] == ["mean_test_right", "mean_test_area"]
    assert not hasattr(found, "best_index_")
    assert {"rank_test_right", "rank_test_area"} <= set(found.cv_results_)


def test_all_candidates_are_compared_on_the_same_folds(search) -> None:
    """A splitter without a seed would give each candidate folds of its own."""
    found = search(Ridge(), {"alpha": [1.0, 1.0 + 1e-12]}, n_iter=2, cv=ShuffleSplit(3, test_size=0.3)).fit(X, y)
    first, second = (found.cv_results_[f"split{i}_test_score"] for i in (0, 1))
    assert first[0] == pytest.approx(first[1], rel=1e-6)
    assert second[0] == pytest.approx(second[1], rel=1e-6)


def test_jobs_weights_groups_and_frames_come_through(search, client, address: str) -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    with bo_client.connect(address) as connected:
        found = BOSearchCV(
            Fragile(), {"kind": ["fine", "other"]}, n_iter=2, n_points=2, n_jobs=2, server=connected,
            **{**QUICK, "cv": GroupKFold(3)},
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of joblib, and that the scorer takes no weights
            found.fit(frame, y, groups=np.arange(60) % 3, sample_weight=np.ones(60))
    assert found.n_splits_ == 3
    assert found.best_estimator_.weight_ == 60
    assert sum(t.state is TrialState.SUCCEEDED for t in client.study(found.study_id_).trials()) == 2
    named = search(LogisticRegression(), {"C": [1.0]}, n_iter=1).fit(frame, y)
    assert list(named.feature_names_in_) == list("abcde")


def test_a_search_can_be_cloned_and_pickled(address: str) -> None:
    with bo_client.connect(address, patience=1.0) as client:
        search = BOSearchCV(SVC(), {"C": stats.loguniform(0.1, 10)}, n_iter=2, server=client, **QUICK)
        copy = clone(search)
        assert copy.get_params()["server"] is client
        assert copy.get_params().keys() == search.get_params().keys()
        copy.set_params(estimator__kernel="linear", n_iter=1).fit(X, y)
        again = pickle.loads(pickle.dumps(copy))
        assert (again.predict(X) == copy.predict(X)).all()
        assert (again.server.transport.address, again.server.patience) == (address, 1.0)
        again.fit(X, y)
        again.server.close()
        again.server_.close()


def test_a_token_is_in_no_pickle(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with bo_client.connect(address, token="very-secret") as client:
        state = pickle.dumps(client)
    assert b"very-secret" not in state
    monkeypatch.setenv("BO_TOKEN", "of-the-environment")
    assert pickle.loads(state).transport.security.token == "of-the-environment"


def test_a_search_is_a_step_and_has_steps(search) -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("search", search(SVC(), {"C": [0.1, 1.0]}, n_iter=2))])
    assert pipeline.fit(X, y).score(X, y) > 0.5
    assert search(pipeline, {"scale__with_mean": [True]}, n_iter=1).fit(X, y).best_params_ == {"scale__with_mean": True}


def test_the_results_are_those_of_a_randomized_search(search) -> None:
    space = {"n_neighbors": [1, 3, 5], "weights": ["uniform", "distance"]}
    options = {"n_iter": 4, "cv": 3, "return_train_score": True}
    ours = search(KNeighborsClassifier(), space, **options).fit(X, y)
    theirs = RandomizedSearchCV(KNeighborsClassifier(), space, random_state=0, **options).fit(X, y)
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    fitted = {name for name in vars(theirs) if name.endswith("_")}
    assert {name for name in vars(ours) if name.endswith("_")} == fitted | {"server_", "study_id_"}
    for i, candidate in enumerate(ours.cv_results_["params"]):
        j = theirs.cv_results_["params"].index(candidate) if candidate in theirs.cv_results_["params"] else None
        if j is not None:
            assert ours.cv_results_["mean_test_score"][i] == theirs.cv_results_["mean_test_score"][j]


def test_a_search_that_ends_early_says_why_and_how_many_ran(search) -> None:
    found = search(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, n_iter=9)
    with pytest.warns(UserWarning, match=r"ended after 2 of 9 trials \(2 succeeded, 0 failed\): no configuration"):
        found.fit(X, y)
    limited = search(SVC(), {"C": stats.uniform(1, 2)}, n_iter=5, settings={"max_trials": 2})
    with pytest.warns(UserWarning, match="ended after 2 of 5 trials .* is complete: 2 of its 2 trials"):
        limited.fit(X, y)
    limited.set_params(study_id=limited.study_id_)
    with pytest.raises(ValueError, match=r"study_id: is 'search-.*or take another study_id"):
        limited.fit(X, y)


def test_a_paused_study_is_waited_for(search, client, study_id: str, caplog) -> None:
    found = search(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}, n_iter=1, study_id=study_id).fit(X, y)
    study = client.study(study_id)
    study.update(state="PAUSED")
    again = threading.Thread(target=found.fit, args=(X, y))
    again.start()
    while "waiting because the study is paused" not in caplog.text:
        assert again.is_alive()
        again.join(0.05)
    study.update(state="ACTIVE")
    again.join(120)
    assert not again.is_alive()
    assert study.info().ended == 2


def test_searches_may_run_in_threads(search, client) -> None:
    """With failures in each of them."""

    def run(_: int) -> BOSearchCV:
        return search(Fragile(), {"kind": ["fine", "memory", "nan"]}, n_iter=3).fit(X, np.repeat([0, 1], 30))

    with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
        warnings.simplefilter("ignore")
        for found in pool.map(run, range(8)):
            assert found.best_params_ == {"kind": "fine"}
            assert client.study(found.study_id_).info().ended == 3
