"""The pretrained networks: what they are made of, where they are cut, and how images are prepared for them.

k: number of MBConv blocks, counted from the top, that are trained; the final convolution above them is trained too.
A network is cut below them: `bottom` makes what can be cached, `top` is what fine-tuning trains.

The loaded network is shared by all trials of a process, so nothing changes it: it is frozen once, when it is loaded,
and a trial trains copies of its layers. `untrained` doesn't use it at all.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.lite0 import lite0
from bo_objectives.efficientnet.names import IMAGENET, LITE0, RANDOM
from bo_objectives.efficientnet.rebuilding import Drawing, Norms, copied, from_scratch, frozen, with_norms
from bo_objectives.efficientnet.weight_files import LITE0_SHA256, file_sha256, find
from bo_objectives.efficientnet.weights import Origin, arrays_sha256, load_torch_lite0
from bo_objectives.errors import SetupError

BLOCK = re.compile(r"(block\d+[a-z]+)_")
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of pixels in [0, 1], by channel
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier. `prepare` maps pixels 0–255 to what `network` was trained on."""

    name: str
    network: keras.Model
    prepare: keras.layers.Rescaling | None
    origin: Origin

    def __post_init__(self) -> None:
        self.network.trainable = False

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the MBConv blocks, the lowest first."""
        return tuple(dict.fromkeys(found[1] for layer in self.network.layers if (found := BLOCK.match(layer.name))))

    def cut(self, k: int) -> str:
        """The name of the layer whose output is cached when the top k blocks (fewer than all) are trained."""
        if k == 0:
            return str(self.network.layers[-1].name)
        blocks = self.blocks
        below = blocks[-k - 1] + "_"
        return str([layer.name for layer in self.network.layers if layer.name.startswith(below)][-1])

    def bottom(self, k: int) -> keras.Model:
        """Return pixels (B, s, s, 3) in 0–255 to the cut's features, in inference; its layers are the shared ones."""
        return self._of_pixels(self._below(k))

    def bottom_copy(self, k: int) -> keras.Model:
        """Return what `bottom` does with layers of its own, to be a part of a network that is trained."""
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
        """Return a copy of the cut's features to the last features; None where nothing is trained.

        Batch normalizations aren't trainable: their statistics and scales stay those of ImageNet. Other norms in their
        place are.
        """
        if k == 0:
            return None
        above = self.above(k)
        copy = copied(above) if norms is None else with_norms(above, norms)
        unfreeze(copy)
        return copy

    def above(self, k: int) -> keras.Model:
        """Return the cut's features to the last features, for k ≥ 1; its layers are the shared ones."""
        return keras.Model(self.network.get_layer(self.cut(k)).output, self.network.output)


def untrained(name: str, image_size: int, norms: Norms, drawing: Drawing) -> keras.Model:
    """Return pixels (B, s, s, 3) in 0–255 to the last features, everything new and trained.

    It is made from the network's name alone, so it doesn't depend on pretrained weights or on other trials.
    """
    network, prepare = architecture(name, image_size)
    new = from_scratch(network, norms, drawing)
    pixels = keras.Input(network.input_shape[1:])
    return keras.Model(pixels, new(pixels if prepare is None else prepare(pixels)))


def architecture(name: str, image_size: int) -> tuple[keras.Model, keras.layers.Rescaling | None]:
    """Return the network with Keras's own random weights, and what prepares pixels for it.

    Version 1 of Keras's networks normalizes with weights that come with a weights file: here they are ImageNet's mean
    and variance. Version 2 and Lite0 need none.
    """
    if name == LITE0:
        return lite0(image_size), lite0_rescaling()
    network = getattr(keras.applications, class_name(name))(
        include_top=False, weights=None, input_shape=(image_size, image_size, 3)
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([np.array(IMAGENET_MEAN), np.square(IMAGENET_STD), np.array(0)])
            layer.finalize_state()
    return network, None


def unfreeze(model: keras.Model) -> None:
    """Make everything of it trainable but its batch normalizations."""
    model.trainable = True
    for layer in model.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


def load(name: str, weights: str, image_size: int) -> Backbone:
    """The named network with the weights asked for: `imagenet`, a local file, or `random`.

    Raises:
        SetupError: the weights are missing or belong to another network.
    """
    path = find(name, weights)
    return _lite0(weights, path, image_size) if name == LITE0 else _of_keras(name, weights, path, image_size)


def _lite0(weights: str, path: Path | None, image_size: int) -> Backbone:
    network, prepare = lite0(image_size), lite0_rescaling()
    if path is None:
        return Backbone(LITE0, network, prepare, Origin(RANDOM, arrays_sha256(network.get_weights())))
    sha256 = file_sha256(path)
    if weights == IMAGENET and sha256 != LITE0_SHA256:
        raise SetupError(f"{path} has the SHA-256 {sha256}, not {LITE0_SHA256}: install it anew")
    load_torch_lite0(network, path)
    return Backbone(LITE0, network, prepare, Origin(path.name, sha256))


def lite0_rescaling() -> keras.layers.Rescaling:
    """Return the preprocessing that Lite0 was trained with: (pixel − 127) / 128."""
    return keras.layers.Rescaling(1 / 128, offset=-127 / 128)


def _of_keras(name: str, weights: str, path: Path | None, image_size: int) -> Backbone:
    network = _built(name, weights, path, image_size)
    if path is not None:
        return Backbone(name, network, missing_rescaling(network), Origin(path.name, file_sha256(path)))
    source = RANDOM if weights == RANDOM else f"Keras applications, {keras.version()}"
    return Backbone(name, network, None, Origin(source, arrays_sha256(network.get_weights())))


def _built(name: str, weights: str, path: Path | None, image_size: int) -> keras.Model:
    if weights == RANDOM:
        return architecture(name, image_size)[0]
    build = getattr(keras.applications, class_name(name))
    try:
        return build(include_top=False, weights=str(path or weights), input_shape=(image_size, image_size, 3))
    except Exception as error:  # Keras raises bare Exception for downloads, and what h5py raises for files
        remedy = (
            "its download failed: give weights=PATH of a downloaded file, or backbone=efficientnet_lite0, "
            "whose weights come from the package registry"
            if weights == IMAGENET
            else "give the file without the classifier (its name ends in _notop.h5) of this very network"
        )
        raise SetupError(f"weights of {name} can't be loaded: {remedy} ({error})") from error


def missing_rescaling(network: keras.Model) -> keras.layers.Rescaling | None:
    """What Keras leaves out for a version 1 network whose ImageNet file is given by path.

    The files' Normalization divides by √std, and Keras divides by √std once more only for the literal "imagenet". With
    r = 1/√std and the mean m, the same is had by moving the input: pixel → r·pixel + 255·m·(1 − r).
    Networks of version 2 do their preprocessing alike in both cases: None.
    """
    if "v2" in network.name:
        return None
    normalization = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    mean = keras.ops.convert_to_numpy(normalization.mean).reshape(-1).astype("float64")
    r = np.array([1 / math.sqrt(std) for std in IMAGENET_STD])
    return keras.layers.Rescaling(_floats(r), offset=_floats(255 * mean * (1 - r)))


def _floats(values: NDArray[np.float64]) -> list[float]:
    return [float(v) for v in values]


def class_name(name: str) -> str:
    """`efficientnet_b0` → EfficientNetB0, `efficientnet_v2_s` → EfficientNetV2S."""
    return "EfficientNet" + name.removeprefix("efficientnet_").replace("_", "").upper()
