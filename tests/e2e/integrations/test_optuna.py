"""Optuna's own studies with our sampler and pruner, beside a real server."""

import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client
import optuna
import pytest
from bo_client import FailureReason, TrialState
from bo_client.integrations.distributions import translated
from bo_client.integrations.optuna import BoPruner, BoSampler
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def bowl(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -2.0, 2.0)
    return (x - 0.5) ** 2 + (trial.suggest_int("n", 1, 4) - 2) ** 2


SPACE = {"x": FloatDistribution(-2.0, 2.0), "n": IntDistribution(1, 4)}


@pytest.fixture
def make_study(address: str, study_id: str) -> Callable[..., optuna.Study]:
    """An Optuna study whose sampler asks the server; what isn't the sampler's is given as `study`."""

    def make(study: dict[str, Any] | None = None, **options: Any) -> optuna.Study:
        sampler = BoSampler(address, study_id=study_id, **options)
        return optuna.create_study(sampler=sampler, **(study or {}))

    return make


@pytest.fixture
def trials(client: bo_client.Client, study_id: str) -> Callable[..., list[bo_client.Trial]]:
    return lambda suffix="", full=False: list(client.study(study_id + suffix).trials(full=full))


def test_a_discovered_space_is_searched_from_the_second_trial_on(make_study, trials) -> None:
    study = make_study(settings={"seed": 0})
    study.optimize(bowl, n_trials=15)
    told = trials()
    assert [t.state for t in told] == [TrialState.SUCCEEDED] * 15
    assert [dict(t.parameters) for t in told] == [t.params for t in study.trials]
    assert [t.value("value") for t in told] == [t.value for t in study.trials]
    assert [t.origin for t in told].count(bo_client.Origin.USER) == 1  # the first, drawn by Optuna
    assert bo_client.Origin.SURROGATE in {t.origin for t in told}
    assert study.best_value < 0.1


