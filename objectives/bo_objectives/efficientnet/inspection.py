"""Inspection of a network: the outputs of each layer for some images, and the predictions.

n images; a layer's outputs are (n, …, C) with C channels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.batches import Inputs
from bo_objectives.efficientnet.history import LayerStats, NetworkInspection, Outcome
from bo_objectives.efficientnet.model import HEAD
from bo_objectives.efficientnet.names import BATCH, SINGLE_LABEL
from bo_objectives.efficientnet.tasks import LearningTask

Array = NDArray[Any]

CONVOLUTION = f"{HEAD}conv"
TINY = 1e-6
MAX_FEATURES, MAX_PIXELS = 64, 16
"""Number of images inspected, for networks that begin at cached features and at pixels."""
MAX_EVALUATED_FEATURES, MAX_EVALUATED_PIXELS = 512, 128
"""Number of images of each part predicted after training, likewise."""
EVALUATION_BATCH = 32
EVALUATION_BYTES = 2**24
"""Size of a batch of cached features, which has no fewer than EVALUATION_BATCH images: each call has a cost."""


@dataclass(frozen=True)
class InspectionSample:
    """Some training and validation images, as the network's inputs, with encoded targets."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    parts: tuple[tuple[Inputs, Array], tuple[Inputs, Array]]
    """All training and validation images."""
    task: LearningTask

    @classmethod
    def of(
        cls, train: tuple[Inputs, Array], validation: tuple[Inputs, Array], task: LearningTask
    ) -> "InspectionSample":
        """Return a sample, the same at every call."""
        return cls(_select(*train), _select(*validation), (train, validation), task)


def inspect(network: keras.Model, sample: InspectionSample, norm: str, batch_size: int) -> NetworkInspection:
    """Return the state of the network."""
    outputs = dict(_outputs(network, sample.train[0]))
    logits = list(outputs.values())[-1]
    maps = outputs.get(CONVOLUTION)  # a user's head has none
    commonest = 0.0
    if sample.task.name == SINGLE_LABEL:
        predicted = _array(network(sample.validation[0], training=False)).argmax(-1)
        commonest = float(np.bincount(predicted).max() / len(predicted))
    alike = {} if maps is None else {CONVOLUTION: _alike(network.get_layer(CONVOLUTION).kernel.numpy())}
    return NetworkInspection(
        loss=mean_loss(sample.task, logits, sample.train[1]),
        layers=[_layer(name, array, alike.get(name, False)) for name, array in outputs.items()],
        commonest=commonest,
        batch_noise=batch_noise(maps, batch_size) if norm == BATCH and maps is not None else None,
        statistics=_statistics(network),
    )


def with_outcomes(inspection: NetworkInspection, network: keras.Model, sample: InspectionSample) -> NetworkInspection:
    """Return the inspection with predictions for training and validation images, about as many of each class."""
    train, validation = (_outcome(network, *images, sample.task) for images in sample.parts)
    return replace(inspection, train=train, validation=validation)


def _outcome(network: keras.Model, inputs: Inputs, targets: Array, task: LearningTask) -> Outcome:
    limit = MAX_EVALUATED_PIXELS if inputs.dtype == np.uint8 else MAX_EVALUATED_FEATURES
    if task.name != SINGLE_LABEL:
        rows = drawn(len(targets), limit)
        losses = task.losses(logits(network, inputs, rows), targets[rows])
        return Outcome(len(rows), float(losses.mean()), float(losses.std()), 0.0, 0.0, 0.0, [], [])
    one_hot, labels = targets, targets.argmax(-1)
    rows = stratified(labels, max(1, limit // one_hot.shape[-1]))
    return outcome(
        logits(network, inputs, rows), labels[rows], np.bincount(labels, minlength=one_hot.shape[-1]) / len(labels)
    )


def logits(network: keras.Model, inputs: Inputs, rows: Array) -> Array:
    """Return the network's outputs for some of the inputs, computed in small batches."""
    each = math.prod(inputs.shape[1:]) * inputs.dtype.itemsize
    size = EVALUATION_BATCH if inputs.dtype == np.uint8 else max(EVALUATION_BATCH, EVALUATION_BYTES // each)
    batches = np.array_split(rows, math.ceil(len(rows) / size))
    return np.concatenate([_array(network(np.asarray(inputs[batch]), training=False)) for batch in batches])


def drawn(count: int, limit: int) -> Array:
    """Return at most `limit` rows of `count`, increasing; the same at every call."""
    return np.sort(np.random.default_rng(0).permutation(count)[:limit])


def stratified(labels: Array, limit: int) -> Array:
    """Return the rows of at most `limit` images of each class, increasing; the same at every call."""
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:limit] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def outcome(logits: Array, labels: Array, shares: Array) -> Outcome:
    """Return a summary of predictions.

    Args:
        logits: (n, classes).
        labels: (n,).
        shares: (classes,) weights of the classes.
    """
    C = logits.shape[-1]
    counts = np.bincount(labels, minlength=C)
    weights = (shares / np.maximum(counts, 1))[labels]
    weights = weights / weights.sum()
    scaled = np.nan_to_num(logits.astype(np.float64), nan=0.0, posinf=1e30, neginf=-1e30)
    scaled = scaled - scaled.max(-1, keepdims=True)
    log_p = scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))
    losses, predicted_labels = -log_p[np.arange(len(labels)), labels], log_p.argmax(-1)
    loss = float(weights @ losses)
    predicted = np.bincount(predicted_labels, weights, minlength=C)
    hits = np.bincount(labels, predicted_labels == labels, minlength=C)
    return Outcome(
        images=len(labels),
        loss=loss,
        loss_std=math.sqrt(float(weights @ (losses - loss) ** 2)),
        accuracy=float(weights @ (predicted_labels == labels)),
        entropy=float(weights @ -(np.exp(log_p) * log_p).sum(-1)),
        commonest=float(predicted.max()),
        recalls=[float(hit / count) if count else None for hit, count in zip(hits, counts, strict=True)],
        counts=[int(count) for count in counts],
    )


