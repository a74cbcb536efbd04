"""The new head, and the network that a trial trains.

    features (B, h, w, C) → 1×1 convolution (width) → norm → ReLU → global average → dropout → dense (classes) logits

Every layer of the head is named `head_…`: the optimizer tells the two learning rates apart by that.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras

from bo_objectives.efficientnet.names import MULTI_LABEL, PRIOR, SINGLE_LABEL
from bo_objectives.efficientnet.norms import norm_layer

HEAD = "head_"
LOGITS = f"{HEAD}dense"
AUGMENT = "augment_"
MIN_SHARE = 1e-6

HeadBuilder = Callable[[keras.KerasTensor], keras.KerasTensor]
"""Returns logits of features."""

SCALES = {
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
}
"""Variance times fan, which fan, and the distribution."""


class DropoutRate:
    """A dropout rate that may change after the training step was traced, in which a plain rate is a constant."""

    def __init__(self) -> None:
        self.rate, self.scale = (keras.Variable(0.0, dtype="float32", trainable=False) for _ in range(2))

    def assign(self, rate: float) -> None:
        """Set the rate, in [0, 1)."""
        self.rate.assign(rate)
        self.scale.assign(1 / (1 - rate))


class VariableDropout(keras.layers.Dropout):
    """Dropout at a variable rate. On TensorFlow it drops and scales as Keras's own of this rate does, bit for bit."""

    def __init__(self, rate: DropoutRate, seed: int, name: str) -> None:
        super().__init__(0.5, seed=seed, name=name)
        # hidden from Keras, which would count it among the network's weights
        self._variable_rate: Callable[[], DropoutRate] = lambda: rate

    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Return the inputs, in training with a share of them set to 0 and the rest scaled up."""
        if not training:
            return inputs
        variable = self._variable_rate()
        is_kept = keras.random.uniform(keras.ops.shape(inputs), seed=self.seed_generator) >= variable.rate
        return keras.ops.where(is_kept, inputs * variable.scale, 0.0)


@dataclass(frozen=True)
class Head:
    """The settings of the head. `dropout` is the fraction of features that is dropped."""

    kernel_initializer: str
    norm: str
    groups: int
    dropout: float
    width: int
    classes: int
    bias_initializer: str = "zeros"
    shares: tuple[float, ...] = ()
    """Relative frequency of each class or label in training, for the bias initializer "prior"."""
    task: str = SINGLE_LABEL
    variable_dropout: DropoutRate | None = None
    """The rate in the place of `dropout`, unless that is 0."""


@dataclass(frozen=True)
class Part:
    """A model below the head."""

    model: keras.Model
    is_inference: bool = True
    """Whether the model always computes as in inference.

    Keras passes `training=True` to every layer of a network that is trained, so the call alone is not enough: a frozen
    model has untrainable batch norms, which use their stored statistics, and dropout of rate 0
    (`network_surgery.frozen`). Fine-tuned blocks have such batch norms too, but keep their stochastic depth.
    """

    def __call__(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return self.model(x, training=False) if self.is_inference else self.model(x)


def initializer(name: str, seed: int, is_depthwise: bool = False) -> keras.initializers.Initializer:
    """Return an initializer by its name in `names.INITIALIZERS` or `names.BIAS_INITIALIZERS`.

    Glorot and He scale by a kernel's fans: the number of inputs of an output, and of outputs of an input. A depthwise
    kernel (h, w, C, multiplier) connects each channel to its own outputs alone, so its fans are h·w and h·w·multiplier;
    Keras counts the inputs of all C channels unless the axes are named (Glorot & Bengio 2010; He et al. 2015,
    arXiv:1502.01852).

    Raises:
        KeyError: the name is unknown.
    """
    if name in ("zeros", "ones", PRIOR):  # the prior is the classifier's alone
        return keras.initializers.Ones() if name == "ones" else keras.initializers.Zeros()
    if name.startswith("normal_"):
        return keras.initializers.RandomNormal(stddev=float(name.removeprefix("normal_")), seed=seed)
    axes = {"input_axes": [0, 1], "output_axes": [0, 1, 3]} if is_depthwise else {}
    return keras.initializers.VarianceScaling(*SCALES[name], seed=seed, **axes)


def augmentation(strength: float, seed: int) -> list[keras.Layer]:
    """Return augmentation layers for pixels in 0–255.

    They flip, and at strength 1 change up to 36°, 20 % of size and 30 % of contrast.
    """
    if strength == 0:
        return []
    layers = keras.layers
    seeds = range(seed + 100, seed + 104)
    return [
        layers.RandomFlip("horizontal", seed=seeds[0], dtype="float32", name="augment_flip"),
        layers.RandomRotation(
            0.1 * strength, fill_mode="nearest", seed=seeds[1], dtype="float32", name="augment_rotation"
        ),
        layers.RandomZoom(0.2 * strength, fill_mode="nearest", seed=seeds[2], dtype="float32", name="augment_zoom"),
        layers.RandomContrast(
            0.3 * strength, value_range=(0, 255), seed=seeds[3], dtype="float32", name="augment_contrast"
        ),
    ]


def rand_augmentation(strength: float, seed: int) -> list[keras.Layer]:
    """Return Keras's RandAugment for pixels in 0–255 (Cubuk et al. 2020, arXiv:1909.13719): two operations a batch."""
    if strength == 0:
        return []
    name = f"{AUGMENT}rand"
    return [keras.layers.RandAugment((0, 255), 2, strength, seed=seed + 104, dtype="float32", name=name)]


