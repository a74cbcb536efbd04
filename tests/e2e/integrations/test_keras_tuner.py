"""KerasTuner's tuners with our oracle, beside a real server. Most evaluate a formula instead of training."""

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


def formula(hp: Any) -> float:
    return float((hp.Float("x", -2.0, 2.0) - 0.5) ** 2 + (hp.Int("n", 1, 4) - 2) ** 2)


@pytest.fixture
def search(address: str, study_id: str, tmp_path: Path) -> Callable[..., Any]:
    """Runs a tuner whose trials are `evaluate(hp)`; returns it."""

    def run(evaluate: Callable[[Any], Any] = formula, max_trials: int = 6, **options: Any) -> Any:
        class Formula(keras_tuner.Tuner):  # type: ignore[misc]
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
                return evaluate(trial.hyperparameters)

        oracle = BoOracle(None, max_trials, server=address, study_id=study_id, **options)
        tuner = Formula(oracle, directory=tmp_path, project_name="p")
        tuner.search(verbose=0)
        return tuner

    return run


@pytest.fixture
def trials(client: bo_client.Client, study_id: str) -> Callable[..., list[bo_client.Trial]]:
    return lambda suffix="", full=False: list(client.study(study_id + suffix).trials(full=full))


def test_hyperparameters_that_are_found_on_the_way_are_tuned_from_then_on(search, trials) -> None:
    tuner = search(max_trials=12, seed=1)
    told, theirs = trials(), [tuner.oracle.trials[i] for i in tuner.oracle.start_order]
    assert [dict(t.parameters) for t in told] == [t.hyperparameters.values for t in theirs]
    assert [t.value("default_objective") for t in told] == [t.score for t in theirs]
    assert [t.state for t in told] == [TrialState.SUCCEEDED] * 12
    assert ["keras-tuner-trial" in t.labels for t in told][:3] == [
        True,
        False,
        False,
    ]  # the first was run with the defaults
    assert bo_client.Origin.SURROGATE in {t.origin for t in told}
    assert tuner.oracle.get_best_trials()[0].score < 0.3


def test_new_hyperparameters_begin_another_study_with_all_results(search, trials) -> None:
    def evaluate(hp: Any) -> float:
        value = formula(hp)
        evaluate.calls += 1
        return value if evaluate.calls < 4 else value + hp.Float("extra", 0.0, 1.0, default=0.25)

    evaluate.calls = 0  # type: ignore[attr-defined]
    search(evaluate, max_trials=6)
    assert len(trials()) == 4
    later = trials(".2")
    assert len(later) == 6
    assert [t.parameters["extra"] for t in later[:3]] == [0.25] * 3


def every_kind() -> Any:
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 32, 512, step=32)
    hp.Int("factor", 2, 32, step=2, sampling="log")
    hp.Int("whole", 1, 1000, sampling="log")
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Float("momentum", 0.1, 0.9, sampling="reverse_log")
    hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
    hp.Float("growth", 1.0, 16.0, step=2, sampling="log")
    hp.Choice("norm", ["batch", "layer"])
    hp.Choice("batch", [64, 16])
    hp.Choice("code", [3, 1], ordered=False)
    hp.Boolean("shuffle")
    hp.Fixed("fixed", 7)
    with hp.conditional_scope("norm", ["batch"]):
        hp.Float("epsilon", 0.001, 0.01)
    with hp.conditional_scope("norm", ["layer"]):
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", ["b"]):
            hp.Boolean("deep")
    return hp


def test_every_kind_and_condition_comes_through(search, trials) -> None:
    given = every_kind()

    def evaluate(hp: Any) -> float:
        values = hp.values
        assert values["fixed"] == 7
        assert (values["units"] % 32, type(values["units"])) == (0, int)
        assert values["factor"] in (2, 4, 8, 16, 32)
        assert 0.1 <= values["momentum"] <= 0.9
        assert values["growth"] in (1.0, 2.0, 4.0, 8.0, 16.0)
        assert ("epsilon" in values) == (values["norm"] == "batch")
        assert ("deep" in values) == (values.get("kind") == "b")
        assert all(v in hp._hps[n][0].values for n, v in values.items() if n in ("norm", "batch", "code"))
        return float(values["rate"])

    tuner = search(evaluate, max_trials=12, hyperparameters=given)
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 12, [t.message for t in tuner.oracle.trials.values()]
    assert {t.parameters["norm"] for t in trials()} == {"batch", "layer"}
    space = trials() and Hyperparameters(given.space).translation.space
    assert space["dropout"].default == 0.2
    assert space["momentum.mirrored"].scale == "log"
    assert space["deep"].activation == bo_client.Activation("kind", ["b"])


def test_values_there_and_back_are_the_same() -> None:
    space = Hyperparameters(every_kind().space)
    hp = every_kind()
    for seed in range(50):
        hp.values = {}
        for one in hp.space:
            if hp.is_active(one):
                hp.values[one.name] = one.random_sample(seed)
        wire = space.to_service(hp.values)
        assert space.translation.space.configuration_faults(wire) == []
        assert space.from_service(wire) == pytest.approx(hp.values)


