"""The callbacks of XGBoost and LightGBM, beside a real server: the same of both, and what each has of its own."""

import math
import threading
from collections.abc import Callable
from typing import Any

import bo_client
import pytest
from bo_client import TrialState

xgboost = pytest.importorskip("xgboost", reason="needs the extra xgboost")
lightgbm = pytest.importorskip("lightgbm", reason="needs the extra lightgbm")
import numpy as np  # noqa: E402
from bo_client.integrations.lightgbm import BoCallback as LightGBMCallback  # noqa: E402
from bo_client.integrations.xgboost import BoCallback as XGBoostCallback  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
Y = (X[:, 0] + RNG.normal(size=80) > 0).astype(float)
SPACE = bo_client.SearchSpace([bo_client.FloatParameter("eta", 1e-2, 0.5, scale="log")])
METRICS = {"xgboost": "logloss", "lightgbm": "binary_logloss"}


class Tool:
    """One of the two libraries: the same training in the words of each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loss = METRICS[name]
        self.callback = {"xgboost": XGBoostCallback, "lightgbm": LightGBMCallback}[name]

    def train(self, callback: Any, rounds: int = 4, eta: float = 0.3, evals: bool = True, metric: Any = None) -> Any:
        callbacks = [callback] if callback else []
        begin = callback.model if callback else None
        if self.name == "xgboost":
            train, valid = xgboost.DMatrix(X[:50], Y[:50]), xgboost.DMatrix(X[50:], Y[50:])
            sets = [(train, "train"), (valid, "valid")] if evals else []
            params = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "eta": eta, "nthread": 1}
            return xgboost.train(
                params,
                train,
                rounds,
                evals=sets,
                callbacks=callbacks,
                xgb_model=begin,
                verbose_eval=False,
                custom_metric=metric and (lambda *given: ("own", metric(*given))),
            )
        train = lightgbm.Dataset(X[:50], Y[:50], free_raw_data=False)
        sets = [train, lightgbm.Dataset(X[50:], Y[50:], free_raw_data=False)] if evals else []
        params = {"objective": "binary", "metric": ["auc", "binary_logloss"], "learning_rate": eta, "num_threads": 1}
        names = ["train", "valid"] if evals else None
        return lightgbm.train(
            {**params, "verbose": -1, "min_data_in_leaf": 2, "num_leaves": 4}, train, rounds,
            valid_sets=sets, valid_names=names, callbacks=callbacks, init_model=begin,
            feval=metric and (lambda *given: ("own", metric(*given), False)),
        )  # fmt: skip

    def predict(self, booster: Any) -> Any:
        return booster.predict(xgboost.DMatrix(X)) if self.name == "xgboost" else booster.predict(X)

    def rounds(self, booster: Any) -> int:
        return int(booster.num_boosted_rounds() if self.name == "xgboost" else booster.current_iteration())


@pytest.fixture(params=sorted(METRICS))
def tool(request: pytest.FixtureRequest) -> Tool:
    return Tool(request.param)


@pytest.fixture
def make_study(client: bo_client.Client, study_id: str) -> Callable[..., bo_client.Study]:
    def make(metric: str = "valid-auc", goal: Any = "maximize", **settings: Any) -> bo_client.Study:
        return client.create_study(study_id, SPACE, metric, goal, **settings)

    return make


def test_rounds_are_reported_with_all_metrics(tool, make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    callback = tool.callback(trial)
    booster = tool.train(callback)
    assert trial.complete(max(callback.history["valid-auc"])).state is TrialState.SUCCEEDED
    told = study.trial(trial.number)
    assert [m.step for m in told.measurements] == [1, 2, 3, 4]
    assert set(told.measurements[0].metrics) == {f"{d}-{m}" for d in ("train", "valid") for m in ("auc", tool.loss)}
    assert [m.metrics["valid-auc"] for m in told.measurements] == callback.history["valid-auc"]
    assert (tool.rounds(booster), callback.stop_reason) == (4, None)


@pytest.mark.parametrize("metric", ["valid-auc", "auc"])
def test_the_objective_may_have_a_name_of_its_own(tool, make_study, metric: str) -> None:
    study = make_study("score")
    (trial,) = study.suggest()
    tool.train(tool.callback(trial, metric), 2)
    (told, _) = study.trial(trial.number).measurements
    assert set(told.metrics) == {"score", "train-auc", f"train-{tool.loss}", f"valid-{tool.loss}"}


def test_a_short_name_is_that_of_the_last_data_set(tool, make_study) -> None:
    (trial,) = make_study("auc").suggest()
    callback = tool.callback(trial)
    tool.train(callback, 1)
    assert set(callback.history) == {"auc", "train-auc", f"train-{tool.loss}", f"valid-{tool.loss}"}
    (again,) = trial.study.suggest()
    callback = tool.callback(again, {"auc": "train-auc"})
    tool.train(callback, 1)
    assert set(callback.history) == {"auc", "valid-auc", f"train-{tool.loss}", f"valid-{tool.loss}"}


def test_a_name_that_the_service_refuses_is_reported_by_a_similar_one(make_study) -> None:
    (trial,) = make_study("error", "minimize").suggest()
    callback = XGBoostCallback(trial, "valid-error@0.7")
    data = xgboost.DMatrix(X, Y)
    params = {"objective": "binary:logistic", "eval_metric": ["error@0.3", "error@0.7"], "nthread": 1}
    xgboost.train(params, data, 1, evals=[(data, "valid")], callbacks=[callback], verbose_eval=False)
    assert sorted(name[:16] for name in callback.history) == ["error", "valid-error_0.3_"]


@pytest.mark.parametrize("every", [1, 3])
def test_a_metric_that_there_is_not_is_told_with_those_that_there_are(tool, make_study, every: int) -> None:
    (trial,) = make_study("accuracy").suggest()
    with pytest.raises(
        bo_client.InvalidRequest, match=r"metrics: lack accuracy; .* has train-auc, .*valid-auc.* metric="
    ):
        tool.train(tool.callback(trial, every=every))
    with pytest.raises(bo_client.InvalidRequest, match=r"metric: is test-auc; .* has train-auc, "):
        tool.train(tool.callback(trial, "test-auc", every=every))
    with pytest.raises(bo_client.InvalidRequest, match=r"lack accuracy; .* has none: .*(evals|valid_sets)"):
        tool.train(tool.callback(trial), evals=False)
    with pytest.raises(bo_client.InvalidRequest, match="keys 'auc'; the study has accuracy"):
        tool.callback(trial, {"auc": "valid-auc"})
    with pytest.raises(bo_client.InvalidRequest, match="every: is 0"):
        tool.callback(trial, every=0)


def test_boosting_ends_when_the_service_says_so(tool, make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    study.stop_trial(trial.number, "enough is known")
    callback = tool.callback(trial)
    booster = tool.train(callback, 50)
    assert (tool.rounds(booster), callback.stop_reason) == (1, "enough is known")
    assert trial.complete(callback.history["valid-auc"][-1]).state is TrialState.STOPPED


def test_within_optimize_the_rest_of_the_objective_still_runs(tool, make_study) -> None:
    study = make_study(tool.loss, "minimize")
    lengths = []

    def objective(parameters: Any, trial: Any) -> float:
        study.stop_trial(trial.number, "enough is known")
        callback = tool.callback(trial, every=2)
        lengths.append(tool.rounds(tool.train(callback, 50, parameters["eta"])))
        return min(callback.history[tool.loss])

    study.optimize(objective, n_trials=1)
    (told,) = study.trials()
    assert (lengths, told.state) == ([2], TrialState.STOPPED)


@pytest.mark.parametrize(("rule", "rounds"), [("none", 4), ("median", 2)])
def test_a_metric_of_nan_is_divergence_and_the_search_goes_on(tool, make_study, rule: str, rounds: int) -> None:
    study = make_study("valid-own", "minimize", stopping=rule)
    lengths = []

    def objective(parameters: Any, trial: Any) -> float:
        values = iter([1.0, 1.0, *[math.nan if trial.number == 1 else 1.0] * 6])  # two sets in a round
        callback = tool.callback(trial)
        lengths.append(tool.rounds(tool.train(callback, 4, metric=lambda *_: next(values))))
        return callback.history["valid-own"][-1]

    study.optimize(objective, n_trials=2)
    first, second = study.trials(full=True)
    assert (first.failure.reason.value, second.state) == ("DIVERGED", TrialState.SUCCEEDED)
    kept = 1 if tool.name == "lightgbm" and rule == "median" else rounds  # the best one
    assert lengths == [kept, 4]
    assert ["valid-own" in m.metrics for m in first.measurements] == [True, *[False] * (rounds - 1)]


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("broken"), KeyboardInterrupt()])
def test_an_exception_ends_the_trial_with_its_reason(tool, make_study, error: BaseException) -> None:
    study = make_study(max_attempts=1)

    def objective(parameters: Any, trial: Any) -> float:
        def fail(*_: Any) -> float:
            raise error

        tool.train(tool.callback(trial), metric=fail)
        return 1.0

    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            study.optimize(objective, n_trials=1)
    else:
        study.optimize(objective, n_trials=1)
    (told,) = study.trials()
    reasons = {MemoryError: "OUT_OF_MEMORY", RuntimeError: "CRASHED", KeyboardInterrupt: "PREEMPTED"}
    assert told.failure.reason.value == reasons[type(error)]
    assert [t for t in threading.enumerate() if t.name.endswith(told.name) and not t.daemon] == []


LAST = 9


def test_a_boosting_in_parts_gives_the_model_of_a_whole_one(tool, make_study, tmp_path) -> None:
    study = make_study(
        tool.loss, "minimize", max_trials=4, fidelity={"metric": "round", "max": LAST}, algorithm="quasi_random"
    )
    predictions = {}

    def objective(parameters: Any, trial: Any) -> float:
        callback = tool.callback(trial, checkpoint_dir=tmp_path, every=4)
        booster = tool.train(callback, callback.rounds_left(LAST), parameters["eta"])
        assert tool.rounds(booster) == LAST
        predictions[parameters["eta"]] = tool.predict(booster)
        assert callback.history[tool.loss] == [m.metrics[tool.loss] for m in measurements(study, trial)]
        return callback.value

    study.optimize(objective, can_resume=True)
    told = list(study.trials(full=True))
    assert {t.state for t in told} == {TrialState.SUCCEEDED, TrialState.PAUSED}
    assert {tuple(m.step for m in t.measurements) for t in told} <= {(1,), (1, 3), (1, 3, 4, 8, 9)}
    kept = [path.name for path in tmp_path.glob("*/trial-*/*")]
    assert len(kept) == len(told)  # the last checkpoint of each
    for eta, predicted in predictions.items():
        assert predicted == pytest.approx(tool.predict(tool.train(None, LAST, eta)), abs=1e-5)


def measurements(study: bo_client.Study, trial: Any) -> Any:
    return study.trial(trial.number).measurements


def test_a_pause_needs_a_folder_that_can_be_read(tool, make_study, tmp_path) -> None:
    study = make_study(max_trials=1, fidelity={"metric": "round", "max": LAST}, algorithm="quasi_random")
    (trial,) = study.suggest(can_resume=True)
    with pytest.raises(bo_client.InvalidRequest, match="checkpoint_dir: is missing"):
        tool.callback(trial)
    callback = tool.callback(trial, checkpoint_dir=tmp_path)
    assert tool.rounds(tool.train(callback, LAST)) == 1
    assert callback.pause_reason == trial.pause_reason
    trial.pause()
    (again,) = study.suggest(can_resume=True)
    (file,) = tmp_path.glob("*/*/*")
    file.write_text("something else")
    with pytest.raises(bo_client.InvalidRequest, match=r"checkpoint_uri: is .* cannot be read"):
        tool.callback(again, checkpoint_dir=tmp_path)
    file.unlink()
    with pytest.raises(bo_client.InvalidRequest, match="it does not exist; give all workers the same"):
        tool.callback(again, checkpoint_dir=tmp_path)


def test_lightgbm_keeps_the_best_round(make_study) -> None:
    tool, study = Tool("lightgbm"), make_study("valid-own", "maximize")
    (trial,) = study.suggest()
    values = iter([0.1, 0.1, 0.9, 0.9, 0.2, 0.2])

    def measure(*_: Any) -> float:
        value = next(values)
        if value == 0.2:
            study.stop_trial(trial.number, "enough is known")
        return value

    booster = tool.train(LightGBMCallback(trial), 50, metric=measure)
    assert (booster.best_iteration, booster.best_score["valid"]["own"], booster.current_iteration()) == (2, 0.9, 2)
    assert [m.step for m in study.trial(trial.number).measurements] == [1, 2, 3]
    assert trial.stop_reason == "enough is known"


def test_lightgbms_own_early_stopping_has_the_last_word(make_study) -> None:
    study = make_study("valid-own")
    (trial,) = study.suggest()
    train = lightgbm.Dataset(X, Y)
    booster = lightgbm.train(
        {"objective": "binary", "metric": "none", "verbose": -1, "num_threads": 1}, train, 5,
        valid_sets=[train.create_valid(X, Y)], valid_names=["valid"], feval=lambda *_: ("own", 1.0, True),
        callbacks=[LightGBMCallback(trial), lightgbm.early_stopping(1, verbose=False)],
    )  # fmt: skip
    assert booster.best_iteration == 1
    assert [m.step for m in study.trial(trial.number).measurements] == [1, 2]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of the libraries' estimators
def test_estimators_and_cross_validation_report_too(tool, make_study) -> None:
    study = make_study("auc")
    for name, train in estimators(tool):
        (trial,) = study.suggest()
        callback = tool.callback(trial)
        train(callback)
        assert [m.step for m in study.trial(trial.number).measurements] == [1, 2, 3], name
        assert trial.complete(callback.value).state is TrialState.SUCCEEDED


def estimators(tool: Tool) -> list[tuple[str, Any]]:
    if tool.name == "xgboost":
        params = {"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1}
        return [
            ("cv", lambda c: xgboost.cv(params, xgboost.DMatrix(X, Y), 3, nfold=2, callbacks=[c])),
            (
                "estimator",
                lambda c: xgboost.XGBClassifier(
                    n_estimators=3, eval_metric="auc", callbacks=[c], n_jobs=1
                ).fit(X, Y, eval_set=[(X, Y)], verbose=False),
            ),
        ]  # fmt: skip
    params = {"objective": "binary", "metric": "auc", "verbose": -1, "num_threads": 1}
    return [
        ("cv", lambda c: lightgbm.cv(params, lightgbm.Dataset(X, Y), 3, nfold=2, callbacks=[c])),
        (
            "estimator",
            lambda c: lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(
                X, Y, eval_set=[(X, Y)], eval_metric="auc", callbacks=[c]
            ),
        ),
    ]
