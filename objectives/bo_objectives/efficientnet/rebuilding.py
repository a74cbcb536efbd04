"""Copies of a network with other norms and other initial weights, layer by layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from bo_objectives.efficientnet.norms import norm_layer

KERNELS = ("kernel_initializer", "depthwise_initializer")  # as Keras's layers name them
MakeInitializer = Callable[[int], keras.initializers.Initializer]


@dataclass(frozen=True)
class Norms:
    """What takes the place of each batch normalization. In a layer of C channels, gcd(groups, C) of them share."""

    norm: str
    groups: int

    def layer(self, width: int, name: str) -> keras.Layer:
        found = norm_layer(self.norm, math.gcd(self.groups, width), width, name)
        return keras.layers.Identity(name=name) if found is None else found


def copied(network: keras.Model) -> keras.Model:
    """The same layers with weights of their own, which are the same numbers."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def with_norms(network: keras.Model, norms: Norms) -> keras.Model:
    """A copy with other norms, new ones, and every other weight as it is."""
    copy = _rebuilt(network, norms, None)
    for layer in network.layers:
        if not _is_norm(layer) and layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def from_scratch(network: keras.Model, norms: Norms, initializer: MakeInitializer) -> keras.Model:
    """A copy whose kernels are drawn by `initializer(i)`, i counting layers; the preprocessing stays as it is."""
    copy = _rebuilt(network, norms, initializer)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _rebuilt(network: keras.Model, norms: Norms, initializer: MakeInitializer | None) -> keras.Model:
    places = {layer.name: i for i, layer in enumerate(network.layers)}

    def clone(layer: keras.Layer) -> keras.Layer:
        if _is_norm(layer):
            return norms.layer(layer.gamma.shape[0], layer.name)
        config = layer.get_config()
        if initializer is not None:
            drawn = {key: initializer(places[layer.name]) for key in KERNELS if config.get(key) is not None}
            config = {**config, **drawn}
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=clone, call_function=_called)


def _is_norm(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _called(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
    """Without the mask that the graph kept, which other norms don't take."""
    options.pop("mask", None)
    return layer(*inputs, **options)
