"""Trials that predict several labels or numbers: their metrics, files and exported models."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bo_objectives.base import ARTIFACTS, TrialFailed
from bo_objectives.efficientnet import label_mistakes, number_mistakes
from bo_objectives.efficientnet.diagnosis import diagnose, labels, notes
from bo_objectives.efficientnet.findings import Setting
from bo_objectives.efficientnet.history import TrainingHistory
from bo_objectives.efficientnet.mistakes import CONFUSION, MISTAKES
from bo_objectives.efficientnet.space import BASELINE, metrics_of
from sklearn import metrics as oracle

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import model, tasks  # noqa: E402
from bo_objectives.efficientnet.targets import TargetScale  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.xdist_group("efficientnet"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, saving
]

MULTI, NUMBERS = "multi-label", "regression"
SIDE, IMAGES = 32, 45
RANDOM = {**BASELINE, "norm": "layer", "lr_head": 1e-2, "batch_size": 16}
ADDED = {"augmentation": 0.2, "mixup": 0.3, "ema_momentum": 0.5, "clip_norm": 1.0}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images whose channels are bright or dark, with that as labels, and the brightness in large and small units."""
    rng = np.random.default_rng(0)
    has = rng.random((IMAGES, 3)) < [0.6, 0.5, 0.4]
    brightness = np.where(has, 200.0, 40.0)
    pixels = np.clip(rng.normal(brightness[:, None, None], 30, (IMAGES, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    folder = tmp_path_factory.mktemp("targets")
    targets = {MULTI: has, NUMBERS: np.stack([pixels[..., 0].mean((1, 2)) + 5000, -pixels.mean((1, 2, 3)) / 1e3], 1)}
    for task, y in targets.items():
        names = ["red", "green", "blue"] if task == MULTI else ["large", "small"]
        np.savez(folder / f"{task}.npz", x=pixels, y=y, classes=np.array(names))
    return {task: folder / f"{task}.npz" for task in targets}


@pytest.fixture
def make(make_small: Callable[..., Any], sources: dict[str, Path]) -> Callable[..., Any]:
    return lambda task, **options: make_small(data=str(sources[task]), task=task, **options)


def figures(task: str, outputs: Any, true: Any) -> dict[str, float]:
    """What scikit-learn says of a model's outputs."""
    if task == NUMBERS:
        return {
            "test_mae": oracle.mean_absolute_error(true, outputs),
            "test_rmse": oracle.root_mean_squared_error(true, outputs),
            "test_r2": oracle.r2_score(true, outputs),
        }
    probabilities = np.asarray(keras.ops.sigmoid(outputs), np.float64)
    return {
        "test_f1": oracle.f1_score(true, probabilities > 0.5, average="macro"),
        "test_average_precision": oracle.average_precision_score(true, probabilities, average="macro"),
        "test_loss": np.mean([oracle.log_loss(true[:, j], probabilities[:, j]) for j in range(true.shape[1])]),
    }


@pytest.mark.parametrize(
    ("task", "more"),
    [
        pytest.param(MULTI, {}, marks=pytest.mark.slow),
        (MULTI, {**ADDED, "label_smoothing": 0.1, "bias_initializer": "prior"}),
        (NUMBERS, {}),
        pytest.param(NUMBERS, {**ADDED, "mode": "fine_tune", "unfreeze_top": 1}, marks=pytest.mark.slow),
    ],
)
def test_an_exported_model_has_the_figures_that_it_claims(make, run, tmp_path: Path, task: str, more) -> None:
    objective = make(task, epochs="1")
    metrics = objective.export({**RANDOM, **more}, run, tmp_path / "best")
    expected = {metric.name for metric in metrics_of(task)}
    assert expected <= set(metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    exported = keras.models.load_model(tmp_path / "best" / "model.keras")
    with objective.context() as bench:
        test = bench.split.test
    outputs = np.asarray(exported.predict(test.pixels, verbose=0))
    assert outputs.dtype == np.float32
    assert test.targets is not None
    for name, value in figures(task, outputs, test.targets).items():
        assert metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-4)
    curve = [point for _, point, _ in run.reports]
    each = {MULTI: "f1", NUMBERS: "mae"}[task]
    assert set(curve[0]) == {"val_loss", f"val_{each}", "train_loss", f"train_{each}"}
    assert metrics["val_loss"] == min(point["val_loss"] for point in curve)
    record = json.loads((run.directory / "trial.json").read_text("utf-8"))
    assert record["task"] == task
    names = json.loads((tmp_path / "best" / "classes.json").read_text("utf-8"))
    table = {MULTI: "metrics_by_label.csv", NUMBERS: "metrics_by_number.csv"}[task]
    with (tmp_path / "best" / table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == names
    assert np.mean([float(row[each]) for row in rows]) == pytest.approx(metrics[f"test_{each}"])
    drawn = {path.name for path in (run.directory / ARTIFACTS).iterdir()}
    assert {MULTI: CONFUSION, NUMBERS: number_mistakes.PREDICTIONS}[task] in drawn
    card = (tmp_path / "best" / "README.md").read_text("utf-8")
    assert {MULTI: "keras.ops.sigmoid", NUMBERS: "in the units of the data"}[task] in card
    assert "softmax" not in card


@pytest.mark.slow
@pytest.mark.parametrize("task", [MULTI, NUMBERS])
def test_something_is_learned_and_a_trial_resumes(make, make_run, task: str) -> None:
    objective = make(task, epochs="6")
    first = make_run()
    metrics = objective.evaluate(RANDOM, first)
    losses = [point["train_loss"] for _, point, _ in first.reports]
    assert losses[-1] < losses[0]
    again = make_run(checkpoint_uri=first.reports[-1][2])
    assert objective.evaluate(RANDOM, again) == pytest.approx(metrics)
    assert [step for step, _, _ in again.reports] == [6]
    other = make(task, epochs="6", fold="1")
    with other.context() as bench:
        assert bench.split.train.pixels_sha256 != bench.split.test.pixels_sha256


def test_parameters_without_a_meaning_are_refused(make, run) -> None:
    for task, name, value in ((MULTI, "class_weights", "balanced"), (NUMBERS, "label_smoothing", 0.1)):
        with pytest.raises(TrialFailed, match=f"{name} is .* which has no meaning for the task {task}: leave it out"):
            make(task).evaluate({**RANDOM, name: value}, run)


def test_losses_and_metrics_are_those_of_keras() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(20, 3)).astype(np.float32)
    scale = TargetScale(np.array([1.0, 5.0, 0.0]), np.array([2.0, 3.0, 0.1]))
    for task, encoded in (
        (tasks.SingleLabel(), np.eye(3)[rng.integers(3, size=20)]),
        (tasks.MultiLabel(), (rng.random((20, 3)) < 0.4) * 1.0),
        (tasks.Regression(scale), rng.normal(size=(20, 3))),
    ):
        found = {}
        for metric in task.metrics():
            for part in (slice(0, 16), slice(16, 20)):
                metric.update_state(encoded[part].astype(np.float32), outputs[part])
            found[metric.name] = float(metric.result())
        assert found[tasks.PLAIN_LOSS] == pytest.approx(task.losses(outputs, encoded).mean(), rel=1e-4)
        assert found[task.metric] == pytest.approx(task.figures(outputs, encoded)[task.metric], rel=1e-4)
        loss = float(task.loss(0.0)(encoded.astype(np.float32), outputs))
        assert loss == pytest.approx(found[tasks.PLAIN_LOSS], rel=1e-4)


def test_a_prior_predicts_how_often_each_label_occurs() -> None:
    head = model.Head("zeros", "none", 1, 0.0, 4, 2, "prior", (0.9, 0.25), MULTI)
    outputs = model.network((1, 1, 8), [], head, seed=0)(np.ones((1, 1, 1, 8), np.float32))
    assert np.asarray(keras.ops.sigmoid(outputs))[0] == pytest.approx([0.9, 0.25], rel=1e-5)


# ── mistakes


def test_the_worst_mistakes_have_the_largest_loss_or_error(tmp_path: Path) -> None:
    logits, has = np.array([[4.0, -4], [-1, 3], [9, -9], [-2, 2]]), np.array([[1.0, 0], [1, 1], [0, 1], [1, 1]])
    assert label_mistakes.worst(logits, has, 9).tolist() == [2, 3, 1]
    label_mistakes.leave(tmp_path / "labels", np.zeros((4, 8, 8, 3), np.uint8), logits, has, ["a", "b"])
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {CONFUSION, MISTAKES}
    true, predicted = np.array([[0.0, 0], [10, 100], [20, 0]]), np.array([[1.0, 0], [10, 0], [20, 10]])
    assert number_mistakes.worst(predicted, true, 2).tolist() == [1, 2]
    number_mistakes.leave(tmp_path / "numbers", np.zeros((3, 8, 8, 3), np.uint8), predicted, true, ["a", "b"])
    assert {path.name for path in (tmp_path / "numbers").iterdir()} == {number_mistakes.PREDICTIONS, MISTAKES}


# ── diagnosis


def history(*losses: tuple[float, float]) -> TrainingHistory:
    curve = [{"train_loss": t, "val_loss": v, "train_mae": t, "val_mae": v} for t, v in losses]
    return TrainingHistory(curve=curve, steps=[100] * len(curve), seconds=[1.0] * len(curve))


@pytest.mark.parametrize(
    ("losses", "kinds"),
    [
        ([(0.9, 0.8), (0.4, 0.4), (0.2, 0.3)], []),
        ([(0.9, 0.9), (0.3, 0.6), (0.01, 0.9)], ["overfitting"]),
        ([(0.9, 0.8), (0.3, 0.62), (0.01, 0.6)], ["overfitting"]),
        ([(1.0, 1.1), (0.99, 1.05), (0.99, 1.05)], ["underfitting", "at_chance"]),
    ],
)
def test_numbers_are_diagnosed_by_their_losses(losses, kinds: list[str]) -> None:
    setting = Setting((1025.0,), 32, "batch", "frozen", task=NUMBERS, validation_images=12)
    record = history(*losses)
    found = diagnose(record, setting)
    assert [finding.kind for finding in found] == kinds
    told = labels(found, [], notes(record, setting))
    assert "accurac" not in " ".join(told.values())
    assert "class" not in " ".join(told.values())


def test_labels_are_compared_with_their_frequencies() -> None:
    setting = Setting((0.5, 0.1, 1.0), 32, "batch", "frozen", task=MULTI)
    assert setting.chance == pytest.approx((math.log(2) + 0.32508 + 0) / 3, rel=1e-4)
    assert setting.uniform == math.log(2)
