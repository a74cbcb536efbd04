"""What KerasTuner's own oracles and tuners do, of ours: limits, retries, scopes, entries, reloads, failures, ends."""

import copy
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import FailureReason, TrialState

keras_tuner = pytest.importorskip("keras_tuner", reason="needs the extra keras-tuner")
keras = pytest.importorskip("keras", reason="needs the extra keras")
from bo_client.integrations.hyperparameters import Hyperparameters  # noqa: E402
from bo_client.integrations.keras_tuner import BoOracle, BoTuner  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.xdist_group("keras"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of KerasTuner's own
    pytest.mark.filterwarnings("ignore:All-NaN axis:RuntimeWarning"),
]
QUICK = {"algorithm": "quasi_random"}


def line(hp: Any) -> float:
    return float(hp.Float("x", 0.0, 1.0))


def known(declare: Callable[[Any], Any] = line) -> Any:
    hp = keras_tuner.HyperParameters()
    declare(hp)
    return hp


@pytest.fixture
def make(address: str, study_id: str, tmp_path: Path) -> Callable[..., Any]:
    """Makes a tuner whose trials are `evaluate(hp)`."""

    def tuner(evaluate: Callable[[Any], Any] = line, max_trials: int = 4, **options: Any) -> Any:
        class Formula(BoTuner):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    return evaluate(trial.hyperparameters)
                except Exception as error:
                    self.oracle.raised(trial.trial_id, error)
                    raise

        given = {"directory": tmp_path, "project_name": "p", "settings": QUICK, "seed": 1, **options}
        return Formula(None, None, max_trials, server=address, study_id=study_id, **given)

    return tuner


@pytest.fixture
def trials(client: bo_client.Client, study_id: str) -> Callable[..., list[bo_client.Trial]]:
    return lambda suffix="", full=False: list(client.study(study_id + suffix).trials(full=full))


def reasons(told: list[bo_client.Trial]) -> list[str | None]:
    return [t.failure.reason.value if t.failure else None for t in told]


def test_there_are_as_many_trials_as_asked_for(make, trials, caplog) -> None:
    tuner = make(max_trials=5, hyperparameters=known())
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == len(trials()) == 5
    assert tuner.remaining_trials == 0
    assert tuner.get_best_hyperparameters()[0].values["x"] == min(t.parameters["x"] for t in trials())
    warnings = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert [w for w in warnings if not w.startswith("no response")] == []  # a busy machine answers late


def test_failures_in_a_row_end_the_search_as_keras_tuner_says(make, trials) -> None:
    def evaluate(hp: Any) -> float:
        raise RuntimeError(f"broken at {line(hp)}")

    tuner = make(evaluate, max_trials=9, hyperparameters=known(), max_consecutive_failed_trials=2)
    with pytest.raises(RuntimeError, match="Number of consecutive failures exceeded the limit of 2"):
        tuner.search(verbose=0)
    assert [(t.state, t.failure.reason.value) for t in trials()] == [(TrialState.FAILED, "CRASHED")] * 2
    assert "RuntimeError: broken at" in trials()[0].failure.message


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (float("nan"), "DIVERGED"),
        (float("inf"), "DIVERGED"),
        (MemoryError("no room"), "OUT_OF_MEMORY"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1024 bytes"), "OUT_OF_MEMORY"),
        (FloatingPointError("overflow"), "DIVERGED"),
        (bo_client.TrialFailed(FailureReason.INVALID_CONFIGURATION, "no"), "INVALID_CONFIGURATION"),
        (keras_tuner.errors.FailedTrialError("too large"), "INVALID_CONFIGURATION"),
        (ValueError("broken"), "CRASHED"),
    ],
)
def test_a_failure_says_its_reason_and_the_search_goes_on(make, trials, outcome: Any, reason: str) -> None:
    ran = []

    def evaluate(hp: Any) -> float:
        ran.append(line(hp))
        if len(ran) != 2:
            return ran[-1]
        if isinstance(outcome, Exception):
            raise outcome
        return float(outcome)

    make(evaluate, hyperparameters=known()).search(verbose=0)
    assert reasons(trials()) == [None, reason, None, None]


def test_a_first_trial_that_diverges_teaches_once_the_space_is_known(make, trials) -> None:
    ran = []

    def evaluate(hp: Any) -> float:
        ran.append(line(hp))
        return float("nan") if len(ran) == 1 else ran[-1]

    make(evaluate).search(verbose=0)
    assert reasons(trials()) == ["DIVERGED", None, None, None]
    assert trials()[0].parameters["x"] == 0.0


