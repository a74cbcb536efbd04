"""Export of a trained network: the model from pixels to logits or numbers, what it confuses, and its card."""

import csv
import importlib.util
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import label_mistakes, mistakes, number_mistakes
from bo_objectives.efficientnet.checkpoint import unwritable
from bo_objectives.efficientnet.model_card import model_card
from bo_objectives.efficientnet.printing import shortened
from bo_objectives.efficientnet.targets import (
    average_precision_by_label,
    counts_by_label,
    f1_by_label,
    regression_by_target,
)
from bo_objectives.efficientnet.tasks import LearningTask, MultiLabel, Regression
from bo_objectives.efficientnet.training_run import Tested, Trained, TrainingRun

MODEL, METRICS, CLASSES, CONFUSION, PICTURE, CARD = (
    "model.keras", "metrics.json", "classes.json", "confusion_matrix.csv", "confusion_matrix.png", "README.md"
)  # fmt: skip
BY_LABEL, BY_NUMBER, PREDICTIONS = "metrics_by_label.csv", "metrics_by_number.csv", "predictions.png"
MAX_LABELS = 100
"""Number of labels in the picture."""
MAX_NAME = 24
"""Characters of a class's name in the picture of the confusion matrix."""


def export(trial: TrainingRun, trained: Trained, directory: Path) -> dict[str, float]:
    """Evaluate the test images once, write all files into a folder, and return the metrics.

    Raises:
        TrialFailed: CRASHED, as the folder cannot be written.
    """
    tested = trial.test(trained)
    metrics = {**trained.metrics, **tested.metrics}
    provenance = trial.provenance(trained, metrics)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        full_model(trial, trained).save(directory / MODEL)
        for function in trial.context.user_functions.values():
            (directory / f"{function.option}.py").write_bytes(function.content)
        (directory / METRICS).write_text(json.dumps({**provenance, "metrics": metrics}, indent=2) + "\n", "utf-8")
        names = json.dumps(provenance["classes"], ensure_ascii=False, indent=2)
        (directory / CLASSES).write_text(names + "\n", "utf-8")
        picture = _write_results(directory, trial.task, tested, provenance["classes"])
        (directory / CARD).write_text(model_card(provenance, metrics, picture), "utf-8")
    except OSError as error:
        raise unwritable(directory, error) from error
    return metrics


def _write_results(directory: Path, task: LearningTask, tested: Tested, names: Sequence[str]) -> str:
    """Write what is right and wrong on the test images, by class, label or number, and return the picture's name."""
    outputs, targets = tested.outputs, tested.targets
    if isinstance(task, Regression):
        predicted, true = task.scale.in_units(outputs), task.scale.in_units(targets)
        write_table(directory / BY_NUMBER, names, regression_by_target(predicted, true))
        number_mistakes.draw_predictions(directory / PREDICTIONS, predicted, true, names)
        return PREDICTIONS
    if isinstance(task, MultiLabel):
        counts = counts_by_label(outputs, targets)
        columns = dict(zip(("tp", "fn", "fp", "tn"), counts.T, strict=True))
        figures = {
            "f1": f1_by_label(outputs, targets),
            "average_precision": average_precision_by_label(outputs, targets),
        }
        write_table(directory / BY_LABEL, names, {**columns, **figures})
        label_mistakes.draw_counts(directory / PICTURE, counts[:MAX_LABELS], names[:MAX_LABELS])
        return PICTURE
    confusion = mistakes.confusion(outputs, targets.argmax(-1))
    write_confusion(directory / CONFUSION, confusion, names)
    if importlib.util.find_spec("matplotlib") is None:
        return ""
    draw_confusion(directory / PICTURE, confusion, names)
    return PICTURE


def write_table(path: Path, names: Sequence[str], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a CSV with a row for each label or number; a figure that is undefined is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["name", *columns])
        for name, *values in zip(names, *columns.values(), strict=True):
            rows.writerow([name, *("" if math.isnan(value) else value for value in values)])


def full_model(trial: TrainingRun, trained: Trained) -> keras.Model:
    """Return the model from pixels (B, s, s, 3) in 0–255 to logits (B, classes), including the part below the cache.

    The outputs of a model that predicts numbers are in the user's units.
    """
    units = trial.task.layer()
    outputs = trained.network.output if units is None else units(trained.network.output)
    network = keras.Model(trained.network.input, outputs)  # without our optimizer
    if not trial.context.is_cached(trial.config):
        return network
    bottom = trial.context.data_and_backbone(trial.config.image_size).bottom(trial.config.unfreeze_top)
    pixels = keras.Input(bottom.input_shape[1:])
    return keras.Model(pixels, network(bottom(pixels, training=False)), name="efficientnet_tuned")


def write_confusion(path: Path, confusion: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Write a CSV with a row for each true class and a column for each predicted one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["true \\ predicted", *classes])
        rows.writerows([name, *map(int, row)] for name, row in zip(classes, confusion, strict=True))


def draw_confusion(path: Path, confusion: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Draw the confusion matrix; shades are shares of the true class."""
    from matplotlib.figure import Figure

    names = [shortened(name, MAX_NAME) for name in classes]
    side = 1.8 + 0.6 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes: Any = figure.subplots()
    axes.imshow(confusion / np.maximum(confusion.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    axes.set_xticks(places, names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(places, names, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    for (i, j), count in np.ndenumerate(confusion):
        axes.text(j, i, str(count), ha="center", va="center", color="black")
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # characters that the font lacks
        figure.savefig(path, dpi=120)
