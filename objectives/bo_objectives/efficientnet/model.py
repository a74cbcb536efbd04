"""The new head, and the network that a trial trains.

    features (B, h, w, C) → 1×1 convolution (width) → norm → ReLU → global average → dropout → dense (classes) logits

Every layer of the head is named `head_…`: the optimizer tells the two learning rates apart by that.
"""

from dataclasses import dataclass

import keras

from bo_objectives.efficientnet.norms import norm_layer

HEAD = "head_"


@dataclass(frozen=True)
class Head:
    """What is chosen about the head. `dropout` is the fraction of features that is dropped."""

    kernel_initializer: str
    norm: str
    groups: int
    dropout: float
    width: int
    classes: int


def initializer(name: str, seed: int) -> keras.initializers.Initializer:
    """One of `names.INITIALIZERS`. Raises KeyError."""
    makers = {
        "glorot_uniform": keras.initializers.GlorotUniform,
        "glorot_normal": keras.initializers.GlorotNormal,
        "he_uniform": keras.initializers.HeUniform,
        "he_normal": keras.initializers.HeNormal,
    }
    if name == "zeros":
        return keras.initializers.Zeros()
    if name.startswith("normal_"):
        return keras.initializers.RandomNormal(stddev=float(name.removeprefix("normal_")), seed=seed)
    return makers[name](seed=seed)


def network(features: tuple[int, ...], below: list[keras.Model], head: Head, seed: int) -> keras.Model:
    """Inputs of the shape `features`, through the models `below` (the lowest first), to logits (B, classes).

    The models below run in inference: dropout is off and batch normalizations use their stored statistics. Which of
    their weights are trained is their own affair.
    """
    inputs = x = keras.Input(features)
    for model in below:
        x = model(x, training=False)
    kernel = [initializer(head.kernel_initializer, seed + i) for i in range(2)]
    x = keras.layers.Conv2D(head.width, 1, kernel_initializer=kernel[0], name=f"{HEAD}conv")(x)
    norm = norm_layer(head.norm, head.groups, head.width, f"{HEAD}norm")
    x = x if norm is None else norm(x)
    x = keras.layers.ReLU(name=f"{HEAD}relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name=f"{HEAD}pool")(x)
    x = keras.layers.Dropout(head.dropout, seed=seed, name=f"{HEAD}dropout")(x)
    return keras.Model(
        inputs, keras.layers.Dense(head.classes, kernel_initializer=kernel[1], dtype="float32", name=f"{HEAD}dense")(x)
    )


def optimizer(lr_head: float, lr_backbone: float | None) -> keras.optimizers.Optimizer:
    """Adam; with a learning rate of its own for every variable outside the head, where one is given."""
    head = keras.optimizers.Adam(lr_head)
    if lr_backbone is None:
        return head
    routes = keras.optimizers.OptimizerMap(keras.optimizers.Adam(lr_backbone), {f"{HEAD}.*": head})
    return keras.optimizers.MultiOptimizer(routes)


def count(variables: list[keras.Variable]) -> int:
    """Numbers in all of the variables."""
    return sum(int(keras.ops.size(v)) for v in variables)