def test_retries_are_within_one_trial(make, trials) -> None:
    ran = []

    def evaluate(hp: Any) -> float:
        ran.append(line(hp))
        if len(ran) in (1, 2):
            raise RuntimeError("once more")
        return ran[-1]

    make(evaluate, max_trials=2, hyperparameters=known(), max_retries_per_trial=2).search(verbose=0)
    assert ran[0] == ran[1] == ran[2]
    assert [(t.state, t.attempt) for t in trials()] == [(TrialState.SUCCEEDED, 1)] * 2


def conditional(hp: Any) -> float:
    hp.Fixed("seed", 7)
    kind = hp.Choice("kind", ["linear", "deep"])
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            return float(hp.Int("layers", 1, 3) + hp.Fixed("fixed inside", 1))
    return 0.5


def test_scopes_are_conditions_and_fixed_values_stay(make, trials) -> None:
    tuner = make(conditional, max_trials=8)
    tuner.search(verbose=0)
    ended = tuner.oracle.trials.values()
    assert {t.hyperparameters.values["seed"] for t in ended} == {7}
    last = trials(".2") if len(trials()) < 8 else trials()
    assert {("layers" in t.parameters) == (t.parameters["kind"] == "deep") for t in last} == {True}
    assert {t.parameters["kind"] for t in last} == {"linear", "deep"}


def test_new_entries_may_be_left_at_their_defaults(make, trials) -> None:
    tuner = make(lambda hp: line(hp) + hp.Int("new", 1, 5, default=3), hyperparameters=known(), tune_new_entries=False)
    tuner.search(verbose=0)
    assert {t.hyperparameters.values["new"] for t in tuner.oracle.trials.values()} == {3}
    assert {frozenset(t.parameters) for t in trials()} == {frozenset({"x"})}


def test_new_entries_may_be_forbidden(make, trials) -> None:
    tuner = make(lambda hp: line(hp) + hp.Int("new", 1, 5), hyperparameters=known(), allow_new_entries=False)
    with pytest.raises(RuntimeError, match="allow_new_entries"):
        tuner.search(verbose=0)
    assert set(reasons(trials())) == {"CRASHED"}


def test_a_tuner_that_is_made_again_goes_on(make, trials) -> None:
    make(max_trials=2, hyperparameters=known()).search(verbose=0)
    again = make(max_trials=4, hyperparameters=known())
    assert len(again.oracle.trials) == 2
    again.search(verbose=0)
    assert len(again.oracle.trials) == len(trials()) == 4
    assert [t.value("default_objective") for t in trials()] == [
        again.oracle.trials[i].score for i in again.oracle.start_order
    ]


def test_a_tuner_that_is_made_again_adds_what_it_found_on_the_way_once(make, trials) -> None:
    for max_trials in (2, 3, 4):
        make(max_trials=max_trials).search(verbose=0)
    assert len(trials()) == 4


def test_overwriting_a_project_says_that_earlier_trials_count(make, trials, caplog) -> None:
    make(max_trials=2, hyperparameters=known()).search(verbose=0)
    assert "overwrite" not in caplog.text
    anew = make(max_trials=3, hyperparameters=known(), overwrite=True)
    assert len(anew.oracle.trials) == 0
    anew.search(verbose=0)
    assert len(anew.oracle.trials) == 3
    assert len(trials()) == 5
    assert caplog.text.count("overwrite=True leaves its 2 trials, which count; take another study_id") == 1


def test_an_early_end_names_its_reason_and_how_many_ran(make, caplog) -> None:
    hp = known(lambda hp: hp.Boolean("b"))
    make(lambda hp: float(hp.Boolean("b")), max_trials=9, hyperparameters=hp).search(verbose=0)
    (told,) = [r for r in caplog.records if "ended after" in r.message]
    assert told.levelname == "WARNING"
    assert "ended after 2 of 9 trials (2 succeeded, 0 failed): no configuration" in told.message


def test_a_model_without_hyperparameters_is_run_once_and_that_is_said(make, caplog) -> None:
    tuner = make(lambda _: 1.0, max_trials=3)
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 1
    assert "the search ends after 1 trials: no hyperparameter has two values" in caplog.text


def test_the_limit_of_the_study_ends_the_search(make, trials, caplog) -> None:
    settings = {**QUICK, "max_trials": 2}
    make(max_trials=9, hyperparameters=known(), settings=settings).search(verbose=0)
    assert len(trials()) == 2
    assert "ended after 2 of 9 trials" in caplog.text
    assert "is complete: 2 of its 2 trials" in caplog.text


def test_a_search_waits_for_trials_that_others_run(make) -> None:
    """Nothing is asked in a hurry: KerasTuner asks again at once."""
    hp = known(lambda hp: hp.Boolean("b"))
    tuner = make(lambda hp: float(hp.Boolean("b")), max_trials=9, hyperparameters=hp)
    (other,) = tuner.oracle._study_of(Hyperparameters(hp.space)).suggest()
    ended = threading.Thread(target=tuner.search, kwargs={"verbose": 0})
    ended.start()
    other.complete({"default_objective": 0.5})
    ended.join(120)
    assert not ended.is_alive()
    assert len(tuner.oracle.trials) == 1


