"""Copies of a network, layer by layer: with the same weights, with other norms, or with new weights.

Keras copies `trainable` with a layer's configuration, so every function here sets it: a copy never depends on what was
done with its original.
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
    """What takes the place of each batch normalization. In a layer of C channels, gcd(groups, C) of them share."""

    norm: str
    groups: int

    def shared(self, width: int) -> int:
        """Return the number of groups in a layer of `width` channels."""
        return math.gcd(self.groups, width)

    def layer(self, width: int, name: str) -> keras.Layer:
        found = norm_layer(self.norm, self.shared(width), width, name)
        return keras.layers.Identity(name=name) if found is None else found


@dataclass(frozen=True)
class Drawing:
    """Initializers of new layers, by the layer's place in its network."""

    kernel: Callable[[int, bool], keras.initializers.Initializer]
    """Of the layer's place, and of whether its kernel is a depthwise convolution's."""
    bias: Callable[[int], keras.initializers.Initializer]


@dataclass(frozen=True)
class Map:
    """A feature map (h, w, C) that a norm normalizes."""

    layer: str
    positions: int
    """h · w."""
    width: int
    """C."""


def normalized_maps(network: keras.Model) -> list[Map]:
    """Return what each batch normalization of the network is applied to, the lowest first."""
    shapes = [(layer.name, layer.output.shape) for layer in network.layers if _is_norm(layer)]
    return [Map(name, math.prod(shape[1:-1]), shape[-1]) for name, shape in shapes]


def copied(network: keras.Model) -> keras.Model:
    """Return the same layers with weights of their own, which are the same numbers; everything of it is trained."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    _finish(copy)
    copy.trainable = True
    return copy


def frozen(network: keras.Model) -> keras.Model:
    """Return a copy that isn't trained and computes as in inference, also within a network that is being trained.

    Keras passes `training=True` on to all layers of a network, so calling a part with `training=False` isn't enough:
    batch norms that aren't trainable use their statistics, but the dropout of stochastic depth would go on.
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
    """Return a copy with other norms, new ones, and every other weight as it is; everything of it is trained."""
    copy = _rebuilt(network, norms, None)
    for layer in network.layers:
        if not _is_norm(layer) and layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    _finish(copy)
    copy.trainable = True
    return copy


def from_scratch(network: keras.Model, norms: Norms, drawing: Drawing) -> keras.Model:
    """Return a copy whose weights are new and trained; the preprocessing stays as it is."""
    copy = _rebuilt(network, norms, drawing)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    _finish(copy)
    copy.trainable = True
    return copy


def _rebuilt(network: keras.Model, norms: Norms, drawing: Drawing | None) -> keras.Model:
    places = {layer.name: i for i, layer in enumerate(network.layers)}

    def clone(layer: keras.Layer) -> keras.Layer:
        if _is_norm(layer):
            return norms.layer(layer.gamma.shape[0], layer.name)
        config = layer.get_config()
        if drawing is not None:
            config |= dict(_drawn(config, places[layer.name], drawing))
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=clone, call_function=_called)


def _drawn(config: dict[str, Any], place: int, drawing: Drawing) -> Iterator[tuple[str, Any]]:
    """Yield the initializers of a layer that has some, by Keras's names."""
    for key in KERNELS:
        if config.get(key) is not None:
            yield key, drawing.kernel(place, key == DEPTHWISE)
    if config.get(BIASES) is not None:
        yield BIASES, drawing.bias(place)


def _finish(copy: keras.Model) -> None:
    """Let each Normalization compute with the weights that it was given: `set_weights` alone leaves it as it was."""
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _is_norm(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _called(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
    """Call the layer without the mask that the graph kept, which other norms don't take."""
    options.pop("mask", None)
    return layer(*inputs, **options)
