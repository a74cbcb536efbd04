"""A look into a network: what each layer makes of some images, and what is predicted.

n images; a layer's outputs (n, …, C) for C channels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.batches import Inputs
from bo_objectives.efficientnet.model import HEAD, LOGITS
from bo_objectives.efficientnet.names import BATCH
from bo_objectives.efficientnet.record import Layer, Outcome, Probe

Array = NDArray[Any]

TINY = 1e-6
MOST_MAPS, MOST_PIXELS = 64, 16
"""Images looked at, where the network begins at cached features and where it begins at pixels."""
JUDGED_MAPS, JUDGED_PIXELS = 512, 128
"""Images of each part predicted after training, likewise."""
JUDGED_BATCH = 32


@dataclass(frozen=True)
class Sample:
    """Some images of training and of validation, as the network is fed, with one-hot labels."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    parts: tuple[tuple[Inputs, Array], tuple[Inputs, Array]]
    """All images of training and of validation."""

    @classmethod
    def of(cls, train: tuple[Inputs, Array], validation: tuple[Inputs, Array]) -> "Sample":
        """The same ones at every call."""
        return cls(_some(*train), _some(*validation), (train, validation))


def look(network: keras.Model, sample: Sample, norm: str, batch_size: int) -> Probe:
    """Describe the network as it is now."""
    outputs = dict(_outputs(network, sample.train[0]))
    logits = next(array for name, array in outputs.items() if name == LOGITS)
    maps = next(array for name, array in outputs.items() if name == f"{HEAD}conv")
    predicted = _array(network(sample.validation[0], training=False)).argmax(-1)
    alike = {f"{HEAD}conv": _alike(network.get_layer(f"{HEAD}conv").kernel.numpy())}
    return Probe(
        loss=cross_entropy(logits, sample.train[1]),
        layers=[_layer(name, array, alike.get(name, False)) for name, array in outputs.items()],
        commonest=float(np.bincount(predicted).max() / len(predicted)),
        batch_noise=batch_noise(maps, batch_size) if norm == BATCH else None,
        statistics=_statistics(network),
    )


def judged(found: Probe, network: keras.Model, sample: Sample) -> Probe:
    """Add predictions for images of training and of validation, about as many of each class."""
    train, validation = (_outcome(network, *images) for images in sample.parts)
    return replace(found, train=train, validation=validation)


def _outcome(network: keras.Model, inputs: Inputs, one_hot: Array) -> Outcome:
    labels = one_hot.argmax(-1)
    most = JUDGED_PIXELS if inputs.dtype == np.uint8 else JUDGED_MAPS
    rows = stratified(labels, max(1, most // one_hot.shape[-1]))
    batches = np.array_split(rows, math.ceil(len(rows) / JUDGED_BATCH))
    logits = np.concatenate([_array(network(np.asarray(inputs[batch]), training=False)) for batch in batches])
    return outcome(logits, labels[rows], np.bincount(labels, minlength=one_hot.shape[-1]) / len(labels))


def stratified(labels: Array, most: int) -> Array:
    """Rows of at most so many images of each class, increasing; the same ones at every call."""
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:most] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def outcome(logits: Array, labels: Array, shares: Array) -> Outcome:
    """Summarize logits (n, classes) of images with these labels (n,); `shares` (classes,) weigh the classes."""
    C = logits.shape[-1]
    counts = np.bincount(labels, minlength=C)
    weights = (shares / np.maximum(counts, 1))[labels]
    weights = weights / weights.sum()
    scaled = np.nan_to_num(logits.astype(np.float64), nan=0.0, posinf=1e30, neginf=-1e30)
    scaled = scaled - scaled.max(-1, keepdims=True)
    log_p = scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))
    losses, found = -log_p[np.arange(len(labels)), labels], log_p.argmax(-1)
    loss = float(weights @ losses)
    predicted = np.bincount(found, weights, minlength=C)
    hits = np.bincount(labels, found == labels, minlength=C)
    return Outcome(
        images=len(labels),
        loss=loss,
        loss_std=math.sqrt(float(weights @ (losses - loss) ** 2)),
        accuracy=float(weights @ (found == labels)),
        entropy=float(weights @ -(np.exp(log_p) * log_p).sum(-1)),
        commonest=float(predicted.max()),
        recalls=[float(hit / count) if count else None for hit, count in zip(hits, counts, strict=True)],
        counts=[int(count) for count in counts],
    )


def _statistics(network: keras.Model) -> dict[str, float]:
    """By batch normalization below the head, the sum of the magnitudes of its moving averages."""
    found = {}
    for layer in network._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.name.startswith(HEAD):
            averages = (_array(layer.moving_mean), _array(layer.moving_variance))
            found[layer.name] = float(sum(np.abs(a).sum(dtype=np.float64) for a in averages))
    return found


def batch_noise(maps: Array, batch_size: int) -> float | None:
    """How far means of batches lie apart, in standard deviations of the values: a median over channels (n, …, C).

    Of independent images it is 1/√batch_size. None where there are no two batches.
    """
    batches = len(maps) // batch_size
    if batches < 2:
        return None
    C = maps.shape[-1]
    means = maps[: batches * batch_size].reshape(batches, -1, C).mean(1)
    spread = maps.mean(tuple(range(1, maps.ndim - 1))).std(0)
    alive = spread > TINY
    return float(np.median(means.std(0, ddof=1)[alive] / spread[alive])) if alive.any() else None


def _some(inputs: Inputs, one_hot: Array) -> tuple[Array, Array]:
    most = MOST_PIXELS if inputs.dtype == np.uint8 else MOST_MAPS
    rows = np.sort(np.random.default_rng(0).permutation(len(one_hot))[:most])
    return np.asarray(inputs[rows]), one_hot[rows]


def _outputs(model: keras.Model, x: Any) -> Iterator[tuple[str, Array]]:
    """Outputs of the head's layers and of the activations below that may be trained, the lowest first.

    The outermost models are chains; within a network that branches, its own activations are asked for at once.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if not isinstance(layer, keras.Model):
            x = layer(x, training=False) if layer._call_has_training_arg else layer(x)
            if layer.name.startswith(HEAD):
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


def _layer(name: str, array: Array, alike: bool) -> Layer:
    C = array.shape[-1]
    channels = array.reshape(-1, C)
    rms = float(np.sqrt(np.mean(np.square(channels, dtype=np.float64))))
    is_rectifier = name.endswith(("relu", "activation"))
    dead = float(np.mean(~channels.any(0))) if is_rectifier else 0.0
    return Layer(name, rms, dead, alike)


def _alike(kernel: Array) -> bool:
    """Whether all output channels have the same weights."""
    return kernel.shape[-1] > 1 and float(np.ptp(kernel, axis=-1).max()) <= TINY * float(np.abs(kernel).max())


def cross_entropy(logits: Array, one_hot: Array) -> float:
    """Mean, in nats, of (n, classes) both; infinite where it isn't finite."""
    shifted = logits - logits.max(-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(-1)) - (shifted * one_hot).sum(-1)
    return float(losses.mean()) if np.isfinite(losses).all() else math.inf


def _array(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