@pytest.mark.parametrize(("objective", "goal"), [("val_loss", "minimize"), ("val_accuracy", "maximize")])
def test_the_direction_is_that_of_the_objective(address, study_id, objective: str, goal: str) -> None:
    assert BoOracle(objective, 3, server=address, study_id=study_id).metric.goal == goal


def test_several_objectives_are_one_sum(address, study_id, trials) -> None:
    goals = [keras_tuner.Objective("loss", "min"), keras_tuner.Objective("accuracy", "max")]
    oracle = BoOracle(goals, 2, server=address, study_id=study_id, hyperparameters=known(), settings=QUICK)
    oracle.populate_space("0")
    assert oracle.report_epoch("0", 0, {"loss": 2.0, "accuracy": 0.5}) is None
    assert oracle.report_epoch("0", 1, {"loss": float("nan"), "accuracy": 0.5}) is None
    (held,) = oracle._runs.values()
    held.release()
    assert [(m.step, m.metrics["multi_objective"]) for m in trials(full=True)[0].measurements] == [(1, 1.5)]


class Diverging(keras_tuner.HyperModel):  # type: ignore[misc]
    """A net whose loss is NaN from the second epoch on, in the second trial."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def build(self, hp: Any) -> Any:
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        hp.Float("lr", 1e-3, 1e-2, sampling="log")
        model.compile("sgd", loss="mse", run_eagerly=True)
        return model

    def fit(self, hp: Any, model: Any, *args: Any, callbacks: Any = (), **kwargs: Any) -> Any:
        is_second = len(self.epochs) == 1

        class Break(keras.callbacks.Callback):  # type: ignore[misc]
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                if is_second:
                    model.set_weights([w * float("nan") for w in model.get_weights()])

        history = model.fit(*args, callbacks=[Break(), *callbacks], **kwargs)
        self.epochs.append(len(history.history["loss"]))
        return history


def test_a_training_of_nan_ends_at_once_as_diverged_and_the_search_goes_on(address, study_id, tmp_path, trials) -> None:
    model = Diverging()
    x = keras.random.normal((8, 2), seed=0)
    tuner = BoTuner(
        model, "val_loss", 3, server=address, study_id=study_id, directory=tmp_path, project_name="p", settings=QUICK
    )
    tuner.search(x, x[:, 0], validation_data=(x, x[:, 0]), epochs=3, verbose=0)
    assert model.epochs == [3, 1, 3]
    assert reasons(trials()) == [None, "DIVERGED", None]
    assert [[m.step for m in t.measurements] for t in trials(full=True)] == [[1, 2, 3], [], [1, 2, 3]]


def test_each_execution_counts_and_the_first_tells_its_epochs(address, study_id, tmp_path, trials) -> None:
    class Model(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(hp.Float("lr", 1e-3, 1e-2)), loss="mse", run_eagerly=True)
            return model

    x = keras.random.normal((8, 2), seed=0)
    tuner = BoTuner(
        Model(), "val_loss", 1, server=address, study_id=study_id, directory=tmp_path, executions_per_trial=2
    )
    tuner.search(x, x[:, 0], validation_data=(x, x[:, 0]), epochs=2, verbose=0)
    (told,) = trials(full=True)
    assert [m.step for m in told.measurements] == [1, 2]
    assert told.value("val_loss") == next(iter(tuner.oracle.trials.values())).score


def test_eight_threads_share_an_oracle(make, trials) -> None:
    """As KerasTuner's chief serves its workers; each kind of end is among theirs."""
    oracle = make(max_trials=24, hyperparameters=known(), max_consecutive_failed_trials=99).oracle

    def work(number: int) -> None:
        while True:
            trial = copy.copy(oracle.create_trial(f"tuner{number}"))  # as over the wire
            if trial.status == "STOPPED":
                return
            x = trial.hyperparameters.values["x"]
            trial.status = "COMPLETED" if number % 2 else "INVALID"
            if number % 2:
                oracle.update_trial(trial.trial_id, {"default_objective": float("nan") if number == 3 else x})
            else:
                trial.message = "Traceback …\nMemoryError: no room"
            oracle.end_trial(trial)

    oracle.verbose = 0
    threads = [threading.Thread(target=work, args=(i,), name=f"worker {i}", daemon=True) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert len(trials()) == 24
    assert set(reasons(trials())) <= {None, "DIVERGED", "OUT_OF_MEMORY"}
    assert all(t.state.is_ended for t in trials())
