"""Mixup in the training step (Zhang et al. 2018, arXiv:1710.09412), by Keras's layer.

Each image becomes λ·image + (1 − λ)·another of its batch, and its label likewise, with λ from Beta(alpha, alpha).
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.model import AUGMENT

IMAGES, LABELS, LOGITS = "images", "labels", "logits"


class MixedTraining(keras.Model):
    """A network whose training steps see mixed images and labels; in evaluation it is the network itself.

    For training, its inputs are a mapping of images (B, h, w, C) and one-hot labels (B, classes), and the loss and the
    metrics compare the logits with the mixed labels. Images are mixed after the network's augmentation.

    Args:
        network: the network, whose weights are trained.
        mixup: the layer.
        class_weights: (classes,) weights of the loss; an image has the mixture of the weights of its labels.
    """

    def __init__(
        self, network: keras.Model, mixup: keras.layers.MixUp, class_weights: NDArray[Any] | None = None
    ) -> None:
        super().__init__(name="mixed_training", dtype="float32")  # else labels are cast to the network's precision
        self.network = network
        self.mixup = mixup
        self._class_weights = None if class_weights is None else np.asarray(class_weights, np.float32)
        augmented = [layer.output for layer in network.layers if layer.name.startswith(AUGMENT)]
        self._augment = keras.Model(network.input, augmented[-1]) if augmented else None
        self._rest = keras.Model(augmented[-1], network.output) if augmented else network

    def build(self, input_shape: Any) -> None:  # noqa: ARG002
        """Mark the model as built: the network is built, and mixup has no weights."""
        self.mixup.built = self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the logits; for a mapping of images and labels, those of the mixed images with the mixed labels."""
        if not isinstance(inputs, Mapping):
            return self.network(inputs, training=training)
        images = inputs[IMAGES]
        if self._augment is not None:
            images = self._augment(images, training=training)
        mixed = self.mixup({IMAGES: images, LABELS: inputs[LABELS]}, training=training)
        return {LOGITS: self._rest(mixed[IMAGES], training=training), LABELS: mixed[LABELS]}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of the logits for the mixed labels."""
        y, y_pred, sample_weight = self._unpacked(y, y_pred, sample_weight)
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the metrics of the logits for the mixed labels."""
        y, y_pred, sample_weight = self._unpacked(y, y_pred, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def _unpacked(self, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        if not isinstance(y_pred, Mapping):
            return y, y_pred, sample_weight
        labels = y_pred[LABELS]
        if self._class_weights is not None:
            sample_weight = keras.ops.sum(labels * self._class_weights, -1)
        return labels, y_pred[LOGITS], sample_weight
