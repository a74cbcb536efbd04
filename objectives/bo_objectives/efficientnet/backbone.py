"""Pretrained networks: their parts, where they are cut, and the preprocessing of images.

k: number of MBConv blocks, counted from the top, that are trained; the final convolution above them is trained too. A
network is cut below them: the features of `bottom` can be cached, and fine-tuning trains `top`.

All trials of a process share the loaded network, so nothing changes it: it is frozen when it is loaded, and a trial
trains copies of its layers. `untrained` does not use it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import keras_weights
from bo_objectives.efficientnet.keras_weights import IMAGENET_STD
from bo_objectives.efficientnet.lite0 import lite0
from bo_objectives.efficientnet.names import IMAGENET, LITE0, RANDOM
from bo_objectives.efficientnet.network_surgery import (
    InitializerFactory,
    Norms,
    copied,
    from_scratch,
    frozen,
    with_norms,
)
from bo_objectives.efficientnet.weight_files import LITE0_SHA256, file_sha256, find
from bo_objectives.efficientnet.weights import WeightsOrigin, arrays_sha256, load_torch_lite0
from bo_objectives.errors import SetupError

BLOCK = re.compile(r"(block\d+[a-z]+)_")
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of pixels in [0, 1], by channel


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier. `prepare` maps pixels 0–255 to the input range of `network`."""

    name: str
    network: keras.Model
    prepare: keras.layers.Rescaling | None
    origin: WeightsOrigin

    def __post_init__(self) -> None:
        self.network.trainable = False

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the MBConv blocks, lowest first."""
        return tuple(dict.fromkeys(match[1] for layer in self.network.layers if (match := BLOCK.match(layer.name))))

    def cut(self, k: int) -> str:
        """Return the name of the layer whose output is cached when the top k blocks (fewer than all) are trained."""
        if k == 0:
            return str(self.network.layers[-1].name)
        blocks = self.blocks
        below = blocks[-k - 1] + "_"
        return str([layer.name for layer in self.network.layers if layer.name.startswith(below)][-1])

    def bottom(self, k: int) -> keras.Model:
        """Return the model from pixels (B, s, s, 3) in 0–255 to the cut's features.

        It computes in inference, with shared layers.
        """
        return self._of_pixels(self._below(k))

    def bottom_copy(self, k: int) -> keras.Model:
        """Return a copy of `bottom` with its own layers, for a network that is trained."""
        return self._of_pixels(frozen(self._below(k)))

    def _below(self, k: int) -> keras.Model:
        return keras.Model(self.network.input, self.network.get_layer(self.cut(k)).output)

    def _of_pixels(self, below: keras.Model) -> keras.Model:
        pixels = keras.Input(self.network.input_shape[1:])
        prepared = pixels if self.prepare is None else self.prepare(pixels)
        whole = keras.Model(pixels, below(prepared, training=False))
        whole.trainable = False
        return whole

    def top(self, k: int, norms: Norms | None = None) -> keras.Model | None:
        """Return a trainable copy of the model from the cut's features to the last features; None if k is 0.

        Batch normalizations are not trainable: they keep ImageNet's statistics and scales. Norms that replace them are
        trainable.
        """
        if k == 0:
            return None
        above = self.above(k)
        copy = copied(above) if norms is None else with_norms(above, norms)
        unfreeze(copy)
        return copy

    def above(self, k: int) -> keras.Model:
        """Return the model from the cut's features to the last features, for k ≥ 1, with shared layers."""
        return keras.Model(self.network.get_layer(self.cut(k)).output, self.network.output)


def untrained(name: str, image_size: int, norms: Norms, initializers: InitializerFactory) -> keras.Model:
    """Return a new, trainable model from pixels (B, s, s, 3) in 0–255 to the last features.

    It depends on neither pretrained weights nor other trials.
    """
    network, prepare = architecture(name, image_size)
    new = from_scratch(network, norms, initializers)
    pixels = keras.Input(network.input_shape[1:])
    return keras.Model(pixels, new(pixels if prepare is None else prepare(pixels)))


