"""What a network is trained for: the targets that it sees, its loss, its metrics, and what its outputs mean.

n images, k outputs. Losses are cross-entropy in nats (of several labels, the mean over them), and for numbers the
squared error of standardized ones: 1 for a network that predicts the training images' mean.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import targets
from bo_objectives.efficientnet.data import Images
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.targets import Targets, TargetScale

PLAIN_LOSS = "plain_loss"
"""Keras's name of the metric that is the loss without smoothing and weights."""


class LearningTask(ABC):
    """What a network is trained for."""

    name: str
    metric: str
    """The metric of an epoch besides the loss."""

    @property
    def reported(self) -> Mapping[str, str]:
        """Keras's name of a metric → ours."""
        return {
            f"val_{PLAIN_LOSS}": "val_loss",
            f"val_{self.metric}": f"val_{self.metric}",
            PLAIN_LOSS: "train_loss",
            self.metric: f"train_{self.metric}",
        }

    @abstractmethod
    def encoded(self, images: Images) -> NDArray[np.float32]:
        """Return the targets that the network is trained on, (n, k)."""

    @abstractmethod
    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the training loss of the network's outputs."""

    @abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the plain loss and `metric`."""

    @abstractmethod
    def losses(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> Targets:
        """Return (n,) the plain losses of outputs (n, k)."""

    @abstractmethod
    def figures(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> dict[str, float]:
        """Return the metrics besides the loss, of outputs and encoded targets (n, k)."""

    def layer(self) -> keras.layers.Layer | None:
        """Return the layer that an exported model has after the network; None if its outputs are final."""
        return None


class SingleLabel(LearningTask):
    """One of k classes; outputs are logits of a softmax."""

    name, metric = SINGLE_LABEL, "accuracy"

    def encoded(self, images: Images) -> NDArray[np.float32]:
        return images.one_hot

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        return [
            keras.metrics.CategoricalCrossentropy(PLAIN_LOSS, from_logits=True),
            keras.metrics.CategoricalAccuracy(self.metric),
        ]

    def losses(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> Targets:
        shifted = outputs - outputs.max(-1, keepdims=True)
        return np.asarray(np.log(np.exp(shifted).sum(-1)) - (shifted * encoded).sum(-1))

    def figures(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> dict[str, float]:
        return {"accuracy": float((outputs.argmax(-1) == encoded.argmax(-1)).mean())}


class MultiLabel(LearningTask):
    """Any number of k labels; outputs are logits of a sigmoid."""

    name, metric = MULTI_LABEL, "f1"

    def encoded(self, images: Images) -> NDArray[np.float32]:
        assert images.targets is not None
        return images.targets.astype(np.float32)

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.BinaryCrossentropy(PLAIN_LOSS, from_logits=True), F1OfLogits(self.metric)]

    def losses(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> Targets:
        return targets.binary_losses(outputs, encoded)

    def figures(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> dict[str, float]:
        return targets.multi_label_figures(outputs, encoded)


class Regression(LearningTask):
    """Numbers; outputs are standardized by the training images, and figures are in the units of the data."""

    name, metric = REGRESSION, "mae"

    def __init__(self, scale: TargetScale) -> None:
        self.scale = scale

    def encoded(self, images: Images) -> NDArray[np.float32]:
        assert images.targets is not None
        return self.scale.standardized(images.targets).astype(np.float32)

    def loss(self, label_smoothing: float) -> keras.losses.Loss:  # noqa: ARG002  numbers have none
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.MeanSquaredError(PLAIN_LOSS), ScaledError(self.metric, self.scale.deviation.tolist())]

    def losses(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> Targets:
        return np.asarray(np.square(outputs - encoded).mean(-1))

    def figures(self, outputs: NDArray[Any], encoded: NDArray[Any]) -> dict[str, float]:
        in_units = self.scale.in_units
        return targets.regression_figures(in_units(outputs), in_units(encoded))

    def layer(self) -> keras.layers.Layer:
        deviation, mean = self.scale.deviation.tolist(), self.scale.mean.tolist()
        return keras.layers.Rescaling(deviation, mean, dtype="float32", name="target_units")


class F1OfLogits(keras.metrics.F1Score):
    """The mean over labels of F1, of logits."""

    def __init__(self, name: str) -> None:
        super().__init__(average="macro", threshold=0.5, name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        super().update_state(y_true, keras.ops.sigmoid(keras.ops.cast(y_pred, "float32")), sample_weight)


class ScaledError(keras.metrics.Mean):
    """The mean absolute error of standardized numbers in the user's units."""

    def __init__(self, name: str, deviation: list[float]) -> None:
        super().__init__(name=name)
        self._deviation = deviation

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        errors = keras.ops.abs(keras.ops.cast(y_pred, "float32") - keras.ops.cast(y_true, "float32"))
        deviation = keras.ops.convert_to_tensor(self._deviation, "float32")
        super().update_state(keras.ops.mean(errors * deviation, -1), sample_weight)


def task_of(train: Images) -> LearningTask:
    """Return the task of the training images, with their mean and deviation for numbers."""
    if train.targets is None:
        return SingleLabel()
    return MultiLabel() if train.task == MULTI_LABEL else Regression(TargetScale.of(train.targets))
