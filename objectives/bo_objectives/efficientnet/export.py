"""Export of a trained network: the model from pixels to logits, its confusion matrix and its card."""

import csv
import importlib.util
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.checkpoint import unwritable
from bo_objectives.efficientnet.model_card import model_card
from bo_objectives.efficientnet.printing import shortened
from bo_objectives.efficientnet.training_run import Trained, TrainingRun

MODEL, METRICS, CLASSES, CONFUSION, PICTURE, CARD = (
    "model.keras", "metrics.json", "classes.json", "confusion_matrix.csv", "confusion_matrix.png", "README.md"
)  # fmt: skip
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
        write_confusion(directory / CONFUSION, tested.confusion, provenance["classes"])
        has_picture = importlib.util.find_spec("matplotlib") is not None
        if has_picture:
            draw_confusion(directory / PICTURE, tested.confusion, provenance["classes"])
        (directory / CARD).write_text(model_card(provenance, metrics, PICTURE if has_picture else ""), "utf-8")
    except OSError as error:
        raise unwritable(directory, error) from error
    return metrics


def full_model(trial: TrainingRun, trained: Trained) -> keras.Model:
    """Return the model from pixels (B, s, s, 3) in 0–255 to logits (B, classes), including the part below the cache."""
    network = keras.Model(trained.network.input, trained.network.output)  # without our optimizer
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