def architecture(name: str, image_size: int) -> tuple[keras.Model, keras.layers.Rescaling | None]:
    """Return a network with Keras's own random weights, and the preprocessing of its pixels.

    Version 1 of Keras's networks normalizes with values from a weights file; here these are ImageNet's mean and
    variance. Version 2 and Lite0 need none.
    """
    if name == LITE0:
        return lite0(image_size), lite0_rescaling()
    network = getattr(keras.applications, keras_weights.class_name(name))(
        include_top=False, weights=None, input_shape=(image_size, image_size, 3)
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([np.array(IMAGENET_MEAN), np.square(IMAGENET_STD), np.array(0)])
            layer.finalize_state()
    return network, None


def unfreeze(model: keras.Model) -> None:
    """Make all layers trainable except batch normalizations."""
    model.trainable = True
    for layer in model.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


def drop_rates(model: keras.Model) -> dict[str, float]:
    """Return the rates of the layers that drop units or residual branches, by name."""
    return {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}


def set_drop_rates(model: keras.Model, rates: Mapping[str, float]) -> None:
    """Set the rates of dropping layers by name, before the model is compiled; others drop nothing."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = rates.get(layer.name, 0.0)


def load(name: str, weights: str, image_size: int) -> Backbone:
    """Load a network with weights.

    Args:
        name: one of `names.BACKBONES`.
        weights: `imagenet`, the path of a file, or `random`.
        image_size: side in pixels.

    Raises:
        SetupError: the weights are missing or belong to another network.
    """
    path = find(name, weights)
    return _lite0(weights, path, image_size) if name == LITE0 else _of_keras(name, path, image_size)


def _lite0(weights: str, path: Path | None, image_size: int) -> Backbone:
    network, prepare = lite0(image_size), lite0_rescaling()
    if path is None:
        return Backbone(LITE0, network, prepare, WeightsOrigin(RANDOM, arrays_sha256(network.get_weights())))
    sha256 = file_sha256(path)
    if weights == IMAGENET and sha256 != LITE0_SHA256:
        raise SetupError(f"{path} has the SHA-256 {sha256}, not {LITE0_SHA256}: install it anew")
    load_torch_lite0(network, path)
    return Backbone(LITE0, network, prepare, WeightsOrigin(path.name, sha256))


def lite0_rescaling() -> keras.layers.Rescaling:
    """Return the preprocessing that Lite0 was trained with: (pixel − 127) / 128."""
    return keras.layers.Rescaling(1 / 128, offset=-127 / 128)


def _of_keras(name: str, path: Path | None, image_size: int) -> Backbone:
    if path is None:
        network, prepare = architecture(name, image_size)
        return Backbone(name, network, prepare, WeightsOrigin(RANDOM, arrays_sha256(network.get_weights())))
    network = _loaded(name, path, image_size)
    rescaling = second_rescaling(network) if keras_weights.lacks_rescaling(name, path) else None
    return Backbone(name, network, rescaling, WeightsOrigin(path.name, file_sha256(path)))


def _loaded(name: str, path: Path, image_size: int) -> keras.Model:
    build = getattr(keras.applications, keras_weights.class_name(name))
    try:
        return build(include_top=False, weights=str(path), input_shape=(image_size, image_size, 3))
    except Exception as error:  # what h5py and Keras raise for files
        raise SetupError(
            f"{path} can't be loaded as weights of {name} ({error}): give {keras_weights.NETWORKS[name].file}, or what "
            f"`save_weights` writes of keras.applications.{keras_weights.class_name(name)}(include_top=False)"
        ) from error


def second_rescaling(network: keras.Model) -> keras.layers.Rescaling:
    """Return a rescaling of pixels that has the effect of a division of the normalized pixels by √std.

    With r = 1/√std and the mean m, it is pixel → r·pixel + 255·m·(1 − r).
    """
    normalization = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    mean = keras.ops.convert_to_numpy(normalization.mean).reshape(-1).astype("float64")
    r = np.array([1 / math.sqrt(std) for std in IMAGENET_STD])
    return keras.layers.Rescaling(_floats(r), offset=_floats(255 * mean * (1 - r)))


def _floats(values: NDArray[np.float64]) -> list[float]:
    return [float(v) for v in values]
