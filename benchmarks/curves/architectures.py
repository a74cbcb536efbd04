"""The networks, in Keras: what the shaping parameters of a configuration ask for."""

from typing import Any

import keras

from benchmarks.curves.data import Data
from benchmarks.curves.networks import Dropout
from bo_service.domain.constraints import Configuration

VOCABULARY = 48
WIDTH = 24
OverlayMap = list[Any]


def _end(data: Data) -> Any:
    return keras.layers.Dense(data.classes or 1)


def _hidden(c: Configuration) -> OverlayMap:
    """Dense, a norm where one is asked for, the activation, dropout; as many as the depth says."""
    layers: OverlayMap = []
    for _ in range(int(c.get("depth", 1))):
        layers.append(keras.layers.Dense(int(c.get("width", WIDTH))))
        if c.get("norm") == "batch":
            layers.append(keras.layers.BatchNormalization())
        elif c.get("norm") == "layer":
            layers.append(keras.layers.LayerNormalization())
        layers += [keras.layers.Activation(str(c.get("activation", "relu"))), Dropout()]
    return layers


def dense(data: Data, c: Configuration) -> keras.Model:
    """A multilayer perceptron."""
    return keras.Sequential([keras.Input(data.x.shape[1:]), *_hidden(c), _end(data)])


def head(data: Data, c: Configuration) -> keras.Model:
    """A head on features: dropout, one hidden layer or none, the classes."""
    hidden = [keras.layers.Dense(int(c["width"]), activation="relu"), Dropout()] if c["width"] != 1 else []
    return keras.Sequential([keras.Input(data.x.shape[1:]), Dropout(), *hidden, _end(data)])


def convolution(data: Data, c: Configuration) -> keras.Model:
    """Two convolutions with pooling between them."""
    layers = keras.layers
    filters = int(c["filters"])
    pooling = layers.MaxPooling2D if c["pooling"] == "max" else layers.AveragePooling2D
    return keras.Sequential([
        keras.Input(data.x.shape[1:]),
        layers.Conv2D(filters, 3, padding="same", activation="relu"),
        pooling(2),
        layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        Dropout(),
        _end(data),
    ])  # fmt: skip


def recurrent(data: Data, c: Configuration) -> keras.Model:
    """A gated recurrent unit over a series."""
    return keras.Sequential([keras.Input(data.x.shape[1:]), keras.layers.GRU(int(c["width"])), Dropout(), _end(data)])


def letters(data: Data, c: Configuration) -> keras.Model:
    """Embedded letters, one after the other, then a perceptron."""
    embedded = [keras.layers.Embedding(VOCABULARY, int(c["embedding"])), keras.layers.Flatten()]
    return keras.Sequential([keras.Input(data.x.shape[1:], dtype="int32"), *embedded, *_hidden(c), _end(data)])


def recurrent_letters(data: Data, c: Configuration) -> keras.Model:
    """Embedded letters, read by a gated recurrent unit."""
    return keras.Sequential(
        [
            keras.Input(data.x.shape[1:], dtype="int32"),
            keras.layers.Embedding(VOCABULARY, int(c["embedding"])),
            keras.layers.GRU(int(c["width"])),
            Dropout(),
            _end(data),
        ]
    )