def test_a_space_that_shrinks_goes_on_in_another_study_with_all_results(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        value = bowl(trial)
        return value if trial.number >= 3 else value + trial.suggest_float("extra", 0.0, 1.0)

    study = make_study()
    study.optimize(objective, n_trials=6)
    assert set(trials()[0].parameters) == {"x", "n", "extra"}
    assert [t.value("value") for t in trials(".2")] == [t.value for t in study.trials]
    assert {frozenset(t.parameters) for t in trials(".2")} == {frozenset({"x", "n"})}


def test_a_trial_that_ends_after_the_space_has_shrunk_counts_in_the_new_study(make_study, trials) -> None:
    study = make_study()
    wide, narrow = {**SPACE, "extra": FloatDistribution(0.0, 1.0)}, SPACE
    study.tell(study.ask(wide), 1.0)
    late = study.ask(wide)
    study.tell(study.ask(narrow), 2.0)
    study.tell(study.ask(narrow), 3.0)
    study.tell(late, 4.0)
    assert sorted(t.value("value") for t in trials(".2")) == [1.0, 2.0, 3.0, 4.0]


def test_every_kind_of_distribution_comes_through(make_study, trials) -> None:
    asked = {
        "log": FloatDistribution(1e-5, 1e-1, log=True),
        "stepped": FloatDistribution(0.0, 1.0, step=0.1),
        "fine": FloatDistribution(0.0, 1.0, step=0.0001),
        "whole": IntDistribution(1, 1000, log=True),
        "even": IntDistribution(2, 20, step=2),
        "name": CategoricalDistribution(["a", "b"]),
        "flag": CategoricalDistribution([True, False]),
        "batch": CategoricalDistribution([64, 16, 32]),
        "mixed": CategoricalDistribution([None, 1, "one", 2.5]),
        "with space!": FloatDistribution(0.0, 1.0),
        "constant": FloatDistribution(3.0, 3.0),
    }
    study = make_study(search_space=asked)
    for _ in range(4):
        trial = study.ask(asked)
        study.tell(trial, trial.params["log"] + trial.params["even"])
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 4
    for ended in study.trials:
        assert ended.params.keys() == asked.keys()
        assert all(d._contains(d.to_internal_repr(ended.params[n])) for n, d in asked.items())
        assert ended.params["constant"] == 3.0
    batches = [(t.parameters["batch"], ended.params["batch"]) for t, ended in zip(trials(), study.trials, strict=True)]
    assert all(ours == theirs and type(ours) is int for ours, theirs in batches)


def test_conditions_of_a_space_of_ours_hold(make_study, trials) -> None:
    space = bo_client.SearchSpace(
        [
            bo_client.CategoricalParameter("kind", ["linear", "deep"]),
            bo_client.IntParameter("layers", 1, 3, activation=bo_client.Activation("kind", ["deep"])),
        ]
    )

    def objective(trial: optuna.Trial) -> float:
        return (
            1.0
            if trial.suggest_categorical("kind", ["linear", "deep"]) == "linear"
            else trial.suggest_int("layers", 1, 3)
        )

    make_study(search_space=space).optimize(objective, n_trials=4)
    assert {("layers" in t.parameters) == (t.parameters["kind"] == "deep") for t in trials()} == {True}
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 4


def test_pruned_and_failed_trials_are_told_as_such(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        bowl(trial)
        if trial.number == 1:
            raise optuna.TrialPruned
        for step in range(3):
            trial.report(10.0 - step, step)
            if trial.number == 2 and step == 1:
                raise optuna.TrialPruned
        if trial.number == 3:
            raise RuntimeError("broken")
        return float("nan") if trial.number == 4 else float("inf") if trial.number == 5 else 1.0

    make_study(search_space=SPACE).optimize(objective, n_trials=6, catch=(RuntimeError,))
    told = trials(full=True)
    s = TrialState
    assert [t.state for t in told] == [s.SUCCEEDED, s.INFEASIBLE, s.STOPPED, s.FAILED, s.INFEASIBLE, s.INFEASIBLE]
    assert [t.failure.reason for t in told if t.failure] == ["INVALID_CONFIGURATION", "CRASHED", "DIVERGED", "DIVERGED"]
    assert [(m.step, m.metrics["value"]) for m in told[0].measurements] == [(0, 10.0), (1, 9.0), (2, 8.0)]
    assert (told[2].value("value"), told[2].final_measurement.step) == (9.0, 1)


def test_what_a_failed_trial_means_can_be_said(make_study, trials) -> None:
    def broken(trial: optuna.Trial) -> float:
        bowl(trial)
        raise RuntimeError

    study = make_study(search_space=SPACE, failure_reason="INVALID_CONFIGURATION")
    study.optimize(broken, n_trials=1, catch=(RuntimeError,))
    assert trials()[0].failure.reason is FailureReason.INVALID_CONFIGURATION


def test_the_services_stopping_rule_prunes(make_study, trials) -> None:
    settings = {"stopping": "median", "stopping_min_trials": 2, "stopping_min_step": 1, "stopping_max_step": 10}

    def objective(trial: optuna.Trial) -> float:
        bowl(trial)
        level = 100.0 if trial.number == 5 else float(trial.number)
        for step in range(1, 11):
            trial.report(level, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return level

    study = make_study({"pruner": BoPruner()}, search_space=SPACE, settings=settings)
    study.optimize(objective, n_trials=6)
    assert study.trials[5].state is optuna.trial.TrialState.PRUNED
    told = trials()[5]
    assert (told.state, told.value("value")) == (TrialState.STOPPED, 100.0)
    assert told.stop_reason.startswith("Median rule")


def test_a_pruner_without_the_sampler_says_what_it_needs() -> None:
    study = optuna.create_study(pruner=BoPruner(), sampler=optuna.samplers.RandomSampler())
    trial = study.ask()
    trial.report(1.0, 1)
    with pytest.raises(bo_client.InvalidRequest, match="sampler: is RandomSampler; BoPruner asks the service"):
        trial.should_prune()


def test_enqueued_trials_are_told_as_they_were_run(make_study, trials) -> None:
    study = make_study(search_space=SPACE)
    study.enqueue_trial({"x": 0.25, "n": 3})
    study.enqueue_trial({"n": 4})
    study.optimize(bowl, n_trials=3)
    told = sorted(trials(), key=lambda t: t.labels.get("optuna-trial", "/2").split("/")[1])
    assert [dict(t.parameters) for t in told] == [t.params for t in study.trials]
    assert (study.trials[0].params, study.trials[1].params["n"]) == ({"x": 0.25, "n": 3}, 4)
    assert [t.state for t in told] == [TrialState.SUCCEEDED] * 3


def test_an_enqueued_value_on_a_grid_is_told_despite_rounding(make_study, trials) -> None:
    study = make_study(search_space={"x": FloatDistribution(0.0, 1.0, step=0.1)})
    study.enqueue_trial({"x": 0.3})
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0, step=0.1), n_trials=2)
    assert sorted(t.value("value") for t in trials()) == sorted(t.value for t in study.trials)


def test_several_objectives_keep_their_directions_and_names(make_study, client, study_id) -> None:
    study = make_study({"directions": ["minimize", "maximize"]}, search_space=SPACE)
    study.set_metric_names(["loss", "accuracy"])
    study.optimize(lambda trial: (bowl(trial), -trial.params["x"]), n_trials=3)
    found = client.study(study_id)
    assert [(m.name, m.goal) for m in found.definition.metrics] == [("loss", "minimize"), ("accuracy", "maximize")]
    assert [dict(t.final_measurement.metrics) for t in found.trials()] == [
        {"loss": t.values[0], "accuracy": t.values[1]} for t in study.trials
    ]


def test_threads_share_a_sampler(make_study, trials) -> None:
    together = threading.Barrier(3)

    def objective(trial: optuna.Trial) -> float:
        value = bowl(trial)
        together.wait(120)
        return value

    study = make_study(search_space=SPACE)
    study.optimize(objective, n_trials=6, n_jobs=3)
    assert sorted(t.value("value") for t in trials()) == sorted(t.value for t in study.trials)
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 6


def test_a_long_objective_keeps_its_lease(make_study, trials) -> None:
    def slow(trial: optuna.Trial) -> float:
        time.sleep(2.5)
        return bowl(trial)

    make_study(search_space=SPACE, settings={"lease_duration": 1.0}).optimize(slow, n_trials=1)
    assert [(t.state, t.attempt) for t in trials()] == [(TrialState.SUCCEEDED, 1)]


def test_a_study_that_is_taken_up_again_tells_nothing_twice(make_study, trials, address, study_id, tmp_path) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    make_study({"storage": storage, "study_name": "o"}).optimize(bowl, n_trials=3)
    sampler = BoSampler(address, study_id=study_id)
    again = optuna.load_study(study_name="o", storage=storage, sampler=sampler)
    again.enqueue_trial({"n": 4})
    again.optimize(bowl, n_trials=2)
    once_more = optuna.load_study(study_name="o", storage=storage, sampler=BoSampler(address, study_id=study_id))
    once_more.optimize(bowl, n_trials=1)
    assert [dict(t.parameters) for t in trials()] == [t.params for t in once_more.trials]


def test_a_trial_that_optuna_repeats_after_a_crash_is_told(
    make_study, trials, client, study_id, tmp_path: Path
) -> None:
    study = make_study({"storage": f"sqlite:///{tmp_path}/optuna.db"}, search_space=SPACE)
    lost = study.ask()
    value = bowl(lost)
    study.sampler._runs[lost._trial_id].release()  # as where its process was killed
    optuna.storages.RetryHeartbeatStaleTrialCallback()(study, study.get_trials()[0])
    study.optimize(bowl, n_trials=1)
    assert study.trials[1].params == lost.params
    assert [t.value("value") for t in trials() if t.state is TrialState.SUCCEEDED] == [value]


def test_the_limit_of_trials_ends_the_loop(make_study, trials) -> None:
    study = make_study(search_space=SPACE, settings={"max_trials": 2})
    study.optimize(bowl, n_trials=10)
    assert len(study.trials) == 3
    assert sum(t.origin is not bo_client.Origin.USER for t in trials()) == 2


def test_asking_beyond_the_limit_is_refused(make_study) -> None:
    study = make_study(search_space=SPACE, settings={"max_trials": 1})
    study.tell(study.ask(SPACE), 1.0)
    with pytest.raises(bo_client.FailedPrecondition, match="has no more trials"):
        study.ask(SPACE)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "FAIL"]