def test_failures_are_told_by_their_kind_and_retries_keep_the_trial(search, trials) -> None:
    outcomes = iter(
        [
            lambda: 1.0,
            RuntimeError("once"),
            lambda: 2.0,  # the second run of the same trial
            keras_tuner.errors.FailedTrialError("too large"),
            lambda: float("nan"),
            lambda: float("nan"),
            lambda: 3.0,
            MemoryError("no memory"),
            MemoryError("no memory"),
        ]
    )

    def evaluate(hp: Any) -> float:
        formula(hp)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome()

    hp = keras_tuner.HyperParameters()
    formula(hp)
    search(evaluate, max_trials=6, hyperparameters=hp, max_retries_per_trial=1)
    told = trials()
    assert [t.value("default_objective") for t in told] == [1.0, 2.0, None, None, 3.0, None]
    reasons = [FailureReason.INVALID_CONFIGURATION, FailureReason.DIVERGED, FailureReason.OUT_OF_MEMORY]
    assert [t.failure.reason for t in told if t.failure] == reasons
    assert [t.attempt for t in told] == [1] * 6


def test_a_finite_space_ends_the_search(search) -> None:
    hp = keras_tuner.HyperParameters()
    hp.Boolean("b")
    tuner = search(lambda hp: float(hp.Boolean("b")), max_trials=10, hyperparameters=hp)
    assert len(tuner.oracle.trials) == 3


def test_a_search_that_was_cut_off_goes_on(address, study_id, tmp_path, trials) -> None:
    class Cut(keras_tuner.Tuner):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            if len(self.oracle.trials) == 2 and not kwargs.get("again"):
                raise KeyboardInterrupt
            return formula(trial.hyperparameters)

    def make() -> Any:
        hp = keras_tuner.HyperParameters()
        formula(hp)
        oracle = BoOracle(None, 4, server=address, study_id=study_id, hyperparameters=hp)
        return Cut(oracle, directory=tmp_path, project_name="p")

    with pytest.raises(KeyboardInterrupt):
        make().search(verbose=0)
    make().search(verbose=0, again=True)
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 4


def test_a_hypermodel_is_trained_and_its_epochs_are_reported(address, study_id, tmp_path, trials) -> None:
    class Model(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            model = keras.Sequential(
                [keras.layers.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 8)), keras.layers.Dense(1)]
            )
            model.compile(
                keras.optimizers.SGD(hp.Float("lr", 1e-3, 1e-1, sampling="log")), loss="mse", run_eagerly=True
            )
            return model

    x = keras.random.normal((32, 2), seed=0)
    tuner = BoTuner(
        Model(), "val_loss", 2, server=address, study_id=study_id, directory=tmp_path, project_name="p", seed=0
    )
    tuner.search(x, x[:, 0], validation_data=(x, x[:, 0]), epochs=2, verbose=0)
    told = trials(full=True)
    assert [[m.step for m in t.measurements] for t in told] == [[1, 2]] * 2
    assert {t.value("val_loss") for t in told} == {t.score for t in tuner.oracle.trials.values()}
    assert set(told[0].parameters) == {"units", "lr"}
    assert tuner.get_best_models()[0].predict(x, verbose=0).shape == (32, 1)


def test_the_services_stopping_rule_is_heard(address, study_id) -> None:
    settings = {"stopping": "median", "stopping_min_trials": 2, "stopping_min_step": 1, "stopping_max_step": 9}
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    oracle = BoOracle("val_loss", 3, server=address, study_id=study_id, settings=settings, hyperparameters=hp)
    for number in ("0", "1"):
        oracle.populate_space(number)
        assert [oracle.report_epoch(number, epoch, {"val_loss": 1.0}) for epoch in range(9)] == [None] * 9
        oracle._runs.pop(number).succeed({"val_loss": 1.0})
    oracle.populate_space("2")
    why = [oracle.report_epoch("2", epoch, {"val_loss": 50.0}) for epoch in range(3)][-1]
    assert why.startswith("Median rule")


def test_what_is_refused_names_the_hyperparameter(address, study_id, client) -> None:
    hp = keras_tuner.HyperParameters()
    hp.Choice("name", [str(i) for i in range(1001)])
    with pytest.raises(bo_client.InvalidRequest, match=r"name\.values: .* 1 to 1000"):
        Hyperparameters(hp.space)
    twice = keras_tuner.HyperParameters()
    twice.Boolean("deep")
    for value in (True, False):
        with twice.conditional_scope("deep", [value]):
            twice.Int("width", 1, 4)
    with pytest.raises(bo_client.InvalidRequest, match="width: is the name of two hyperparameters"):
        Hyperparameters(twice.space)
    client.create_study(study_id, bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)]), "loss", "minimize")
    x = keras_tuner.HyperParameters()
    x.Float("x", 0.0, 1.0)
    with pytest.raises(bo_client.AlreadyExists, match=study_id):
        BoOracle("val_loss", 3, server=address, study_id=study_id, hyperparameters=x).populate_space("0")
    nobody = bo_client.connect("127.0.0.1:1", patience=0.0)
    with pytest.raises(bo_client.ServerUnavailable):
        BoOracle("val_loss", 3, server=nobody, study_id=study_id, hyperparameters=x).populate_space("0")
