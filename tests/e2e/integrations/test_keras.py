"""The Keras callback on a model that trains for some steps, beside a real server."""

import threading
from collections.abc import Callable
from typing import Any

import bo_client
import pytest
from bo_client import TrialState

keras = pytest.importorskip("keras", reason="needs the extra keras")
from bo_client.integrations.keras import BoCallback  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("keras")]

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("lr", 1e-3, 1e-1, scale="log")])


@pytest.fixture
def make_study(client: bo_client.Client, study_id: str) -> Callable[..., bo_client.Study]:
    return lambda metric="val_loss", **settings: client.create_study(study_id, SPACE, metric, "minimize", **settings)


def fit(callback: Any, epochs: int = 3, validate: bool = True, **options: Any) -> Any:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", run_eagerly=True)  # quicker than to compile so little
    x = keras.random.normal((16, 2), seed=0)
    data = {"validation_data": (x, x[:, 0])} if validate else {}
    return model.fit(x, x[:, 0], epochs=epochs, verbose=0, callbacks=[callback], **data, **options)


def test_epochs_are_reported_with_all_metrics(make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    callback = BoCallback(trial, checkpoint_uri="file:///backup")
    history = fit(callback).history
    trial.complete({"val_loss": history["val_loss"][-1]})
    told = study.trial(trial.number)
    assert [m.step for m in told.measurements] == [1, 2, 3]
    assert [dict(m.metrics) for m in told.measurements] == [
        {"loss": pytest.approx(a), "val_loss": pytest.approx(b)}
        for a, b in zip(history["loss"], history["val_loss"], strict=True)
    ]
    assert told.checkpoint_uri == "file:///backup"
    assert (told.state, callback.stop_reason) == (TrialState.SUCCEEDED, None)


@pytest.mark.parametrize("frequency", [2, [2, 4]])
def test_epochs_without_validation_are_not_reported(make_study, frequency: Any) -> None:
    (trial,) = (study := make_study()).suggest()
    fit(BoCallback(trial), epochs=4, validation_freq=frequency)
    assert [m.step for m in study.trial(trial.number).measurements] == [2, 4]


def test_training_ends_when_the_service_says_so(make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    study.stop_trial(trial.number, "enough is known")
    callback = BoCallback(trial)
    history = fit(callback, epochs=50).history
    assert len(history["loss"]) == 1
    assert callback.stop_reason == "enough is known"
    assert trial.complete({"val_loss": history["val_loss"][-1]}).state is TrialState.STOPPED


def test_within_optimize_the_rest_of_the_objective_still_runs(make_study) -> None:
    study = make_study()
    lengths = []

    def objective(parameters: Any, trial: Any) -> float:
        study.stop_trial(trial.number, "enough is known")
        history = fit(BoCallback(trial), epochs=50).history
        lengths.append(len(history["loss"]))
        return -1.0

    study.optimize(objective, n_trials=1)
    (told,) = study.trials()
    assert (lengths, told.state, told.value("val_loss")) == ([1], TrialState.STOPPED, -1.0)


def test_a_long_epoch_keeps_the_lease_and_the_end_of_training_lets_go(make_study) -> None:
    study = make_study(lease_duration=1.0)
    (trial,) = study.suggest()
    pause = threading.Event()

    class Slow(BoCallback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            pause.wait(2.5)

    hearts = lambda: [t for t in threading.enumerate() if t.name == f"heart of {trial.name}"]  # noqa: E731
    fit(Slow(trial), epochs=1)
    assert trial.complete({"val_loss": 1.0}).attempt == 1
    for heart in hearts():
        heart.join(120)
    assert hearts() == []


def test_a_metric_that_keras_lacks_is_named(make_study) -> None:
    (trial,) = make_study("accuracy").suggest()
    with pytest.raises(bo_client.InvalidRequest, match=r"metrics: lack accuracy; Keras has loss: .* validation_data"):
        fit(BoCallback(trial), validate=False)


def test_what_is_not_finite_is_not_reported(make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    callback = BoCallback(trial)
    callback.set_model(keras.Sequential())
    callback.on_epoch_end(0, {"loss": 1.0, "val_loss": float("nan")})
    (measured,) = study.trial(trial.number).measurements
    assert dict(measured.metrics) == {"loss": 1.0}


def broken(callback: Any, epochs: int = 3, broken_from: int = 1) -> Any:
    """Trains a net whose weights are NaN from an epoch on; epochs count from 1."""

    class Break(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 >= broken_from:
                self.model.set_weights([w * float("nan") for w in self.model.get_weights()])

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse", run_eagerly=True)
    x = keras.random.normal((16, 2), seed=0)
    data = {"validation_data": (x, x[:, 0])}
    return model.fit(x, x[:, 0], epochs=epochs, verbose=0, callbacks=[Break(), callback], **data)


def test_a_loss_of_nan_is_divergence_and_the_search_goes_on(make_study) -> None:
    study = make_study()
    reasons = []

    def objective(parameters: Any, trial: Any) -> float:
        callback = BoCallback(trial)
        history = (broken if trial.number % 2 else fit)(callback).history
        reasons.append((callback.stop_reason, len(history["loss"])))
        return min(history["val_loss"])

    study.optimize(objective, n_trials=4)
    assert (
        reasons == [("loss is nan, val_loss is nan at step 1", 1), (None, 3)] * 2
        or reasons
        == [
            ("loss is nan at step 1", 1),
            (None, 3),
        ]
        * 2
    )
    assert [t.failure and t.failure.reason.value for t in study.trials()] == ["DIVERGED", None, "DIVERGED", None]
    assert len({t.parameters["lr"] for t in study.trials()}) == 4


def test_an_epoch_without_a_finite_number_keeps_the_lease(make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    callback = BoCallback(trial)
    broken(callback, broken_from=2)
    assert callback.stop_reason == "loss is nan at step 2"
    assert [m.step for m in study.trial(trial.number).measurements] == [1]
    assert trial.fail("DIVERGED").state is TrialState.INFEASIBLE


@pytest.mark.parametrize(("rule", "why"), [("none", None), ("median", "val_loss is nan at step 1")])
def test_an_undefined_metric_ends_a_training_where_a_rule_judges_it(make_study, rule: str, why: str | None) -> None:
    study = make_study(stopping=rule)
    (trial,) = study.suggest()
    callback = BoCallback(trial)
    callback.set_model(keras.Sequential())
    callback.on_epoch_end(0, {"loss": 1.0, "val_loss": float("nan")})
    assert callback.stop_reason == why


@pytest.mark.parametrize("error", [MemoryError("no room"), KeyboardInterrupt()])
def test_a_training_that_is_cut_off_lets_the_heartbeat_go_with_the_trial(make_study, error: BaseException) -> None:
    study = make_study()

    class Cut(BoCallback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            raise error

    def objective(parameters: Any, trial: Any) -> float:
        fit(Cut(trial))
        return 1.0

    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            study.optimize(objective, n_trials=1)
    else:
        study.optimize(objective, n_trials=1)
    (told,) = study.trials()
    assert told.failure.reason.value == ("PREEMPTED" if isinstance(error, KeyboardInterrupt) else "OUT_OF_MEMORY")


OF_KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # as it saves weights
LAST = 4
"""Epochs of a whole trial in parts: it may pause after 1 and 3."""


@pytest.fixture
def in_parts(make_study) -> bo_client.Study:
    return make_study(max_trials=4, fidelity={"metric": "epoch", "max": LAST}, algorithm="quasi_random")


def train(callback: Any, lr: float, epochs: list[int], epochs_to_train: int = LAST) -> Any:
    """Train as `fit` does, in the same way each time; adds the epochs that are trained to `epochs`."""

    class Note(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            epochs.append(epoch + 1)

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lr), loss="mse", run_eagerly=True)
    x = keras.random.normal((16, 2), seed=0)
    model.fit(
        x, x[:, 0], validation_data=(x, x[:, 0]), epochs=epochs_to_train, verbose=0, shuffle=False,
        callbacks=[Note(), *([callback] if callback else [])],
    )  # fmt: skip
    return model


@OF_KERAS
def test_a_training_in_parts_is_the_same_as_a_whole_one(in_parts, tmp_path) -> None:
    trained: dict[int, list[int]] = {}
    iterations = []

    def objective(parameters: Any, trial: Any) -> float:
        callback = BoCallback(trial, checkpoint_dir=tmp_path)
        model = train(callback, parameters["lr"], trained.setdefault(trial.number, []))
        iterations.append(int(model.optimizer.iterations))
        assert len(callback.history["val_loss"]) == LAST
        return callback.history["val_loss"][-1]

    best = in_parts.optimize(objective, can_resume=True)
    assert in_parts.info().state is bo_client.StudyState.COMPLETED
    told = list(in_parts.trials(full=True))
    assert {t.state for t in told} == {TrialState.SUCCEEDED, TrialState.PAUSED}
    assert {n: [*range(1, len(epochs) + 1)] for n, epochs in trained.items()} == trained  # none twice
    assert [[m.step for m in t.measurements] for t in told] == [trained[t.number] for t in told]
    assert set(iterations) == {LAST}
    kept = [path.name for path in tmp_path.glob("*/trial-*/*")]
    assert len(kept) == len(told)  # the last checkpoint of each
    whole = train(None, best.parameters["lr"], [])
    x = keras.random.normal((16, 2), seed=0)
    assert best.value("val_loss") == pytest.approx(whole.evaluate(x, x[:, 0], verbose=0), rel=1e-5)


@OF_KERAS
def test_a_training_in_parts_needs_checkpoints_that_can_be_read(in_parts, tmp_path) -> None:
    (trial,) = in_parts.suggest(can_resume=True)
    with pytest.raises(bo_client.InvalidRequest, match="checkpoint_dir: is missing"):
        BoCallback(trial)
    epochs: list[int] = []
    callback = BoCallback(trial, checkpoint_dir=tmp_path / "here")
    train(callback, 0.1, epochs)
    assert (epochs, callback.stop_reason) == ([1], None)
    assert callback.pause_reason == trial.pause_reason
    assert trial.pause().state is TrialState.PAUSED
    for _ in range(2):
        (other,) = in_parts.suggest(can_resume=True)
        other.report({"val_loss": 1e9}, 1, checkpoint_uri=str(tmp_path / "nowhere"))
        other.pause()
    (again,) = in_parts.suggest(can_resume=True)
    assert again.number == trial.number
    train(BoCallback(again, checkpoint_dir=tmp_path / "elsewhere"), 0.1, epochs)
    assert epochs == [1, 2, 3]
    kept = sorted(path.name for path in tmp_path.glob("*/*/*/attempt-*"))
    assert kept == ["attempt-1-epoch-1", "attempt-2-epoch-3"]  # what lies elsewhere is left alone
    again.pause(str(tmp_path / "nowhere"))
    (other,) = in_parts.suggest(can_resume=True)
    other.report({"val_loss": 1e9}, 1)
    other.pause("any")
    (lost,) = in_parts.suggest(can_resume=True)
    assert lost.number == trial.number
    with pytest.raises(bo_client.InvalidRequest, match=r"checkpoint_uri: is '.*nowhere'"):
        train(BoCallback(lost, checkpoint_dir=tmp_path), 0.1, [])


def test_a_training_that_cannot_resume_is_trained_in_one_go(in_parts) -> None:
    lengths = []

    def objective(parameters: Any, trial: Any) -> float:
        history = fit(BoCallback(trial), epochs=LAST).history
        lengths.append(len(history["loss"]))
        return min(history["val_loss"])

    in_parts.optimize(objective)
    assert lengths == [LAST] * 4
    assert in_parts.info().counts[TrialState.SUCCEEDED] == 4
