"""What programs do with Optuna beyond the plain loop: branches, failures, constraints, limits, threads, copies."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client
import optuna
import pytest
from bo_client import FailureReason, TrialState
from bo_client.integrations.optuna import BoPruner, BoSampler
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

QUICK = {"algorithm": "quasi_random", "seed": 0}
LINE = {"x": FloatDistribution(0.0, 1.0)}
COMPLETE = optuna.trial.TrialState.COMPLETE


@pytest.fixture
def make_study(address: str, study_id: str) -> Callable[..., optuna.Study]:
    def make(study: dict[str, Any] | None = None, **options: Any) -> optuna.Study:
        sampler = BoSampler(address, study_id=study_id, **{"settings": QUICK, **options})
        return optuna.create_study(sampler=sampler, **(study or {}))

    return make


@pytest.fixture
def trials(client: bo_client.Client, study_id: str) -> Callable[..., list[bo_client.Trial]]:
    return lambda suffix="", full=False: list(client.study(study_id + suffix).trials(full=full))


def reasons(told: list[bo_client.Trial]) -> list[str | None]:
    return [t.failure.reason.value if t.failure else None for t in told]


def svc_or_forest(trial: optuna.Trial) -> float:
    """The program with which Optuna's documentation begins, without the training."""
    if trial.suggest_categorical("classifier", ["SVC", "RandomForest"]) == "SVC":
        return abs(trial.suggest_float("svc_c", 1e-10, 1e10, log=True) - 1.0) ** 0.1
    return abs(trial.suggest_int("rf_max_depth", 2, 32, log=True) - 7) + 0.5


def test_a_program_with_a_branch_runs_as_often_as_it_is_told(make_study, trials, caplog) -> None:
    study = make_study()
    study.optimize(svc_or_forest, n_trials=30)
    assert [t.state for t in study.trials] == [COMPLETE] * 30
    assert len(trials(".2")) == 30
    told = [r.message for r in caplog.records if "SPACE_EXHAUSTED" in r.message]
    assert len(told) == 1
    assert "the search continues with values of the independent sampler" in told[0]


def test_a_small_space_goes_on_under_noise(make_study, trials) -> None:
    study = make_study()
    study.optimize(lambda trial: trial.suggest_int("x", 1, 4) + 0.1 * (trial.number % 3), n_trials=12)
    assert [t.state for t in study.trials] == [COMPLETE] * 12
    assert sorted(t.value("value") for t in trials()) == sorted(t.value for t in study.trials)


def test_threads_with_fewer_configurations_than_threads_go_on(make_study) -> None:
    study = make_study(search_space={"x": IntDistribution(1, 3)})
    together = threading.Barrier(4)

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_int("x", 1, 3)
        together.wait(60)
        return float(x)

    study.optimize(objective, n_trials=12, n_jobs=4)
    assert [t.state for t in study.trials] == [COMPLETE] * 12


def test_a_batch_may_ask_for_more_than_there_is(make_study, trials) -> None:
    space = {"x": IntDistribution(1, 3)}
    study = make_study(search_space=space)
    batch = [study.ask(space) for _ in range(6)]
    for trial in batch:
        study.tell(trial, float(trial.params["x"]))
    assert [t.state for t in study.trials] == [COMPLETE] * 6
    assert sorted(t.value("value") for t in trials()) == sorted(t.value for t in study.trials)


def test_constraints_of_the_space_hold_where_the_service_has_nothing_new(make_study) -> None:
    parameters = [bo_client.IntParameter("a", 1, 2), bo_client.IntParameter("b", 1, 2)]
    space = bo_client.SearchSpace(parameters, [bo_client.LinearConstraint({"a": 1.0, "b": 1.0}, 3.0)])
    study = make_study(search_space=space)
    study.optimize(lambda trial: trial.suggest_int("a", 1, 2) + trial.suggest_int("b", 1, 2), n_trials=8)
    assert len(study.trials) == 8
    assert all(t.value <= 3 for t in study.trials)


def test_the_end_names_its_reason_and_how_many_ran(make_study, caplog) -> None:
    study = make_study(search_space=LINE, settings={**QUICK, "max_trials": 3})
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=20)
    (told,) = [r for r in caplog.records if "ended after" in r.message]
    assert told.levelname == "WARNING"
    assert "ended after 3 of 20 trials (3 succeeded, 0 failed): " in told.message
    assert "is complete: 3 of its 3 trials (max_trials) have ended" in told.message