def test_a_sampler_can_be_copied(make_study) -> None:
    study = make_study(search_space=SPACE)
    study.optimize(bowl, n_trials=1)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(bowl, n_trials=1)
    assert len(study.trials) == 2


def test_a_space_that_cannot_be_expressed_is_refused_by_name(address: str) -> None:
    class Odd(optuna.distributions.BaseDistribution):
        def single(self) -> bool:
            return False

        to_external_repr = to_internal_repr = _contains = lambda self, value: value
        _asdict = dict

    with pytest.raises(bo_client.InvalidRequest, match="strange: has a Odd; give a FloatDistribution"):
        BoSampler(address, study_id="s", search_space={"strange": Odd()})
    with pytest.raises(bo_client.InvalidRequest, match=r"choices\.values: .* 1 to 1000"):
        translated({"choices": CategoricalDistribution([str(i) for i in range(1001)])})


def test_errors_of_the_service_are_ours(client, address, study_id) -> None:
    client.create_study(study_id, bo_client.SearchSpace([bo_client.FloatParameter("y", 0.0, 1.0)]), "value", "minimize")
    with pytest.raises(bo_client.AlreadyExists, match=study_id):
        optuna.create_study(sampler=BoSampler(address, study_id=study_id, search_space=SPACE)).ask(SPACE)
    nobody = bo_client.connect("127.0.0.1:1", patience=0.0)
    with pytest.raises(bo_client.ServerUnavailable):
        optuna.create_study(sampler=BoSampler(nobody, study_id="s", search_space=SPACE)).ask(SPACE)