def _statistics(network: keras.Model) -> dict[str, float]:
    """Return the sum of the magnitudes of the moving averages of each batch normalization below the head."""
    statistics = {}
    for layer in network._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.name.startswith(HEAD):
            averages = (_array(layer.moving_mean), _array(layer.moving_variance))
            statistics[layer.name] = float(sum(np.abs(a).sum(dtype=np.float64) for a in averages))
    return statistics


def batch_noise(maps: Array, batch_size: int) -> float | None:
    """Return the median over channels of the standard deviation of batch means, in standard deviations of the values.

    For independent images it is 1/√batch_size. None with fewer than two batches.

    Args:
        maps: (n, …, C).
        batch_size: images in a batch.
    """
    batches = len(maps) // batch_size
    if batches < 2:
        return None
    C = maps.shape[-1]
    means = maps[: batches * batch_size].reshape(batches, -1, C).mean(1)
    spread = maps.mean(tuple(range(1, maps.ndim - 1))).std(0)
    is_varying = spread > TINY
    return float(np.median(means.std(0, ddof=1)[is_varying] / spread[is_varying])) if is_varying.any() else None


def _select(inputs: Inputs, targets: Array) -> tuple[Array, Array]:
    rows = drawn(len(targets), MAX_PIXELS if inputs.dtype == np.uint8 else MAX_FEATURES)
    return np.asarray(inputs[rows]), targets[rows]


def _outputs(model: keras.Model, x: Any) -> Iterator[tuple[str, Array]]:
    """Yield the outputs of the head's layers and of the trainable activations below, lowest first.

    The outermost models are chains; the activations of a network that branches are computed at once.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if not isinstance(layer, keras.Model):
            x = layer(x, training=False) if layer._call_has_training_arg else layer(x)
            if layer.name.startswith(HEAD):
                yield layer.name, _array(x)
        elif layer.name.startswith(HEAD):
            x = layer(x, training=False)
            yield layer.name, _array(x)
        elif not layer.trainable_variables:
            x = layer(x, training=False)
        elif any(isinstance(inner, keras.Model) for inner in layer.layers):
            yield from _outputs(layer, x)
            x = layer(x, training=False)
        else:
            names = [inner.name for inner in layer.layers if inner.name.endswith("activation")]
            outputs = [layer.get_layer(name).output for name in names]
            *inner_outputs, x = keras.Model(layer.input, [*outputs, layer.output])(x, training=False)
            yield from zip(names, map(_array, inner_outputs), strict=True)


def _layer(name: str, array: Array, alike: bool) -> LayerStats:
    C = array.shape[-1]
    channels = array.reshape(-1, C)
    rms = float(np.sqrt(np.mean(np.square(channels, dtype=np.float64))))
    is_rectifier = name.endswith(("relu", "activation"))
    dead = float(np.mean(~channels.any(0))) if is_rectifier else 0.0
    return LayerStats(name, rms, dead, alike)


def _alike(kernel: Array) -> bool:
    """Return whether all output channels have the same weights."""
    return kernel.shape[-1] > 1 and float(np.ptp(kernel, axis=-1).max()) <= TINY * float(np.abs(kernel).max())


def mean_loss(task: LearningTask, outputs: Array, targets: Array) -> float:
    """Return the mean loss of outputs and encoded targets (n, k), without smoothing; infinite if it is not finite."""
    losses = task.losses(outputs, targets)
    return float(losses.mean()) if np.isfinite(losses).all() else math.inf


def _array(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