def test_nan_is_divergence_and_the_search_goes_on(make_study, trials) -> None:
    study = make_study({"direction": "maximize"}, search_space=LINE)
    study.optimize(lambda t: t.suggest_float("x", 0.0, 1.0) * (1.0 if t.number % 2 else float("nan")), n_trials=8)
    assert reasons(trials()) == ["DIVERGED", None] * 4
    assert {t.state for t in trials()} == {TrialState.INFEASIBLE, TrialState.SUCCEEDED}
    assert trials()[0].failure.message == "the objective returned nan"


def test_nan_teaches_also_before_the_space_is_known(make_study, trials) -> None:
    make_study().optimize(lambda t: t.suggest_float("x", 0.0, 1.0) * float("nan"), n_trials=6)
    assert reasons(trials()) == ["DIVERGED"] * 6


def test_nan_that_is_told_by_hand_is_divergence(make_study, trials) -> None:
    study = make_study(search_space=LINE)
    with pytest.warns(UserWarning, match="nan is not acceptable"):
        study.tell(study.ask(LINE), float("nan"))
    study.tell(study.ask(LINE), state=optuna.trial.TrialState.FAIL)
    assert reasons(trials()) == ["DIVERGED", "CRASHED"]


class OutOfMemoryError(RuntimeError):
    """As torch.cuda's."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "OUT_OF_MEMORY"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "OUT_OF_MEMORY"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes"), "OUT_OF_MEMORY"),
        (OutOfMemoryError("no room"), "OUT_OF_MEMORY"),
        (FloatingPointError("overflow"), "DIVERGED"),
        (bo_client.TrialFailed(FailureReason.INVALID_CONFIGURATION, "no such net"), "INVALID_CONFIGURATION"),
        (ValueError("broken"), "CRASHED"),
    ],
)
def test_an_exception_says_why_a_trial_failed(make_study, trials, error: Exception, reason: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        if trial.number == 0:
            raise error
        return x

    make_study(search_space=LINE).optimize(objective, n_trials=2, catch=(Exception,))
    assert reasons(trials()) == [reason, None]


def test_ctrl_c_gives_the_trial_up_without_blame(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0.0, 1.0)
        raise KeyboardInterrupt

    study = make_study(search_space=LINE, failure_reason="INVALID_CONFIGURATION")
    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=5)
    assert reasons(trials()) == ["PREEMPTED"]


def test_an_error_that_is_not_caught_ends_the_loop_and_its_trial(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0.0, 1.0)
        raise RuntimeError("broken")

    study = make_study(search_space=LINE)
    with pytest.raises(RuntimeError, match="broken"):
        study.optimize(objective, n_trials=5)
    assert [(t.state, t.failure.message) for t in trials()] == [(TrialState.FAILED, "RuntimeError: broken")]


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")  # of Optuna's own pruner
@pytest.mark.parametrize("pruner", [BoPruner(), optuna.pruners.MedianPruner(n_startup_trials=0)])
def test_a_curve_of_nan_is_pruned_and_diverged(make_study, trials, pruner: Any) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in range(3):
            trial.report(float("nan") if trial.number == 1 else x, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x

    study = make_study({"pruner": pruner}, search_space=LINE)
    study.optimize(objective, n_trials=2)
    assert study.trials[1].state is optuna.trial.TrialState.PRUNED
    assert reasons(trials()) == [None, "DIVERGED"]


def test_a_gap_in_a_curve_is_left_out(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        for step, value in enumerate([1.0, float("nan"), 0.5]):
            trial.report(value, step)
        return trial.suggest_float("x", 0.0, 1.0)

    make_study(search_space=LINE).optimize(objective, n_trials=1)
    (told,) = trials(full=True)
    assert [(m.step, m.metrics["value"]) for m in told.measurements] == [(0, 1.0), (2, 0.5)]
    assert told.state is TrialState.SUCCEEDED


def test_constraints_become_bounds_on_outcomes(make_study, client, study_id) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        trial.set_constraint("at least a half", 0.5 - x)
        return x

    study = make_study(search_space=LINE)
    study.optimize(objective, n_trials=8)
    found = client.study(f"{study_id}.2")
    (limit,) = found.definition.limits
    assert (limit.name.startswith("at_least_a_half"), limit.goal, limit.bound) == (True, "minimize", 0.0)
    told = list(found.trials())
    assert [t.value("value") for t in told] == [t.value for t in study.trials]
    assert [t.value(limit.name) for t in told] == pytest.approx([0.5 - t.value for t in study.trials])
    assert found.best().value("value") == study.best_value >= 0.5


def test_constraints_are_known_again_in_another_process(make_study, client, address, study_id, tmp_path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        trial.set_constraint("c", x - 0.9)
        return x

    storage = f"sqlite:///{tmp_path}/optuna.db"
    make_study({"storage": storage, "study_name": "o"}).optimize(objective, n_trials=3)
    sampler = BoSampler(address, study_id=study_id, settings=QUICK)
    again = optuna.load_study(study_name="o", storage=storage, sampler=sampler)
    again.optimize(objective, n_trials=2)
    assert [t.value("c") for t in client.study(study_id).trials()] == pytest.approx(
        [t.value - 0.9 for t in again.trials]
    )


def test_a_function_of_constraints_is_heard(make_study, client, study_id) -> None:
    study = make_study(constraints_func=lambda trial: (0.5 - trial.params["x"], -1.0))
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=4)
    found = client.study(study_id)
    assert [m.name for m in found.definition.limits] == ["constraint_0", "constraint_1"]
    assert [t.value("constraint_0") for t in found.trials()] == pytest.approx([0.5 - t.value for t in study.trials])


def test_a_trial_without_its_constraint_is_told_as_failed(make_study, trials, caplog) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        if trial.number != 2:
            trial.set_constraint("c", -1.0)
        return x

    make_study().optimize(objective, n_trials=4)
    assert reasons(trials()) == [None, None, "CRASHED", None]
    assert "trial 2: the trial has no c; call trial.set_constraint" in caplog.text


def test_several_objectives_with_nan_diverge(make_study, trials) -> None:
    study = make_study({"directions": ["minimize", "maximize"]}, search_space=LINE)
    study.optimize(lambda t: (t.suggest_float("x", 0.0, 1.0), float("nan") if t.number == 1 else 1.0), n_trials=3)
    assert reasons(trials()) == [None, "DIVERGED", None]


def test_too_many_objectives_are_refused_before_any_is_evaluated(make_study) -> None:
    study = make_study({"directions": ["minimize"] * 4})
    with pytest.raises(bo_client.InvalidRequest, match="directions: has 4, and at most 3 are optimized together"):
        study.optimize(lambda _: pytest.fail("evaluated"), n_trials=1)


def test_names_of_metrics_that_the_service_lacks_become_similar(make_study, client, study_id) -> None:
    study = make_study(search_space=LINE)
    study.set_metric_names(["val loss"])
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
    assert client.study(study_id).definition.objective.name.startswith("val_loss_")
    assert [t.state for t in client.study(study_id).trials()] == [TrialState.SUCCEEDED] * 2


@pytest.mark.parametrize(("low", "high"), [(0, 5), (0, 20), (20, 30)])
def test_ranges_that_change_are_told_where_they_fit(make_study, trials, low: int, high: int) -> None:
    study = make_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 10) + trial.suggest_int("n", 1, 3), n_trials=4)
    study.optimize(lambda trial: trial.suggest_float("x", low, high) + trial.suggest_int("n", 1, 3), n_trials=4)
    assert len(study.trials) == 8
    assert sorted(t.value("value") for t in trials(".2")) == sorted(t.value for t in study.trials)


def test_a_space_that_grows_is_tuned_whole_with_a_space_given_ahead(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        return x + (trial.suggest_float("late", 0.0, 1.0) if trial.number >= 2 else 0.0)

    study = make_study()
    study.optimize(objective, n_trials=6)
    assert [t.state for t in study.trials] == [COMPLETE] * 6
    assert all("late" in t.params for t in study.trials[2:])
    assert [t.value("value") for t in trials()] == [t.value for t in study.trials]


def test_hyperband_and_a_partly_fixed_sampler_work(make_study, trials, address, study_id) -> None:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2)

    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)
        for step in range(1, 5):
            trial.report(x + y, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x + y

    study = make_study({"pruner": pruner}, search_space={**LINE, "y": FloatDistribution(0.0, 1.0)})
    study.optimize(objective, n_trials=8)
    assert len(trials()) == 8
    study.sampler = optuna.samplers.PartialFixedSampler({"y": 0.25}, study.sampler)
    study.optimize(objective, n_trials=2)
    assert [t.params["y"] for t in study.trials[8:]] == [0.25, 0.25]


def test_a_sampler_serves_one_study(make_study) -> None:
    study = make_study(search_space=LINE)
    study.tell(study.ask(LINE), 1.0)
    other = optuna.create_study(sampler=study.sampler)
    with pytest.raises(bo_client.InvalidRequest, match=r"sampler: is a BoSampler that serves .*; make another one for"):
        other.ask(LINE)


def test_a_copied_study_tells_its_results_to_a_study_of_its_own(make_study, address, client, study_id) -> None:
    study = make_study(search_space=LINE)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=3)
    storage = optuna.storages.InMemoryStorage()
    optuna.copy_study(
        from_study_name=study.study_name, from_storage=study._storage, to_storage=storage, to_study_name="copy"
    )
    sampler = BoSampler(address, study_id=f"{study_id}-copy", search_space=LINE, settings=QUICK)
    copy = optuna.load_study(study_name="copy", storage=storage, sampler=sampler)
    copy.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    told = [t.value("value") for t in client.study(f"{study_id}-copy").trials()]
    assert told == [t.value for t in copy.trials]


@pytest.mark.parametrize("space", [None, LINE])
def test_results_that_are_added_on_the_way_are_told_once(make_study, trials, space) -> None:
    study = make_study(search_space=space)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=3)
    study.add_trial(optuna.trial.create_trial(params={"x": 0.25}, distributions=LINE, value=-5.0))
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
    assert sorted(t.value("value") for t in trials()) == sorted(t.value for t in study.trials)


def test_results_of_another_sampler_are_told_once(make_study, trials, tmp_path: Path) -> None:
    study = make_study({"storage": f"sqlite:///{tmp_path}/optuna.db", "study_name": "o"}, search_space=LINE)
    other = optuna.load_study(study_name="o", storage=study._storage, sampler=optuna.samplers.RandomSampler(seed=0))
    late = other.ask(LINE)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    other.tell(late, 0.5)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
    assert sorted(t.value("value") for t in trials()) == sorted(t.value for t in study.trials)


def test_a_study_that_was_deleted_gets_all_results_again(make_study, address, client, study_id, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study = make_study({"storage": storage, "study_name": "o"}, search_space=LINE)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=3)
    client.delete_study(study_id)
    sampler = BoSampler(address, study_id=study_id, search_space=LINE, settings=QUICK)
    again = optuna.load_study(study_name="o", storage=storage, sampler=sampler)
    again.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    assert [t.value("value") for t in client.study(study_id).trials()] == [t.value for t in again.trials]


def test_a_trial_that_the_user_deletes_stays_deleted(make_study, address, client, study_id, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    study = make_study({"storage": storage, "study_name": "o"}, search_space=LINE)
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=3)
    client.study(study_id).delete_trial(2)
    sampler = BoSampler(address, study_id=study_id, search_space=LINE, settings=QUICK)
    again = optuna.load_study(study_name="o", storage=storage, sampler=sampler)
    again.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=1)
    assert [t.number for t in client.study(study_id).trials()] == [1, 3, 4]


def test_eight_threads_that_fail_in_every_way_lose_nothing(make_study, trials) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        kind = trial.number % 5
        if kind == 0:
            raise MemoryError
        if kind == 1:
            raise optuna.TrialPruned
        if kind == 2:
            raise RuntimeError("broken")
        return float("nan") if kind == 3 else x

    study = make_study(search_space=LINE)
    study.optimize(objective, n_trials=40, n_jobs=8, catch=(Exception,))
    found = reasons(trials())
    counts = {reason: found.count(reason) for reason in set(found)}
    assert counts == {"OUT_OF_MEMORY": 8, "INVALID_CONFIGURATION": 8, "CRASHED": 8, "DIVERGED": 8, None: 8}


def test_choices_that_are_single_or_odd_come_through(make_study, trials) -> None:
    space = {"one": CategoricalDistribution(["only"]), **LINE}
    study = make_study(search_space=space)
    study.optimize(lambda t: t.suggest_float("x", 0.0, 1.0) + len(t.suggest_categorical("one", ["only"])), n_trials=2)
    assert [t.params["one"] for t in study.trials] == ["only"] * 2
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 2


def test_the_server_is_that_of_the_environment(address, study_id, trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BO_SERVER", address)
    study = optuna.create_study(sampler=BoSampler(study_id=study_id, search_space=LINE, settings=QUICK))
    study.tell(study.ask(LINE), 1.0)
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED]
