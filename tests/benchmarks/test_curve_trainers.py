"""What trains the recorded curves, against the libraries' own trainings. Networks need the environment `curves`."""

from typing import Any

import numpy as np
import pytest

from benchmarks.curves import boosting, data, points
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.space import Run

EPOCHS = 3


def test_an_epoch_of_boosting_is_four_rounds() -> None:
    space = SPACES["diabetes-boosting"]
    run = Run(3, 0, points.sobol(space.search, 4)[3])
    (curve,) = space.trainer().train([run], EPOCHS)
    found = data.bundled("diabetes", 240, 202, 0)
    for epoch in range(1, EPOCHS + 1):
        model = boosting.by_exact_splits(dict(run.configuration), epoch * boosting.ROUNDS, run.number, False)
        said = model.fit(found.x, found.y).predict(found.x_val)
        assert curve.losses[epoch - 1] == pytest.approx(((said - found.y_val) ** 2).mean(), rel=1e-5)
        assert curve.metrics[epoch - 1] == pytest.approx(np.abs(said - found.y_val).mean(), rel=1e-5)


def test_boosting_at_too_high_a_rate_diverges() -> None:
    configuration = {"learning_rate": 10.0, "max_depth": 8, "min_samples_leaf": 1, "subsample": 0.5}
    run = Run(0, 0, configuration | {"loss": "squared_error"})
    (curve,) = SPACES["diabetes-boosting"].trainer().train([run], 27)
    assert not curve.failure
    assert not np.isfinite(curve.losses[-1])


@pytest.mark.parametrize(
    "made",
    [lambda: data.bundled("wine", 90, 88, 3), lambda: data.bundled("breast_cancer", 300, 269, 2)],
)
def test_log_loss_of_margins_is_scikit_learns(made: Any) -> None:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import log_loss

    found = made()
    (curve,) = boosting.Boosting(found, boosting.by_exact_splits).train([Run(0, 0, {"max_depth": 2})], 2)
    model = GradientBoostingClassifier(max_depth=2, n_estimators=8, random_state=0).fit(found.x, found.y)
    assert curve.losses[-1] == pytest.approx(log_loss(found.y_val, model.predict_proba(found.x_val)), rel=1e-4)
    assert curve.metrics[-1] == pytest.approx(1 - model.score(found.x_val, found.y_val))


def test_wrong_labels_are_in_training_alone() -> None:
    clean = data.bundled("digits", 1000, 600, 10)
    wrong = data.mislabeled(clean, 0.4)
    assert (wrong.y_val == clean.y_val).all()
    assert (wrong.y != clean.y).mean() == pytest.approx(0.4 * 0.9, abs=0.04)


@pytest.mark.keras
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_lane_is_a_training_of_keras(optimizer: str) -> None:
    """One batch of all rows, so that their order doesn't matter: Keras's own optimizer moves the same way."""
    pytest.importorskip("optax")
    keras = pytest.importorskip("keras")
    from benchmarks.curves import architectures, networks

    found = data.bundled("wine", 90, 88, 3)
    configuration = {"optimizer": optimizer, "learning_rate": 0.01, "momentum": 0.8, "width": 16, "batch_size": 90}
    trainer = networks.Networks(found, architectures.dense)
    runs = [Run(index, 1, configuration | {"learning_rate": 0.01 * (index + 1)}) for index in range(3)]
    curves = trainer.train(runs, EPOCHS)
    for lane, run in enumerate(runs):
        model = trainer._model(run.configuration)
        for variable, start in zip(model.trainable_variables, trainer._begun(model, runs)[0], strict=True):
            variable.assign(start[lane])
        rate = run.configuration["learning_rate"]
        sgd, adam = keras.optimizers.SGD(rate, 0.8, nesterov=True), keras.optimizers.Adam(rate, epsilon=1e-8)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(sgd if optimizer == "sgd" else adam, loss, metrics=["accuracy"])
        for epoch in range(EPOCHS):
            model.fit(found.x, found.y, batch_size=90, epochs=1, verbose=0)
            value, accuracy = model.evaluate(found.x_val, found.y_val, batch_size=88, verbose=0)
            assert curves[lane].losses[epoch] == pytest.approx(value, rel=1e-3)
            assert curves[lane].metrics[epoch] == pytest.approx(1 - accuracy, abs=1e-5)


@pytest.mark.keras
def test_lanes_are_the_runs_that_they_would_be_alone() -> None:
    pytest.importorskip("optax")
    space = SPACES["wine-mlp"]
    trainer = space.trainer()
    like = points.sobol(space.search, 40)
    runs = [Run(i, 0, c) for i, c in enumerate(like) if trainer.shape(c) == trainer.shape(like[0])]
    together = trainer.train(runs, EPOCHS)
    for run, curve in zip(runs, together, strict=True):
        (alone,) = trainer.train([run], EPOCHS)
        assert alone.losses == pytest.approx(curve.losses, rel=1e-3, nan_ok=True)
