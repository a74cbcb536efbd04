"""One training: the loss, what is reported after each epoch, and the weights of the best one.

The training loss may be smoothed; every reported loss is plain cross-entropy in nats, so that trials compare.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from bo_client import FailureReason
from numpy.typing import NDArray

from bo_objectives.base import TrialFailed

Array = NDArray[Any]
Report = Callable[[int, Mapping[str, float]], None]

# Keras's name of a metric → ours
REPORTED = {
    "val_cross_entropy": "val_loss",
    "val_accuracy": "val_accuracy",
    "cross_entropy": "train_loss",
    "accuracy": "train_accuracy",
}


@dataclass(frozen=True)
class Plan:
    """How long and in what portions. Epochs count from 1."""

    epochs: int
    batch_size: int
    label_smoothing: float


@dataclass(frozen=True)
class Labeled:
    """Inputs (n, …) and one-hot labels (n, classes)."""

    inputs: Array
    one_hot: NDArray[np.float32]


class Watch(keras.callbacks.Callback):
    """Reports each epoch, keeps the weights of the one with the least validation loss, and ends a diverged training."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report
        self.best: dict[str, float] = {}
        self.best_epoch = 0
        self._weights: list[Array] = []
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._check("training loss", (logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        metrics = {ours: float((logs or {})[theirs]) for theirs, ours in REPORTED.items()}
        self._check("validation loss", metrics["val_loss"])
        if not self.best or metrics["val_loss"] < self.best["val_loss"]:
            self.best, self.best_epoch = metrics, self._epoch
            self._weights = self.model.get_weights()
        self._report(self._epoch, metrics)

    def restore(self) -> None:
        """Gives the network the weights of its best epoch."""
        self.model.set_weights(self._weights)

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            message = f"the {what} became {float(value)} in epoch {self._epoch}; a lower learning rate may help"
            raise TrialFailed(FailureReason.DIVERGED, message)


def compiled(model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float) -> keras.Model:
    """The model, ready to train on one-hot labels; its metrics are plain cross-entropy and accuracy."""
    model.compile(
        optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
        metrics=[
            keras.metrics.CategoricalCrossentropy("cross_entropy", from_logits=True),
            keras.metrics.CategoricalAccuracy("accuracy"),
        ],
    )
    return model


def train(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, plan: Plan, data: tuple[Labeled, Labeled], report: Report
) -> Watch:
    """Trains on the first data and validates on the second; the model ends with the weights of its best epoch.

    Raises:
        TrialFailed: DIVERGED where a loss became infinite or no number.
        bo_client.StopTrial: as `report` raises it.
    """
    train_data, validation = data
    watch = Watch(report)
    compiled(model, optimizer, plan.label_smoothing).fit(
        train_data.inputs, train_data.one_hot, epochs=plan.epochs, batch_size=plan.batch_size, verbose=0,
        validation_data=(validation.inputs, validation.one_hot), callbacks=[watch],
    )  # fmt: skip
    watch.restore()
    return watch


def evaluate(model: keras.Model, data: Labeled) -> tuple[float, float]:
    """(cross-entropy in nats, accuracy)."""
    found = model.evaluate(data.inputs, data.one_hot, verbose=0, return_dict=True)
    return float(found["cross_entropy"]), float(found["accuracy"])
