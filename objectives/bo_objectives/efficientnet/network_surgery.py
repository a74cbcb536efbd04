"""Copies of a network, layer by layer: with the same weights, with other norms, or with new weights.

Keras copies `trainable` with a layer's configuration, so every function here sets it: a copy does not depend on what
was done with its original.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from bo_objectives.efficientnet.norms import norm_layer

DEPTHWISE = "depthwise_initializer"
KERNELS = ("kernel_initializer", DEPTHWISE)  # as Keras's layers name them
BIASES = "bias_initializer"


@dataclass(frozen=True)
class Norms:
    """The norm that replaces each batch normalization.

    In a layer of C channels, gcd(groups, C) channels form a group.
    """

    norm: str
    groups: int

    def groups_in(self, width: int) -> int:
        """Return the number of groups in a layer of `width` channels."""
        return math.gcd(self.groups, width)

    def layer(self, width: int, name: str) -> keras.Layer:
        """Return the norm for a layer of `width` channels."""
        norm = norm_layer(self.norm, self.groups_in(width), width, name)
        return keras.layers.Identity(name=name) if norm is None else norm


@dataclass(frozen=True)
class InitializerFactory:
    """Initializers of new layers, by the layer's index in its network."""

    kernel: Callable[[int, bool], keras.initializers.Initializer]
    """Takes the layer's index, and whether its kernel is of a depthwise convolution."""
    bias: Callable[[int], keras.initializers.Initializer]


@dataclass(frozen=True)
class FeatureMap:
    """A feature map (h, w, C) that a norm normalizes."""

    layer: str
    positions: int
    """h · w."""
    width: int
    """C."""


def normalized_maps(network: keras.Model) -> list[FeatureMap]:
    """Return the feature maps that the network's batch normalizations are applied to, lowest first."""
    shapes = [(layer.name, layer.output.shape) for layer in network.layers if _is_norm(layer)]
    return [FeatureMap(name, math.prod(shape[1:-1]), shape[-1]) for name, shape in shapes]


def copied(network: keras.Model) -> keras.Model:
    """Return a copy with the same weights; all of it is trainable."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    _finish(copy)
    copy.trainable = True
    return copy


def frozen(network: keras.Model) -> keras.Model:
    """Return a copy that is not trained and computes as in inference, even within a network that is trained.

    Keras passes `training=True` to all layers of a network, so calling a part with `training=False` is not enough:
    batch norms that are not trainable use their statistics, but stochastic depth would still drop units.
    """
    copy = keras.models.clone_model(network, clone_function=_inert)
    copy.set_weights(network.get_weights())
    _finish(copy)
    copy.trainable = False
    return copy


def _inert(layer: keras.Layer) -> keras.Layer:
    config = layer.get_config()
    return type(layer).from_config({**config, "rate": 0.0} if isinstance(layer, keras.layers.Dropout) else config)


def with_norms(network: keras.Model, norms: Norms) -> keras.Model:
    """Return a copy with new norms of another kind and all other weights unchanged; all of it is trainable."""
    copy = _rebuild(network, norms, None)
    for layer in network.layers:
        if not _is_norm(layer) and layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    _finish(copy)
    copy.trainable = True
    return copy


def from_scratch(network: keras.Model, norms: Norms, initializers: InitializerFactory) -> keras.Model:
    """Return a copy with new weights, all trainable; the preprocessing is unchanged."""
    copy = _rebuild(network, norms, initializers)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    _finish(copy)
    copy.trainable = True
    return copy


def _rebuild(network: keras.Model, norms: Norms, initializers: InitializerFactory | None) -> keras.Model:
    places = {layer.name: i for i, layer in enumerate(network.layers)}

    def clone(layer: keras.Layer) -> keras.Layer:
        if _is_norm(layer):
            return norms.layer(layer.gamma.shape[0], layer.name)
        config = layer.get_config()
        if initializers is not None:
            config |= dict(_layer_initializers(config, places[layer.name], initializers))
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=clone, call_function=_call_without_mask)


def _layer_initializers(
    config: dict[str, Any], place: int, initializers: InitializerFactory
) -> Iterator[tuple[str, Any]]:
    """Yield the initializers of a layer that has some, by Keras's names."""
    for key in KERNELS:
        if config.get(key) is not None:
            yield key, initializers.kernel(place, key == DEPTHWISE)
    if config.get(BIASES) is not None:
        yield BIASES, initializers.bias(place)


def _finish(copy: keras.Model) -> None:
    """Make each Normalization compute with its weights, which `set_weights` alone does not."""
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _is_norm(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _call_without_mask(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
    """Call a layer without the graph's mask, which other norms do not accept."""
    options.pop("mask", None)
    return layer(*inputs, **options)