def network(
    features: tuple[int, ...], below: list[Part], head: Head | HeadBuilder, seed: int, augment: float = 0.0,
    rand_augment: float = 0.0,
) -> keras.Model:  # fmt: skip
    """Return the network from inputs of shape `features` to logits (B, classes).

    It consists of the parts `below` (lowest first) and the head. The logits are float32. The parts determine which of
    their weights are trained.
    """
    inputs = x = keras.Input(features)
    for layer in [*augmentation(augment, seed), *rand_augmentation(rand_augment, seed)]:
        x = layer(x)
    for part in below:
        x = part(x)
    return keras.Model(inputs, _own_head(head, x, seed) if isinstance(head, Head) else head(x))


def _own_head(head: Head, x: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    """Return the logits of the head described above."""
    kernel = [initializer(head.kernel_initializer, seed + i) for i in range(2)]
    bias = initializer(head.bias_initializer, seed + 2)
    x = keras.layers.Conv2D(head.width, 1, kernel_initializer=kernel[0], bias_initializer=bias, name=f"{HEAD}conv")(x)
    norm = norm_layer(head.norm, head.groups, head.width, f"{HEAD}norm")
    x = x if norm is None else norm(x)
    x = keras.layers.ReLU(name=f"{HEAD}relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name=f"{HEAD}pool")(x)
    x = _dropout(head, seed)(x)
    logits = keras.layers.Dense(
        head.classes, kernel_initializer=kernel[1], bias_initializer=_logit_bias(head, seed), dtype="float32",
        name=LOGITS,
    )  # fmt: skip
    return logits(x)


def _dropout(head: Head, seed: int) -> keras.layers.Dropout:
    name = f"{HEAD}dropout"
    if head.variable_dropout is None or head.dropout == 0:
        return keras.layers.Dropout(head.dropout, seed=seed, name=name)
    return VariableDropout(head.variable_dropout, seed, name)


def _logit_bias(head: Head, seed: int) -> keras.initializers.Initializer:
    """Return the initializer of the logits' bias; for "prior", the logits of the frequencies of classes or labels."""
    if head.bias_initializer != PRIOR:
        return initializer(head.bias_initializer, seed + 3)
    if head.task == MULTI_LABEL:
        shares = [min(max(share, MIN_SHARE), 1 - MIN_SHARE) for share in head.shares]
        return keras.initializers.Constant([math.log(share / (1 - share)) for share in shares])
    return keras.initializers.Constant([math.log(max(share, MIN_SHARE)) for share in head.shares])


def count(variables: list[keras.Variable]) -> int:
    """Return the number of elements in all variables."""
    return sum(math.prod(v.shape) for v in variables)
