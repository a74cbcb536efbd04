"""Normalizations of a feature map (B, h, w, C), all with a scale and an offset per channel.

Layer, group and instance normalization differ only in how many channels share statistics (Wu & He 2018, "Group
Normalization", arXiv:1803.08494): all C, C/groups, or one; each over the whole map of one image.
"""

import keras

from bo_objectives.efficientnet import devices, names

# Keras's 0.99 averages over hundreds of steps; a small data set has that many in a whole training.
BATCH_MOMENTUM = 0.9
EPSILON = 1e-3


def norm_layer(norm: str, groups: int, width: int, name: str) -> keras.Layer | None:
    """Return the layer for a map of `width` channels; None for "none".

    Only "group" uses `groups`, which divides the width.
    """
    if norm == names.NONE:
        return None
    if norm == names.BATCH:
        # of the whole batch, where each device sees a part of it
        is_shared = devices.replicas_in_context() > 1
        return keras.layers.BatchNormalization(
            momentum=BATCH_MOMENTUM, epsilon=EPSILON, synchronized=is_shared, name=name
        )
    shared = {names.LAYER: 1, names.GROUP: groups, names.INSTANCE: width}[norm]
    return keras.layers.GroupNormalization(groups=shared, epsilon=EPSILON, name=name)
