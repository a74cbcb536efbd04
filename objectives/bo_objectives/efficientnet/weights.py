"""The mapping of the PyTorch port of EfficientNet-Lite0 onto Keras layers, and the origin of weights."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.lite0 import torch_names
from bo_objectives.efficientnet.torch_file import read_tensors
from bo_objectives.errors import SetupError

Array = NDArray[Any]

# Of a batch normalization and of a convolution: Keras's order, PyTorch's names.
NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
IGNORED = "num_batches_tracked"  # a counter that inference doesn't read
CLASSIFIER = ("_fc.weight", "_fc.bias")


@dataclass(frozen=True)
class WeightsOrigin:
    """The source in words, and a SHA-256 of the file, or of the arrays if Keras manages the file."""

    source: str
    sha256: str


def arrays_sha256(arrays: Iterable[Array]) -> str:
    """Return the SHA-256 of the shapes, types and contents, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def load_torch_lite0(model: keras.Model, path: Path) -> None:
    """Set every weight of `lite0()` from the PyTorch port's file.

    Raises:
        SetupError: the file lacks a tensor, has an additional one, or a shape differs.
    """
    tensors = {n: t for n, t in read_tensors(path).items() if not n.endswith(IGNORED) and n not in CLASSIFIER}
    for layer_name, torch_name in torch_names().items():
        layer = model.get_layer(layer_name)
        try:
            values = _values(layer, torch_name, tensors)
            layer.set_weights(values)
        except KeyError as missing:
            raise SetupError(f"{path} lacks the tensor {missing}: it holds no EfficientNet-Lite0") from None
        except ValueError as error:
            raise SetupError(f"{path}: {torch_name} doesn't fit {layer_name}: {error}") from None
    if tensors:
        raise SetupError(f"{path} holds tensors that EfficientNet-Lite0 has no place for: {', '.join(sorted(tensors))}")


def _values(layer: keras.Layer, name: str, tensors: dict[str, Array]) -> list[Array]:
    """Return the layer's weights in Keras's layout, and remove the tensors from `tensors`."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return [tensors.pop(f"{name}.{part}") for part in NORMALIZATION]
    kernel = tensors.pop(f"{name}.weight")  # (out, in, h, w); depthwise (channels, 1, h, w)
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return [kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)]


def classifier(path: Path) -> tuple[Array, Array]:
    """Return the ImageNet classifier of the PyTorch port: kernel (1280, 1000) and bias (1000,)."""
    tensors: Mapping[str, Array] = read_tensors(path)
    kernel, bias = (tensors[name] for name in CLASSIFIER)
    return kernel.T, bias
