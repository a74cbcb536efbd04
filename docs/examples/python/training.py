"""A head with two dense layers, and SGD with momentum on a focal loss, for the objective `efficientnet`.

    bo-worker run --study own --objective efficientnet --option head=training.py:head \\
        --option compile=training.py:compile --max-trials 20
"""

import keras


def head(features, classes, parameters):
    """Return logits (batch, classes) of the backbone's features (batch, height, width, channels)."""
    x = keras.layers.GlobalAveragePooling2D()(features)
    x = keras.layers.Dense(64, activation="relu", kernel_initializer=parameters["kernel_initializer"])(x)
    x = keras.layers.Dropout(parameters["dropout"])(x)
    return keras.layers.Dense(classes)(x)


def compile(model, parameters, steps):
    """Return the optimizer, and the loss of logits and one-hot labels."""
    rate = keras.optimizers.schedules.CosineDecay(parameters["lr_head"], steps)
    return {
        "optimizer": keras.optimizers.SGD(rate, momentum=parameters.get("momentum", 0.9)),
        "loss": keras.losses.CategoricalFocalCrossentropy(from_logits=True),
    }
